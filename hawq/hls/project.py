"""Write an hls4ml project whose every type comes from the graph."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import InexactError, InputError, NetworkError
from hawq.fixed import AP_OVERFLOW, AP_ROUNDING, FixedPoint, Rounding
from hawq.hls.passes.names import avoid_reserved
from hawq.hls.passes.quantizers import spell_roundings
from hawq.hls.prepare import Prepared, prepare
from hawq.hls.support import unsupported
from hawq.hls.types import LayerTypes, layer_types
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_model
from hawq.records import FirmwareProject, StoredLayout

if TYPE_CHECKING:
    from hawq.hls.stage import Settings

PROJECT = "network"
"""Name of the top function and of the project's files."""

INSERTED = ("Clone", "Repack", "Reshape", "ZeroPadding1D", "ZeroPadding2D", "Broadcast")
"""Layers of hls4ml's own, which hand values on."""


def build_project(qonnx: Path, folder: Path, settings: Settings) -> FirmwareProject:
    """Convert a QONNX file to an hls4ml project and check what hls4ml made of it.

    Args:
        qonnx: The QONNX file.
        folder: Where the project goes.
        settings: Target, interface, strategy, reuse factor, part and clock.

    Returns:
        The project, with the types read back from it.

    Raises:
        NetworkError: if hls4ml cannot carry the network exactly.
        InputError: if hls4ml would change the reuse factor or the strategy.
        InexactError: if a variable does not have the type the graph demands.
    """
    model = onnx.load(str(qonnx))
    graph = lower_model(model)
    reasons = unsupported(model, graph, settings)
    if reasons:
        raise NetworkError("; ".join(reasons))
    prepared = prepare(model, graph)
    types = layer_types(prepared.model, prepared.graph)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "hls4ml.log").open("w") as log,
        contextlib.redirect_stdout(log),
    ):
        converted = _convert(prepared, folder, types, settings)
        _impose(converted, types)
        _check_schedule(converted, settings)
        read_back = _check_types(converted, types)
        check_weights(converted)
        converted.config.trace_output = stores_layers(settings)
        converted.write()
    outputs = _outputs(converted, types, prepared)
    return FirmwareProject(
        backend="hls4ml",
        target=settings.target,
        folder=folder.name,
        io_type=settings.io_type,
        strategy=settings.strategy,
        reuse_factor=settings.reuse_factor,
        reuse_factors=settings.reuse_factors,
        part=settings.part,
        clock_ns=settings.clock_ns,
        types=read_back,
        trace=_trace(types, graph, outputs, settings),
        input=next(iter(types)),
        outputs=outputs,
        layouts={
            graph.inputs[0].name if name == prepared.input else name: StoredLayout(
                shape=layout.shape, order=layout.order
            )
            for name, layout in prepared.layouts.items()
        },
    )


def _trace(
    types: dict[str, LayerTypes],
    graph: Graph,
    outputs: tuple[str, ...],
    settings: Settings,
) -> dict[str, str]:
    stores, source = stores_layers(settings), next(iter(types))
    trace = {
        wanted.tensor: layer
        for layer, wanted in types.items()
        if wanted.tensor in graph.tensors and (stores or layer == source)
    }
    return trace | {name: trace.get(name, "") for name in outputs}


def stores_layers(settings: Settings) -> bool:
    """Tell whether the firmware can store the output of every layer.

    With streams for Quartus hls4ml 1.3 reads the last stream in place of each, which is
    empty by then: C-simulation crashes, or gives the output for every layer.

    Args:
        settings: Target and interface.

    Returns:
        Whether it can.
    """
    return not (settings.target == "Quartus" and settings.io_type == "io_stream")


def _outputs(
    converted: Any, types: dict[str, LayerTypes], prepared: Prepared
) -> tuple[str, ...]:
    """Name the tensors at the firmware's output ports, in the ports' order."""
    names = []
    for variable in converted.outputs:
        layer = next(n for n in converted.get_layers() if variable in n.outputs)
        while layer.name not in types:
            layer = layer.get_input_node()
        names.append(prepared.output_of(types[layer.name].tensor))
    return tuple(names)


def _convert(
    prepared: Prepared, folder: Path, types: dict[str, LayerTypes], settings: Settings
) -> Any:
    import hls4ml

    proto = avoid_reserved(prepared.model)
    spell_roundings(proto)
    model = ModelWrapper(proto)
    config = hls4ml.utils.config_from_onnx_model(
        model,
        granularity="name",
        backend=settings.target,
        default_precision="fixed<32,16>",
        default_reuse_factor=settings.reuse_factor,
    )
    config["Model"]["Strategy"] = settings.strategy.capitalize()
    for name, layer in config["LayerName"].items():
        layer["Trace"] = True
        layer["ReuseFactor"] = settings.reuse_of(name)
    for wanted in types.values():
        precision = config["LayerName"][wanted.node].setdefault("Precision", {})
        for name, form in wanted.others.items():
            precision[name.removesuffix("_t")] = form.ap_type()
        if not wanted.merges:
            precision["result"] = _spelt(wanted.result).ap_type()
        bias = config["LayerName"].get(f"{wanted.node}_bias")
        if bias is not None:  # of a type, it is merged with nothing behind it
            bias["Precision"]["result"] = wanted.others["accum_t"].ap_type()
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


def _spelt(form: FixedPoint) -> FixedPoint:
    """Spell a rounding mode as in the file that hls4ml gets: it compares the two."""
    known = (Rounding.HALF_EVEN, Rounding.FLOOR)
    return form if form.rounding in known else replace(form, rounding=known[0])


