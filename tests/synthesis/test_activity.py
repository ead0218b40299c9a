from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawq.errors import InputError, ToolError
from hawq.synthesis.activity import Switching, switching


def port(direction: str, *bits: int) -> dict[str, Any]:
    return {"direction": direction, "bits": list(bits)}


def cell(kind: str, **pins: int) -> dict[str, Any]:
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


MODELS = {
    "XOR": {
        "ports": {"A": port("input", 2), "B": port("input", 3), "Y": port("output", 4)},
        "cells": {"g": cell("$_XOR_", A=2, B=3, Y=4)},
    },
    "FF": {
        "ports": {"C": port("input", 2), "D": port("input", 3), "Q": port("output", 4)},
        "cells": {"r": cell("$_DFF_P_", C=2, D=3, Q=4)},
    },
}


def written(folder: Path, cells: dict[str, Any]) -> Path:
    path = folder / "activity.json"
    ports = {
        "clk": port("input", 2),
        "model_inp": port("input", 3, 4),
        "model_out": port("output", 8),
    }
    modules = {**MODELS, "network": {"ports": ports, "cells": cells}}
    path.write_text(json.dumps({"modules": modules}))
    return path


def test_toggles_are_those_of_numpy_where_a_register_delays_one_input(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        {
            "late": cell("FF", C=2, D=3, Q=6),
            "sum": cell("XOR", A=6, B=4, Y=7),
            "out": cell("FF", C=2, D=7, Q=8),
        },
    )
    bits = np.random.default_rng(5).integers(0, 2, (301, 2), np.uint8)

    found = switching(path, "network", bits)

    summed = bits[:-1, 0] ^ bits[1:, 1]  # the register's input is a clock old
    expected = {
        "late/D": bits[:, 0],
        "late/Q": bits[:-1, 0],
        "sum/A": bits[:-1, 0],
        "sum/B": bits[:, 1],
        "sum/Y": summed,
        "out/D": summed,
        "out/Q": summed[:-1],
    }
    assert found == {
        pin: Switching(
            np.count_nonzero(np.diff(x.astype(int))) / (len(x) - 1), x.sum() / len(x)
        )
        for pin, x in expected.items()
    }


def test_a_constant_never_toggles(tmp_path: Path) -> None:
    path = written(tmp_path, {"sum": cell("XOR", A=3, B=3, Y=8)})
    bits = np.array([[0, 0], [1, 0], [0, 0], [1, 0]], np.uint8)

    found = switching(path, "network", bits)

    assert found["sum/Y"] == Switching(0.0, 0.0)
    assert found["sum/A"] == Switching(1.0, 0.5)


def test_too_few_samples_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"late": cell("FF", C=2, D=3, Q=8)})

    with pytest.raises(
        InputError,
        match=r"^2 samples do not fill the pipeline, expected at least 3$",
    ):
        switching(path, "network", np.zeros((2, 2), np.uint8))


def test_another_width_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"late": cell("FF", C=2, D=3, Q=8)})

    with pytest.raises(
        InputError,
        match=r"^samples have 3 bits, expected 2, the input port's$",
    ):
        switching(path, "network", np.zeros((9, 3), np.uint8))


def test_a_ring_is_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"sum": cell("XOR", A=3, B=8, Y=7), "held": cell("FF", C=2, D=7, Q=8)},
    )

    with pytest.raises(
        ToolError,
        match=r"^2 gates and registers of the netlist feed each other in a ring: it is "
        r"no pipeline$",
    ):
        switching(path, "network", np.zeros((9, 2), np.uint8))
