"""How much the loss curves at each site of a network."""
