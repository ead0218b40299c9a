"""Bits for every single weight and every activation channel, by curvature and cost."""
