from pathlib import Path

from hawq.csim.record import LadderRecord
from hawq.records import Difference
from hawq.report.sections import ladder


def record(flow: dict[str, Path]) -> LadderRecord:
    return LadderRecord.model_validate_json((flow["csim"] / "record.json").read_bytes())


def test_pairs_and_sums(flow: dict[str, Path]) -> None:
    found = ladder.gather(record(flow))
    assert [(p.lower, p.tensors, p.integers, p.equal) for p in found.pairs] == [
        ("PyTorch network", 2, 1600, True),
        ("QONNX executor", 2, 1600, True),
    ]
    assert (found.integers, found.vectors, found.equal) == (3200, 320, True)


def test_no_rung_proves_nothing(flow: dict[str, Path]) -> None:
    empty = record(flow).model_copy(update={"comparisons": ()})
    assert not ladder.gather(empty).equal


def test_no_integer_proves_nothing(flow: dict[str, Path]) -> None:
    whole = record(flow)
    bare = whole.comparisons[0].model_copy(update={"tensors": ()})
    assert not ladder.gather(whole.model_copy(update={"comparisons": (bare,)})).equal


def test_a_difference_is_not_equal(flow: dict[str, Path]) -> None:
    whole = record(flow)
    first = Difference(
        tensor="fc1",
        sample=0,
        index=(1,),
        expected="3",
        got="4",
        expected_type="fixed<8,3>",
        got_type="fixed<8,3>",
        inputs="test_jets",
    )
    bad = whole.comparisons[1].model_copy(update={"first": first})
    found = ladder.gather(
        whole.model_copy(update={"comparisons": (whole.comparisons[0], bad)})
    )
    assert [pair.equal for pair in found.pairs] == [True, False]
    assert not found.equal
