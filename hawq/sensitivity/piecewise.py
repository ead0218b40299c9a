"""Where a network is piecewise linear, read from the autograd graph.

If the outputs are piecewise linear in what is added at a port, the Hessian of
``ℓ(f(δ))`` with respect to it is ``Jᵀ (∂²ℓ/∂f²) J`` almost everywhere: the Gauss-Newton
matrix, which a few backward passes give exactly. Any operation that is not listed here
counts as curved.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from hawq.sensitivity.tape import Tape


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINEAR = _words(
    """
    Add Sub Neg Sum Mean View UnsafeView ReshapeAlias Permute Transpose T Expand
    Unsqueeze Squeeze Cat Stack Slice Select Split SplitWithSizes Unbind Clone Alias
    AsStrided Contiguous ToCopy ConstantPadNd ReflectionPad1D ReflectionPad2D
    ReplicationPad1D ReplicationPad2D Repeat Roll Flip Gather Index IndexSelect
    MaskedFill Copy AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D
    UpsampleNearest1D UpsampleNearest2D UpsampleLinear1D UpsampleBilinear2D
    PixelShuffle Tril Triu Diagonal
    """
)
_PIECEWISE = _words(
    """
    Relu Threshold LeakyRelu Hardtanh Hardsigmoid Clamp ClampMin ClampMax Abs Maximum
    Minimum Max Min Amax Amin Where MaxPool2DWithIndices MaxPool3DWithIndices
    AdaptiveMaxPool2D AdaptiveMaxPool3D Sort Topk
    """
)
_BILINEAR = _words(
    "Mul Mm Bmm Mv Dot Addmm Addbmm Baddbmm Addmv Linear Convolution PreluKernel"
)
_QUOTIENT = "Div"
_BATCH_NORM = frozenset({"NativeBatchNorm", "CudnnBatchNorm"})
_PARAMETER = "torch::autograd::AccumulateGrad"


def operations(tape: Tape) -> list[Any]:
    """Walk the autograd graph of the outputs.

    Args:
        tape: A forward pass.

    Returns:
        Its nodes, every one after those it depends on.
    """
    order: list[Any] = []
    seen: set[Any] = {None}
    stack: list[tuple[Any, bool]] = [(tape.outputs.grad_fn, False)]
    while stack:
        node, is_expanded = stack.pop()
        if is_expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((child, False) for child, _ in node.next_functions)
    return order


def piecewise_linear_ports(tape: Tape, order: Sequence[Any]) -> frozenset[str]:
    """Find the ports in which the outputs are piecewise linear.

    Args:
        tape: A forward pass; the graph of another batch may differ.
        order: Its ``operations``.

    Returns:
        Names of ports.
    """
    bits = {name: 1 << i for i, name in enumerate(tape.ports())}
    port_of: dict[Any, int] = {}
    for name, tensor in tape.ports().items():
        port_of[tensor.grad_fn] = port_of.get(tensor.grad_fn, 0) | bits[name]
    reached: dict[Any, int] = {}  # ports that an operation depends on
    curved: dict[Any, int] = {}  # those it is not piecewise linear in
    for node in order:
        operands = [child for child, _ in node.next_functions]
        below = [reached.get(child, 0) for child in operands]  # None: a constant
        bent_below = _union([curved.get(child, 0) for child in operands])
        curved[node] = _curved(node, below) | bent_below
        reached[node] = port_of.get(node, 0) | _union(below)
    bent = curved[tape.outputs.grad_fn]
    return frozenset(name for name, bit in bits.items() if not bent & bit)


def parameter_uses(order: Sequence[Any]) -> dict[int, int]:
    """Count the operations that take each parameter.

    Args:
        order: The ``operations`` of a forward pass.

    Returns:
        ``id`` of the parameter → operations in the graph that take it.
    """
    uses: dict[int, int] = {}
    for node in order:
        for child, _ in node.next_functions:
            if child is not None and child.name() == _PARAMETER:
                key = id(child.variable)
                uses[key] = uses.get(key, 0) + 1
    return uses


def _curved(node: Any, below: list[int]) -> int:
    # Ports that this operation alone is not piecewise linear in.
    name = _operation(node.name())
    if name in _LINEAR or name in _PIECEWISE or name == _PARAMETER:
        return 0
    if name in _BILINEAR:
        return _shared(below)
    if name == _QUOTIENT:
        return _union(below[1:])
    if name in _BATCH_NORM and not getattr(node, "_saved_training", True):
        return _shared(below)
    return _union(below)


@functools.cache
def _operation(node_name: str) -> str:
    return re.sub(r"(Backward\d*)+$", "", node_name)


def _union(sets: list[int]) -> int:
    total = 0
    for ports in sets:
        total |= ports
    return total


def _shared(sets: list[int]) -> int:
    # Ports in more than one of the sets.
    seen, twice = 0, 0
    for ports in sets:
        twice |= seen & ports
        seen |= ports
    return twice
