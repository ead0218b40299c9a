"""Every number of the page, in the page's order: what ``report.json`` holds."""

from __future__ import annotations

from hawq.line import STAGES
from hawq.records import Record
from hawq.report.evidence import Evidence, Real
from hawq.report.sections import (
    accuracy,
    agreement,
    confusion,
    front,
    history,
    ladder,
    layers,
    predictions,
    provenance,
    roc,
    sensitivities,
    spectra,
    synthesis,
    widths,
)
from hawq.report.sections.accuracy import Accuracy
from hawq.report.sections.agreement import Agreement
from hawq.report.sections.confusion import Confusion
from hawq.report.sections.front import Front
from hawq.report.sections.history import History
from hawq.report.sections.ladder import Ladder
from hawq.report.sections.layers import Layers
from hawq.report.sections.predictions import Predictions
from hawq.report.sections.provenance import Provenance
from hawq.report.sections.roc import Roc
from hawq.report.sections.sensitivities import Sensitivities
from hawq.report.sections.spectra import Spectra
from hawq.report.sections.synthesis import Synthesis
from hawq.report.sections.widths import FirmwareType, Widths
from hawq.stage import StageSettings


class Totals(Record):
    """What the quantized network costs; each counted by another rule at another time.

    Attributes:
        allocated: Cost name → what the allocation counted, before training.
        budgets: Cost name → limit.
        trained_bops: Counted again with the zeros that training left.
        qonnx_bops: Counted by the QONNX tools in the exported file.
    """

    allocated: dict[str, float]
    budgets: dict[str, float]
    trained_bops: float | None
    qonnx_bops: float | None


class Content(Record):
    """The page's numbers; a section whose stages did not run is None.

    Attributes:
        title: Of the page.
        flow: Its name.
        seed: Of the flow.
        samples: Part of the data → jets.
        source: Where the jets came from.
        equal: Whether the ladder's integers are all equal.
        totals: What the network costs.
        ladder: Rung by rung.
        accuracy: From float to firmware.
        agreement: Where firmware and float network differ.
        roc: Class by class.
        confusion: Class against class.
        spectra: Features of the jets.
        sensitivities: Site by site.
        widths: Site by site.
        front: Loss against cost.
        types: Tensor by tensor.
        synthesis: Target by target.
        layers: Layer by layer, each synthesised alone.
        predictions: What was expected of the hardware.
        history: Training.
        provenance: How to repeat it.
        absent: Stage → its purpose, of the stages that the flow did not run.
        not_asked: The same, of the stages that run only where they are asked for.
    """

    title: str
    flow: str
    seed: int
    samples: dict[str, int]
    source: str
    equal: bool | None
    totals: Totals | None
    ladder: Ladder | None
    accuracy: Accuracy | None
    agreement: Agreement | None
    roc: Roc | None
    confusion: Confusion | None
    spectra: Spectra
    sensitivities: Sensitivities | None
    widths: Widths | None
    front: Front | None
    types: tuple[FirmwareType, ...]
    synthesis: Synthesis | None
    layers: Layers | None
    predictions: Predictions | None
    history: History | None
    provenance: Provenance
    absent: dict[str, str]
    not_asked: dict[str, str]


def gather(
    evidence: Evidence,
    real: Real | None,
    *,
    title: str,
    flow: str,
    seed: int,
    settings: StageSettings,
) -> Content:
    """Measure and collect every number of the page.

    Args:
        evidence: What the stages left.
        real: The user's real jets.
        title: Of the page.
        flow: Its name.
        seed: Of the flow.
        settings: Of the report.

    Returns:
        The content.
    """
    e, logits = evidence, evidence.logits
    found = spectra.measure(e.test)
    if real is not None:
        found = spectra.against_real(found, e.test, real.jets, real.is_matched)
    climbed = ladder.gather(e.csim, e.rtl, e.synthesis)
    return Content(
        title=title,
        flow=flow,
        seed=seed,
        samples={
            name: getattr(e.data, name).samples
            for name in ("train", "validation", "test")
        },
        source=e.data.source,
        equal=climbed.equal if climbed else None,
        totals=_totals(e),
        ladder=climbed,
        accuracy=accuracy.gather(
            e.model, e.training, e.outputs, real.outputs if real else None
        ),
        agreement=agreement.measure(e.outputs) if e.outputs else None,
        roc=roc.measure(logits, e.labels, e.data.classes, seed) if logits else None,
        confusion=confusion.measure(logits, e.labels, e.data.classes)
        if logits
        else None,
        spectra=found,
        sensitivities=sensitivities.gather(e.sensitivity, e.validation)
        if e.sensitivity
        else None,
        widths=widths.gather(e.allocation, e.sensitivity, e.training, e.uniform)
        if e.allocation
        else None,
        front=front.gather(e.allocation, swept_cost(e), e.uniform, e.against)
        if e.allocation
        else None,
        types=widths.firmware_types(e.hls, e.export),
        synthesis=synthesis.gather(e.synthesis, e.rtl) if e.synthesis else None,
        layers=layers.gather(e.synthesis) if e.synthesis else None,
        predictions=predictions.gather(e.synthesis, e.rtl, e.allocation, e.training)
        if e.synthesis
        else None,
        history=history.gather(e.model, e.training),
        provenance=provenance.gather(flow, e.manifests, settings),
        absent=_not_run(e, optional=False),
        not_asked=_not_run(e, optional=True),
    )


def _not_run(evidence: Evidence, *, optional: bool) -> dict[str, str]:
    return {
        stage.name: stage.purpose
        for stage in STAGES
        if stage.name not in evidence.folders
        and stage.name != "report"
        and stage.optional == optional
    }


def swept_cost(evidence: Evidence) -> str:
    """Name the cost that the allocation swept.

    Args:
        evidence: With an allocation.

    Returns:
        The setting ``pareto_cost``, else the first budget, else ``bops``.
    """
    made_from = evidence.manifests["allocation"].made_from
    budgets = evidence.allocation.budgets if evidence.allocation else {}
    swept = made_from.settings.get("pareto_cost") or next(iter(budgets), "bops")
    return str(swept)


def _totals(evidence: Evidence) -> Totals | None:
    if evidence.allocation is None:
        return None
    return Totals(
        allocated=evidence.allocation.costs,
        budgets=evidence.allocation.budgets,
        trained_bops=evidence.training.bops if evidence.training else None,
        qonnx_bops=evidence.export.bops if evidence.export else None,
    )
