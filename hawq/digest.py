"""Digests: of values, files, folders, and of the code that a module runs."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hawq.errors import StageError

_NO_RESULT = frozenset({
    "hawq",
    "hawq.build",
    "hawq.compute",
    "hawq.digest",
    "hawq.errors",
    "hawq.manifest",
    "hawq.paths",
    "hawq.plugins",
    "hawq.stage",
})
"""Modules that carry results but cannot change one."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Distributions whose name is not that of their package."""

_IGNORED_FOLDERS = frozenset({"__pycache__", ".ipynb_checkpoints"})


def of_json(value: Any) -> str:
    """Digest a value that JSON can hold; the order of keys does not matter.

    Args:
        value: Dicts, lists, strings, numbers, booleans and None.

    Returns:
        SHA-256, 64 hexadecimal digits.

    >>> of_json({"a": 1, "b": 2}) == of_json({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """Digest the bytes of a file.

    Args:
        path: The file.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_folder(folder: Path) -> dict[str, str]:
    """Digest every file below a folder.

    Args:
        folder: The folder; caches of Python and Jupyter in it are left out.

    Returns:
        Path relative to the folder, with ``/``, in order → SHA-256.
    """
    return {
        path.relative_to(folder).as_posix(): of_file(path) for path in _files(folder)
    }


def of_path(path: Path) -> str:
    """Digest a file's bytes, or a folder's files and their names.

    Args:
        path: A file or a folder.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    return of_json(of_folder(path)) if path.is_dir() else of_file(path)


def of_code(module: str) -> dict[str, str]:
    """Digest the source that a stage's module can run.

    That is every file of the module's package, templates included, and what its modules
    import, directly or not, from hawq or from the same distribution. Modules that only
    carry data around are left out: a change there cannot change a result.

    Args:
        module: A dotted name, for example ``hawq.csim.stage``.

    Returns:
        Module, or file of the package → SHA-256, in order of the names.
    """
    found = {name: _parsed(file)[0] for name, file in _closure(module).items()}
    folder = _folder(module)
    for path in _files(folder):
        if path.suffix not in {".py", ".pyc"}:
            found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = of_file(
                path
            )
    return dict(sorted(found.items()))


def libraries(module: str) -> dict[str, str]:
    """Give the versions of what a stage's code imports from outside hawq.

    Args:
        module: A dotted name, for example ``hawq.csim.stage``.

    Returns:
        Distribution → version (``absent`` if it is not installed), with Python's own
        and the machine's architecture, in order of the names.
    """
    python = ".".join(map(str, sys.version_info[:2]))
    versions = {"machine": platform.machine(), "python": python}
    tops = {"hawq", module.partition(".")[0]}
    for file in _closure(module).values():
        for name in _parsed(file)[1]:
            top = name.partition(".")[0]
            if top not in tops and top not in sys.stdlib_module_names:
                versions[_DISTRIBUTIONS.get(top, top)] = _version(top)
    return dict(sorted(versions.items()))


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _IGNORED_FOLDERS)
        for name in sorted(names):
            yield Path(root, name)


@cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@cache
def _root(top: str) -> Path:
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise StageError(f"the package {top!r} of a stage's code cannot be found")
    return Path(spec.submodule_search_locations[0])


def _source(name: str) -> Path | None:
    top, *rest = name.split(".")
    path = _root(top).joinpath(*rest)
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _folder(module: str) -> Path:
    top, *rest = module.split(".")[:-1]
    return _root(top).joinpath(*rest)


def _closure(module: str) -> dict[str, Path]:
    package, folder = module.rpartition(".")[0], _folder(module)
    waiting = [
        ".".join((package, *path.relative_to(folder).with_suffix("").parts))
        for path in _files(folder)
        if path.suffix == ".py"
    ]
    tops = ("hawq.", package.partition(".")[0] + ".")
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        file = None if name in found or name in _NO_RESULT else _source(name)
        if file is not None:
            found[name] = file
            waiting += [n for n in _parsed(file)[1] if n.startswith(tops)]
    return found


@cache
def _parsed(file: Path) -> tuple[str, frozenset[str]]:
    # All it may import: in ``from a import b``, b may be a module.
    source = file.read_bytes()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return hashlib.sha256(source).hexdigest(), frozenset(names)
