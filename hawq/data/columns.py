"""The columns of the LHC jet set, in the order of OpenML 42468.

All features but the first and the last are of the jet groomed with mMDT; see
`hawq.data.substructure` for their definitions.
"""

from __future__ import annotations

CLASSES: tuple[str, ...] = ("g", "q", "t", "w", "z")
"""Gluon, light quark, top, W and Z jets; a class's label is its index."""

FEATURES: tuple[str, ...] = (
    "zlogz",
    "c1_b0",
    "c1_b1",
    "c1_b2",
    "c2_b1",
    "c2_b2",
    "d2_b1",
    "d2_b2",
    "d2_a1_b1",
    "d2_a1_b2",
    "m2_b1",
    "m2_b2",
    "n2_b1",
    "n2_b2",
    "mass",
    "multiplicity",
)
"""The mass is in GeV; every other feature is dimensionless."""

ONE_HOT: tuple[str, ...] = tuple(f"j_{name}" for name in CLASSES)
"""The label's columns in HDF5 files of the field: 1 for the jet's class, else 0."""
