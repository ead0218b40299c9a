"""The model stage: train the float network on the data stage's jets."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, JsonValue, field_validator

from hawq.model.record import SOURCE, ModelRecord
from hawq.paths import shipped
from hawq.stage import StageContext, StageSettings


def _shipped_tagger() -> Path:
    return shipped("models") / "jets" / SOURCE


class Settings(StageSettings):
    """The float network and its training."""

    network: Path = Field(
        default_factory=_shipped_tagger,
        description="Folder with network.py (or such a file), whose build() makes it",
    )
    arguments: dict[str, JsonValue] = Field(
        default={}, description="Passed to build(), besides features and classes"
    )
    batch_norm: bool = Field(
        default=False, description="Normalise hidden layers; build() must take it"
    )
    epochs: int = Field(
        default=120, ge=1, description="At most so many passes over the training sample"
    )
    batch_size: int = Field(default=1024, ge=2, description="Samples a step")
    learning_rate: float = Field(
        default=5e-3, gt=0, description="Of Adam at the start; falls to 0 as a cosine"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled, a step and unit of learning rate"
    )
    patience: int = Field(
        default=40,
        ge=1,
        description="Stop after so many epochs without a lower validation loss",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Of PyTorch; results repeat exactly for an equal number only",
    )

    @field_validator("network", mode="after")
    @classmethod
    def _choose_file(cls, path: Path) -> Path:
        # The file alone decides the result: its folder holds a README and data too.
        return path / SOURCE if path.is_dir() else path


def run(context: StageContext) -> ModelRecord:
    """Train the network; write ``float.pt`` and a copy of ``network.py``.

    Args:
        context: Its inputs hold the data stage.

    Returns:
        The record, with the standardisation and the metrics.
    """
    from hawq.model.fit import fit

    return fit(context)
