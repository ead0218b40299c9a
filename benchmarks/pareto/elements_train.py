"""Train bits for every weight and channel, by hawq itself: one ramp of falling budgets.

    python benchmarks/pareto/data.py
    python benchmarks/pareto/elements_train.py --seed 1

Several networks train as one batched product, on a GPU if there is one. Each seed
leaves an archive of its ramp, one of the best of it trained on at fixed formats
(``-settled``), and one of what single exchanges make of those (``-descent``), in
``elements-archives``. Nothing here sees the test split. Needs PyTorch and NumPy alone.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hawq.allocation.elements.exchange import (
    Search,
    compact,
    element_cost,
    exchange,
    state_of,
)
from hawq.training.archive import Archive
from hawq.training.elements import Ramp, Trainer, resume, settle, train
from hawq.training.ladder import Formats, Shape, forward
from hawq.training.teacher import teach

SHAPE = Shape((16, 64, 32, 32, 5))
NAMES = ("weight", "bias", "fraction", "integer")
RATES = (1.5e-3, 3e-3, 6e-3)
SOFT = (1.0, 0.6)
EVERY = 128  # steps between two allocations
ROUNDS = 4  # of settling: as many networks at once as the ramp has
SHARE = 0.7  # of the teacher in what exchanges aim at
LARGEST = 500  # of the networks that a descent starts from; above, it learns its sample
CHEAPEST = 150  # where it ends
SWEEPS = 8  # of exchanges in a round of it
SETTLED = 8  # epochs of training in a round
FALL = 0.93  # of the cost in a round

Tensors = dict[str, Tensor]


def main() -> None:
    """Train one seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = Path("build/benchmarks/pareto")
    parser.add_argument("--data", type=Path, default=folder / "jets.npz")
    parser.add_argument("--out", type=Path, default=folder / "elements-archives")
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, help="of the ramp, instead of its epochs"
    )
    parser.add_argument("--settle", type=float, default=120.0, help="seconds")
    parser.add_argument("--descent", type=float, default=600.0, help="seconds")
    arguments = parser.parse_args()
    # Exact here: integers on these grids have no more bits than TF32 keeps.
    torch.set_float32_matmul_precision("high")
    data = read(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)

    def path(suffix: str = "") -> Path:
        return Path(arguments.out / f"{arguments.seed}{suffix}.npz")

    trainer = begin(data, arguments)
    archive = ramp(trainer, data, arguments.seconds)
    rows = filled(archive, most=4)
    save(rows, path())
    chosen = pick(rows, ROUNDS * arguments.networks, 2 * trainer.ramp.last)
    settled = settle_all(trainer, chosen, data, arguments.settle)
    save(settled, path("-settled"))
    everything = {name: torch.cat([rows[name], settled[name]]) for name in rows}
    descend_all(everything, data, trainer.teacher, arguments.descent, path)


def read(path: Path) -> Tensors:
    """Read training and validation data."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = [f"{kind}_{split}" for kind in "xy" for split in ("train", "validation")]
    with np.load(path) as file:
        data = {name: torch.tensor(file[name], device=device) for name in names}
    classes = SHAPE.sizes[-1]
    data["one_hot"] = torch.nn.functional.one_hot(data["y_train"].long(), classes)
    data["one_hot"] = data["one_hot"].float()
    return data


def begin(data: Tensors, arguments: argparse.Namespace) -> Trainer:
    """Train the teacher and make the networks, of several rates and softnesses."""
    kinds = itertools.cycle(itertools.product(RATES, SOFT))
    rates, soft = zip(*itertools.islice(kinds, arguments.networks), strict=True)
    settings = Ramp(
        arguments.epochs if arguments.seconds is None else 10**9,
        batch=arguments.batch,
        warm=0.2,
        every=EVERY,
        rates=rates,
        soft=soft,
        judged=2,
        rivalries=12,
        seed=arguments.seed,
    )
    teacher = teach(data["x_train"], data["one_hot"], seed=arguments.seed)
    return Trainer(SHAPE, settings, data["x_train"], data["one_hot"], teacher)


def ramp(trainer: Trainer, data: Tensors, seconds: float | None) -> Archive:
    """Train while the budget falls."""
    start, last = time.monotonic(), [-10.0]

    def progress(epoch: int, trainer: Trainer, accuracy: Tensor) -> bool:
        now = time.monotonic() - start
        if now > last[0] + 10:
            last[0] = now
            print(
                f"epoch {epoch}, {now:.0f} s: cost {trainer.cost.min():.0f} to "
                f"{trainer.cost.max():.0f}, price {trainer.price.median():.1e}, "
                f"validation {accuracy.median():.4f}, best {accuracy.max():.4f}",
                flush=True,
            )
        return seconds is not None and now > seconds

    return train(
        trainer, data["x_validation"], data["y_validation"], progress, timed(seconds)
    )


def timed(seconds: float | None) -> Callable[[int], float] | None:
    """Make a clock of an epoch's part that runs with the time; None without limit."""
    if seconds is None:
        return None
    start = time.monotonic()
    return lambda epoch: min(1.0, (time.monotonic() - start) / seconds)


