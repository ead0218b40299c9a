"""Check a network file, and climb the ladder with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from hawq.frontend.network import Network
from hawq.integer.graph import Graph
from hawq.integer.lower import host_tail, lower_model
from hawq.integer.tensor import Tensor
from hawq.records import Comparison, Record

if TYPE_CHECKING:
    from hawq.csim.network import Inputs, NetworkProof, Progress, Sets
    from hawq.fixed import IntArray

EMULATOR = "C++ emulator"


class TensorSummary(Record):
    """A tensor of the integer graph.

    Attributes:
        name: As in the file.
        shape: Of one sample.
        format: Fixed-point type, or width and scale.
        low: Smallest integer.
        high: Largest integer.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    low: str
    high: str


class NetworkCheck(Record):
    """Which rungs of the ladder can carry a network.

    Attributes:
        network: Its name.
        kind: What it came as.
        inputs: Name → shape of one sample.
        outputs: Name → shape of one sample.
        nodes: Of the integer graph.
        tensors: In topological order.
        rungs: Rung → why it cannot carry the network; empty if it can.
        host: Operators at the end that are left to the host.
    """

    network: str
    kind: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    nodes: int
    tensors: tuple[TensorSummary, ...]
    rungs: dict[str, str]
    host: tuple[str, ...]


def check_network(network: Network, *, target: str = "Vitis") -> NetworkCheck:
    """Say which rungs can carry a network; nothing is compiled.

    Args:
        network: From ``read_network``.
        target: hls4ml's back end.

    Returns:
        The record. A network that no rung can carry raises the error that says why.
    """
    from hawq.csim.network import EXECUTOR, GOLDEN, spell

    graph = lower_model(network.model)
    rungs = {EXECUTOR: "", GOLDEN: ""}
    for name, reasons in (
        (f"hls4ml ({target})", _hls_reasons(network, graph, target)),
        (EMULATOR, _emulator_reasons(graph)),
    ):
        rungs[name] = "; ".join(reasons)
    return NetworkCheck(
        network=network.name,
        kind=network.kind.value,
        inputs={i.name: i.shape for i in graph.inputs},
        outputs={name: graph.tensors[name].shape for name in graph.outputs},
        nodes=len(graph.nodes),
        tensors=tuple(_summary(t, spell(t)) for t in graph.tensors.values()),
        rungs=rungs,
        host=host_tail(network.model),
    )


def _summary(tensor: Tensor, spelt: str) -> TensorSummary:
    return TensorSummary(
        name=tensor.name,
        shape=tensor.shape,
        format=spelt,
        low=str(tensor.low),
        high=str(tensor.high),
    )


def _hls_reasons(network: Network, graph: Graph, target: str) -> list[str]:
    from hawq.hls.stage import Settings
    from hawq.hls.support import unsupported

    return unsupported(network.model, graph, Settings(target=target))


def _emulator_reasons(graph: Graph) -> list[str]:
    from hawq.emulator.support import unsupported

    return unsupported(graph)


@dataclass(frozen=True)
class Climb:
    """How to climb.

    Attributes:
        target: hls4ml's back end.
        samples: Of the data, at most.
        executor_samples: Of each set, at most, for the QONNX executor.
        corners: Random vectors in each set of corner inputs.
        seed: Of the corners.
    """

    target: str = "Vitis"
    samples: int = 1000
    executor_samples: int = 100
    corners: int = 100
    seed: int = 1


def prove_network(
    network: Network,
    data: Inputs | None,
    folder: Path,
    how: Climb,
    progress: Progress,
) -> NetworkProof:
    """Climb the ladder: QONNX executor, golden graph, emulator, firmware.

    Args:
        network: From ``read_network``.
        data: Input name → real values, or None for corner inputs alone.
        folder: Where firmware and emulator are built.
        how: Samples and target.
        progress: Told what is done.

    Returns:
        The proof. The first integer that differs raises a MismatchError.
    """
    from hawq.csim.network import (
        NetworkProof,
        compare_executor,
        make_sets,
        require_equal,
        samples_within,
        saturation,
    )

    graph = lower_model(network.model)
    fits = samples_within(graph)
    progress("golden executor", 0.05)
    sets = make_sets(
        graph,
        data,
        samples=min(how.samples, 16 * fits),
        corners=min(how.corners, fits),
        seed=how.seed,
    )
    progress("QONNX executor", 0.2)
    count = min(how.executor_samples, fits)
    done = [require_equal(compare_executor(network.model, graph, sets, count))]
    refused: dict[str, str] = {}
    rungs: list[tuple[str, list[str], Callable[[], Comparison]]] = [
        (
            EMULATOR,
            _emulator_reasons(graph),
            lambda: _emulator(network, graph, sets, folder),
        ),
        (
            f"hls4ml ({how.target})",
            _hls_reasons(network, graph, how.target),
            lambda: _firmware(network, graph, sets, folder, how.target),
        ),
    ]
    for i, (name, reasons, compare) in enumerate(rungs):
        progress(name, 0.4 + 0.3 * i)
        if reasons:
            refused[name] = "; ".join(reasons)
            continue
        done.append(require_equal(compare()))
    rows = [row for c in done for row in c.tensors]
    return NetworkProof(
        network=network.name,
        kind=network.kind.value,
        comparisons=tuple(done),
        refused=refused,
        saturated={} if data is None else saturation(graph, data),
        integers=sum(r.integers - r.noise for r in rows),
        noise=sum(r.noise for r in rows),
    )


def _emulator(network: Network, graph: Graph, sets: Sets, folder: Path) -> Comparison:
    from hawq.csim.network import compare_integers
    from hawq.emulator.library import Emulator, compile_emulator
    from hawq.emulator.write import write_emulator

    place = folder / "emulator"
    write_emulator(graph, place, name=identifier(network.name), version="1")
    emulator = Emulator(compile_emulator(place))

    def run(inputs: Inputs) -> dict[str, IntArray]:
        return emulator.trace(inputs)

    return compare_integers(graph, EMULATOR, sets, run, 10**9)


def identifier(name: str) -> str:
    """Make a name that C++ accepts.

    Args:
        name: Any text.

    Returns:
        Letters, digits and underscores, no digit first.

    >>> identifier("my-net.v2"), identifier("2layers")
    ('my_net_v2', 'network_2layers')
    """
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    return word if word[:1].isalpha() else f"network_{word}"


def _firmware(
    network: Network, graph: Graph, sets: Sets, folder: Path, target: str
) -> Comparison:
    import onnx

    from hawq.csim.firmware import compile_project
    from hawq.csim.network import compare_integers
    from hawq.csim.rungs import firmware_rung
    from hawq.hls.project import build_project
    from hawq.hls.stage import Settings
    from hawq.hls.targets import find_target

    source = folder / "network.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network.model, str(source))
    settings = Settings(target=target, strategy=find_target(target).strategy)
    project = build_project(source, folder / "project", settings)
    library = compile_project(folder / "project", folder / "firmware.so")
    rung = firmware_rung(project, library, graph)

    def run(inputs: Inputs) -> dict[str, NDArray[Any]]:
        x = next(iter(inputs.values()))
        real = rung.run(x.reshape(len(x), -1))
        return {
            name: values / float(graph.tensors[name].scale)
            for name, values in real.items()
        }

    return compare_integers(graph, rung.name, sets, run, 10**9)
