from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hawq.integer.execute import execute
from hawq.integer.lower import lower_qonnx
from hawq.synthesis.fpga import Target
from hawq.synthesis.layers import cut_layers, synthesise_layers


def test_layers_one_after_the_other_are_the_network(small_qonnx: Path) -> None:
    graph = lower_qonnx(small_qonnx)
    x = np.random.default_rng(0).uniform(-3, 3, (200, 4))
    names = tuple(graph.tensors)
    expected = execute(graph, {graph.inputs[0].name: x}, names)
    layers = cut_layers(graph)
    assert len(layers) == 2
    covered = set[str]()
    for layer in layers.values():
        given = {
            real.name: expected[real.name.removesuffix("_real")]
            * float(graph.tensors[real.name.removesuffix("_real")].scale)
            for real in layer.inputs
        }
        made = execute(layer, given, layer.outputs)
        for name, integers in made.items():
            np.testing.assert_array_equal(integers, expected[name], name)
        covered.update(layer.tensors)
    assert covered == set(names)
    assert list(layers.values())[-1].outputs == graph.outputs


def test_every_layer_is_counted_alone(
    small_qonnx: Path, tmp_path: Path, require: Callable[..., None]
) -> None:
    require("pyosys", "alkaid")
    graph = lower_qonnx(small_qonnx)
    told: list[str] = []
    found = synthesise_layers(
        graph,
        tmp_path,
        Target(part="LFE5U-25F-6BG381C"),
        lambda what, fraction: told.append(what),
    )
    assert list(found) == list(cut_layers(graph))
    assert told == [f"synthesising {name} alone" for name in found]
    for taken in found.values():
        assert (tmp_path / taken.file).is_file()
        assert taken.usage["LUT"].used > 0
        assert taken.usage["FF"].used == 0
