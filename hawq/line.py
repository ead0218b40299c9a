"""The line the data travels: every stage, in order, and what it reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A place in the line.

    Attributes:
        number: Of its folder in ``build/<flow>/``.
        name: Subpackage, table of the flow file, sub-command.
        purpose: One sentence.
        needs: Earlier stages it reads.
        may_read: Earlier stages it reads if the flow has them.
        tools: External programs without which it cannot run.
        package: That holds the subpackage.
        optional: It runs only where it is asked for, by its sub-command or by
            ``hawq run --with``; its table may be absent.
    """

    number: int
    name: str
    purpose: str = ""
    needs: tuple[str, ...] = ()
    may_read: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    package: str = "hawq"
    optional: bool = False

    @property
    def module(self) -> str:
        """Where ``Settings`` and ``run`` are."""
        return f"{self.package}.{self.name}.stage"

    @property
    def folder(self) -> str:
        """Name of its folder in ``build/<flow>/``."""
        return f"{self.number:02d}-{self.name}"


STAGES = (
    Stage(1, "data", "Read or make the samples, and split them."),
    Stage(2, "model", "Train or load the float network.", ("data",)),
    Stage(
        3,
        "sensitivity",
        "Measure how the loss curves at each site.",
        ("data", "model"),
    ),
    Stage(
        4,
        "allocation",
        "Choose the bits of each site under budgets.",
        ("data", "model", "sensitivity"),
    ),
    Stage(
        5,
        "training",
        "Train at those bits, quantization-aware.",
        ("data", "model", "allocation"),
    ),
    Stage(
        6,
        "export",
        "Write the trained network as QONNX.",
        ("model", "allocation", "training"),
    ),
    Stage(7, "hls", "Write the firmware project.", ("export",)),
    Stage(
        8,
        "csim",
        "Prove that every rung of the ladder gives equal integers.",
        ("data", "model", "allocation", "training", "export", "hls"),
        tools=("g++",),
    ),
    Stage(
        9,
        "rtl",
        "Write Verilog and VHDL, and prove the simulation equal.",
        ("data", "model", "export"),
        tools=("g++",),
        optional=True,
    ),
    Stage(
        10,
        "synthesis",
        "Synthesise with open tools, place and route, and prove the netlists equal.",
        ("data", "model", "export", "rtl"),
        ("allocation", "hls"),
        tools=("g++",),
        optional=True,
    ),
    Stage(
        11,
        "report",
        "Draw the figures and write the page.",
        ("data",),
        (
            *("model", "sensitivity", "allocation", "training", "export", "hls"),
            *("csim", "rtl", "synthesis"),
        ),
    ),
)
"""Every stage, in order."""
