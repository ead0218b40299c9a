import contextlib
import pickle

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import HawqError, NetworkError
from hawq.frontend import safety
from hawq.frontend.safety import load_onnx, name_nodes, sound_model


@pytest.fixture
def chain(onnx_file):
    """Three nodes: x → a → b → y, with a constant."""
    file = onnx_file(1, 4)
    a = file.node("Mul", "x", file.constant([1, 2, 3, 4], name="gains"), output="a")
    b = file.node("Relu", a, output="b")
    return file.model(file.node("Neg", b, output="y"))


def refused(model):
    with pytest.raises(NetworkError) as caught:
        sound_model(model)
    return str(caught.value)


def kinds(model):
    return [node.op_type for node in model.graph.node]


# --- files ---------------------------------------------------------------------------


def test_a_sound_file_is_read(chain, tmp_path):
    onnx.save(chain, tmp_path / "network.onnx")
    assert load_onnx(tmp_path / "network.onnx") == chain


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.onnx"
    with pytest.raises(NetworkError) as caught:
        load_onnx(path)
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_a_folder(tmp_path):
    with pytest.raises(NetworkError) as caught:
        load_onnx(tmp_path)
    assert str(caught.value) == f"{tmp_path}: not a file: give an ONNX file"


def test_a_file_that_is_too_large_is_not_opened(tmp_path):
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # takes no room on the disk
    with pytest.raises(NetworkError) as caught:
        load_onnx(path)
    assert str(caught.value) == (
        f"{path}: 2147483648 bytes, expected at most 2147483647 (2 GB, protobuf's "
        "limit): export a smaller network"
    )


def test_a_pickle_is_not_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    path = tmp_path / "trap.onnx"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(NetworkError, match=r"not an ONNX file, or a damaged one"):
        load_onnx(path)
    assert not (tmp_path / "sprung").exists()


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(NetworkError) as caught:
        load_onnx(path)
    assert str(caught.value) == (
        f"{path}: the file has no nodes: give an ONNX file of a network"
    )


@settings(max_examples=300)
@given(data=st.data())
def test_damage_never_escapes(data, onnx_file, tmp_path_factory):
    file = onnx_file(1, 4)
    scaled = file.node("Mul", "x", file.constant([1, 2, 3, 4]))
    whole = file.model(file.node("Relu", scaled)).SerializeToString()
    damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(damaged)
    with contextlib.suppress(HawqError):
        assert load_onnx(path).graph.node


def test_a_long_chain_in_reverse_order_without_names(onnx_file, tmp_path):
    file = onnx_file(1, 3)
    last = "x"
    for _ in range(20_000):
        last = file.node("Relu", last, name="")
    file.nodes.reverse()
    onnx.save(file.model(last, shape=(1, 3)), tmp_path / "long.onnx")
    nodes = load_onnx(tmp_path / "long.onnx").graph.node
    assert [node.input[0] for node in nodes[1:]] == [n.output[0] for n in nodes[:-1]]
    assert len({node.name for node in nodes}) == 20_000


def test_networks_of_absurdly_many_nodes(chain):
    node = helper.make_node("Relu", ["x"], ["z"])
    chain.graph.node.extend([node] * 2**15)
    assert refused(chain) == (
        "32771 nodes, expected at most 32768: export a smaller network"
    )


# --- tensors -------------------------------------------------------------------------


def test_data_in_another_file_are_not_read(chain):
    tensor = chain.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    assert refused(chain) == (
        "constant 'gains': its data are in another file, which is not read: save the "
        "model with data inside (onnx.save_model, save_as_external_data=False)"
    )


def test_nor_those_of_an_attribute(chain):
    tensor = TensorProto(data_location=TensorProto.EXTERNAL, dims=[1], data_type=1)
    node = helper.make_node("Constant", [], ["c"], name="c", value=tensor)
    chain.graph.node.append(node)
    assert refused(chain).startswith(
        "node 'c' (Constant), attribute 'value': its data are in another file"
    )


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([-4], "shape [-4] has a negative size: export again"),
        (
            [2**31, 2**31],
            f"shape [{2**31}, {2**31}] of float needs {2**64} bytes, but the file "
            "holds 16: it is damaged, export it again",
        ),
        (
            [3],
            "shape [3] of float needs 12 bytes, but the file holds 16: it is damaged, "
            "export it again",
        ),
    ],
)
def test_shapes_that_are_not_those_of_the_data(dims, message, chain):
    tensor = chain.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend(dims)
    assert refused(chain) == f"constant 'gains': {message}"


