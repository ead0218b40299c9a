"""Compare published QONNX files, integer by integer, with the QONNX executor.

    python benchmarks/published_files.py FILE.onnx ...

Inputs without a quantizer get fixed<16,6>. Prints for each file how many integers are
equal, and how many floats the executor itself rounded; or why the file is refused.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hawq.csim.network import compare_executor, make_sets, samples_within
from hawq.errors import HawqError
from hawq.fixed import FixedPoint
from hawq.frontend.network import read_network
from hawq.integer.lower import lower_model

FORM = FixedPoint.parse("fixed<16,6>")


def compare(path: Path) -> str:
    """Run one file.

    Args:
        path: The file.

    Returns:
        What to print of it.
    """
    start = time.perf_counter()
    try:
        model = read_network(path, input_format=FORM).model
        graph = lower_model(model)
    except HawqError as error:
        return f"refused: {error}"
    lowered = time.perf_counter() - start
    samples = min(20, samples_within(graph))
    sets = make_sets(graph, None, samples=1, corners=samples, seed=1)
    found = compare_executor(model, graph, sets, samples)
    total = sum(row.integers for row in found.tensors)
    noise = sum(row.noise for row in found.tensors)
    different = sum(row.different for row in found.tensors)
    return (
        f"{total - noise - different:,} equal, {noise:,} rounded by the executor, "
        f"{different:,} different; {len(found.tensors)} tensors, lowered in "
        f"{lowered:.1f} s, compared in {time.perf_counter() - start - lowered:.0f} s"
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{Path(name).stem}: {compare(Path(name))}", flush=True)
