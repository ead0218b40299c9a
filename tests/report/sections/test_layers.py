from pathlib import Path

from hawq.report.sections import layers
from hawq.synthesis.stage import SynthesisRecord


def record(flow: dict[str, Path]) -> SynthesisRecord:
    path = flow["synthesis"] / "record.json"
    return SynthesisRecord.model_validate_json(path.read_bytes())


def test_the_sum_is_not_the_network(flow: dict[str, Path]) -> None:
    found = layers.gather(record(flow))
    assert found is not None
    (target,) = found.targets
    assert target.kinds == ("LUT", "CARRY")
    assert [(x.name, x.counts, x.file) for x in target.layers] == [
        ("fc1", {"LUT": 131, "CARRY": 0}, "0-fc1/stat.json"),
        ("fc2", {"LUT": 53, "CARRY": 1}, "1-fc2/stat.json"),
    ]
    assert target.total == {"LUT": 184, "CARRY": 1}
    assert target.network == {"LUT": 160, "CARRY": 0}


def test_a_layer_that_says_nothing_has_no_sum(flow: dict[str, Path]) -> None:
    whole = record(flow)
    xcup = whole.targets["xcup"]
    alone = dict(xcup.report.layers_alone)
    alone["fc2"] = alone["fc2"].model_copy(update={"usage": {}})
    report = xcup.report.model_copy(update={"layers_alone": alone})
    target = xcup.model_copy(update={"report": report})
    found = layers.gather(whole.model_copy(update={"targets": {"xcup": target}}))
    assert found is not None
    assert found.targets[0].total == {"LUT": None, "CARRY": None}
    (axes,) = layers.draw(found).axes
    assert [text.get_text() for text in axes.texts] == ["131", "not reported"]


def test_no_layer_alone(flow: dict[str, Path]) -> None:
    whole = record(flow)
    only = {"asic": whole.targets["asic"]}
    assert layers.gather(whole.model_copy(update={"targets": only})) is None


def test_bars_have_the_counts(flow: dict[str, Path]) -> None:
    found = layers.gather(record(flow))
    assert found is not None
    (axes,) = layers.draw(found).axes
    assert [bar.get_width() for bar in axes.patches] == [131, 53]
    assert axes.get_xlabel() == "LUT, each layer synthesised alone"
