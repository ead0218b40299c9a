"""Events from Pythia 8, in two stages.

Stage A makes the hard process, on-shell and undecayed, and writes it as a Les Houches
event file; stage B reads the file, decays W, Z and top isotropically (the bosons to
quarks), showers and hadronises with the default (Monash) tune. This is how the public
LHC jet set was made: Pythia's own decays, polarised and with Breit-Wigner masses, fit
it worse.

Source: Alwall et al., Comput. Phys. Commun. 176 (2007) 300 (the file format); Bierlich
et al., SciPost Phys. Codebases 8 (2022) (Pythia 8.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from hawq.data.features import Events
from hawq.errors import ToolError

PROCESSES: Final[dict[str, tuple[str, ...]]] = {
    "g": ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on"),
    "q": (
        "HardQCD:qq2qq = on",
        "HardQCD:gg2qqbar = on",
        "HardQCD:qqbar2qqbarNew = on",
    ),
    "t": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    "w": ("WeakDoubleBoson:ffbar2WW = on",),
    "z": ("WeakDoubleBoson:ffbar2gmZgmZ = on", "WeakZ0:gmZmode = 2"),
}
"""The hard processes of each class."""

HARD: Final = (
    "Beams:eCM = 13000.",
    "PhaseSpace:pTHatMin = 995.",
    "PhaseSpace:pTHatMax = 1005.",
    "PartonLevel:all = off",
    "ProcessLevel:resonanceDecays = off",
    "PhaseSpace:useBreitWigners = off",
    "24:m0 = 80.419",
    "23:m0 = 91.188",
    "6:m0 = 173.0",
)
"""Settings of stage A."""

SHOWER: Final = (
    "Beams:frameType = 4",
    "24:onMode = off",
    "24:onIfAny = 1 2 3 4 5",
    "23:onMode = off",
    "23:onIfAny = 1 2 3 4 5",
)
"""Settings of stage B."""

_SILENT: Final = ("Print:quiet = on", "Next:numberCount = 0")
_FIRST_INCOMING: Final = 3
_FIRST_OUTGOING: Final = 5
_BATCH: Final = 50


def load_pythia() -> Any:
    """Import Pythia.

    Returns:
        The module ``pythia8mc``.

    Raises:
        ToolError: if it is not installed.
    """
    try:
        import pythia8mc
    except ImportError as error:
        raise ToolError(
            "making jets needs Pythia 8 (pythia8mc), which is not installed: "
            "pip install 'hawq[jets]'"
        ) from error
    return pythia8mc


def start(settings: tuple[str, ...], seed: int) -> Any:
    """Make and initialise a Pythia.

    Args:
        settings: Lines such as ``HARD`` and ``SHOWER``.
        seed: 1 … 900,000,000.

    Returns:
        A ``pythia8mc.Pythia``.

    Raises:
        ToolError: if Pythia is missing, knows no such setting or does not start.
    """
    pythia = load_pythia().Pythia("", False)
    for line in (*_SILENT, *settings, "Random:setSeed = on", f"Random:seed = {seed}"):
        if not pythia.readString(line):
            raise ToolError(f"Pythia does not know the setting {line!r}")
    if not pythia.init():
        raise ToolError(f"Pythia did not start with the settings {settings}")
    return pythia


def _event_text(pythia: Any) -> str:
    """Write the current hard process as one Les Houches event."""
    info, process = pythia.infoPython(), pythia.process
    lines = [
        "<event>",
        f"{process.size() - _FIRST_INCOMING} 1 1. {info.QRen()!r} "
        f"{info.alphaEM()!r} {info.alphaS()!r}",
    ]
    for index in range(_FIRST_INCOMING, process.size()):
        particle = process[index]
        state = "-1 0 0" if index < _FIRST_OUTGOING else "1 1 2"
        lines.append(
            f"{particle.id()} {state} {particle.col()} {particle.acol()} "
            f"{particle.px()!r} {particle.py()!r} {particle.pz()!r} "
            f"{particle.e()!r} {particle.m()!r} 0. 9."
        )
    lines.append("</event>\n")
    return "\n".join(lines)


def write_hard_events(path: Path, jet_class: str, events: int, seed: int) -> None:
    """Run stage A: write hard processes as a Les Houches event file.

    Args:
        path: The file to write.
        jet_class: One of ``hawq.data.columns.CLASSES``.
        events: How many.
        seed: Of Pythia, 1 … 900,000,000.

    Raises:
        ToolError: if Pythia fails.
    """
    pythia = start((*HARD, *PROCESSES[jet_class]), seed)
    with path.open("w") as file:
        # Two 6.5 TeV protons; unweighted events of one process.
        file.write(
            '<LesHouchesEvents version="1.0">\n<init>\n'
            "2212 2212 6500. 6500. 0 0 0 0 3 1\n1. 0. 1. 1\n</init>\n"
        )
        for event in range(events):
            if not pythia.next():
                raise ToolError(f"Pythia failed at hard event {event} of {jet_class}")
            file.write(_event_text(pythia))
        file.write("</LesHouchesEvents>\n")


def shower(path: Path, seed: int) -> Iterator[Events]:
    """Run stage B: decay, shower and hadronise the events of a file.

    Args:
        path: A Les Houches event file.
        seed: Of Pythia, 1 … 900,000,000.

    Yields:
        Batches of events, until the file ends. The few that Pythia gives up on are
        left out.
    """
    pythia = start((*SHOWER, f"Beams:LHEF = {path}"), seed)
    while len(batch := pythia.nextBatch(_BATCH, "skip")) > 0:
        yield _flatten(batch)


def _flatten(batch: Any) -> Events:
    """Turn Pythia's batch (an awkward array) into flat arrays."""
    particles = batch.prt.layout
    offsets = np.asarray(particles.offsets, np.int64)
    content = particles.content
    momentum = content["p"]
    momenta = np.stack(
        [momentum[axis].data for axis in ("px", "py", "pz", "e")], axis=1
    )
    hard = offsets[:-1, None] + np.arange(_FIRST_OUTGOING, _FIRST_OUTGOING + 2)
    return Events(
        offsets=offsets,
        pdg_id=content["id"].data,
        is_stable=content["status"].data > 0,
        momenta=momenta,
        partons=momenta[hard],
    )
