import pytest
import torch
from torch import nn

from hawq.sensitivity.layers import has_one_position, patches, pull, rows, unrows
from hawq.sensitivity.tape import evaluating, record

LAYERS = [
    (nn.Linear(3, 4), (3,)),
    (nn.Linear(3, 4), (5, 3)),
    (nn.Linear(3, 4, bias=False), (2, 5, 3)),
    (nn.Conv2d(2, 4, 3), (2, 6, 5)),
    (nn.Conv2d(4, 6, (1, 3), stride=(2, 1), groups=2), (4, 6, 5)),
    (nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), (4, 6, 5)),
    (nn.Conv2d(2, 3, (2, 4), padding="same", padding_mode="circular"), (2, 6, 5)),
    (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 6, 5)),
    (nn.Conv1d(2, 4, 3, padding=1, stride=2), (2, 7)),
    (nn.Conv1d(2, 4, 2, padding="same", groups=2, padding_mode="replicate"), (2, 7)),
    (nn.Conv2d(2, 4, (6, 5)), (2, 6, 5)),
]


def _call(layer, shape):
    layer = layer.double()
    x = torch.randn(3, *shape, dtype=torch.float64)
    with evaluating(layer):
        return record(layer, x).calls[0]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_a_layer_is_a_matrix_product_of_its_patches(layer, shape):
    call = _call(layer, shape)
    a = patches(call)
    weight = layer.weight.reshape(1, a.shape[1], -1, a.shape[2])
    z = unrows(layer, weight @ a, call.given.shape)
    bias = 0 if layer.bias is None else layer(torch.zeros_like(call.taken))
    torch.testing.assert_close(z + bias, call.given)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_rows_and_unrows_are_inverse(layer, shape):
    given = _call(layer, shape).given
    z = rows(layer, given)
    torch.testing.assert_close(unrows(layer, z, given.shape), given, rtol=0, atol=0)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_pull_gives_the_gradient_by_the_weights(layer, shape):
    call = _call(layer, shape)
    direction = torch.randn(call.given.shape, dtype=torch.float64)
    (expected,) = torch.autograd.grad(call.given, layer.weight, direction)
    found = pull(rows(layer, direction), patches(call)).sum(0)
    torch.testing.assert_close(found.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("index", "expected"), [(0, True), (1, False), (3, False), (10, True)]
)
def test_positions(index, expected):
    assert has_one_position(_call(*LAYERS[index])) is expected


def test_a_grouped_layer_has_no_single_outer_product():
    assert not has_one_position(_call(nn.Conv2d(2, 4, 3, groups=2), (2, 3, 3)))
