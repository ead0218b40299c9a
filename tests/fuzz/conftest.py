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
NETWORKS = int(os.environ.get("HAWQ_FUZZ_NETWORKS", "2000"))
SHARDS = max(1, NETWORKS // 200)
"""Each is one C++ library."""
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
def seeds(shard: int) -> range:
    """The seeds of this shard's networks: all of them make up ``NETWORKS``."""
    count = NETWORKS // SHARDS
    first = SEED * 2**32 + shard * count
    return range(first, first + count)


@pytest.fixture
def fuzz(shard: int, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a check on a quarter as many networks as hypothesis finds and shrinks."""

    def run(check: Check, *ranks: int) -> None:
        name = f"{request.path.stem}-{shard}"

        @seed(SEED * SHARDS + shard)
        @settings(
            max_examples=NETWORKS // SHARDS // 4,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(networks(*ranks))
        def property_of_networks(network: Network) -> None:
            with kept_file(network.model, name), refused():
                check(network)

        property_of_networks()

    return run


@pytest.fixture
def kept() -> Callable[..., contextlib.AbstractContextManager[None]]:
    return kept_file


@pytest.fixture
def refusals() -> Callable[[], contextlib.AbstractContextManager[None]]:
    return refused


@contextlib.contextmanager
def kept_file(model: onnx.ModelProto, name: object) -> Iterator[None]:
    """Save the file of a failure; hypothesis ends with the smallest one."""
    try:
        yield
    except Exception as error:
        path = FAILURES / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        error.add_note(f"HAWQ_FUZZ_SEED={SEED}; the network is saved as {path}")
        raise


@contextlib.contextmanager
def refused() -> Iterator[None]:
    try:
        yield
    except HawqError as error:
        if not REFUSED.search(str(error)):
            raise
