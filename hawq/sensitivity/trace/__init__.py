"""Estimators of a trace, one a file, named by their paper."""
