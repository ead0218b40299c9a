"""From a trained network to firmware, with proof that the integers are equal."""

__version__ = "0.1.0"
