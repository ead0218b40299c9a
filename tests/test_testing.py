import pytest

from hawq.allocation.cost import CostModel
from hawq.testing import check_cost_model


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
