from __future__ import annotations

from pathlib import Path

import pytest

REPORTS = Path(__file__).parent / "reports"
REAL = Path(__file__).parents[4] / "shared" / "data" / "vendor_reports"


@pytest.fixture(scope="session")
def reports() -> Path:
    """Small reports in the formats of many versions, with numbers of our own."""
    return REPORTS


@pytest.fixture(scope="session")
def real_reports() -> Path:
    """Reports of real runs, which are not in the repository."""
    if not REAL.is_dir():
        pytest.skip(f"the real reports are not at {REAL}")
    return REAL
