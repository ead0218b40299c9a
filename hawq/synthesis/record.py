"""What synthesis tools report, each number with the stage and the file it comes from.

An estimate and a measurement never share a field: what HLS estimates, what simulation
of the RTL counts, what is counted in the synthesised netlist and what is counted after
place and route are four fields of ``SynthesisReport``. What a report does not say is
None or absent, never zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from hawq.records import Record


class Span(Record):
    """The smallest and the largest of a quantity.

    Attributes:
        minimum: None where the tool could not tell (``?``, ``undef``, ``NA``).
        average: None where it could not tell or does not report one.
        maximum: None where it could not tell.
    """

    minimum: int | None = None
    average: int | None = None
    maximum: int | None = None


class Usage(Record):
    """How much of one kind of resource a design takes.

    Attributes:
        used: Whole numbers, but for block RAM tiles, of which halves are used.
        available: In the part; None where the report does not say.
    """

    used: float
    available: float | None = None


class Resources(Record):
    """What a design takes of a part.

    Attributes:
        file: The report.
        state: Of the design, as the tool calls it, for example ``Fully Placed``.
        usage: Kind to usage. Common kinds have one name whatever the tool calls them:
            ``LUT``, ``LUT_LOGIC``, ``LUT_MEMORY``, ``LUT_RAM``, ``SRL``, ``FF``,
            ``LATCH``, ``CARRY``, ``MUXF7`` ..., ``DSP``, ``BRAM_TILE`` (36 kbit),
            ``BRAM_36K``, ``BRAM_18K``, ``URAM``, ``CLB``, ``SLICE``. Others keep the
            tool's name.
        parts: What each kind of logic (HLS: ``FIFO``, ``Memory`` ...) or each die of
            the device takes.
        primitives: Library cell to count.
        black_boxes: Cell without content to count: the totals lack what is in them.
    """

    file: str
    state: str = ""
    usage: dict[str, Usage]
    parts: dict[str, dict[str, float]] = Field(default_factory=dict)
    primitives: dict[str, int] = Field(default_factory=dict)
    black_boxes: dict[str, int] = Field(default_factory=dict)

    @property
    def bram_18k(self) -> float | None:
        """All block RAM in units of 18 kbit; None where the report has none."""
        units = {"BRAM_18K": 1, "BRAM_36K": 2}
        if "BRAM_TILE" in self.usage:
            units = {"BRAM_TILE": 2}
        counts = [n * self.usage[k].used for k, n in units.items() if k in self.usage]
        return sum(counts) if counts else None


class Module(Record):
    """One row of a report's hierarchy.

    Attributes:
        instance: Its name in its parent.
        module: What it is an instance of.
        depth: 0 is the top.
        usage: Kind of resource to count, children included.
        latency_cycles: Of one call.
        interval_cycles: Between two calls.
        pipeline: How it is pipelined, in the tool's words.
    """

    instance: str
    module: str
    depth: int
    usage: dict[str, float] = Field(default_factory=dict)
    latency_cycles: Span | None = None
    interval_cycles: Span | None = None
    pipeline: str = ""


class HlsEstimate(Record):
    """What HLS expects before any logic synthesis.

    Attributes:
        file: The report of timing and latency.
        target_clock_ns: Asked for.
        clock_ns: Estimated to be reached.
        uncertainty_ns: Margin that HLS kept.
        latency_cycles: From the first input to the last output.
        interval_cycles: Between two inputs.
        pipeline: How the top is pipelined, in the tool's words.
        resources: None where the report does not say.
        modules: One row an instance.
    """

    file: str
    target_clock_ns: float
    clock_ns: float | None = None
    uncertainty_ns: float | None = None
    latency_cycles: Span
    interval_cycles: Span
    pipeline: str = ""
    resources: Resources | None = None
    modules: tuple[Module, ...] = ()


class Cosimulation(Record):
    """What the vendor's simulation of the RTL counted.

    Attributes:
        file: The report.
        language: ``Verilog`` or ``VHDL``.
        status: ``Pass`` or ``Fail``.
        latency_cycles: Counted, over the test bench's calls.
        interval_cycles: Counted.
    """

    file: str
    language: str
    status: str
    latency_cycles: Span
    interval_cycles: Span


class CriticalPath(Record):
    """The slowest path.

    Attributes:
        source: The pin it starts from.
        destination: The pin it ends at.
        delay_ns: Of the data, logic and route.
        logic_ns: In cells.
        route_ns: In wires; before placement the tool's guess.
        levels: Cells of logic on it.
        cells: Kind of cell to count.
        nets: On it, in order; empty where the tool does not name them.
    """

    source: str
    destination: str
    delay_ns: float
    logic_ns: float | None = None
    route_ns: float | None = None
    levels: int | None = None
    cells: dict[str, int] = Field(default_factory=dict)
    nets: tuple[str, ...] = ()


class Timing(Record):
    """Static timing of a netlist.

    Attributes:
        file: The report.
        period_ns: Of the clock with the least slack.
        worst_slack_ns: Setup (WNS): negative is a violation.
        total_slack_ns: Sum of negative setup slacks (TNS).
        worst_hold_slack_ns: Hold (WHS).
        total_hold_slack_ns: Sum of negative hold slacks (THS).
        worst_pulse_slack_ns: Pulse width (WPWS).
        failing: Endpoints that miss setup.
        endpoints: Endpoints checked for setup.
        failing_hold: Endpoints that miss hold.
        path: The slowest path.
    """

    file: str
    period_ns: float = Field(gt=0)
    worst_slack_ns: float
    total_slack_ns: float | None = None
    worst_hold_slack_ns: float | None = None
    total_hold_slack_ns: float | None = None
    worst_pulse_slack_ns: float | None = None
    failing: int | None = None
    endpoints: int | None = None
    failing_hold: int | None = None
    path: CriticalPath | None = None

    @property
    def achieved_ns(self) -> float:
        """The shortest period that meets setup: the clock's less the slack."""
        return self.period_ns - self.worst_slack_ns

    @property
    def fmax_mhz(self) -> float:
        """The highest clock frequency that meets setup.

        >>> Timing(file="t.rpt", period_ns=5.0, worst_slack_ns=1.0).fmax_mhz
        250.0
        """
        return 1000 / self.achieved_ns

    @property
    def met(self) -> bool:
        """Whether setup, and hold where it was checked, are met."""
        return self.worst_slack_ns >= 0 and (self.worst_hold_slack_ns or 0) >= 0


