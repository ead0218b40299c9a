"""The float network: loading, training, measuring, folding."""
