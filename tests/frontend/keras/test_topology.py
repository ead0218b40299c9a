from __future__ import annotations

import re

import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.archive import Archive
from hawq.frontend.keras.topology import read_layers, read_topology


def topology_of(config):
    archive = Archive(config, {})
    return read_topology(archive, read_layers(archive))


def functional(*layers, inputs=(("x", 0, 0),), outputs=(("y", 0, 0),)):
    return {
        "class_name": "Functional",
        "config": {
            "layers": [*layers],
            "input_layers": [list(i) for i in inputs],
            "output_layers": [list(o) for o in outputs],
        },
    }


def tensor(name, index=0, which=0):
    """A tensor as Keras 3 writes it."""
    return {
        "class_name": "__keras_tensor__",
        "config": {"keras_history": [name, index, which]},
    }


def refuses(config, text: str) -> None:
    with pytest.raises(NetworkError, match=f"^{re.escape(text)}$"):
        topology_of(config)


def test_both_notations_give_the_same_calls(entry, input_entry):
    old = functional(
        input_entry(3),
        {**entry("Add", "y"), "inbound_nodes": [[["a", 0, 0, {}], ["a", 1, 0, {}]]]},
        {
            **entry("Dense", "a"),
            "inbound_nodes": [[["x", 0, 0, {}]], [["a", 0, 0, {"training": None}]]],
        },
    )
    new = functional(
        input_entry(3),
        {
            **entry("Add", "y"),
            "inbound_nodes": [{"args": [[tensor("a"), tensor("a", 1)]], "kwargs": {}}],
        },
        {
            **entry("Dense", "a"),
            "inbound_nodes": [
                {"args": [tensor("x")], "kwargs": {"training": False}},
                {"args": [tensor("a")]},
            ],
        },
    )
    expected = [
        (("a", 0), (("x", 0),)),
        (("a", 1), (("a", 0),)),
        (("y", 0), (("a", 0), ("a", 1))),
    ]

    for config in (old, new):
        topology = topology_of(config)
        assert [(c.key, c.operands) for c in topology.calls] == expected
        assert topology.inputs == {("x", 0): (3,)}
        assert topology.outputs == (("y", 0),)


def test_layers_that_no_output_needs_are_left_out(entry, input_entry):
    config = functional(
        input_entry(3),
        {**entry("Dense", "y"), "inbound_nodes": [[["x", 0, 0, {}]]]},
        {**entry("Dense", "idle"), "inbound_nodes": [[["x", 0, 0, {}]]]},
    )

    assert [c.key for c in topology_of(config).calls] == [("y", 0)]


def test_sequential_may_tell_its_input_in_its_first_layer(entry, sequential):
    topology = topology_of(
        sequential(entry("Dense", "a", batch_input_shape=[None, 3]), entry("ReLU", "b"))
    )

    assert topology.inputs == {("a_input", 0): (3,)}
    assert [(c.key, c.operands) for c in topology.calls] == [
        (("a", 0), (("a_input", 0),)),
        (("b", 0), (("a", 0),)),
    ]


def test_loop_is_refused(entry, input_entry):
    nodes = [[["y", 0, 0, {}]]]
    config = functional(input_entry(3), {**entry("Dense", "y"), "inbound_nodes": nodes})

    refuses(config, "layer 'y' reads its own result: unroll the network")


def test_missing_layer_is_refused(entry, input_entry):
    nodes = [[["z", 0, 0, {}]]]
    config = functional(input_entry(3), {**entry("Dense", "y"), "inbound_nodes": nodes})

    refuses(
        config,
        "a layer or an output reads 'z', which the model does not have: the file is "
        "damaged, save it again",
    )


def test_second_result_is_refused(entry, input_entry):
    nodes = [[["x", 0, 1, {}]]]
    config = functional(input_entry(3), {**entry("Dense", "y"), "inbound_nodes": nodes})

    refuses(
        config,
        "result 1 of layer 'x' is read, but only layers with one result are carried: "
        "split the layer",
    )


@pytest.mark.parametrize(
    "node",
    [
        [["x", 0, 0, {"training": True}]],
        {"args": [tensor("x")], "kwargs": {"training": True}},
    ],
)
def test_call_in_training_mode_is_refused(entry, input_entry, node):
    config = functional(
        input_entry(3), {**entry("Dropout", "y"), "inbound_nodes": [node]}
    )

    refuses(
        config,
        "layer 'y' (Dropout): it is called with training=True, which is not carried: "
        "leave it out",
    )


def test_call_with_other_things_is_refused(entry, input_entry):
    node = {"args": [tensor("x"), {"class_name": "slice"}]}
    config = functional(input_entry(3), {**entry("Add", "y"), "inbound_nodes": [node]})

    refuses(
        config,
        "layer 'y' (Add): it is called with {'class_name': 'slice'}, expected tensors "
        "and numbers: use layers",
    )


def test_input_that_is_no_input_layer_is_refused(entry, input_entry):
    config = functional(input_entry(3), entry("Dense", "y"), inputs=[("y", 0, 0)])

    refuses(config, "input 'y' is no InputLayer: save the model again")


@pytest.mark.parametrize("shape", [[None, None, 3], [None], None, "ab"])
def test_open_sizes_are_refused(entry, sequential, shape):
    refuses(
        sequential(entry("InputLayer", "x", batch_shape=shape)),
        f"layer 'x' (InputLayer): the input has shape {shape}, expected a batch axis "
        "and then fixed sizes: give Input(shape) whole numbers",
    )


def test_own_class_is_refused():
    refuses(
        {"class_name": "MyModel", "config": {"layers": [{"config": {"name": "a"}}]}},
        "a model of class 'MyModel' runs code of its own: build it as Sequential or "
        "Functional",
    )


def test_model_without_layers_is_refused(sequential):
    refuses(sequential(), "the model has no layers: build it before it is saved")


def test_two_layers_of_one_name_are_refused(entry, sequential):
    refuses(
        sequential(entry("Dense", "a"), entry("ReLU", "a")),
        "layer 'a' (ReLU): another layer has this name: rename one",
    )


def test_layer_without_name_is_refused(sequential):
    refuses(
        sequential({"class_name": "Dense"}),
        "a layer has no settings or no name ({'class_name': 'Dense'}): the file is "
        "damaged, save it again",
    )


@pytest.mark.parametrize(
    "dtype",
    ["mixed_float16", {"class_name": "DTypePolicy", "config": {"name": "int8"}}],
)
def test_other_number_types_are_refused(entry, sequential, dtype):
    name = dtype if isinstance(dtype, str) else "int8"

    refuses(
        sequential(entry("Dense", "a", dtype=dtype)),
        f"layer 'a' (Dense): it computes in {name}, expected float32: set its dtype to "
        "'float32'",
    )