def filled(archive: Archive, most: int) -> Tensors:
    """Take from every bin of an archive the networks of the lowest losses."""
    order = archive.loss.argsort(0)[:most]
    bins = torch.arange(archive.loss.shape[1], device=order.device).expand_as(order)
    given = {"loss": archive.loss, "validation": archive.validation}
    given |= {"cost": archive.cost} | archive.tensors
    is_filled = archive.loss[order, bins].isfinite()
    return {name: value[order, bins][is_filled] for name, value in given.items()}


def pick(rows: Tensors, count: int, least: float, each: int = 3) -> Tensors:
    """Pick networks of low loss, as many of each range of log cost."""
    cost = rows["cost"].clamp_min(1).log()
    low, high = float(np.log(least)), float(cost.max())
    place = ((cost - low) / (high - low) * (count / each)).floor()
    order = rows["loss"].argsort()
    order = order[place[order].argsort(stable=True)]
    taken: list[int] = []
    for _, group in itertools.groupby(order.tolist(), lambda i: float(place[i])):
        members = list(group)
        if place[members[0]] >= 0:
            taken += members[:each]
    spare = itertools.cycle(taken)
    while len(taken) < count:
        taken.append(next(spare))
    return {name: value[taken[:count]] for name, value in rows.items()}


def settle_all(
    trainer: Trainer, rows: Tensors, data: Tensors, seconds: float
) -> Tensors:
    """Train networks on at fixed formats, as many at once as the trainer has."""
    given, found = (data["x_validation"], data["y_validation"]), []
    for start in range(0, len(rows["weight"]), len(trainer.rates)):
        part = {
            n: value[start : start + len(trainer.rates)] for n, value in rows.items()
        }
        resume(trainer, part, RATES[0])
        found.append(settle(trainer, *given, 10**9, timed(seconds / ROUNDS)))
    return measured({n: torch.cat([f[n] for f in found]) for n in found[0]}, data)


def measured(rows: Tensors, data: Tensors) -> Tensors:
    """Add the loss and the accuracy in validation, and the cost."""
    y = data["y_validation"].long()
    found: dict[str, list[Tensor]] = {"loss": [], "validation": [], "cost": []}
    for i in range(len(rows["weight"])):
        w, b, f, n = (rows[name][i : i + 1].float() for name in NAMES)
        formats = Formats(w, w, f, n)
        logits = forward(SHAPE, w, b, formats, data["x_validation"])[0][0]
        found["loss"].append(torch.nn.functional.cross_entropy(logits, y))
        found["validation"].append((logits.argmax(-1) == y).float().mean())
        found["cost"].append(element_cost(SHAPE, formats, w)[0])
    return rows | {name: torch.stack(values) for name, values in found.items()}


