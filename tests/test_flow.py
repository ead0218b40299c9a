from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hawq.errors import FlowError
from hawq.flow import Flow, find, read, shipped_flows, title
from hawq.line import STAGES

GOOD = """# A line of toys.
name = "toy"
seed = 3

[first]
value = 2

[second.budgets]
steps = 4
"""


@pytest.fixture
def flow_of(toys: Path, tmp_path: Path):
    from toy.line import TOYS

    def flow_of(text: str, *overrides: str) -> Flow:
        path = tmp_path / "toy.toml"
        path.write_text(text)
        return read(path, overrides, TOYS)

    return flow_of


def message(path: Path, text: str) -> str:
    return f"^{re.escape(str(path / 'toy.toml'))}{re.escape(text)}$"


def test_tables_become_settings(flow_of) -> None:
    flow = flow_of(GOOD)
    assert (flow.name, flow.seed) == ("toy", 3)
    assert flow.settings["first"].value == 2
    assert flow.settings["first"].ratio == 0.5
    assert flow.settings["second"].budgets.steps == 4


def test_absent_tables_are_stages_not_run(flow_of) -> None:
    assert [stage.name for stage in flow_of(GOOD).stages] == ["first", "second"]


def test_stages_get_what_they_may_read(flow_of) -> None:
    flow = flow_of(GOOD + "[third]\n")
    assert flow.inputs(flow.stage("third")) == ("first", "second")
    assert flow.inputs(flow.stage("first")) == ()


def test_paths_are_taken_from_the_flow_file(flow_of, tmp_path: Path) -> None:
    (tmp_path / "jets.h5").write_text("jets")
    flow = flow_of(GOOD.replace("value = 2", 'source = "jets.h5"'))
    assert flow.settings["first"].source == tmp_path / "jets.h5"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("value", "valeu", ":6:1: [first] has no key 'valeu' (did you mean 'value'?)"),
        ("value", "x", ":6:1: [first] has no key 'x'; known: value, ratio, source"),
        (
            "steps",
            "stepps",
            ":9:1: [second.budgets] has no key 'stepps' (did you mean 'steps'?)",
        ),
        (
            "[first]",
            "[frist]",
            ":5:2: the flow has no key 'frist' (did you mean 'first'?)",
        ),
        (
            "seed",
            "sed",
            ":3:1: the flow has no key 'sed' (did you mean 'seed'?) (and 1 more)",
        ),
        ("seed = 3\n", "", ": the flow lacks the key 'seed'"),
        (
            "seed = 3",
            "seed = -3",
            ":3:1: seed should be greater than or equal to 0, got -3",
        ),
        (
            'name = "toy"',
            'name = "../toy"',
            ":2:1: name should match pattern "
            "'^[A-Za-z0-9][A-Za-z0-9_.-]*$', got '../toy'",
        ),
        (
            "value = 2",
            "value = 'two'",
            ":6:1: first.value should be a valid integer, got 'two'",
        ),
        (
            "value = 2",
            "value = 2.0",
            ":6:1: first.value should be a valid integer, got 2.0",
        ),
        (
            "value = 2",
            "ratio = '1'",
            ":6:1: first.ratio should be a valid number, got '1'",
        ),
        (
            "value = 2",
            "\n  value = -1",
            ":7:3: first.value should be greater than or equal to 0, got -1",
        ),
        (
            "steps = 4",
            "steps = [4]\nx = 1",
            ":10:1: [second.budgets] has no key 'x'; known: steps (and 1 more)",
        ),
        (
            "[second.budgets]\nsteps = 4",
            "[second]\nmode = 'sideways'",
            ":9:1: second.mode should be 'up' or 'down', got 'sideways'",
        ),
        ("[first]\nvalue = 2", "first = 2", ":5:1: first should be an object, got 2"),
        ("value = 2", "value = ", ": not TOML: Invalid value (at line 6, column 9)"),
        (
            "[first]\nvalue = 2\n",
            "",
            ":6:2: [second] needs [first], which the flow lacks: add the table "
            "(an empty one takes the defaults)",
        ),
    ],
)
def test_mistakes(flow_of, tmp_path: Path, old: str, new: str, text: str) -> None:
    with pytest.raises(FlowError, match=message(tmp_path, text)):
        flow_of(GOOD.replace(old, new))


def test_a_flow_without_stages(flow_of, tmp_path: Path) -> None:
    text = ": the flow has no stage: add a table such as [data]"
    with pytest.raises(FlowError, match=message(tmp_path, text)):
        flow_of('name = "toy"\nseed = 1\n')


