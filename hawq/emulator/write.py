"""Write a network as a small C++ library."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hawq.emulator.integers import words
from hawq.emulator.source import Source, Step
from hawq.emulator.support import shape_reasons, spell
from hawq.errors import FormatError, HawqError, InexactError, InputError, NetworkError
from hawq.fixed import FixedPoint
from hawq.integer.graph import Graph
from hawq.integer.nodes import Quantize
from hawq.integer.tensor import RealInput, Tensor
from hawq.paths import atomic_file, shipped

_FEW = 8
"""Samples from which a tile that is not full is less work than one by one."""


@dataclass(frozen=True)
class EmulatorProject:
    """A folder of C++ source.

    Attributes:
        folder: Where it is.
        name: Of the library, ``NAME.so``, and of its C functions, ``NAME_…``.
        version: Of the network.
        namespace: Of everything else.
        files: Their names, in the folder.
    """

    folder: Path
    name: str
    version: str
    namespace: str
    files: tuple[str, ...]


def write_emulator(
    graph: Graph, folder: Path, *, name: str, version: str
) -> EmulatorProject:
    """Write a library that computes the integers of a network.

    Args:
        graph: The network.
        folder: Made if needed; files of an earlier run are replaced.
        name: Of the library: a letter, then letters, digits and underscores.
        version: Of the network: letters, digits, dots, dashes and underscores.

    Returns:
        What was written.

    Raises:
        NetworkError: if the emulator cannot carry the network: the first reason.
    """
    namespace = _namespace(name, version)
    reasons = shape_reasons(graph)
    source, steps, more = (None, [], reasons) if reasons else spell(graph)
    if source is None or more:
        raise NetworkError(f"no emulator for this network: {more[0]}")
    values = _values(source, steps) | {
        "name": name,
        "version": version,
        "namespace": namespace,
        "hawq": importlib.metadata.version("hawq"),
    }
    templates = shipped("firmware") / "emulator"
    files = _render(templates, folder, values)
    return EmulatorProject(folder, name, version, namespace, files)


def _namespace(name: str, version: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise InputError(
            f"emulator name {name!r}: expected a letter, then letters, digits and "
            "underscores"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", version):
        raise InputError(
            f"emulator version {version!r}: expected letters, digits, dots, dashes and "
            "underscores"
        )
    return f"{name}_v{re.sub('[.-]', '_', version)}"


def _render(templates: Path, folder: Path, values: dict[str, Any]) -> tuple[str, ...]:
    """Copy the headers and fill the templates."""
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"c_string": c_string, "one_line": _one_line}
    names = []
    for path in sorted(p for p in templates.rglob("*") if p.is_file()):
        part = path.relative_to(templates).as_posix()
        text = path.read_text()
        if part.endswith(".jinja"):
            text = environment.get_template(part).render(values)
            part = part.removesuffix(".jinja").replace("NAME", values["name"])
        with atomic_file(folder / part) as temporary:
            temporary.write_text(text)
        names.append(part)
    return tuple(names)


def _values(source: Source, steps: list[Step]) -> dict[str, Any]:
    graph, layout = source.graph, source.layout
    tensors = list(graph.tensors.values())
    numbers = {tensor.name: i for i, tensor in enumerate(tensors)}
    return {
        "steps": steps,
        "tables": source.tables,
        "lanes": layout.lanes,
        "few": min(_FEW, layout.lanes),
        "places": layout.size,
        "inputs": [
            {"name": x.name, "shape": x.shape, "size": math.prod(x.shape)}
            for x in graph.inputs
        ],
        "tensors": [_described(tensor) for tensor in tensors],
        "outputs": [numbers[name] for name in graph.outputs],
        "ap_inputs": _all_or_none([_ap_input(graph, x) for x in graph.inputs]),
        "ap_outputs": _all_or_none([
            _ap_output(graph.tensors[name]) for name in graph.outputs
        ]),
    }


def _described(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "size": tensor.lows.size,
        "words": words(tensor.low, tensor.high),
        "scale": tensor.scale,
        "nearest": _nearest(tensor.scale),
    }


def _nearest(scale: Fraction) -> str:
    try:
        return float(scale).hex()
    except OverflowError:
        return "__builtin_inf()"


def _ap_input(graph: Graph, x: RealInput) -> str | None:
    """Give the type in which the firmware reads an input."""
    readers = [n for n in graph.nodes if isinstance(n, Quantize) and x.name in n.inputs]
    formats = {n.grid.fixed_point for n in readers if n.gain is None is n.offset}
    form = formats.pop() if len(formats) == 1 else None
    return None if form is None else _ap_type(form)


def _ap_output(tensor: Tensor) -> str | None:
    try:
        return _ap_type(tensor.format)
    except (FormatError, InexactError):
        return None


def _ap_type(form: FixedPoint) -> str | None:
    """Spell a format with the vendor's names of the modes."""
    try:
        spelt = form.ap_type()
    except HawqError:
        return None
    return "ap_" + re.sub(r",([A-Z])", r",AP_\1", spelt)


def _all_or_none(kinds: list[str | None]) -> list[str]:
    known = [kind for kind in kinds if kind is not None]
    return known if len(known) == len(kinds) else []


def c_string(text: str) -> str:
    r"""Spell a text as a C string.

    Args:
        text: Any.

    Returns:
        With quotes; what is not ASCII as octal bytes of its UTF-8.

    >>> print(c_string('a"b'), c_string("é"))
    "a\"b" "\303\251"
    """
    spelt = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
        for b in text.encode()
    )
    return f'"{spelt}"'.replace("\\042", '\\"')


def _one_line(text: str) -> str:
    return json.dumps(text)
