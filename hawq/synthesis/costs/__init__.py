"""Cost models of single layers: a grid of them, their counts, laws, predictions."""
