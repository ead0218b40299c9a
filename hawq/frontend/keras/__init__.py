"""Keras and QKeras files read layer by layer, without Keras."""
