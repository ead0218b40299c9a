"""The integer graph: what the firmware must compute, integer by integer."""
