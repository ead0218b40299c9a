from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from pydantic import ValidationError

from hawq.build import Options, build_flow
from hawq.csim.network import Sets, compare_executor
from hawq.data.dataset import Dataset
from hawq.export.stage import ExportRecord
from hawq.flow import find, read
from hawq.integer.execute import trace
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise
from hawq.records import Allocation
from hawq.training.record import TrainingRecord
from hawq.training.stage import Settings, load_quantized

QUICK = (
    "data.samples_per_class=100",
    "model.epochs=2",
    "sensitivity.samples=200",
    "allocation.pareto_points=2",
    'training.method="calibration"',
)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small flow with nothing trained at the allocated bits, up to export."""
    root = tmp_path_factory.mktemp("build")
    flow = read(find("jets_small"), QUICK)
    options = Options(stop="export", workers=1)
    return build_flow(flow, root, options, [].append)


def test_calibration_trains_nothing(calibrated: dict[str, Path]) -> None:
    text = (calibrated["training"] / "record.json").read_text()
    record = TrainingRecord.model_validate_json(text)
    assert (record.method, record.epochs, record.best_epoch) == ("calibration", (), 0)
    assert record.validation == record.before
    chosen = (calibrated["allocation"] / "record.json").read_text()
    choices = Allocation.model_validate_json(chosen).choices
    assert record.formats == {choice.site: choice.format for choice in choices}
    network, _ = load_float(calibrated["model"])
    twin = load_quantized(calibrated).state_dict()
    for name, weights in network.state_dict().items():
        torch.testing.assert_close(twin[name], weights, rtol=0, atol=0)


def test_calibrated_network_is_proved_as_a_trained_one_is(
    calibrated: dict[str, Path],
) -> None:
    text = (calibrated["export"] / "record.json").read_text()
    path = calibrated["export"] / ExportRecord.model_validate_json(text).file
    graph = lower_qonnx(path)
    _, model = load_float(calibrated["model"])
    x = standardise(Dataset.read(calibrated["data"] / "test.h5").x, model)[:25]
    golden = trace(graph, x)
    sets = Sets({"jets": {"features": x}}, {"jets": golden})
    found = compare_executor(onnx.load(path), graph, sets, samples=len(x))
    assert found.equal
    assert {t.tensor for t in found.tensors} == set(graph.tensors)
    assert sum(t.noise for t in found.tensors) == 0
    with torch.no_grad():
        logits = load_quantized(calibrated).double()(torch.from_numpy(x).double())
    np.testing.assert_array_equal(
        golden["fc4"], np.ldexp(logits.numpy(), graph.tensors["fc4"].fraction)
    )


def test_qat_is_the_default() -> None:
    assert Settings().method == "qat"


def test_calibration_cannot_learn_scales() -> None:
    message = r'scales = "learned" needs method = "qat": calibration trains nothing'
    with pytest.raises(ValidationError, match=message):
        Settings(method="calibration", scales="learned")
