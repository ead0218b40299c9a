from __future__ import annotations

from hawq.hls.passes.network import Layout


def test_complaint_8_bias_of_one_axis_follows_the_channels(net, same_values, kinds):
    file = net(2, 6)
    x = file.node("Conv", file.start(), file.drawn(3, 2, 3), file.drawn(3))
    prepared = same_values(file.model(x))
    assert kinds(prepared) == ["Quant", "Conv"]
    assert prepared.layouts[x] == Layout((3, 4), (1, 0))


def test_complaint_9_forks_leave_no_transpose(net, same_values, kinds):
    file = net(2, 4, 4)
    x = file.start()
    y = file.node("Conv", x, file.drawn(2, 2, 3, 3), pads=[1, 1, 1, 1])
    y = file.node("Add", file.quant(y, 0.5, 5), x)
    y = file.node("Concat", x, file.node("Relu", y), axis=1)
    prepared = same_values(file.model(y))
    assert "Transpose" not in kinds(prepared)


def test_complaint_51_flattened_image_moves_the_rows_of_the_matrix(
    net, same_values, kinds
):
    file = net(2, 3, 3)
    x = file.node("Conv", file.start(), file.drawn(2, 2, 2, 2))
    x = file.node("Flatten", file.node("Relu", file.quant(x, 0.5, 5)))
    prepared = same_values(file.model(file.node("MatMul", x, file.drawn(8, 3))))
    assert "Transpose" not in kinds(prepared)


def test_transpose_before_a_matrix_moves_its_rows(net, same_values, kinds):
    file = net(2, 3, 4)
    x = file.node("Transpose", file.start(), perm=[0, 3, 1, 2])
    x = file.node("Flatten", x)
    prepared = same_values(file.model(file.node("MatMul", x, file.drawn(24, 2))))
    assert kinds(prepared) == ["Quant", "Reshape", "MatMul"]


def test_flattened_image_that_is_an_output_is_turned_back(net, same_values, kinds):
    file = net(2, 3, 3)
    x = file.node("Conv", file.start(), file.drawn(2, 2, 2, 2))
    prepared = same_values(file.model(file.node("Flatten", x)))
    assert kinds(prepared)[-2:] == ["Transpose", "Reshape"]
