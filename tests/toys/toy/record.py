"""The record of every toy stage."""

from __future__ import annotations

from hawq.records import Record


class ToyRecord(Record):
    """A number, and words."""

    value: int
    words: tuple[str, ...] = ()
