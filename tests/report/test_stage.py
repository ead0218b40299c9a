import json
from pathlib import Path

import numpy as np

from hawq.data.dataset import Dataset
from hawq.report.record import ReportRecord
from hawq.report.stage import Settings, run
from hawq.stage import StageContext


def context(
    inputs: dict[str, Path], root: Path, settings: Settings | None = None
) -> StageContext:
    folder = root / "toy" / "11-report.partial"
    folder.mkdir(parents=True)
    return StageContext(
        folder=folder, settings=settings or Settings(dpi=60), inputs=inputs, seed=7
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_runs_give_the_files_of_the_record_and_the_same_bytes(
    flow: dict[str, Path], tmp_path: Path
) -> None:
    inputs = {name: flow[name] for name in ("data", "allocation")}
    first, second = context(inputs, tmp_path / "a"), context(inputs, tmp_path / "b")
    record = run(first)
    assert run(second) == record
    expected = {"report.html", "report.json"}
    for png in record.figures.values():
        expected |= {png, png.replace(".png", ".pdf")}
    found = files(first.folder)
    assert found.keys() == expected
    assert found == files(second.folder)


def test_the_record(flow: dict[str, Path], tmp_path: Path) -> None:
    record = run(context({"data": flow["data"]}, tmp_path))
    assert (record.page, record.numbers) == ("report.html", "report.json")
    assert record.figures == {"features": "figures/features.png"}
    assert record.equal is None
    assert record.absent[0] == "model"
    record.save(tmp_path / "record.json")
    text = (tmp_path / "record.json").read_bytes()
    assert ReportRecord.model_validate_json(text) == record


def test_title_and_flow(flow: dict[str, Path], tmp_path: Path) -> None:
    only_data = {"data": flow["data"]}
    run(context(only_data, tmp_path / "a"))
    settings = Settings(title="Mine", dpi=60)
    run(context(only_data, tmp_path / "b", settings))
    plain, titled = (
        json.loads((tmp_path / name / "toy/11-report.partial/report.json").read_text())
        for name in "ab"
    )
    assert (plain["title"], plain["flow"]) == ("toy", "toy")
    assert (titled["title"], titled["flow"]) == ("Mine", "toy")


def test_real_jets_add_a_comparison(flow: dict[str, Path], tmp_path: Path) -> None:
    test = Dataset.read(flow["data"] / "validation.h5")
    path = tmp_path / "real.npz"
    np.savez(
        path,
        x=test.x,
        y=test.y,
        features=list(test.features),
        classes=list(test.classes),
    )
    given = context({"data": flow["data"]}, tmp_path, Settings(real_jets=path, dpi=60))
    record = run(given)
    assert {"features_real", "distances"} <= record.figures.keys()
    html = (given.folder / "report.html").read_text()
    assert "Generated against real" in html
    numbers = json.loads((given.folder / "report.json").read_text())
    assert numbers["spectra"]["real_jets"] == {"g": 100, "q": 100, "w": 100}


def test_progress_rises(flow: dict[str, Path], tmp_path: Path) -> None:
    seen: list[float] = []
    folder = tmp_path / "toy" / "partial"
    folder.mkdir(parents=True)
    run(
        StageContext(
            folder=folder,
            settings=Settings(dpi=60),
            inputs={"data": flow["data"]},
            progress=lambda what, fraction: seen.append(fraction),
        )
    )
    assert seen == sorted(seen)
    assert 0 <= seen[0] <= seen[-1] <= 1
