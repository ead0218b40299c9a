from __future__ import annotations

import shutil
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from hawq.export.annotate import annotate, count_bops


def test_widths_are_written_and_counted(small_qonnx: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(small_qonnx, tmp_path))
    graph = annotate(path)
    model = ModelWrapper(str(path))
    widths = {
        name: model.get_tensor_datatype(name).bitwidth()
        for name in ("input", "fc1_weight", "relu1", "fc2_weight", "fc1", "fc2")
    }
    assert widths == {
        "input": 6,
        "fc1_weight": 5,
        "relu1": 4,
        "fc2_weight": 4,
        "fc1": graph.tensors["fc1"].width,
        "fc2": graph.tensors["fc2"].width,
    }
    # MACs × activation bits × weight bits, layer by layer.
    assert count_bops(path) == 4 * 6 * 6 * 5 + 6 * 3 * 4 * 4
