from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from hawq.records import SiteKind
from hawq.report import style


@style.sheet()
def drawing() -> Figure:
    figure = style.canvas(3, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [1, 3], label="a line")
    axes.legend()
    style.arrange(figure)
    return figure


def test_files_repeat_to_the_byte(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in style.save(drawing(), tmp_path / "a", 80)]
    second = [path.read_bytes() for path in style.save(drawing(), tmp_path / "b", 80)]
    assert first == second
    assert style.svg(drawing()) == style.svg(drawing())


def test_files_hold_no_date(tmp_path: Path) -> None:
    png, pdf = style.save(drawing(), tmp_path / "a", 80)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"dc:date" not in style.svg(drawing())


def test_png_has_the_resolution(tmp_path: Path) -> None:
    png, _ = style.save(drawing(), tmp_path / "a", 80)
    header = png.read_bytes()[16:24]
    assert int.from_bytes(header[:4]) == 3 * 80
    assert int.from_bytes(header[4:]) == 2 * 80


def test_ink_turns_light_on_dark_pages() -> None:
    svg = style.svg(drawing()).decode()
    assert "prefers-color-scheme: dark" in svg
    assert f"stroke: {style.INK}" in svg


def test_the_users_settings_do_not_matter() -> None:
    expected = style.svg(drawing())
    with matplotlib.rc_context({"font.size": 30, "axes.edgecolor": "red"}):
        assert style.svg(drawing()) == expected


def test_settings_are_given_back() -> None:
    before = dict(matplotlib.rcParams)
    drawing()
    assert dict(matplotlib.rcParams) == before


def test_every_class_and_kind_has_its_own_colour() -> None:
    assert len(set(style.CLASS_COLOURS.values())) == len(style.CLASS_COLOURS) == 5
    assert len({style.KIND_COLOURS[kind] for kind in SiteKind}) == len(SiteKind)


@pytest.mark.parametrize(("name", "expected"), [("q", "light quark"), ("b", "b")])
def test_class_title(name: str, expected: str) -> None:
    assert style.class_title(name) == expected


def test_an_unknown_class_still_has_a_colour() -> None:
    assert style.class_colour("b", 0) != style.class_colour("c", 1)
    assert style.class_colour("b", 0) == style.class_colour("b", 7)
