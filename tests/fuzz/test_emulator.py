"""The interpreter, the golden model and the emulator on the same networks.

Many networks are one C++ library: compiling takes longer than all the rest.
"""

from merged import merged
from numpy.testing import assert_array_equal
from random_qonnx.builder import Choices
from random_qonnx.networks import random_network
from witness import assert_exact

from hawq.emulator.library import Emulator, compile_emulator
from hawq.emulator.support import unsupported
from hawq.emulator.write import write_emulator
from hawq.integer.execute import execute


def test_file_golden_model_and_emulator_give_equal_integers(
    seeds, kept, refusals, require, tmp_path, monkeypatch
):
    require("g++", "make")
    monkeypatch.setenv("CXXFLAGS", "-O0")
    networks, graphs = {}, {}
    for seed in seeds:
        network = random_network(Choices.of(seed), 1, 2, 3)
        with kept(network.model, seed), refusals():
            graph = assert_exact(network.model, network.inputs())
            if not unsupported(graph):
                networks[f"n{seed}"], graphs[f"n{seed}"] = network, graph
    assert len(graphs) > 0.9 * len(seeds)
    write_emulator(merged(graphs), tmp_path, name="fuzz", version="1")
    emulator = Emulator(compile_emulator(tmp_path))
    inputs = {f"{name}.x": network.inputs() for name, network in networks.items()}
    got = emulator.trace(inputs, threads=1)
    for name, graph in graphs.items():
        golden = execute(graph, networks[name].inputs(), tuple(graph.tensors))
        with kept(networks[name].model, name[1:]):
            for tensor, integers in golden.items():
                assert_array_equal(got[f"{name}.{tensor}"], integers, tensor)
