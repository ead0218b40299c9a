import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawq.emulator.support import unsupported
from hawq.errors import HawqError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.frontend.network import read_network
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Quantize, Requantize
from hawq.integer.tensor import RealInput

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "qonnx"


@settings(
    max_examples=4,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_every_tensor_of_random_graphs_is_equal(
    data, graphs, corners, emulate, require_equal
):
    graph = data.draw(graphs())
    emulator = emulate(graph)
    for samples, kind in ((77, "f4"), (5, "f8")):
        require_equal(graph, emulator, corners(samples, samples, kind))


RATIOS = (
    (Fraction(1, 8), 0),
    (Fraction(1, 8), 3),
    (Fraction(3, 16), 2),
    (Fraction(5), 0),
    (Fraction(5, 7), 3),
    (Fraction(0.3) * Fraction(1.1) / 64, 0),
    (Fraction(1, 3) ** 40 * 2**60, 1),
)


def test_every_requantizer_is_equal(emulate, require_equal):
    source = RealInput("x", (1,))
    nodes = [Quantize(("x",), "q", Grid(-3000, 3000, Fraction(1)))]
    for i, (rounding, overflow, (ratio, zero)) in enumerate(
        itertools.product(Rounding, (Overflow.WRAP, Overflow.SATURATE), RATIOS)
    ):
        grid = Grid(-128 - zero, 127 - zero, 1 / ratio, rounding, overflow, zero)
        nodes.append(Requantize(("q",), f"y{i}", grid))
    graph = build([source], nodes, ["y0"])
    require_equal(graph, emulate(graph), np.arange(-3001.0, 3002)[:, None])


STEPS = (
    (Fraction(1, 4), 0, None),
    (Fraction(1, 4), 3, None),
    (Fraction(0.1), 2, None),
    (Fraction(5, 3), 0, Fraction(-2, 3)),
    (Fraction(1, 2), 0, Fraction(0)),
    (Fraction(2) ** 800, 0, None),
)


@pytest.mark.parametrize("overflow", [Overflow.WRAP, Overflow.SATURATE])
def test_every_quantizer_is_equal(overflow, emulate, require_equal):
    source = RealInput("x", (1,))
    nodes = []
    for i, (rounding, (step, zero, gain)) in enumerate(
        itertools.product(Rounding, STEPS)
    ):
        grid = Grid(-8 - zero, 7 - zero, step, rounding, overflow, zero)
        factor = gain if gain is None else np.array(gain)
        nodes.append(Quantize(("x",), f"y{i}", grid, factor))
    graph = build([source], nodes, ["y0"])
    emulator = emulate(graph)
    for kind in ("f4", "f8"):
        require_equal(graph, emulator, awkward(kind)[:, None])


def awkward(kind):
    """Ties and their neighbours, tenths, and numbers of every size."""
    ties = np.arange(-150, 151) / 8
    tenths = np.arange(-40, 41) * 0.05
    near = np.nextafter(ties.astype(kind), np.asarray(99, dtype=kind))
    ends = np.finfo(kind)
    sizes = [ends.smallest_subnormal, ends.tiny, ends.max, 2.0**62, 2.0**100]
    return np.concatenate([ties, tenths, near, sizes, -np.array(sizes)]).astype(kind)


def test_wide_quantizers_are_equal(emulate, require_equal):
    source = RealInput("x", (1,))
    nodes = []
    for i, (rounding, overflow, low, step) in enumerate(
        itertools.product(
            Rounding,
            (Overflow.WRAP, Overflow.SATURATE),
            (0, -(2**63)),
            (Fraction(1), Fraction(1, 3), Fraction(2) ** -70),
        )
    ):
        grid = Grid(low, low + 2**64 - 1, step, rounding, overflow)
        nodes.append(Quantize(("x",), f"y{i}", grid))
    graph = build([source], nodes, ["y0"])
    random = np.random.default_rng(2)
    x = random.normal(size=200) * 2.0 ** random.integers(-70, 130, 200)
    require_equal(graph, emulate(graph), np.concatenate([x, np.rint(x)])[:, None])


@pytest.mark.parametrize(
    "file", sorted(FILES.glob("*.onnx")), ids=lambda path: path.stem
)
def test_files_of_others_are_equal(file, emulate, require_equal):
    try:
        network = read_network(file, input_format=FixedPoint(True, 16, 6))
        graph = lower_model(network.model)
    except HawqError as error:
        pytest.skip(f"not lowered: {error}")
    if max(t.lows.size for t in graph.tensors.values()) > 2**20:
        pytest.skip("too large for a short test")
    if reasons := unsupported(graph):
        pytest.skip(f"refused: {reasons[0]}")
    random = np.random.default_rng(3)
    x = {i.name: random.normal(size=(3, *i.shape)) for i in graph.inputs}
    require_equal(graph, emulate(graph), x)


@pytest.mark.skipif(not FILES.is_dir(), reason=f"{FILES} is not there")
def test_there_are_files_of_others():
    assert len(list(FILES.glob("*.onnx"))) == 10
