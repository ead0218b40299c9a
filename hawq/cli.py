"""The command line: flows, single stages, jets, and what is installed.

Heavy modules are imported when a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hawq import __version__
from hawq.data.variant import Variant
from hawq.errors import HawqError, InputError
from hawq.line import STAGES

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="hawq",
    help="From a trained network to firmware, with proof that the integers are equal.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help comes in half the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class _Voice:
    """How much is said, set once by the options before the command."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False


_voice = _Voice()


def main() -> None:
    """Run the command line."""
    app(prog_name="hawq")


@contextmanager
def _one_line() -> Iterator[None]:
    # Errors become one line on standard error and an exit status.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except HawqError as error:
        _fail(error, str(error), EXIT_ERROR)
    except ModuleNotFoundError as error:
        text = f"the Python package {error.name!r} is not installed: see `hawq doctor`"
        _fail(error, text, EXIT_ERROR)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(error, f"{where}{error.strerror or error}", EXIT_ERROR)
    except KeyboardInterrupt as error:
        text = "interrupted; what was finished is kept, run the same command to go on"
        _fail(error, text, EXIT_INTERRUPTED)


def _fail(error: BaseException, text: str, status: int) -> None:
    if _voice.debug:
        traceback.print_exception(error)
    parts = ["hawq", *getattr(error, "__notes__", ()), " ".join(text.split())]
    print(": ".join(parts), file=sys.stderr)
    raise typer.Exit(status)


def _version(asked: bool) -> None:
    if asked:
        print(f"hawq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show only results and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show log messages and warnings.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show it."),
    ] = False,
) -> None:
    _voice.debug, _voice.quiet, _voice.verbose = debug, quiet, verbose
    logging.captureWarnings(capture=True)
    logging.basicConfig(
        level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr
    )
    level = logging.INFO if verbose else logging.ERROR
    logging.getLogger().handlers[0].setLevel(level)


def _flow_names(incomplete: str) -> list[str]:
    from hawq.paths import shipped

    names = [path.stem for path in shipped("flows").glob("*.toml")]
    return sorted(name for name in names if name.startswith(incomplete))


def _stage_names(incomplete: str) -> list[str]:
    return [stage.name for stage in STAGES if stage.name.startswith(incomplete)]


def _optional_names(incomplete: str) -> list[str]:
    names = [stage.name for stage in STAGES if stage.optional]
    return [name for name in names if name.startswith(incomplete)]


FlowName = Annotated[
    str,
    typer.Argument(
        metavar="FLOW",
        help="A flow file, or the name of a shipped flow.",
        autocompletion=_flow_names,
    ),
]
More = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="STAGE",
        help="Run this optional stage too: rtl or synthesis.",
        autocompletion=_optional_names,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="TABLE.KEY=VALUE", help="Change a setting; a TOML value."
    ),
]
Workers = Annotated[
    int,
    typer.Option(min=1, help="Processes at once.", show_default="all processors"),
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler, as tcp://host:8786."),
]
Build = Annotated[Path, typer.Option("--build", help="Folder for the results.")]
Force = Annotated[bool, typer.Option("--force", help="Run unchanged stages again.")]
Repair = Annotated[bool, typer.Option("--repair", help="Run damaged stages again.")]
PROCESSORS = len(os.sched_getaffinity(0))


@app.command()
def run(
    flow: FlowName,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Run this stage and later ones again, even if unchanged.",
            autocompletion=_stage_names,
        ),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="STAGE",
            help="The last stage to run.",
            autocompletion=_stage_names,
        ),
    ] = None,
    more: More = None,
    overrides: Overrides = None,
    workers: Workers = PROCESSORS,
    cluster: Cluster = None,
    build: Build = Path("build"),
    force: Force = False,
    repair: Repair = False,
) -> None:
    """Run a flow; unchanged stages are not run again."""
    with _one_line():
        done = _build(
            flow,
            overrides,
            build,
            more or (),
            start=start,
            stop=stop,
            workers=workers,
            cluster=cluster,
            force=force,
            repair=repair,
        )
        print(f"up to date: {list(done.values())[-1]}")


def _build(
    flow_name: str,
    overrides: list[str] | None,
    root: Path,
    more: Iterable[str] = (),
    **options: Any,
) -> dict[str, Path]:
    from hawq.build import Options, build_flow, durations
    from hawq.flow import find, read
    from hawq.view import shown

    stop = options["stop"]
    wanted = (*more, stop) if stop else more
    flow = read(find(flow_name), overrides or (), wanted=tuple(wanted))
    last = flow.stage(stop).number if stop else STAGES[-1].number
    names = [stage.name for stage in flow.stages if stage.number <= last]
    before = durations(root / flow.name, flow.stages)
    with shown(names, before, quiet=_voice.quiet) as tell:
        return build_flow(flow, root, Options(**options), tell)


