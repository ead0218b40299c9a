"""The model stage's settings, validated without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hawq.model.stage import Settings
from hawq.paths import shipped


def test_shipped_tagger_is_the_default() -> None:
    assert Settings().network == shipped("models") / "jets" / "network.py"


def test_folder_stands_for_its_network(tmp_path: Path) -> None:
    # Only the file is digested: a README beside it must not train the network anew.
    assert Settings(network=tmp_path).network == tmp_path / "network.py"
    assert Settings(network=tmp_path / "mine.py").network == tmp_path / "mine.py"


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"epoch": 3}],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_settings_need_no_torch() -> None:
    code = "import sys, hawq.model.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
