"""Random graphs of every node, and compiled emulators of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from hawq.emulator.library import Emulator, compile_emulator
from hawq.emulator.write import write_emulator
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.bounds import output_tensor
from hawq.integer.execute import trace
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Table,
    Threshold,
    Transpose,
    Window,
)
from hawq.integer.tensor import RealInput, Tensor

QUICK = "-march=x86-64-v2 -O0"
"""Compiles in little time; the integers are the same."""

INPUTS = (RealInput("image", (2, 4, 3)), RealInput("vector", (5,)))


class _Drawer:
    """Draws nodes that read the tensors so far."""

    def __init__(self, draw: st.DrawFn, bits: int) -> None:
        self.draw, self.bits = draw, bits
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.values: dict[str, Any] = {i.name: i for i in INPUTS}
        self.nodes: list[Node] = []

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def integers(self, reach: int, *shape: int) -> NDArray[np.int64]:
        dense = self.random.integers(-reach, reach + 1, shape)
        return dense * (self.random.random(shape) < 0.7)

    def scale(self) -> Fraction:
        power = Fraction(2) ** self.integer(-6, 3)
        odd = self.draw(st.sampled_from([1, 1, 3, Fraction(1, 7), Fraction(0.1)]))
        return power * odd

    def grid(self, scale: Fraction, bits: int) -> Grid:
        rounding = self.draw(st.sampled_from(Rounding))
        low = self.draw(st.sampled_from([0, -(2 ** (bits - 1))]))
        overflow = self.draw(st.sampled_from([Overflow.WRAP, Overflow.SATURATE]))
        shift = self.integer(-3, 3)
        return Grid(
            low - shift,
            low + 2**bits - 1 - shift,
            scale,
            rounding,
            overflow,
            zero_point=self.draw(st.sampled_from([0, shift])),
        )

    def add(self, node: Node) -> None:
        tensor = output_tensor(node, self.values)
        if max(-tensor.low, tensor.high) < 2**self.bits:
            self.values[node.output] = tensor
            self.nodes.append(node)

    def tensor(self, rank: int = 0) -> Tensor:
        tensors = [
            t
            for t in self.values.values()
            if isinstance(t, Tensor) and len(t.shape) >= rank
        ]
        return self.draw(st.sampled_from(tensors))

    def quantize(self, name: str, source: RealInput) -> Quantize:
        bits = self.draw(st.sampled_from([1, 3, 8, 8, 17, 40]))
        gain, offset = self.draw(
            st.sampled_from([
                (None, None),
                (np.array(Fraction(-3, 7)), None),
                (None, np.array([Fraction(k, 3) for k in range(source.shape[-1])])),
            ])
        )
        if self.draw(st.booleans()):
            form = FixedPoint(
                self.draw(st.booleans()),
                bits,
                bits + self.integer(-6, 3),
                self.draw(st.sampled_from(Rounding)),
                self.draw(st.sampled_from([Overflow.WRAP, Overflow.SATURATE])),
            )
            return Quantize((source.name,), name, Grid.of(form), gain, offset)
        grid = self.grid(self.scale(), bits)
        return Quantize((source.name,), name, grid, gain, offset)


def _window(d: _Drawer, x: Tensor, padding: bool) -> Window | None:
    last = d.draw(st.booleans())
    spatial = x.shape[:-1] if last else x.shape[1:]
    rank = len(spatial)
    kernel = tuple(d.integer(1, 3) for _ in range(rank))
    dilations = tuple(d.integer(1, 2) for _ in range(rank))
    reach = [(k - 1) * n * padding for k, n in zip(kernel, dilations, strict=True)]
    pads = tuple(d.integer(0, n) for n in [*reach, *reach])
    strides = tuple(d.integer(1, 2) for _ in range(rank))
    window = Window(kernel, strides, dilations, pads, last)
    return window if min(window.output_sizes(spatial)) >= 1 else None


def _conv(d: _Drawer, name: str) -> Node | None:
    x = d.tensor(rank=2)
    window = _window(d, x, padding=True)
    if window is None:
        return None
    channels = x.shape[-1] if window.channels_last else x.shape[0]
    groups = d.draw(st.sampled_from([1, channels]))
    weights = d.integers(9, 2 * groups, channels // groups, *window.kernel)
    bias = d.draw(st.sampled_from([None, d.integers(50, 2 * groups)]))
    return Conv((x.name,), name, weights, Fraction(1, 2), window, groups, bias)


def _dense(d: _Drawer, name: str) -> Node:
    x = d.tensor(rank=1)
    reach = d.draw(st.sampled_from([1, 9, 300, 2**20]))
    weights = d.integers(reach, x.shape[-1], d.integer(1, 4))
    bias = d.draw(st.sampled_from([None, d.integers(50, weights.shape[1])]))
    return Dense((x.name,), name, weights, Fraction(1, 4), bias)


def _affine(d: _Drawer, name: str) -> Node:
    x = d.tensor()
    shape = tuple(d.draw(st.sampled_from([1, n])) for n in x.shape)
    return Affine(
        (x.name,), name, d.integers(5, *shape), d.integers(99, *shape), d.scale()
    )


def _requantize(d: _Drawer, name: str) -> Node:
    x = d.tensor()
    bits = d.draw(st.sampled_from([1, 4, 8, 20]))
    ratio = Fraction(2) ** d.integer(-1, max(1, x.width - bits + 1))
    odd = d.draw(st.sampled_from([1, 3, Fraction(5, 7), Fraction(0.1), Fraction(0.3)]))
    return Requantize((x.name,), name, d.grid(x.scale * ratio * odd, bits))


def _sum(d: _Drawer, name: str) -> Node:
    a = d.tensor()
    same = [
        t
        for t in d.values.values()
        if isinstance(t, Tensor) and t.shape == a.shape and t.scale == a.scale
    ]
    b = d.draw(st.sampled_from(same))
    m = d.draw(st.sampled_from([1, 3]))
    return Sum((a.name, b.name), name, (m, -m))


def _multiply(d: _Drawer, name: str) -> Node | None:
    a, b = d.tensor(), d.tensor()
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        b = a
    return Multiply((a.name, b.name), name)


def _pool(d: _Drawer, name: str) -> Node | None:
    x = d.tensor(rank=2)
    window = _window(d, x, padding=True)
    if window is None:
        return None
    if d.draw(st.booleans()):
        return MaxPool((x.name,), name, window)
    return SumPool((x.name,), name, window, x.scale / 9)


def _select(d: _Drawer, name: str) -> Node:
    x = d.tensor()
    indices = np.arange(x.lows.size).reshape(x.shape)
    if d.draw(st.booleans()):
        fill = d.integer(x.low, x.high)
        padded = np.pad(indices, 1, constant_values=-1).repeat(2, axis=-1)
        return Select((x.name,), name, padded, fill)
    return Select((x.name,), name, d.random.permutation(indices.ravel()))


def _concat(d: _Drawer, name: str) -> Node:
    x = d.tensor(rank=1)
    return Concat((x.name, x.name), name, d.integer(0, len(x.shape) - 1))


def _table(d: _Drawer, name: str) -> Node | None:
    x = d.tensor()
    if x.high - x.low > 5000:
        return None
    entries = d.integers(99, x.high - x.low + 3)
    return Table((x.name,), name, x.low - 1, entries, Grid(-99, 99, Fraction(1, 3)))


def _threshold(d: _Drawer, name: str) -> Node:
    x = d.tensor(rank=1)
    count = d.draw(st.sampled_from([1, 3, 20]))
    reach = min(2 * max(-x.low, x.high, 1), 2**60)
    rows = d.draw(st.sampled_from([1, x.shape[0]]))
    shape = (rows, *[1] * (len(x.shape) - 1), count)
    return Threshold((x.name,), name, np.sort(d.integers(reach, *shape)))


MAKERS: dict[str, Callable[[_Drawer, str], Node | None]] = {
    "affine": _affine,
    "argmax": lambda d, y: ArgMax(
        ((x := d.tensor(rank=1)).name,),
        y,
        d.integer(0, len(x.shape) - 1),
        d.draw(st.booleans()),
    ),
    "clip": lambda d, y: Clip((d.tensor().name,), y, d.integer(-99, 5), 50),
    "concat": _concat,
    "conv": _conv,
    "dense": _dense,
    "leaky": lambda d, y: LeakyRelu(
        (d.tensor().name,), y, Fraction(d.integer(-3, 3), 8)
    ),
    "multiply": _multiply,
    "pool": _pool,
    "relu": lambda d, y: Relu((d.tensor().name,), y),
    "requantize": _requantize,
    "reshape": lambda d, y: Reshape(
        ((x := d.tensor()).name,), y, (x.lows.size // x.shape[-1], 1, x.shape[-1])
    ),
    "select": _select,
    "sum": _sum,
    "table": _table,
    "threshold": _threshold,
    "transpose": lambda d, y: Transpose(
        ((x := d.tensor()).name,), y, tuple(reversed(range(len(x.shape))))
    ),
}


@st.composite
def random_graphs(draw: st.DrawFn, nodes: int = 40, bits: int = 100) -> Graph:
    """Draw a graph whose nodes read any tensors made so far."""
    d = _Drawer(draw, bits)
    for source in INPUTS:
        for number in range(3):
            d.add(d.quantize(f"{source.name}{number}", source))
    kinds = list(MAKERS)
    for number in range(nodes):
        node = MAKERS[kinds[number % len(kinds)]](d, f"t{number}")
        if node is not None and max(output_size(node, d.values), 1) < 2000:
            d.add(node)
    return build(INPUTS, d.nodes, [d.nodes[-1].output, d.nodes[-2].output])


def output_size(node: Node, values: dict[str, Any]) -> int:
    return int(output_tensor(node, values).lows.size)


def corner_inputs(seed: int, samples: int, dtype: str) -> dict[str, NDArray[Any]]:
    """Make steps, ties, and numbers of every size."""
    random = np.random.default_rng(seed)
    made = {}
    for source in INPUTS:
        shape = (samples, *source.shape)
        x = random.integers(-2000, 2000, shape) / 2.0 ** random.integers(1, 9, shape)
        extremes = [0.0, -0.0, 1e-44, -1e-44, 3e38, -3e38, 0.1, -0.3, 2.0**31, 2.0**63]
        if dtype == "f8":
            extremes += [5e-324, -5e-324, 1.7e308, -1.7e308, np.nextafter(0.5, 1)]
        rare = random.random(shape) < 0.1
        made[source.name] = np.where(rare, random.choice(extremes, shape), x)
    return {name: x.astype(dtype) for name, x in made.items()}


@pytest.fixture(scope="session")
def graphs() -> Callable[..., st.SearchStrategy[Graph]]:
    return random_graphs


@pytest.fixture(scope="session")
def corners() -> Callable[..., dict[str, NDArray[Any]]]:
    return corner_inputs


@pytest.fixture(scope="session")
def emulate(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Emulator]:
    """Write and compile the emulator of a graph."""
    if not (shutil.which("g++") and shutil.which("make")):
        pytest.skip("g++ or make is missing")

    def made(graph: Graph, name: str = "net", **flags: Any) -> Emulator:
        folder = tmp_path_factory.mktemp("emulator")
        write_emulator(graph, folder, name=name, version="1")
        return Emulator(compile_emulator(folder, **({"arch": QUICK} | flags)))

    return made


@pytest.fixture(scope="session")
def require_equal() -> Callable[..., None]:
    """Demand the golden executor's integers, of trace and of predict."""

    def check(graph: Graph, emulator: Emulator, x: Any) -> None:
        expected = trace(graph, x)
        got, outputs = emulator.trace(x), emulator.predict(x)
        assert list(got) == list(expected)
        for name, integers in expected.items():
            assert_array_equal(got[name], integers, err_msg=name)
        assert list(outputs) == list(graph.outputs)
        for name, integers in outputs.items():
            assert_array_equal(integers, expected[name], err_msg=name)

    return check


