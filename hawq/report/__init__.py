"""The page a physicist reads: figures, tables and the numbers behind them."""
