"""Networks, data and an independent oracle: the dense Hessian by double autograd."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "squared": lambda f, y: (f - y).square().flatten(1).sum(1).mean(),
}


def _data(samples: int, shape: tuple[int, ...], classes: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, classes, (samples,), generator=generator)


@pytest.fixture
def data() -> Callable[..., tuple[Tensor, Tensor]]:
    return _data


def _built(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    model = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        # Of the size of torch's own start, so that no logit saturates.
        scale = 0.5 if parameter.ndim < 2 else parameter[0].numel() ** -0.5
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = scale * noise
    return model


@pytest.fixture
def build() -> Callable[..., nn.Sequential]:
    return _built


def _dense(
    model: nn.Module, x: Tensor, y: Tensor, site: str, loss="cross_entropy"
) -> Tensor:
    """Return one site's block; activations of all samples are perturbed alike."""
    criterion = LOSSES.get(loss, loss)
    model.eval()
    named = dict(model.named_parameters())
    if site in named:
        start = named[site].detach()

        def value(tensor: Tensor) -> Tensor:
            return criterion(functional_call(model, {site: tensor}, (x,)), y)

    elif site == "input":
        start = torch.zeros(x.shape[1:], dtype=x.dtype)

        def value(tensor: Tensor) -> Tensor:
            return criterion(model(x + tensor), y)

    else:
        shapes = []
        module = model.get_submodule(site)
        with module.register_forward_hook(lambda m, a, out: shapes.append(out.shape)):
            model(x)
        start = torch.zeros(shapes[0][1:], dtype=x.dtype)

        def value(tensor: Tensor) -> Tensor:
            with module.register_forward_hook(lambda m, a, out: out + tensor):
                return criterion(model(x), y)

    size = start.numel()
    return torch.autograd.functional.hessian(value, start).reshape(size, size)


@pytest.fixture
def dense() -> Callable[..., Tensor]:
    return _dense
