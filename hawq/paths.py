"""Where the files that ship beside the code are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hawq.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Find a shipped folder: the checkout's if there is one, else the wheel's copy.

    Args:
        folder: One of ``flows``, ``models``, ``firmware``, ``tcl``.

    Returns:
        Its absolute path.

    Raises:
        InputError: if neither exists.
    """
    candidates = (_PACKAGE.parent / folder, _PACKAGE / "_share" / folder)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise InputError(
        f"the shipped folder {folder!r} is at neither {candidates[0]} nor "
        f"{candidates[1]}: reinstall hawq"
    )


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when the block succeeds.

    Args:
        path: The final name; its folder is made if needed.

    Yields:
        The temporary name, in the same folder and with the same suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
