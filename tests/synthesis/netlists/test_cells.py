from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.errors import ToolError
from hawq.synthesis.netlists.cells import GATES, Kind, Nets, apply, simple

SPEC = {
    "$_BUF_": lambda a: a,
    "$_NOT_": lambda a: not a,
    "$_AND_": lambda a, b: a and b,
    "$_NAND_": lambda a, b: not (a and b),
    "$_OR_": lambda a, b: a or b,
    "$_NOR_": lambda a, b: not (a or b),
    "$_XOR_": lambda a, b: a != b,
    "$_XNOR_": lambda a, b: a == b,
    "$_ANDNOT_": lambda a, b: a and not b,
    "$_ORNOT_": lambda a, b: a or not b,
    "$_MUX_": lambda a, b, s: b if s else a,
    "$_NMUX_": lambda a, b, s: not (b if s else a),
}


@given(count=st.integers(0, 6), data=st.data())
def test_a_table_is_looked_up_row_by_row(count: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << (1 << count)) - 1))
    inputs = data.draw(st.lists(st.integers(0, 255), min_size=count, max_size=count))
    got = apply(value, inputs)
    for row in range(8):
        index = sum((x >> row & 1) << i for i, x in enumerate(inputs))
        assert got >> row & 1 == value >> index & 1


def test_every_simple_gate_has_a_specification() -> None:
    assert set(GATES) == set(SPEC)


@pytest.mark.parametrize("gate", sorted(SPEC))
def test_simple_gates(gate: str) -> None:
    names = ("A", "B", "S")[: SPEC[gate].__code__.co_argcount]
    cell = {"type": gate, "connections": {n: [i + 2] for i, n in enumerate(names)}}
    cell["connections"]["Y"] = [9]
    kind = Kind(gate, simple(cell))
    module = {"cells": {"g": cell}, "ports": {}}
    ((out, value, inputs),), registers = kind.place(
        cell["connections"], Nets(module), None
    )
    assert (out, registers) == (9, {})
    for bits in itertools.product((0, 1), repeat=len(names)):
        held = dict(zip(range(2, 5), bits, strict=False))
        row = sum(held[net] << i for i, net in enumerate(inputs))
        assert value >> row & 1 == int(SPEC[gate](*bits))


def test_what_is_no_simple_gate() -> None:
    assert simple({"type": "LUT2", "connections": {}}) is None


def test_a_cell_without_model() -> None:
    message = r"^cell LUT9 has no simulation model: give the Verilog of its library$"
    with pytest.raises(ToolError, match=message):
        Kind("$paramod\\LUT9\\INIT=4'0110", None)
