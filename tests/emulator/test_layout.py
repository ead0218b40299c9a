import itertools

import numpy as np

from hawq.emulator.integers import stored_type
from hawq.emulator.layout import FOLLOWERS, lay_out
from hawq.integer.graph import build
from hawq.integer.nodes import Relu


def rooms(graph, layout):
    """Of each placed tensor: first and last chain that needs it, begin and end."""
    for i, chain in enumerate(layout.chains):
        name = chain[-1].output
        if name in layout.places:
            readers = [
                j for j, other in enumerate(layout.chains) if name in other[0].inputs
            ]
            tensor = graph.tensors[name]
            size = tensor.lows.size * stored_type(tensor.low, tensor.high).bytes
            yield i, max(readers), layout.places[name], layout.places[name] + size


def test_living_tensors_never_share_memory(every_node):
    layout = lay_out(every_node)
    for a, b in itertools.combinations(rooms(every_node, layout), 2):
        together = a[0] <= b[1] and b[0] <= a[1]
        assert not (together and a[2] < b[3] and b[2] < a[3])
        assert max(a[3], b[3]) <= layout.size


def test_memory_is_used_again(every_node):
    layout = lay_out(every_node)
    places = list(rooms(every_node, layout))
    assert layout.size < sum(end - begin for *_, begin, end in places)


def test_chains_hold_every_node_once_and_hide_no_fork(every_node):
    layout = lay_out(every_node)
    nodes = [node for chain in layout.chains for node in chain]
    assert sorted(n.output for n in nodes) == sorted(every_node.tensors)
    for chain in layout.chains:
        for before, after in itertools.pairwise(chain):
            assert isinstance(after, FOLLOWERS)
            assert after.inputs == (before.output,)
            readers = [n for n in nodes if before.output in n.inputs]
            assert readers == [after]


def test_a_layer_is_one_chain(small_graph):
    chains = [[n.output for n in chain] for chain in lay_out(small_graph).chains]
    assert chains == [["q"], ["h", "r", "z"], ["y"]]


def test_large_networks_compute_fewer_samples_at_once(small_graph):
    assert lay_out(small_graph).lanes == 32
    last = Relu(("y",), "last")
    graph = build(small_graph.inputs, [*small_graph.nodes, last], ["last"])
    assert lay_out(graph).places.keys() == {"q", "z"}
    assert np.all([p % 16 == 0 for p in lay_out(graph).places.values()])