def _stage_command(name: str) -> Callable[..., None]:
    def command(
        flow: FlowName,
        overrides: Overrides = None,
        workers: Workers = PROCESSORS,
        cluster: Cluster = None,
        build: Build = Path("build"),
        force: Force = False,
        repair: Repair = False,
        more: More = None,
    ) -> None:
        with _one_line():
            done = _build(
                flow,
                overrides,
                build,
                more or (),
                start=name if force else None,
                stop=name,
                workers=workers,
                cluster=cluster,
                repair=repair,
            )
            from hawq.build import record
            from hawq.view import show_record

            show_record(name, record(done[name]))

    return command


for _stage in STAGES:
    if _stage.name != "csim":  # which takes network files too, see below
        app.command(
            _stage.name,
            help=f"{_stage.purpose}\n\nRuns the flow up to this stage.",
        )(_stage_command(_stage.name))

NetworkPath = Annotated[
    Path,
    typer.Argument(
        metavar="NETWORK",
        help="A .onnx, .h5 or .keras file, or a folder with network.py.",
    ),
]
DataPath = Annotated[
    Path | None,
    typer.Option("--data", metavar="X.npz", help="Samples: one array an input."),
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="TYPE",
        help="Quantize inputs that have no quantizer, as fixed<16,6>.",
    ),
]
Bits = Annotated[
    int, typer.Option(min=2, max=16, help="Width for a float PyTorch network.")
]
Target = Annotated[
    str, typer.Option(help="hls4ml's back end: Vitis, Vivado, Quartus, Catapult.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")]


@app.command()
def check(
    network: NetworkPath,
    data: DataPath = None,
    input_format: InputFormat = None,
    bits: Bits = 8,
    target: Target = "Vitis",
    json_: Json = False,
) -> None:
    """Say which rungs of the ladder can prove a network, and what stops the others."""
    with _one_line():
        from hawq.csim.prove import check_network
        from hawq.view import show_check

        found = check_network(_read(network, input_format, data, bits), target=target)
        if json_:
            print(found.model_dump_json(indent=1))
        else:
            show_check(found)


def _read(
    path: Path, input_format: str | None, data: Path | None = None, bits: int = 8
) -> Any:
    from hawq.fixed import FixedPoint
    from hawq.frontend.network import is_network, read_network

    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    samples = None
    if data is not None and is_network(path) and path.is_dir():
        from hawq.frontend.torch_folder import read_calibration

        samples = read_calibration(data)
    form = None if input_format is None else FixedPoint.parse(input_format)
    return read_network(path, input_format=form, data=samples, bits=bits)


@app.command()
def csim(
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW|NETWORK",
            help="A flow, or a .onnx, .h5 or .keras file, or a folder with network.py.",
            autocompletion=_flow_names,
        ),
    ],
    data: DataPath = None,
    input_format: InputFormat = None,
    bits: Bits = 8,
    target: Target = "Vitis",
    samples: Annotated[
        int, typer.Option(min=1, help="Of the data, for a network file.")
    ] = 1000,
    json_: Json = False,
    overrides: Overrides = None,
    workers: Workers = PROCESSORS,
    cluster: Cluster = None,
    build: Build = Path("build"),
    force: Force = False,
    repair: Repair = False,
) -> None:
    """Climb the ladder: prove that every rung computes equal integers.

    Runs a flow up to this stage, or proves a network that came as a file.
    """
    with _one_line():
        from hawq.frontend.network import is_network

        if not is_network(Path(flow)):
            _stage_command("csim")(
                flow, overrides, workers, cluster, build, force, repair
            )
            return
        network = _read(Path(flow), input_format, data, bits)
        _prove(network, data, build / "networks" / network.name, target, samples, json_)


def _prove(
    network: Any,
    data: Path | None,
    folder: Path,
    target: str,
    samples: int,
    as_json: bool,
) -> None:
    from hawq.csim.network import read_data
    from hawq.csim.prove import Climb, prove_network
    from hawq.frontend.network import Kind
    from hawq.integer.lower import lower_model
    from hawq.view import show_proof, shown_bar

    given = None if data is None else read_data(data, lower_model(network.model))
    if given and network.kind is Kind.PYTORCH:
        from hawq.frontend.torch_folder import standardised

        given = {name: standardised(network.path, x) for name, x in given.items()}
    climb = Climb(target=target, samples=samples)
    with shown_bar(network.name, quiet=_voice.quiet) as progress:
        proof = prove_network(network, given, folder, climb, progress)
    proof.save(folder / "proof.json")
    if as_json:
        print(proof.model_dump_json(indent=1))
    else:
        show_proof(proof)


@app.command()
def emulator(
    network: NetworkPath,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="To be written.")],
    name: Annotated[
        str | None, typer.Option(help="Of the library.", show_default="the file's")
    ] = None,
    version: Annotated[
        str, typer.Option(help="Of the network, in every symbol.")
    ] = "1",
    data: DataPath = None,
    input_format: InputFormat = None,
    bits: Bits = 8,
) -> None:
    """Write a C++ library that computes the network's integers, and compile it."""
    with _one_line():
        from hawq.csim.prove import identifier
        from hawq.emulator.library import compile_emulator
        from hawq.emulator.write import write_emulator
        from hawq.integer.lower import lower_model

        read = _read(network, input_format, data, bits)
        chosen = name or identifier(read.name)
        write_emulator(lower_model(read.model), output, name=chosen, version=version)
        print(f"written and compiled: {compile_emulator(output)}")


