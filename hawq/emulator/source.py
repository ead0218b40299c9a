"""Collects the pieces of the generated source: constants and steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.emulator.integers import (
    INT32,
    INT64,
    IntegerType,
    spelt_values,
    stored_type,
    words,
)
from hawq.emulator.layout import Layout
from hawq.integer.graph import Graph
from hawq.integer.tensor import Tensor


@dataclass(frozen=True)
class Step:
    """One function of the generated source.

    Attributes:
        comment: What it computes.
        lines: Its body, without indentation of its own.
    """

    comment: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Value:
    """A tile in the generated source.

    Attributes:
        name: Of the variable.
        kind: Type of its integers.
    """

    name: str
    kind: IntegerType


@dataclass(eq=False)
class Source:
    """What is written so far.

    Attributes:
        graph: The network.
        layout: Where its tensors lie.
        tables: Constants, as C++ definitions.
    """

    graph: Graph
    layout: Layout
    tables: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = {name: i for i, name in enumerate(self.graph.tensors)}

    def table(self, kind: IntegerType, values: Iterable[int]) -> str:
        """Write integers down, once.

        Args:
            kind: Their type.
            values: At least one.

        Returns:
            The name of the table.
        """
        return self.constant(kind.name, f"{{{spelt_values(kind, values)}}}")

    def indices(self, values: NDArray[Any]) -> str:
        """Write indices down in a type of 32 or 64 bits.

        Args:
            values: Any shape.

        Returns:
            The name of the table.
        """
        short = int(values.min()) > -(2**31) and int(values.max()) < 2**31
        return self.table(INT32 if short else INT64, values.ravel().tolist())

    def constant(self, kind: str, spelt: str) -> str:
        """Write an array down, once.

        Args:
            kind: C++ type of its elements.
            spelt: Its initializer.

        Returns:
            Its name.
        """
        key = f"{kind} {spelt}"
        if key not in self._names:
            self._names[key] = f"table_{len(self._names)}"
            self.tables.append(f"constexpr {kind} {self._names[key]}[] = {spelt};")
        return self._names[key]

    def pointer(self, variable: str, name: str) -> str:
        """Spell the definition of a pointer to a stored tensor.

        Args:
            variable: To define.
            name: The tensor.

        Returns:
            A C++ statement.
        """
        kind = self.stored(name).name
        place = self.layout.places[name]
        return f"{kind} *const {variable} = run.template at<{kind}>({place});"

    def stored(self, name: str) -> IntegerType:
        """Give the type a tensor is stored in.

        Args:
            name: The tensor.

        Returns:
            The type.
        """
        tensor = self.graph.tensors[name]
        return stored_type(tensor.low, tensor.high)

    def keep(self, tensor: Tensor, value: Value, element: str = "e") -> str:
        """Spell that an element is handed out.

        Args:
            tensor: The tensor.
            value: Its tile.
            element: Its index.

        Returns:
            A C++ statement.
        """
        count = words(tensor.low, tensor.high)
        return (
            f"run.template keep<{count}>({self._numbers[tensor.name]}, "
            f"{tensor.lows.size}, {element}, {value.name});"
        )


def varies(array: NDArray[Any]) -> bool:
    """Tell whether an array has two different elements.

    Args:
        array: Not empty.

    Returns:
        Whether it does.
    """
    return bool(np.any(array != array.flat[0]))
