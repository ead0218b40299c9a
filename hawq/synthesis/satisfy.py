"""Prove that a netlist computes what the RTL does, for every input."""

from __future__ import annotations

from typing import Literal

from hawq.records import Record


class Proof(Record):
    """What is proved about a netlist; a counterexample is an error instead.

    Attributes:
        verdict: ``unknown`` where the time limit came first.
        points: Bits that are proved equal in netlist and RTL.
        open: Bits that are not decided.
        seconds: That it took.
        tool: What proved it.
    """

    verdict: Literal["proved", "unknown"]
    points: int
    open: int
    seconds: float
    tool: str
