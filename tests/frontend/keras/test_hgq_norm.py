"""Batch normalization of HGQ2; the files of ``test_hgq.py`` hold more."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.hgq_norm import write_batch_norm


def test_weight_at_a_tie_of_a_root_is_refused(compute, layer_of) -> None:
    conf = {"config": {"q_type": "kif", "overflow_mode": "SAT", "round_mode": "RND"}}
    arrays = tuple(np.full(3, bits, dtype=np.float32) for bits in (4, 1, 1))
    statistics = [np.full(3, value) for value in (0.5, 1.0, 0.0, 1.0)]
    settings = {"epsilon": 3.0, "enable_iq": False, "kq_conf": conf, "bq_conf": conf}
    # 0.5 / √(1 + 3) is half of a step of 1/2.
    layer = replace(
        layer_of("QBatchNormalization", *statistics, **settings),
        quantizers={"kq": arrays, "bq": arrays},
    )
    message = re.escape(
        "layer 'l' (QBatchNormalization): its kernel is rounded by the last bits of a "
        "root, which differ between machines: change the weights slightly, or fold the "
        "normalization"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write_batch_norm, layer, np.zeros(3))
