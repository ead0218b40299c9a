import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import InputError
from hawq.sensitivity.problem import pose, signs
from hawq.sensitivity.tape import evaluating


@pytest.fixture
def problem(build, data):
    def make(activation=nn.GELU, loss="cross_entropy"):
        model = build(nn.Linear(3, 4), activation(), nn.Linear(4, 2))
        with evaluating(model):
            return pose(model, [data(6, (3,), 2)], None, 0, loss)

    return make


def _names(sites):
    return [site.name for site in sites]


def test_the_automatic_route_takes_what_is_piecewise_linear(problem):
    posed = problem()
    exact = posed.exact_sites("auto")
    assert _names(exact) == ["1", "2.weight", "2.bias"]
    assert _names(posed.rest(exact)) == ["input", "0.weight", "0.bias"]
    assert posed.exact_sites("stochastic") == ()


def test_a_callable_loss_has_no_exact_site(problem):
    assert problem(nn.ReLU, nn.CrossEntropyLoss()).exact_sites("auto") == ()


def test_the_exact_route_is_refused_where_it_does_not_hold(problem):
    message = (
        r"^the exact route does not hold for site 'input': it needs the loss "
        r"cross_entropy or squared, and a network that is piecewise linear from the "
        r"site to its output, with each layer called once; use the route auto or "
        r"stochastic$"
    )
    with pytest.raises(InputError, match=message):
        problem().exact_sites("exact")
    assert len(problem(nn.ReLU).exact_sites("exact")) == 6


def test_signs_are_signs_of_mean_zero():
    drawn = signs(np.random.default_rng(0), (100, 33), torch.zeros(1))
    assert drawn.shape == (100, 33)
    assert drawn.dtype is torch.float32
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(drawn.mean())) < 4 / 3300**0.5  # four standard deviations
    again = signs(np.random.default_rng(0), (100, 33), torch.zeros(1))
    torch.testing.assert_close(again, drawn, rtol=0, atol=0)
