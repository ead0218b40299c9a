from collections import OrderedDict

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

from hawq.allocation.layers import capture_activations, find_layers, is_signed
from hawq.errors import NetworkError
from hawq.records import Site, SiteKind
from hawq.sensitivity.sites import find_sites


class Residual(nn.Module):
    """Two branches that meet, with or without an activation after the sum."""

    def __init__(self, activation_after):
        super().__init__()
        self.fc1, self.relu1 = nn.Linear(3, 3), nn.ReLU()
        self.fc2, self.relu2 = nn.Linear(3, 3), nn.ReLU()
        self.relu3 = nn.ReLU()
        self.fc3 = nn.Linear(3, 2)
        self.activation_after = activation_after

    def forward(self, x):
        a = self.relu1(self.fc1(x))
        b = a + self.relu2(self.fc2(a))
        return self.fc3(self.relu3(b) if self.activation_after else b)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.relu = nn.Linear(3, 3), nn.Linear(3, 3), nn.ReLU()

    def forward(self, x):
        return self.fc2(self.relu(self.fc1(self.relu(x))))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 3)

    def forward(self, x):
        return self.fc1(x) if x.sum() > 0 else x


def sequential(**modules):
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(modules)).eval()


def tagger():
    return sequential(
        fc1=nn.Linear(4, 6),
        relu1=nn.ReLU(),
        fc2=nn.Linear(6, 5, bias=False),
        tanh=nn.Tanh(),
        fc3=nn.Linear(5, 3),
    )


def weight_site(name, shape):
    return Site(name=f"{name}.weight", kind=SiteKind.WEIGHT, layer=name, shape=shape)


def test_a_chain_is_fed_link_by_link():
    network = tagger()

    layers = find_layers(network, find_sites(network, torch.zeros(2, 4)))

    assert [(one.weight_site, one.input_site, one.macs) for one in layers] == [
        ("fc1.weight", "input", 24),
        ("fc2.weight", "relu1", 30),
        ("fc3.weight", "tanh", 15),
    ]
    assert_array_equal(layers[0].weight, network.fc1.weight.detach().numpy())
    assert_array_equal(layers[0].bias, network.fc1.bias.detach().numpy())
    assert layers[1].bias is None
    assert layers[0].weight.dtype == np.float64


def test_pooling_and_flattening_carry_the_site_on():
    network = sequential(
        conv1=nn.Conv2d(1, 4, 3),
        relu1=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(36, 2),
    )

    layers = find_layers(network, find_sites(network, torch.zeros(2, 1, 8, 8)))

    assert [(one.name, one.input_site, one.macs) for one in layers] == [
        ("conv1", "input", 36 * 36),
        ("fc1", "relu1", 72),
    ]


def test_a_sum_is_followed_to_its_activation():
    network = Residual(activation_after=True)

    layers = find_layers(network, find_sites(network, torch.zeros(2, 3)))

    assert [one.input_site for one in layers] == ["input", "relu1", "relu3"]


def test_refuses_a_layer_fed_by_two_sites():
    network = Residual(activation_after=False)

    with pytest.raises(
        NetworkError,
        match=r"^layer 'fc3' must be fed by exactly one activation site, found: relu1, "
        r"relu2: put an activation module \(such as nn\.ReLU\) before it and measure "
        r"its sensitivity$",
    ):
        find_layers(network, find_sites(network, torch.zeros(2, 3)))


def test_refuses_layers_without_a_site_between():
    network = sequential(fc1=nn.Linear(3, 3), fc2=nn.Linear(3, 2))

    with pytest.raises(
        NetworkError,
        match=r"^layer 'fc2' takes the output of 'fc1' with no activation site "
        r"between: put an activation module there \(nn\.ReLU, not a function\) and "
        r"measure its sensitivity$",
    ):
        find_layers(network, find_sites(network, torch.zeros(2, 3)))


def test_refuses_a_module_called_twice():
    network = Shared()

    with pytest.raises(
        NetworkError,
        match=r"^module 'relu' is called more than once: give each call a module of "
        r"its own, so that each can have its own format$",
    ):
        find_layers(network, find_sites(network, torch.zeros(2, 3)))


def test_refuses_sites_of_another_network():
    with pytest.raises(
        NetworkError,
        match=r"^the sensitivities have a site 'fc9\.weight', but the network calls no "
        r"module 'fc9': measure them on this network$",
    ):
        find_layers(tagger(), [weight_site("fc9", (3, 3))])


def test_refuses_weights_of_another_shape():
    sites = [
        Site(name="input", kind=SiteKind.ACTIVATION, layer="input", shape=(4,)),
        weight_site("fc1", (7, 4)),
    ]

    with pytest.raises(
        NetworkError,
        match=r"^fc1\.weight has the shape \(6, 4\), expected \(7, 4\) from the "
        r"sensitivities: measure them on this network$",
    ):
        find_layers(tagger(), sites)


def test_refuses_a_forward_that_depends_on_data():
    with pytest.raises(
        NetworkError,
        match=r"^the network's forward cannot be traced \(.*\): write it without "
        r"data-dependent control flow$",
    ):
        find_layers(Branching(), [weight_site("fc1", (3, 3))])


def test_captures_every_activation_of_every_sample():
    network = tagger()
    x = np.random.default_rng(0).normal(size=(2100, 4)).astype(np.float32)

    found = capture_activations(network, find_sites(network, torch.zeros(2, 4)), x)

    # Batches of the same size, for the same float32 kernels.
    hidden = torch.cat([network[:2](part) for part in torch.tensor(x).split(1024)])
    assert list(found) == ["input", "relu1", "tanh"]
    assert_array_equal(found["input"], x)
    assert_array_equal(found["relu1"], hidden.detach().numpy())
    assert found["tanh"].shape == (2100, 5)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_that_writes_on_its_input_spoils_nothing():
    network = sequential(relu0=nn.ReLU(inplace=True), fc1=nn.Linear(4, 2))
    x = np.full((3, 4), -1.0, dtype=np.float32)

    found = capture_activations(network, find_sites(network, torch.zeros(2, 4)), x)

    assert_array_equal(found["input"], np.full((3, 4), -1.0))
    assert_array_equal(found["relu0"], np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "relu9",
            (6,),
            r"^the sensitivities have a site 'relu9', but the network has no such "
            r"module: measure them on this network$",
        ),
        (
            "relu1",
            (7,),
            r"^relu1: 2 samples gave activations of shape \(2, 6\), expected \(2, 7\) "
            r"from the sensitivities$",
        ),
    ],
)
def test_refuses_activations_of_another_network(name, shape, message):
    site = Site(name=name, kind=SiteKind.ACTIVATION, layer=name, shape=shape)

    with pytest.raises(NetworkError, match=message):
        capture_activations(tagger(), [site], np.zeros((2, 4), dtype=np.float32))


def test_only_what_is_never_negative_is_unsigned():
    network = tagger()

    signs = {
        s.name: is_signed(network, s) for s in find_sites(network, torch.zeros(2, 4))
    }

    assert [name for name, signed in signs.items() if not signed] == ["relu1"]
