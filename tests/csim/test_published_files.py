"""Published QONNX files: exact up to the executor's own rounding, or refused by name.

The large ones (256 x 256 images) are run by ``benchmarks/published_files.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hawq.csim.network import compare_executor, make_sets
from hawq.errors import NetworkError
from hawq.fixed import FixedPoint
from hawq.frontend.network import read_network
from hawq.integer.lower import lower_model

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "qonnx"
FORM = FixedPoint.parse("fixed<16,6>")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="shared data are not here")


@pytest.mark.parametrize(
    ("file", "is_dyadic"),
    [
        ("TFC_1W1A", False),
        ("TFC_2W2A", False),
        ("bnn_model_fc_1layer", True),
        ("qkeras_jettagging", True),
        ("unsw_w2a2", False),
    ],
)
def test_every_integer_of_the_executor_is_exact_or_its_own_noise(
    file: str, is_dyadic: bool
) -> None:
    model = read_network(FOLDER / f"{file}.onnx", input_format=FORM).model
    graph = lower_model(model)
    sets = make_sets(graph, None, samples=1, corners=4, seed=1)
    comparison = compare_executor(model, graph, sets, 4)
    assert comparison.first is None
    assert len(comparison.tensors) >= 3
    noise = sum(row.noise for row in comparison.tensors)
    assert (noise == 0) == is_dyadic
    quantized = {t.name for t in graph.tensors.values() if t.declared is not None}
    assert sum(r.noise for r in comparison.tensors if r.tensor in quantized) == 0


@pytest.mark.parametrize(
    ("file", "node", "constant"),
    [
        ("mnist-conv_model", "'Convolution28' (Conv)", "'Parameter5'"),
        ("three_layer_pytorch", "'Gemm_0' (Gemm)", "'1'"),
    ],
)
def test_float_networks_are_refused_with_the_way_out(
    file: str, node: str, constant: str
) -> None:
    model = read_network(FOLDER / f"{file}.onnx", input_format=FORM).model
    with pytest.raises(NetworkError) as refused:
        lower_model(model)
    assert str(refused.value) == (
        f"node {node}: constant {constant} is not quantized: put a Quant on it "
        "(weight_quant in Brevitas), or quantize the network without training (docs: "
        "your own network)"
    )
