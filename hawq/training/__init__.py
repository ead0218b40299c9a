"""A quantized network at the allocated bits: trained there, or calibrated alone."""
