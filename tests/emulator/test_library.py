import ctypes
import re
import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.emulator.library import EmulatedTensor, Emulator, compile_emulator
from hawq.emulator.write import write_emulator
from hawq.errors import DataError, StageError, ToolError
from hawq.fixed import FixedPoint
from hawq.integer.execute import run, trace
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Multiply, Quantize
from hawq.integer.tensor import RealInput


@pytest.fixture(scope="module")
def emulator(small_library):
    return Emulator(small_library)


@pytest.fixture(scope="module")
def jets():
    return np.random.default_rng(4).normal(size=(20_000, 4)).astype(np.float32) * 4


def test_it_tells_what_it_is(emulator):
    assert (emulator.name, emulator.version) == ("jets", "1.0")
    assert emulator.inputs == [EmulatedTensor("x", (4,))]
    assert emulator.tensors[0] == EmulatedTensor("q", (4,), 1, Fraction(1, 8))
    assert [t.name for t in emulator.tensors] == ["q", "h", "r", "z", "y"]
    assert emulator.outputs == ["y"]


@pytest.mark.parametrize("samples", [0, 1, 7, 8, 9, 31, 32, 33, 71, 20_000])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_any_number_of_samples_is_computed(samples, kind, emulator, small_graph, jets):
    x = jets[:samples].astype(kind)
    assert_array_equal(emulator.predict(x)["y"], run(small_graph, x)["y"])


def test_threads_change_nothing(emulator, small_graph, jets):
    expected = trace(small_graph, jets)
    for threads in (1, 2, 7):
        got = emulator.trace(jets, threads=threads)
        for name, integers in expected.items():
            assert_array_equal(got[name], integers, err_msg=name)


def test_strided_and_integer_inputs_are_read(emulator, small_graph, jets):
    for x in (jets[::3], np.asfortranarray(jets[:50]), np.arange(-8, 8).reshape(4, 4)):
        assert_array_equal(emulator.predict(x)["y"], run(small_graph, x)["y"])


def test_the_direction_of_float_rounding_changes_nothing(emulator, small_graph, jets):
    # Scores that differ between releases with identical inputs: cmsdist 9065.
    math = ctypes.CDLL("libm.so.6")
    expected = emulator.predict(jets, threads=1)["y"]
    for mode in (0x400, 0x800, 0xC00):
        try:
            assert math.fesetround(mode) == 0
            got = emulator.predict(jets, threads=1)["y"]
        finally:
            math.fesetround(0)
        assert_array_equal(got, expected)


def test_no_memory_is_read_before_it_is_written(emulator, jets):  # hls4ml 228
    first = emulator.predict(jets[:9])["y"]
    for _ in range(20):
        assert_array_equal(emulator.predict(jets[:9])["y"], first)


def test_integers_of_more_than_64_bits_come_out_whole(emulate, require_equal):
    grid = Grid.of(FixedPoint(True, 60, 30))
    graph = build(
        [RealInput("x", (2,))],
        [Quantize(("x",), "q", grid), Multiply(("q", "q"), "y")],
        ["y"],
    )
    x = np.array([[-1e30, 1e30], [0.1, -3.0]])
    emulator = emulate(graph)
    assert emulator.tensors[1].words == 2
    assert emulator.predict(x)["y"][0, 0] == 2**118
    require_equal(graph, emulator, x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sample", [0, 40, 9999])
def test_what_is_not_finite_is_refused(value, sample, emulator, jets):
    x = jets.copy()
    x[sample, 2] = value
    with pytest.raises(
        DataError,
        match=rf"^input 'x': NaN or infinity in sample {sample} at index \(2,\): clean "
        r"the data first$",
    ):
        emulator.predict(x)


def test_a_wrong_shape_is_refused(emulator):
    with pytest.raises(
        DataError, match=r"^input 'x' got shape \(3, 5\), expected \(samples, 4\)$"
    ):
        emulator.predict(np.zeros((3, 5)))


def test_a_missing_input_is_refused(emulator):
    with pytest.raises(DataError, match=r"^no data for input 'x', got data for: z$"):
        emulator.predict({"z": np.zeros((3, 4))})


def test_different_numbers_of_samples_are_refused(emulate):
    grid = Grid(-4, 3, Fraction(1))
    graph = build(
        [RealInput("a", (1,)), RealInput("b", (1,))],
        [Quantize(("a",), "p", grid), Quantize(("b",), "q", grid)],
        ["p", "q"],
    )
    with pytest.raises(
        DataError,
        match=r"^inputs with different numbers of samples: \{'a': 2, 'b': 3\}$",
    ):
        emulate(graph).predict({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))})


def test_numbers_that_float64_rounds_are_refused(emulator):
    with pytest.raises(
        DataError,
        match=r"^input 'x' has type int64, expected real numbers that float64 holds "
        r"exactly$",
    ):
        emulator.predict(np.full((1, 4), 2**53 + 1))


