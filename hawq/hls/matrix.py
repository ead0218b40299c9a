"""Prove small networks on every back end of hls4ml, and write the table of the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from hawq.csim.firmware import compile_project
from hawq.csim.rungs import firmware_rung
from hawq.errors import HawqError, InputError
from hawq.hls.project import build_project
from hawq.hls.samples import NETWORKS
from hawq.hls.stage import Settings
from hawq.hls.support import unsupported
from hawq.hls.targets import TARGETS, find_target
from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_model
from hawq.records import Record

IO_TYPES: tuple[Literal["io_parallel", "io_stream"], ...] = ("io_parallel", "io_stream")

BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"
"""Marks between which the table stands in the docs."""


class MatrixCell(Record):
    """One network on one back end.

    Attributes:
        target: The back end.
        io_type: Its interface.
        network: Name of the network.
        tensors: How many were compared.
        integers: How many were compared.
        different: How many of them differ from the golden executor's.
        refused: Why nothing was compared; empty if it was.
    """

    target: str
    io_type: str
    network: str
    tensors: int = 0
    integers: int = 0
    different: int = 0
    refused: str = ""


def run_matrix(
    folder: Path,
    targets: Iterable[str] = tuple(TARGETS),
    networks: Sequence[str] = tuple(NETWORKS),
    *,
    io_types: Sequence[Literal["io_parallel", "io_stream"]] = IO_TYPES,
    samples: int = 100,
    optimisation: str = "-O1",
    progress: Callable[[str], None] = lambda _: None,
) -> list[MatrixCell]:
    """Convert, compile and run each network on each back end with both interfaces.

    Args:
        folder: Where the projects go.
        targets: Back ends.
        networks: Of ``NETWORKS``.
        io_types: Interfaces.
        samples: Inputs a network.
        optimisation: Option of g++.
        progress: Told what is next.

    Returns:
        One cell each, in order.
    """
    cells = []
    for target in targets:
        for network in networks:
            for io_type in io_types:
                progress(f"{target} {io_type} {network}")
                place = folder / f"{target}-{io_type}-{network}"
                settings = Settings(
                    target=target,
                    io_type=io_type,
                    strategy=find_target(target).strategy,
                )
                cells.append(_cell(place, network, settings, samples, optimisation))
    return cells


def _cell(
    place: Path, network: str, settings: Settings, samples: int, optimisation: str
) -> MatrixCell:
    model = NETWORKS[network]()
    graph = lower_model(model)
    cell = MatrixCell(target=settings.target, io_type=settings.io_type, network=network)
    reasons = unsupported(model, graph, settings)
    if reasons:
        return cell.model_copy(update={"refused": "; ".join(reasons)})
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(place / "network.onnx"))
    try:
        project = build_project(place / "network.onnx", place / "project", settings)
        library = compile_project(
            place / "project", place / "firmware.so", optimisation
        )
    except HawqError as error:
        return cell.model_copy(update={"refused": str(error)})
    x = _inputs(graph, samples)
    found = firmware_rung(project, library, graph).run(x.reshape(samples, -1))
    golden = trace(graph, x)
    different = 0
    for name, values in found.items():
        tensor = graph.tensors[name]
        scaled = golden[name].reshape(samples, -1).astype(object) * tensor.scale
        different += int(np.count_nonzero(scaled.astype(np.float64) != values))
    return cell.model_copy(
        update={
            "tensors": len(found),
            "integers": sum(values.size for values in found.values()),
            "different": different,
        }
    )


def _inputs(
    graph: Graph, samples: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Draw inputs on, between and beyond the steps of the input's grid."""
    random = np.random.default_rng(1)
    x = random.normal(scale=2.0, size=(samples, *graph.inputs[0].shape))
    x[0], x[1] = 1000.0, -1000.0
    x[2:8] = np.rint(8 * x[2:8]) / 8  # ties
    return x.astype(np.float32)


def table(cells: Sequence[MatrixCell]) -> str:
    """Write the cells as a Markdown table.

    Args:
        cells: From ``run_matrix``.

    Returns:
        A row a back end and interface, a column a network; refusals below.
    """
    networks = list(dict.fromkeys(cell.network for cell in cells))
    rows: dict[tuple[str, str], dict[str, MatrixCell]] = {}
    for cell in cells:
        rows.setdefault((cell.target, cell.io_type), {})[cell.network] = cell
    reasons = list(dict.fromkeys(c.refused for c in cells if c.refused))
    lines = [
        f"| back end | interface | {' | '.join(networks)} |",
        "|---" * (len(networks) + 2) + "|",
    ]
    for (target, io_type), row in rows.items():
        texts = (_text(row[name], reasons) for name in networks)
        lines.append(f"| {target} | `{io_type}` | {' | '.join(texts)} |")
    lines += ["", *(f"{i}. {reason}" for i, reason in enumerate(reasons, 1))]
    return "\n".join(lines).strip() + "\n"


def _text(cell: MatrixCell, reasons: list[str]) -> str:
    if cell.refused:
        return f"refused ({reasons.index(cell.refused) + 1})"
    if cell.different:
        return f"**{cell.different} of {cell.integers} differ**"
    return f"{cell.integers} equal, {cell.tensors} tensors"


def write_table(document: Path, cells: Sequence[MatrixCell]) -> None:
    """Put the table into a document, between its marks.

    Args:
        document: Markdown.
        cells: From ``run_matrix``.

    Raises:
        InputError: if the document lacks the marks.
    """
    text = document.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise InputError(f"{document}: has no lines {BEGIN} and {END}: put them in")
    made = f"{BEGIN}\n{table(cells)}{END}"
    document.write_text(pattern.sub(lambda _: made, text))
