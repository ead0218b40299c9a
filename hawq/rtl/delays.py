"""How late each value of the adder graph is, with all the logic on its way counted.

alkaid counts a constant's addition, a negation and a ReLU as no delay. In hardware the
first two are carry chains like any adder, and they come one behind the other where a
value is biased, rounded and saturated: registers placed by alkaid's count leave four
carry chains in a row between two of them.
"""

from __future__ import annotations

from typing import Any

LEVELS = {
    -2: 1.0,  # negation
    0: 1.0,  # sum
    1: 1.0,  # difference
    2: 0.5,  # ReLU
    4: 1.0,  # sum with a constant
    6: 0.5,  # multiplexer
    7: 3.0,  # product
    8: 1.0,  # table
    9: 0.5,  # all or any of some bits
    10: 0.5,  # gates on two values
    11: 2.0,  # sum of three
}
"""Adder levels of alkaid's operations, by opcode; others only name bits anew. A carry
chain with the wires to it takes about twice what a LUT with its wires does."""


def count_levels(logic: Any) -> Any:
    """Count adder levels anew, so that registers go where the delays are.

    Args:
        logic: alkaid's ``CombLogic``.

    Returns:
        The same logic, with every operation's latency the sum of ``LEVELS`` along the
        longest way to it.
    """
    late: list[float] = []
    for op in logic.ops:
        before = max((late[i] for i in op.input_ids), default=0.0)
        late.append(before + LEVELS.get(op.opcode, 0.0))
    ops = [op._replace(latency=t) for op, t in zip(logic.ops, late, strict=True)]
    return logic._replace(ops=ops)