@app.command()
def convert(
    network: NetworkPath,
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="To be written.")],
    data: DataPath = None,
    input_format: InputFormat = None,
    bits: Bits = 8,
) -> None:
    """Write a network of any kind as QONNX."""
    with _one_line():
        import onnx

        from hawq.paths import atomic_file

        model = _read(network, input_format, data, bits).model
        with atomic_file(output) as temporary:
            onnx.save(model, str(temporary))
        print(output)


@app.command()
def backends(
    page: Annotated[
        Path | None,
        typer.Argument(metavar="PAGE.md", help="Write the table into this page."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help="Only this back end; may stand several times."),
    ] = None,
) -> None:
    """Try hls4ml's back ends: which give equal integers. Takes some minutes."""
    with _one_line():
        from tempfile import TemporaryDirectory

        from hawq.hls.matrix import run_matrix, table, write_table
        from hawq.hls.targets import TARGETS

        with TemporaryDirectory() as folder:
            cells = run_matrix(
                Path(folder),
                targets or tuple(TARGETS),
                progress=lambda what: print(what, file=sys.stderr),
            )
        if page is not None:
            write_table(page, cells)
        print(table(cells))


@app.command()
def show(
    flow: FlowName,
    build: Build = Path("build"),
    json_: Annotated[
        bool, typer.Option("--json", help="One JSON object, stage to record.")
    ] = False,
) -> None:
    """Show the records of a flow's finished stages."""
    with _one_line():
        import json

        from hawq.build import finished
        from hawq.flow import find, read

        found = read(find(flow))
        stages = [s for s in STAGES if s in found.stages or s.optional]
        records = finished(build / found.name, stages)
        if json_:
            print(json.dumps(records, indent=1))
            return
        from hawq.view import show_record

        for name, content in records.items():
            show_record(name, content)


@app.command()
def jets(
    output: Annotated[Path, typer.Argument(metavar="OUT.h5", help="File to write.")],
    per_class: Annotated[
        int, typer.Option("--jets", min=1, help="Jets of each class.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the whole run.")] = 1,
    variant: Annotated[
        Variant, typer.Option(help="Of the detector.")
    ] = Variant.DEFAULT,
    workers: Workers = PROCESSORS,
    cluster: Cluster = None,
) -> None:
    """Generate jets with Pythia; a killed run is taken up again."""
    with _one_line():
        from hawq.data.generate import generate_jets
        from hawq.view import shown_bar

        with shown_bar(output.name, quiet=_voice.quiet) as progress:
            generate_jets(
                output,
                per_class,
                seed=seed,
                variant=variant,
                workers=workers,
                cluster=cluster,
                progress=progress,
            )


@app.command("cost-model")
def cost_model(
    folder: Annotated[Path, typer.Argument(help="Folder for the results.")],
    network: Annotated[
        Path | None,
        typer.Option(help="Folder of a finished flow, whose layers are tested on too."),
    ] = None,
    layers: Annotated[int, typer.Option(min=8, help="Layers to fit to.")] = 72,
    held_out: Annotated[int, typer.Option(min=0, help="Layers to test on.")] = 24,
    convolutions: Annotated[int, typer.Option(min=0, help="The same, unrolled.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn layers.")] = 1,
    workers: Workers = PROCESSORS,
    cluster: Cluster = None,
) -> None:
    """Synthesise single layers and fit LUTs and delays to them; goes on if killed."""
    with _one_line():
        from hawq.synthesis.costs.fit import Settings, fit_costs, summary
        from hawq.view import shown_bar

        settings = Settings(
            network=network,
            layers=layers,
            held_out=held_out,
            convolutions=convolutions,
            seed=seed,
        )
        with shown_bar(folder.name, quiet=_voice.quiet) as progress:
            costs = fit_costs(
                settings, folder, workers=workers, cluster=cluster, progress=progress
            )
        print(summary(costs))
        print(f"laws: {folder / 'measured.json'}")


@app.command()
def flows() -> None:
    """List the shipped flows."""
    with _one_line():
        from hawq.flow import shipped_flows, title

        for name, path in shipped_flows().items():
            print(f"{name:<14} {title(path)}")


@app.command()
def doctor() -> None:
    """Say what is installed, what is missing, and how to get it."""
    with _one_line():
        _examine()


def _examine() -> None:
    from hawq.doctor import Health, examine
    from hawq.view import show_findings

    findings = examine()
    show_findings(findings)
    if any(finding.health is Health.MISSING for finding in findings):
        raise typer.Exit(EXIT_ERROR)
