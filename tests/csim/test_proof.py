"""The proof can fail: each planted fault turns the ladder red at the right tensor."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hawq.csim.corners import corner_inputs
from hawq.csim.firmware import compile_project
from hawq.csim.ladder import climb
from hawq.csim.rungs import firmware_rung, golden_rung, qonnx_rung, torch_rung
from hawq.errors import MismatchError
from hawq.hls.project import build_project
from hawq.hls.stage import Settings
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx
from hawq.records import FirmwareProject
from hawq.stage import silent

Inputs = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def graph(small_qonnx: Path) -> Graph:
    return lower_qonnx(small_qonnx)


@pytest.fixture(scope="module")
def inputs(graph: Graph) -> Inputs:
    normal = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    return {"samples": normal, **corner_inputs(graph, seed=1, samples=200)}


@pytest.fixture(scope="module")
def folder(small_qonnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hls")
    build_project(small_qonnx, folder / "project", Settings()).save(
        folder / "record.json"
    )
    compile_project(folder / "project", folder / "firmware.so")
    return folder


def read(folder: Path) -> FirmwareProject:
    return FirmwareProject.model_validate_json((folder / "record.json").read_text())


@pytest.fixture
def mutate(folder: Path, tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Copy the project, edit one of its files, compile it."""

    def edit(name: str, pattern: str, new: str) -> Path:
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        file = tmp_path / "project" / "firmware" / name
        text, count = re.subn(pattern, new, file.read_text(), count=1)
        assert count == 1, f"{pattern} is not in {file}"
        file.write_text(text)
        compile_project(tmp_path / "project", tmp_path / "firmware.so")
        return tmp_path

    return edit


def check(folder: Path, graph: Graph, inputs: Inputs) -> None:
    firmware = firmware_rung(read(folder), folder / "firmware.so", graph)
    climb([golden_rung(graph), firmware], graph, inputs, silent)


def test_all_four_rungs_are_equal(
    folder: Path,
    small_network: nn.Sequential,
    small_qonnx: Path,
    graph: Graph,
    inputs: Inputs,
) -> None:
    rungs = [
        torch_rung(small_network, graph),
        qonnx_rung(small_qonnx, graph),
        golden_rung(graph),
        firmware_rung(read(folder), folder / "firmware.so", graph),
    ]
    comparisons, _ = climb(rungs, graph, inputs, silent)
    assert [c.equal for c in comparisons] == [True, True, True]
    assert [row.tensor for row in comparisons[2].tensors] == [
        "input",
        "fc1",
        "relu1",
        "fc2",
    ]
    samples = sum(len(features) for features in inputs.values())
    assert [row.integers for row in comparisons[2].tensors] == [
        samples * elements for elements in (4, 6, 6, 3)
    ]


def test_flipped_weight_bit_is_found(
    mutate: Callable[..., Path], graph: Graph, inputs: Inputs
) -> None:
    def weights(project: Path) -> Path:
        return min((project / "firmware" / "weights").glob("w*.txt"))

    def flip(text: str) -> str:
        first, rest = text.split(",", 1)
        return f"{float(first) + 2.0**-5},{rest}"

    folder = mutate("defines.h", r"\Z", "\n")
    file = weights(folder / "project")
    file.write_text(flip(file.read_text()))
    with pytest.raises(
        MismatchError,
        match=r"^HLS C-simulation \(Vitis\) differs from golden integer graph at "
        r"tensor 'fc1', sample 0 of 'samples', element \[0\]: expected the integer "
        r"-?\d+ \(fixed<\d+,\d+,TRN,WRAP,0>\), got -?\d+ \(fixed<\d+,\d+,TRN,WRAP,"
        r"0>\); "
        r"\d+ integers differ in all$",
    ):
        check(folder, graph, inputs)


def test_wrong_rounding_mode_is_found(
    mutate: Callable[..., Path], graph: Graph, inputs: Inputs
) -> None:
    folder = mutate("defines.h", r"ap_ufixed<4,1,AP_RND_CONV,", "ap_ufixed<4,1,AP_RND,")
    with pytest.raises(MismatchError, match=r"at tensor 'relu1', sample \d+ of "):
        check(folder, graph, inputs)


def test_wrong_input_rounding_is_found(
    mutate: Callable[..., Path], graph: Graph, inputs: Inputs
) -> None:
    folder = mutate("defines.h", r"ap_fixed<6,2,AP_RND_CONV,", "ap_fixed<6,2,AP_RND,")
    with pytest.raises(
        MismatchError, match=r"at tensor 'input', sample \d+ of 'rounding_ties'"
    ):
        check(folder, graph, inputs)


def test_accumulator_one_bit_too_narrow_is_found(
    mutate: Callable[..., Path], graph: Graph, inputs: Inputs
) -> None:
    width = graph.tensors["fc1"].width
    integer = graph.tensors["fc1"].format.integer
    folder = mutate(
        "defines.h",
        rf"(typedef ap_fixed)<{width},{integer}>( dense_fc1_accum_t)",
        rf"\1<{width - 1},{integer - 1}>\2",
    )
    with pytest.raises(MismatchError, match=r"at tensor 'fc1', sample \d+ of "):
        check(folder, graph, inputs)


def test_swapped_inputs_are_found(folder: Path, graph: Graph, inputs: Inputs) -> None:
    firmware = firmware_rung(read(folder), folder / "firmware.so", graph)
    swapped = replace(firmware, run=lambda x: firmware.run(x[:, [1, 0, 2, 3]]))
    with pytest.raises(
        MismatchError, match=r"at tensor 'input', sample 0 of 'samples', element \[0\]"
    ):
        climb([golden_rung(graph), swapped], graph, inputs, silent)


def test_swapped_wires_inside_the_firmware_are_found(
    mutate: Callable[..., Path], graph: Graph, inputs: Inputs
) -> None:
    folder = mutate(
        "network.cpp",
        r"(    // hls-fpga-machine-learning insert layers\n)",
        r"\1    std::swap(features[0], features[1]);\n",
    )
    with pytest.raises(MismatchError, match=r"at tensor 'fc1', sample 0 of 'samples'"):
        check(folder, graph, inputs)
