"""What the csim stage hands on."""

from __future__ import annotations

from hawq.records import Comparison, Record


class LadderRecord(Record):
    """The ladder, climbed to its top: every integer of every rung is equal.

    Attributes:
        comparisons: One a pair of neighbouring rungs.
        integers: How many integers were compared in all.
        compile_s: Seconds g++ took.
        csim_samples_per_s: Speed of the compiled firmware, every tensor traced.
        golden_samples_per_s: Speed of the golden executor, every tensor traced.
        accuracy: Of the firmware's logits on the test jets.
        accuracy_error: Binomial, one standard error.
        agreement: Fraction of test jets where firmware and float network choose the
            same class.
        output: Name of the output tensor.
        output_fraction: Each output integer is worth ``2**-output_fraction``.
    """

    comparisons: tuple[Comparison, ...]
    integers: int
    compile_s: float
    csim_samples_per_s: float
    golden_samples_per_s: float
    accuracy: float
    accuracy_error: float
    agreement: float
    output: str
    output_fraction: int
