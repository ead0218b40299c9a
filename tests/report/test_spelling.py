import pytest

from hawq.report import spelling


@pytest.mark.parametrize(
    ("value", "error", "scale", "expected"),
    [
        (0.98765, 0.0123, 1, "0.988 ± 0.012"),
        (1234.5, 67.8, 1, "1234 ± 68"),
        (1234.5, 678.9, 1, "1234 ± 679"),
        (0.5, 0.0, 100, "50"),
        (0.5, None, 100, "50"),
        (-0.00004, 0.004, 100, "0.00 ± 0.40"),
        (3.0, float("nan"), 1, "3"),
    ],
)
def test_measured(
    value: float, error: float | None, scale: float, expected: str
) -> None:
    assert spelling.measured(value, error, scale) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (9.996, "10.0"),
        (0.0009996, "0.00100"),
        (0.00099, "9.90 × 10⁻⁴"),
        (1e7, "1.00 × 10⁷"),
        (-2.5e-12, "−2.50 × 10⁻¹²"),
    ],
)
def test_scientific(value: float, expected: str) -> None:
    assert spelling.scientific(value) == expected


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.05664, 0.00162, "0.0566 ± 0.0016"),
        (-3.21e-6, 4.5e-7, "(−3.21 ± 0.45) × 10⁻⁶"),
        (0.0, 0.1, "0"),
    ],
)
def test_significant(value: float, error: float, expected: str) -> None:
    assert spelling.significant(value, error) == expected


def test_groups_do_not_break_a_line() -> None:
    assert spelling.grouped(1234567) == "1\u202f234\u202f567"
    assert spelling.grouped(999) == "999"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(9.94, "9.9 s"), (59.4, "59 s"), (119.6, "2 min 0 s")]
)
def test_clock(seconds: float, expected: str) -> None:
    assert spelling.clock(seconds) == expected
