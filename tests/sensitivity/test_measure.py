"""The sensitivity stage on a small network that the earlier stages made."""

import numpy as np
import pytest
import torch

import hawq.model.stage
from hawq.data.dataset import Dataset, split_dataset
from hawq.errors import UnknownNameError
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.records import SensitivityMap
from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.stage import VALIDATION, Settings, run
from hawq.sensitivity.validate import Validation
from hawq.stage import StageContext

LAYERS = ["fc1.weight", "fc1.bias", "relu1", "fc2.weight", "fc2.bias"]
SITES = [
    "input", *LAYERS, "relu2", "fc3.weight", "fc3.bias", "relu3", "fc4.weight",
    "fc4.bias",
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Finished folders of data and model: 3 features, net 3-6-5-4-3 with batch norm."""
    root = tmp_path_factory.mktemp("flow")
    folders = {name: root / name for name in ("data", "model")}
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = np.array([[80, 20, 1], [20, 50, 3], [170, 60, 2]])[y]
    x = x + [40, 16, 1] * rng.normal(size=(600, 3))
    names = ("mass", "multiplicity", "width"), ("g", "q", "t")
    split = split_dataset(Dataset(x, y, *names), (0.6, 0.2, 0.2), 0)
    for name, part in split._asdict().items():
        part.save(folders["data"] / f"{name}.h5")
    folders["model"].mkdir()
    settings = hawq.model.stage.Settings(
        epochs=4, batch_size=32, batch_norm=True, arguments={"hidden": [6, 5, 4]}
    )
    context = StageContext(folders["model"], settings, folders, 1)
    hawq.model.stage.run(context).save(folders["model"] / "record.json")
    return folders


@pytest.fixture
def measured(inputs, tmp_path):
    """Run the stage; returns its record, its folder and what it told."""

    def measure_with(seed=1, **settings):
        folder = tmp_path / f"sensitivity{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        told = []
        context = StageContext(
            folder,
            Settings(**settings),
            inputs,
            seed,
            progress=lambda _, fraction: told.append((
                fraction,
                torch.get_num_threads(),
            )),
        )
        record = run(context)
        record.save(folder / "record.json")
        return record, folder, told

    return measure_with


def test_the_map_is_the_sources_on_the_folded_network(measured, inputs):
    record, folder, told = measured(samples=200, batch_size=64, validation_bits=(3, 5))

    assert [entry.site.name for entry in record.sites] == SITES
    assert (record.source, record.route, record.samples) == (
        "hessian_trace", "exact", 200,
    )  # fmt: skip
    network, model = load_float(inputs["model"])
    train = Dataset.read(inputs["data"] / "train.h5")
    rows = np.sort(np.random.default_rng(1).permutation(len(train))[:200])
    x = torch.from_numpy(standardise(train.x[rows], model))
    y = torch.from_numpy(train.y[rows])
    expected = hessian_trace(fold_batch_norm(network), [(x, y)])
    for found, entry in zip(record.sites, expected.sites, strict=True):
        assert found.score == pytest.approx(entry.score, rel=1e-4)  # float32
    read = SensitivityMap.read(folder / "record.json")
    np.testing.assert_array_equal(read["fc1.weight"].element.shape, (6, 3))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_other_sources_and_the_validation_are_beside_it(measured):
    _, folder, _ = measured(samples=128, validation_bits=(4, 6))

    for name in ("hessian_trace", "top_eigenvalue", "fisher"):
        found = SensitivityMap.read(folder / "sources" / f"{name}.json")
        assert (found.source, len(found.sites)) == (name, 12)
    result = Validation.model_validate_json((folder / VALIDATION).read_text())
    assert [(t.site, t.bits) for t in result.trials[:2]] == [("input", 4), ("input", 6)]
    assert len(result.trials) == 24


def test_another_source_without_comparison(measured):
    record, folder, _ = measured(
        source="fisher", compare=(), validation_bits=(), samples=64
    )

    assert record.source == "fisher"
    assert sorted(path.name for path in folder.iterdir()) == [
        "record.json", "record.npz",
    ]  # fmt: skip


@pytest.mark.parametrize("before", [1, 2])
def test_the_threads_are_those_of_the_settings_and_put_back(measured, before):
    kept = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        _, _, told = measured(threads=3 - before, samples=64, validation_bits=())
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(kept)
    assert {threads for _, threads in told} == {3 - before}
    assert after == before


def test_the_seed_chooses_samples_and_probes(measured):
    quick = {
        "samples": 64, "route": "stochastic", "max_probes": 4, "compare": (),
        "validation_bits": (),
    }  # fmt: skip
    one, other = (measured(seed=seed, **quick)[0] for seed in (1, 2))
    again = measured(seed=1, **quick)[0]
    assert again.model_dump() == one.model_dump()
    assert one["input"].score != other["input"].score


def test_an_unknown_source_is_refused_before_anything_is_measured(measured):
    message = (
        r"^hawq\.sensitivity has no 'hessian' \(did you mean 'hessian_trace'\?\); it "
        r"knows: fisher, hessian_trace, top_eigenvalue$"
    )
    with pytest.raises(UnknownNameError, match=message):
        measured(source="hessian")
