from __future__ import annotations

import pytest

from hawq.hls.stage import Settings
from hawq.hls.support import unsupported
from hawq.integer.lower import lower_model

STREAM = Settings(io_type="io_stream")


def reasons(model, settings=STREAM):
    return unsupported(model, lower_model(model), settings)


def test_enlarging_what_is_no_image_is_refused(net):
    file = net(2, 3, 3)
    scales = file.constant([1.0, 1.0, 2.0, 2.0])
    x = file.node("Upsample", file.node("Relu", file.start()), scales, mode="nearest")
    assert reasons(file.model(x), Settings()) == [
        "node 'the_upsample2' (Resize): enlarges what no convolution or pool makes an "
        "image: put it behind one, or use the emulator"
    ]


@pytest.mark.parametrize("last", ["Relu", "MatMul"])
def test_streams_are_flattened_before_a_matrix_alone(last, net):
    file = net(2, 3)
    x = file.node("Flatten", file.node("Relu", file.start()))
    x = file.node(last, x, *[file.drawn(6, 2)] * (last == "MatMul"))
    assert reasons(file.model(x)) == [
        "node 'the_flatten2' (Reshape): hls4ml 1.3 reshapes streams rightly before a "
        "matrix alone: set io_parallel"
    ] * (last == "Relu")
