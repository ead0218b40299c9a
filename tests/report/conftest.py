"""A finished flow of two features and three classes, made of real records."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hawq import digest
from hawq.csim.record import LadderRecord
from hawq.data.dataset import Dataset
from hawq.data.record import DataRecord, PartRecord
from hawq.export.stage import ExportRecord
from hawq.fixed import FixedPoint
from hawq.manifest import MadeFrom, Manifest, artefacts
from hawq.model.metrics import measure
from hawq.model.record import Epoch, ModelRecord
from hawq.records import (
    Allocation,
    Choice,
    Comparison,
    FirmwareProject,
    ParetoPoint,
    SensitivityMap,
    Site,
    SiteKind,
    SiteSensitivity,
    TensorComparison,
)
from hawq.rtl.stage import RtlRecord
from hawq.sensitivity.validate import Trial, Validation
from hawq.synthesis.record import (
    Cosimulation,
    CriticalPath,
    HlsEstimate,
    Netlist,
    Power,
    Proof,
    Resources,
    RoutedSeed,
    Span,
    SynthesisReport,
    Timing,
    Usage,
)
from hawq.synthesis.stage import SynthesisRecord, TargetResult
from hawq.training.record import TrainingRecord

CLASSES = ("g", "q", "w")
FEATURES = ("c1_b0", "mass")
SEED = 7
FRACTION = 4
SAMPLES = 300
FORMATS = {
    "input": FixedPoint(True, 8, 3),
    "fc1.weight": FixedPoint(True, 6, 0),
}
NETWORK = """\
from torch import nn

def build(features, classes):
    return nn.Sequential(nn.Linear(features, classes))
