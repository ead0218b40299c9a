"""Train the jet tagger with HGQ2: per-weight bits under one long ramp of beta.

    KERAS_BACKEND=jax python benchmarks/pareto/hgq2_train.py

Reads ``jets.npz`` of ``data.py``. Every epoch that no other beats in both validation
accuracy and effective bit operations (EBOPs) leaves a ``.keras`` file in ``--out``.
Layers, quantizers, optimiser, schedule and front are HGQ2's and Keras' own; only the
loop over batches is compiled as one scan an epoch, which ``Model.fit`` cannot do and
which takes a tenth of its time. Runs in the environment of ``requirements-hgq2.txt``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import jax
import keras
import numpy as np
from hgq.config import QuantizerConfig, QuantizerConfigScope
from hgq.layers import QDense
from hgq.utils.sugar import ParetoFront, PieceWiseSchedule
from jax import numpy as jnp

HIDDEN = (64, 32, 32)
CLASSES = 5
WEIGHTS = {"k0": 1, "b0": 3, "i0": 0, "overflow_mode": "sat_sym"}
LANES = {"k0": 0, "f0": 3, "i0": 3, "overflow_mode": "wrap"}
BETA = (5e-7, 4e-4)  # first for a tenth of the epochs, then log-ramped to the second
STOP = 300  # EBOPs; below, no net of use is left and the ramp ends early
BATCH = 512
RATE = 2e-3


def main() -> None:
    """Train, leaving the front's checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = Path("build/benchmarks/pareto")
    parser.add_argument("--data", type=Path, default=folder / "jets.npz")
    parser.add_argument("--out", type=Path, default=folder / "hgq2-checkpoints")
    parser.add_argument("--epochs", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    with np.load(arguments.data) as data:
        splits = {name: jnp.asarray(data[name]) for name in data.files}
    network = build(splits["x_train"].shape[1])
    network.optimizer = keras.optimizers.Adam(RATE)
    network.optimizer.build(network.trainable_variables)
    hold = arguments.epochs // 10
    beta = PieceWiseSchedule([
        (0, BETA[0], "constant"),
        (hold, BETA[0], "log"),
        (arguments.epochs, BETA[1], "constant"),
    ])
    front = ParetoFront(arguments.out, ["val_accuracy", "ebops"], [1, -1])
    front.set_model(network)
    front.on_train_begin()
    train(
        network, splits, arguments.epochs, arguments.seed, beta, front, warm=hold // 2
    )


def build(features: int) -> keras.Model:
    """Build the network with every weight and every lane of its own format.

    Args:
        features: Inputs.

    Returns:
        The network, ending in logits.
    """
    weights = QuantizerConfigScope(
        place=("weight", "bias"), default_q_type="kbi", **WEIGHTS
    )
    lanes = QuantizerConfigScope(
        place="datalane", default_q_type="kif", heterogeneous_axis=(1,), **LANES
    )
    with weights, lanes:
        signed = QuantizerConfig("kif", "datalane", k0=1)
        x = inputs = keras.Input((features,))
        for index, units in enumerate(HIDDEN):
            iq_conf = None if index else signed
            x = QDense(units, activation="relu", iq_conf=iq_conf)(x)
        x = QDense(CLASSES, enable_oq=True, oq_conf=signed)(x)
    return keras.Model(inputs, x)


def train(
    network: keras.Model,
    splits: dict[str, jax.Array],
    epochs: int,
    seed: int,
    beta: Callable[[int], float],
    front: ParetoFront,
    warm: int,
) -> None:
    """Run the epochs, offering each after the first ``warm`` to the front."""
    variables = [
        network.trainable_variables,
        network.non_trainable_variables,
        network.optimizer.variables,
    ]
    state = tuple([v.value for v in group] for group in variables)
    names = [v.path.rsplit("/", 1)[-1] for v in variables[1]]
    betas, ebops = (
        [i for i, n in enumerate(names) if n == w] for w in ("beta", "ebops")
    )
    epoch_of = jax.jit(scan(network, splits["x_train"], splits["y_train"]))
    answer = jax.jit(lambda t, n, x: network.stateless_call(t, n, x, training=False)[0])
    key, start = jax.random.key(seed), time.monotonic()
    for epoch in range(epochs):
        for index in betas:
            state[1][index] = jnp.asarray(beta(epoch), jnp.float32)
        key, shuffle = jax.random.split(key)
        state, loss = epoch_of(state, shuffle)
        logits = answer(state[0], state[1], splits["x_validation"])
        right = np.mean(np.argmax(logits, 1) == np.asarray(splits["y_validation"]))
        total = sum(int(state[1][index]) for index in ebops)
        if epoch >= warm:
            for group, values in zip(variables, state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            front.on_epoch_end(epoch, {"val_accuracy": float(right), "ebops": total})
        is_over = total < STOP or epoch == epochs - 1
        if epoch % 50 == 0 or is_over:
            print(
                f"epoch {epoch}, {time.monotonic() - start:.0f} s: EBOPs {total}, "
                f"loss {float(loss):.4f}, validation {right:.4f}",
                flush=True,
            )
        if is_over:
            break


def scan(network: keras.Model, x: jax.Array, y: jax.Array) -> Callable:
    """Make the function that passes once over the training sample."""
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = len(x) // BATCH

    def loss_of(trained, others, batch, target):
        logits, others, losses = network.stateless_call(
            trained, others, batch, training=True, return_losses=True
        )
        return entropy(target, logits) + sum(losses), others

    def step(state, rows):
        trained, others, optimiser = state
        (loss, others), gradient = jax.value_and_grad(loss_of, has_aux=True)(
            trained, others, x[rows], y[rows]
        )
        trained, optimiser = network.optimizer.stateless_apply(
            optimiser, gradient, trained
        )
        return (list(trained), list(others), list(optimiser)), loss

    def epoch(state, key):
        rows = jax.random.permutation(key, len(x))[: steps * BATCH]
        state, losses = jax.lax.scan(step, state, rows.reshape(steps, BATCH))
        return state, losses.mean()

    return epoch


if __name__ == "__main__":
    main()
