"""Bring a QONNX file to the form that hls4ml 1.3 reads rightly."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from hawq.hls.passes.bipolar import write_signs
from hawq.hls.passes.constants import fold_constants
from hawq.hls.passes.identities import drop_identities, drop_last_identities
from hawq.hls.passes.layout import channels_last
from hawq.hls.passes.names import name_nodes, name_reshapes
from hawq.hls.passes.network import Layout, Network
from hawq.hls.passes.quantizers import normalise_quantizers
from hawq.hls.passes.sums import fold_affine, normalise_sums, split_bias
from hawq.hls.passes.windows import (
    matrices_as_convolutions,
    normalise_resize,
    normalise_windows,
    widen_pools,
)
from hawq.integer.graph import Graph


@dataclass(frozen=True, eq=False)
class Prepared:
    """A file as hls4ml gets it.

    Attributes:
        model: Channels last, every node named, constants evaluated, shapes stated.
        graph: What it lowers to.
        layouts: Tensors that the file stores otherwise.
    """

    model: onnx.ModelProto
    graph: Graph
    layouts: dict[str, Layout]

    @property
    def input(self) -> str:
        """Name of the input."""
        return str(self.model.graph.input[0].name)

    def output_of(self, tensor: str) -> str:
        """Find the output that holds the elements of a tensor.

        Args:
            tensor: Its name, or that of what is reshaped into an output.

        Returns:
            The output's name.
        """
        while tensor not in self.graph.outputs:
            tensor = next(
                node.output[0]
                for node in self.model.graph.node
                if node.op_type == "Reshape" and node.input[0] == tensor
            )
        return tensor


def prepare(model: onnx.ModelProto, graph: Graph) -> Prepared:
    """Run every pass on a copy of a model.

    Args:
        model: QONNX; left as it is. ``unsupported`` has nothing against it.
        graph: The same model, lowered.

    Returns:
        What to give to hls4ml. The tensors that it shares with the file hold the same
        values.
    """
    network = Network.read(model, graph)
    fold_constants(network)
    name_nodes(network)
    normalise_quantizers(network, graph)
    drop_identities(network, graph)
    normalise_windows(network, graph)
    normalise_sums(network)
    fold_affine(network, graph)
    write_signs(network, graph)
    drop_last_identities(network, graph)
    channels_last(network)
    matrices_as_convolutions(network)
    widen_pools(network)
    normalise_resize(network)
    split_bias(network)
    name_reshapes(network)
    written, lowered = network.write()
    return Prepared(written, lowered, network.layouts)
