import re
from fractions import Fraction

import numpy as np
import pytest

from hawq.emulator.write import write_emulator
from hawq.errors import InputError, NetworkError
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Affine, Quantize
from hawq.integer.tensor import RealInput


def test_the_same_graph_gives_the_same_files(every_node, tmp_path):
    folders = tmp_path / "a", tmp_path / "b"
    one, two = (
        write_emulator(every_node, folder, name="net", version="1")
        for folder in folders
    )
    assert one.files == two.files
    for file in one.files:
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def test_everything_is_in_a_namespace_of_name_and_version(small_graph, tmp_path):
    project = write_emulator(small_graph, tmp_path, name="tau", version="2.1-rc_3")
    assert project.namespace == "tau_v2_1_rc_3"
    config = (tmp_path / "network" / "config.h").read_text()
    assert "#define EMULATOR_NAMESPACE tau_v2_1_rc_3\n" in config
    for path in (tmp_path / "network").iterdir():
        spaces = set(re.findall(r"^namespace (\w+) {", path.read_text(), re.M))
        assert spaces <= {"EMULATOR_NAMESPACE"}, path.name


def test_the_folder_has_all_that_is_needed(small_graph, tmp_path):
    project = write_emulator(small_graph, tmp_path, name="model", version="1")
    assert set(project.files) == {
        str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()
    }
    top = {"Makefile", "CMakeLists.txt", "example.cpp", "model.h", "model_cms.h"}
    assert top | {"hls4ml/emulator.h", "network/network.cpp"} <= set(project.files)


@pytest.mark.parametrize("name", ["", "2x", "a-b", "a b", "_x", "é"])
def test_a_name_that_is_none_is_refused(name, small_graph, tmp_path):
    with pytest.raises(
        InputError,
        match=rf"^emulator name {name!r}: expected a letter, then letters, digits and "
        r"underscores$",
    ):
        write_emulator(small_graph, tmp_path, name=name, version="1")


def test_a_version_that_is_none_is_refused(small_graph, tmp_path):
    with pytest.raises(
        InputError,
        match=r"^emulator version '1\"': expected letters, digits, dots, dashes and "
        r"underscores$",
    ):
        write_emulator(small_graph, tmp_path, name="a", version='1"')


def test_names_of_tensors_cannot_break_the_source(emulate, require_equal):
    name = 'a"b\\c??/\n*/é\u4e2d'
    graph = build(
        [RealInput(name + "x", (2,))],
        [Quantize((name + "x",), name, Grid(-4, 3, Fraction(1)))],
        [name],
    )
    emulator = emulate(graph)
    assert [t.name for t in emulator.tensors] == [name]
    require_equal(graph, emulator, np.array([[1.5, -9.0]]))


def test_what_does_not_fit_is_refused_before_a_file_is_written(tmp_path):
    factor = np.array(2**120, dtype=object)
    graph = build(
        [RealInput("x", (2,))],
        [
            Quantize(("x",), "q", Grid(-128, 127, Fraction(1))),
            Affine(("q",), "y", factor, np.array(0), Fraction(1)),
        ],
        ["y"],
    )
    with pytest.raises(
        NetworkError,
        match=r"^no emulator for this network: tensor 'y': integers of 128 bits, "
        r"expected at most 127: use fewer bits upstream, or scales that are powers of "
        r"two$",
    ):
        write_emulator(graph, tmp_path / "none", name="net", version="1")
    assert not (tmp_path / "none").exists()
