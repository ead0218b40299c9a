"""Proofs of hand-made netlists of Liberty cells against RTL of two stages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hawq.errors import MismatchError, StageError
from hawq.synthesis.netlists.gates import read_netlist, write_gates
from hawq.synthesis.netlists.miter import Aig, read_outputs
from hawq.synthesis.netlists.ports import Port, Ports
from hawq.synthesis.netlists.satisfy import prove
from hawq.synthesis.record import Proof

pytest.importorskip("pyosys")

LIBERTY = """
library(tiny) {
  cell(NAND) { area: 1;
    pin(A) { direction: input; } pin(B) { direction: input; }
    pin(Y) { direction: output; function: "!(A B)"; } }
  cell(XOR) { area: 2;
    pin(A) { direction: input; } pin(B) { direction: input; }
    pin(Y) { direction: output; function: "A ^ B"; } }
  cell(DFF) { area: 4; ff(IQ, IQN) { next_state: "D"; clocked_on: "C"; }
    pin(C) { direction: input; clock: true; } pin(D) { direction: input; }
    pin(Q) { direction: output; function: "IQ"; } }
}
"""

RTL = """
module network(input clk, input [1:0] model_inp, output reg [1:0] model_out);
  reg [1:0] held;
  always @(posedge clk) begin
    held <= model_inp;
    model_out <= held[0] + held[1];
  end
endmodule
"""

NETLIST = """
module network(input clk, input [1:0] model_inp, output [1:0] model_out);
  wire a, b, n, s, c;
  DFF r0(.C(clk), .D(model_inp[0]), .Q(a));
  DFF r1(.C(clk), .D(model_inp[1]), .Q(b));
  XOR g0(.A(a), .B(b), .Y(s));
  NAND g1(.A(a), .B(b), .Y(n));
  NAND g2(.A(n), .B(n), .Y(c));
  DFF r2(.C(clk), .D(s), .Q(model_out[0]));
  DFF r3(.C(clk), .D(c), .Q(model_out[1]));
endmodule
"""

PORTS = Ports(
    Port("model_inp", ((False, 1, 0), (False, 1, 0))),
    Port("model_out", ((False, 2, 0),)),
    2,
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    texts = {"tiny.lib": LIBERTY, "rtl.v": RTL, "netlist.v": NETLIST}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in texts} | {"out": tmp_path / "out"}


def test_an_adder_of_nands_is_proved(files: dict[str, Path]) -> None:
    proof = _prove(files)
    assert proof.verdict == "proved"
    assert proof.open == 0
    assert proof.points == 2 + 4  # outputs, and what four registers take over
    assert proof.tool == "ABC &fraig"


def test_a_wrong_gate_is_refuted(files: dict[str, Path]) -> None:
    text = NETLIST.replace("XOR g0", "NAND g0")
    files["netlist.v"].write_text(text)
    message = (
        r"^the netlist's model_out\[0\] is (\d), the RTL says (\d), for model_inp "
        r"\[(\d), (\d)\]: synthesis or its models are wrong$"
    )
    with pytest.raises(MismatchError, match=message) as caught:
        _prove(files)
    found = re.match(message, str(caught.value))
    assert found is not None
    got, expected, a, b = map(int, found.groups())
    assert expected == a + b
    assert got == (1 - a * b) + 2 * a * b
    assert got != expected


def test_a_difference_for_one_input_in_16_million_is_found(
    files: dict[str, Path],
) -> None:
    secret = 0xA5C396
    files["rtl.v"].write_text(f"""
module network(input clk, input [23:0] model_inp, output reg model_out);
  reg [23:0] held;
  always @(posedge clk) begin
    held <= model_inp;
    model_out <= held[0] ^ (held == 24'd{secret});
  end
endmodule
""")
    files["netlist.v"].write_text("""
module network(input clk, input [23:0] model_inp, output model_out);
  wire a;
  DFF r0(.C(clk), .D(model_inp[0]), .Q(a));
  DFF r1(.C(clk), .D(a), .Q(model_out));
endmodule
""")
    bits = [secret >> i & 1 for i in range(24)]
    wide = Port("model_inp", ((False, 1, 0),) * 24)
    ports = Ports(wide, Port("model_out", ((False, 1, 0),)), 2)
    message = (
        rf"^the netlist's model_out\[0\] is {bits[0]}, the RTL says {1 - bits[0]}, for "
        rf"model_inp {re.escape(str(bits))}: synthesis or its models are wrong$"
    )
    with pytest.raises(MismatchError, match=message):
        _prove(files, ports=ports)


def test_no_time_is_no_proof(files: dict[str, Path]) -> None:
    proof = _prove(files, seconds=1e-9)
    assert proof.verdict == "unknown"
    assert proof.open > 0


def test_another_latency(files: dict[str, Path]) -> None:
    text = NETLIST.replace("DFF r2(.C(clk), .D(s), .Q(", "NAND r2(.A(s), .B(s), .Y(")
    text = text.replace("DFF r3(.C(clk), .D(c), .Q(", "NAND r3(.A(c), .B(c), .Y(")
    files["netlist.v"].write_text(text)
    message = (
        r"^.*/netlist\.v has 2 input bits, 2 output bits and 1 stages, the RTL 2, 2 "
        r"and 2: it is of another network; run synthesis again$"
    )
    with pytest.raises(StageError, match=message):
        _prove(files)


def test_rtl_of_another_network(files: dict[str, Path]) -> None:
    files["rtl.v"].write_text(RTL.replace("[1:0]", "[2:0]"))
    message = (
        r"^the RTL as written has 3 input bits, 3 output bits and 2 stages, the RTL "
        r"2, 2 and 2: it is of another network; run synthesis again$"
    )
    with pytest.raises(StageError, match=message):
        _prove(files)


def _prove(files: dict[str, Path], seconds: float = 60, ports: Ports = PORTS) -> Proof:
    netlist = files["netlist.v"]
    written = write_gates(netlist, [files["tiny.lib"]], files["out"])
    gates = read_netlist(written, netlist, ports)
    return prove(gates, [files["rtl.v"]], files["out"], ports=ports, seconds=seconds)


@pytest.mark.parametrize("value", range(256))
def test_tables_become_gates(value: int) -> None:
    aig = Aig(3)
    out = aig.table(value, [2, 4, 6])
    rows = range(8)
    held = [0, *(sum((row >> i & 1) << row for row in rows) for i in range(3))]
    for a, b in aig.gates:
        one, other = (held[x >> 1] ^ (255 if x & 1 else 0) for x in (a, b))
        held.append(one & other)
    assert held[out >> 1] ^ (255 if out & 1 else 0) == value


def test_outputs_are_read_back(tmp_path: Path) -> None:
    aig = Aig(2)
    outputs = [aig.differ(2, 4), aig.both(2, 3), 5]
    aig.write(tmp_path / "a.aig", outputs)
    assert read_outputs(tmp_path / "a.aig") == outputs
