import numpy as np
from numpy.testing import assert_allclose

from hawq.report.outputs import Outputs
from hawq.report.sections import agreement


def outputs(shift: float = 0.25) -> Outputs:
    float_logits = np.array([[1.0, 0.0], [0.1, 0.0], [0.0, 2.0], [0.0, 0.2]])
    firmware = float_logits.copy()
    firmware[1] = [0.0, 0.1]
    firmware[3] = [0.2, 0.0]
    firmware[0] += shift
    return Outputs(
        integers=np.rint(firmware * 2**10).astype(np.int64),
        fraction=10,
        float_logits=np.rint(float_logits * 2**10) / 2**10,
        labels=np.array([0, 0, 1, 0]),
        classes=("g", "q"),
    )


def test_flips_by_class() -> None:
    rows = {row.class_name: row for row in agreement.measure(outputs()).rows}
    # Jet 1 turns from right to wrong, jet 3 from wrong to right; both are g.
    g = rows["g"]
    assert (g.samples, g.flipped, g.corrected, g.spoiled) == (3, 2, 1, 1)
    q = rows["q"]
    assert (q.samples, q.flipped, q.corrected, q.spoiled) == (1, 0, 0, 0)
    assert rows["all"].samples == 4
    assert rows["all"].flipped == 2


def test_mean_and_spread_are_of_the_own_logit() -> None:
    found = outputs()
    row = agreement.measure(found).rows[0]
    own = found.differences[[0, 1, 3], 0]
    assert_allclose([row.mean, row.spread], [own.mean(), own.std()])


def test_gaps_count_every_flip_in_range() -> None:
    found = agreement.measure(outputs())
    assert sum(found.gap_flipped) == 2
    assert found.step == 2.0**-10
    assert all(f <= n for f, n in zip(found.gap_flipped, found.gap_all, strict=True))


def test_equal_networks_draw() -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0]])
    same = Outputs(logits.astype(np.int64), 0, logits, np.array([0, 1]), ("g", "q"))
    found = agreement.measure(same)
    assert found.rows[-1].flipped == 0
    left, right = agreement.draw(found).axes
    assert left.get_xlabel() == "logit: firmware less float network"
    assert right.get_ylabel() == "decisions that flip [%]"
