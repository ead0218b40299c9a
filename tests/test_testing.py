import math
import random

import pytest

from hawq import plugins
from hawq.allocation.cost import CostModel
from hawq.sensitivity.fisher import fisher
from hawq.sensitivity.sites import find_sites
from hawq.testing import check_cost_model, check_sensitivity_source


def test_a_good_cost_model_passes():
    check_cost_model(CostModel("products", "bits²", lambda layer: float(layer.macs)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            CostModel("", "bits", lambda layer: 1.0),
            r"^CostModel\(.*\): name and unit must say something$",
        ),
        (
            CostModel("negative", "bits", lambda layer: -1.0),
            r"^negative: a price of -1\.0 for weights of shape \(5, 7\): expected a "
            r"float of 0 or more$",
        ),
        (
            CostModel("infinite", "bits", lambda layer: float("inf")),
            r"^infinite: a price of inf for weights of shape \(5, 7\): expected a "
            r"float of 0 or more$",
        ),
        (
            CostModel("inverse", "bits", lambda layer: 1 / layer.weight_bits),
            r"^inverse: 8 x 8 bits cost 0\.125, less than 0\.5 for 2 x 2$",
        ),
        (
            CostModel("forgetful", "bits", lambda layer, seen=[]: _count(seen)),
            r"^forgetful: the same layer got two prices$",
        ),
        (
            CostModel("greedy", "bits", lambda layer: _spoil(layer)),
            r"^greedy: pricing changed the layer's integers$",
        ),
    ],
)
def test_a_bad_cost_model_fails(model, message):
    with pytest.raises(AssertionError, match=message):
        check_cost_model(model)


def _count(seen):
    seen.append(None)
    return float(len(seen))


def _spoil(layer):
    layer.weight[...] = 0
    return 0.0


def test_good_sensitivity_sources_pass():
    for name in plugins.names("hawq.sensitivity"):
        check_sensitivity_source(plugins.load("hawq.sensitivity", name))


def _wrong(change):
    """A source whose map, or whose call, is spoilt."""

    def source(model, batches, sites=None, seed=0, **options):
        return change(fisher, model, batches, sites, seed)

    return source


def _trains(source, model, batches, sites, seed):
    model.eval()
    return source(model, batches, sites, seed)


def _forgets(source, model, batches, sites, seed):
    found = source(model, batches, sites, seed)
    return found.model_copy(update={"sites": found.sites[1:]})


def _counts_batches(source, model, batches, sites, seed):
    found = source(model, batches, sites, seed)
    return found.model_copy(update={"samples": len(batches)})


def _takes_the_first_batch(source, model, batches, sites, seed):
    found = source(model, batches[:1], sites, seed)
    samples = sum(len(y) for _, y in batches)
    return found.model_copy(update={"samples": samples})


def _accepts_anything(source, model, batches, sites, seed):
    known = {site.name for site in find_sites(model, batches[0][0])}
    wanted = [site for site in sites or () if site.name in known]
    return source(model, batches, wanted or None, seed)


def _is_random(source, model, batches, sites, seed):
    found = source(model, batches, sites, seed)
    first = found.sites[0].model_copy(update={"score": random.random()})
    return found.model_copy(update={"sites": (first, *found.sites[1:])})


def _is_lost(source, model, batches, sites, seed):
    found = source(model, batches, sites, seed)
    first = found.sites[0].model_copy(update={"score": math.nan})
    return found.model_copy(update={"sites": (first, *found.sites[1:])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_trains, r"^the source changed the network's weights or flags$"),
        (_forgets, r"^sites \['0\.weight', .*\], expected \['input', .*\], as the .*$"),
        (_counts_batches, r"^3 samples, expected 60$"),
        (
            _takes_the_first_batch,
            r"^input: .*, but .* with the batches in another order and errors of 0: "
            r"weigh batches by samples$",
        ),
        (
            _accepts_anything,
            r"^a site that the network does not have was not refused$",
        ),
        (_is_random, r"^the same seed gave two results$"),
        (_is_lost, r"^input: score or error is not finite$"),
    ],
)
def test_a_sensitivity_source_that_breaks_the_contract_fails(change, message):
    with pytest.raises(AssertionError, match=message):
        check_sensitivity_source(_wrong(change))
