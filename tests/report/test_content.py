import json
from pathlib import Path

import pytest

from hawq.report import content as contents
from hawq.report.content import Content
from hawq.report.evidence import read
from hawq.report.stage import Settings


def gather(folders: dict[str, Path]) -> Content:
    return contents.gather(
        read(folders), None, title="Jets", flow="toy", seed=7, settings=Settings()
    )


def test_everything_is_there(flow: dict[str, Path]) -> None:
    found = gather(flow)
    assert found.equal is True
    assert found.absent == {}
    assert found.samples == {"train": 300, "validation": 300, "test": 300}
    assert found.totals is not None
    assert found.totals.allocated == {"bops": 390.0, "memory_bits": 54.0}
    assert (found.totals.trained_bops, found.totals.qonnx_bops) == (333.0, 444.0)


def test_the_firmware_row_is_measured_on_its_own_outputs(flow: dict[str, Path]) -> None:
    found = gather(flow).accuracy
    assert found is not None
    assert found.paired is not None
    test = [row for row in found.rows if row.sample == "test"]
    names = ["float network", "quantized, trained", "firmware (C-simulation)"]
    assert [row.network for row in test] == names
    difference = test[2].accuracy - test[0].accuracy
    assert found.paired.difference == pytest.approx(difference, abs=1e-12)
    # In the fixture both are computed from the same integers.
    assert test[2].accuracy == test[1].accuracy
    assert test[2].loss_nats == pytest.approx(test[1].loss_nats, abs=1e-9)


@pytest.mark.parametrize(
    ("stages", "absent"),
    [
        (
            "data",
            "model sensitivity allocation training export hls csim",
        ),
        ("data model", "sensitivity allocation training export hls csim"),
        ("data model sensitivity allocation", "training export hls csim"),
    ],
)
def test_absent_stages_have_no_section(
    flow: dict[str, Path], stages: str, absent: str
) -> None:
    found = gather({name: flow[name] for name in stages.split()})
    assert list(found.absent) == absent.split()
    assert found.ladder is None
    assert found.equal is None
    assert found.agreement is None
    assert found.types == ()
    assert (found.front is None) == ("allocation" in absent)
    assert (found.roc is None) == ("model" in absent)


def test_json_has_all_and_no_nan(flow: dict[str, Path], tmp_path: Path) -> None:
    found = gather(flow)
    found.save(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(text, parse_constant=refuse)
    assert Content.model_validate_json(text) == found


def test_the_swept_cost_is_the_first_budget(flow: dict[str, Path]) -> None:
    assert contents.swept_cost(read(flow)) == "bops"
