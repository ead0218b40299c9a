"""Vivado's ``report_utilization``: of a synthesised, a placed or a routed design."""

from __future__ import annotations

from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import Module, Netlist, Resources, SynthesisReport, Usage
from hawq.synthesis.vendor.kinds import kind
from hawq.synthesis.vendor.state import header, placed
from hawq.synthesis.vendor.table import Table, count, number, tables

CARRIES = ("CARRY4", "CARRY8", "LOOKAHEAD8")


def read_utilization(text: str, path: Path) -> SynthesisReport:
    """Read a utilisation report, plain or by hierarchy, of any Vivado since 2014.

    Args:
        text: The report.
        path: Where it came from.

    Returns:
        Resources in the field of the design's stage.

    Raises:
        DataError: if the tables of logic are missing.
    """
    report, state = header(text)
    usage: dict[str, Usage] = {}
    parts: dict[str, dict[str, float]] = {}
    cells: dict[str, dict[str, int]] = {}
    modules: tuple[Module, ...] = ()
    for table in tables(text):
        match table.columns[:2]:
            case ("Site Type", _):
                _sites(table, usage)
            case ("Ref Name", "Used"):
                cells[table.title] = {
                    row[0]: used for row in table.rows if (used := count(row[1]))
                }
            case ("SLR Index", "CLBs" | "Slices"):
                parts |= _dies(table)
            case ("Instance", "Module"):
                modules = _hierarchy(table)
    primitives = cells.get("Primitives", {})
    for carry in CARRIES:
        if carry in primitives:
            usage.setdefault("CARRY", Usage(used=primitives[carry]))
    if modules and not usage:
        usage = {name: Usage(used=used) for name, used in modules[0].usage.items()}
    if "LUT" not in usage:
        raise DataError(
            f"{path}: expected a row of LUTs (Slice, CLB or Total LUTs), found none: "
            "the report is cut short or of a format that hawq does not know"
        )
    resources = Resources(
        file=path.name,
        state=state,
        usage=usage,
        parts=parts,
        primitives=primitives,
        black_boxes=cells.get("Black Boxes", {}),
    )
    netlist = Netlist(resources=resources, modules=modules)
    field = "routed" if placed(state, path) else "synthesised"
    return report.model_copy(update={field: netlist})


def _sites(table: Table, usage: dict[str, Usage]) -> None:
    """Add the rows of a table of sites; a row without a kind of ours keeps its name."""
    used, available = table.column("Used"), table.column("Available")
    for above, plain, row in table.nested():
        cell = row[used] if used is not None and used < len(row) else ""
        if (value := number(cell)) is None:
            continue
        name = kind(plain) or (f"{above}: {plain}" if above else plain)
        limit = number(row[available]) if available is not None else None
        usage.setdefault(name, Usage(used=value, available=limit))


def _dies(table: Table) -> dict[str, dict[str, float]]:
    """Read what each die (super logic region) takes."""
    wanted = {
        index: name.removeprefix("Total ")
        for index, name in enumerate(table.columns[1:], 1)
        if not name.startswith("(%)")
    }
    return {
        row[0]: {
            kind(name) or name: value
            for index, name in wanted.items()
            if (value := number(row[index])) is not None
        }
        for row in table.rows
        if row[0].startswith("SLR")
    }


def _hierarchy(table: Table) -> tuple[Module, ...]:
    """Read the rows by instance; ``(name)`` is what a module holds itself: dropped."""
    first = min(table.indents, default=0)
    return tuple(
        Module(
            instance=row[0],
            module=row[1],
            depth=(indent - first) // 2,
            usage={
                kind(name) or name: value
                for name, cell in zip(table.columns[2:], row[2:], strict=False)
                if (value := number(cell)) is not None
            },
        )
        for row, indent in zip(table.rows, table.indents, strict=True)
        if not row[0].startswith("(")
    )
