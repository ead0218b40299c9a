"""Netlists of a few Liberty cells, read by Yosys."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from hawq.errors import ToolError
from hawq.synthesis.netlists.elaborate import passes, read_gates, rtl_passes
from hawq.synthesis.netlists.miter import simulate
from hawq.synthesis.netlists.netlist import Gates
from hawq.synthesis.yosys import run_yosys

pytest.importorskip("pyosys")

LIBERTY = """
library(tiny) {
  cell(NAND) { area: 1;
    pin(A) { direction: input; } pin(B) { direction: input; }
    pin(Y) { direction: output; function: "!(A B)"; } }
  cell(MUXI) { area: 2; pin(S) { direction: input; }
    pin(A) { direction: input; } pin(B) { direction: input; }
    pin(Y) { direction: output; function: "!(S ? (A) : (B))"; } }
  cell(DFF) { area: 4; ff(IQ, IQN) { next_state: "D"; clocked_on: "C"; }
    pin(C) { direction: input; clock: true; } pin(D) { direction: input; }
    pin(Q) { direction: output; function: "IQ"; } }
  cell(DFFN) { area: 4; ff(IQ, IQN) { next_state: "D"; clocked_on: "!C"; }
    pin(C) { direction: input; clock: true; } pin(D) { direction: input; }
    pin(Q) { direction: output; function: "IQ"; } }
}
""".replace("!(S ? (A) : (B))", "!((S A) + (!S B))")


def read(body: str, folder: Path) -> Gates:
    (folder / "tiny.lib").write_text(LIBERTY)
    (folder / "netlist.v").write_text(
        "module network(input clk, input [2:0] model_inp, output [0:0] model_out);\n"
        f"{body}\nendmodule\n"
    )
    made = folder / "gates.json"
    script = passes(folder / "netlist.v", [folder / "tiny.lib"], "network", made)
    run_yosys(script, folder, name="read", seconds=60)
    return read_gates(made, "network")


MUX = "MUXI m(.A(model_inp[0]), .B(model_inp[1]), .S(model_inp[2]), .Y({}));"


def test_logic_and_a_register_of_a_liberty_file(tmp_path: Path) -> None:
    text = f"wire n; {MUX.format('n')} DFF r(.C(clk), .D(n), .Q(model_out[0]));"
    gates = read(text, tmp_path)
    assert gates.stages() == len(gates.registers) == 1
    assert gates.undriven == 0
    for a, b, s in itertools.product((0, 1), repeat=3):
        out = simulate(gates, [a, b, s])[gates.outputs[0]]
        assert out & 1 == 1 - (a if s else b)


def test_rtl_is_read_into_simple_gates(tmp_path: Path) -> None:
    (tmp_path / "rtl.v").write_text(
        "module network(input [5:0] model_inp, output [3:0] model_out);"
        "assign model_out = model_inp[2:0] + model_inp[5:3]; endmodule"
    )
    made = tmp_path / "rtl.json"
    script = rtl_passes([tmp_path / "rtl.v"], "network", made)
    run_yosys(script, tmp_path, name="rtl", seconds=60)
    gates = read_gates(made, "network")
    for a, b in itertools.product(range(8), repeat=2):
        values = simulate(gates, [(a | b << 3) >> i & 1 for i in range(6)])
        bits = [values[bit] & 1 for bit in gates.outputs]
        assert sum(bit << i for i, bit in enumerate(bits)) == a + b


def test_an_undriven_bit_that_matters_is_counted(tmp_path: Path) -> None:
    text = "wire x; NAND g(.A(x), .B(model_inp[0]), .Y(model_out[0]));"
    assert read(text, tmp_path).undriven == 1


def test_gates_in_a_ring(tmp_path: Path) -> None:
    text = (
        "wire a, b; NAND g(.A(b), .B(model_inp[0]), .Y(a));"
        "NAND h(.A(a), .B(model_inp[1]), .Y(b)); assign model_out = a;"
    )
    message = (
        r"^2 gates of the netlist feed each other in a ring, without a register: it "
        r"has no value to simulate$"
    )
    with pytest.raises(ToolError, match=message):
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("DFF", "DFF r(.C(model_inp[1]), .D(model_inp[0]), .Q(model_out[0]));"),
        ("DFFN", "DFFN r(.C(clk), .D(model_inp[0]), .Q(model_out[0]));"),
        (
            "DFF",
            "wire n; NAND g(.A(clk), .B(clk), .Y(n));"
            "DFF r(.C(n), .D(model_inp[0]), .Q(model_out[0]));",
        ),
    ],
)
def test_a_second_clock_or_edge(cell: str, text: str, tmp_path: Path) -> None:
    message = (
        f"^a register {cell} has a clock of its own, expected clk's rising edge: it "
        "cannot be simulated here$"
    )
    with pytest.raises(ToolError, match=message):
        read(text, tmp_path)