class Power(Record):
    """Power as the tool computes it from a netlist.

    Attributes:
        file: The report.
        total_mw: On the chip.
        dynamic_mw: Of switching.
        static_mw: Of the device, switching or not.
        confidence: In the switching activity, in the tool's words.
        junction_celsius: Temperature assumed or found.
        components_mw: Where the power goes; ``CLB Logic: Register`` is part of
            ``CLB Logic``.
        at_most: Names of those above that the report gives only as an upper bound
            (``<0.001``); their value is that bound.
    """

    file: str
    total_mw: float
    dynamic_mw: float
    static_mw: float
    confidence: str = ""
    junction_celsius: float | None = None
    components_mw: dict[str, float] = Field(default_factory=dict)
    at_most: tuple[str, ...] = ()


class Netlist(Record):
    """What is counted in a netlist at one stage.

    Attributes:
        resources: Cells and blocks.
        timing: Static timing.
        power: From that netlist.
        area_um2: Of standard cells, for an ASIC.
        modules: One row an instance, the top first.
    """

    resources: Resources | None = None
    timing: Timing | None = None
    power: Power | None = None
    area_um2: float | None = None
    modules: tuple[Module, ...] = ()


class RoutedSeed(Record):
    """One run of place and route; another seed gives another placement.

    Attributes:
        seed: Of the placer.
        fmax_mhz: Highest clock frequency, as the tool reports it.
        netlist: What it took, and its timing.
        seconds: The run took.
        log: What the tool printed.
    """

    seed: int
    fmax_mhz: float = Field(gt=0)
    netlist: Netlist
    seconds: float
    log: str


class Spread(Record):
    """How far the seeds lie apart: no single one is *the* clock frequency.

    Attributes:
        minimum: The slowest.
        median: Of all; the lower of the middle two.
        maximum: The fastest.
    """

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Describe values.

        Args:
            values: At least one.

        Returns:
            Their spread.

        >>> Spread.of([101.0, 98.5, 103.0, 99.0]).median
        99.0
        """
        low, high = min(values), max(values)
        return cls(minimum=low, median=statistics.median_low(values), maximum=high)


class SynthesisReport(Record):
    """What a design costs on a part.

    Attributes:
        tools: Tool to version, every tool whose numbers are here.
        top: Name of the top module.
        part: As the tool spells it.
        csim_errors: Errors that the test bench counted in C-simulation.
        estimate: HLS's estimate, before logic synthesis.
        cosimulation: Cycles counted in simulation of the RTL.
        synthesised: Counted after synthesis, before placement.
        routed: Counted after place and route; of several seeds, that with the median
            clock frequency.
        routed_seeds: Every seed's run, in the order asked for.
        layers_alone: Layer to what it takes synthesised alone, without registers. Their
            sum is not the network's count.
    """

    tools: dict[str, str] = Field(default_factory=dict)
    top: str = ""
    part: str = ""
    csim_errors: int | None = None
    estimate: HlsEstimate | None = None
    cosimulation: Cosimulation | None = None
    synthesised: Netlist | None = None
    routed: Netlist | None = None
    routed_seeds: tuple[RoutedSeed, ...] = ()
    layers_alone: dict[str, Resources] = Field(default_factory=dict)

    @property
    def fmax_mhz(self) -> Spread | None:
        """The clock frequency over the seeds; None where no seed was routed."""
        if not self.routed_seeds:
            return None
        return Spread.of([run.fmax_mhz for run in self.routed_seeds])


class Proof(Record):
    """What is proved about a netlist; a counterexample is an error instead.

    Attributes:
        verdict: ``unknown`` where the time limit came first.
        points: Bits that are proved equal in netlist and RTL: outputs, and what
            registers take over, given that the registers before hold equal bits.
        open: Bits that are not decided.
        seconds: That it took, reading the netlists apart.
        tool: What proved it.
    """

    verdict: Literal["proved", "unknown"]
    points: int
    open: int
    seconds: float
    tool: str
