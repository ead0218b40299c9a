"""The ``export`` stage: trained network → QONNX."""

from __future__ import annotations

from hawq.records import Record
from hawq.stage import StageContext, StageSettings


class Settings(StageSettings):
    """Settings of the ``[export]`` table: there are none yet."""


class ExportRecord(Record):
    """A QONNX file.

    Attributes:
        file: Name, relative to the record.
        sha256: Of the file.
        inputs: Name of the input → shape of one sample.
        outputs: Name of the output → shape of one sample.
        formats: Tensor → exact fixed-point format, accumulators by proven bounds.
        bops: Bit operations a sample that the QONNX tools themselves count in the file.
    """

    file: str
    sha256: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    formats: dict[str, str]
    bops: float


def run(context: StageContext) -> ExportRecord:
    """Export the trained network.

    Args:
        context: With ``model``, ``allocation`` and ``training`` among its inputs.

    Returns:
        The record; the file is ``network.onnx``.
    """
    import hashlib

    from hawq.export.annotate import annotate, count_bops
    from hawq.export.qonnx import export_qonnx
    from hawq.training.stage import load_quantized

    context.progress("exporting to QONNX", 0.1)
    path = context.folder / "network.onnx"
    export_qonnx(load_quantized(context.inputs), path)
    context.progress("annotating datatypes", 0.8)
    graph = annotate(path)
    return ExportRecord(
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        inputs={i.name: i.shape for i in graph.inputs},
        outputs={name: graph.tensors[name].shape for name in graph.outputs},
        formats={name: t.format.ap_type() for name, t in graph.tensors.items()},
        bops=count_bops(path),
    )
