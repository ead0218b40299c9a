"""A latency becomes stages, or an error that names what can be met."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawq.errors import InfeasibleError
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Dense, Quantize
from hawq.integer.tensor import RealInput
from hawq.rtl.delays import count_levels
from hawq.rtl.pipeline import Target, deepest, stages_for
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

pytest.importorskip("alkaid", reason="alkaid is not installed")

ONE = Fraction(1)


@pytest.fixture(scope="module")
def logic() -> Any:
    weights = np.random.default_rng(0).integers(-7, 8, (16, 6))
    nodes = [
        Quantize(("x",), "q", Grid(-8, 7, ONE)),
        Dense(("q",), "y", weights, ONE),
    ]
    return trace_graph(build([RealInput("x", (16,))], nodes, ["y"]))


def test_more_stages_are_shallower(logic: Any) -> None:
    depths = [deepest(logic, stages) for stages in (1, 2, 4)]
    assert depths[0] == count_levels(logic).latency[1]
    assert depths[0] > depths[1] > depths[2]


def test_the_fewest_stages_that_fit_the_clock(logic: Any, tmp_path: Path) -> None:
    target = Target(latency_cycles=20, clock_ns=2.0, level_ns=1.0)
    stages = stages_for(logic, target)
    assert deepest(logic, stages) <= 2.0 < deepest(logic, stages - 1)
    assert Rtl(logic, tmp_path, stages=stages).latency_cycles == stages


def test_nanoseconds_are_whole_clocks(logic: Any) -> None:
    assert Target(latency_ns=15.0, clock_ns=5.0).cycles == 3
    assert Target(latency_ns=14.9, clock_ns=5.0).cycles == 2
    assert Target(latency_cycles=1, latency_ns=15.0, clock_ns=5.0).cycles == 1


def test_what_cannot_be_met_names_what_can(logic: Any) -> None:
    with pytest.raises(
        InfeasibleError,
        match=r"^a latency of 2 clocks of 2 ns leaves \d\.\d adder levels a clock, an "
        r"estimated 1 ns each; 2\.0 fit: allow \d+ clocks \(\d+ ns in all\), or a "
        r"clock of [\d.]+ ns \([\d.]+ ns in all\), or use fewer bits$",
    ) as caught:
        stages_for(logic, Target(latency_cycles=2, clock_ns=2.0, level_ns=1.0))
    named = re.search(r"allow (\d+) clocks", str(caught.value))
    assert named is not None
    more = Target(latency_cycles=int(named[1]), clock_ns=2.0, level_ns=1.0)
    assert stages_for(logic, more) == int(named[1])


def test_an_adder_slower_than_the_clock_is_not_cut(logic: Any) -> None:
    with pytest.raises(
        InfeasibleError,
        match=r"0\.5 fit: allow a clock of [\d.]+ ns \([\d.]+ ns in all",
    ):
        stages_for(logic, Target(latency_cycles=9, clock_ns=0.5, level_ns=1.0))


def test_less_than_a_clock_is_refused() -> None:
    with pytest.raises(
        InfeasibleError,
        match=r"^a latency of 4 ns is shorter than a clock of 5 ns: give at least one "
        r"clock, or a faster one$",
    ):
        _ = Target(latency_ns=4.0).cycles
