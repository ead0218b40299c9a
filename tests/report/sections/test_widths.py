from pathlib import Path

from hawq.export.stage import ExportRecord
from hawq.records import Allocation, FirmwareProject, SensitivityMap, SiteKind
from hawq.report.sections import widths
from hawq.training.record import TrainingRecord


def allocation(flow: dict[str, Path], name: str = "record.json") -> Allocation:
    return Allocation.model_validate_json((flow["allocation"] / name).read_bytes())


def test_sites_with_all_that_is_known(flow: dict[str, Path]) -> None:
    sensitivity = SensitivityMap.read(flow["sensitivity"] / "record.json")
    text = (flow["training"] / "record.json").read_bytes()
    training = TrainingRecord.model_validate_json(text)
    uniform = allocation(flow, "uniform.json")
    first, weight = widths.gather(
        allocation(flow), sensitivity, training, uniform
    ).sites
    assert (first.site, first.bits, first.uniform_bits) == ("input", 8, 7)
    assert first.kind is SiteKind.ACTIVATION
    assert first.nonzero is None
    assert (weight.bits, weight.elements, weight.nonzero) == (6, 6, 0.75)
    assert weight.format == "fixed<6,0,RND_CONV,SAT,0>"


def test_sites_by_name_alone(flow: dict[str, Path]) -> None:
    first, weight = widths.gather(allocation(flow), None, None, None).sites
    assert first.kind is SiteKind.ACTIVATION
    assert weight.kind is SiteKind.WEIGHT
    assert weight.elements is None


def test_bars_are_the_bits(flow: dict[str, Path]) -> None:
    section = widths.gather(allocation(flow), None, None, None)
    (axes,) = widths.draw(section).axes
    assert [bar.get_height() for bar in axes.patches] == [8, 6]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "input",
        "fc1.weight",
    ]


def test_types_of_graph_and_firmware_side_by_side(flow: dict[str, Path]) -> None:
    hls = FirmwareProject.model_validate_json(
        (flow["hls"] / "record.json").read_bytes()
    )
    text = (flow["export"] / "record.json").read_bytes()
    export = ExportRecord.model_validate_json(text)
    rows = widths.firmware_types(hls, export)
    assert [(row.tensor, row.bits) for row in rows] == [
        ("input", 8),
        ("fc1", 16),
        ("w2", 6),
    ]
    assert rows[0].graph == rows[0].firmware == "fixed<8,3,RND_CONV,SAT,0>"
    assert rows[1].firmware is None
    assert rows[2].graph is None


def test_no_types_without_stages() -> None:
    assert widths.firmware_types(None, None) == ()
