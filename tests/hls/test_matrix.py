from __future__ import annotations

import pytest

from hawq.errors import InputError
from hawq.hls.matrix import MatrixCell, run_matrix, table, write_table
from hawq.hls.samples import NETWORKS
from hawq.hls.stage import Settings
from hawq.hls.support import unsupported
from hawq.integer.lower import lower_model

DENSE = 100 * (4 + 5 + 5 + 4 + 4 + 3)
CONV = 100 * (5 * 72 + 18 + 18 + 36 + 16 + 4 + 3)


@pytest.mark.parametrize(
    ("target", "network", "integers"),
    [
        ("Vitis", "dense", DENSE),
        ("Vivado", "dense", DENSE),
        ("Quartus", "dense", DENSE),
        ("Catapult", "dense", DENSE),
        ("Vitis", "conv", CONV),
    ],
)
def test_every_integer_is_equal_on_the_back_end(
    target, network, integers, tmp_path, require
):
    require("g++")
    (cell,) = run_matrix(
        tmp_path, [target], [network], io_types=["io_parallel"], optimisation="-O0"
    )
    assert (cell.refused, cell.different, cell.integers) == ("", 0, integers)


def test_back_ends_that_cannot_be_compiled_say_what_they_lack(tmp_path):
    cells = run_matrix(tmp_path, ["oneAPI", "Libero"], ["dense"])
    assert [cell.integers for cell in cells] == [0] * 4
    assert "icpx" in cells[0].refused
    assert "templates" in cells[2].refused


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("network", NETWORKS)
def test_sample_networks_are_carried(network, io_type):
    model = NETWORKS[network]()
    assert unsupported(model, lower_model(model), Settings(io_type=io_type)) == []


def cell(target, network, **rest):
    return MatrixCell(target=target, io_type="io_stream", network=network, **rest)


def test_table_has_a_row_a_back_end_and_reasons_below():
    cells = [
        cell("A", "n", tensors=2, integers=10),
        cell("A", "m", refused="too large"),
        cell("B", "n", tensors=2, integers=10, different=3),
        cell("B", "m", refused="too large"),
    ]
    assert table(cells) == (
        "| back end | interface | n | m |\n"
        "|---|---|---|---|\n"
        "| A | `io_stream` | 10 equal, 2 tensors | refused (1) |\n"
        "| B | `io_stream` | **3 of 10 differ** | refused (1) |\n"
        "\n"
        "1. too large\n"
    )


def test_table_goes_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- matrix -->\nold\n<!-- end of matrix -->\nafter\n")
    write_table(page, [cell("A", "n")])
    text = page.read_text()
    assert text.startswith("before\n<!-- matrix -->\n| back end |")
    assert text.endswith("\n<!-- end of matrix -->\nafter\n")
    assert "old" not in text


def test_page_without_marks_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(InputError, match=r"page\.md: has no lines <!-- matrix --> and"):
        write_table(page, [])
