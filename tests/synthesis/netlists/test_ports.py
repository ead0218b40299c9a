from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import FormatError, StageError
from hawq.synthesis.netlists.ports import Port, Ports, read_ports

element = st.tuples(st.booleans(), st.integers(1, 20), st.integers(0, 5))


@given(elements=st.lists(element, min_size=1, max_size=9), data=st.data())
def test_packed_integers_come_back(
    elements: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    port = Port("p", tuple(elements))
    ends = [
        (-(1 << w - 1), (1 << w - 1) - 1) if s else (0, (1 << w) - 1)
        for s, w, _ in elements
    ]
    drawn = [
        data.draw(st.integers(*end)) << e[2]
        for end, e in zip(ends, elements, strict=True)
    ]
    words = port.pack(np.array([drawn]))
    assert words.shape == (1, -(-port.bits // 32))
    whole, start = sum(int(w) << 32 * i for i, w in enumerate(words[0])), 0
    for x, (_, width, exponent) in zip(drawn, elements, strict=True):
        field = whole >> start & (1 << width) - 1
        assert field == (x >> exponent) & (1 << width) - 1
        start += width
    assert_array_equal(port.unpack(words), [drawn])


def test_an_integer_that_does_not_fit() -> None:
    message = (
        r"^x\[1\] is 16 in sample 1, expected -16 to 14 in steps of 2: the RTL is of "
        r"another network$"
    )
    with pytest.raises(FormatError, match=message):
        Port("x", ((False, 4, 0), (True, 4, 1))).pack(np.array([[0, 0], [0, 16]]))


def test_ports_of_rtl() -> None:
    ports = Ports.of([[(True, 3, -1)], [(False, 2, 0), (True, 5, 0)]], 4)
    assert (ports.inputs.bits, ports.outputs.bits, ports.stages) == (3, 7, 4)


def test_a_folder_without_rtl(tmp_path: Path) -> None:
    pytest.importorskip("alkaid")
    message = r"^.*/fsm\.json\.gz is missing: .* is no RTL project; run rtl$"
    with pytest.raises(StageError, match=message):
        read_ports(tmp_path)
