"""From the trained network to a QONNX file."""
