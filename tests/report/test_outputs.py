import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hawq.errors import DataError, StageError
from hawq.report.outputs import Outputs, probabilities, read_outputs

CLASSES = ("g", "q")


def outputs() -> Outputs:
    return Outputs(
        integers=np.array([[3, -5], [8, 9]]),
        fraction=2,
        float_logits=np.array([[0.5, -1.0], [2.5, 2.0]]),
        labels=np.array([0, 1]),
        classes=CLASSES,
    )


def test_firmware_logits_are_exact() -> None:
    assert_array_equal(outputs().firmware_logits, [[0.75, -1.25], [2.0, 2.25]])


def test_a_negative_fraction_is_a_coarse_step() -> None:
    coarse = Outputs(np.array([[3, 1]]), -2, np.zeros((1, 2)), np.array([0]), CLASSES)
    assert_array_equal(coarse.firmware_logits, [[12.0, 4.0]])


def test_float_logits_on_the_firmwares_grid() -> None:
    between = Outputs(
        np.zeros((1, 2), int), 2, np.array([[0.375, -0.3]]), np.array([0]), CLASSES
    )
    # 1.5 goes to the even integer.
    assert_array_equal(between.float_integers, [[2, -1]])


def test_flips_and_differences() -> None:
    assert_array_equal(outputs().is_flipped, [False, True])
    assert_array_equal(outputs().differences, [[0.25, -0.25], [-0.5, 0.25]])


def test_shapes_must_agree() -> None:
    with pytest.raises(
        DataError,
        match=r"^integers has the shape \(1, 3\): expected \(1, 2\), a column for each "
        r"of g, q$",
    ):
        Outputs(np.zeros((1, 3), int), 0, np.zeros((1, 2)), np.zeros(1, int), CLASSES)


def test_probabilities_do_not_overflow() -> None:
    found = probabilities(np.array([[1000.0, 1000.0 + np.log(3.0)], [-1000.0, 1000.0]]))
    assert_allclose(found, [[0.25, 0.75], [0.0, 1.0]], atol=1e-12)


def test_read(flow: dict[str, Path]) -> None:
    found = read_outputs(flow)
    assert found.classes == ("g", "q", "w")
    assert found.fraction == 4
    # The stage floors: no integer is above the float logit, none a step below it.
    assert (found.differences <= 0).all()
    assert (found.differences > -(2.0**-4)).all()


def test_read_without_csim(flow: dict[str, Path]) -> None:
    with pytest.raises(
        StageError,
        match=r"^the flow has not run csim: firmware outputs are its result$",
    ):
        read_outputs({"data": flow["data"]})


def test_read_damaged(flow: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "csim"
    shutil.copytree(flow["csim"], folder)
    (folder / "outputs.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(
        StageError,
        match=r"^.*outputs\.npz is damaged \(.*\): run the csim stage again$",
    ):
        read_outputs({**flow, "csim": folder})
