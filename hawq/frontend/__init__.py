"""Networks as they arrive, each brought to one kind of QONNX graph."""
