from __future__ import annotations

import pytest

from hawq.errors import UnknownNameError
from hawq.hls.targets import TARGETS, find_target, reasons_against


def test_five_back_ends_need_nothing_but_a_compiler():
    free = [name for name in TARGETS if not reasons_against(name)]
    assert free == ["Vitis", "Vivado", "VivadoAccelerator", "Quartus", "Catapult"]


def test_unknown_back_end_names_the_known():
    message = (
        r"^hls4ml has no back end 'Altera'; there are: Vitis, Vivado, "
        r"VivadoAccelerator, Quartus, Catapult, oneAPI, Libero$"
    )
    with pytest.raises(UnknownNameError, match=message):
        find_target("Altera")