"""


def sample(seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    y = np.arange(SAMPLES) % len(CLASSES)
    x = rng.normal(size=(SAMPLES, 2)) + 1.5 * np.stack([y == 1, y == 2], axis=1)
    return Dataset((10 + 2 * x).astype(np.float32), y, FEATURES, CLASSES)


def manifest_of(stage: str, folder: Path, settings: dict[str, Any]) -> Manifest:
    made_from = MadeFrom(
        settings=settings,
        seed=SEED,
        files={},
        inputs={},
        code={},
        libraries={"numpy": "2.0", "python": "3.11"},
        tools={},
    )
    found = artefacts(folder)
    return Manifest(
        stage=stage,
        key=made_from.key,
        made_from=made_from,
        artefacts=found,
        outputs=digest.of_json(found),
        seconds=1.5,
        finished="2026-01-01T00:00:00+00:00",
        hawq_version="0.0",
    )


def _data(folder: Path) -> DataRecord:
    parts = {}
    for seed, name in enumerate(("train", "validation", "test")):
        part = sample(seed)
        part.save(folder / f"{name}.h5")
        parts[name] = PartRecord(
            samples=len(part), counts=part.counts, digest=part.digest
        )
    return DataRecord(
        source="embedded",
        source_digest="0" * 64,
        features=FEATURES,
        classes=CLASSES,
        seed=SEED,
        **parts,
    )


def _network() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(2, 3))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[-1.0, -1.0], [1.3, -0.4], [-0.4, 1.3]]))
        network[0].bias.zero_()
    return network


def float_logits(split: Dataset) -> np.ndarray:
    standardised = ((split.x.astype(np.float64) - 11.0) / 2.5).astype(np.float32)
    with torch.no_grad():
        return _network()(torch.from_numpy(standardised)).numpy()


def integers(split: Dataset) -> np.ndarray:
    return np.floor(float_logits(split).astype(np.float64) * 2**FRACTION).astype(int)


def _epochs(count: int) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            learning_rate=1e-3,
            train_loss_nats=1 / (epoch + 1),
            validation_loss_nats=1.1 / (epoch + 1),
            validation_accuracy=0.7 + 0.01 * epoch,
        )
        for epoch in range(count)
    )


def _model(folder: Path) -> ModelRecord:
    (folder / "network.py").write_text(NETWORK)
    torch.save(_network().state_dict(), folder / "float.pt")
    validation, test = (
        measure(float_logits(split), split.y, CLASSES)
        for split in (sample(1), sample(2))
    )
    return ModelRecord(
        features=FEATURES,
        classes=CLASSES,
        mean=(11.0, 11.0),
        std=(2.5, 2.5),
        network="toy",
        arguments={"features": 2, "classes": 3},
        parameters=9,
        seed=SEED,
        best_epoch=3,
        history=_epochs(4),
        validation=validation,
        test=test,
    )


def _sensitivity(folder: Path) -> SensitivityMap:
    sites = (
        (Site(name="input", kind=SiteKind.ACTIVATION, layer="input", shape=(2,)), 0.3),
        (
            Site(
                name="fc1.weight",
                kind=SiteKind.WEIGHT,
                layer="fc1",
                shape=(3, 2),
                macs=6,
            ),
            0.02,
        ),
    )
    _validation().save(folder / "validation.json")
    return SensitivityMap(
        source="hessian_trace",
        route="exact",
        sites=tuple(
            SiteSensitivity(
                site=site, score=score, probe_error=0.0, sample_error=score / 20
            )
            for site, score in sites
        ),
        samples=SAMPLES,
        probes=0,
        seed=SEED,
        loss_nats=0.5,
    )


def _validation() -> Validation:
    trials = [
        ("input", SiteKind.ACTIVATION, 4, 2e-3, 3e-3),
        ("input", SiteKind.ACTIVATION, 6, 1e-4, -1e-5),
        ("fc1.weight", SiteKind.WEIGHT, 4, 1e-2, 1.5e-2),
        ("fc1.weight", SiteKind.WEIGHT, 6, 1e-3, 1e-3),
    ]
    return Validation(
        source="hessian_trace",
        samples=SAMPLES,
        loss_nats=0.5,
        trials=tuple(
            Trial(
                site=site,
                kind=kind,
                bits=bits,
                format=FixedPoint(True, bits, 2),
                perturbation=0.01,
                predicted_nats=predicted,
                predicted_by_element_nats=2 * predicted,
                gradient_nats=0.0,
                measured_nats=measured,
                measured_error=1e-4,
            )
            for site, kind, bits, predicted, measured in trials
        ),
        rank_correlation=1.0,
        rank_correlation_by_element=1.0,
    )


def _solution(bits: Mapping[str, int], rise: float, used: float) -> Allocation:
    return Allocation(
        choices=tuple(
            Choice(
                site=site,
                bits=width,
                format=FORMATS[site],
                perturbation=0.1,
                loss_rise_nats=rise / 2,
            )
            for site, width in bits.items()
        ),
        loss_rise_nats=rise,
        costs={"bops": used, "memory_bits": 54.0},
        budgets={"bops": 400.0},
        status="optimal",
        gap=0.0,
        pareto=(
            ParetoPoint(budget=500, used=450, loss_rise_nats=0.001, bits=dict(bits)),
            ParetoPoint(budget=400, used=used, loss_rise_nats=rise, bits=dict(bits)),
        ),
    )


def _allocation(folder: Path) -> Allocation:
    _solution({"input": 7, "fc1.weight": 7}, 0.02, 399).save(folder / "uniform.json")
    _solution({"input": 6, "fc1.weight": 8}, 0.05, 380).save(folder / "reversed.json")
    return _solution({"input": 8, "fc1.weight": 6}, 0.01, 390)


def _training(folder: Path) -> TrainingRecord:
    before, validation, test = (
        measure(integers(split) / 2**FRACTION, split.y, CLASSES)
        for split in (sample(1), sample(1), sample(2))
    )
    return TrainingRecord(
        scales="calibrated",
        per_channel=False,
        formats=FORMATS,
        nonzero={"fc1": 0.75},
        bops=333.0,
        before=before,
        validation=validation,
        test=test,
        epochs=_epochs(2),
        best_epoch=1,
    )


def _export(folder: Path) -> ExportRecord:
    return ExportRecord(
        file="network.onnx",
        sha256="1" * 64,
        inputs={"x": (2,)},
        outputs={"fc1": (3,)},
        formats={"input": "fixed<8,3,RND_CONV,SAT,0>", "fc1": "fixed<16,4,TRN,WRAP,0>"},
        bops=444.0,
    )


def _hls(folder: Path) -> FirmwareProject:
    return FirmwareProject(
        backend="hls4ml",
        target="Vitis",
        folder="project",
        io_type="io_parallel",
        strategy="latency",
        reuse_factor=1,
        part="xcvu9p",
        clock_ns=5.0,
        types={"input": "fixed<8,3,RND_CONV,SAT,0>", "w2": "fixed<6,0,TRN,WRAP,0>"},
        trace={"input": "x", "fc1": "fc1"},
    )


def _csim(folder: Path) -> LadderRecord:
    test = sample(2)
    whole = integers(test)
    logits = float_logits(test)
    np.savez(folder / "outputs.npz", integers=whole, float_logits=logits, y=test.y)
    accuracy = float(np.mean(whole.argmax(1) == test.y))
    rows = tuple(
        TensorComparison(tensor=name, format=form, integers=n, different=0)
        for name, form, n in (
            ("input", "fixed<8,3,RND_CONV,SAT,0>", 640),
            ("fc1", "fixed<16,4,TRN,WRAP,0>", 960),
        )
    )
    names = ("PyTorch network", "QONNX executor", "HLS C-simulation (Vitis)")
    return LadderRecord(
        comparisons=tuple(
            Comparison(
                lower=lower,
                upper=upper,
                inputs={"test_jets": SAMPLES, "all_minima": 20},
                tensors=rows,
            )
            for lower, upper in itertools.pairwise(names)
        ),
        integers=3200,
        compile_s=31.0,
        csim_samples_per_s=5000.0,
        golden_samples_per_s=1e6,
        accuracy=accuracy,
        accuracy_error=float(np.sqrt(accuracy * (1 - accuracy) / SAMPLES)),
        agreement=float(np.mean(whole.argmax(1) == logits.argmax(1))),
        output="fc1",
        output_fraction=FRACTION,
    )


def _simulated(upper: str, jets: int) -> Comparison:
    form = "fixed<16,4,TRN,WRAP,0>"
    rows = TensorComparison(tensor="fc1", format=form, integers=3 * jets, different=0)
    return Comparison(
        lower="golden integer graph",
        upper=upper,
        inputs={"data": jets},
        tensors=(rows,),
    )


def _rtl(folder: Path) -> RtlRecord:
    return RtlRecord(
        folders={"verilog": "verilog"},
        latency_cycles=4,
        adders=151.5,
        estimated_luts=190,
        registers=78,
        multiplications=6,
        trace_s=0.1,
        compile_s=12.0,
        samples_per_s=9000.0,
        bench_tests=6,
        comparison=_simulated("RTL simulation (Verilator)", 100),
    )


def _resources(file: str, state: str, **used: float) -> Resources:
    available = {"LUT": 1000.0, "FF": 2000.0}
    return Resources(
        file=file,
        state=state,
        usage={k: Usage(used=n, available=available.get(k)) for k, n in used.items()},
        primitives={"NAND2": 41, "DFF": 8} if "GATES" in used else {},
    )


def _timing(file: str, period: float, slack: float, path: bool = True) -> Timing:
    slowest = CriticalPath(
        source="a_reg.Q",
        destination="b_reg.D",
        delay_ns=3.25,
        logic_ns=1.5,
        route_ns=1.75,
        levels=7,
    )
    return Timing(
        file=file,
        period_ns=period,
        worst_slack_ns=slack,
        path=slowest if path else None,
    )


def _xcup() -> SynthesisReport:
    alone = {"fc1": 131.0, "fc2": 53.0}
    return SynthesisReport(
        tools={"yosys": "0.70"},
        part="xcvu9p",
        synthesised=Netlist(
            resources=_resources(
                "stat.json", "not placed", LUT=160, FF=77, CARRY=0, DSP=0
            )
        ),
        layers_alone={
            name: _resources(f"{i}-{name}/stat.json", "not placed", LUT=n, CARRY=i)
            for i, (name, n) in enumerate(alone.items())
        },
    )


def _ecp5() -> SynthesisReport:
    runs = tuple(
        RoutedSeed(
            seed=seed,
            fmax_mhz=mhz,
            netlist=Netlist(
                resources=_resources(f"seed{seed}.json", "routed", LUT=210 + seed),
                timing=_timing(f"seed{seed}.json", 8.0, 8.0 - 1000 / mhz),
            ),
            seconds=11.0,
            log=f"seed{seed}.log",
        )
        for seed, mhz in ((1, 125.0), (2, 160.0), (3, 128.0))
    )
    return SynthesisReport(
        tools={"yosys": "0.70", "nextpnr-ecp5": "0.9"},
        part="LFE5U-85F",
        synthesised=Netlist(resources=_resources("stat.json", "not placed", LUT=209)),
        routed=runs[2].netlist,
        routed_seeds=runs,
    )


def _asic() -> SynthesisReport:
    power = Power(
        file="power.json",
        total_mw=2.5,
        dynamic_mw=2.25,
        static_mw=0.25,
        confidence="activity of the simulation",
        at_most=("static_mw",),
    )
    return SynthesisReport(
        tools={"yosys": "0.70", "opensta": "2.6"},
        part="osu018",
        synthesised=Netlist(
            resources=_resources("stat.json", "not placed", GATES=49),
            timing=_timing("timing.json", 5.0, -1.25),
            power=power,
            area_um2=12345.5,
        ),
    )


def _vivado() -> SynthesisReport:
    return SynthesisReport(
        tools={"vivado": "2023.1", "vitis_hls": "2023.2"},
        part="xcvu9p",
        estimate=HlsEstimate(
            file="csynth.xml",
            target_clock_ns=5.0,
            clock_ns=4.0,
            latency_cycles=Span(minimum=9, maximum=9),
            interval_cycles=Span(minimum=1, maximum=1),
            resources=_resources("csynth.xml", "estimated by HLS", LUT=900),
        ),
        cosimulation=Cosimulation(
            file="cosim.rpt",
            language="Verilog",
            status="Pass",
            latency_cycles=Span(minimum=8, maximum=8),
            interval_cycles=Span(minimum=1, maximum=1),
        ),
        routed=Netlist(
            resources=_resources("util.rpt", "Routed", LUT=333, BRAM_TILE=1.5),
            timing=_timing("timing.rpt", 5.0, 1.0, path=False),
        ),
    )


def _synthesis(folder: Path) -> SynthesisRecord:
    proved = Proof(
        verdict="proved", points=93, open=0, seconds=3.0, tool="Yosys sat 0.70"
    )
    unknown = proved.model_copy(update={"verdict": "unknown", "points": 60, "open": 33})
    words = "layer fc1, neuron 2, register → layer fc2, neuron 0, adder"
    return SynthesisRecord(
        targets={
            "xcup": TargetResult(
                report=_xcup(),
                comparison=_simulated("UltraScale+ netlist (Verilator)", 20),
                proof=proved,
                seconds=20.0,
            ),
            "ecp5": TargetResult(
                report=_ecp5(),
                comparison=_simulated("ECP5 netlist (Verilator)", 20),
                proof=unknown,
                path=words,
                seconds=50.0,
            ),
            "asic": TargetResult(
                report=_asic(),
                comparison=_simulated("ASIC netlist (Verilator)", 20),
                seconds=15.0,
            ),
            "vivado": TargetResult(report=_vivado(), seconds=900.0),
        },
        predicted_luts=144.0,
        predicted_ns=6.5,
        ebops=170,
    )


STAGES: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "data": (_data, {"source": "embedded"}),
    "model": (_model, {"epochs": 4}),
    "sensitivity": (_sensitivity, {}),
    "allocation": (_allocation, {"pareto_cost": None, "budgets": {"bops": 400.0}}),
    "training": (_training, {"epochs": 2}),
    "export": (_export, {}),
    "hls": (_hls, {"strategy": "latency"}),
    "csim": (_csim, {}),
    "rtl": (_rtl, {}),
    "synthesis": (_synthesis, {}),
}


def build(root: Path) -> dict[str, Path]:
    folders = {}
    for stage, (make, settings) in STAGES.items():
        folder = root / stage
        folder.mkdir(parents=True)
        make(folder).save(folder / "record.json")
        manifest_of(stage, folder, settings).write(folder)
        folders[stage] = folder
    return folders


@pytest.fixture(scope="session")
def flow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stage → folder of a finished flow; tests must not write to it."""
    return build(tmp_path_factory.mktemp("flow"))


@pytest.fixture
def own_flow(tmp_path: Path) -> dict[str, Path]:
    """The same, for one test alone."""
    return build(tmp_path / "own")
