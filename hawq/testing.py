"""Contracts that plug-ins keep; call these from the tests of your own plug-in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hawq.allocation.cost import CostModel, QuantizedLayer
from hawq.records import SensitivityMap

if TYPE_CHECKING:
    from torch import nn

    from hawq.synthesis.record import SynthesisReport


def check_cost_model(model: CostModel) -> None:
    """Hold a cost model to the contract of the seam ``hawq.cost``.

    It must have a name and a unit; price dense, sparse, pruned and bias-free layers
    with a finite number that is not negative; give the same layer the same price and
    leave its integers alone; and price 8 × 8 bits no lower than 2 × 2.

    Args:
        model: The plug-in.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
    """
    if not (isinstance(model.name, str) and model.name and model.unit):
        raise AssertionError(f"{model!r}: name and unit must say something")
    random = np.random.default_rng(0)
    for bits in (2, 5, 8):
        top = 2 ** (bits - 1) - 1
        dense = random.integers(1, top + 1, (5, 7))
        bias = random.integers(-100, 100, 5)
        sparse = dense * (random.random(dense.shape) < 0.3)
        for weight in (dense, sparse, np.zeros_like(dense), dense.reshape(5, 7, 1, 1)):
            for some_bias in (None, bias):
                _check_price(model, _layer(weight, some_bias, bits, bits))
    narrow = model.price(_layer(np.ones((5, 7), dtype=np.int64), None, 2, 2))
    wide = model.price(_layer(np.full((5, 7), 85), None, 8, 8))
    if not wide >= narrow:
        raise AssertionError(
            f"{model.name}: 8 x 8 bits cost {wide}, less than {narrow} for 2 x 2"
        )


def _layer(
    weight: np.ndarray, bias: np.ndarray | None, weight_bits: int, activation_bits: int
) -> QuantizedLayer:
    return QuantizedLayer(
        name="layer",
        weight=weight,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        bias=bias,
        bias_bits=0 if bias is None else 8,
        macs=weight.size,
    )


def _check_price(model: CostModel, layer: QuantizedLayer) -> None:
    before = layer.weight.copy()
    price = model.price(layer)
    if not (isinstance(price, float) and math.isfinite(price) and price >= 0):
        raise AssertionError(
            f"{model.name}: a price of {price!r} for weights of shape "
            f"{layer.weight.shape}: expected a float of 0 or more"
        )
    if model.price(layer) != price:
        raise AssertionError(f"{model.name}: the same layer got two prices")
    if not np.array_equal(before, layer.weight):
        raise AssertionError(f"{model.name}: pricing changed the layer's integers")


def check_sensitivity_source(source: Callable[..., SensitivityMap]) -> None:
    """Hold a sensitivity source to the contract of the seam ``hawq.sensitivity``.

    On a small network with batch norm and a smooth activation, and batches of unequal
    size, it must: describe every site of the network in order, with finite scores and
    errors; give the same result for the same seed; leave weights, running statistics
    and flags alone; measure the sites it is asked for and refuse others; and count
    samples, not batches.

    Args:
        source: The plug-in.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
    """
    from hawq.errors import InputError
    from hawq.records import Site, SiteKind
    from hawq.sensitivity.sites import find_sites

    model, batches = _network_and_batches()
    before = _state_of(model)
    found = source(model, batches, None, 3, max_probes=16)
    if not _same(before, _state_of(model)):
        raise AssertionError("the source changed the network's weights or flags")
    sites = find_sites(model, batches[0][0])
    _check_map(found, sites, sum(len(y) for _, y in batches))
    again = source(model, batches, None, 3, max_probes=16)
    if _numbers(found) != _numbers(again):
        raise AssertionError("the same seed gave two results")
    some = source(model, batches, [sites[4], sites[1]], 3, max_probes=16)
    _check_map(some, (sites[1], sites[4]), found.samples)
    unknown = Site(name="nowhere", kind=SiteKind.BIAS, layer="nowhere", shape=(1,))
    try:
        source(model, batches, [unknown], 3)
    except InputError:
        pass
    else:
        raise AssertionError("a site that the network does not have was not refused")
    order = [batches[2], batches[0], batches[1]]
    for one, other in zip(
        found.sites, source(model, order, None, 4, max_probes=16).sites, strict=True
    ):
        error = math.hypot(one.probe_error, other.probe_error)
        if abs(one.score - other.score) > 6 * error + 1e-6 * abs(one.score):
            raise AssertionError(
                f"{one.site.name}: {one.score:g}, but {other.score:g} with the batches "
                f"in another order and errors of {error:g}: weigh batches by samples"
            )


def _network_and_batches() -> tuple[nn.Module, list[tuple[Any, Any]]]:
    import torch
    from torch import nn

    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Linear(6, 4), nn.ReLU(),
        nn.Linear(4, 3),
    ).double()  # fmt: skip
    model[1].running_mean.normal_()  # type: ignore[operator]
    model[0].weight.requires_grad_(False)
    x = torch.randn(60, 3, dtype=torch.float64)
    y = torch.randint(0, 3, (60,))
    torch.random.set_rng_state(state)
    parts = (slice(0, 7), slice(7, 30), slice(30, 60))
    return model, [(x[part], y[part]) for part in parts]


def _state_of(model: nn.Module) -> list[Any]:
    flags = [module.training for module in model.modules()]
    learning = [parameter.requires_grad for parameter in model.parameters()]
    tensors = [tensor.clone() for tensor in model.state_dict().values()]
    return [flags, learning, *tensors]


def _same(one: list[Any], other: list[Any]) -> bool:
    tensors = zip(one[2:], other[2:], strict=True)
    return one[:2] == other[:2] and all(bool((a == b).all()) for a, b in tensors)


def _numbers(found: SensitivityMap) -> list[tuple[float, float, float]]:
    return [(e.score, e.probe_error, e.sample_error) for e in found.sites]


def _check_map(found: SensitivityMap, sites: Sequence[Any], samples: int) -> None:
    names = [entry.site.name for entry in found.sites]
    if [entry.site for entry in found.sites] != list(sites):
        expected = [site.name for site in sites]
        raise AssertionError(f"sites {names}, expected {expected}, as the network has")
    if found.samples != samples:
        raise AssertionError(f"{found.samples} samples, expected {samples}")
    if not (found.source and found.unit and math.isfinite(found.loss_nats)):
        raise AssertionError("source, unit and loss must say something")
    for entry, numbers in zip(found.sites, _numbers(found), strict=True):
        if not all(math.isfinite(number) for number in numbers):
            raise AssertionError(f"{entry.site.name}: score or error is not finite")
        for array, shape in (
            (entry.channel, entry.site.shape[:1]),
            (entry.element, entry.site.shape),
        ):
            if array is not None and array.shape != shape:
                raise AssertionError(
                    f"{entry.site.name}: an array of shape {array.shape}, expected "
                    f"{shape}"
                )


def check_synthesis_tool(run: Callable[[], SynthesisReport]) -> SynthesisReport:
    """Hold a synthesis tool to the contract of the seam ``hawq.synthesis``.

    Its report must name the tools with their versions, top and part; have a number from
    at least one step; say which file each number comes from; give a frequency of each
    seed that its timing gives too, and as ``routed`` one of the seeds.

    Args:
        run: Runs the plug-in on a project.

    Returns:
        What it returned.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
    """
    report = run()
    if not (report.tools and all(report.tools.values())):
        raise AssertionError(f"no tool or no version: {report.tools}")
    if not (report.top and report.part):
        raise AssertionError("top and part must say something")
    runs = report.routed_seeds
    netlists = (report.synthesised, report.routed, *(run.netlist for run in runs))
    parts: list[Any] = [report.estimate, report.cosimulation]
    for found in netlists:
        if found is not None:
            parts += [found.resources, found.timing, found.power]
    given = [part for part in parts if part is not None]
    if not given:
        raise AssertionError("the report has no number")
    if nameless := [part for part in given if not part.file]:
        raise AssertionError(f"{type(nameless[0]).__name__} names no file")
    for one in runs:
        timing = one.netlist.timing
        fmax_mhz = timing.fmax_mhz if timing else math.nan
        if not math.isclose(one.fmax_mhz, fmax_mhz, rel_tol=1e-9):
            raise AssertionError(
                f"seed {one.seed}: {one.fmax_mhz:g} MHz, but its timing says "
                f"{fmax_mhz:g} MHz"
            )
    if runs and report.routed not in [one.netlist for one in runs]:
        raise AssertionError("routed is none of the seeds' netlists")
    return report
