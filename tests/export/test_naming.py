from __future__ import annotations

from pathlib import Path

import pytest
from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import NetworkError
from hawq.export.naming import NameAfterLayers


def test_too_few_names_are_refused(small_qonnx: Path) -> None:
    with pytest.raises(NetworkError, match=r"^no layer name left for node 'relu1'$"):
        ModelWrapper(str(small_qonnx)).transform(NameAfterLayers(["input", "fc1"]))


def test_too_many_names_are_refused(small_qonnx: Path) -> None:
    names = ["input", "fc1", "relu1", "fc2", "relu2"]
    message = r"^layers without a node in the graph: \['relu2'\]$"
    with pytest.raises(NetworkError, match=message):
        ModelWrapper(str(small_qonnx)).transform(NameAfterLayers(names))
