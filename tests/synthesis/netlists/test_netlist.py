from __future__ import annotations

import pytest

from hawq.errors import ToolError
from hawq.synthesis.netlists.netlist import Gates, Table

AND, XOR = 0b1000, 0b0110


def gates(**changed: object) -> Gates:
    """Two inputs 1 and 2, and-gate 3, register 4, xor-gate 5 of registers 4 and 6."""
    parts: dict[str, object] = {
        "inputs": (1, 2),
        "outputs": (5, "1"),
        "tables": {3: Table(AND, (1, 2)), 5: Table(XOR, (4, 6))},
        "registers": {4: 3, 6: 1},
        "undriven": 0,
    }
    return Gates(**(parts | changed))  # type: ignore[arg-type]


def test_registers_in_a_row_are_counted() -> None:
    assert gates().stages() == 1
    assert gates(registers={4: 3, 6: 2, 7: 5}, outputs=(7,)).stages() == 2
    assert gates(outputs=("0",)).stages() == 0


def test_every_net_comes_after_what_it_reads() -> None:
    order = list(gates().ordered())
    for net, before in ((3, 1), (4, 3), (5, 4), (5, 6), (6, 1)):
        assert order.index(net) > order.index(before)


def test_paths_of_other_lengths_are_no_pipeline() -> None:
    message = (
        r"^the netlist is no pipeline: a gate sees inputs of 0 and 1 clocks ago, "
        r"expected one$"
    )
    with pytest.raises(ToolError, match=message):
        gates(tables={3: Table(AND, (1, 2)), 5: Table(XOR, (4, 2))}).stages()


def test_outputs_of_other_latencies_are_no_pipeline() -> None:
    message = (
        r"^the netlist is no pipeline: outputs show inputs of 0 and 1 clocks ago, "
        r"expected one$"
    )
    with pytest.raises(ToolError, match=message):
        gates(outputs=(5, 3)).stages()


def test_registers_that_are_fed_back() -> None:
    message = (
        r"^the netlist is no pipeline: 2 gates and registers feed each other in a ring$"
    )
    with pytest.raises(ToolError, match=message):
        gates(registers={4: 5, 6: 1}).stages()


def test_verilog_has_logic_at_the_edge_and_behind_it() -> None:
    text = gates().verilog("top")
    assert text.startswith(
        "module top(input clk, input [1:0] model_inp, output [1:0] model_out);"
    )
    assert "n3 = model_inp[0]&model_inp[1];" in text
    assert "q4 <= n3;" in text
    assert "wire w5 = q4^q6;" in text
    assert "assign model_out = {1'b1, w5};" in text
