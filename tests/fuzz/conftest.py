"""How much is fuzzed: a fixed amount in CI, as much as ``make fuzz`` asks for else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from random_qonnx.networks import Network, networks

from hawq.errors import HawqError

SEED = int(os.environ.get("HAWQ_FUZZ_SEED", "0"))
GRAPHS = int(os.environ.get("HAWQ_FUZZ_GRAPHS", "2400"))
SHARDS = 12
FAILURES = Path("build/fuzz")

REFUSED = re.compile(
    r"have no common grid of fewer than|real data is rearranged before a constant per|"
    r"real data is padded before it is shifted"
)
"""What a network of the generator may be refused for."""

Check = Callable[[Network], None]


@pytest.fixture(params=range(SHARDS))
def shard(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def fuzz(shard: int, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a check on the networks of this shard; the file of a failure is kept."""

    def run(check: Check, *ranks: int) -> None:
        path = FAILURES / f"{request.path.stem}-{shard}.onnx"

        @seed(SEED * SHARDS + shard)
        @settings(
            max_examples=GRAPHS // SHARDS // 2,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(networks(*ranks))
        def property_of_networks(network: Network) -> None:
            with kept(network.model, path), refusals():
                check(network)

        property_of_networks()

    return run


@contextlib.contextmanager
def kept(model: onnx.ModelProto, path: Path) -> Iterator[None]:
    """Save the file of a failure; hypothesis ends with the smallest one."""
    try:
        yield
    except Exception as error:
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        error.add_note(f"seed {SEED}, network saved as {path}")
        raise


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except HawqError as error:
        if not REFUSED.search(str(error)):
            raise
