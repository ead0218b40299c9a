import itertools

import numpy as np
import torch

from hawq.allocation.elements.digits import LARGEST, signed_digits


def test_signed_digits_are_the_fewest_that_sum_to_the_number():
    fewest = {0: 0}
    powers = [sign << shift for shift in range(8) for sign in (1, -1)]
    for count in (1, 2, 3, 4):
        for terms in itertools.combinations(powers, count):
            fewest.setdefault(sum(terms), count)
    numbers = torch.arange(-64, 65)
    expected = [fewest[int(n)] for n in numbers]
    np.testing.assert_array_equal(signed_digits(numbers), expected)


def test_signed_digits_of_a_number_beyond_the_table_are_those_of_its_end():
    assert signed_digits(torch.tensor([10.0**6])).item() == 1.0
    assert signed_digits(torch.tensor([float(LARGEST - 1)])).item() == 2.0
