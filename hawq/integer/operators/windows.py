"""Windows over spatial axes: their attributes, and the pooling operators."""

from __future__ import annotations

import math

import numpy as np

from hawq.fixed import as_integers
from hawq.integer.evaluate import pool
from hawq.integer.nodes import Affine, MaxPool, SumPool, Window
from hawq.integer.operation import Lowering, Operation
from hawq.integer.tensor import Tensor


def read_window(
    op: Operation, spatial: tuple[int, ...], kernel: tuple[int, ...]
) -> Window:
    """Read strides, dilations and padding of a convolution or pooling.

    Args:
        op: The operation.
        spatial: Sizes of the input without its channels.
        kernel: Size of the window.

    Returns:
        The window.

    Raises:
        NetworkError: if an attribute has another length, or a value that is no size.
    """
    rank = len(spatial)
    ones = [1] * rank
    given = op.attribute("kernel_shape", list(kernel))
    strides = op.attribute("strides", ones)
    dilations = op.attribute("dilations", ones)
    auto = op.attribute("auto_pad", "NOTSET")
    pads = op.attribute("pads", [0] * (2 * rank))
    sizes = (given, strides, dilations)
    if any(len(s) != rank or min(s) < 1 for s in sizes) or tuple(given) != kernel:
        raise op.refuse(
            f"kernel {given}, strides {strides} and dilations {dilations} do not fit "
            f"weights over {kernel} and samples over {spatial}: export again"
        )
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(spatial, kernel, strides, dilations, upper=auto == "SAME_UPPER")
    elif auto == "VALID":
        pads = [0] * (2 * rank)
    elif auto != "NOTSET":
        raise op.refuse(f"auto_pad {auto!r} is unknown: export with explicit pads")
    if len(pads) != 2 * rank or min(pads) < 0:
        raise op.refuse(f"pads {pads}, expected {2 * rank} numbers of 0 or more")
    return Window(
        kernel, tuple(strides), tuple(dilations), tuple(pads), op.channels_last
    )


def _same(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: list[int],
    dilations: list[int],
    *,
    upper: bool,
) -> list[int]:
    before, after = [], []
    for size, k, stride, dilation in zip(
        spatial, kernel, strides, dilations, strict=True
    ):
        windows = -(-size // stride)
        total = max(0, (windows - 1) * stride + (k - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return before + after


def lower_max_pool(state: Lowering, op: Operation) -> None:
    """Lower ``MaxPool``."""
    window, _ = _pooling(op)
    state.emit(MaxPool((op.names[0],), op.output, window))


def lower_average_pool(state: Lowering, op: Operation) -> None:
    """Lower ``AveragePool``: an exact sum, and a scale divided by the count."""
    window, x = _pooling(op)
    count = math.prod(window.kernel)
    if any(window.pads) and not op.attribute("count_include_pad", 0):
        _average_without_padding(state, op, window, x)
        return
    state.emit(SumPool((op.names[0],), op.output, window, x.scale / count))


def _average_without_padding(
    state: Lowering, op: Operation, window: Window, x: Tensor
) -> None:
    """Divide each sum by the number of elements that are not padding."""
    inner = f"{op.output}.sums"
    state.emit(SumPool((op.names[0],), inner, window, x.scale))
    ones = np.ones((*x.shape, 1), dtype=np.int64)
    counts = pool(ones, window, np.add, 0)[..., 0]
    if not counts.all():
        raise op.refuse("a window covers nothing but padding: use smaller pads")
    common = math.lcm(*{int(c) for c in counts.flat})
    zero = as_integers(np.zeros((), dtype=np.int64))
    scale = x.scale / common
    state.emit(Affine((inner,), op.output, common // counts, zero, scale))


def lower_global_pool(state: Lowering, op: Operation) -> None:
    """Lower ``GlobalAveragePool``."""
    window, x = _global(op)
    scale = x.scale / math.prod(window.kernel)
    state.emit(SumPool((op.names[0],), op.output, window, scale))


def lower_global_max_pool(state: Lowering, op: Operation) -> None:
    """Lower ``GlobalMaxPool``."""
    window, _ = _global(op)
    state.emit(MaxPool((op.names[0],), op.output, window))


def lower_reduce_mean(state: Lowering, op: Operation) -> None:
    """Lower ``ReduceMean`` over all spatial axes, which is global average pooling."""
    x = op.data(0)
    rank = len(x.shape)
    axes = op.attribute("axes", [0])
    if op.has(1):
        axes = [int(a) for a in op.parameter(1).ravel()]
    wanted = sorted(a % (rank + 1) for a in axes)
    first, last = list(range(2, rank + 1)), list(range(1, rank))
    if rank < 2 or wanted not in (first, last) or not op.attribute("keepdims", 1):
        raise op.refuse(
            f"a mean over axes {axes} is not carried: use GlobalAveragePool, over all "
            "spatial axes with keepdims"
        )
    channels_last = wanted == last and wanted != first
    spatial = x.shape[:-1] if channels_last else x.shape[1:]
    window = _whole_window(spatial, channels_last)
    scale = x.scale / math.prod(spatial)
    state.emit(SumPool((op.names[0],), op.output, window, scale))


def _pooling(op: Operation) -> tuple[Window, Tensor]:
    x = op.data(0)
    spatial = x.shape[:-1] if op.channels_last else x.shape[1:]
    kernel = tuple(op.attribute("kernel_shape", [0]))
    if op.attribute("storage_order", 0) or len(op.outputs) > 1:
        raise op.refuse("indices of a MaxPool are not carried: use its values alone")
    window = read_window(op, spatial, kernel)
    if op.attribute("ceil_mode", 0):
        window = _grown(op, spatial, window)
    return window, x


def _grown(op: Operation, spatial: tuple[int, ...], window: Window) -> Window:
    """Pad behind so that ``floor`` gives the sizes of ``ceil_mode``."""
    rank = len(spatial)
    pads = list(window.pads)
    for i in range(rank):
        span = (window.kernel[i] - 1) * window.dilations[i] + 1
        rest = spatial[i] + pads[i] + pads[i + rank] - span
        pads[i + rank] += -rest % window.strides[i]
    if tuple(pads) != window.pads and op.label.endswith("(AveragePool)"):
        raise op.refuse("ceil_mode=1 counts padding differently: use ceil_mode=0")
    return Window(
        window.kernel,
        window.strides,
        window.dilations,
        tuple(pads),
        window.channels_last,
    )


def _global(op: Operation) -> tuple[Window, Tensor]:
    x = op.data(0)
    if len(x.shape) < 2:
        raise op.refuse(f"samples of shape {x.shape} have no spatial axes")
    return _whole_window(x.shape[1:], channels_last=False), x


def _whole_window(spatial: tuple[int, ...], channels_last: bool) -> Window:
    ones = (1,) * len(spatial)
    return Window(spatial, ones, ones, (0,) * (2 * len(spatial)), channels_last)
