from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hls4ml.model.types import FixedPrecisionType, WeightVariable

from hawq.csim.corners import corner_inputs
from hawq.csim.firmware import compile_project
from hawq.csim.ladder import climb
from hawq.csim.rungs import firmware_rung, golden_rung
from hawq.errors import InexactError, InputError, NetworkError
from hawq.hls import project as module
from hawq.hls.project import build_project, check_weights
from hawq.hls.stage import Settings
from hawq.hls.types import accumulator_format
from hawq.integer.lower import lower_qonnx
from hawq.records import StoredLayout
from hawq.stage import silent


def test_types_come_from_the_graph(small_qonnx: Path, tmp_path: Path) -> None:
    project = build_project(small_qonnx, tmp_path / "project", Settings())
    graph = lower_qonnx(small_qonnx)
    sums = {name: accumulator_format(graph.tensors[name]) for name in ("fc1", "fc2")}
    assert project.types["input"] == "fixed<6,2,RND_CONV,SAT,0>"
    assert project.types["relu1"] == "ufixed<4,1,RND_CONV,SAT,0>"
    assert project.types["fc1.weight"] == "fixed<5,0,RND_CONV,SAT,0>"
    for name, form in sums.items():
        assert project.types[name] == form.ap_type()
        assert project.types[f"{name}.accumulator"] == form.ap_type()
    assert project.trace == {
        "input": "features",
        "fc1": "Dense_fc1",
        "relu1": "relu1",
        "fc2": "Dense_fc2",
    }
    defines = (tmp_path / "project" / "firmware" / "defines.h").read_text()
    width, integer = sums["fc1"].width, sums["fc1"].integer
    assert f"typedef ap_fixed<{width},{integer}> dense_fc1_accum_t;" in defines
    assert "typedef ap_fixed<6,2,AP_RND_CONV,AP_SAT,0> input_t;" in defines


@pytest.mark.parametrize(
    "settings",
    [
        Settings(io_type="io_stream"),
        Settings(strategy="resource", reuse_factor=2),
        Settings(strategy="resource", reuse_factors={"fc1": 4, "fc2": 2}),
    ],
    ids=["io_stream", "resource", "single layers"],
)
def test_every_interface_gives_the_same_integers(
    small_qonnx: Path, tmp_path: Path, settings: Settings
) -> None:
    project = build_project(small_qonnx, tmp_path / "project", settings)
    library = compile_project(tmp_path / "project", tmp_path / "firmware.so", "-O1")
    graph = lower_qonnx(small_qonnx)
    rungs = [golden_rung(graph), firmware_rung(project, library, graph)]
    comparisons, _ = climb(rungs, graph, corner_inputs(graph, 0, 200), silent)
    assert [row.different for row in comparisons[0].tensors] == [0, 0, 0, 0]


def test_streams_have_no_copy_that_nobody_reads(
    small_qonnx: Path, tmp_path: Path
) -> None:
    build_project(small_qonnx, tmp_path / "project", Settings(io_type="io_stream"))
    source = (tmp_path / "project" / "firmware" / "network.cpp").read_text()
    assert "clone" not in source


def test_reuse_factor_is_refused_not_changed(small_qonnx: Path, tmp_path: Path) -> None:
    settings = Settings(strategy="resource", reuse_factor=5)
    message = (
        r"^layer 'Dense_fc1' \(4 x 6\) cannot have the reuse factor 5: hls4ml would "
        r"take 4; valid: 1, 2, 4, 8, 12, 24$"
    )
    with pytest.raises(InputError, match=message):
        build_project(small_qonnx, tmp_path / "project", settings)


def test_every_layer_has_its_own_reuse_factor(
    small_qonnx: Path, tmp_path: Path
) -> None:
    settings = Settings(strategy="resource", reuse_factors={"fc1": 4})
    build_project(small_qonnx, tmp_path / "project", settings)
    source = (tmp_path / "project" / "firmware" / "parameters.h").read_text()
    dense = re.findall(
        r"struct config\w* : nnet::dense_config \{(.*?)\n\}", source, re.S
    )
    reuse = [re.search(r"reuse_factor = (\d+);", text)[1] for text in dense]
    assert reuse == ["4", "1"]


def test_a_reuse_factor_of_a_layer_that_is_not_there(
    small_qonnx: Path, tmp_path: Path
) -> None:
    settings = Settings(reuse_factors={"fc9": 4})
    message = (
        r"^hls\.reuse_factors names 'fc9', which is no layer with multiplications; "
        r"those are fc1, fc2$"
    )
    with pytest.raises(InputError, match=message):
        build_project(small_qonnx, tmp_path / "project", settings)


def test_type_that_hls4ml_changes_is_an_error(
    small_qonnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_impose", lambda *_: None)
    message = (
        r"^tensor 'fc1' has type fixed<14,5,TRN,WRAP,0> in the firmware, but the graph "
        r"demands fixed<12,3,TRN,WRAP,0>$"
    )
    with pytest.raises(InexactError, match=message):
        build_project(small_qonnx, tmp_path / "project", Settings())


def test_complaint_36_constants_are_printed_with_every_decimal(
    net: type[Any], tmp_path: Path
) -> None:
    file = net(2)
    weights = file.weights(np.array([[2.0**-20], [1 + 2.0**-20]]), 2.0**-20, 23)
    onnx.save(
        file.model(file.node("MatMul", file.start(), weights)), tmp_path / "n.onnx"
    )
    build_project(tmp_path / "n.onnx", tmp_path / "project", Settings())
    (printed,) = (tmp_path / "project" / "firmware" / "weights").glob("w*.txt")
    numbers = [float(text) for text in printed.read_text().split(",")]
    assert numbers == [2.0**-20, 1 + 2.0**-20]


def test_complaint_36_lost_decimals_are_an_error() -> None:
    variable = WeightVariable(
        "w", "w_t", FixedPrecisionType(23, 3), np.array([2.0**-20])
    )
    variable.precision_fmt = "{:.6f}"
    layer = SimpleNamespace(name="fc", weights={"weight": variable})
    message = (
        r"^layer 'fc': weight np\.float64\(9\.5367431640625e-07\) is no number of type "
        r"fixed<23,3,TRN,WRAP,0>, or is printed as np\.float64\(1e-06\)$"
    )
    with pytest.raises(InexactError, match=message):
        check_weights(SimpleNamespace(get_layers=lambda: [layer]))


def test_network_that_hls4ml_misreads_is_refused_before_anything_is_written(
    net: type[Any], tmp_path: Path
) -> None:
    file = net(2, 8)
    x = file.node("Conv", file.start(), file.drawn(2, 2, 3), dilations=[2])
    onnx.save(file.model(x), tmp_path / "n.onnx")
    with pytest.raises(NetworkError, match=r"^node 'the_conv2' \(Conv\): hls4ml 1\.3"):
        build_project(tmp_path / "n.onnx", tmp_path / "project", Settings())
    assert not (tmp_path / "project").exists()


def test_convolutions_say_how_their_tensors_are_stored(
    net: type[Any], tmp_path: Path
) -> None:
    file = net(2, 3, 4)
    x = file.node("Conv", file.start(), file.drawn(2, 2, 1, 1))
    onnx.save(file.model(x), tmp_path / "n.onnx")
    project = build_project(tmp_path / "n.onnx", tmp_path / "project", Settings())
    layout = StoredLayout(shape=(2, 3, 4), order=(1, 2, 0))
    assert project.layouts == {"x": layout, "quant0": layout, x: layout}
    assert project.outputs == (x,)
    assert (project.input, project.trace["quant0"]) == ("x", "x")