def _impose(converted: Any, types: dict[str, LayerTypes]) -> None:
    """Replace hls4ml's own guess at every variable by the proven formats."""
    formats: dict[str, FixedPoint] = {}
    for layer in converted.get_layers():
        wanted = types.get(layer.name)
        if wanted is None and layer.class_name in INSERTED:
            form: FixedPoint | None = formats[layer.inputs[0]]
        else:
            form = wanted.result if wanted else None
        if form is None:
            continue
        for output in layer.outputs:
            formats[output] = form
            _set(layer.get_output_variable(output).type, form)
        for name, other in (wanted.others if wanted else {}).items():
            if layer.get_attr(name) is not None:
                _set(layer.get_attr(name), other)
                weights = layer.weights.get(name.removesuffix("_t"))
                if weights is not None:
                    weights.update_precision(layer.get_attr(name).precision)


def _set(variable: Any, form: FixedPoint) -> None:
    from hls4ml.backends.fpga import fpga_types
    from hls4ml.model.types import FixedPrecisionType, RoundingMode, SaturationMode

    is_ac = type(variable.precision).__name__.startswith("AC")
    convert = fpga_types.ACTypeConverter if is_ac else fpga_types.APTypeConverter
    variable.precision = convert().convert(
        FixedPrecisionType(
            form.width,
            form.integer,
            form.signed,
            RoundingMode[AP_ROUNDING[form.rounding]],
            SaturationMode[AP_OVERFLOW[form.overflow]],
            0,
        )
    )


def _check_schedule(converted: Any, settings: Settings) -> None:
    backend = converted.config.backend
    products = [
        layer
        for layer in converted.get_layers()
        if layer.class_name in ("Dense", "Conv1D", "Conv2D")
    ]
    names = [layer.name.partition("_")[2] for layer in products]  # Dense_fc1
    if unknown := [name for name in settings.reuse_factors if name not in names]:
        raise InputError(
            f"hls.reuse_factors names {unknown[0]!r}, which is no layer with "
            f"multiplications; those are {', '.join(names)}"
        )
    for name, layer in zip(names, products, strict=True):
        reuse = layer.get_attr("reuse_factor")
        if reuse != (asked := settings.reuse_of(name)):
            inputs, outputs = backend.get_layer_mult_size(layer)
            valid = backend.get_valid_reuse_factors(inputs, outputs)
            raise InputError(
                f"layer {layer.name!r} ({inputs} x {outputs}) cannot have the reuse "
                f"factor {asked}: hls4ml would take {reuse}; "
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
            if layer.class_name in INSERTED:
                continue
            raise InexactError(
                f"hls4ml made a layer {layer.name!r} ({layer.class_name}) that the "
                f"graph does not have; expected: {', '.join(types)}"
            )
        wanted = types[layer.name]
        variables = [("", layer.get_output_variable().type, wanted.result)]
        for name, label in (("accum_t", ".accumulator"), ("param_t", ".slope")):
            if name in wanted.others and layer.get_attr(name) is not None:
                variables.append((label, layer.get_attr(name), wanted.others[name]))
        for suffix, variable, form in variables:
            _expect(f"{wanted.tensor}{suffix}", variable.precision, form)
            found[f"{wanted.tensor}{suffix}"] = spell(variable.precision)
        for name, variable in layer.weights.items():
            found[f"{wanted.tensor}.{name}"] = spell(variable.type.precision)
    missing = set(types) - {layer.name for layer in converted.get_layers()}
    if missing:
        raise InexactError(f"hls4ml dropped the layers {', '.join(sorted(missing))}")
    return found


def spell(precision: Any) -> str:
    """Spell a type of hls4ml in full, whatever the vendor calls it.

    Args:
        precision: A fixed-point or integer type of hls4ml.

    Returns:
        For example ``fixed<8,3,RND_CONV,SAT,0>``.
    """
    base = "fixed" if precision.signed else "ufixed"
    rounding = getattr(precision, "rounding_mode", None) or "TRN"
    overflow = getattr(precision, "saturation_mode", None) or "WRAP"
    return f"{base}<{precision.width},{precision.integer},{rounding},{overflow},0>"


def _expect(tensor: str, precision: Any, wanted: FixedPoint) -> None:
    if spell(precision) != wanted.ap_type():
        raise InexactError(
            f"tensor {tensor!r} has type {spell(precision)} in the firmware, but the "
            f"graph demands {wanted.ap_type()}"
        )


def check_weights(converted: Any) -> None:
    """Demand that every constant be printed as exactly the number it is.

    Args:
        converted: hls4ml's model, about to be written.

    Raises:
        InexactError: if a constant's type or its printed decimals change it.
    """
    for layer in converted.get_layers():
        for name, variable in layer.weights.items():
            precision = variable.type.precision
            if not hasattr(precision, "width"):
                continue
            real = variable.data.astype(np.float64)
            printed = np.array([float(text) for text in variable]).reshape(real.shape)
            steps = np.ldexp(real, precision.width - precision.integer)
            low = -(2 ** (precision.width - 1)) if precision.signed else 0
            high = 2 ** (precision.width - int(precision.signed)) - 1
            wrong = (printed != real) | (steps != np.rint(steps))
            wrong |= (steps < low) | (steps > high)
            if wrong.any():
                raise InexactError(
                    f"layer {layer.name!r}: {name} {real[wrong][0]!r} is no number of "
                    f"type {spell(precision)}, or is printed as {printed[wrong][0]!r}"
                )
