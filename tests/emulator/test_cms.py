"""What went wrong with emulators in CMS software, and does not here."""

import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import hls4ml
import numpy as np
import pytest

from hawq.emulator.library import compile_emulator
from hawq.emulator.write import write_emulator
from hawq.fixed import FixedPoint
from hawq.integer.execute import run
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Dense, Quantize
from hawq.paths import shipped

HERE = Path(__file__).parent
HEADERS = shipped("firmware") / "emulator"
INPUT = np.array([[0.5, -1.25, 3.0, 0.125]], dtype=np.float32)


def compiled(source, output, *flags):
    if not shutil.which("g++"):
        pytest.skip("g++ is missing")
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}"]
    command += [str(source), "-o", str(output), *flags, "-ldl", "-pthread"]
    subprocess.run(command, check=True)
    return output


@pytest.fixture(scope="module")
def loads(tmp_path_factory):
    program = tmp_path_factory.mktemp("loads") / "loads"
    compiled(HERE / "loads.cpp", program)

    def run_it(*arguments):
        names = [str(a).removesuffix(".so") for a in arguments]
        return subprocess.run(
            [program, *names], capture_output=True, text=True, check=False
        )

    return run_it


@pytest.fixture(scope="module")
def answer(small_graph):
    integers = run(small_graph, INPUT)["y"][0]
    return "".join(f"{n} " for n in integers)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    library = tmp_path_factory.mktemp("twin") / "twin.so"
    return compiled(HERE / "twin.cpp", library, "-shared", "-fPIC")


@pytest.fixture(scope="module")
def other_version(small_graph, tmp_path_factory):
    """The same name, another version, other weights, one output more negative."""
    random = np.random.default_rng(8)
    graph = build(
        small_graph.inputs,
        [
            Quantize(("x",), "q", Grid.of(FixedPoint(True, 6, 3))),
            Dense(("q",), "y", random.integers(-7, 8, (4, 3)), Fraction(1, 8)),
        ],
        ["y"],
    )
    folder = tmp_path_factory.mktemp("other")
    write_emulator(graph, folder, name="jets", version="2.0")
    integers = run(graph, INPUT)["y"][0]
    return compile_emulator(folder, arch="-O0"), "".join(f"{n} " for n in integers)


def test_the_experiments_loader_gets_the_golden_integers(loads, small_library, answer):
    done = loads(small_library)
    assert (done.stdout.splitlines(), done.stderr) == ([answer], "")


def test_two_versions_and_a_hostile_twin_change_no_answer(
    loads, small_library, other_version, twin, answer
):  # cmssw 44435, 49325, 49632: two models exported w2; a trigger fired on every event
    other, other_answer = other_version
    assert answer != other_answer
    done = loads(twin, small_library, other, twin)
    assert done.stdout.splitlines()[1:3] == [answer, other_answer]
    done = loads(other, twin, small_library)
    assert done.stdout.splitlines()[::2] == [other_answer, answer]


