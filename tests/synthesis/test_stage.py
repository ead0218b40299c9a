from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hawq.synthesis.stage import Settings


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
