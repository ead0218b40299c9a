"""The data stage: read or make jets, and split them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.dataset import Dataset, split_dataset
from hawq.data.generate import generate_jets
from hawq.data.readers import read_dataset
from hawq.data.record import DataRecord, PartRecord
from hawq.data.variant import Variant
from hawq.paths import shipped
from hawq.stage import StageContext, StageSettings

EMBEDDED: Literal["embedded"] = "embedded"
GENERATE: Literal["generate"] = "generate"


def embedded_jets() -> Path:
    """Find the jets that ship with hawq.

    Returns:
        The file, in the layout of CERNBox's jet set.
    """
    return shipped("models") / "jets" / "jets.h5"


class Settings(StageSettings):
    """Where the samples come from, and how they are split."""

    source: Literal["embedded", "generate"] | Path = Field(
        default=EMBEDDED,
        description='"embedded", "generate", or a file or folder of samples',
    )
    tree: str | None = Field(
        default=None, description="Which tree of a ROOT file; not needed for only one"
    )
    features: tuple[str, ...] = Field(
        default=FEATURES, min_length=1, description="Columns, in the network's order"
    )
    classes: tuple[str, ...] = Field(
        default=CLASSES, min_length=2, description="In the order of the outputs"
    )
    samples_per_class: int | None = Field(
        default=None, ge=3, description="Use at most so many of each class, at random"
    )
    fractions: tuple[float, float, float] = Field(
        default=(0.7, 0.1, 0.2), description="Of training, validation and test"
    )
    generate_per_class: int = Field(
        default=20_000, ge=3, description='Jets to make with source = "generate"'
    )
    variant: Variant = Field(
        default=Variant.DEFAULT, description='Detector with source = "generate"'
    )

    def also_reads(self) -> tuple[Path, ...]:
        """List the embedded jets, if they are the source.

        Returns:
            The file, or nothing.
        """
        return (embedded_jets(),) if self.source == EMBEDDED else ()


def run(context: StageContext) -> DataRecord:
    """Read or make the samples; write the three parts.

    Args:
        context: It needs no inputs.

    Returns:
        The record.
    """
    settings: Settings = context.settings
    if settings.source == EMBEDDED:
        path = embedded_jets()
    elif settings.source == GENERATE:
        path = _generate(context)
    else:
        path = Path(settings.source)
    context.progress(f"reading {path.name}", 0.9)
    dataset = read_dataset(path, settings.features, settings.classes, settings.tree)
    context.progress("splitting", 0.95)
    split = split_dataset(
        dataset, settings.fractions, context.seed, settings.samples_per_class
    )
    for name, part in split._asdict().items():
        part.save(context.folder / f"{name}.h5")
    return DataRecord(
        source=str(settings.source),
        source_digest=dataset.digest,
        features=dataset.features,
        classes=dataset.classes,
        seed=context.seed,
        **{name: _part(part) for name, part in split._asdict().items()},
    )


def _generate(context: StageContext) -> Path:
    settings: Settings = context.settings
    return generate_jets(
        context.scratch / "jets.h5",
        settings.generate_per_class,
        seed=context.seed,
        variant=settings.variant,
        workers=context.workers,
        cluster=context.cluster,
        progress=lambda what, fraction: context.progress(what, 0.9 * fraction),
    )


def _part(part: Dataset) -> PartRecord:
    return PartRecord(samples=len(part), counts=part.counts, digest=part.digest)