def test_a_twin_loaded_for_all_to_see_changes_no_answer(small_library, twin, answer):
    script = (
        "import ctypes, sys, numpy as np; from pathlib import Path\n"
        "ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)\n"
        "from hawq.emulator.library import Emulator\n"
        "e = Emulator(Path(sys.argv[2]))\n"
        "x = np.array([[0.5, -1.25, 3.0, 0.125]], dtype='f4')\n"
        "print(e.version, *e.predict(x)['y'][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(twin), str(small_library)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"1.0 {answer}".strip()


def test_nothing_but_the_c_functions_is_exported(small_library):
    done = subprocess.run(
        ["nm", "-D", "--defined-only", small_library],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    expected = {"create_model", "destroy_model"} | {
        f"jets_{name}"
        for name in (
            "get_input",
            "get_output",
            "get_tensor",
            "predict",
            "predict_double",
            "trace",
            "trace_double",
            "version",
        )
    }
    assert names == expected


def test_there_are_no_mutable_globals(small_library):
    done = subprocess.run(
        ["objdump", "-tC", small_library], capture_output=True, text=True, check=True
    )
    objects = [line for line in done.stdout.splitlines() if "jets" in line]
    assert len(objects) > 20
    assert [o for o in objects if re.search(r"\s\.(data|bss|tdata|tbss)\s", o)] == []


def test_a_missing_library_gives_an_error_text(loads, tmp_path):  # cmssw 44054
    done = loads(tmp_path / "absent")
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot load the emulator {tmp_path}/absent.so: ")


def test_a_library_that_is_no_emulator_gives_an_error_text(loads, tmp_path):
    source = tmp_path / "empty.cpp"
    source.write_text("")
    library = compiled(source, tmp_path / "empty.so", "-shared", "-fPIC")
    done = loads(library)
    assert done.returncode == 1
    assert done.stderr == (
        f"{library} is no emulator: it has no create_model and destroy_model\n"
    )


def test_many_threads_give_equal_answers(loads, small_library, answer):
    done = loads("-t", 16, small_library)
    assert done.stdout.splitlines() == [answer] * 16


def test_the_library_stays_open_while_its_model_lives(
    small_library, tmp_path, answer
):  # extras 7, 8: closed while the model lived
    source = tmp_path / "keeps.cpp"
    source.write_text(
        '#include "hls4ml/loader.h"\n#include <cstdio>\n#include <cstdint>\n'
        "int main(int, char **a) {\n"
        "    std::shared_ptr<hls4mlEmulator::Model> kept;\n"
        "    { const auto model = hawq_emulator::load(a[1]); kept = model; }\n"
        "    const float x[] = {0.5f, -1.25f, 3.0f, 0.125f};\n"
        "    int64_t y[3];\n"
        "    kept->prepare_input(static_cast<const float *>(x));\n"
        "    kept->predict();\n"
        "    kept->read_result(static_cast<int64_t *>(y));\n"
        '    std::printf("%ld %ld %ld ", y[0], y[1], y[2]);\n'
        "}\n"
    )
    program = compiled(source, tmp_path / "keeps")
    done = subprocess.run(
        [program, str(small_library).removesuffix(".so")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == answer


MISUSES = {
    "model->predict();": "predict before prepare_input",
    "model->prepare_input(x); model->read_result(y);": "read_result before predict",
    "model->prepare_input(1);": (
        "cannot read an input of type i: give what jets_cms.h says"
    ),
    "model->prepare_input((const float *)nullptr);": "the pointer is null",
    "model->prepare_input(x); model->predict(); model->read_result(1);": (
        "cannot write a result of type i: give what jets_cms.h says"
    ),
    "x[2] = 0.0f / 0.0f; model->prepare_input(x); model->predict();": (
        "input 'x': NaN or infinity at element 2"
    ),
}


@pytest.fixture(scope="module")
def misuse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misuse")
    cases = "".join(
        f"        if (n == {i}) {{ {code} }}\n" for i, code in enumerate(MISUSES)
    )
    source = folder / "misuse.cpp"
    source.write_text(
        '#include "hls4ml/loader.h"\n#include <cstdio>\n#include <cstdint>\n'
        "int main(int, char **a) {\n"
        "    const auto model = hawq_emulator::load(a[1]);\n"
        "    const int n = std::stoi(a[2]);\n"
        "    float values[4] = {}; float *x = values; int64_t result[3] = {};\n"
        "    int64_t *y = result; (void)y;\n"
        "    try {\n" + cases + "    } catch (const std::exception &e) {\n"
        '        std::printf("%s", e.what());\n    }\n}\n'
    )
    return compiled(source, folder / "misuse")


@pytest.mark.parametrize("case", range(len(MISUSES)))
def test_misuse_gives_an_error_text(case, misuse, small_library):
    done = subprocess.run(
        [misuse, str(small_library).removesuffix(".so"), str(case)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"jets, version 1.0: {list(MISUSES.values())[case]}"


@pytest.fixture(scope="module")
def ap_types():
    folder = Path(hls4ml.__file__).parent / "templates" / "vivado" / "ap_types"
    if not (folder / "ap_fixed.h").is_file():
        pytest.skip(f"ap_fixed.h is missing at {folder}")
    return folder


BORDERS = """
#include "hls4ml/loader.h"
#include "net_cms.h"
#include <cstdio>
using namespace net_v1;
int main(int, char **a) try {
    const auto model = hawq_emulator::load(a[1]);
    const float image[24] = {0.5f, -1.25f, 3.0f, 0.125f}, vector[5] = {1, 2, 3, 4, 5};
    Inputs<float> in = {{image, vector}};
    double first[12], wide[5], most[60];
    int64_t integers[12];
    Outputs<double> out = {{first, wide, most}};
    model->prepare_input(in);
    model->predict();
    model->read_result(out);
    for (double y : first) std::printf("%.17g ", y);
    for (double y : wide) std::printf("%.17g ", y);
    for (double y : most) std::printf("%.17g ", y);
    (void)integers;
} catch (const std::exception &e) { std::puts(e.what()); return 1; }
"""


def test_several_inputs_and_outputs_come_as_structures(every_node, tmp_path):
    write_emulator(every_node, tmp_path, name="net", version="1")
    compile_emulator(tmp_path, arch="-O0")
    sizes = [every_node.tensors[name].lows.size for name in every_node.outputs]
    code = BORDERS
    for name, size in zip(("first", "wide", "most"), sizes, strict=True):
        code = re.sub(rf"\b{name}\[\d+\]", f"{name}[{size}]", code)
    (tmp_path / "borders.cpp").write_text(code)
    program = compiled(tmp_path / "borders.cpp", tmp_path / "borders", f"-I{tmp_path}")
    done = subprocess.run(
        [program, tmp_path / "net"], capture_output=True, text=True, check=True
    )
    image = np.zeros((1, 2, 4, 3))
    image.ravel()[:4] = INPUT
    x = {"image": image, "vector": np.arange(1.0, 6)[None]}
    expected = [
        float(n) * float(every_node.tensors[name].scale)
        for name, integers in run(every_node, x).items()
        for n in integers.ravel().tolist()
    ]
    assert [float(text) for text in done.stdout.split()] == expected


AP_BORDERS = """
#include "hls4ml/loader.h"
#include "jets_cms.h"
#include <cstdio>
int main(int, char **a) try {
    const auto model = hawq_emulator::load(a[1]);
    jets_v1_0::input_0_t x[4] = {0.5, -1.25, 3.0, 0.125};
    jets_v1_0::output_0_t y[3];
    float real[3];
    model->prepare_input(static_cast<const jets_v1_0::input_0_t *>(x));
    model->predict();
    model->read_result(static_cast<jets_v1_0::output_0_t *>(y));
    model->read_result(static_cast<float *>(real));
    for (int i = 0; i < 3; i++) std::printf("%.17g ", y[i].to_double());
    for (int i = 0; i < 3; i++) std::printf("%.17g ", double(real[i]));
} catch (const std::exception &e) { std::puts(e.what()); return 1; }
"""


def test_fixed_point_types_of_the_vendor_pass_the_border(
    small_graph, ap_types, tmp_path
):
    write_emulator(small_graph, tmp_path, name="jets", version="1.0")
    compile_emulator(tmp_path, arch="-O0", ap_types=ap_types)
    (tmp_path / "borders.cpp").write_text(AP_BORDERS)
    program = tmp_path / "borders"
    flags = [f"-I{tmp_path}", f"-I{HEADERS}", "-isystem", str(ap_types)]
    subprocess.run(
        [
            *("g++", "-std=c++17", "-DEMULATOR_AP_TYPES", *flags),
            *(str(tmp_path / "borders.cpp"), "-o", str(program), "-ldl"),
        ],
        check=True,
    )
    done = subprocess.run(
        [program, tmp_path / "jets"], capture_output=True, text=True, check=True
    )
    real = run(small_graph, INPUT)["y"][0] * float(small_graph.tensors["y"].scale)
    assert [float(text) for text in done.stdout.split()] == [*real, *real]
