"""Settings of the stage, and what it refuses before it starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hawq.rtl.stage import Settings


@pytest.mark.parametrize("latency", [{"latency_cycles": 4}, {"latency_ns": 20.0}])
def test_one_thing_places_the_registers(latency: dict[str, float]) -> None:
    assert Settings(**latency).adder_levels is None
    with pytest.raises(
        ValidationError,
        match=r"adder_levels and a latency both place the registers: give one of them",
    ):
        Settings(adder_levels=3.0, **latency)
