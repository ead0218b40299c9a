"""Run Vitis HLS and Vivado on a firmware project, here or on a host over ssh.

On a host, a fresh folder gets the project and the scripts, the tool runs there under
the same time limit, and its results and log come back whether it succeeded or not.
"""

from __future__ import annotations

import re
import shlex
import shutil
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import Field, field_validator

from hawq.errors import StageError, ToolError
from hawq.paths import shipped
from hawq.records import FirmwareProject, Record
from hawq.stage import Progress, silent
from hawq.synthesis.record import SynthesisReport
from hawq.synthesis.vendor.command import Runner, run_command
from hawq.synthesis.vendor.csynth_report import read_csim
from hawq.synthesis.vendor.failure import explain
from hawq.synthesis.vendor.read import join, read_folder

SSH = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
VIVADO_STEPS = ("synthesis", "place and route")
HLS_STEPS = ("csim", "csynth", "cosim", "export")


class Target(Record):
    """What to run and where.

    Attributes:
        steps: Of HLS, in this order.
        implement: Whether Vivado places and routes after synthesis.
        clock_ns: Target period; None takes the project's.
        part: None takes the project's.
        host: ``user@host`` for ssh, with keys and no questions; None is this machine.
        setup: A script of the tools to source on the host (``settings64.sh``).
        limit_s: Seconds for one tool.
    """

    steps: tuple[str, ...] = ("csynth",)
    implement: bool = True
    clock_ns: float | None = Field(default=None, gt=0)
    part: str | None = None
    host: str | None = Field(default=None, pattern=r"^[\w.][\w.@-]*$")
    setup: str | None = None
    limit_s: float = Field(default=4 * 3600, gt=0)

    @field_validator("steps")
    @classmethod
    def _known(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [step for step in steps if step not in HLS_STEPS]:
            known = ", ".join(HLS_STEPS)
            raise ValueError(f"unknown step {unknown[0]!r}; known: {known}")
        return steps


@dataclass(frozen=True)
class _Tool:
    """A vendor tool: how it starts, what it reads and what it leaves.

    Attributes:
        name: Of the seam and of the script.
        launchers: Programs with the arguments before the script, newest first.
        results: Folder that it writes, ``{}`` is the top.
        needs: Fields of the report that a run must give.
    """

    name: str
    launchers: tuple[tuple[str, ...], ...]
    results: str
    needs: tuple[str, ...] = field(default=())

    @property
    def log(self) -> str:
        """Name of the log of what it prints."""
        return f"{self.name}_run.log"


_VITIS_HLS = _Tool(
    "vitis_hls",
    (
        ("vitis_hls", "-f"),
        ("vitis-run", "--mode", "hls", "--tcl"),
        ("vivado_hls", "-f"),
    ),
    "{}_prj",
)
_VIVADO = _Tool(
    "vivado",
    (("vivado", "-mode", "batch", "-notrace", "-nojournal", "-source"),),
    "vivado_reports",
)
_GET = "AMD's download page has it; source its settings64.sh"


def vitis_hls(
    project: Path,
    firmware: FirmwareProject,
    target: Target,
    progress: Progress = silent,
    runner: Runner = run_command,
) -> SynthesisReport:
    """Run the steps of HLS on a project of hls4ml and read their reports.

    Args:
        project: Folder of the project.
        firmware: Its record.
        target: Steps, part, clock and host.
        progress: Told each step.
        runner: Runs commands.

    Returns:
        Estimate, co-simulation and what export measured, of the steps that ran.

    Raises:
        ToolError: if the tool is missing, fails or takes too long.
        StageError: if the folder is no project of HLS.
        DataError: if a report cannot be read.
    """
    _require(project / "project.tcl", "write the firmware project first (hls)")
    steps = {"csynth": "estimate", "cosim": "cosimulation"}
    needs = tuple(field for step, field in steps.items() if step in target.steps)
    tool = _Tool(_VITIS_HLS.name, _VITIS_HLS.launchers, _VITIS_HLS.results, needs)
    run = _Run(project, firmware, target, progress, runner)
    return run.report(tool, keep=() if "csynth" in target.steps else ("{}_prj",))


def vivado(
    project: Path,
    firmware: FirmwareProject,
    target: Target,
    progress: Progress = silent,
    runner: Runner = run_command,
) -> SynthesisReport:
    """Synthesise the RTL of a project out of context, place and route it.

    Args:
        project: Folder of the project, with the RTL that ``vitis_hls`` left there.
        firmware: Its record.
        target: Part, clock, host and whether to place and route.
        progress: Told each step.
        runner: Runs commands.

    Returns:
        What was counted after synthesis and after place and route.

    Raises:
        ToolError: if the tool is missing, fails or takes too long.
        StageError: if there is no RTL.
        DataError: if a report cannot be read.
    """
    _require(project / "project.tcl", "write the firmware project first (hls)")
    rtl = project / f"{_names(project)[0]}_prj" / "solution1" / "syn" / "verilog"
    _require(rtl, "run vitis_hls with the step csynth first")
    needs = ("synthesised", "routed") if target.implement else ("synthesised",)
    tool = _Tool(_VIVADO.name, _VIVADO.launchers, _VIVADO.results, needs)
    run = _Run(project, firmware, target, progress, runner)
    return run.report(tool, keep=(str(rtl.relative_to(project)),))


def _require(path: Path, remedy: str) -> None:
    if not path.exists():
        raise StageError(f"{path} is missing: {remedy}")


def _names(project: Path) -> tuple[str, str]:
    """Read the names of project and top from what hls4ml wrote for Tcl."""
    text = (project / "project.tcl").read_text()
    found = dict(re.findall(r"^set (\w+) \"?([^\"\n]+)", text, re.MULTILINE))
    name = found["project_name"]
    return name, f"{name}_axi" if found.get("backend") == "vivadoaccelerator" else name


@dataclass(frozen=True)
class _Run:
    """One run of one tool on one project."""

    project: Path
    firmware: FirmwareProject
    target: Target
    progress: Progress
    runner: Runner

    @property
    def part(self) -> str:
        return self.target.part or self.firmware.part

    def report(self, tool: _Tool, keep: tuple[str, ...]) -> SynthesisReport:
        """Run, read and check.

        Args:
            tool: Which.
            keep: Results of earlier steps that it reads.

        Returns:
            What its reports say.

        Raises:
            ToolError: if it is missing, fails or leaves no report.
        """
        name, top = _names(self.project)
        began = time.time() - 2  # some file systems keep whole seconds
        log = self.project / tool.log
        log.unlink(missing_ok=True)
        run = self._here if self.target.host is None else self._there
        status = run(tool, log, tuple(folder.format(name) for folder in keep))
        if status:
            said = explain([log])
            reason = said or f"exit status {status}, and no line of the log says why"
            raise ToolError(f"{tool.name} failed: {reason}; its log is {log}")
        counted = read_csim(log.read_text(errors="replace"), log)
        if not tool.needs:
            return counted
        read = read_folder(self.project, top, self.part, tool.needs, began)
        return join((read, counted))

    def _variables(self) -> dict[str, str]:
        return {
            "HAWQ_PART": self.part,
            "HAWQ_CLOCK_PERIOD": repr(self.target.clock_ns or self.firmware.clock_ns),
            "HAWQ_STEPS": " ".join(self.target.steps),
            "HAWQ_IMPLEMENT": str(int(self.target.implement)),
        }

    def _command(self, launcher: tuple[str, ...], script: str) -> list[str]:
        variables = [f"{name}={value}" for name, value in self._variables().items()]
        return ["env", *variables, *launcher, script]

    def _line(self, tool: str, line: str) -> None:
        """Pass on the steps that our scripts announce."""
        if step := re.match(r"hawq: step (.*)", line):
            steps = self.target.steps if step[1] in HLS_STEPS else VIVADO_STEPS
            done = steps.index(step[1]) / len(steps) if step[1] in steps else 0.0
            self.progress(f"{tool}: {step[1]}", done)

    def _here(self, tool: _Tool, log: Path, _keep: tuple[str, ...]) -> int:
        launcher = next((it for it in tool.launchers if shutil.which(it[0])), None)
        if launcher is None:
            names = ", ".join(launcher[0] for launcher in tool.launchers)
            raise ToolError(
                f"{tool.name}: none of these is on the PATH: {names}. {_GET}, or set "
                "target.host to a machine that has it"
            )
        script = str(shipped("tcl") / f"{tool.name}.tcl")
        command = self._command(launcher, script)
        line = partial(self._line, tool.name)
        return self.runner(command, self.project, log, self.target.limit_s, line)

    def _there(self, tool: _Tool, log: Path, keep: tuple[str, ...]) -> int:
        host = str(self.target.host)
        place = f"hawq-{uuid.uuid4().hex[:12]}"
        try:
            launcher = self._find(tool, host, place, log)
            self._send(host, place, tool, keep, log)
            tcl = f"../tcl/{tool.name}.tcl"
            command = shlex.join(self._command(launcher, tcl))
            limit = f"timeout -k 30 {self.target.limit_s:g} {command}"
            kept = "echo $! > ../pid; wait $!; s=$?; rm ../pid; exit $s"
            script = self._shell(f"cd {place}/project && {{ {limit} & {kept}; }}")
            line = partial(self._line, f"{tool.name} on {host}")
            limit_s = self.target.limit_s + 120
            status = self.runner(
                ("ssh", *SSH, host, script), self.project, log, limit_s, line
            )
            self._fetch(host, place, tool, log, needed=status == 0)
        finally:
            end = f"test -f {place}/pid && kill $(cat {place}/pid); rm -rf {place}"
            self._quiet(("ssh", *SSH, host, self._bash(end)), log)
        if status in (124, 137):
            raise ToolError(
                f"{tool.name} on {host} was ended after {self.target.limit_s:g} s, the "
                f"time limit: raise limit_s; what it printed is in {log}"
            )
        return status

    def _shell(self, script: str) -> str:
        """Give the host's command line, after the tools' setup."""
        setup = self.target.setup
        before = f"source {shlex.quote(setup)} && " if setup else ""
        return self._bash(before + script)

    @staticmethod
    def _bash(script: str) -> str:
        """Ask for bash, whatever the login shell: settings64.sh needs it."""
        return shlex.join(["bash", "-c", script])

    def _quiet(self, command: tuple[str, ...], log: Path) -> tuple[int, list[str]]:
        """Run a short command; what it prints is returned, and logged."""
        printed: list[str] = []
        limit_s = max(600, self.target.limit_s) if command[0] != "ssh" else 60
        status = self.runner(command, self.project, log, limit_s, printed.append)
        return status, printed

    def _find(self, tool: _Tool, host: str, place: str, log: Path) -> tuple[str, ...]:
        """Make the folder on the host and find the tool there."""
        names = [launcher[0] for launcher in tool.launchers]
        tests = " || ".join(f"command -v {name}" for name in names)
        script = f"mkdir -p {place}/tcl {place}/project && ({tests} || echo none)"
        command = ("ssh", *SSH, host, self._shell(script))
        status, printed = self._quiet(command, log)
        last = printed[-1].strip() if printed else ""
        if status:
            remedy = (
                "the host must be reachable with a key, without a question"
                if status == 255  # ssh's own failure
                else "a folder could not be made there, or target.setup does not run"
            )
            said = last or f"exit status {status}"
            raise ToolError(f"ssh {host} failed: {said}: {remedy}")
        found = [it for it in tool.launchers if Path(last).name == it[0]]
        if not found:
            raise ToolError(
                f"{host} has none of these on its PATH: {', '.join(names)}: set "
                "target.setup to the settings64.sh there"
            )
        return found[0]

    def _send(
        self, host: str, place: str, tool: _Tool, keep: tuple[str, ...], log: Path
    ) -> None:
        results = f"{_names(self.project)[0]}_prj"
        names = sorted(
            path.name
            for path in self.project.iterdir()
            if path.name not in (results, log.name, tool.results)
        )
        self._copy([*names], f"{host}:{place}/project/", log)
        for name in keep:
            parent = f"{place}/project/{Path(name).parent}"
            self._quiet(("ssh", *SSH, host, f"mkdir -p {parent}"), log)
            self._copy([name], f"{host}:{parent}/", log)
        scripts = sorted(shipped("tcl").glob("*.tcl"))
        self._copy([str(script) for script in scripts], f"{host}:{place}/tcl/", log)

    def _fetch(
        self, host: str, place: str, tool: _Tool, log: Path, needed: bool
    ) -> None:
        results = tool.results.format(_names(self.project)[0])
        self._copy([f"{host}:{place}/project/{results}"], "./", log, needed)

    def _copy(
        self, sources: list[str], to: str, log: Path, needed: bool = True
    ) -> None:
        """Copy with rsync where it is here, else with scp; times are not kept."""
        program: tuple[str, ...] = ("scp", "-r", "-q", *SSH)
        if shutil.which("rsync"):
            program = ("rsync", "-rlz", "-e", shlex.join(["ssh", *SSH]))
        status, printed = self._quiet((*program, *sources, to), log)
        if status and needed:
            last = printed[-1] if printed else "no message"
            raise ToolError(
                f"{program[0]} to or from {self.target.host} failed (exit status "
                f"{status}): {last}"
            )
