from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_qonnx import arithmetic, builder, moves, networks
from random_qonnx.builder import Choices

from hawq.hls.stage import Settings
from hawq.hls.support import unsupported
from hawq.integer.lower import lower_model

CARRIED = (
    arithmetic.affine,
    arithmetic.average_pool,
    arithmetic.batch_norm,
    arithmetic.combine,
    arithmetic.conv,
    arithmetic.gemm,
    arithmetic.global_pool,
    arithmetic.leaky,
    arithmetic.matmul,
    arithmetic.max_pool,
    arithmetic.relu,
    moves.concat,
    moves.flatten,
    moves.transpose,
    moves.upsample,
)


@pytest.fixture
def tame(monkeypatch):
    """Draw what hls4ml may carry more often than what it never does."""
    monkeypatch.setattr(networks, "BEFORE", (arithmetic.same,))
    monkeypatch.setattr(networks, "ANY", CARRIED)
    for rank, operators in networks.BY_RANK.items():
        kept = tuple(o for o in operators if o in CARRIED)
        monkeypatch.setitem(networks.BY_RANK, rank, kept)
    monkeypatch.setattr(networks, "_outputs", lambda b, x: [x.name])
    monkeypatch.setattr(builder, "MODES", ("ROUND", "FLOOR", "HALF_UP"))
    monkeypatch.setattr(builder.Builder, "scale", lambda self, about: 2.0**-3)


def test_what_is_carried_means_the_same_prepared(tame, same_values):
    carried = 0

    @settings(max_examples=80, derandomize=True, database=None)
    @given(st.integers(0, 2**32))
    @example(2425)  # a kernel of 1 that steps beyond the image
    def check(seed):
        nonlocal carried
        model = networks.random_network(Choices.of(seed), 1, 2, 3).model
        if not unsupported(model, lower_model(model), Settings()):
            same_values(model)
            carried += 1

    check()
    assert carried > 8
