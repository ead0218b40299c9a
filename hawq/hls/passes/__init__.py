"""Graph passes that bring a QONNX file to the form that hls4ml 1.3 reads rightly.

Each pass is a file with one function of a :class:`~hawq.hls.passes.network.Network`,
which it changes in place. Values stay exactly what the file says.
"""
