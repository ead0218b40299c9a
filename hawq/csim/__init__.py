"""The ladder: proof that every rung computes the same integers."""