def test_numbers_outside_raw_data_are_counted_too(chain):
    tensor = helper.make_tensor("gains", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    chain.graph.initializer[0].CopyFrom(tensor)
    assert kinds(sound_model(chain)) == ["Mul", "Relu", "Neg"]
    del chain.graph.initializer[0].float_data[-1]
    assert refused(chain) == (
        "constant 'gains': shape [4] of float needs 4 numbers, but the file holds 3: "
        "it is damaged, export it again"
    )


NUMBERS = [TensorProto.DataType.Name(kind) for kind in safety.BITS]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_numeric_type_is_measured_right(name, raw, chain):
    kind = TensorProto.DataType.Value(name)
    array = np.ones((3, 1), dtype=helper.tensor_dtype_to_np_dtype(kind))
    tensor = numpy_helper.from_array(array, "ones")
    if not raw:
        tensor = helper.make_tensor("ones", kind, [3, 1], array.ravel())
    chain.graph.initializer.append(tensor)
    assert sound_model(chain) == chain


def test_numbers_of_other_types(chain):
    tensor = TensorProto(name="c", data_type=TensorProto.COMPLEX64, dims=[0])
    chain.graph.initializer.append(tensor)
    assert refused(chain) == (
        "constant 'c': numbers of type complex64 are not carried: export in float32 "
        "with integers of 4 to 32 bits"
    )


def test_sparse_constants(chain):
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    sparse = helper.make_sparse_tensor(values, indices, [2**40])
    chain.graph.sparse_initializer.append(sparse)
    assert refused(chain) == "constant 's' is a sparse tensor: export it dense"
    del chain.graph.sparse_initializer[:]
    node = helper.make_node("Constant", [], ["c"], name="c", sparse_value=sparse)
    chain.graph.node.append(node)
    assert refused(chain) == (
        "node 'c' (Constant): attribute 'sparse_value' is a sparse tensor: export it "
        "dense"
    )


def test_inputs_of_absurd_size(chain):
    shape = chain.graph.input[0].type.tensor_type.shape
    shape.dim[1].dim_value = 2**24 + 1
    assert refused(chain) == (
        f"input 'x' has {2**24 + 1} elements a sample, expected at most {2**24}: the "
        "file is damaged, or the network too large"
    )


@pytest.mark.parametrize("values", ["input", "output", "value_info"])
def test_negative_sizes(values, chain):
    wrong = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, -2])
    getattr(chain.graph, values).append(wrong)
    chain.graph.node.append(helper.make_node("Neg", ["y"], ["z"]))
    if values == "input":
        del chain.graph.node[-1]
    assert refused(chain) == (
        "tensor 'z': shape [1, -2] has a negative size: export again"
    )


# --- graphs --------------------------------------------------------------------------


def test_nodes_are_put_in_order(chain):
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(chain)
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(reversed(chain.graph.node))
    before = shuffled.SerializeToString()
    assert sound_model(shuffled) == chain
    assert shuffled.SerializeToString() == before


def test_a_cycle(chain):
    chain.graph.node[0].input[1] = "b"
    assert refused(chain) == (
        "a cycle of 2 nodes: node 'the_a' (Mul), node 'the_b' (Relu): a network that "
        "feeds back cannot be carried, unroll it"
    )


def test_a_node_that_reads_itself(chain):
    chain.graph.node[1].input[0] = "b"
    assert refused(chain).startswith("a cycle of 1 nodes: node 'the_b' (Relu): ")


def test_names_that_nothing_writes(chain):
    chain.graph.node[1].input[0] = "gone"
    assert refused(chain) == (
        "tensor 'gone', read by node 'the_b' (Relu), is written by nothing: export it "
        "again"
    )


def test_outputs_that_nothing_writes(chain):
    chain.graph.output[0].name = "gone"
    assert refused(chain) == (
        "tensor 'gone', read by the network's outputs, is written by nothing: export "
        "it again"
    )


@pytest.mark.parametrize("name", ["x", "gains", "a"])
def test_names_written_twice(name, chain):
    chain.graph.node[1].output[0] = name
    assert refused(chain) == (
        f"tensor {name!r} is written twice, the second time by node 'the_b' (Relu): "
        "export it again"
    )


def test_constants_and_inputs_that_stand_twice(chain):
    doubled = onnx.ModelProto()
    doubled.CopyFrom(chain)
    doubled.graph.initializer.append(chain.graph.initializer[0])
    assert refused(doubled) == "constant 'gains' stands twice: export it again"
    chain.graph.input.append(chain.graph.input[0])
    assert refused(chain) == "input 'x' stands twice: export it again"


def test_constants_may_be_listed_as_inputs(chain):
    """finn#993: as files of IR version 3 do."""
    gains = helper.make_tensor_value_info("gains", TensorProto.FLOAT, [4])
    chain.graph.input.append(gains)
    assert sound_model(chain) == chain


def test_control_flow(chain):
    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body)
    chain.graph.node.append(node)
    assert refused(chain) == (
        "unnamed node (If) that writes 'd': control flow (a graph in attribute "
        "'else_branch') cannot be carried: export without loops and branches, in "
        "evaluation mode and with fixed shapes"
    )


def test_nodes_without_output(chain):
    chain.graph.node.append(helper.make_node("Relu", ["x"], [""], name="idle"))
    assert refused(chain) == "node 'idle' (Relu) has no output: export it again"


def test_names_that_are_not_text(chain):
    data = chain.SerializeToString().replace(b"the_b", b"th\xff_b")
    with pytest.raises(NetworkError) as caught:
        sound_model(onnx.ModelProto.FromString(data))
    assert str(caught.value) == (
        "the name b'th\\xff_b' is not text: the file is damaged, export it again"
    )


# --- names ---------------------------------------------------------------------------


def test_every_node_gets_a_name_of_its_own(chain):
    """hls4ml#686."""
    names = ["", "Relu_0", ""]
    for node, name in zip(chain.graph.node, names, strict=True):
        node.name, node.op_type = name, "Relu"
    name_nodes(chain.graph)
    found = [node.name for node in chain.graph.node]
    assert found == ["Relu_1", "Relu_0", "Relu_2"]


def test_names_used_twice_are_told_apart(chain):
    for node in chain.graph.node:
        node.name = "same"
    name_nodes(chain.graph)
    assert [node.name for node in chain.graph.node] == ["same", "same_0", "same_1"]


def test_labels_name_what_there_is():
    unnamed = helper.make_node("Relu", ["x"], ["y"])
    assert safety.label(unnamed) == "unnamed node (Relu) that writes 'y'"
    unnamed.name = "r"
    assert safety.label(unnamed) == "node 'r' (Relu)"
