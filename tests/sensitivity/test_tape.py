import pytest
import torch
from torch import nn

from hawq.errors import NetworkError
from hawq.sensitivity.tape import evaluating, record

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_ports_are_named_in_the_order_of_execution():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    with evaluating(model):
        tape = record(model, X)
    assert list(tape.ports()) == ["input", "0", "1", "2"]
    torch.testing.assert_close(tape.calls[2].taken, tape.calls[1].given.detach())
    torch.testing.assert_close(tape.outputs, model(X))


def test_integer_inputs_are_no_port():
    model = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2))
    with evaluating(model):
        tape = record(model, torch.arange(4))
    assert list(tape.ports()) == ["1"]


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(input=x)


def test_a_layer_may_be_called_by_keyword():
    model = Keywords()
    with evaluating(model):
        tape = record(model, X)
    torch.testing.assert_close(tape.calls[0].taken, X)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act = nn.Linear(3, 3), nn.ReLU(inplace=True)
        self.last = nn.Linear(3, 2)

    def forward(self, x):
        x.mul_(2)
        h = self.first(x)
        return self.last(self.act(h))


def test_operations_in_place_do_not_spoil_the_ports():
    model = InPlace()
    before = X.clone()
    with evaluating(model):
        tape = record(model, X)
    torch.testing.assert_close(X, before, rtol=0, atol=0)
    torch.testing.assert_close(tape.calls[0].taken, 2 * X)
    torch.testing.assert_close(
        tape.ports()["first"], nn.functional.linear(2 * X, *model.first.parameters())
    )
    assert (tape.ports()["first"] < 0).any()
    assert (tape.ports()["act"] >= 0).all()


def test_evaluation_is_undone():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model.train()
    model[2].eval()
    model[0].bias.requires_grad_(False)
    mean = model[1].running_mean.clone()
    with pytest.raises(NetworkError), evaluating(model):
        record(nn.Sequential(model, Pair()), X)
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    torch.testing.assert_close(model[1].running_mean, mean, rtol=0, atol=0)
    assert not model[0]._forward_hooks


def test_a_batch_norm_without_statistics_is_refused():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False))
    with (
        pytest.raises(
            NetworkError,
            match=r"^batch norm '1' keeps no running statistics, so the loss has no "
            r"evaluation mode: build it with track_running_stats=True$",
        ),
        evaluating(model),
    ):
        pass


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("model", "got"),
    [(Pair(), r"<class 'tuple'>"), (nn.Flatten(0), r"\(12,\)")],
)
def test_an_output_that_is_not_one_row_a_sample_is_refused(model, got):
    message = (
        rf"^the network's output is {got}: expected one tensor with a row for each of "
        r"the 4 samples$"
    )
    with evaluating(model), pytest.raises(NetworkError, match=message):
        record(model, X)