@pytest.fixture(scope="session")
def small_graph() -> Graph:
    """Two layers: four real numbers to one of three classes."""
    random = np.random.default_rng(5)
    return build(
        [RealInput("x", (4,))],
        [
            Quantize(("x",), "q", Grid.of(FixedPoint(True, 6, 3))),
            Dense(("q",), "h", random.integers(-7, 8, (4, 6)), Fraction(1, 8)),
            Relu(("h",), "r"),
            Requantize(("r",), "z", Grid.of(FixedPoint(False, 4, 3))),
            Dense(("z",), "y", random.integers(-7, 8, (6, 3)), Fraction(1, 8)),
        ],
        ["y"],
    )


@pytest.fixture(scope="session")
def small_library(small_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_emulator(small_graph, folder, name="jets", version="1.0")
    return compile_emulator(folder, arch=QUICK)


@pytest.fixture(scope="session")
def every_node() -> Graph:
    """One graph with every kind of node, narrow and wide, and two inputs."""
    random = np.random.default_rng(11)

    def grid(bits: int, scale: Fraction, **rest: Any) -> Grid:
        return Grid(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, scale, **rest)

    third, half = Fraction(1, 3), Fraction(1, 2)
    window = Window((2, 2), (1, 2), (1, 1), (1, 0, 0, 1))
    offset = np.array([Fraction(k, 7) for k in range(3)])
    nodes: list[Node] = [
        Quantize(("image",), "a", grid(8, Fraction(1, 4))),
        Quantize(("image",), "b", grid(8, third, zero_point=1), None, offset),
        Quantize(("vector",), "c", grid(64, half, overflow=Overflow.WRAP)),
        Conv(("a",), "conv", random.integers(-9, 9, (4, 1, 2, 2)), half, window, 2),
        Requantize(("conv",), "conv8", grid(8, third, rounding=Rounding.AWAY)),
        MaxPool(("conv8",), "most", window),
        SumPool(("conv8",), "sum", window, third / 4),
        Dense(("b",), "dense", random.integers(-2000, 2000, (3, 5)), half),
        Affine(("dense",), "affine", np.full((1, 1, 1), 7), np.arange(5), third),
        LeakyRelu(("affine",), "leaky", Fraction(-3, 8)),
        Relu(("leaky",), "relu"),
        Clip(("leaky",), "clip", -500, 400),
        Table(("clip",), "table", -500, random.integers(-9, 9, 901), grid(5, third)),
        Threshold(("relu",), "few", np.array([[0, 5, 10**9]])),
        Threshold(("clip",), "many", np.arange(-40, 400, 20)),
        Requantize(("c",), "c8", grid(8, Fraction(2) ** 50, rounding=Rounding.CEIL)),
        Multiply(("c", "c8"), "wide"),
        Requantize(("wide",), "search", grid(8, Fraction(0.1) * 2**60)),
        Requantize(("wide",), "divide", grid(50, Fraction(1, 7) * 2**25)),
        Sum(("a", "a"), "sums", (3, -3)),
        Reshape(("sums",), "flat", (24,)),
        Transpose(("sums",), "turned", (2, 0, 1)),
        Select(("flat",), "picked", np.array([[3, -1], [23, 0]]), fill=5),
        Concat(("turned", "turned"), "both", 1),
        ArgMax(("both",), "first", 1),
        ArgMax(("both",), "last", 0, last=True),
    ]
    return build(INPUTS, nodes, ["first", "wide", "most"])
