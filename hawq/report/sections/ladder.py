"""The ladder: which forms of the network were compared, on what, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hawq.csim.record import LadderRecord
from hawq.records import Comparison, Record
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.record import Proof
from hawq.synthesis.stage import SynthesisRecord, TargetResult


class RungPair(Record):
    """Two neighbouring rungs.

    Attributes:
        lower: The reference.
        upper: The form under test.
        inputs: Input set → vectors.
        tensors: How many were compared.
        integers: How many were compared.
        different: How many differ.
        comparison: Tensor by tensor.
    """

    lower: str
    upper: str
    inputs: dict[str, int]
    tensors: int
    integers: int
    different: int
    comparison: Comparison

    @property
    def vectors(self) -> int:
        """Input vectors, of all sets."""
        return sum(self.inputs.values())

    @property
    def equal(self) -> bool:
        """Whether all compared integers, at least one, agree."""
        return self.comparison.equal and self.different == 0 and self.integers > 0


class NetlistProof(Record):
    """What SAT says of a netlist and its RTL, for every input.

    Attributes:
        target: Whose netlist.
        proof: What is proved, and what is not.
    """

    target: str
    proof: Proof

    @property
    def whole(self) -> bool:
        """Whether every bit, at least one, is proved equal."""
        found = self.proof
        return found.verdict == "proved" and found.points > 0 and found.open == 0


class Ladder(Record):
    """The section on equality; what no stage measured is None.

    Attributes:
        pairs: From the trained network upwards.
        integers: Compared in all.
        vectors: Input vectors of the pair that has most.
        compile_s: Seconds g++ took.
        csim_samples_per_s: Speed of the compiled firmware.
        golden_samples_per_s: Speed of the golden executor.
        output: Name of the output tensor.
        output_fraction: Each of its integers is worth ``2**-output_fraction``.
        rtl_compile_s: Seconds Verilator took for the RTL.
        rtl_samples_per_s: Speed of the simulated RTL.
        bench_tests: Tests of valid, ready and reset that the RTL passed.
        netlists: Targets whose netlists were simulated.
        not_simulated: Targets that were synthesised, but whose netlists were not
            simulated.
        proofs: By SAT, beside the ladder; an unknown one makes nothing unequal.
    """

    pairs: tuple[RungPair, ...]
    integers: int
    vectors: int
    compile_s: float | None = None
    csim_samples_per_s: float | None = None
    golden_samples_per_s: float | None = None
    output: str | None = None
    output_fraction: int | None = None
    rtl_compile_s: float | None = None
    rtl_samples_per_s: float | None = None
    bench_tests: int | None = None
    netlists: tuple[str, ...] = ()
    not_simulated: tuple[str, ...] = ()
    proofs: tuple[NetlistProof, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every pair is equal; a ladder of no pair is not."""
        return bool(self.pairs) and all(pair.equal for pair in self.pairs)

    @property
    def forms(self) -> int:
        """How many forms of the network were compared."""
        return len({name for pair in self.pairs for name in (pair.lower, pair.upper)})


def gather(
    csim: LadderRecord | None,
    rtl: RtlRecord | None = None,
    synthesis: SynthesisRecord | None = None,
) -> Ladder | None:
    """Collect the comparisons.

    Args:
        csim: Record of the ladder up to the compiled firmware.
        rtl: Its rung 5.
        synthesis: Its rung 6, a netlist a target.

    Returns:
        The section; None if no rung was climbed.
    """
    targets = synthesis.targets if synthesis else {}
    pairs = tuple(map(_pair, _comparisons(csim, rtl, targets)))
    if csim is None and not pairs:
        return None
    return Ladder(
        pairs=pairs,
        integers=sum(pair.integers for pair in pairs),
        vectors=max((pair.vectors for pair in pairs), default=0),
        compile_s=csim.compile_s if csim else None,
        csim_samples_per_s=csim.csim_samples_per_s if csim else None,
        golden_samples_per_s=csim.golden_samples_per_s if csim else None,
        output=csim.output if csim else None,
        output_fraction=csim.output_fraction if csim else None,
        rtl_compile_s=rtl.compile_s if rtl else None,
        rtl_samples_per_s=rtl.samples_per_s if rtl else None,
        bench_tests=rtl.bench_tests if rtl else None,
        netlists=tuple(name for name, t in targets.items() if t.comparison),
        not_simulated=tuple(name for name, t in targets.items() if not t.comparison),
        proofs=tuple(
            NetlistProof(target=name, proof=target.proof)
            for name, target in targets.items()
            if target.proof is not None
        ),
    )


def _comparisons(
    csim: LadderRecord | None,
    rtl: RtlRecord | None,
    targets: Mapping[str, TargetResult],
) -> Iterator[Comparison]:
    if csim is not None:
        yield from csim.comparisons
    if rtl is not None:
        yield rtl.comparison
    for target in targets.values():
        if target.comparison is not None:
            yield target.comparison


def _pair(comparison: Comparison) -> RungPair:
    return RungPair(
        lower=comparison.lower,
        upper=comparison.upper,
        inputs=comparison.inputs,
        tensors=len(comparison.tensors),
        integers=sum(row.integers for row in comparison.tensors),
        different=sum(row.different for row in comparison.tensors),
        comparison=comparison,
    )
