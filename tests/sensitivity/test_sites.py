import pytest
import torch
from torch import nn

from hawq.errors import DataError, InputError, NetworkError
from hawq.records import Site, SiteKind
from hawq.sensitivity.sites import check_batches, find_sites, survey
from hawq.sensitivity.tape import evaluating, record


def _names(sites):
    return [site.name for site in sites]


def test_the_jet_tagger(build):
    model = nn.Sequential()
    for name, layer in [
        ("fc1", nn.Linear(16, 64)),
        ("relu1", nn.ReLU()),
        ("fc2", nn.Linear(64, 5)),
    ]:
        model.add_module(name, layer)
    sites = find_sites(model, torch.zeros(3, 16))
    assert sites == (
        Site(name="input", kind=SiteKind.ACTIVATION, layer="input", shape=(16,)),
        Site(
            name="fc1.weight",
            kind=SiteKind.WEIGHT,
            layer="fc1",
            shape=(64, 16),
            macs=1024,
        ),
        Site(name="fc1.bias", kind=SiteKind.BIAS, layer="fc1", shape=(64,)),
        Site(name="relu1", kind=SiteKind.ACTIVATION, layer="relu1", shape=(64,)),
        Site(
            name="fc2.weight",
            kind=SiteKind.WEIGHT,
            layer="fc2",
            shape=(5, 64),
            macs=320,
        ),
        Site(name="fc2.bias", kind=SiteKind.BIAS, layer="fc2", shape=(5,)),
    )


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(2, 4, 3, padding=1), (2, 5, 6), 4 * 2 * 9 * 5 * 6),
        (nn.Conv2d(2, 4, 3, stride=2, groups=2), (2, 5, 7), 4 * 9 * 2 * 3),
        (nn.Conv1d(2, 4, 3), (2, 5), 4 * 2 * 3 * 3),
        (nn.Linear(5, 4), (7, 5), 4 * 5 * 7),
    ],
)
def test_multiplications_of_a_sample(layer, shape, macs):
    assert find_sites(layer, torch.zeros(2, *shape))[1].macs == macs


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.unused = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.act = nn.ReLU()

    def forward(self, x):
        h = self.act(self.b(self.act(self.a(x))))
        return self.b(h)


def test_repeated_calls_have_sites_of_their_own_and_uncalled_layers_none():
    model = Reused()
    with evaluating(model):
        found = survey(model, record(model, torch.randn(2, 3)))
    names = ["input", "a.weight", "a.bias", "act", "b.weight", "b.bias", "act#2"]
    assert _names(found.sites) == names
    assert found.repeated == {"b"}
    # b is called twice: the outputs are no longer linear in its weights.
    assert found.exact == {"input", "a.weight", "a.bias", "act", "act#2"}


def test_sites_are_selected_in_the_order_of_the_network():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    with evaluating(model):
        found = survey(model, record(model, torch.randn(2, 3)))
    wanted = [found.sites[3], found.sites[0]]
    assert found.select(wanted) == (found.sites[0], found.sites[3])
    unknown = Site(name="0.bias", kind=SiteKind.BIAS, layer="0", shape=(4,))
    message = (
        r"^the network has no site '0\.bias': choose from input, 0\.weight, 1, "
        r"2\.weight, 2\.bias$"
    )
    with pytest.raises(InputError, match=message):
        found.select([unknown])
    message = (
        r"^no site to measure: give None for all, or some of input, 0\.weight, 1, "
        r"2\.weight, 2\.bias$"
    )
    with pytest.raises(InputError, match=message):
        found.select([])


def test_a_reparametrised_layer_has_no_weight_site():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    nn.utils.parametrizations.weight_norm(model[1])
    names = ["input", "0.weight", "0.bias"]
    assert _names(find_sites(model, torch.zeros(2, 3))) == names


def test_a_network_without_sites_is_refused():
    message = (
        r"^the network has no site: expected Linear, Conv1d or Conv2d layers, "
        r"activation modules or an input of floats$"
    )
    with pytest.raises(NetworkError, match=message):
        find_sites(nn.Embedding(5, 2), torch.arange(3))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], r"^0 samples: a standard error needs at least 2$"),
        (
            [(torch.zeros(1, 2), torch.zeros(1))],
            r"^1 samples: a standard error needs at least 2$",
        ),
        (
            [(torch.zeros(3, 2), torch.zeros(2))],
            r"^batch 0 has 3 inputs and 2 targets: expected equally many, and at least "
            r"one$",
        ),
        (
            [
                (torch.zeros(3, 2), torch.zeros(3)),
                (torch.full((1, 2), torch.nan), torch.zeros(1)),
            ],
            r"^batch 1 holds NaN or infinite inputs: clean the data$",
        ),
    ],
)
def test_bad_batches_are_refused(batches, message):
    with pytest.raises(DataError, match=message):
        check_batches(batches)
