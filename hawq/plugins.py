"""One mechanism for the four seams: a built-in table, then Python entry points.

A seam is a group of names, for example ``hawq.sensitivity``. Built-in plug-ins are
``"module:attribute"`` strings, imported when asked for; other packages add theirs with
an entry point of the same group in their own ``pyproject.toml``.
"""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import entry_points
from typing import Any

from hawq.errors import UnknownNameError

BUILT_IN: dict[str, dict[str, str]] = {
    "hawq.sensitivity": {
        "hessian_trace": "hawq.sensitivity.hessian:hessian_trace",
        "top_eigenvalue": "hawq.sensitivity.eigenvalue:top_eigenvalue",
        "fisher": "hawq.sensitivity.fisher:fisher",
    },
    "hawq.cost": {
        "bops": "hawq.allocation.cost:bops",
        "bops_dense": "hawq.allocation.cost:bops_dense",
        "ebops": "hawq.allocation.measured:ebops",
        "latency_ns": "hawq.allocation.measured:latency_ns",
        "lut": "hawq.allocation.measured:lut",
        "memory_bits": "hawq.allocation.cost:memory_bits",
    },
    "hawq.backend": {
        "hls4ml": "hawq.hls.project:build_project",
    },
    "hawq.synthesis": {
        "asic": "hawq.synthesis.asic:asic",
        "vitis_hls": "hawq.synthesis.vendor.run:vitis_hls",
        "vivado": "hawq.synthesis.vendor.run:vivado",
        "yosys": "hawq.synthesis.fpga:yosys",
    },
}


def names(seam: str) -> list[str]:
    """List the plug-ins of a seam.

    Args:
        seam: The entry-point group, for example ``hawq.cost``.

    Returns:
        Names in alphabetical order, built-in and installed.
    """
    return sorted({*BUILT_IN[seam], *(e.name for e in entry_points(group=seam))})


def load(seam: str, name: str) -> Any:
    """Import a plug-in by name.

    Args:
        seam: The entry-point group.
        name: The plug-in's name.

    Returns:
        The object it names.

    Raises:
        UnknownNameError: if nobody registered the name; the message lists those known.
    """
    if name in BUILT_IN[seam]:
        module, _, attribute = BUILT_IN[seam][name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for entry in entry_points(group=seam):
        if entry.name == name:
            return entry.load()
    known = names(seam)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    listed = ", ".join(known) or "none"
    raise UnknownNameError(f"{seam} has no {name!r}{hint}; it knows: {listed}")
