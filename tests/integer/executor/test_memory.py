import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.integer.executor.memory import Slot, buffer_sizes, share_buffers

BYTES = {"float32": 4, "float64": 8, "int64": 8, "object": 8}


@pytest.mark.parametrize("carrier", BYTES)
def test_a_slot_counts_its_row_of_ones(carrier):
    assert Slot((3, 5), carrier).bytes_per_sample == 15 * BYTES[carrier]
    assert Slot((3, 5), carrier, ones=True).bytes_per_sample == 18 * BYTES[carrier]
    assert Slot((), carrier).bytes_per_sample == BYTES[carrier]


def test_a_chain_needs_two_buffers():
    sizes = {"a": 9, "b": 5, "c": 7, "d": 3}
    slots = {name: Slot((size,), "float32") for name, size in sizes.items()}
    steps = [((), "a"), (("a",), "b"), (("b",), "c"), (("c",), "d")]
    shared = share_buffers(slots, steps, ["d"])
    assert [shared[name].buffer for name in sizes] == [0, 1, 0, 1]
    assert buffer_sizes(shared) == {0: 36, 1: 20}


def test_what_is_kept_is_left_alone():
    slots = {name: Slot((4,), "float32") for name in "abcd"}
    steps = [((), "a"), (("a",), "b"), (("b",), "c"), (("c",), "d")]
    shared = share_buffers(slots, steps, ["a", "d"])
    assert [shared[name].buffer for name in "abcd"] == [0, 1, 2, 1]


@pytest.mark.parametrize(
    "slot", [Slot((4,), "object"), Slot((4,), "float32", None, True)]
)
def test_python_integers_and_rows_of_ones_share_nothing(slot):
    steps = [((), "a"), (("a",), "b"), (("b",), "c")]
    shared = share_buffers(dict.fromkeys("abc", slot), steps, ["c"])
    assert {s.buffer for s in shared.values()} == {None}


@given(data=st.data())
def test_a_tensor_is_never_overwritten_while_it_is_needed(data):
    count = data.draw(st.integers(1, 9))
    names = [f"t{i}" for i in range(count)]
    slots = {n: Slot((data.draw(st.integers(1, 9)),), "int64") for n in names}
    steps = [
        (tuple(data.draw(st.sets(st.sampled_from(names[:i]))) if i else ()), name)
        for i, name in enumerate(names)
    ]
    keep = data.draw(st.sets(st.sampled_from(names)))
    shared = share_buffers(slots, steps, sorted(keep))
    holds = {}
    for reads, target in steps:
        assert all(holds[shared[name].buffer] == name for name in reads)
        assert shared[target].buffer not in {shared[name].buffer for name in reads}
        holds[shared[target].buffer] = target
    assert all(holds[shared[name].buffer] == name for name in keep)
    sizes = buffer_sizes(shared)
    assert all(s.bytes_per_sample <= sizes[s.buffer] for s in shared.values())
