"""The same jets in every layout of the field are read as the same data set."""

import gzip
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.dataset import Dataset
from hawq.data.readers import read_dataset
from hawq.errors import DataError, ToolError

UNGROOMED = ("zlogz", "multiplicity")
OPENML = tuple(f if f in UNGROOMED else f"{f}_mmdt" for f in FEATURES)
ONE_HOT = ("j_g", "j_q", "j_w", "j_z", "j_t")
# Of the 59 columns of the Zenodo files: some that are no features of ours, with the
# ungroomed twins that must not be taken for the groomed ones.
OTHERS = ("j_ptfrac", "j_pt", "j_mass", "j_c1_b0", "j_tau21_b1", "j_mass_trim")
ZENODO = (*OTHERS, *(f"j_{name}" for name in reversed(OPENML)), *ONE_HOT, "j_undef")

JETS = 45


@pytest.fixture
def jets() -> Dataset:
    rng = np.random.default_rng(5)
    x = rng.normal(1, 1, (JETS, 16)).astype(np.float32)
    y = rng.permutation(np.arange(JETS) % 5)
    return Dataset(x, y, FEATURES, CLASSES)


def _zenodo_columns(jets: Dataset) -> dict[str, np.ndarray]:
    columns = {name: np.full(len(jets), 99.0) for name in ZENODO}
    columns |= {f"j_{name}": jets.x[:, j] for j, name in enumerate(OPENML)}
    columns |= {
        f"j_{name}": (jets.y == j).astype(float) for j, name in enumerate(CLASSES)
    }
    return columns


def _write_zenodo(path: Path, jets: Dataset) -> None:
    columns = _zenodo_columns(jets)
    with h5py.File(path, "w") as file:
        file["jets"] = np.stack(list(columns.values()), axis=1)
        file["jetFeatureNames"] = np.array(list(columns), dtype="S")
        file["jetImage"] = np.zeros((len(jets), 4, 4))


def _write_structured(path: Path, jets: Dataset) -> None:
    columns = _zenodo_columns(jets)
    rows = np.rec.fromarrays(list(columns.values()), names=list(columns))
    with h5py.File(path, "w") as file:
        file.create_dataset("t_allpar_new", data=rows, chunks=(7,), compression="gzip")
        file["other"] = rows[["j_pt"]]


def _write_matrix(path: Path, jets: Dataset) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = jets.x, jets.y
        file["features"], file.attrs["classes"] = list(FEATURES), list(CLASSES)


def _arff(jets: Dataset) -> str:
    header = ["% LHC jets", "@RELATION hls4ml_lhc_jets_hlf", ""]
    header += [f"@ATTRIBUTE {name} REAL" for name in OPENML]
    header += ["@ATTRIBUTE class {g, q, w, z, t}", "", "@DATA"]
    rows = [
        ",".join([*map(repr, map(float, row)), CLASSES[label]])
        for row, label in zip(jets.x, jets.y, strict=True)
    ]
    return "\n".join([*header, *rows, ""])


def _write_arff(path: Path, jets: Dataset) -> None:
    path.write_text(_arff(jets))


def _write_arff_quoted(path: Path, jets: Dataset) -> None:
    text = _arff(jets).replace("@ATTRIBUTE class {g, q", "@attribute 'class' {'g', 'q'")
    text = text.replace("@ATTRIBUTE zlogz REAL", "@attribute\t'zlogz'\tnumeric")
    path.write_text(text.replace(",g\n", ",'g'\n% a comment\n\n"))


def _write_csv(path: Path, jets: Dataset) -> None:
    lines = ["# " + ";".join([*FEATURES, "label"])]
    lines += [
        ";".join([*map(repr, map(float, row)), f'"{CLASSES[label]}"'])
        for row, label in zip(jets.x, jets.y, strict=True)
    ]
    path.write_text("\n".join(lines))


def _write_csv_one_hot_gzipped(path: Path, jets: Dataset) -> None:
    columns = _zenodo_columns(jets)
    lines = [",".join(columns)]
    lines += [
        ",".join(map(repr, map(float, row)))
        for row in zip(*columns.values(), strict=True)
    ]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


def _write_parquet(path: Path, jets: Dataset) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {name: jets.x[:, j].astype(float) for j, name in enumerate(OPENML)}
    names = pyarrow.array([CLASSES[label] for label in jets.y])
    table = pyarrow.table({**columns, "class": names.dictionary_encode()})
    parquet.write_table(table, path, row_group_size=10)


def _write_root(path: Path, jets: Dataset) -> None:
    uproot = pytest.importorskip("uproot", reason="uproot is not installed")
    columns = _zenodo_columns(jets)
    with uproot.recreate(path) as file:
        tree = file.mktree("jets/t_allpar", dict.fromkeys(columns, "float32"))
        tree.extend({name: a.astype(np.float32) for name, a in columns.items()})


