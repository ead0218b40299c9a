"""Synthesise single layers, and keep what each took under the digest of its RTL."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hawq import compute, digest
from hawq.errors import ToolError
from hawq.records import Record
from hawq.stage import Progress, silent
from hawq.synthesis.costs.grid import GridLayer
from hawq.synthesis.fpga import verilog_sources
from hawq.synthesis.yosys import cells, read_verilog, run_yosys, stat, yosys_version

PASSES = (
    "scratchpad -set abc9.verify false",  # it need not end on logic without registers
    "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top network",
)
"""From sources to a netlist, as ``fpga`` synthesises networks."""

TIMING = (
    # abc9 leaves carry cells without delays: read the library once more.
    "read_verilog -overwrite -lib -specify +/xilinx/cells_sim.v",
    "tee -q -o sta.txt sta",
)
"""From a netlist to the delay of its longest path."""

_ARRIVAL = re.compile(r"^Latest arrival time in 'network' is (\d+):$", re.MULTILINE)


class LayerMeasurement(Record):
    """What synthesis made of one layer, and what was estimated beside it.

    Attributes:
        name: Of the layer.
        lut: Look-up tables of one to six inputs. Yosys pairs none of them.
        carry: Carry cells of four bits.
        inverters: Cells that Yosys leaves apart; placement puts them into LUTs.
        delay_ns: Of the longest path through cells, without wires, with the delays
            that Yosys has for 7-series parts.
        adders: alkaid's cost of the adder graph: an estimate.
        levels: Adder levels of the longest way through that graph: an estimate.
        seconds: That synthesis took.
    """

    name: str
    lut: int
    carry: int
    inverters: int
    delay_ns: float
    adders: float
    levels: float
    seconds: float


def measure_layers(
    layers: Sequence[GridLayer],
    cache: Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress = silent,
    limit_s: float = 1800.0,
) -> list[LayerMeasurement]:
    """Synthesise layers, each once.

    Args:
        layers: What to measure.
        cache: A folder for results. A layer whose RTL, passes and version of Yosys are
            those of an earlier run is read from there.
        workers: Processes on this machine.
        cluster: Address of a Dask scheduler whose workers share the folder, or None.
        progress: Told the fraction done.
        limit_s: Seconds that one layer may take.

    Returns:
        One measurement a layer, in order.
    """
    cache.mkdir(parents=True, exist_ok=True)
    measure = partial(measure_layer, cache=cache.resolve(), limit_s=limit_s)
    with compute.executor(workers, cluster) as pool:
        return list(
            compute.map_progress(
                pool, measure, layers, progress, "synthesising layers", ahead=16
            )
        )


def measure_layer(
    layer: GridLayer, cache: Path, limit_s: float = 1800.0
) -> LayerMeasurement:
    """Synthesise one layer for UltraScale+ with Yosys, unless the cache has it.

    Args:
        layer: What to measure.
        cache: A folder for results, which exists.
        limit_s: Seconds that synthesis may take.

    Returns:
        The measurement. Where synthesis fails, its log stays in the cache.
    """
    from hawq.rtl.delays import count_levels
    from hawq.rtl.trace import trace_graph
    from hawq.rtl.verilog import Rtl

    logic = trace_graph(layer.graph)
    with TemporaryDirectory(prefix="hawq-layer-") as name:
        Rtl(logic, Path(name), levels=None).write()
        sources = verilog_sources(Path(name))
        texts = [source.read_text(encoding="utf-8") for source in sources]
        key = digest.of_json([texts, PASSES, TIMING, yosys_version()])[:32]
        file = cache / f"{key}.json"
        if file.exists():
            found = LayerMeasurement.model_validate_json(file.read_text())
            return found.model_copy(update={"name": layer.name})
        start = time.perf_counter()
        counted, delay_ns = _synthesise(layer.name, sources, cache / key, limit_s)
        seconds = time.perf_counter() - start
    measured = LayerMeasurement(
        name=layer.name,
        lut=sum(n for cell, n in counted.items() if re.fullmatch("LUT[1-6]", cell)),
        carry=counted.get("CARRY4", 0),
        inverters=counted.get("INV", 0),
        delay_ns=delay_ns,
        adders=float(logic.cost),
        levels=float(max(count_levels(logic).latency)),
        seconds=seconds,
    )
    measured.save(file)
    return measured


def _synthesise(
    name: str, sources: Sequence[Path], folder: Path, limit_s: float
) -> tuple[dict[str, int], float]:
    """Leave the folder with the log where something failed, and nothing else."""
    counted = folder / "stat.json"
    passes = (PASSES[0], *read_verilog(sources), *PASSES[1:], stat(counted), *TIMING)
    log = run_yosys(passes, folder, name="layer", seconds=limit_s)
    arrival = _ARRIVAL.search((folder / "sta.txt").read_text(encoding="utf-8"))
    if arrival is None:
        raise ToolError(
            f"layer {name}: Yosys found no path through a cell; expected logic between "
            f"inputs and outputs, not wires alone; see {log}"
        )
    found = cells(counted), int(arrival[1]) / 1000
    shutil.rmtree(folder)
    return found
