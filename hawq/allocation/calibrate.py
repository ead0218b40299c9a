"""Power-of-two scales that perturb a site least, width by width.

For a width b the scale is the power of two that minimises ``Σ hᵢ (Q(xᵢ) - xᵢ)²`` with
hᵢ = 1 or the curvature of element i. One more bit at the same range only adds values to
the grid, so the minimum cannot rise with b, and a scale that spans the values bounds it
by ``Σ hᵢ · max²/top²`` (top: the largest integer). Both are asserted, because a scale
that does not follow its values makes every width look alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hawq.errors import DataError, FormatError
from hawq.fixed import FixedPoint, IntArray, Overflow

_CHUNK = 1 << 20
_ROUNDOFF = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A site's format at one width.

    Attributes:
        format: The fixed-point format; per channel, that of the widest range.
        channel_integer: Integer bits of each channel, or None for one scale a tensor.
        channel_axis: Axis of the channels in the values; None for one scale a tensor.
        perturbation: ‖Δ‖², summed over elements (one sample's, averaged over samples).
        weighted: Σᵢ hᵢ Δᵢ², or None if no curvature was given.
    """

    format: FixedPoint
    channel_integer: tuple[int, ...] | None
    channel_axis: int | None
    perturbation: float
    weighted: float | None

    def integers(self, values: ArrayLike) -> IntArray:
        """Quantize values.

        Args:
            values: Real values, with the channels where they were in calibration.

        Returns:
            Integers of the same shape, worth ``2**-fraction`` of their channel each.
        """
        real = np.asarray(values, dtype=np.float64)
        if self.channel_integer is None:
            return self.format.quantize(real)
        unit = replace(self.format, integer=0)
        return unit.quantize(np.ldexp(real, -self._along(real.ndim)))

    def fractions(self) -> NDArray[np.int64]:
        """Give the fraction bits.

        Returns:
            Shape (channels,), or (1,) for one scale a tensor.
        """
        integer = self.channel_integer or (self.format.integer,)
        return self.format.width - np.array(integer, dtype=np.int64)

    def _along(self, dimensions: int) -> NDArray[np.int64]:
        shape = [1] * dimensions
        shape[self.channel_axis or 0] = -1
        return np.array(self.channel_integer, dtype=np.int64).reshape(shape)


@dataclass(frozen=True)
class SiteValues:
    """What a site holds, and how its grid may look.

    Attributes:
        site: Its name.
        values: The parameter, or activations of shape (samples, ...).
        signed: Whether the formats are two's complement.
        symmetric: Whether the smallest integer is left out.
        curvature: hᵢ ≥ 0 in nats per squared unit, broadcast against ``values``: the
            scale minimises Σ hᵢ Δᵢ². None: it minimises ‖Δ‖².
        channel_axis: Axis with a scale for each index; None for one scale a tensor.
        samples: What the sums are divided by; 1 for parameters.
    """

    site: str
    values: Floats
    signed: bool
    symmetric: bool = False
    curvature: Floats | None = None
    channel_axis: int | None = None
    samples: int = 1

    def __post_init__(self) -> None:
        real = self.values
        if not np.isfinite(real).all():
            raise DataError(
                f"{self.site}: {np.count_nonzero(~np.isfinite(real))} of {real.size} "
                "values are NaN or infinite: a scale needs finite values"
            )
        if not self.signed and (real < 0).any():
            raise DataError(
                f"{self.site}: values down to {real.min():.6g} do not fit an unsigned "
                "format: make the site signed"
            )
        if self.curvature is not None and not (self.curvature >= 0).all():
            raise DataError(
                f"{self.site}: the curvature of "
                f"{np.count_nonzero(~(self.curvature >= 0))} elements is negative or "
                "NaN: expected 0 or more (weight by tensor instead)"
            )

    def unit(self, width: int) -> FixedPoint:
        """Give the format whose values lie in [-1, 1), before it is scaled.

        Args:
            width: Bits.

        Returns:
            The format with no integer bits.

        Raises:
            FormatError: if it holds no positive integer.
        """
        overflow = Overflow.SATURATE_SYMMETRIC if self.symmetric else Overflow.SATURATE
        unit = FixedPoint(self.signed, width, 0, overflow=overflow)
        if unit.max < 1:
            raise FormatError(
                f"{self.site}: {width} bit leaves a signed format no positive integer: "
                "expected 2 bits or more"
            )
        return unit

    def rows(self) -> tuple[Floats, Floats | None]:
        """Give values and curvatures as matrices with a row for each scale.

        Returns:
            Two matrices of equal shape; the second is None without curvature.
        """
        axis = self.channel_axis

        def matrix(array: Floats) -> Floats:
            if axis is None:
                return array.reshape(1, -1)
            return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)

        if self.curvature is None:
            return matrix(self.values), None
        spread = np.broadcast_to(self.curvature, self.values.shape)
        return matrix(self.values), matrix(spread)


