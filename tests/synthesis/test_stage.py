from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hawq.allocation.measured import measured
from hawq.export.elements import ElementNetwork, write_elements
from hawq.stage import StageContext
from hawq.synthesis import targets
from hawq.synthesis.stage import Settings, run


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"targets": ("xcup", "xcup")}, r"'xcup' stands there twice"),
        ({"seeds": (1, 2, 1)}, r"1 stands there twice"),
        ({"targets": ()}, r"at least 1 item"),
        ({"targets": ("ice40",)}, r"'xcup', 'ecp5', 'asic', 'vitis_hls' or 'vivado'"),
        ({"host": "me@host; rm"}, r"match pattern"),
    ],
)
def test_settings_that_make_no_sense(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**given)


def test_predictions_are_by_the_laws_that_chose_the_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "make_targets", lambda *_: {})
    three = np.full(3, 3)
    network = ElementNetwork(
        weights=(np.array([[1.0, 3.0], [5.0, 7.0], [-3.0, 0.0]]),),
        biases=(np.ones(2),),
        fraction=(three,),
        integer=(three,),
        inputs=np.arange(3),
        features=3,
    )
    folders = {name: tmp_path / name for name in ("export", "allocation")}
    for folder in folders.values():
        folder.mkdir()
    write_elements(network, folders["export"] / "network.onnx")
    context = StageContext(tmp_path, Settings(), folders)
    shipped = run(context)
    laws = measured()
    twice = laws.lut.model_copy(update={"factor": 2 * laws.lut.factor})
    own = laws.model_copy(update={"lut": twice})
    own.save(folders["allocation"] / "measured.json")

    assert shipped.predicted_luts
    assert run(context).predicted_luts == 2 * shipped.predicted_luts
    assert run(context).predicted_ns == shipped.predicted_ns
