"""What the data stage hands on."""

from __future__ import annotations

from hawq.records import Record


class PartRecord(Record):
    """One of the three parts.

    Attributes:
        samples: How many.
        counts: Class → samples.
        digest: SHA-256 of names, features and labels.
    """

    samples: int
    counts: dict[str, int]
    digest: str


class DataRecord(Record):
    """Samples in raw units, in ``train.h5``, ``validation.h5`` and ``test.h5``.

    Attributes:
        source: ``embedded``, ``generate`` or the user's path.
        source_digest: SHA-256 of all samples read, before the split.
        features: Columns, in order.
        classes: In order.
        seed: Of the split (and of the generator).
        train: To train on.
        validation: To choose by.
        test: To quote.
    """

    source: str
    source_digest: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    seed: int
    train: PartRecord
    validation: PartRecord
    test: PartRecord
