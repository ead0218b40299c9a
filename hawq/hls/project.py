"""Write an hls4ml project whose every type comes from the graph."""

from __future__ import annotations

import contextlib
import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import InexactError, InputError
from hawq.fixed import FixedPoint
from hawq.hls.types import LayerTypes, layer_types
from hawq.integer.lower import lower_qonnx
from hawq.records import FirmwareProject

if TYPE_CHECKING:
    from hawq.hls.stage import Settings

PROJECT = "network"
"""Name of the top function and of the project's files."""

RESERVED = "input"

_MODES = re.compile(r",(?:AP_)?TRN,(?:AP_)?WRAP(?:,0)?>$|,0>$")


def build_project(qonnx: Path, folder: Path, settings: Settings) -> FirmwareProject:
    """Convert a QONNX file to an hls4ml project and check what hls4ml made of it.

    Args:
        qonnx: The tidy QONNX file.
        folder: Where the project goes.
        settings: Target, interface, strategy, reuse factor, part and clock.

    Returns:
        The project, with the types read back from it.

    Raises:
        InputError: if hls4ml would change the reuse factor or the strategy.
        InexactError: if a variable does not have the type the graph demands.
    """
    model = ModelWrapper(str(qonnx))
    types = layer_types(model, lower_qonnx(qonnx))
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "hls4ml.log").open("w") as log,
        contextlib.redirect_stdout(log),
    ):
        converted = _convert(model, folder, types, settings)
        _impose(converted, types)
        _check_schedule(converted, settings)
        read_back = _check_types(converted, types)
        converted.config.trace_output = True
        converted.write()
    return FirmwareProject(
        backend="hls4ml",
        target=settings.target,
        folder=folder.name,
        io_type=settings.io_type,
        strategy=settings.strategy,
        reuse_factor=settings.reuse_factor,
        part=settings.part,
        clock_ns=settings.clock_ns,
        types=read_back,
        trace={wanted.tensor: layer for layer, wanted in types.items()},
    )


def _convert(
    model: ModelWrapper, folder: Path, types: dict[str, LayerTypes], settings: Settings
) -> Any:
    import hls4ml

    model = _avoid_reserved_name(model)
    config = hls4ml.utils.config_from_onnx_model(
        model,
        granularity="name",
        backend=settings.target,
        default_precision="fixed<32,16>",
        default_reuse_factor=settings.reuse_factor,
    )
    config["Model"]["Strategy"] = settings.strategy.capitalize()
    for layer in config["LayerName"].values():
        layer["Trace"] = True
    source = model.graph.input[0].name
    config["LayerName"][source]["Precision"]["result"] = types[source].result.ap_type()
    return hls4ml.converters.convert_from_onnx_model(
        model,
        output_dir=str(folder),
        project_name=PROJECT,
        backend=settings.target,
        io_type=settings.io_type,
        part=settings.part,
        clock_period=settings.clock_ns,
        hls_config=config,
    )


def _avoid_reserved_name(model: ModelWrapper) -> ModelWrapper:
    """Rename a tensor called ``input``.

    hls4ml 1.3 takes that name as the source of the graph's first layer; with streams
    the loop becomes a second copy of the input that nobody empties, on which hardware
    would hang.

    Args:
        model: Left as it is.

    Returns:
        A copy without such a tensor.
    """
    model = copy.deepcopy(model)
    names = {*model.get_all_tensor_names(), *(t.name for t in model.graph.input)}
    free = next(
        n for n in map("input_{}".format, range(len(names) + 1)) if n not in names
    )
    if RESERVED in names - {t.name for t in model.graph.input}:
        model.rename_tensor(RESERVED, free)
    return model


def _impose(converted: Any, types: dict[str, LayerTypes]) -> None:
    """Replace hls4ml's own guess at accumulators and sums by the proven formats."""
    from hls4ml.backends.fpga.fpga_types import APTypeConverter
    from hls4ml.model.types import FixedPrecisionType

    for layer in converted.get_layers():
        wanted = types.get(layer.name)
        if wanted is None or not wanted.sums:
            continue
        form = wanted.result
        for variable in (layer.get_attr("accum_t"), layer.get_output_variable().type):
            precision = FixedPrecisionType(form.width, form.integer, form.signed)
            variable.precision = APTypeConverter().convert(precision)


def _check_schedule(converted: Any, settings: Settings) -> None:
    for layer in converted.get_layers():
        if layer.class_name != "Dense":
            continue
        reuse = layer.get_attr("reuse_factor")
        if reuse != settings.reuse_factor:
            inputs, outputs = layer.get_attr("n_in"), layer.get_attr("n_out")
            valid = converted.config.backend.get_valid_reuse_factors(inputs, outputs)
            raise InputError(
                f"layer {layer.name!r} ({inputs} x {outputs}) cannot have the reuse "
                f"factor {settings.reuse_factor}: hls4ml would take {reuse}; "
                f"valid: {', '.join(map(str, valid))}"
            )
        strategy = str(layer.get_attr("strategy")).lower()
        if strategy != settings.strategy:
            raise InputError(
                f"layer {layer.name!r} cannot have the strategy {settings.strategy!r}: "
                f"hls4ml would take {strategy!r}"
            )


def _check_types(converted: Any, types: dict[str, LayerTypes]) -> dict[str, str]:
    """Compare the types hls4ml holds with those the graph demands."""
    found: dict[str, str] = {}
    for layer in converted.get_layers():
        if layer.name not in types:
            raise InexactError(
                f"hls4ml made a layer {layer.name!r} ({layer.class_name}) that the "
                f"graph does not have; expected: {', '.join(types)}"
            )
        wanted = types[layer.name]
        _expect(
            wanted.tensor, layer.get_output_variable().type.precision, wanted.result
        )
        found[wanted.tensor] = str(layer.get_output_variable().type.precision)
        for name, variable in layer.weights.items():
            found[f"{wanted.tensor}.{name}"] = str(variable.type.precision)
        if wanted.sums:
            accumulator = layer.get_attr("accum_t").precision
            _expect(f"{wanted.tensor} (accumulator)", accumulator, wanted.result)
            found[f"{wanted.tensor}.accumulator"] = str(accumulator)
    missing = set(types) - {layer.name for layer in converted.get_layers()}
    if missing:
        raise InexactError(f"hls4ml dropped the layers {', '.join(sorted(missing))}")
    return found


def _expect(tensor: str, precision: Any, wanted: FixedPoint) -> None:
    got, expected = (
        _MODES.sub(">", text) for text in (str(precision), wanted.ap_type())
    )
    if got != expected:
        raise InexactError(
            f"tensor {tensor!r} has type {precision} in the firmware, but the graph "
            f"demands {wanted.ap_type()}"
        )
