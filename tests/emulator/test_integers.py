import pytest

from hawq.emulator.integers import INT128, stored_type, type_for, words
from hawq.errors import NetworkError


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (-(2**15), 2**15 - 1, "int16_t"),
        (0, 2**15, "int32_t"),
        (-(2**31), 0, "int32_t"),
        (-(2**31) - 1, 0, "int64_t"),
        (0, 2**63 - 1, "int64_t"),
        (0, 2**63, "int128"),
        (-(2**126), 2**126 - 1, "int128"),
    ],
)
def test_tensors_are_stored_in_the_narrowest_type(low, high, name):
    assert stored_type(low, high).name == name


def test_sums_need_room_for_both_signs():
    assert type_for(2**15 - 1).name == "int16_t"
    assert type_for(-(2**15)).name == "int32_t"


def test_beyond_127_bits_is_refused():
    with pytest.raises(
        NetworkError, match=r"^integers of 128 bits, expected at most 127$"
    ):
        type_for(2**126)


@pytest.mark.parametrize("value", [0, -1, 2**31, -(2**31), 2**63 - 1, -(2**63)])
def test_literals_of_64_bits_are_numbers(value):
    spelt = INT128.literal(value)
    known = {"INT64_C": int, "INT64_MIN": -(2**63)}
    assert eval(spelt, known) == value


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**126 - 1, -(2**126)])
def test_wider_literals_are_two_words(value):
    spelt = INT128.literal(value).replace("ull", "")
    assert eval(spelt, {"wide": lambda high, low: high * 2**64 + low}) == value


@pytest.mark.parametrize(
    ("low", "high", "count"),
    [(-(2**63), 2**63 - 1, 1), (0, 2**63, 2), (-(2**63) - 1, 0, 2)],
)
def test_words_are_counted(low, high, count):
    assert words(low, high) == count
