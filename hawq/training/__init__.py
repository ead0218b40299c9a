"""Quantization-aware training at the allocated bits."""
