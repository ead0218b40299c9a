"""A folder's files: what is read, what is never executed, what is said of damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hawq.errors import DataError, NetworkError
from hawq.frontend.pytorch.folder import Card, load_network, read_card

NETWORK = "from torch import nn\ndef build():\n    return nn.Linear(2, 3)\n"


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "network.py").write_text(NETWORK)
    return tmp_path


def load(folder: Path) -> torch.nn.Module:
    return load_network(folder, Card())


def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}


@pytest.mark.parametrize("name", ["weights.pt", "best.pt"])
def test_weights_are_loaded(folder: Path, name: str) -> None:
    torch.save(state(), folder / name)
    network = load(folder)
    assert not network.training
    assert torch.equal(network.weight, torch.ones(3, 2))


def test_nothing_in_the_weights_is_executed(folder: Path) -> None:
    torch.save({"weight": Trap(folder / "touched")}, folder / "weights.pt")
    message = (
        r"weights\.pt holds objects other than tensors, which would run code: expected "
        r"`torch\.save\(network\.state_dict\(\), 'weights\.pt'\)`$"
    )
    with pytest.raises(NetworkError, match=message):
        load(folder)
    assert not (folder / "touched").exists()


def test_whole_network_in_the_weights_is_refused(folder: Path) -> None:
    torch.save(torch.nn.Linear(2, 3), folder / "weights.pt")
    with pytest.raises(NetworkError, match=r" holds objects other than tensors, "):
        load(folder)


def test_absent_and_ambiguous_weights(folder: Path) -> None:
    message = (
        r": expected weights\.pt or one other file \*\.pt, got none: save "
        r"`torch\.save\(network\.state_dict\(\), 'weights\.pt'\)`$"
    )
    with pytest.raises(NetworkError, match=message):
        load(folder)
    for name in ("a.pt", "b.pt"):
        torch.save(state(), folder / name)
    with pytest.raises(NetworkError, match=r"\*\.pt, got a\.pt, b\.pt: save "):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], r"weights\.pt holds a list that is no state_dict: expected `torch"),
        ({"epoch": 3}, r"weights\.pt holds a dict that is no state_dict: expected `to"),
        (
            {"weight": torch.full((3, 2), torch.nan), "bias": torch.zeros(3)},
            r"weights\.pt: 'weight' has NaN or infinity: train again$",
        ),
        (
            {"weight": torch.ones(3, 2)},
            r"weights\.pt does not hold the weights of what build\(\) returns: Error.* "
            r"Missing key\(s\) in state_dict: \"bias\"\. *$",
        ),
        (
            {"weight": torch.ones(3, 4), "bias": torch.zeros(3)},
            r"weights\.pt does not hold the weights of what build\(\) returns: Error.* "
            r"size mismatch for weight: ",
        ),
    ],
)
def test_content_that_is_none(folder: Path, content: object, message: str) -> None:
    torch.save(content, folder / "weights.pt")
    with pytest.raises(NetworkError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 10, 400])
def test_truncated_weights(folder: Path, kept: int) -> None:
    torch.save(state(), folder / "weights.pt")
    content = (folder / "weights.pt").read_bytes()[:kept]
    (folder / "weights.pt").write_bytes(content)
    with pytest.raises(NetworkError, match=r"weights\.pt (is damaged|holds objects)"):
        load(folder)


def test_card_is_optional(tmp_path: Path) -> None:
    card = read_card(tmp_path)
    assert card == Card()
    assert card.shape() is None
    x = np.ones((2, 3))
    assert card.standardise(x).dtype == np.float32


def test_keys_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('task = "x"\nfeatures = ["a", "b"]\n[data]\n')
    assert read_card(tmp_path).shape() == (2,)


def test_shape_comes_before_features(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('input_shape = [2, 1]\nfeatures = ["a", "b"]\n')
    assert read_card(tmp_path).shape() == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input_shape = [", r"card\.toml: not TOML: "),
        ("input_shape = [0]", r"card\.toml: input_shape\.0 is 0: input should be gre"),
        ("features = 3", r"card\.toml: features is 3: input should be a valid tuple$"),
    ],
)
def test_bad_card(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(NetworkError, match=message):
        read_card(tmp_path)


def test_standardisation_that_does_not_fit(tmp_path: Path) -> None:
    text = "[standardisation]\nmean = [1, 2]\nstd = [1, 1]\n"
    (tmp_path / "card.toml").write_text(text)
    message = (
        r"^samples of shape \(3,\) and a standardisation of 2 means and 2 deviations "
        r"in card\.toml: expected one for each element of the last axis$"
    )
    with pytest.raises(DataError, match=message):
        read_card(tmp_path).standardise(np.ones((5, 3)))
