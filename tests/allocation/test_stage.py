"""The allocation stage on a small network that the earlier stages made."""

import csv
import logging
import re

import numpy as np
import pytest
from pydantic import ValidationError

import hawq.model.stage
import hawq.sensitivity.stage
from hawq.allocation.measured import measured, read
from hawq.allocation.stage import Settings, run
from hawq.allocation.tables import CalibrationRecord
from hawq.data.dataset import Dataset, split_dataset
from hawq.errors import InfeasibleError, InputError, UnknownNameError
from hawq.fixed import Overflow
from hawq.records import Allocation, SensitivityMap
from hawq.stage import StageContext

SITES = [
    "input",
    "fc1.weight",
    "relu1",
    "fc2.weight",
    "relu2",
    "fc3.weight",
    "relu3",
    "fc4.weight",
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Finished folders of data, model and sensitivity: 3 features, net 3-6-5-4-3."""
    root = tmp_path_factory.mktemp("flow")
    folders = {name: root / name for name in ("data", "model", "sensitivity")}
    rng = np.random.default_rng(0)
    y = np.arange(900) % 3
    x = np.array([[80, 20, 1], [20, 50, 3], [170, 60, 2]])[y]
    x = x + [40, 16, 1] * rng.normal(size=(900, 3))
    names = ("mass", "multiplicity", "width"), ("g", "q", "t")
    split = split_dataset(Dataset(x, y, *names), (0.6, 0.2, 0.2), 0)
    for name, part in split._asdict().items():
        part.save(folders["data"] / f"{name}.h5")
    for stage, settings in (
        (hawq.model.stage, {"epochs": 8, "batch_size": 32, "batch_norm": True}),
        (hawq.sensitivity.stage, {"samples": 256, "validation_bits": ()}),
    ):
        if stage is hawq.model.stage:
            settings["arguments"] = {"hidden": [6, 5, 4]}
        name = stage.__name__.split(".")[1]
        folders[name].mkdir()
        context = StageContext(
            folders[name],
            stage.Settings(**settings),
            folders,
            1,
            resume=root / "scratch",
        )
        stage.run(context).save(folders[name] / "record.json")
    return folders


@pytest.fixture
def allocate(inputs, tmp_path):
    """Run the stage; returns its record and folder."""

    def allocate_with(**settings):
        folder = tmp_path / f"allocation{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        quick = {"budgets": {"bops": 4000.0}, "pareto_points": 4}
        context = StageContext(folder, Settings(**quick | settings), inputs, seed=1)
        return run(context), folder

    return allocate_with


def test_luts_and_nanoseconds_can_be_budgets(allocate):
    free, _ = allocate(budgets={"lut": 1e9})
    luts, ns = free.costs["lut"], free.costs["latency_ns"]

    small, _ = allocate(budgets={"lut": 0.5 * luts})
    fast, _ = allocate(budgets={"lut": luts, "latency_ns": 0.8 * ns})

    assert small.costs["lut"] <= 0.5 * luts
    assert fast.costs["latency_ns"] <= 0.8 * ns
    for record in (small, fast):
        assert record.loss_rise_nats > free.loss_rise_nats


def test_laws_of_ones_own_price_the_budgets(allocate, tmp_path):
    shipped = measured()
    twice = shipped.lut.model_copy(update={"factor": 2 * shipped.lut.factor})
    file = tmp_path / "own.json"
    shipped.model_copy(update={"lut": twice}).save(file)
    free, _ = allocate(budgets={"lut": 1e9})

    own, folder = allocate(budgets={"lut": 1e9}, cost_model=file)

    assert read(folder / "measured.json") == read(file)
    assert own.bits() == free.bits()
    assert own.costs["lut"] == pytest.approx(2 * free.costs["lut"], rel=1e-14)
    assert own.costs["latency_ns"] == free.costs["latency_ns"]


def test_says_what_luts_and_nanoseconds_would_fit(allocate):
    number = r"([\d,.]+)"
    with pytest.raises(
        InfeasibleError,
        match=rf"^no widths meet the budgets: lut <= 10, smallest feasible {number}; "
        rf"latency_ns <= 1, smallest feasible {number}: raise the limit of lut and "
        "latency_ns, or offer smaller widths$",
    ) as error:
        allocate(budgets={"lut": 10.0, "latency_ns": 1.0})

    least = float(
        re.search(rf"lut <= 10, smallest feasible {number}", str(error.value))[
            1
        ].replace(",", "")
    )
    record, _ = allocate(budgets={"lut": least})
    assert record.costs["lut"] == pytest.approx(least, rel=1e-8)  # nine digits shown


def test_every_site_but_the_biases_gets_a_format(allocate):
    record, _ = allocate()

    assert [choice.site for choice in record.choices] == SITES
    assert record.costs["bops"] <= 4000
    assert (record.status, record.gap) == ("optimal", 0.0)
    formats = {choice.site: choice.format for choice in record.choices}
    assert formats["input"].signed
    assert not formats["relu1"].signed
    assert formats["fc1.weight"].overflow is Overflow.SATURATE_SYMMETRIC
    assert all(c.format.width == c.bits for c in record.choices)
    assert all(c.channel_integer is None for c in record.choices)


def test_the_record_adds_up(allocate):
    record, folder = allocate()

    calibration = CalibrationRecord.model_validate_json(
        (folder / "calibration.json").read_text()
    )
    offered = {site.site: site.choices for site in calibration.sites}
    assert calibration.weighting == "channel"
    assert calibration.samples == 540
    assert all(choice in offered[choice.site] for choice in record.choices)
    # The sum is correctly rounded, and so may differ from this one by roundoff.
    assert record.loss_rise_nats == pytest.approx(
        sum(c.loss_rise_nats for c in record.choices), rel=1e-12
    )
    assert record.costs.keys() >= {"bops", "bops_dense", "memory_bits"}
    assert record.costs["bops"] < record.costs["bops_dense"]


def test_the_front_holds_the_chosen_point(allocate):
    record, folder = allocate()

    chosen = [p for p in record.pareto if p.bits == record.bits()]
    assert [p.used for p in chosen] == [record.costs["bops"]]
    with (folder / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["budget", "used", "loss_rise_nats", *SITES]
    assert [float(row["loss_rise_nats"]) for row in rows] == [
        p.loss_rise_nats for p in record.pareto
    ]
    assert [{name: int(row[name]) for name in SITES} for row in rows] == [
        p.bits for p in record.pareto
    ]


def test_the_baselines_spend_no_more_and_lose_no_less(allocate):
    record, folder = allocate()

    for name in ("uniform", "reversed"):
        other = Allocation.model_validate_json((folder / f"{name}.json").read_text())
        assert other.costs["bops"] <= 4000
        assert other.loss_rise_nats >= record.loss_rise_nats
    uniform = Allocation.model_validate_json((folder / "uniform.json").read_text())
    weights = {b for site, b in uniform.bits().items() if site.endswith("weight")}
    others = {b for site, b in uniform.bits().items() if not site.endswith("weight")}
    assert len(weights) == len(others) == 1


def test_the_same_inputs_give_the_same_record(allocate):
    (first, one), (second, other) = allocate(), allocate()

    assert first == second
    assert sorted(p.name for p in one.iterdir()) == sorted([
        "calibration.json",
        "pareto.csv",
        "reversed.json",
        "uniform.json",
    ])
    assert [p.read_bytes() for p in sorted(one.iterdir())] == [
        p.read_bytes() for p in sorted(other.iterdir())
    ]


def test_several_budgets_hold_at_once(allocate):
    loose, _ = allocate()
    memory = 0.8 * loose.costs["memory_bits"]

    record, _ = allocate(budgets={"bops": 4000.0, "memory_bits": memory})

    assert record.costs["bops"] <= 4000
    assert record.costs["memory_bits"] <= memory
    assert record.loss_rise_nats > loose.loss_rise_nats
    assert record.budgets == {"bops": 4000.0, "memory_bits": memory}


def test_constraints_of_the_flow_hold(allocate):
    record, _ = allocate(
        groups=(("fc2.weight", "fc3.weight"),),
        fixed={"input": 11, "relu2": 4},
        minimum_bits={"fc4.weight": 7},
        maximum_bits={"fc1.weight": 5},
        budgets={"bops": 6000.0},
    )

    bits = record.bits()
    assert bits["fc2.weight"] == bits["fc3.weight"]
    assert (bits["input"], bits["relu2"]) == (11, 4)  # 11 is not on offer otherwise
    assert bits["fc4.weight"] >= 7
    assert bits["fc1.weight"] <= 5


def test_without_a_budget_the_widest_formats_win(allocate):
    record, _ = allocate(budgets={}, input_bits=(4, 6), activation_bits=(3, 5))

    assert list(record.bits().values()) == [6, 8, 5, 8, 5, 8, 5, 8]
    assert record.budgets == {}
    assert record.pareto[-1].bits == record.bits()


def test_scales_per_channel(allocate):
    whole, _ = allocate(fixed=dict.fromkeys(SITES, 4), budgets={})

    record, _ = allocate(fixed=dict.fromkeys(SITES, 4), budgets={}, per_channel=True)

    channels = {c.site: c.channel_integer for c in record.choices}
    assert channels["input"] is None
    assert [len(channels[f"fc{i}.weight"]) for i in (1, 2, 3, 4)] == [6, 5, 4, 3]
    for choice in record.choices[1::2]:
        assert choice.format.integer == max(choice.channel_integer)
    assert record.loss_rise_nats < whole.loss_rise_nats


@pytest.mark.parametrize("weighting", ["tensor", "channel", "element"])
def test_every_level_of_curvature_is_recorded(allocate, weighting):
    _, folder = allocate(weighting=weighting)

    text = (folder / "calibration.json").read_text()
    assert CalibrationRecord.model_validate_json(text).weighting == weighting


def test_another_cost_can_be_swept(allocate):
    record, _ = allocate(pareto_cost="memory_bits", pareto_spacing="linear")

    assert record.pareto[0].used < record.pareto[-1].used == record.costs["memory_bits"]


def test_says_what_the_smallest_feasible_budget_is(allocate):
    with pytest.raises(
        InfeasibleError,
        match=r"^no widths meet the budgets: bops <= 100, smallest feasible "
        r"[\d,.]+: raise the limit of bops, or offer smaller widths$",
    ) as error:
        allocate(budgets={"bops": 100.0})

    least = float(
        re.search(r"feasible ([\d,.]+):", str(error.value))[1].replace(",", "")
    )
    record, _ = allocate(budgets={"bops": least})
    assert record.costs["bops"] == pytest.approx(least, rel=1e-8)  # nine digits shown


def test_no_uniform_widths_is_logged(allocate, caplog):
    with caplog.at_level(logging.WARNING):
        _, folder = allocate(
            fixed={"input": 4},
            minimum_bits={"fc4.weight": 8},
            budgets={"bops": 2200.0},
        )

    assert not (folder / "uniform.json").exists()
    assert (folder / "reversed.json").exists()
    assert caplog.messages[0].startswith(
        "no uniform widths to compare with: no widths meet the budgets: bops <= 2,200, "
    )


def test_refuses_sensitivities_in_another_unit(inputs, allocate, monkeypatch):
    tokens = SensitivityMap.read(inputs["sensitivity"] / "record.json").model_copy(
        update={"unit": "nats per removed token", "source": "prompt_tokens"}
    )
    monkeypatch.setattr(SensitivityMap, "read", lambda path: tokens)

    with pytest.raises(
        InputError,
        match=r"^sensitivities in 'nats per removed token' cannot be set against "
        r"‖Δ‖²: expected 'nats per squared unit' \(source 'prompt_tokens'\)$",
    ):
        allocate()


def test_refuses_an_unknown_cost(allocate):
    with pytest.raises(UnknownNameError, match=r"^hawq\.cost has no 'bop' .*$"):
        allocate(budgets={"bop": 1.0})


def test_refuses_to_constrain_a_bias(allocate):
    with pytest.raises(
        InputError,
        match=r"^no site 'fc1\.bias' to constrain; the sites are: input, fc1\.weight, "
        r"relu1, fc2\.weight, relu2, fc3\.weight, relu3, fc4\.weight$",
    ):
        allocate(fixed={"fc1.bias": 8})


def test_refuses_unknown_settings():
    with pytest.raises(ValidationError, match="budget"):
        Settings(budget={"bops": 1.0})
