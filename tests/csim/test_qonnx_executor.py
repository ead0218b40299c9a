from __future__ import annotations

from pathlib import Path

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from hawq.csim.qonnx_executor import run_qonnx


def test_float64_gives_the_same_integers_where_float32_is_exact(
    small_qonnx: Path,
) -> None:
    model = ModelWrapper(str(small_qonnx))
    features = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    narrow = run_qonnx(model, features, widest=12)
    wide = run_qonnx(model, features, widest=30)
    assert narrow["fc2"].dtype == np.float32
    assert wide["fc2"].dtype == np.float64
    np.testing.assert_array_equal(wide["fc2"], narrow["fc2"])
