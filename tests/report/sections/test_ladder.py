from pathlib import Path

from hawq.csim.record import LadderRecord
from hawq.records import Difference
from hawq.report.sections import ladder
from hawq.report.sections.ladder import Ladder
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.record import Proof
from hawq.synthesis.stage import SynthesisRecord


def record(flow: dict[str, Path]) -> LadderRecord:
    return LadderRecord.model_validate_json((flow["csim"] / "record.json").read_bytes())


def gather(csim: LadderRecord) -> Ladder:
    found = ladder.gather(csim)
    assert found is not None
    return found


def test_pairs_and_sums(flow: dict[str, Path]) -> None:
    found = gather(record(flow))
    assert [(p.lower, p.tensors, p.integers, p.equal) for p in found.pairs] == [
        ("PyTorch network", 2, 1600, True),
        ("QONNX executor", 2, 1600, True),
    ]
    assert (found.integers, found.vectors, found.equal) == (3200, 320, True)


def test_no_rung_proves_nothing(flow: dict[str, Path]) -> None:
    empty = record(flow).model_copy(update={"comparisons": ()})
    assert not gather(empty).equal


def test_no_integer_proves_nothing(flow: dict[str, Path]) -> None:
    whole = record(flow)
    bare = whole.comparisons[0].model_copy(update={"tensors": ()})
    assert not gather(whole.model_copy(update={"comparisons": (bare,)})).equal


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
    found = gather(
        whole.model_copy(update={"comparisons": (whole.comparisons[0], bad)})
    )
    assert [pair.equal for pair in found.pairs] == [True, False]
    assert not found.equal


def hardware(flow: dict[str, Path]) -> tuple[RtlRecord, SynthesisRecord]:
    rtl, synthesis = (flow[n] / "record.json" for n in ("rtl", "synthesis"))
    return (
        RtlRecord.model_validate_json(rtl.read_bytes()),
        SynthesisRecord.model_validate_json(synthesis.read_bytes()),
    )


def test_hardware_is_rungs_5_and_6(flow: dict[str, Path]) -> None:
    found = ladder.gather(record(flow), *hardware(flow))
    assert found is not None
    assert [(p.upper, p.vectors, p.integers) for p in found.pairs[2:]] == [
        ("RTL simulation (Verilator)", 100, 300),
        ("UltraScale+ netlist (Verilator)", 20, 60),
        ("ECP5 netlist (Verilator)", 20, 60),
        ("ASIC netlist (Verilator)", 20, 60),
    ]
    assert (found.integers, found.vectors, found.forms, found.equal) == (
        3680,
        320,
        8,
        True,
    )
    assert found.netlists == ("xcup", "ecp5", "asic")
    assert found.not_simulated == ("vivado",)
    assert [(p.target, p.whole) for p in found.proofs] == [
        ("xcup", True),
        ("ecp5", False),
    ]


def test_no_rung_no_section() -> None:
    assert ladder.gather(None) is None


def test_a_proof_of_nothing_is_none() -> None:
    empty = Proof(verdict="proved", points=0, open=0, seconds=0.0, tool="sat")
    assert not ladder.NetlistProof(target="xcup", proof=empty).whole
    unsaid = empty.model_copy(update={"points": 3, "open": 1})
    assert not ladder.NetlistProof(target="xcup", proof=unsaid).whole
