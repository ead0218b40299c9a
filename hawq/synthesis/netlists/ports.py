"""The flat ports of RTL and netlist: which bits hold which integer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hawq.errors import FormatError, StageError
from hawq.fixed import IntArray

Element = tuple[bool, int, int]
"""Of one integer: whether it is signed, its bits, the power of two of the lowest."""

Words = NDArray[np.uint32]
"""Bits of a port, 32 a word, the lowest first; shape (samples, words)."""


@dataclass(frozen=True)
class Port:
    """Integers side by side, the first in the lowest bits.

    Attributes:
        name: Of the port.
        elements: One entry an integer.
    """

    name: str
    elements: tuple[Element, ...]

    @property
    def bits(self) -> int:
        """Width of the port."""
        return sum(width for _, width, _ in self.elements)

    @property
    def words(self) -> int:
        """Words of 32 bits that hold the port."""
        return -(-self.bits // 32)

    def pack(self, integers: IntArray) -> Words:
        """Put integers into the port's bits.

        Args:
            integers: Shape (samples, elements).

        Returns:
            Shape (samples, words).

        Raises:
            FormatError: if one does not fit its bits.
        """
        given = np.asarray(integers, dtype=np.int64)
        columns = []
        for i, (signed, width, exponent) in enumerate(self.elements):
            x = given[:, i] >> exponent
            low, high = _ends(signed, width)
            wrong = (x << exponent != given[:, i]) | (x < low) | (x > high)
            if wrong.any():
                raise FormatError(
                    f"{self.name}[{i}] is {given[wrong, i][0]} in sample "
                    f"{int(wrong.argmax())}, expected {low << exponent} to "
                    f"{high << exponent} in steps of {1 << exponent}: the RTL is of "
                    "another network"
                )
            columns.append(x[:, None] >> np.arange(width) & 1)
        bits = np.zeros((len(given), 32 * self.words), dtype=np.uint8)
        bits[:, : self.bits] = np.concatenate(columns, axis=1)
        return np.packbits(bits, axis=1, bitorder="little").view("<u4")

    def unpack(self, words: Words) -> IntArray:
        """Take integers out of the port's bits.

        Args:
            words: Shape (samples, words).

        Returns:
            Shape (samples, elements), int64.
        """
        plain = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
        bits = np.unpackbits(plain, axis=1, bitorder="little")
        out = np.zeros((len(words), len(self.elements)), dtype=np.int64)
        start = 0
        for i, (signed, width, exponent) in enumerate(self.elements):
            mine = bits[:, start : start + width].astype(np.int64)
            weights = np.int64(1) << np.arange(width, dtype=np.int64)
            if signed and width:
                weights[-1] *= -1
            out[:, i] = (mine @ weights) << exponent
            start += width
        return out


def _ends(signed: bool, width: int) -> tuple[int, int]:
    return (
        (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    )


@dataclass(frozen=True)
class Ports:
    """What goes into a network in hardware and what comes out of it.

    Attributes:
        inputs: The input port.
        outputs: The output port.
        stages: Registers in a row from input to output; 0 without a clock.
    """

    inputs: Port
    outputs: Port
    stages: int

    @classmethod
    def of(cls, formats: Sequence[Sequence[Element]], stages: int) -> Ports:
        """Describe the ports of an ``Rtl``.

        Args:
            formats: Its ``formats``.
            stages: Its ``stages``.

        Returns:
            The ports.
        """
        given, made = (tuple(elements) for elements in formats)
        return cls(Port("model_inp", given), Port("model_out", made), stages)


def read_ports(folder: Path) -> Ports:
    """Read the ports of RTL on disk.

    Args:
        folder: Of the RTL project, with ``model/fsm.json.gz``.

    Returns:
        The ports.

    Raises:
        StageError: if there is no such project.
    """
    from alkaid.stateful import FSM

    source = folder / "model" / "fsm.json.gz"
    if not source.exists():
        raise StageError(f"{source} is missing: {folder} is no RTL project; run rtl")
    machine = FSM.load(source)
    signals = (*machine.inp_signals, *machine.out_signals)
    formats = [
        [(bool(k), int(k + i + f), -int(f)) for k, i, f in signal.precisions]
        for signal in signals
    ]
    clocked = any(signal.reg for signal in machine.signals.values())
    return Ports.of(formats, int(signals[1].schedule.bias) if clocked else 0)
