"""One decorator for the loops that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from hawq.errors import ToolError

try:
    import numba
except ImportError as error:  # the extra is optional
    raise ToolError(
        "making jets needs numba, which is not installed: pip install 'hawq[jets]'"
    ) from error

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile a function with numba, keeping the machine code on disk.

    IEEE arithmetic is kept: no ``fastmath``.

    Args:
        function: Loops over NumPy arrays; no Python objects.

    Returns:
        The compiled function; its ``py_func`` is the original.
    """
    return cast(Callable[Parameters, Result], numba.njit(cache=True)(function))
