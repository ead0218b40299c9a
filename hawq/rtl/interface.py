"""What the bits of the RTL's ports mean, and valid and ready around them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hawq.errors import NetworkError
from hawq.fixed import IntArray
from hawq.integer.graph import Graph
from hawq.paths import atomic_file, shipped
from hawq.rtl.trace import input_integers
from hawq.rtl.verilog import Rtl

TOP = "network_top"
"""Name of the module with valid and ready."""


@dataclass(frozen=True)
class Lane:
    """Bits of a port that carry one integer of a tensor.

    Attributes:
        tensor: Its name.
        index: Of the element.
        low: The lowest bit.
        width: How many bits; 0 if the network does not read the element, or if it is
            always zero.
        shift: The integer is that of the bits, times ``2**shift``.
        is_signed: Whether they are two's complement.
        scale: What one integer is worth, as a fraction.
    """

    tensor: str
    index: tuple[int, ...]
    low: int
    width: int
    shift: int
    is_signed: bool
    scale: str


def lanes(graph: Graph, rtl: Rtl) -> tuple[tuple[Lane, ...], tuple[Lane, ...]]:
    """Say what each bit of the RTL's ports means.

    Args:
        graph: What the RTL was made from.
        rtl: In either language.

    Returns:
        Lanes of ``model_inp`` and of ``model_out``, from the lowest bits up.
    """
    inputs, outputs = rtl.formats
    return (
        _lanes(graph, input_integers(graph), inputs),
        _lanes(graph, graph.outputs, outputs),
    )


def _lanes(
    graph: Graph, names: Sequence[str], formats: Sequence[tuple[bool, int, int]]
) -> tuple[Lane, ...]:
    elements = [
        (graph.tensors[name], index)
        for name in names
        for index in np.ndindex(graph.tensors[name].shape)
    ]
    made, low = [], 0
    for (tensor, index), (signed, width, shift) in zip(elements, formats, strict=True):
        lane = Lane(tensor.name, index, low, width, shift, signed, str(tensor.scale))
        made.append(lane)
        low += width
    return tuple(made)


def pack(integers: IntArray, lanes: Sequence[Lane]) -> list[int]:
    """Put integers into the bits of a port.

    Args:
        integers: Shape (samples, lanes).
        lanes: Of the port.

    Returns:
        One unsigned number a sample.
    """
    words = [0] * len(integers)
    for column, lane in zip(integers.T.tolist(), lanes, strict=True):
        mask = (1 << lane.width) - 1
        for i, integer in enumerate(column):
            words[i] |= ((integer >> lane.shift) & mask) << lane.low
    return words


def write_top(graph: Graph, rtl: Rtl) -> Path:
    """Write the module with valid and ready beside the RTL.

    Args:
        graph: What the RTL was made from.
        rtl: With registers.

    Returns:
        The folder: ``top`` in that of the RTL.

    Raises:
        NetworkError: if the RTL has no registers.
    """
    if not rtl.latency_cycles:
        raise NetworkError(
            "valid and ready need a network with registers, got one without: give it "
            "adder levels"
        )
    source, folder = shipped("firmware") / "rtl", rtl.folder / "top"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "handshake.v", folder / "handshake.v")
    environment = Environment(
        loader=FileSystemLoader(source),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    inputs, outputs = lanes(graph, rtl)
    text = environment.get_template(f"{TOP}.v.jinja").render(
        input_bits=sum(lane.width for lane in inputs),
        output_bits=sum(lane.width for lane in outputs),
        stages=rtl.stages,
    )
    with atomic_file(folder / f"{TOP}.v") as temporary:
        temporary.write_text(text)
    return folder
