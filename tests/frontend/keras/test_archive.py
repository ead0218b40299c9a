from __future__ import annotations

import re
import zipfile

import h5py
import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras import archive
from hawq.frontend.keras.archive import read_archive


def refuses(path, text: str) -> None:
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{path}: {text}')}$"):
        read_archive(path)


def test_both_kinds_hold_the_same(tmp_path, entry, sequential, write_h5, write_zip):
    config = sequential(entry("Dense", "b"), entry("QDense", "a"), entry("Dense", "c"))
    arrays = {name: [np.full((2, i + 1), i)] for i, name in enumerate("bac")}
    numbered = {"dense": arrays["b"], "q_dense": arrays["a"], "dense_1": arrays["c"]}

    h5 = read_archive(write_h5(tmp_path / "m.h5", config, arrays))
    keras = read_archive(write_zip(tmp_path / "m.keras", config, numbered))

    assert h5.config == keras.config
    for name in "bac":
        np.testing.assert_array_equal(h5.weights[name][0], keras.weights[name][0])


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("QConv2D", "q_conv2d"),
        ("ReLU", "re_lu"),
        ("UpSampling2D", "up_sampling2d"),
        ("QBatchNormalization", "q_batch_normalization"),
    ],
)
def test_classes_number_the_weights(tmp_path, entry, sequential, write_zip, kind, key):
    config = sequential(entry(kind, "first"), entry(kind, "second"))
    weights = {key: [[1.0]], f"{key}_1": [[2.0]]}

    read = read_archive(write_zip(tmp_path / "m.keras", config, weights))

    assert {n: w[0].item() for n, w in read.weights.items()} == {
        "first": 1.0,
        "second": 2.0,
    }


def test_weights_marked_with_another_name_are_refused(
    tmp_path, entry, sequential, write_zip
):
    path = write_zip(tmp_path / "m.keras", sequential(entry("Dense", "a")), {})
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("layers/dense/vars").attrs["name"] = "b"
    with zipfile.ZipFile(path) as given:
        config = given.read("config.json")
    with zipfile.ZipFile(path, "w") as changed:
        changed.writestr("config.json", config)
        changed.write(tmp_path / "w.h5", "model.weights.h5")

    refuses(
        path,
        "the weights of layer 'a' are marked 'b': the file is damaged, save it again",
    )


def test_truncated_file_is_refused(tmp_path, entry, sequential, write_h5):
    path = write_h5(tmp_path / "m.h5", sequential(entry("Dense", "a")), {"a": [[1]]})
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(
        NetworkError, match=r"not a Keras file, or a damaged one \(.*\): "
    ):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"PK\x03\x04 no zip at all"])
def test_other_file_is_refused(tmp_path, content):
    path = tmp_path / "m.keras"
    path.write_bytes(content)

    with pytest.raises(
        NetworkError, match=r"not a Keras file, or a damaged one \(.*\): "
    ):
        read_archive(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(NetworkError, match="No such file or directory"):
        read_archive(tmp_path / "m.h5")


def test_weights_alone_are_refused(tmp_path):
    path = tmp_path / "m.h5"
    h5py.File(path, "w").close()

    refuses(
        path,
        "it holds no model configuration, only weights: save the whole model "
        "(model.save, not save_weights)",
    )


@pytest.mark.parametrize("config", [[1], {"class_name": "Mine", "config": {}}, 3])
def test_model_without_layers_is_refused(tmp_path, write_h5, config):
    kind = "Mine" if isinstance(config, dict) else None

    refuses(
        write_h5(tmp_path / "m.h5", config, {}),
        f"a model of class {kind!r} has no list of layers: build it as Sequential or "
        "Functional, then save it",
    )


def test_deep_configuration_is_refused(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.create_group("model_weights")
        file.attrs["model_config"] = "[" * 20_000

    with pytest.raises(NetworkError, match="not a Keras file, or a damaged one"):
        read_archive(path)


@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("other.h5", "/w"), h5py.SoftLink("/model_weights")]
)
def test_links_are_not_followed(tmp_path, entry, sequential, write_h5, link):
    path = write_h5(tmp_path / "m.h5", sequential(entry("Dense", "a")), {"a": [[1]]})
    with h5py.File(path, "a") as file:
        del file["model_weights/a/a/0"]
        file["model_weights/a/a/0"] = link

    refuses(path, "'a/0' is a link, which is not followed: save again")


def test_data_outside_the_file_are_not_read(tmp_path, entry, sequential, write_h5):
    path = write_h5(tmp_path / "m.h5", sequential(entry("Dense", "a")), {"a": [[1]]})
    with h5py.File(path, "a") as file:
        del file["model_weights/a/a/0"]
        file.create_dataset(
            "model_weights/a/a/0", (4,), "f4", external=[("/etc/passwd", 0, 16)]
        )

    refuses(path, "weight 'a/0' is not stored in this file: save the model again")


def test_claimed_size_is_not_believed(tmp_path, entry, sequential, write_h5):
    path = write_h5(tmp_path / "m.h5", sequential(entry("Dense", "a")), {"a": [[1]]})
    with h5py.File(path, "a") as file:
        del file["model_weights/a/a/0"]
        file.create_dataset("model_weights/a/a/0", (2**40,), "f4", chunks=(1024,))

    refuses(
        path,
        "its weights hold more than 134217728 numbers: the file is damaged, or the "
        "network too large",
    )


def test_large_configuration_is_refused(
    tmp_path, monkeypatch, entry, sequential, write_zip
):
    path = write_zip(tmp_path / "m.keras", sequential(entry("Dense", "a")), {})
    monkeypatch.setattr(archive, "MAX_CONFIG_BYTES", 10)

    with pytest.raises(
        NetworkError, match=r"config.json has \d+ bytes, expected at most"
    ):
        read_archive(path)


def test_other_number_types_are_refused(tmp_path, entry, sequential, write_h5):
    path = write_h5(tmp_path / "m.h5", sequential(entry("Dense", "a")), {"a": [[1]]})
    with h5py.File(path, "a") as file:
        del file["model_weights/a/a/0"]
        file["model_weights/a/a/0"] = np.zeros(3, np.float16)

    refuses(
        path, "weight 'a/0' is float16, expected float32: save the model in float32"
    )
