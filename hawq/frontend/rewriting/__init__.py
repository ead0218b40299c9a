"""How an ONNX graph of integers becomes a QONNX graph of the values they stand for."""
