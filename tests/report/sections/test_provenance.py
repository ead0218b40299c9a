import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from hawq import digest, manifest
from hawq.flow import read, shipped_flows
from hawq.manifest import MadeFrom
from hawq.report.sections import provenance
from hawq.report.stage import Settings

SMALL = shipped_flows()["jets_small"]


def made_from(overrides: tuple[str, ...] = ()) -> dict[str, MadeFrom]:
    flow = read(SMALL, overrides)
    found = {}
    for name, settings in flow.settings.items():
        plain = settings.model_dump_json(context={"digest": digest.of_path})
        found[name] = MadeFrom(
            settings=json.loads(plain),
            seed=flow.seed,
            files={},
            inputs={},
            code={},
            libraries={},
            tools={},
        )
    del found["report"]
    return found


def test_a_shipped_flow_as_it_is() -> None:
    command = provenance.command("jets_small", made_from(), Settings())
    assert command == "hawq run jets_small"


@pytest.mark.parametrize(
    "override",
    [
        "seed=5",
        "training.epochs=2",
        'training.scales="learned"',
        "allocation.budgets={bops_dense = 25000.0, memory_bits = 3000.0}",
        "allocation.per_channel=true",
        'allocation.groups=[["fc1.weight", "fc2.weight"]]',
    ],
)
def test_the_command_gives_the_settings_back(override: str) -> None:
    changed = made_from((override,))
    command = provenance.command("jets_small", changed, Settings())
    words = shlex.split(command)
    assert words[:3] == ["hawq", "run", "jets_small"]
    assert words[3::2] == ["--set"] * len(words[4::2])
    assert made_from(tuple(words[4::2])) == changed


def test_another_path_is_known_by_its_digest(tmp_path: Path) -> None:
    jets = tmp_path / "jets.npz"
    jets.write_bytes(b"jets")
    changed = made_from((f'data.source="{jets}"',))
    command = provenance.command("jets_small", changed, Settings())
    short = digest.of_file(jets)[:12]
    assert command == f"hawq run jets_small --set data.source=PATH-OF-{short}"


def test_the_reports_own_settings(tmp_path: Path) -> None:
    settings = Settings(title="Jets of mine", real_jets=tmp_path / "real.npz")
    words = shlex.split(provenance.command("jets_small", made_from(), settings))
    assert words[3:] == [
        "--set",
        'report.title="Jets of mine"',
        "--set",
        f'report.real_jets="{tmp_path / "real.npz"}"',
    ]


def test_the_users_own_flow() -> None:
    assert provenance.command("mine", made_from(), Settings()) == "hawq run mine.toml"


def test_stages_and_versions(flow: dict[str, Path]) -> None:
    manifests: dict[str, Any] = {
        name: manifest.read(folder) for name, folder in flow.items()
    }
    found = provenance.gather("mine", manifests, Settings())
    assert [stage.stage for stage in found.stages] == list(flow)
    assert found.stages[0].key == manifests["data"].key
    assert found.versions == {"numpy": "2.0", "python": "3.11"}
    assert not found.is_shipped
