"""From a network and its sensitivities to the tables of the integer programme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hawq.allocation.calibrate import Calibration, SiteValues, calibrate_widths
from hawq.allocation.cost import CostModel, QuantizedLayer
from hawq.allocation.layers import Layer
from hawq.allocation.programme import Decision, Term
from hawq.allocation.solver import Solution
from hawq.errors import InputError
from hawq.fixed import FixedPoint, IntArray, smallest_width
from hawq.records import (
    Allocation,
    Choice,
    ParetoPoint,
    Record,
    SiteSensitivity,
)

Weighting = Literal["tensor", "channel", "element"]
"""The level of the curvature in ``½ Σ hᵢ Δᵢ²``: one for the site, or finer."""

Floats = NDArray[np.float64]


class SiteOptions(Record):
    """What a site's widths do to the loss.

    Attributes:
        site: Its name.
        choices: One a width on offer, from narrow to wide.
    """

    site: str
    choices: tuple[Choice, ...]


class CalibrationRecord(Record):
    """Every site at every width on offer.

    Attributes:
        weighting: Level of the curvature.
        samples: Samples that the activations were calibrated on.
        sites: In the network's order.
    """

    weighting: Weighting
    samples: int
    sites: tuple[SiteOptions, ...]


def score(entry: SiteSensitivity) -> float:
    """Give the sensitivity that the programme uses.

    A stochastic estimate may come out near or below zero; a site must not look free
    because of it. So at least one standard error counts.

    Args:
        entry: The measured sensitivity.

    Returns:
        The larger of score and standard error, in nats per squared unit.

    Raises:
        InputError: if neither is positive.
    """
    value = max(entry.score, entry.standard_error)
    if not 0 < value < np.inf:
        raise InputError(
            f"{entry.site.name}: a sensitivity of {entry.score:g} ± "
            f"{entry.standard_error:g} orders nothing: expected a positive number "
            "(measure with more samples or probes)"
        )
    return value


def curvature(entry: SiteSensitivity, weighting: Weighting) -> Floats | None:
    """Give a site's curvature, ready to be broadcast against its values.

    Args:
        entry: The measured sensitivity.
        weighting: Its level.

    Returns:
        hᵢ, estimates below zero taken as zero; None for the level ``tensor``.

    Raises:
        InputError: if the map lacks that level.
    """
    if weighting == "tensor":
        return None
    others = tuple(range(1, len(entry.site.shape)))
    if weighting == "element":
        values = entry.element
    elif entry.channel is not None:
        values = np.expand_dims(entry.channel, others)
    elif entry.element is not None:
        values = entry.element.mean(axis=others, keepdims=True)
    else:
        values = None
    if values is None:
        raise InputError(
            f"{entry.site.name}: the sensitivities have no curvature by {weighting}: "
            "set weighting = 'tensor', or measure on the exact route"
        )
    return np.maximum(values, 0.0)


@dataclass
class Tables:
    """A calibrated network: every site at every width on offer.

    Attributes:
        layers: In the network's order.
        weighting: Level of the curvature.
        samples: Samples that the activations were calibrated on.
        choices: Site name → width → format and predicted loss, in the network's order.
        calibrations: Site name → width → calibration.
    """

    layers: tuple[Layer, ...]
    weighting: Weighting
    samples: int
    choices: dict[str, dict[int, Choice]] = field(default_factory=dict)
    calibrations: dict[str, dict[int, Calibration]] = field(default_factory=dict)
    _integers: dict[tuple[str, int], IntArray] = field(default_factory=dict)

    def add(
        self, entry: SiteSensitivity, values: SiteValues, widths: Sequence[int]
    ) -> None:
        """Calibrate a site and predict what each width does to the loss.

        With curvature by channel or element the prediction is ``½ Σ hᵢ Δᵢ²``, else
        ``½ s ‖Δ‖²``.

        Args:
            entry: Its sensitivity.
            values: What it holds.
            widths: On offer.
        """
        found = calibrate_widths(values, widths)
        s = score(entry)
        self.calibrations[entry.site.name] = found
        self.choices[entry.site.name] = {
            width: Choice(
                site=entry.site.name,
                bits=width,
                format=c.format,
                channel_integer=c.channel_integer,
                perturbation=c.perturbation,
                loss_rise_nats=0.5
                * (s * c.perturbation if c.weighted is None else c.weighted),
            )
            for width, c in found.items()
        }

    @property
    def record(self) -> CalibrationRecord:
        """Every site at every width, to be saved."""
        return CalibrationRecord(
            weighting=self.weighting,
            samples=self.samples,
            sites=tuple(
                SiteOptions(site=name, choices=tuple(found.values()))
                for name, found in self.choices.items()
            ),
        )

    def quantized(
        self, layer: Layer, weight_bits: int, activation_bits: int
    ) -> QuantizedLayer:
        """Quantize a layer at the calibrated scales.

        The bias takes the accumulator's grid, the product of both scales, and the
        smallest width that holds it.

        Args:
            layer: One of ``layers``.
            weight_bits: Width of its weights.
            activation_bits: Width of its input.

        Returns:
            What cost models price.
        """
        weights = self.calibrations[layer.weight_site][weight_bits]
        activations = self.calibrations[layer.input_site][activation_bits]
        key = (layer.weight_site, weight_bits)
        if key not in self._integers:
            self._integers[key] = weights.integers(layer.weight)
        bias, bias_bits = None, 0
        if layer.bias is not None:
            grid = weights.fractions() + activations.fractions()
            bias = FixedPoint(True, 64, 64).quantize(np.ldexp(layer.bias, grid))
            needs_sign, width = smallest_width(int(bias.min()), int(bias.max()))
            bias_bits = width + int(not needs_sign)
        return QuantizedLayer(
            name=layer.name,
            weight=self._integers[key],
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            bias=bias,
            bias_bits=bias_bits,
            macs=layer.macs,
            signed=activations.format.signed,
        )

    def network(self, bits: Mapping[str, int]) -> list[QuantizedLayer]:
        """Quantize every layer.

        Args:
            bits: Site name → width.

        Returns:
            The layers, in order.
        """
        return [
            self.quantized(layer, bits[layer.weight_site], bits[layer.input_site])
            for layer in self.layers
        ]

    def decisions(self) -> tuple[Decision, ...]:
        """Give each site's widths and predicted losses.

        Returns:
            One decision a site.
        """
        return tuple(
            Decision(
                name=name,
                bits=tuple(found),
                loss=tuple(choice.loss_rise_nats for choice in found.values()),
            )
            for name, found in self.choices.items()
        )

    def prices(self, model: CostModel) -> tuple[Term, ...]:
        """Price every layer at every pair of widths.

        Args:
            model: The cost model.

        Returns:
            One term a layer, over its weights' site and its input's site.
        """
        return tuple(
            Term(
                (layer.weight_site, layer.input_site),
                np.array(
                    [
                        [
                            model.price(self.quantized(layer, w, a))
                            for a in self.calibrations[layer.input_site]
                        ]
                        for w in self.calibrations[layer.weight_site]
                    ],
                    dtype=np.float64,
                ),
            )
            for layer in self.layers
        )

    def allocation(
        self,
        solution: Solution,
        budgets: Mapping[str, float],
        models: Iterable[CostModel],
        pareto: tuple[ParetoPoint, ...] = (),
    ) -> Allocation:
        """Record a solution.

        Args:
            solution: Widths of this network's sites.
            budgets: Cost name → limit it was found under.
            models: Cost models that price it.
            pareto: The sweep around it.

        Returns:
            The record, with the calibrated formats.
        """
        layers = self.network(solution.bits)
        return Allocation(
            choices=tuple(
                found[solution.bits[name]] for name, found in self.choices.items()
            ),
            loss_rise_nats=solution.loss,
            costs={model.name: model.total(layers) for model in models},
            budgets=dict(budgets),
            status=solution.status,
            gap=solution.gap,
            pareto=pareto,
        )
