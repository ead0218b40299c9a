"""Fixtures that several stages share."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import nn

from hawq.export.qonnx import export_qonnx
from hawq.fixed import FixedPoint
from hawq.training.network import quantize_network

# A busy machine must not fail a test: examples have no deadline. CI draws the same ones
# every time; here, and in `make fuzz`, they are new.
settings.register_profile(
    "hawq", deadline=None, derandomize=bool(os.environ.get("HAWQ_CI"))
)
settings.load_profile("hawq")

SMALL_FORMATS = {
    "input": FixedPoint(True, 6, 2),
    "fc1.weight": FixedPoint(True, 5, 0),
    "relu1": FixedPoint(False, 4, 1),
    "fc2.weight": FixedPoint(True, 4, 0),
}


@pytest.fixture(scope="session")
def small_float() -> nn.Sequential:
    """A float network 4-6-3 whose ReLU fires for every unit on some input."""
    torch.manual_seed(3)
    return nn.Sequential(
        OrderedDict(fc1=nn.Linear(4, 6), relu1=nn.ReLU(), fc2=nn.Linear(6, 3))
    )


@pytest.fixture(scope="session")
def small_network(small_float: nn.Sequential) -> nn.Sequential:
    """Its Brevitas twin."""
    return quantize_network(small_float, SMALL_FORMATS).eval()


@pytest.fixture(scope="session")
def small_qonnx(
    small_network: nn.Sequential, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The QONNX file of the twin."""
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    export_qonnx(small_network, path)
    return path


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """Skip a test that lacks a program or a package."""

    def check(*names: str) -> None:
        for name in names:
            if not (shutil.which(name) or importlib.util.find_spec(name)):
                pytest.skip(f"{name} is missing")

    return check


_MISSING = re.compile(r"is missing|is not installed|pip install|could not import")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Fail a test that skips for want of a program or package, where HAWQ_CI is set."""
    return _fail_if_missing((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Do so for a whole module."""
    return _fail_if_missing((yield))


def _fail_if_missing(report: Any) -> Any:
    reason = str(report.longrepr)
    if "HAWQ_CI" in os.environ and report.skipped and _MISSING.search(reason):
        report.outcome = "failed"
        report.longrepr = f"HAWQ_CI is set, and what the test needs is not: {reason}"
    return report


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a line of three toy stages, importable as ``toy``."""
    folder = Path(__file__).parent / "toys"
    monkeypatch.syspath_prepend(str(folder))
    return folder
