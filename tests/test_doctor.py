from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hawq.cli import app
from hawq.doctor import Finding, Health, examine


def of(item: str) -> Finding:
    (finding,) = [finding for finding in examine() if finding.item == item]
    return finding


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Distributions that pretend to have another version, or none."""
    pretended: dict[str, str | None] = {}
    real = importlib.metadata.version

    def version(name: str) -> str:
        found = pretended[name] if name in pretended else real(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return pretended


def test_every_requirement_is_looked_for() -> None:
    items = [finding.item for finding in examine()]
    assert items[0] == "python"
    assert {
        "torch",
        "numpy",
        "hls4ml",
        "hawq[jets]",
        "g++",
        "vivado",
        "opensta",
    } <= set(items)
    assert "hawq[all]" not in items
    assert len(items) == len(set(items))


def test_what_is_installed_is_good() -> None:
    numpy = importlib.metadata.version("numpy")
    assert of("numpy") == Finding("numpy", Health.GOOD, numpy)


def test_a_missing_library(installed: dict[str, str | None]) -> None:
    installed["scipy"] = None
    remedy = "pip install 'scipy<1.18,>=1.15'"
    assert of("scipy") == Finding("scipy", Health.MISSING, "", remedy)


def test_a_version_nobody_tested(installed: dict[str, str | None]) -> None:
    installed["scipy"] = "9.0"
    remedy = "hawq is tested with <1.18,>=1.15"
    assert of("scipy") == Finding("scipy", Health.UNTESTED, "9.0", remedy)


def test_a_missing_extra(installed: dict[str, str | None]) -> None:
    installed["uproot"] = None
    assert of("hawq[readers]") == Finding(
        "hawq[readers]", Health.OPTIONAL, "lacks uproot", "pip install 'hawq[readers]'"
    )


def test_missing_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hawq.tools.version", lambda tool: None)
    assert of("g++").health is Health.MISSING
    assert of("g++").remedy.startswith("compiles the HLS code for C-simulation: apt ")
    assert of("vivado").health is Health.OPTIONAL


def test_opensta_is_found_where_it_was_unpacked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert of("opensta") == Finding(
        "opensta",
        Health.OPTIONAL,
        "",
        "times ASIC netlists and computes their power: python -m hawq.synthesis.fetch "
        "takes it from Debian",
    )
    (tmp_path / "hawq" / "debian" / "opensta").mkdir(parents=True)
    assert of("opensta").health is Health.GOOD


def test_the_command_fails_only_for_what_the_main_job_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {"g++": "g++ 12.2.0"}
    monkeypatch.setattr("hawq.tools.version", found.get)
    good = CliRunner().invoke(app, ["doctor"])
    assert good.exit_code == 0
    assert "missing, optional" in good.stdout
    del found["g++"]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
