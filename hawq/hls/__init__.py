"""From the QONNX file to a firmware project."""
