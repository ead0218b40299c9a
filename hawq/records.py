"""What travels from stage to stage: frozen, with units in the names.

Sensitivities are second-order: perturbing a site by δ raises the loss by
``ΔL ≈ ½ · s · ‖δ‖²`` nats, where ``s`` is in nats per squared unit of perturbation and
``‖δ‖²`` is summed over the site's elements (for activations: over the elements of one
sample, averaged over samples).
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from hawq.fixed import FixedPoint
from hawq.paths import atomic_file


class Record(BaseModel):
    """Base of the records: frozen, no unknown fields, JSON both ways."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def save(self, path: Path) -> None:
        """Write the record as JSON, atomically.

        Args:
            path: The file to write.
        """
        with atomic_file(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n")


Rational = Annotated[
    Fraction,
    PlainValidator(lambda value: Fraction(value)),
    PlainSerializer(str),
]
"""An exact rational, written in JSON as ``"3/8"``."""


class SiteKind(StrEnum):
    """What is perturbed."""

    WEIGHT = "weight"
    BIAS = "bias"
    ACTIVATION = "activation"


class Site(Record):
    """A place in a network whose number format can be chosen.

    Attributes:
        name: ``layer.weight``, ``layer.bias``, or for activations the name of the
            module whose *output* it is; the network's input is ``input``.
        kind: Weight, bias or activation.
        layer: The layer that owns the parameter, or the module whose output it is.
        shape: Of the parameter, or of one sample's activation.
        macs: Multiplications a sample in which the site's elements take part (weights),
            else 0.
    """

    name: str
    kind: SiteKind
    layer: str
    shape: tuple[int, ...]
    macs: int = 0

    @property
    def elements(self) -> int:
        """The number of elements (one sample's, for activations)."""
        return math.prod(self.shape)


class SiteSensitivity(Record):
    """How the loss curves at one site.

    Attributes:
        site: Where.
        score: s, nats per squared unit: the mean curvature over the site's elements for
            traces and Fisher, the largest for ``top_eigenvalue``.
        probe_error: One standard error of ``score`` from random probes, the batches
            being given; 0 where the route is exact.
        sample_error: One standard error of ``score`` from the finite number of samples.
        channel: Mean curvature of each output channel, shape (channels,), if known.
        element: Curvature of each element (the Hessian's diagonal), shape
            ``site.shape``, if known.
    """

    site: Site
    score: float
    probe_error: float = Field(ge=0)
    sample_error: float = Field(ge=0)
    channel: NDArray[np.float64] | None = Field(default=None, exclude=True)
    element: NDArray[np.float64] | None = Field(default=None, exclude=True)

    @property
    def standard_error(self) -> float:
        """Both errors in quadrature."""
        return float(np.hypot(self.probe_error, self.sample_error))


class SensitivityMap(Record):
    """The sensitivities of all sites of a network.

    Attributes:
        source: The plug-in that measured them.
        route: ``exact`` (analytic) or ``stochastic`` (random probes).
        unit: Of ``score``. The allocator refuses to mix units.
        sites: One entry a site, in the network's order.
        samples: Number of samples.
        probes: Random probes used; 0 on the exact route.
        seed: Of the probes.
        loss_nats: The loss at the expansion point.
    """

    source: str
    route: Literal["exact", "stochastic"]
    unit: str = "nats per squared unit"
    sites: tuple[SiteSensitivity, ...]
    samples: int
    probes: int
    seed: int
    loss_nats: float

    def __getitem__(self, name: str) -> SiteSensitivity:
        """Find a site by name; KeyError lists the names."""
        for entry in self.sites:
            if entry.site.name == name:
                return entry
        known = ", ".join(entry.site.name for entry in self.sites)
        raise KeyError(f"no site {name!r}; the map has: {known}")

    def save(self, path: Path) -> None:
        """Write JSON and, beside it, ``<stem>.npz`` with channel and element arrays.

        Args:
            path: The JSON file.
        """
        arrays: dict[str, NDArray[np.float64]] = {}
        for entry in self.sites:
            for level in ("channel", "element"):
                array = getattr(entry, level)
                if array is not None:
                    arrays[f"{entry.site.name}:{level}"] = array
        with atomic_file(path.with_suffix(".npz")) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        super().save(path)

    @classmethod
    def read(cls, path: Path) -> SensitivityMap:
        """Read what ``save`` wrote.

        Args:
            path: The JSON file.

        Returns:
            The map, arrays included.
        """
        plain = cls.model_validate_json(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            found = {key: arrays[key] for key in arrays.files}
        sites = []
        for entry in plain.sites:
            levels: dict[str, Any] = {
                level: found.get(f"{entry.site.name}:{level}")
                for level in ("channel", "element")
            }
            sites.append(entry.model_copy(update=levels))
        return plain.model_copy(update={"sites": tuple(sites)})


class Choice(Record):
    """The format chosen for one site.

    Attributes:
        site: The site's name.
        bits: Width.
        format: The calibrated fixed-point format; per channel, that of the widest.
        channel_integer: Integer bits of each output channel; None if per tensor.
        perturbation: ‖Δ‖² of quantizing the site at the calibrated scale.
        loss_rise_nats: ½ · s · ‖Δ‖², or ½ · Σ hᵢ Δᵢ² where each element's curvature hᵢ
            is known and used.
    """

    site: str
    bits: int
    format: FixedPoint
    channel_integer: tuple[int, ...] | None = None
    perturbation: float
    loss_rise_nats: float


class ParetoPoint(Record):
    """One solution of the sweep: a budget, what it spends, what it should cost.

    Attributes:
        budget: The limit, in the unit of the swept cost.
        used: What the solution spends of it.
        loss_rise_nats: Predicted.
        bits: Site name to width.
    """

    budget: float
    used: float
    loss_rise_nats: float
    bits: dict[str, int]


class Allocation(Record):
    """The formats an integer programme chose.

    Attributes:
        choices: One a site.
        loss_rise_nats: Predicted rise of the loss: the sum over sites.
        costs: Cost name to what the choices spend, every known cost model.
        budgets: Cost name to limit.
        status: The solver's status, for example ``optimal``.
        gap: Relative gap between the solution and the proven bound; 0 is optimal.
        pareto: The sweep around the chosen point.
    """

    choices: tuple[Choice, ...]
    loss_rise_nats: float
    costs: dict[str, float]
    budgets: dict[str, float]
    status: str
    gap: float
    pareto: tuple[ParetoPoint, ...] = ()

    def bits(self) -> dict[str, int]:
        """Give site name → width.

        Returns:
            The widths, in the network's order.
        """
        return {choice.site: choice.bits for choice in self.choices}


class Difference(Record):
    """The first place where two rungs disagree.

    Attributes:
        tensor: Name of the tensor.
        sample: Index of the sample.
        index: Index within the sample.
        expected: Integer of the lower rung.
        got: Integer of the upper rung.
        expected_type: The lower rung's number format.
        got_type: The upper rung's number format.
        inputs: Which input set (``jets``, ``all_minima``, ...).
    """

    tensor: str
    sample: int
    index: tuple[int, ...]
    expected: str
    got: str
    expected_type: str
    got_type: str
    inputs: str


class TensorComparison(Record):
    """One named tensor, compared between two rungs.

    Attributes:
        tensor: Its name.
        format: Its number format.
        integers: How many integers were compared.
        different: How many differ.
        noise: How many an executor of floats could not give exactly, and gave within
            the proven bound of its own rounding; not among ``different``.
    """

    tensor: str
    format: str
    integers: int
    different: int
    noise: int = 0


class Comparison(Record):
    """Two rungs of the ladder, tensor by tensor.

    Attributes:
        lower: The reference rung.
        upper: The rung under test.
        inputs: Name of the input set → number of samples.
        tensors: One entry a named tensor, in the network's order.
        first: The first difference, or None if all are equal.
    """

    lower: str
    upper: str
    inputs: dict[str, int]
    tensors: tuple[TensorComparison, ...]
    first: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether every integer agrees."""
        return self.first is None


class StoredLayout(Record):
    """How a firmware stores a tensor that the file stores otherwise.

    Attributes:
        shape: The file's elements, in C order, as an array of this shape ...
        order: ... with its axes in this order, are the firmware's in C order.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]


class FirmwareProject(Record):
    """A firmware project on disk.

    Attributes:
        backend: The seam's name, for example ``hls4ml``.
        target: Its flavour, for example ``Vitis``.
        folder: Relative to the record.
        io_type: ``io_parallel`` or ``io_stream``.
        strategy: ``latency`` or ``resource``.
        reuse_factor: Multiplications that share a multiplier.
        reuse_factors: The same for single layers.
        part: FPGA part.
        clock_ns: Target clock period.
        types: Tensor name → ``ap_fixed`` type in the firmware, read back from it.
        trace: Graph tensor name → name of the firmware variable that holds it.
        input: Name of the firmware variable of the input.
        outputs: Graph tensors at the output ports, in the ports' order.
        layouts: Graph tensors whose elements the firmware stores in another order.
    """

    backend: str
    target: str
    folder: str
    io_type: Literal["io_parallel", "io_stream"]
    strategy: str
    reuse_factor: int
    reuse_factors: dict[str, int] = Field(default_factory=dict)
    part: str
    clock_ns: float
    types: dict[str, str]
    trace: dict[str, str]
    input: str = ""
    outputs: tuple[str, ...] = ()
    layouts: dict[str, StoredLayout] = {}
