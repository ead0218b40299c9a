"""Folding batch norm must not change what a network computes."""

import pytest
import torch
from torch import Tensor, nn

from hawq.errors import NetworkError
from hawq.model.fold import fold_batch_norm
from hawq.model.network import build_network
from hawq.paths import shipped


def _with_statistics(network: nn.Module, seed: int) -> nn.Module:
    """Give every batch norm statistics and parameters that are not the trivial ones."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.1, 3, generator=generator)
            if module.affine:
                module.weight.data.normal_(generator=generator)
                module.bias.data.normal_(generator=generator)
    return network.double().eval()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.second_norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + y)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()), (7, 6)),
        (nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5)), (7, 6)),
        (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5)), (7, 6)),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 5)), (7, 6)),
        (nn.Sequential(nn.Conv1d(6, 4, 3), nn.BatchNorm1d(4)), (7, 6, 9)),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), (2, 3, 8, 8)),
        (
            nn.Sequential(
                nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), nn.BatchNorm2d(4)
            ),
            (2, 4, 8, 8),
        ),
        (Residual(), (2, 3, 8, 8)),
    ],
)
def test_folded_network_computes_the_same(
    network: nn.Module, shape: tuple[int, ...]
) -> None:
    network = _with_statistics(network, seed=1)
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator())
    folded = fold_batch_norm(network)
    assert not any(
        isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules()
    )
    # Sums of at most 54 terms of order one: a few dozen roundings of 2⁻⁵³.
    torch.testing.assert_close(folded(x), network(x), rtol=1e-13, atol=1e-13)


def test_tagger_keeps_the_names_of_its_layers() -> None:
    network = build_network(shipped("models") / "jets", {"batch_norm": True})
    folded = fold_batch_norm(_with_statistics(network, seed=2))
    plain = build_network(shipped("models") / "jets", {})
    assert list(folded.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in folded.named_children()] == [
        "fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4",
    ]  # fmt: skip


def test_float32_is_rounded_once() -> None:
    network = _with_statistics(nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30)), 3)
    single = network.float()
    exact = fold_batch_norm(single.double())[0].weight.detach()
    folded = fold_batch_norm(single.float())[0].weight.detach()
    assert folded.dtype == torch.float32
    assert torch.equal(folded, exact.float())


def test_the_original_is_not_changed() -> None:
    network = _with_statistics(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), 4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batch_norm(network)
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items())


def test_network_without_batch_norm_need_not_be_traceable() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    assert isinstance(fold_batch_norm(Branching()), Branching)


CANNOT = (
    "cannot be folded: it stands neither directly after a Linear or Conv layer nor "
    "directly before one without padding, which nothing else shares; move it there or "
    "leave it out"
)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1)),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding="same")),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=2)),
    ],
)
def test_stranded_batch_norm_is_named(network: nn.Module) -> None:
    with pytest.raises(NetworkError, match=f"^batch norm '1' {CANNOT}$"):
        fold_batch_norm(network)


def test_layer_that_is_used_twice_is_not_folded() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.BatchNorm1d(3), layer)
    with pytest.raises(NetworkError, match=f"^batch norm '1' {CANNOT}$"):
        fold_batch_norm(network)


def test_layer_with_a_second_consumer_is_not_folded() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            return self.norm(y) + y

    with pytest.raises(NetworkError, match=f"^batch norm 'norm' {CANNOT}$"):
        fold_batch_norm(Fork())


def test_no_running_statistics() -> None:
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    message = (
        "^batch norm '1' keeps no running statistics, so in evaluation mode it is not "
        "an affine map: set track_running_stats=True$"
    )
    with pytest.raises(NetworkError, match=message):
        fold_batch_norm(nn.Sequential(nn.Linear(3, 3), norm))


def test_untraceable_network_with_batch_norm() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x) if x.sum() > 0 else x

    message = (
        r"^the network holds batch norms but its forward cannot be traced \(.*\): "
        "write it without data-dependent control flow$"
    )
    with pytest.raises(NetworkError, match=message):
        fold_batch_norm(Branching())
