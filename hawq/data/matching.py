"""Find features and classes among a file's columns, by name.

The files of the field write ``j_c1_b0_mmdt``, ``c1_b0_mmdt`` or ``c1_b0`` for the
same feature. Two names are alike if they agree but for case, the prefix ``j_`` and the
suffix ``_mmdt``. The suffix has a meaning, though: it marks a feature of the groomed
jet, and the larger files hold both. So a feature that the jet set defines on the
groomed jet is never taken from an ungroomed column of a file that tells the two apart.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hawq.data.columns import FEATURES
from hawq.errors import DataError

PREFIX, GROOMED = "j_", "_mmdt"
_ON_GROOMED_JET = frozenset(FEATURES[1:-1])


def bare(name: str) -> str:
    """Strip a column's name of the field's prefix and suffix.

    Args:
        name: As in the file.

    Returns:
        The name in lower case.

    >>> bare("j_C1_b0_mmdt")
    'c1_b0'
    """
    return name.strip().casefold().removeprefix(PREFIX).removesuffix(GROOMED)


def match_features(
    features: Sequence[str], names: Sequence[str], origin: str
) -> list[int]:
    """Find the column of each feature.

    Args:
        features: Wanted, in this order.
        names: Of the file's columns.
        origin: The file, for the message.

    Returns:
        Indices into ``names``, one a feature.

    Raises:
        DataError: naming all features without a column, or a column that is there
            twice.
    """
    found = {feature: _candidates(feature, names) for feature in features}
    missing = [feature for feature, columns in found.items() if not columns]
    if missing:
        listed = ", ".join(_with_hint(feature, names) for feature in missing)
        raise DataError(
            f"{origin}: no column for {listed}. The file's columns: {', '.join(names)}"
        )
    for feature, columns in found.items():
        if len(columns) > 1:
            listed = ", ".join(repr(names[j]) for j in columns)
            raise DataError(
                f"{origin}: {feature!r} could be any of the columns {listed}: rename "
                "all but one"
            )
    return [columns[0] for columns in found.values()]


def match_one_hot(classes: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Find the one-hot column of each class, ``j_g`` or ``g``.

    Args:
        classes: Wanted.
        names: Of the file's columns.

    Returns:
        Class → index into ``names``, for the classes that have one.
    """
    lowered = [name.strip().casefold() for name in names]
    found: dict[str, int] = {}
    for name in classes:
        for spelling in (PREFIX + name.casefold(), name.casefold()):
            if spelling in lowered:
                found[name] = lowered.index(spelling)
                break
    return found


def _candidates(feature: str, names: Sequence[str]) -> list[int]:
    alike = [j for j, name in enumerate(names) if bare(name) == bare(feature)]
    groomed = [j for j in alike if _is_groomed(names[j])]
    needs_groomed = feature in _ON_GROOMED_JET or _is_groomed(feature)
    if needs_groomed and any(map(_is_groomed, names)):
        alike = groomed
    elif not needs_groomed and len(groomed) < len(alike):
        alike = [j for j in alike if j not in groomed]
    return [j for j in alike if names[j] == feature] or alike


def _is_groomed(name: str) -> bool:
    return name.strip().casefold().endswith(GROOMED)


def _with_hint(feature: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(feature, [bare(name) for name in names], n=1)
    spelled = [name for name in names if close and bare(name) == close[0]]
    return repr(feature) + (f" (is it {spelled[0]!r}?)" if spelled else "")
