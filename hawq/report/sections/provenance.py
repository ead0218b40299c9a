"""From what a flow's results were made, and the command that repeats them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hawq import digest
from hawq.flow import read, shipped_flows
from hawq.line import STAGES, Stage
from hawq.manifest import MadeFrom, Manifest
from hawq.records import Record
from hawq.stage import StageSettings

_DIGEST = re.compile(r"[0-9a-f]{64}")


class StageProvenance(Record):
    """One finished stage.

    Attributes:
        stage: Its name.
        settings: Its table of the flow, defaults included; a path is a digest.
        seed: Of the flow.
        key: Digest of all that its result depends on.
        outputs: Digest of all that it wrote.
        seconds: How long it ran.
        finished: When, ISO 8601 with time zone.
        hawq_version: That ran it.
    """

    stage: str
    settings: dict[str, Any]
    seed: int
    key: str
    outputs: str
    seconds: float
    finished: str
    hawq_version: str


class Provenance(Record):
    """The section on repeating the results.

    Attributes:
        flow: Its name.
        command: Repeats it.
        is_shipped: Whether the flow ships with hawq; if not, the command names a file
            that the user has.
        stages: In order.
        versions: Library or tool → version, of every stage.
        purposes: Stage → what it is for.
    """

    flow: str
    command: str
    is_shipped: bool
    stages: tuple[StageProvenance, ...]
    versions: dict[str, str]
    purposes: dict[str, str]


def gather(
    flow: str,
    manifests: Mapping[str, Manifest],
    settings: StageSettings,
    stages: Sequence[Stage] = STAGES,
) -> Provenance:
    """Collect what the manifests say.

    Args:
        flow: Name of the flow.
        manifests: Stage → its manifest, in order.
        settings: Of the report itself.
        stages: All stages there are.

    Returns:
        The section.
    """
    versions: dict[str, str] = {}
    for manifest in manifests.values():
        versions |= manifest.made_from.libraries | manifest.made_from.tools
    made_from = {name: manifest.made_from for name, manifest in manifests.items()}
    return Provenance(
        flow=flow,
        command=command(flow, made_from, settings),
        is_shipped=flow in shipped_flows(),
        stages=tuple(
            StageProvenance(
                stage=name,
                settings=manifest.made_from.settings,
                seed=manifest.made_from.seed,
                key=manifest.key,
                outputs=manifest.outputs,
                seconds=manifest.seconds,
                finished=manifest.finished,
                hawq_version=manifest.hawq_version,
            )
            for name, manifest in manifests.items()
        ),
        versions=dict(sorted(versions.items(), key=lambda pair: pair[0].lower())),
        purposes={stage.name: stage.purpose for stage in stages},
    )


def command(
    flow: str, made_from: Mapping[str, MadeFrom], settings: StageSettings
) -> str:
    """Spell the command that runs a flow again with the same settings.

    What differs from the shipped flow of that name is spelled out with ``--set``. A
    path is known by its digest alone, except the report's own.

    Args:
        flow: Name of the flow.
        made_from: Stage → what it was made from.
        settings: Of the report itself.

    Returns:
        The command; of a flow that does not ship, ``hawq run <name>.toml``.
    """
    path = shipped_flows().get(flow)
    words = ["hawq", "run", f"{flow}.toml" if path is None else flow]
    if path is None:
        return shlex.join(words)
    shipped = read(path)
    seeds = {made.seed for made in made_from.values()} - {shipped.seed}
    words += [word for seed in sorted(seeds) for word in ("--set", f"seed={seed}")]
    found = {name: made.settings for name, made in made_from.items()}
    found["report"] = settings.model_dump(mode="json")
    for stage, values in found.items():
        if stage not in shipped.settings:
            continue
        context = {} if stage == "report" else {"digest": digest.of_path}
        plain = shipped.settings[stage].model_dump_json(context=context)
        default = json.loads(plain)
        for key, value in values.items():
            if value != default.get(key):
                words += ["--set", f"{stage}.{key}={_toml(value)}"]
    return shlex.join(words)


def _toml(value: Any) -> str:
    # A value of JSON, as TOML writes it.
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return f"PATH-OF-{value[:12]}"
    return json.dumps(value)
