"""Get OpenSTA and the cells of osu018, and check other Liberty files.

Neither is on PyPI. Debian packages both; ``apt-get download`` and ``dpkg -x`` unpack
them into a cache of the user's, without root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hawq.errors import InputError, ToolError

_OSU018 = "usr/share/qflow/tech/osu018/osu018_stdcells.lib"

LIBRARIES = {
    "libtcl8.6.so": "libtcl8.6",
    "libreadline.so.8": "libreadline8",
    "libtinfo.so.6": "libtinfo6",
    "libz.so.1": "zlib1g",
}
"""What OpenSTA is linked with, and the package that has it."""

_INSTEAD = (
    "install OpenSTA so that sta is on the PATH, and give the cells as liberty in "
    "[synthesis]"
)
_SECONDS = 300


@dataclass(frozen=True)
class Sta:
    """OpenSTA.

    Attributes:
        path: Of the program.
        environment: Variables it runs with; None takes those of this process.
        version: As it says itself.
    """

    path: Path
    environment: dict[str, str] | None
    version: str


@dataclass(frozen=True)
class Corner:
    """What a Liberty file describes: one library at one operating condition.

    Attributes:
        library: Its name.
        condition: Name of the operating condition; empty where none is named.
        voltage: In V; None where it does not say.
        celsius: None where it does not say.
    """

    library: str
    condition: str
    voltage: float | None
    celsius: float | None

    def __str__(self) -> str:
        """Name the library and what it holds for."""
        volts = "" if self.voltage is None else f"{self.voltage:g} V"
        celsius = "" if self.celsius is None else f"{self.celsius:g} °C"
        at = ", ".join(filter(None, (self.condition, volts, celsius)))
        return f"{self.library} ({at})" if at else self.library


def liberty(path: Path | None) -> Path:
    """Find the cells.

    Args:
        path: A Liberty file; None takes osu018, which is fetched the first time.

    Returns:
        The file, checked.

    Raises:
        InputError: if it is not there, no whole Liberty file, or has no flip-flops.
        ToolError: if osu018 cannot be fetched.
    """
    found = (package("qflow-tech-osu018") / _OSU018) if path is None else path.resolve()
    corner(found)
    return found


def corner(path: Path) -> Corner:
    """Read what a Liberty file describes.

    Args:
        path: The file.

    Returns:
        Its library and nominal corner.

    Raises:
        InputError: if it is not there, no whole Liberty file, or has no flip-flops.
    """
    expected = "expected a Liberty file (.lib): set liberty in [synthesis]"
    if not path.is_file():
        raise InputError(f"{path} does not exist, {expected}")
    if path.suffix != ".lib":
        raise InputError(f"{path} has the suffix {path.suffix!r}, {expected}")
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    name = re.match(r'\s*library\s*\(\s*"?([\w.-]+)"?\s*\)\s*\{', text)
    if name is None:
        raise InputError(f"{path} does not begin with library(...), {expected}")
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    if (still := plain.count("{") - plain.count("}")) != 0:
        raise InputError(
            f"{path} ends with {still} groups open: it is not whole: get it again"
        )
    if re.search(r"\bff\s*\(", text) is None:
        raise InputError(
            f"{path} has no flip-flops, which a pipeline needs: give the library's "
            "file of sequential cells too, merged into one"
        )
    condition = re.search(r'default_operating_conditions\s*:\s*"?([\w.-]+)', text)
    return Corner(
        name[1],
        condition[1] if condition else "",
        _nominal("voltage", text),
        _nominal("temperature", text),
    )


def _nominal(what: str, text: str) -> float | None:
    found = re.search(rf"\bnom_{what}\s*:\s*\"?(-?[\d.]+)", text)
    return float(found[1]) if found else None


@cache
def sta() -> Sta:
    """Find OpenSTA: the one on the PATH, else Debian's, fetched the first time.

    Returns:
        How to run it.

    Raises:
        ToolError: if it is not there and cannot be fetched, or does not run.
    """
    if found := shutil.which("sta"):
        return _checked(Path(found), None)
    program = package("opensta") / "usr/bin/sta"
    folders, environment = [], dict(os.environ)
    for name in _missing(program):
        if name not in LIBRARIES:
            raise ToolError(
                f"{program} lacks {name}, which is in no package: {_INSTEAD}"
            )
        root = package(LIBRARIES[name])
        folders += [str(p.parent) for p in root.rglob(f"{name}*")]
        if LIBRARIES[name] == "libtcl8.6":
            environment["TCL_LIBRARY"] = str(root / "usr/share/tcltk/tcl8.6")
    if not folders:
        return _checked(program, None)
    kept = filter(None, (*folders, environment.get("LD_LIBRARY_PATH")))
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(dict.fromkeys(kept))
    return _checked(program, environment)


def _checked(program: Path, environment: dict[str, str] | None) -> Sta:
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"{program} does not run: {error}: {_INSTEAD}") from error
    return Sta(program, environment, done.stdout.strip())


def _missing(program: Path) -> list[str]:
    """List shared libraries that the system lacks; none where there is no ``ldd``."""
    if (ldd := shutil.which("ldd")) is None:
        return []
    done = subprocess.run([ldd, program], capture_output=True, text=True, check=False)
    return re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE)


def store() -> Path:
    """Name the folder that packages are unpacked into.

    Returns:
        In ``XDG_CACHE_HOME``, else in ``~/.cache``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hawq" / "debian"


def package(name: str) -> Path:
    """Unpack a package of Debian, unless it is there.

    Args:
        name: Of the package.

    Returns:
        The folder that stands for ``/``.

    Raises:
        ToolError: if there is no apt-get or dpkg, or the download fails.
    """
    root = store() / name
    if root.is_dir():
        return root
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise ToolError(
                f"the Debian package {name} cannot be fetched, for {tool} is missing: "
                f"{_INSTEAD}"
            )
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as made:
        folder = Path(made)
        _run(["apt-get", "download", name], folder, name)
        archives = list(folder.glob("*.deb"))
        if len(archives) != 1:
            raise ToolError(
                f"apt-get left {len(archives)} archives of {name}, expected 1: "
                f"{_INSTEAD}"
            )
        _run(["dpkg", "-x", str(archives[0]), "root"], folder, name)
        try:
            (folder / "root").rename(root)
        except OSError as error:
            if not root.is_dir():  # else another process was first
                raise ToolError(
                    f"the Debian package {name} cannot be kept: {error}"
                ) from error
    return root


def _run(command: Sequence[str], folder: Path, name: str) -> None:
    failed = f"the Debian package {name} cannot be fetched: {command[0]}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{failed} took over {_SECONDS} s: {_INSTEAD}") from error
    if done.returncode:
        said = next(
            (x for x in done.stderr.splitlines() if x.startswith("E:")),
            f"exit status {done.returncode}",
        )
        raise ToolError(f"{failed} says {said!r}: {_INSTEAD}")


def main() -> None:
    """Fetch what is missing; ends the process with one line if that fails."""
    try:
        liberty(None)
        sta()
    except ToolError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
