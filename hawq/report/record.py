"""What the report stage leaves behind."""

from __future__ import annotations

from hawq.records import Record


class ReportRecord(Record):
    """A page, its figures and its numbers.

    Attributes:
        page: The HTML file, relative to the record.
        numbers: The JSON file with every number of the page.
        figures: Name → its PNG; the PDF of the same name lies beside it.
        equal: Whether the ladder's integers are all equal; None if it was not climbed.
        absent: Stages that the flow did not run.
    """

    page: str
    numbers: str
    figures: dict[str, str]
    equal: bool | None
    absent: tuple[str, ...]