def test_a_missing_library_is_named(tmp_path):
    with pytest.raises(
        ToolError,
        match=rf"^cannot load the emulator {re.escape(str(tmp_path))}/absent\.so: .*: "
        r"make it with compile_emulator, and keep its name$",
    ):
        Emulator(tmp_path / "absent.so")


def test_a_renamed_library_is_named(small_library, tmp_path):
    renamed = shutil.copy(small_library, tmp_path / "other.so")
    with pytest.raises(ToolError, match=r"other_version: make it with compile_emul"):
        Emulator(renamed)


def test_a_library_that_was_compiled_anew_is_read_anew(small_graph, tmp_path):
    found = []
    for version in ("1", "2"):
        write_emulator(small_graph, tmp_path, name="net", version=version)
        found.append(Emulator(compile_emulator(tmp_path, arch="-O0")))
    assert [emulator.version for emulator in found] == ["1", "2"]


def test_a_compiler_error_is_told(small_graph, tmp_path):
    write_emulator(small_graph, tmp_path, name="net", version="1")
    (tmp_path / "network" / "tables.h").write_text("#error out of order\n")
    with pytest.raises(
        ToolError, match=r"^compiling the emulator in .* failed: .*#error out of order$"
    ):
        compile_emulator(tmp_path)


def test_a_folder_without_an_emulator_is_named(tmp_path):
    with pytest.raises(
        StageError,
        match=rf"^{re.escape(str(tmp_path))}/Makefile is not that of an emulator: "
        r"write one with write_emulator$",
    ):
        compile_emulator(tmp_path)


def test_a_folder_that_is_written_again_forgets_nothing_old(small_graph, tmp_path):
    write_emulator(small_graph, tmp_path, name="zero", version="1")
    compile_emulator(tmp_path, arch="-O0")
    write_emulator(small_graph, tmp_path, name="one", version="1")
    library = compile_emulator(tmp_path, arch="-O0")
    assert library.name == "one.so"
    first = library.stat().st_mtime_ns
    assert compile_emulator(tmp_path, arch="-O0").stat().st_mtime_ns == first
    other = compile_emulator(tmp_path, arch="-O0 -DOTHER_FLAGS")
    assert other.stat().st_mtime_ns > first


def test_a_missing_compiler_is_told(small_graph, tmp_path, monkeypatch):
    write_emulator(small_graph, tmp_path, name="net", version="1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolError,
        match=r"^make was not found: it compiles the emulator: apt install make$",
    ):
        compile_emulator(tmp_path)


def test_fast_math_is_refused(small_graph, tmp_path):
    write_emulator(small_graph, tmp_path, name="net", version="1")
    with pytest.raises(ToolError, match=r"compile it without -ffast-math"):
        compile_emulator(tmp_path, arch="-ffast-math")


@pytest.fixture(scope="module")
def example(small_library):
    command = ["make", "-s", "-C", str(small_library.parent), "ARCH=-O0", "example"]
    subprocess.run(command, check=True)
    return small_library.parent / "example"


def decisions(example, path):
    done = subprocess.run([example, path], capture_output=True, text=True, check=False)
    rows = [line.split(",") for line in done.stdout.splitlines()]
    return done, np.array(rows, dtype=float)


@pytest.mark.parametrize("suffix", ["csv", "f32"])
def test_the_example_writes_decisions(suffix, example, small_graph, jets, tmp_path):
    path, x = tmp_path / f"jets.{suffix}", jets[:100]
    if suffix == "csv":
        np.savetxt(path, x, delimiter=",", fmt="%.9g")
    else:
        x.tofile(path)
    _, rows = decisions(example, path)
    graph_scale = float(small_graph.tensors["y"].scale)
    integers = run(small_graph, x)["y"]
    assert_array_equal(rows[:, 1:], integers * graph_scale)
    assert_array_equal(rows[:, 0], integers.argmax(axis=1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "1,2,3\n", "line 1: 3 numbers, expected 4\n"),
        (
            "a.csv",
            "1,2,x,4\n",
            "jets: input 'x': NaN or infinity in sample 0 at element 2: clean the data "
            "first\n",
        ),
        ("a.f32", "12345", "5 bytes are no whole number of jets of 4 float32\n"),
    ],
)
def test_the_example_refuses_bad_files(name, content, message, example, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    done, _ = decisions(example, path)
    assert (done.returncode, done.stderr) == (1, message)


def test_cmake_builds_the_same_integers(small_graph, jets, tmp_path):
    if not shutil.which("cmake"):
        pytest.skip("cmake is missing")
    write_emulator(small_graph, tmp_path, name="jets", version="1")
    build_folder = tmp_path / "build"
    debug = ["-DCMAKE_BUILD_TYPE=Debug"]
    for command in (
        ["-S", tmp_path, "-B", build_folder, *debug],
        ["--build", build_folder],
    ):
        subprocess.run(["cmake", *command], check=True, capture_output=True)
    got = Emulator(build_folder / "jets.so").predict(jets)["y"]
    assert_array_equal(got, run(small_graph, jets)["y"])
    assert (build_folder / "example").exists()
