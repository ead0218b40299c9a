"""What a design costs: LUTs, flip-flops, latency, Fmax, area and power."""
