"""Nodes that hand on what they read, which hls4ml 1.3 loses at the network's end."""

from __future__ import annotations

from hawq.hls.passes.network import Network

IDENTITIES = ("Identity", "Dropout", "Cast")


def drop_identities(network: Network) -> None:
    """Remove them.

    Args:
        network: Changed in place.
    """
    for node in list(network.nodes):
        if node.op_type in IDENTITIES and network.data_inputs(node):
            del node.input[1:], node.output[1:]
            if node.output[0] not in network.outputs or network.free(node.input[0]):
                network.bypass(node)
