"""Read a network from any kind of file: one QONNX model comes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import FormatError, NetworkError
from hawq.fixed import QONNX_ROUNDING, FixedPoint, Overflow
from hawq.frontend.normalise import normalise
from hawq.frontend.safety import load_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANT_DOMAIN = "qonnx.custom_op.general"
_DATATYPE = re.compile(
    r"(?P<unsigned>U)?INT(?P<bits>[1-9]\d?)|(?P<narrow>BIPOLAR|TERNARY)"
)
SUFFIXES = (".onnx", ".h5", ".hdf5", ".keras")


class Kind(StrEnum):
    """What a network came as."""

    QONNX = "QONNX"
    ONNX_QDQ = "ONNX with quantized operators"
    KERAS = "Keras"
    PYTORCH = "PyTorch folder"


@dataclass(frozen=True, eq=False)
class Network:
    """A network, ready to be lowered.

    Attributes:
        name: Stem of the file.
        kind: What it came as.
        path: Where it came from.
        model: Quantization stands as QONNX nodes.
    """

    name: str
    kind: Kind
    path: Path
    model: onnx.ModelProto


def is_network(path: Path) -> bool:
    """Tell whether a path is a network rather than a flow.

    Args:
        path: Of a file or a folder.

    Returns:
        Whether ``read_network`` knows its kind.
    """
    return path.suffix.lower() in SUFFIXES or (path / "network.py").is_file()


def read_network(
    path: Path,
    *,
    input_format: FixedPoint | None = None,
    data: NDArray[np.float32] | None = None,
    bits: int = 8,
) -> Network:
    """Read a QONNX, ONNX, Keras or QKeras file, or a PyTorch folder.

    Args:
        path: A ``.onnx``, ``.h5`` or ``.keras`` file, or a folder with ``network.py``.
        input_format: Put a quantizer of this format on inputs that have none.
        data: Samples to calibrate a PyTorch network with that is not quantized.
        bits: Width such a network is quantized to.

    Returns:
        The network.

    Raises:
        NetworkError: if it cannot be read, or holds what cannot be carried.
    """
    suffix = path.suffix.lower()
    if (path / "network.py").is_file():
        from hawq.frontend.torch_folder import read_torch_folder

        kind, model = Kind.PYTORCH, read_torch_folder(path, data, bits)
    elif suffix == ".onnx":
        given = load_onnx(path)
        quantized = any("Linear" in n.op_type for n in given.graph.node)
        kind, model = Kind.ONNX_QDQ if quantized else Kind.QONNX, normalise(given)
    elif suffix in SUFFIXES:
        from hawq.frontend.keras.read import read_keras

        kind, model = Kind.KERAS, read_keras(path)
    else:
        known = ", ".join(SUFFIXES)
        raise NetworkError(
            f"{path}: not a network: expected a file {known}, or a folder with "
            "network.py"
        )
    model = quantize_annotated(model)
    if input_format is not None:
        model = quantize_inputs(model, input_format)
    return Network(path.stem, kind, path, model)


def quantize_annotated(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the quantizer on an input that its datatype annotation speaks of.

    An input that the file declares to be ``INT8``, ``UINT2`` or ``BIPOLAR`` holds just
    those numbers.

    Args:
        model: Left as it is.

    Returns:
        A copy.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    constants = {t.name for t in out.graph.initializer}
    inputs = {v.name for v in out.graph.input} - constants
    for note in out.graph.quantization_annotation:
        types = {p.key: p.value for p in note.quant_parameter_tensor_names}
        found = _DATATYPE.fullmatch(types.get("finn_datatype", ""))
        name = note.tensor_name
        if found is None or name not in inputs or _is_quantized(out.graph, name):
            continue
        if found["bits"]:
            bits, signed = int(found["bits"]), not found["unsigned"]
            _insert(out, name, FixedPoint(signed, bits, bits), "ROUND")
        elif found["narrow"] == "TERNARY":
            symmetric = Overflow.SATURATE_SYMMETRIC
            _insert(out, name, FixedPoint(True, 2, 2, overflow=symmetric), "ROUND")
        else:
            _insert(out, name, None, "")
    return out


def quantize_inputs(model: onnx.ModelProto, form: FixedPoint) -> onnx.ModelProto:
    """Put a quantizer on every input that has none.

    Args:
        model: Left as it is.
        form: Of the quantizer.

    Returns:
        A copy; its inputs keep their names.

    Raises:
        FormatError: if QONNX has no such rounding or overflow mode.
    """
    modes = {rounding: name for name, rounding in reversed(QONNX_ROUNDING.items())}
    if form.rounding not in modes or form.overflow is Overflow.WRAP:
        raise FormatError(
            f"QONNX has no quantizer {form.ap_type()}: expected rounding "
            f"{', '.join(r.value for r in modes)}, and saturation"
        )
    out = onnx.ModelProto()
    out.CopyFrom(model)
    constants = {t.name for t in out.graph.initializer}
    for value in out.graph.input:
        if value.name not in constants and not _is_quantized(out.graph, value.name):
            _insert(out, value.name, form, modes[form.rounding])
    return out


def _is_quantized(graph: onnx.GraphProto, name: str) -> bool:
    readers = [node for node in graph.node if name in node.input]
    return all(
        node.op_type in ("Quant", "IntQuant", "BipolarQuant") for node in readers
    )


def _insert(
    model: onnx.ModelProto, name: str, form: FixedPoint | None, mode: str
) -> None:
    """Put a ``Quant`` behind an input, or a ``BipolarQuant`` if there is no format."""
    graph = model.graph
    output = f"{name}_quantized"
    for node in graph.node:
        for i, read in enumerate(node.input):
            if read == name:
                node.input[i] = output
    names = [name]
    parts: dict[str, Any] = {"scale": 1}
    if form is not None:
        parts = {"scale": form.step, "zero_point": 0, "bits": form.width}
    for part, number in parts.items():
        names.append(f"{name}_{part}")
        value = np.array(float(number), dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(value, names[-1]))
    attributes: dict[str, Any] = {}
    if form is not None:
        narrow = form.overflow is Overflow.SATURATE_SYMMETRIC
        attributes = {"signed": int(form.signed), "narrow": int(narrow)}
        attributes["rounding_mode"] = mode
    node = helper.make_node(
        "BipolarQuant" if form is None else "Quant",
        names,
        [output],
        name=f"{name}_quantizer",
        domain=QUANT_DOMAIN,
        **attributes,
    )
    graph.node.insert(0, node)
    given = next(v for v in graph.input if v.name == name)
    described = graph.value_info.add()
    described.CopyFrom(given)
    described.name = output
    described.type.tensor_type.elem_type = TensorProto.FLOAT
    if all(opset.domain != QUANT_DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(QUANT_DOMAIN, 1))
