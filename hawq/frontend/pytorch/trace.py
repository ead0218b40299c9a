"""Trace a float network into steps: every operation a layer, in order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from hawq.errors import NetworkError
from hawq.export.naming import FEATURES
from hawq.frontend.pytorch.layers import (
    DROPPED,
    RESHAPING,
    Add,
    Concat,
    GlobalAverage,
    Permute,
    Rearrange,
    objection,
)

INPUT = "input"
SUFFIXES = ("", "_real", "_product", "_weight", "_bias", "_pooled", "_shape")
"""What the names of tensors and constants add to that of their step."""
_BATCH = 2

Values: TypeAlias = Mapping[fx.Node, Any]


@dataclass(frozen=True, eq=False)
class Step:
    """One operation.

    Attributes:
        name: Of its output: letters, digits and underscores, unique.
        module: Computes it.
        inputs: Names of the tensors it reads; the network's own is ``input``.
        shape: Of the output, one sample's.
    """

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    shape: tuple[int, ...]


def trace_network(network: nn.Module, shape: Sequence[int]) -> list[Step]:
    """List what a network computes.

    Args:
        network: Float64, in evaluation mode, without batch norms; its ``forward`` takes
            one tensor and gives one.
        shape: Of one sample.

    Returns:
        The steps, without dropout and the like; the last gives the output.

    Raises:
        NetworkError: if the network cannot be traced, does not take the shape, or holds
            an operation that is not carried.
    """
    graph = _trace(network)
    values = _run(fx.GraphModule(network, graph), shape)
    modules = dict(network.named_modules())
    names: dict[fx.Node, str] = {}
    taken = {INPUT, FEATURES}
    steps: list[Step] = []
    output: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "output":
            output = _only_output(node)
        elif node.op == "placeholder":
            names[node] = INPUT
        elif node.op == "call_module" or _computes(node, values):
            module = _module(node, values, modules)
            inputs = tuple(names.get(n, "") for n in _read(node, module, values))
            if isinstance(module, DROPPED):
                names[node] = inputs[0]
                continue
            problem = _problem(node, module, inputs, values)
            if problem is not None:
                raise NetworkError(f"{_label(node, modules)} {problem}")
            names[node] = _reserve(_name(node, modules), taken)
            sizes = tuple(values[node].shape[1:])
            steps.append(Step(names[node], module, inputs, sizes))
    return _needed(steps, "" if output is None else names.get(output, ""))


def _trace(network: nn.Module) -> fx.Graph:
    for name, module in network.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise NetworkError(
                f"layer {name!r} ({type(module).__name__}) has forward hooks, which a "
                "file cannot hold: remove them"
            )
    try:
        graph = fx.Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError, NameError) as error:
        raise NetworkError(
            f"the forward of {type(network).__name__} cannot be traced ({error}): "
            "write it without data-dependent control flow, its layers made in __init__"
        ) from error
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise NetworkError(
            f"the forward of {type(network).__name__} takes {len(inputs)} tensors, "
            "expected 1: concatenate them before the network"
        )
    return graph


def _run(module: fx.GraphModule, shape: Sequence[int]) -> Values:
    interpreter = fx.Interpreter(module, garbage_collect_values=False)
    interpreter.extra_traceback = False
    sample = torch.zeros(_BATCH, *shape, dtype=torch.float64)
    try:
        with torch.no_grad():
            interpreter.run(sample)
    except (RuntimeError, ValueError, IndexError) as error:
        what = str(error).partition("\n")[0]
        raise NetworkError(
            f"the network does not take samples of shape {tuple(shape)}: {what}"
        ) from error
    return interpreter.env


def _only_output(node: fx.Node) -> fx.Node:
    (given,) = node.args
    if not isinstance(given, fx.Node):
        raise NetworkError(
            f"the network returns a {type(given).__name__}, expected one tensor"
        )
    return given


def _needed(steps: Sequence[Step], output: str) -> list[Step]:
    needed = {output}
    kept: list[Step] = []
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
            kept.insert(0, step)
    for step in kept[:-1]:
        if isinstance(step.module, nn.Softmax):
            raise NetworkError(
                f"{step.name!r} is a Softmax inside the network, expected one that "
                "ends it: integers have no exponential"
            )
    if not kept:
        raise NetworkError("the network computes nothing: its output is its input")
    return kept


def _name(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    if node.op != "call_module":
        return node.name
    name = re.sub(r"\W", "_", str(node.target))
    if name[0].isdigit():
        name = f"{type(modules[str(node.target)]).__name__.lower()}_{name}"
    return name


def _reserve(name: str, taken: set[str]) -> str:
    """Number a name until nothing that is named after it has a name in use."""
    found, number = name, 2
    while taken & {found + suffix for suffix in SUFFIXES}:
        found, number = f"{name}_{number}", number + 1
    taken.update(found + suffix for suffix in SUFFIXES)
    return found


def _computes(node: fx.Node, values: Values) -> bool:
    return node.op != "get_attr" and isinstance(values[node], Tensor)


def _label(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    if node.op == "call_module":
        target = str(node.target)
        return f"layer {target!r} ({type(modules[target]).__name__})"
    return f"operation {node.name!r}"


def _read(node: fx.Node, module: nn.Module, values: Values) -> list[fx.Node]:
    found = [n for n in node.all_input_nodes if isinstance(values[n], Tensor)]
    if isinstance(module, Add) and len(found) == 1:  # x + x
        found *= sum(isinstance(argument, fx.Node) for argument in node.args)
    return found


def _problem(
    node: fx.Node, module: nn.Module, inputs: tuple[str, ...], values: Values
) -> str | None:
    """Say why an operation is not carried, None if it is."""
    if problem := objection(module):
        return problem
    if not all(inputs):
        return "reads a parameter or buffer directly: put it into a layer"
    if values[node].shape[:1] != (_BATCH,):
        return "changes the batch: keep it the first axis"
    if isinstance(module, Add):
        shapes = {tuple(values[n].shape) for n in node.all_input_nodes}
        if len(inputs) != 2 or len(shapes) != 1 or node.kwargs:
            return "is no sum of two tensors of one shape: use x + y"
    if isinstance(module, Permute) and module.order[0] != 0:
        return "moves the batch: keep it the first axis"
    if isinstance(module, Concat) and module.axis < 1:
        return "joins samples: use dim=1 or more"
    return None


def _module(
    node: fx.Node, values: Values, modules: Mapping[str, nn.Module]
) -> nn.Module:
    """Give the layer that an operation is."""
    after = values[node]
    if node.op == "call_module":
        module = modules[str(node.target)]
        is_shape = isinstance(module, RESHAPING)
        return Rearrange(*after.shape[1:]) if is_shape else module
    if node.target in _SUMS:
        return Add()
    if node.target in _SAME:
        return nn.Identity()
    if node.target in _RESHAPES:
        return Rearrange(*after.shape[1:])
    if node.target in _OTHERS:
        return _OTHERS[node.target](node, values)
    make = _FUNCTIONS.get(node.target)
    if make is None:
        raise NetworkError(
            f"operation {node.name!r} is not carried: write it as a layer of torch.nn"
        )
    arguments = node.normalized_arguments(nn.Module(), None, None, True)
    given = {} if arguments is None else dict(arguments.kwargs)
    if given.pop("training", False):
        raise NetworkError(
            f"operation {node.name!r} drops elements at random in evaluation too: pass "
            "training=self.training"
        )
    left = {k: v for k, v in given.items() if k not in _NO_SETTINGS}
    left = fx.node.map_arg(left, values.__getitem__)
    # torch writes "as the kernel" as an empty list in one place, as None in another.
    return make(**{k: None if v == [] else v for k, v in left.items()})


def _given(node: fx.Node) -> list[Any]:
    """List the arguments after the tensor, those by keyword last."""
    return [*node.args[1:], *node.kwargs.values()]


def _concat(node: fx.Node, values: Values) -> nn.Module:
    axis = _given(node)[0] if _given(node) else 0
    return Concat(axis % values[node].ndim)


def _permute(node: fx.Node, values: Values) -> nn.Module:
    order = torch.arange(values[node].ndim)
    given = _given(node)
    if str(getattr(node.target, "__name__", node.target)) == "transpose":
        order[given] = order[given[::-1]]
    else:
        order = order[list(given[0]) if isinstance(given[0], Sequence) else given]
    return Permute(*order.tolist())


def _mean(node: fx.Node, values: Values) -> nn.Module:
    before, after = values[node.all_input_nodes[0]], values[node]
    axes = _given(node)[0] if _given(node) else ()
    axes = axes if isinstance(axes, Sequence) else (axes,)
    wanted = list(range(2, before.ndim))
    if not wanted or sorted(axis % before.ndim for axis in axes) != wanted:
        raise NetworkError(
            f"operation {node.name!r} is a mean over other axes than all behind the "
            "channels: use AvgPool"
        )
    if after.ndim == 2:
        return GlobalAverage(len(wanted))
    return nn.AdaptiveAvgPool1d(1) if after.ndim == 3 else nn.AdaptiveAvgPool2d(1)


_NO_SETTINGS = ("input", "inplace", "_stacklevel", "dtype")

Target: TypeAlias = Callable[..., Any] | str

_SUMS: tuple[Target, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_SAME: tuple[Target, ...] = ("contiguous", "clone", "detach", "double", "float")
_RESHAPES: tuple[Target, ...] = (
    *("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten"),
    *(torch.reshape, torch.flatten, torch.squeeze, torch.unsqueeze),
)
_OTHERS: dict[Target, Callable[[fx.Node, Values], nn.Module]] = {
    torch.cat: _concat,
    torch.concat: _concat,
    torch.permute: _permute,
    torch.transpose: _permute,
    "permute": _permute,
    "transpose": _permute,
    torch.mean: _mean,
    "mean": _mean,
}
_FUNCTIONS: dict[Target, Callable[..., nn.Module]] = {
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    functional.relu: nn.ReLU,
    functional.relu6: nn.ReLU6,
    functional.hardtanh: nn.Hardtanh,
    functional.leaky_relu: nn.LeakyReLU,
    functional.max_pool1d: nn.MaxPool1d,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool1d: nn.AvgPool1d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.dropout: nn.Dropout,
    functional.softmax: nn.Softmax,
    torch.softmax: nn.Softmax,
}
