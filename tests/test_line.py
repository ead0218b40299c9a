from __future__ import annotations

from hawq.line import STAGES
from hawq.tools import TOOLS


def test_numbers_follow_the_order() -> None:
    assert [stage.number for stage in STAGES] == list(range(1, len(STAGES) + 1))


def test_stages_read_earlier_stages_only() -> None:
    names = [stage.name for stage in STAGES]
    for index, stage in enumerate(STAGES):
        assert {*stage.needs, *stage.may_read} <= set(names[:index])
        assert not {*stage.needs} & {*stage.may_read}


def test_stages_need_known_tools() -> None:
    assert {tool for stage in STAGES for tool in stage.tools} <= TOOLS.keys()


def test_folders_sort_in_order() -> None:
    folders = [stage.folder for stage in STAGES]
    assert folders == sorted(folders)
    assert folders[0] == "01-data"
