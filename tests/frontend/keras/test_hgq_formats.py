"""Formats of HGQ2's quantizers; the files of ``test_hgq.py`` hold more."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras.hgq import write_quantizer
from hawq.frontend.keras.hgq_formats import read_formats


def test_bits_that_do_not_fit_are_refused(compute, layer_of) -> None:
    conf = {"config": {"q_type": "kif", "overflow_mode": "WRAP", "round_mode": "RND"}}
    arrays = tuple(np.full(3, bits, dtype=np.float32) for bits in (1, 1, -1e9))
    layer = replace(layer_of("Quantizer", config=conf), quantizers={"q": arrays})
    message = re.escape(
        "layer 'l' (Quantizer): its q has bits of shape (3,) between -1e+09 and "
        "-1e+09, expected ±32 at most and a shape that fits (3,): trace the integer "
        "bits (trace_minmax), and save the model again"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write_quantizer, layer, np.zeros(3))


def test_formats_are_closed_forms(layer_of) -> None:
    conf = {"config": {"q_type": "kif", "overflow_mode": "SAT", "round_mode": "TRN"}}
    i, f, k = [1.4, -2.0, 0.0], [2.0, 1.0, 3.6], [1, 1, 0]
    arrays = tuple(np.array(bits, dtype=np.float32) for bits in (i, f, k))
    layer = replace(layer_of("Quantizer", config=conf), quantizers={"q": arrays})

    formats = read_formats(layer, "q", (3,))

    # ±2 in quarters; nothing, as -2 + 1 + 1 bits are none; below 1 in sixteenths.
    assert_array_equal(formats.low, [-8, 0, 0])
    assert_array_equal(formats.high, [7, 0, 15])
    assert_array_equal(formats.step, [0.25, 0.5, 0.0625])