def descend_all(
    rows: Tensors,
    data: Tensors,
    teacher: Tensor,
    seconds: float,
    path: Callable[[str], Path],
    starts: int = 4,
) -> None:
    """Descend from networks of several costs and archive what is met on the way."""
    start, found = time.monotonic(), []
    small = {name: value[rows["cost"] < LARGEST] for name, value in rows.items()}
    given = pick(small, starts, LARGEST / 4, 1)
    for i in reversed(range(starts)):
        left = seconds - (time.monotonic() - start)
        price = front_price(rows, float(given["cost"][i]))
        begin = {name: given[name][i : i + 1].float() for name in NAMES}
        for met in descend(begin, price, data, teacher, left / (i + 1)):
            found.append(met)
            names = (*NAMES, "loss", "validation", "cost")
            save({n: torch.cat([r[n] for r in found]) for n in names}, path("-descent"))


def descend(
    given: Tensors, price: float, data: Tensors, teacher: Tensor, seconds: float
) -> Iterator[Tensors]:
    """Alternate exchanges at a rising price with training at fixed formats.

    What nobody reads is left out first, so that all steps are those of a small network.

    Args:
        given: One network.
        price: In nats a LUT, at the start.
        data: Training and validation.
        teacher: Probabilities of the training sample.
        seconds: Limit of time.

    Yields:
        The network after each exchange and after each training.
    """
    begun, row = time.monotonic(), torch.cat([given[name] for name in NAMES], 1)
    shape, kept, inputs = compact(SHAPE, state_of(SHAPE, row))
    data = data | {name: data[name][:, inputs] for name in ("x_train", "x_validation")}
    goal = (1 - SHARE) * data["one_hot"] + SHARE * teacher
    settings = Ramp(1, batch=512, soft=(SHARE,))
    trainer = Trainer(shape, settings, data["x_train"], data["one_hot"], teacher)
    judge = (data["x_validation"], data["y_validation"].long())
    target, rounds = 0.0, 0
    while time.monotonic() < begun + seconds:
        state = state_of(shape, row[:, kept])
        formats = vars(state.formats) | {"bias": state.bias, "weight": state.weight}
        resume(trainer, formats, RATES[0] / 2)
        settled = settle(trainer, *judge, SETTLED)
        row = row.clone()
        row[:, kept] = torch.cat([settled[name] for name in NAMES], 1)
        yield told(row, data, inputs, price)
        search = Search(price, 1e9, SWEEPS, 4096, 256, seed=rounds)
        state = state_of(shape, row[:, kept])
        state = exchange(shape, state, data["x_train"], goal, search)
        row = row.clone()
        row[:, kept] = state.row()
        met = told(row, data, inputs, price)
        yield met
        cost, rounds = float(met["cost"]), rounds + 1
        target = (target or cost) * FALL
        price *= (cost / target) ** 0.5
        if cost < CHEAPEST:
            return


def told(row: Tensor, data: Tensors, inputs: Tensor, price: float) -> Tensors:
    """Judge a network and print how it does."""
    state = state_of(SHAPE, row)
    x = torch.zeros((len(data["x_validation"]), SHAPE.sizes[0]), device=row.device)
    x[:, inputs] = data["x_validation"]
    given = vars(state.formats) | {"weight": state.weight, "bias": state.bias}
    met = measured({name: given[name] for name in NAMES}, data | {"x_validation": x})
    loss, validation, cost = (float(met[n]) for n in ("loss", "validation", "cost"))
    print(
        f"cost {cost:.0f}, loss {loss:.4f}, validation {validation:.4f}, price "
        f"{price:.1e}",
        flush=True,
    )
    return met


def front_price(rows: Tensors, cost: float) -> float:
    """Give what a LUT is worth in nats on the front of an archive."""
    order = rows["cost"].argsort().tolist()
    cheap = [float(rows["cost"][i]) for i in order]
    lowest = np.minimum.accumulate([float(rows["loss"][i]) for i in order])
    fit = np.polynomial.Polynomial.fit(np.log(cheap), lowest, 3)
    return float(max(-fit.deriv()(np.log(cost)), 1e-3) / cost)


def save(rows: dict[str, Any], path: Path) -> None:
    """Write networks, a row each."""
    arrays = {name: value.cpu().numpy() for name, value in rows.items()}
    for name in ("fraction", "integer"):
        arrays[name] = arrays[name].astype(np.int8)
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