def test_a_file_that_is_not_there(flow_of, tmp_path: Path) -> None:
    text = f":6:1: first.source: no such file or folder: {tmp_path / 'jets.h5'}"
    with pytest.raises(FlowError, match=message(tmp_path, text)):
        flow_of(GOOD.replace("value = 2", 'source = "jets.h5"'))


def test_a_flow_that_is_not_text(flow_of, tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(FlowError, match=rf"^{path}: not UTF-8: .*$"):
        read(path)


def test_overrides_are_toml(flow_of) -> None:
    flow = flow_of(
        GOOD, "first.value=7", "second.mode=down", "seed=9", "second.pause_s = 1e-3"
    )
    assert flow.settings["first"].value == 7
    assert flow.settings["second"].mode == "down"
    assert flow.settings["second"].pause_s == 0.001
    assert flow.seed == 9


def test_overrides_may_reach_nested_tables_the_file_lacks(flow_of) -> None:
    text = GOOD.replace("[second.budgets]\nsteps = 4", "[second]")
    assert flow_of(text, "second.budgets.steps=5").settings["second"].budgets.steps == 5


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("first.value=two", "first.value should be a valid integer, got 'two'"),
        ("first.valeu=2", "[first] has no key 'valeu' (did you mean 'value'?)"),
        ("frist.value=2", "the flow has no table [frist] (did you mean 'first'?)"),
        ("third.mode=fine", "the flow has no table [third]; known: first, second"),
        ("first.value.x=2", "the flow has no table [first.value]"),
        ("first.value", "expected table.key=value"),
        ("first.=2", "expected table.key=value"),
        (
            "first.value=[1",
            "'[1' is not a TOML value; a string needs quotes: 'first.value=\"[1\"'",
        ),
    ],
)
def test_mistaken_overrides(flow_of, override: str, text: str) -> None:
    with pytest.raises(FlowError, match=f"^--set {re.escape(f'{override}: {text}')}$"):
        flow_of(GOOD, override)


def test_a_stage_the_flow_does_not_run(flow_of, tmp_path: Path) -> None:
    text = ": the flow has no table [secnd] (did you mean 'second'?)"
    with pytest.raises(FlowError, match=message(tmp_path, text)):
        flow_of(GOOD).stage("secnd")


def test_shipped_flows_are_found_by_name() -> None:
    assert {"jets", "jets_small"} <= shipped_flows().keys()
    assert find("jets") == shipped_flows()["jets"]


def test_a_name_nobody_ships() -> None:
    message = (
        r"^there is no flow file 'jet', and no shipped flow of that name "
        r"\(did you mean 'jets'\?\)$"
    )
    with pytest.raises(FlowError, match=message):
        find("jet")


@pytest.mark.parametrize("name", sorted(shipped_flows()))
def test_shipped_flows_are_valid_and_in_the_order_of_the_data(name: str) -> None:
    path = shipped_flows()[name]
    flow = read(path)
    assert flow.name == name
    assert title(path)
    headers = re.findall(r"^\[(\w+)\]", path.read_text(), flags=re.MULTILINE)
    assert headers == [stage.name for stage in STAGES]


def test_an_optional_stage_runs_only_where_it_is_asked_for() -> None:
    path = shipped_flows()["jets_small"]
    assert not {"rtl", "synthesis"} & read(path).settings.keys()
    flow = read(path, ["rtl.clock_ns=4.0"], wanted=["rtl"])
    assert flow.stage("rtl").number == 9
    assert flow.settings["rtl"].clock_ns == 4.0
    assert "synthesis" not in flow.settings


def test_an_optional_stage_brings_the_optional_ones_that_it_needs() -> None:
    flow = read(shipped_flows()["jets_small"], wanted=["synthesis"])
    assert [stage.name for stage in flow.stages] == [stage.name for stage in STAGES]


def test_a_table_of_a_stage_that_does_not_run_is_read_all_the_same() -> None:
    path = shipped_flows()["jets_small"]
    with pytest.raises(FlowError, match=r"rtl\.clock_ns should be greater than 0"):
        read(path, ["rtl.clock_ns=-1.0"])


def test_a_wanted_stage_that_nobody_knows() -> None:
    message = r"^there is no stage 'synth' \(did you mean 'synthesis'\?\)$"
    with pytest.raises(FlowError, match=message):
        read(shipped_flows()["jets_small"], wanted=["synth"])


def test_every_key_of_a_shipped_flow_has_a_comment() -> None:
    for path in shipped_flows().values():
        lines = path.read_text().splitlines()
        assert [x for x in lines if "=" in x and "#" not in x] == []


def test_validating_a_flow_imports_nothing_heavy() -> None:
    script = (
        "import sys; from hawq.flow import find, read; read(find('jets')); "
        "print(*{'torch', 'brevitas', 'hls4ml', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
