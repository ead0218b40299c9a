"""How numbers are written on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
THIN = "\u202f"


def grouped(value: float) -> str:
    """Write a count with its digits in groups of three.

    Args:
        value: Rounded to a whole number.

    Returns:
        For example ``350 000``.

    >>> grouped(350000.4).replace(THIN, " ")
    '350 000'
    """
    return f"{value:,.0f}".replace(",", THIN)


def measured(value: float, error: float | None, scale: float = 1.0) -> str:
    """Write a value with its error, to two digits of the error.

    Args:
        value: The value.
        error: One standard error; None or 0 writes the value alone.
        scale: Multiplies both, for example 100 for per cent.

    Returns:
        For example ``73.12 ± 0.41``.

    >>> measured(0.73123, 0.00412, 100), measured(-0.002, 0.0014, 100)
    ('73.12 ± 0.41', '−0.20 ± 0.14')
    """
    value *= scale
    if not error or not math.isfinite(error):
        return signed(f"{value:.4g}")
    error *= scale
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{signed(f'{value:.{digits}f}')} ± {error:.{digits}f}"


def scientific(value: float, digits: int = 3) -> str:
    """Write a number of any size to some significant digits.

    Args:
        value: The number.
        digits: Significant ones.

    Returns:
        Plain between 0.001 and 10 million, else with a power of ten.

    >>> scientific(0.0123), scientific(4.56e-7), scientific(0.0), scientific(-1234.5)
    ('0.0123', '4.56 × 10⁻⁷', '0', '−1234')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < 7:
        return signed(f"{value:.{max(0, digits - 1 - power)}f}")
    return signed(f"{mantissa} × 10{str(power).translate(_SUPERSCRIPT)}")


def significant(value: float, error: float) -> str:
    """Write a value of any size with its error, to two digits of the error.

    Args:
        value: The value.
        error: One standard error, not negative.

    Returns:
        For example ``(4.56 ± 0.12) × 10⁻⁷``.

    >>> significant(4.5612e-7, 1.234e-8), significant(0.25, 0.0)
    ('(4.56 ± 0.12) × 10⁻⁷', '0.250')
    """
    if error == 0 or value == 0:
        return scientific(value)
    power = math.floor(math.log10(abs(value)))
    if -3 <= power < 4:
        return measured(value, error)
    inner = measured(value, error, 10.0**-power)
    return f"({inner}) × 10{str(power).translate(_SUPERSCRIPT)}"


def reported(value: float | None, *, is_count: bool = True) -> str:
    """Write what a tool reported.

    Args:
        value: None if it reported none.
        is_count: Whether it is counted; other numbers get three digits.

    Returns:
        For example ``1 234`` or ``4.12``; never a zero for a missing number.

    >>> reported(1234.0).replace(THIN, " "), reported(0.5), reported(0.0)
    ('1 234', '0.5', '0')
    >>> reported(4.1234, is_count=False), reported(-0.0312, is_count=False)
    ('4.12', '−0.0312')
    >>> reported(None)
    'not reported'
    """
    if value is None:
        return "not reported"
    if abs(value) >= 1000 or (is_count and value == int(value)):
        return signed(grouped(value))
    return signed(f"{value:g}") if is_count else scientific(value)


def clock(seconds: float) -> str:
    """Write a duration.

    Args:
        seconds: Not negative.

    Returns:
        For example ``0.3 s``, ``42 s`` or ``3 min 5 s``.

    >>> clock(0.31), clock(42.4), clock(185)
    ('0.3 s', '42 s', '3 min 5 s')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def signed(text: str) -> str:
    """Replace the hyphen before a negative number by a minus sign.

    Args:
        text: A number.

    Returns:
        The same with ``−``; a rounded ``-0`` loses its sign.

    >>> signed("-0.0"), signed("-1.5")
    ('0.0', '−1.5')
    """
    if text.startswith("-") and not text.strip("-0."):
        return text[1:]
    return text.replace("-", "−", 1) if text.startswith("-") else text


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as plain text, the first column to the left, others to the right.

    Args:
        head: Column names.
        rows: One cell a column, written by ``str``.

    Returns:
        One line a row.

    >>> print(table(["class", "jets"], [["gluon", 40], ["top", 1200]]))
    class  jets
    gluon    40
    top    1200
    """
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