def calibrate(values: SiteValues, width: int) -> Calibration:
    """Find the power-of-two scale that perturbs a site least at one width.

    Args:
        values: What the site holds.
        width: Bits.

    Returns:
        The format and how far it moves the values.

    >>> weights = SiteValues("w", np.array([0.5, -0.25, 0.75]), signed=True)
    >>> found = calibrate(weights, 3)
    >>> found.format.integer, found.perturbation
    (1, 0.0)
    """
    unit = values.unit(width)
    rows, curvature = values.rows()
    integer = _search(rows, curvature, unit)
    plain = float(_error(rows, None, unit, integer).sum())
    weighted = None
    if curvature is not None:
        weighted = float(_error(rows, curvature, unit, integer).sum()) / values.samples
    channels = None
    if values.channel_axis is not None:
        channels = tuple(int(bits) for bits in integer)
    return Calibration(
        format=replace(unit, integer=int(integer.max())),
        channel_integer=channels,
        channel_axis=values.channel_axis,
        perturbation=plain / values.samples,
        weighted=weighted,
    )


def calibrate_widths(
    values: SiteValues, widths: Sequence[int]
) -> dict[int, Calibration]:
    """Calibrate a site at several widths and assert that more bits perturb less.

    Args:
        values: What the site holds.
        widths: Bits, in any order.

    Returns:
        Width → calibration, from narrow to wide.
    """
    found = {width: calibrate(values, width) for width in sorted(widths)}
    rows, curvature = values.rows()
    total = float(rows.size if curvature is None else curvature.sum())
    reach = float(np.abs(rows).max(initial=0.0)) ** 2 * total / values.samples
    minimised = {
        width: c.perturbation if c.weighted is None else c.weighted
        for width, c in found.items()
    }
    bound = {width: reach / c.format.max**2 for width, c in found.items()}
    check_monotone(values.site, minimised, bound)
    return found


def check_monotone(
    site: str, perturbation: Mapping[int, float], bound: Mapping[int, float]
) -> None:
    """Refuse perturbations that do not follow the width.

    Args:
        site: Its name, for the message.
        perturbation: Width → ‖Δ‖² (or Σ hᵢ Δᵢ²).
        bound: Width → the most that a scale which spans the values can cause:
            Σ hᵢ · max² divided by the square of the largest integer.

    Raises:
        DataError: if ‖Δ‖² rises with the width, or exceeds its bound.
    """
    widths = sorted(perturbation)
    for narrow, wide in itertools.pairwise(widths):
        if not perturbation[wide] <= perturbation[narrow] * (1 + _ROUNDOFF):
            raise DataError(
                f"{site}: the perturbation does not fall with the width: "
                f"{perturbation[narrow]:.6g} at {narrow} bits, "
                f"{perturbation[wide]:.6g} at {wide} bits: calibrate the scale anew at "
                "each width"
            )
    for width in widths:
        if not perturbation[width] <= bound[width] * (1 + _ROUNDOFF):
            raise DataError(
                f"{site}: the perturbation at {width} bits is "
                f"{perturbation[width]:.6g}, but a scale that spans the values causes "
                f"at most {bound[width]:.6g}: calibrate the scale to the values"
            )


def _search(
    rows: Floats, weights: Floats | None, unit: FixedPoint
) -> NDArray[np.int64]:
    # The first candidate is the tightest that clips nothing; coarser ones only drop
    # values from its grid. Each finer one clips more, so nothing is missed by ending
    # when clipping alone costs as much as the best so far.
    top = np.abs(rows).max(axis=1, initial=0.0)
    exponent = np.frexp(top)[1].astype(np.int64)
    candidate = np.where(top > 0, exponent + 1, 0) + int(unit.signed)
    for _ in range(2):
        spans = _clipped(rows, weights, unit, candidate - 1) == 0
        candidate = np.where(spans & (top > 0), candidate - 1, candidate)
    best = candidate.copy()
    least = _error(rows, weights, unit, candidate)
    while True:
        candidate = candidate - 1
        if (_clipped(rows, weights, unit, candidate) >= least).all():
            return best
        error = _error(rows, weights, unit, candidate)
        better = error < least
        best, least = np.where(better, candidate, best), np.where(better, error, least)


def _error(
    rows: Floats, weights: Floats | None, unit: FixedPoint, integer: NDArray[np.int64]
) -> Floats:
    # Σ hᵢ (Q(xᵢ) - xᵢ)² of each row
    total = np.zeros(len(rows))
    scale = integer[:, None]
    for part in _parts(rows):
        piece = rows[:, part]
        moved = np.ldexp(unit.dequantize(unit.quantize(np.ldexp(piece, -scale))), scale)
        total += _weighted(moved - piece, weights, part)
    return total


def _clipped(
    rows: Floats, weights: Floats | None, unit: FixedPoint, integer: NDArray[np.int64]
) -> Floats:
    # Σ hᵢ (what lies outside the range)² of each row
    total = np.zeros(len(rows))
    step = np.ldexp(1.0, integer - unit.width)[:, None]
    for part in _parts(rows):
        piece = rows[:, part]
        outside = piece - np.clip(piece, unit.min * step, unit.max * step)
        total += _weighted(outside, weights, part)
    return total


def _weighted(delta: Floats, weights: Floats | None, part: slice) -> Floats:
    squared = delta**2 if weights is None else weights[:, part] * delta**2
    return np.asarray(squared.sum(axis=1))


def _parts(rows: Floats) -> list[slice]:
    length = max(1, _CHUNK // max(1, len(rows)))
    return [slice(i, i + length) for i in range(0, rows.shape[1], length)]
