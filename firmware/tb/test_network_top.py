"""Bench of a network behind valid and ready: run it with ``make`` in this folder.

Every result is compared with the integer that the golden executor computed for that
sample. Inputs are driven at the falling edge and read when they have settled, so that
what is read is what the next rising edge acts on.
"""

from __future__ import annotations

import json
import os
import random
from collections import deque
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

FOLDER = Path(os.environ.get("BENCH_VECTORS", "."))
INTERFACE = json.loads((FOLDER / "interface.json").read_text())
STAGES = INTERFACE["stages"]
INPUTS, OUTPUTS = (
    [int(line, 16) for line in (FOLDER / name).read_text().split()]
    for name in ("inputs.hex", "outputs.hex")
)


class Bench:
    """Feeds samples in the order of the file and checks each result that comes.

    Attributes:
        clocks: That have passed.
        flying: (number of the sample, clock it went in), the oldest first.
        entered: Clocks in which a sample went in.
        left: Clocks in which a result was taken.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.clocks = 0
        self.flying: deque[tuple[int, int]] = deque()
        self.entered: list[int] = []
        self.left: list[int] = []
        self._next = 0
        self._held: int | None = None

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock and reset."""
        bench = cls(dut)
        dut.rst.value = 1
        dut.in_valid.value = dut.out_ready.value = dut.in_data.value = 0
        Clock(dut.clk, 10, unit="ns").start()
        await bench.reset()
        return bench

    async def reset(self, clocks: int = 1) -> None:
        """Hold the reset; what was in flight is gone."""
        for _ in range(clocks):
            await FallingEdge(self.dut.clk)
            self.dut.rst.value = 1
            self.dut.in_valid.value = 0
            self.clocks += 1
        self.flying.clear()
        self._held = None

    async def clock(self, *, offer: bool = False, ready: bool = True) -> None:
        """Pass one clock in which a sample may be offered, a result may be taken."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        dut.in_valid.value = offer
        dut.in_data.value = (
            INPUTS[self._next] if offer else random.getrandbits(len(dut.in_data))
        )
        dut.out_ready.value = ready
        await ReadOnly()
        for signal in (dut.in_ready, dut.out_valid):
            assert signal.value.is_resolvable, f"{signal._name} is {signal.value}"
        valid = bool(int(dut.out_valid.value))
        self._check(valid, ready)
        if offer and int(dut.in_ready.value):
            self.flying.append((self._next, self.clocks))
            self.entered.append(self.clocks)
            self._next = (self._next + 1) % len(INPUTS)
        self.clocks += 1

    def _check(self, valid: bool, ready: bool) -> None:
        if not valid:
            assert self._held is None, "a result went away before it was taken"
            return
        assert self.flying, "a result came without a sample"
        sample, _ = self.flying[0]
        got = int(self.dut.out_data.value)
        assert got == OUTPUTS[sample], (
            f"sample {sample}: {got:x}, expected {OUTPUTS[sample]:x}"
        )
        self._held = None if ready else got
        if ready:
            self.flying.popleft()
            self.left.append(self.clocks)

    async def drain(self) -> None:
        """Take what is in flight; nothing may be lost, nothing may follow."""
        for _ in range(2 * STAGES + 2):
            await self.clock()
        assert not self.flying, f"{len(self.flying)} results never came"


@cocotb.test()
async def latency(dut: Any) -> None:
    """A lone sample takes as many clocks as there are registers."""
    bench = await Bench.start(dut)
    for _ in range(3):
        await bench.clock(offer=True)
        await bench.drain()
    clocks = [o - i for i, o in zip(bench.entered, bench.left, strict=True)]
    assert clocks == [STAGES] * 3, f"{clocks}, expected {STAGES}"


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Every vector, one a clock, in and out."""
    bench = await Bench.start(dut)
    for _ in INPUTS:
        await bench.clock(offer=True)
    await bench.drain()
    start = bench.entered[0]
    assert bench.entered == list(range(start, start + len(INPUTS)))
    assert bench.left == [clock + STAGES for clock in bench.entered]


@cocotb.test()
async def random_stalls(dut: Any) -> None:
    """Sender and reader pause at random, seldom and often."""
    bench = await Bench.start(dut)
    for chance in (0.1, 0.5, 0.9):
        for _ in range(len(INPUTS)):
            await bench.clock(
                offer=random.random() > chance, ready=random.random() > 1 - chance
            )
        for _ in range(len(INPUTS)):
            await bench.clock(
                offer=random.random() > chance, ready=random.random() > chance
            )
    await bench.drain()


@cocotb.test()
async def reader_asleep(dut: Any) -> None:
    """A reader never ready stops the sender; then everything comes, in order."""
    bench = await Bench.start(dut)
    for _ in range(4 * STAGES + 8):
        await bench.clock(offer=True, ready=False)
    assert len(bench.entered) == STAGES + 1
    await bench.drain()
    assert len(bench.left) == STAGES + 1


@cocotb.test()
async def reset_in_traffic(dut: Any) -> None:
    """A reset drops what is in flight, wherever it is, and all of it."""
    bench = await Bench.start(dut)
    for clocks in range(1, 2 * STAGES + 4):
        for _ in range(clocks):
            await bench.clock(offer=True, ready=clocks % 2 == 0)
        await bench.reset(1 + clocks % 3)
        for _ in range(STAGES + 2):
            await bench.clock()
        for _ in range(STAGES):
            await bench.clock(offer=True)
        await bench.drain()


@cocotb.test()
async def idle(dut: Any) -> None:
    """Without samples there are no results, whatever is on the data lines."""
    bench = await Bench.start(dut)
    for _ in range(3):
        for _ in range(4 * STAGES + 20):
            await bench.clock(ready=random.random() > 0.5)
        await bench.clock(offer=True)
        await bench.drain()
    assert len(bench.left) == 3
