from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hawq.errors import InputError, ToolError
from hawq.synthesis.fetch import corner, liberty, main, package, sta

LIBERTY = """\
/* cells { of nobody */
library (tiny) {
  nom_voltage : 1.1;
  nom_temperature : -40;
  default_operating_conditions : "slow";
  cell (DFF) { ff (IQ, IQN) { next_state : "D"; clocked_on : "CK {"; } }
}
"""

INSTEAD = re.escape(
    "install OpenSTA so that sta is on the PATH, and give the cells as liberty in "
    "[synthesis]"
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put fake programs on a PATH without others, and the cache beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(**scripts: str) -> None:
        for name, script in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return write


def test_a_corner_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(LIBERTY)

    assert str(corner(path)) == "tiny (slow, 1.1 V, -40 °C)"
    assert liberty(path) == path


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"^\S+/no\.lib does not exist, expected a Liberty file \(\.lib\): set "
        r"liberty in \[synthesis\]$",
    ):
        liberty(tmp_path / "no.lib")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "module cells; endmodule",
            r"does not begin with library\(\.\.\.\), expected a Liberty file "
            r"\(\.lib\): set liberty in \[synthesis\]",
        ),
        (LIBERTY[:-20], r"ends with \d groups open: it is not whole: get it again"),
        (
            re.sub(r"ff \(.*?\}", "", LIBERTY.replace("CK {", "CK")),
            r"has no flip-flops, which a pipeline needs: give the library's file of "
            r"sequential cells too, merged into one",
        ),
    ],
)
def test_what_is_no_whole_liberty_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.lib"
    path.write_text(text)

    with pytest.raises(InputError, match=rf"^\S+/bad\.lib {message}$"):
        liberty(path)


def test_a_package_is_fetched_once(
    programs: Callable[..., None], tmp_path: Path
) -> None:
    count = tmp_path / "count"
    programs(
        apt_get=f"echo $2 >> {count}; : > $2_1_all.deb",
        dpkg='/bin/mkdir -p "$3/usr"',
    )

    roots = [package("opensta"), package("opensta")]

    assert roots == [tmp_path / "cache/hawq/debian/opensta"] * 2
    assert [p.name for p in roots[0].iterdir()] == ["usr"]
    assert count.read_text() == "opensta\n"
    assert [p.name for p in roots[0].parent.iterdir()] == ["opensta"]


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({}, "cannot be fetched, for apt-get is missing"),
        ({"apt_get": "exit 0"}, "cannot be fetched, for dpkg is missing"),
        (
            {"apt_get": "echo E: Failed to fetch >&2; exit 100", "dpkg": "exit 0"},
            "cannot be fetched: apt-get says 'E: Failed to fetch'",
        ),
        (
            {"apt_get": ": > a.deb", "dpkg": "exit 2"},
            "cannot be fetched: dpkg says 'exit status 2'",
        ),
    ],
)
def test_what_cannot_be_fetched_says_what_to_do(
    programs: Callable[..., None],
    tmp_path: Path,
    scripts: dict[str, str],
    message: str,
) -> None:
    programs(**scripts)

    with pytest.raises(
        ToolError, match=rf"^the Debian package opensta {message}: {INSTEAD}$"
    ):
        package("opensta")
    assert list(tmp_path.glob("cache/hawq/debian/*")) == []


def test_the_users_own_opensta_is_preferred(
    programs: Callable[..., None], tmp_path: Path
) -> None:
    programs(sta="echo 2.5.0")
    sta.cache_clear()

    found = sta()

    sta.cache_clear()
    assert (found.path, found.version) == (tmp_path / "bin/sta", "2.5.0")


def test_fetching_fails_with_one_line(programs: Callable[..., None]) -> None:
    programs(dpkg="exit 0")

    with pytest.raises(
        SystemExit,
        match=r"^error: the Debian package qflow-tech-osu018 cannot be fetched, for "
        rf"apt-get is missing: {INSTEAD}$",
    ):
        main()


def test_libraries_that_the_system_lacks_are_fetched(
    programs: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    folder = tmp_path / "cache/hawq/debian"
    library = folder / "libtcl8.6/usr/lib/there/libtcl8.6.so"
    program = folder / "opensta/usr/bin/sta"
    for path in (library, program):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\necho 2.0.17\n")
        path.chmod(0o755)
    programs(ldd="echo '  libtcl8.6.so => not found'; echo '  libc.so => /libc.so'")
    sta.cache_clear()

    found = sta()

    sta.cache_clear()
    assert found.path == program
    assert found.environment is not None
    assert found.environment["LD_LIBRARY_PATH"] == str(library.parent)
    tcl = folder / "libtcl8.6/usr/share/tcltk/tcl8.6"
    assert found.environment["TCL_LIBRARY"] == str(tcl)
