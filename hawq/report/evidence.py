"""Everything the stages of a flow left behind, read once and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hawq import manifest
from hawq.csim.record import LadderRecord
from hawq.data.compare import match
from hawq.data.dataset import Dataset
from hawq.data.readers import read_dataset
from hawq.data.record import DataRecord
from hawq.errors import StageError
from hawq.export.stage import ExportRecord
from hawq.manifest import RECORD, Manifest
from hawq.model.record import ModelRecord
from hawq.records import Allocation, FirmwareProject, Record, SensitivityMap
from hawq.report.outputs import Outputs, read_outputs
from hawq.rtl.stage import RtlRecord
from hawq.sensitivity.stage import VALIDATION
from hawq.sensitivity.validate import Validation
from hawq.synthesis.stage import SynthesisRecord
from hawq.training.record import TrainingRecord

_Kind = TypeVar("_Kind", bound=Record)


@dataclass(frozen=True)
class Evidence:
    """What the report is made from; a stage that did not run left None.

    Attributes:
        folders: Stage → its finished folder.
        manifests: Stage → its manifest.
        test: The generated jets that chose nothing.
        data: Record of the data stage.
        model: Of the float network.
        sensitivity: Without channel and element arrays.
        validation: Predicted against measured rise of the loss, if the stage tried.
        allocation: The chosen one.
        uniform: The baseline of equal bits, if it could be met.
        against: The baseline of reversed sensitivities.
        training: Of quantization-aware training.
        export: Of the QONNX file.
        hls: Of the firmware project.
        csim: Of the ladder.
        rtl: Of the RTL, with rung 5.
        synthesis: Of every target, with rung 6.
        outputs: Of firmware and float network on the test jets.
    """

    folders: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    test: Dataset
    data: DataRecord
    model: ModelRecord | None
    sensitivity: SensitivityMap | None
    validation: Validation | None
    allocation: Allocation | None
    uniform: Allocation | None
    against: Allocation | None
    training: TrainingRecord | None
    export: ExportRecord | None
    hls: FirmwareProject | None
    csim: LadderRecord | None
    rtl: RtlRecord | None
    synthesis: SynthesisRecord | None
    outputs: Outputs | None

    @property
    def logits(self) -> dict[str, NDArray[Any]]:
        """Network → its logits on the same test jets; empty without a network."""
        if self.outputs is not None:
            return {
                "float": self.outputs.float_logits,
                "firmware": self.outputs.firmware_logits,
            }
        if self.model is not None:
            x = _standardised(self.test, self.model)
            return {"float": _float_logits(self.folders["model"], x)}
        return {}

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of the samples of ``logits``."""
        return self.test.y if self.outputs is None else self.outputs.labels


def read(folders: Mapping[str, Path]) -> Evidence:
    """Read the records of the stages that ran.

    Args:
        folders: Stage → its finished folder; at least ``data``.

    Returns:
        The evidence.

    Raises:
        StageError: if a folder lacks its manifest, or a record is missing or damaged.
    """
    manifests = {}
    for name, folder in folders.items():
        found = manifest.read(folder)
        if found is None:
            raise StageError(f"{folder} is missing: run the stage {name} again")
        manifests[name] = found

    def record(stage: str, kind: type[_Kind], file: str = RECORD) -> _Kind | None:
        path = folders[stage] / file if stage in folders else None
        return (
            _record(path, kind) if path and (file == RECORD or path.exists()) else None
        )

    data = _record(folders["data"] / RECORD, DataRecord)
    return Evidence(
        folders=folders,
        manifests=manifests,
        test=Dataset.read(folders["data"] / "test.h5"),
        data=data,
        model=record("model", ModelRecord),
        sensitivity=record("sensitivity", SensitivityMap),
        validation=record("sensitivity", Validation, VALIDATION),
        allocation=record("allocation", Allocation),
        uniform=record("allocation", Allocation, "uniform.json"),
        against=record("allocation", Allocation, "reversed.json"),
        training=record("training", TrainingRecord),
        export=record("export", ExportRecord),
        hls=record("hls", FirmwareProject),
        csim=record("csim", LadderRecord),
        rtl=record("rtl", RtlRecord),
        synthesis=record("synthesis", SynthesisRecord),
        outputs=read_outputs(folders) if "csim" in folders else None,
    )


@dataclass(frozen=True)
class Real:
    """The user's real jets.

    Attributes:
        jets: Raw units.
        is_matched: Whether their units were unknown, and one affine map a feature was
            fitted to the generated training jets.
        outputs: Of firmware and float network on them, if there is firmware.
    """

    jets: Dataset
    is_matched: bool
    outputs: Outputs | None


def read_real(evidence: Evidence, path: Path, is_matched: bool) -> Real:
    """Read real jets, and run float network and firmware's integers on them.

    The integers come from the golden executor, which the ladder proved equal to the
    firmware.

    Args:
        evidence: What the stages left.
        path: The user's file, with the data stage's features and classes.
        is_matched: Fit one affine map a feature, for jets in unknown units.

    Returns:
        The jets and the outputs.
    """
    jets = read_dataset(path, evidence.data.features, evidence.data.classes)
    if is_matched:
        train = Dataset.read(evidence.folders["data"] / "train.h5")
        jets = match(train, jets).inverse().apply(jets)
    if evidence.csim is None or evidence.model is None:
        return Real(jets, is_matched, None)
    x = _standardised(jets, evidence.model)
    outputs = Outputs(
        _golden_integers(evidence.folders["export"] / "network.onnx", x),
        evidence.csim.output_fraction,
        _float_logits(evidence.folders["model"], x).astype(np.float64),
        jets.y,
        jets.classes,
    )
    return Real(jets, is_matched, outputs)


def _record(path: Path, kind: type[_Kind]) -> _Kind:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        what = str(error).replace("\n", " ")
        raise StageError(
            f"{path} is missing or damaged: run its stage again ({what})"
        ) from error


def _standardised(dataset: Dataset, model: ModelRecord) -> NDArray[np.float32]:
    from hawq.model.network import standardise

    return standardise(dataset.x, model)


def _float_logits(folder: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    from hawq.model.network import load_float

    network, _ = load_float(folder)
    with torch.no_grad():
        logits: NDArray[np.float32] = network(torch.from_numpy(x)).numpy()
    return logits


def _golden_integers(path: Path, x: NDArray[np.float32]) -> NDArray[np.int64]:
    from hawq.integer.execute import run
    from hawq.integer.lower import lower_qonnx

    graph = lower_qonnx(path)
    integers: NDArray[np.int64] = run(graph, x)[graph.outputs[0]].astype(np.int64)
    return integers.reshape(len(x), -1)
