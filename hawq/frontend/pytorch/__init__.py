"""PyTorch and Brevitas networks as QONNX."""