def _write_npz(path: Path, jets: Dataset) -> None:
    # Another order of features and classes, which the file declares.
    np.savez(
        path,
        x=jets.x[:, ::-1],
        y=(4 - jets.y).astype(np.int8),
        features=FEATURES[::-1],
        classes=CLASSES[::-1],
        notes=np.zeros(3),
    )


def _write_npz_one_hot(path: Path, jets: Dataset) -> None:
    np.savez(path, X=jets.x.astype(float), Y=np.eye(5)[jets.y])


def _write_npz_columns(path: Path, jets: Dataset) -> None:
    columns = {name: jets.x[:, j] for j, name in enumerate(FEATURES)}
    np.savez(path, **columns, target=np.array(CLASSES)[jets.y].astype("S"))


WRITERS = {
    "openml.arff": _write_arff,
    "quoted.arff": _write_arff_quoted,
    "openml.parquet": _write_parquet,
    "zenodo.h5": _write_zenodo,
    "pythia.z": _write_structured,
    "matrix.hdf5": _write_matrix,
    "tree.root": _write_root,
    "matrix.npz": _write_npz,
    "one_hot.npz": _write_npz_one_hot,
    "columns.npz": _write_npz_columns,
    "label.csv": _write_csv,
    "one_hot.csv.gz": _write_csv_one_hot_gzipped,
    "unknown_suffix.dat": _write_zenodo,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("chunk_rows", [7, 65_536])
def test_every_layout_gives_the_same_jets(
    name: str,
    chunk_rows: int,
    jets: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("table", "hdf5", "parquet", "root", "text"):
        monkeypatch.setattr(f"hawq.data.formats.{module}.CHUNK_ROWS", chunk_rows)
    WRITERS[name](tmp_path / name, jets)
    read = read_dataset(tmp_path / name, FEATURES, CLASSES)
    assert_array_equal(read.x, jets.x)
    assert_array_equal(read.y, jets.y)
    assert (read.features, read.classes) == (FEATURES, CLASSES)


def test_a_data_set_of_ours_is_read_too(jets: Dataset, tmp_path: Path) -> None:
    jets.save(tmp_path / "train.h5")
    assert read_dataset(tmp_path / "train.h5", FEATURES, CLASSES).digest == jets.digest


def test_features_in_another_order_and_classes_in_another_order(
    jets: Dataset, tmp_path: Path
) -> None:
    _write_zenodo(tmp_path / "jets.h5", jets)
    read = read_dataset(tmp_path / "jets.h5", ("mass", "zlogz"), CLASSES[::-1])
    assert_array_equal(read.x, jets.x[:, [14, 0]])
    assert_array_equal(read.y, 4 - jets.y)


def test_folder_is_read_in_natural_order(jets: Dataset, tmp_path: Path) -> None:
    pieces = np.split(np.arange(JETS), [20, 30])
    names = ("jetImage_2_100p.h5", "jetImage_9_100p.h5", "jetImage_10_100p.h5")
    for name, rows in zip(names, pieces, strict=True):
        _write_zenodo(tmp_path / name, jets.take(rows))
    (tmp_path / "README.txt").write_text("not data")
    read = read_dataset(tmp_path, FEATURES, CLASSES)
    assert_array_equal(read.x, jets.x)


def _refused(path: Path, message: str, **options: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(path, FEATURES, CLASSES, **options)


def test_nan_is_named_with_file_column_row_and_count(
    jets: Dataset, tmp_path: Path
) -> None:
    columns = _zenodo_columns(jets)
    columns["j_mass_mmdt"] = columns["j_mass_mmdt"].copy()
    columns["j_mass_mmdt"][[11, 30]] = np.nan
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["jets"] = np.stack(list(columns.values()), axis=1)
        file["jetFeatureNames"] = np.array(list(columns), dtype="S")
    message = (
        r"^.*/jets\.h5: not a finite float32: 'mass' in 2 rows, first in row 11 "
        r"\(nan\) \(rows count from 0\): remove or mend these rows$"
    )
    _refused(tmp_path / "jets.h5", message)


def test_missing_columns(jets: Dataset, tmp_path: Path) -> None:
    columns = {name: jets.x[:, j] for j, name in enumerate(FEATURES[:-2])}
    np.savez(tmp_path / "jets.npz", **columns, y=jets.y, masss=jets.x[:, 14])
    message = (
        r"^.*/jets\.npz: no column for 'mass' \(is it 'masss'\?\), 'multiplicity'\. "
        r"The file's columns: zlogz, .*, masss$"
    )
    _refused(tmp_path / "jets.npz", message)


@pytest.mark.parametrize("width", [15, 17])
def test_unnamed_columns_of_the_wrong_number(width: int, tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.zeros((5, width)), y=np.arange(5))
    message = (
        rf"^.*/jets\.npz: x has {width} columns without names, expected 16: zlogz, .*, "
        r"multiplicity\. Store their names as `features`$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_class_without_jets(jets: Dataset, tmp_path: Path) -> None:
    few = jets.take(np.flatnonzero(jets.y != 3))
    _write_arff(tmp_path / "jets.arff", few)
    message = (
        r"^.*/jets\.arff has no samples of class 'w' \(it has 9 g, 9 q, 9 t, 0 w, 9 "
        r"z\): add some, or leave the class out of `classes`$"
    )
    _refused(tmp_path / "jets.arff", message)


def test_no_label(jets: Dataset, tmp_path: Path) -> None:
    columns = {name: jets.x[:, j] for j, name in enumerate(FEATURES)}
    np.savez(tmp_path / "jets.npz", **columns, j_g=jets.y, j_t=jets.y)
    message = (
        r"^.*/jets\.npz: which class is a jet of\? Expected one column named class, "
        r"label, target, truth, y \(found: none\), or one-hot columns \(missing: j_q, "
        r"j_w, j_z\)$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_unknown_class(jets: Dataset, tmp_path: Path) -> None:
    _write_csv(tmp_path / "jets.csv", jets)
    text = (tmp_path / "jets.csv").read_text().replace('"z"', '"b"')
    (tmp_path / "jets.csv").write_text(text)
    row = int(np.flatnonzero(jets.y == 4)[0])
    message = (
        rf"^.*/jets\.csv: unknown class 'b' in row {row} \(9 such rows\): expected g, "
        r"q, t, w, z, or the index of one of g, q, t, w, z$"
    )
    _refused(tmp_path / "jets.csv", message)


@pytest.mark.parametrize("label", [5.0, -1.0, 0.5, np.nan])
def test_index_of_no_class(label: float, tmp_path: Path) -> None:
    y = np.array([0, 1, 2, label, 4])
    np.savez(tmp_path / "jets.npz", x=np.zeros((5, 16)), y=y)
    message = rf"^.*/jets\.npz: unknown class {label} in row 3 \(1 such rows\): .*$"
    _refused(tmp_path / "jets.npz", message)


@pytest.mark.parametrize(("g", "q"), [(0, 0), (1, 1), (0.5, 0.5), (np.nan, 1)])
def test_row_of_several_classes_or_none(
    g: float, q: float, jets: Dataset, tmp_path: Path
) -> None:
    columns = _zenodo_columns(jets)
    for name in ONE_HOT:
        columns[name][17] = {"j_g": g, "j_q": q}.get(name, 0)
    np.savez(tmp_path / "jets.npz", **columns)
    message = (
        rf"^.*/jets\.npz: the one-hot columns of row 17 are g {g}, q {q}, t 0, w 0, "
        r"z 0 \(1 such rows\): expected a single 1, the rest 0$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_text_where_a_number_is_expected(jets: Dataset, tmp_path: Path) -> None:
    columns = {name: jets.x[:, j].astype("U") for j, name in enumerate(FEATURES)}
    columns["mass"][8] = "heavy"
    np.savez(tmp_path / "jets.npz", **columns, y=jets.y)
    message = (
        r"^.*/jets\.npz: 'heavy' in column 'mass', row 8 \(rows count from 0\): "
        r"expected a number$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_no_such_file(tmp_path: Path) -> None:
    _refused(tmp_path / "jets.h5", r"^.*/jets\.h5: no such file or folder$")


def test_folder_without_data(tmp_path: Path) -> None:
    message = r"^.*: no data file in it \(known: \.arff, \.csv, .*, \.z\)$"
    _refused(tmp_path, message)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "jets.csv").touch()
    message = r"^.*/jets\.csv: empty: expected a header that names the columns$"
    _refused(tmp_path / "jets.csv", message)


def test_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "jets.npy", np.zeros((5, 16)))
    message = (
        r"^.*/jets\.npy: a single array: save features and labels together with "
        r"np\.savez\(path, x=x, y=y, features=\[\.\.\.\], classes=\[\.\.\.\]\)$"
    )
    _refused(tmp_path / "jets.npy", message)


def test_archive(tmp_path: Path) -> None:
    path = tmp_path / "hls4ml_LHCjet_100p_train.tar.gz"
    path.write_bytes(gzip.compress(b"content"))
    _refused(path, r"^.*tar\.gz: an archive: unpack it and give the folder$")


def test_unknown_binary(tmp_path: Path) -> None:
    (tmp_path / "jets.bin").write_bytes(b"\x01\x02\x00\x03")
    message = r"^.*/jets\.bin: unknown format \(known: \.arff, .*\)$"
    _refused(tmp_path / "jets.bin", message)


@pytest.mark.parametrize(
    ("library", "write", "name"),
    [("uproot", _write_root, "jets.root"), ("pyarrow", _write_parquet, "jets.parquet")],
)
def test_missing_library(
    library: str,
    write: Callable[[Path, Dataset], None],
    name: str,
    jets: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / name, jets)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    message = (
        rf"^.*/{name} needs {library}, which is not installed: pip install "
        r"'hawq\[readers\]'$"
    )
    with pytest.raises(ToolError, match=message):
        read_dataset(tmp_path / name, FEATURES, CLASSES)
