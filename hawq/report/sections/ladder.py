"""The ladder: which forms of the network were compared, on what, and the verdict."""

from __future__ import annotations

from hawq.csim.record import LadderRecord
from hawq.records import Comparison, Record


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
    def equal(self) -> bool:
        """Whether all compared integers, at least one, agree."""
        return self.comparison.equal and self.different == 0 and self.integers > 0


class Ladder(Record):
    """The section on equality.

    Attributes:
        pairs: From the trained network upwards.
        integers: Compared in all.
        vectors: Input vectors, each run by every rung.
        compile_s: Seconds g++ took.
        csim_samples_per_s: Speed of the compiled firmware.
        golden_samples_per_s: Speed of the golden executor.
        output: Name of the output tensor.
        output_fraction: Each of its integers is worth ``2**-output_fraction``.
    """

    pairs: tuple[RungPair, ...]
    integers: int
    vectors: int
    compile_s: float
    csim_samples_per_s: float
    golden_samples_per_s: float
    output: str
    output_fraction: int

    @property
    def equal(self) -> bool:
        """Whether every pair is equal; a ladder of no pair is not."""
        return bool(self.pairs) and all(pair.equal for pair in self.pairs)


def gather(csim: LadderRecord) -> Ladder:
    """Collect the comparisons.

    Args:
        csim: Record of the ladder.

    Returns:
        The section.
    """
    pairs = tuple(_pair(comparison) for comparison in csim.comparisons)
    return Ladder(
        pairs=pairs,
        integers=sum(pair.integers for pair in pairs),
        vectors=sum(pairs[0].inputs.values()) if pairs else 0,
        compile_s=csim.compile_s,
        csim_samples_per_s=csim.csim_samples_per_s,
        golden_samples_per_s=csim.golden_samples_per_s,
        output=csim.output,
        output_fraction=csim.output_fraction,
    )


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
