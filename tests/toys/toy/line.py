"""A line of three stages."""

from __future__ import annotations

from hawq.line import Stage

TOYS = (
    Stage(1, "first", "Write a number.", package="toy"),
    Stage(2, "second", "Count.", ("first",), package="toy"),
    Stage(3, "third", "Fail.", ("second",), ("first",), package="toy"),
)
