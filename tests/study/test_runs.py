"""Configurations, whole runs on digits in a checkout of their own, and the table that they make."""

import csv
import json
import math
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from companion.study.config import METHODS, RunConfig
from companion.study.images import load_images
from companion.study.names import label_of
from companion.study.networks import load_codes
from companion.study.results import (
    COLUMNS,
    Measured,
    RunRow,
    collect,
    load_epochs,
    load_float_weights,
    load_network,
    load_results,
)
from companion.study.run import execute, finished_alike
from companion.study.train import evaluate
from companion.study.zoo import build_model
from twofold.layer import weight_layers

pytestmark = pytest.mark.usefixtures("one_thread")

CHECKOUT = Path(__file__).parents[2]
DIGITS = {"network": "digits-net", "dataset": "digits"}


def write(path: Path, **values) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def config(run="try", method="dense", **values) -> RunConfig:
    return RunConfig(**{"run": run, "method": method, "epochs": 2, **DIGITS, **values})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ---- configurations ----


def test_yaml_round_trip(tmp_path):
    ours = config(
        method="twofold",
        sparsity=0.5,
        strength=62.5,
        learning_rate=1e-5,
        prune_epoch=1,
        init="dense",
        held_out=True,
    )
    path = tmp_path / "config.yml"
    path.write_text(ours.to_yaml(), encoding="utf-8")
    assert set(yaml.safe_load(ours.to_yaml())) == set(RunConfig.model_fields)
    assert RunConfig.from_yaml(path) == ours


def test_whole_numbers_do_for_real_ones(tmp_path):
    path = write(tmp_path / "a.yml", run="a", method="bits", epochs=3, strength=60)
    assert RunConfig.from_yaml(path) == RunConfig(run="a", method="bits", epochs=3, strength=60.0)


BASE = {"run": "a", "method": "twofold", "epochs": 3, "sparsity": 0.5, "strength": 60.0, **DIGITS}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"color": "red"}, "unknown color; known are epochs, batch_size"),
        ({"epochs": None}, r"epochs is None; it must be int"),
        ({"epochs": "three"}, "epochs is 'three'; it must be int"),
        ({"epochs": 2.5}, "epochs is 2.5; it must be int"),
        ({"epochs": True}, "epochs is True; it must be int"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        (
            {"learning_rate": "1e-3"},
            "learning_rate is '1e-3'; it must be float; YAML wants 1e-3 written as 1.0e-3",
        ),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"sparsity": math.nan}, r"sparsity is nan; it must lie in \[0, 1\)"),
        ({"sparsity": 1.0}, "sparsity is 1.0; it must lie"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"sparsity": "half"}, "sparsity is 'half'; it must be float"),
        ({"sparsity": True}, "sparsity is True; it must be float"),
        ({"strength": math.inf}, "strength is inf"),
        ({"strength": -1}, "strength is -1.0"),
        ({"held_out": "maybe"}, "held_out is 'maybe'; it must be bool"),
        ({"seed": -1}, "seed is -1"),
        ({"bits": 1}, "bits is 1, allowed are 2..16"),
        ({"ramp": 0.0}, "ramp is 0.0"),
        ({"penalty_ramp": 1.5, "bit_term": "planes"}, "penalty_ramp is 1.5"),
        ({"penalty_ramp": 0.5}, "penalty_ramp is 0.5, but there is no penalty to rise"),
        ({"plane_rate": 101.0, "bit_term": "planes"}, r"plane_rate is 101.0; it must lie in \[0, 100\]"),
        ({"plane_rate": 1.0}, "plane_rate is 1.0, but method 'twofold' with bit_term 'energy' trains no bit"),
        ({"clip_ratio": 0.0}, r"clip_ratio is 0.0; it must be a multiple of the largest weight in \(0, 4\]"),
        (
            {"clip_ratio": 0.5, "bit_term": "planes"},
            "clip_ratio is 0.5, but method 'twofold' with bit_term 'planes'",
        ),
        ({"scale": "row"}, "scale is 'row'; it must be one of layer, channel"),
        (
            {"method": "dense", "sparsity": 0.0, "strength": 0.0, "scale": "channel"},
            "scale is 'channel', but method 'dense' has no codes",
        ),
        ({"prune_epoch": 3}, r"prune_epoch is 3; it must lie in \[0, 3\)"),
        ({"prune_epoch": -1}, "prune_epoch is -1"),
        ({"run": 50}, "run is 50; it must be str"),
        ({"run": "../data"}, "run is '../data'; a name has up to 100 letters"),
        ({"run": ".hidden"}, "run is '.hidden'"),
        ({"run": ""}, "run is ''"),
        ({"init": 3}, r"init is 3; it must be str \| None"),
        ({"method": "both"}, "method is 'both'; it must be one of dense, dense-8bit, rounded, lfsr"),
        ({"network": "vgg"}, "network is 'vgg'; it must be one of resnet20"),
        ({"dataset": "mnist"}, "dataset is 'mnist'; it must be one of cifar10, digits"),
        ({"encoding": "gray"}, "encoding is 'gray'; it must be one of twos_complement"),
        ({"density_rule": "best"}, "density_rule is 'best'"),
        ({"bit_term": "l1"}, "bit_term is 'l1'"),
        ({"polarity": "both"}, "polarity is 'both'"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"sparsity": 0.0}, "sparsity is 0.0, but method 'twofold' needs one above 0"),
        ({"strength": 0.0}, "strength is 0.0, but method 'twofold' needs one above 0"),
        ({"method": "lfsr"}, "strength is 60.0, but method 'lfsr' takes none"),
        ({"method": "bits"}, "sparsity is 0.5, but method 'bits' takes none"),
        ({"method": "dense"}, "sparsity is 0.5, but method 'dense' takes none"),
        ({"method": "dense-8bit", "bits": 4}, "bits is 4, but .* 'dense-8bit' has 8; take method 'rounded'"),
        ({"network_strength": 0.1}, r"network_strength is 0.1, .* prune_epoch above 0 \(here 0\)"),
        (
            {"method": "bits", "sparsity": 0.0, "network_strength": 0.1, "prune_epoch": 1},
            r"network_strength is 0.1, .* a mask \(here 'bits'\)",
        ),
        ({"distillation": 0.5}, "distillation is 0.5, but init names no run as the teacher"),
        ({"dataset": "cifar10"}, "network 'digits-net' takes images of 8x8, not those of 'cifar10'"),
    ],
)
def test_bad_configurations_are_refused_with_the_file_and_the_value(tmp_path, changes, message):
    path = write(tmp_path / "bad.yml", **(BASE | changes))
    with pytest.raises(ValueError, match=rf"bad\.yml: {message}") as error:
        RunConfig.from_yaml(path)
    assert "\n" not in str(error.value)


def test_missing_keys_are_named(tmp_path):
    path = write(tmp_path / "bad.yml", method="dense")
    with pytest.raises(ValueError, match=r"bad\.yml: epochs, run is missing"):
        RunConfig.from_yaml(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds NoneType, not keys with values"),
        ("- run\n- method\n", "holds list, not keys with values"),
        ("run: [a\nmethod: dense", "is no readable YAML: while parsing a flow sequence"),
        ("run: a\n\tmethod: dense", "is no readable YAML: while scanning for the next token"),
        ("1: 2\n", "unknown 1; known are"),
    ],
)
def test_files_that_are_no_configuration_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad\.yml:? {message}") as error:
        RunConfig.from_yaml(path)
    assert "\n" not in str(error.value)


# ---- whole runs ----

RUNS = {
    "dense": {},
    "lfsr": {"init": "dense", "sparsity": 0.5},
    "bits": {"init": "dense", "strength": 60.0},
    "twofold": {"init": "dense", "sparsity": 0.9, "strength": 60.0, "distillation": 0.5},
    "magnitude": {"init": "dense", "sparsity": 0.75, "density_rule": "erk", "prune_epoch": 1, "seed": 2},
}


TABLE = CHECKOUT / "src" / "twofold" / "tables" / "rram_2bit_cell.csv"


def cell_energy_j(folder: Path, table: Path = TABLE) -> tuple[float, int, int]:
    """Joules, kept weights and zero codes of a run, from its files: codes as text, cells as pairs of bits."""
    with table.open() as f:
        picojoules = {row["entry"]: float(row["energy"]) for row in csv.DictReader(f)}
    energy, kept, zeros = 0.0, 0, 0
    for layer in load_codes(folder / "codes.safetensors").layers.values():
        for code, keep in zip(layer.codes.flatten().tolist(), layer.keep.flatten().tolist(), strict=True):
            if keep:
                word = format(code % 256, "08b")
                energy += sum(picojoules[word[i : i + 2]] for i in range(0, 8, 2))
                kept += 1
                zeros += code == 0
    return energy * 1e-12, kept, zeros


def test_runs_of_five_methods_make_one_table(repository):
    for method, values in RUNS.items():
        folder = execute(config(method, method, epochs=3, **values), progress_bar=False)
        assert folder == repository / "data" / "results" / method
        weights = "weights" if method == "dense" else "codes"
        assert set(contents(folder)) == {"config.yml", "run.json", "epochs.csv", f"{weights}.safetensors"}
        assert RunConfig.from_yaml(folder / "config.yml") == config(method, method, epochs=3, **values)
    table = collect()
    assert [*table] == [*COLUMNS]
    table = table.set_index("run")
    assert set(table.experiment) == {"own"}
    epochs = load_epochs()
    assert sorted(table.index) == sorted(RUNS)
    assert (table.results_version == 2).all()

    for method, values in RUNS.items():
        row, folder = table.loc[method], repository / "data" / "results" / method
        _, test = load_images("digits")
        curve = epochs[epochs.run == method]
        assert curve.epoch.tolist() == [1, 2, 3]
        assert row.test_accuracy == pytest.approx(curve.test_accuracy.iloc[-1])
        assert row.sparsity == values.get("sparsity", 0)
        assert row.strength == values.get("strength", 0)
        assert row.label == label_of(config(method, method, epochs=3, **values))
        if method == "dense":
            model = build_model("digits-net", 10, 1)
            model.load_state_dict(load_file(folder / "weights.safetensors"))
            assert row.bits == 32
            assert row.kept_weights == 15_192
            assert math.isnan(row.cell_energy_j) and math.isnan(row.zero_codes)
        else:
            network = load_codes(folder / "codes.safetensors")
            model = network.build()
            energy_j, kept, zeros = cell_energy_j(folder)
            assert row.cell_energy_j == pytest.approx(energy_j, rel=1e-5)  # six digits in the table
            assert row.kept_weights == kept
            assert row.zero_codes == pytest.approx(zeros / kept, rel=1e-5)
            size = sum(layer.weight.numel() for layer in weight_layers(model).values())
            assert kept == pytest.approx((1 - row.sparsity) * size, abs=2)
            assert set(network.activity) == set(network.layers)
            assert abs(row.test_accuracy_w8a8 - row.test_accuracy) < 5
        assert row.test_accuracy == pytest.approx(evaluate(model, test), rel=1e-5)
    assert table.accuracy_before_pruning.notna().to_dict() == {m: m == "magnitude" for m in table.index}
    energy_a_weight_j = table.cell_energy_j / table.kept_weights
    assert energy_a_weight_j["bits"] < 0.8 * energy_a_weight_j["lfsr"]

    before = contents(repository / "data" / "results")
    assert collect().set_index("run").equals(table)
    assert contents(repository / "data" / "results") == before
    assert json.loads(before["twofold/run.json"])["versions"]["torch"] == version("torch")


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(RUNS)))
def test_every_other_method_runs_too(repository, method):
    mask, has_bit_term = METHODS[method]
    values = {"sparsity": 0.5} if mask else {}
    values |= {"strength": 60.0} if has_bit_term else {}
    folder = execute(config("try", method, epochs=1, **values), progress_bar=False)
    result = json.loads((folder / "run.json").read_text())["result"]
    energy_j, kept, _ = cell_energy_j(folder)
    assert result["cell_energy_j"] == pytest.approx(energy_j, rel=1e-9)
    assert result["kept_weights"] == kept


def test_a_run_is_priced_with_the_cells_that_its_configuration_names(repository, tmp_path):
    """With the cells' prices in reverse, so that zeros are the dearest."""
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    prices = [row["energy"] for row in rows if row["entry"] != "ADC"]
    for row in rows:
        row["energy"] = prices.pop() if prices else row["energy"]
    own = tmp_path / "reversed.csv"
    pd.DataFrame(rows).to_csv(own, index=False)
    folder = execute(config(method="bits", strength=60.0, energy_table=str(own)), progress_bar=False)
    measured = json.loads((folder / "run.json").read_text())["result"]["cell_energy_j"]
    assert measured == pytest.approx(cell_energy_j(folder, own)[0], rel=1e-9)
    assert measured != pytest.approx(cell_energy_j(folder)[0], rel=0.1)


def test_a_run_on_held_out_images_leaves_its_numbers_and_no_codes(repository):
    folder = execute(config(method="bits", strength=60.0, held_out=True), progress_bar=False)
    assert set(contents(folder)) == {"config.yml", "run.json", "epochs.csv"}
    row = collect().iloc[0]
    assert row.held_out and row.cell_energy_j > 0 and row.test_accuracy_w8a8 > 10


def test_a_finished_run_is_left_alone(repository):
    folder = execute(config(), progress_bar=False)
    before = contents(repository)
    assert execute(config(), progress_bar=False) == folder
    with pytest.raises(
        ValueError, match=r"try holds a finished run of another configuration; choose another"
    ):
        execute(config(epochs=3), progress_bar=False)
    assert contents(repository) == before


def stop_before_the_results(config: RunConfig, repository: Path) -> None:
    """Train, and fail at a file that lies where the results are put together."""
    obstacle = repository / "data" / "results" / f".{config.run}.partial"
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.touch()
    with pytest.raises(OSError, match="could not be written"):
        execute(config, progress_bar=False)
    obstacle.unlink()


def test_a_removed_run_is_trained_again_and_not_taken_from_its_checkpoint(repository, monkeypatch):
    monkeypatch.setenv("TWOFOLD_COMMIT", "first")
    folder = execute(config(), progress_bar=False)
    assert {p.name for p in (repository / "runs" / "try").iterdir()} == {"lock"}
    first = json.loads((folder / "run.json").read_text())
    shutil.rmtree(folder)
    monkeypatch.setenv("TWOFOLD_COMMIT", "second")
    again = json.loads((execute(config(seed=2), progress_bar=False) / "run.json").read_text())
    assert (first["result"]["commit"], again["result"]["commit"]) == ("first", "second")
    assert "note" not in first and "note" not in again


def test_a_run_that_goes_on_with_another_commit_says_so(repository, monkeypatch):
    """And what a kill leaves behind the results is cleared away by the next call."""
    monkeypatch.setenv("TWOFOLD_COMMIT", "first")
    stop_before_the_results(config(), repository)
    work = repository / "runs" / "try"
    left = {p.name: p.read_bytes() for p in work.iterdir()}
    monkeypatch.setenv("TWOFOLD_COMMIT", "second")
    folder = execute(config(), progress_bar=False)
    note = json.loads((folder / "run.json").read_text())["note"]
    assert note.startswith("Trained in parts: ")
    assert [part.split("commit ")[1] for part in note.rstrip(".").split("; then ")] == ["first", "second"]
    for name, content in left.items():
        (work / name).write_bytes(content)
    execute(config(), progress_bar=False)
    assert {p.name for p in work.iterdir()} == {"lock"}


def test_a_half_finished_run_of_another_configuration_is_left_alone(repository):
    """The same recipe, another strength: the checkpoint would load, and the row would lie."""
    weak = config(method="bits", strength=10.0)
    stop_before_the_results(weak, repository)
    before = contents(repository)
    with pytest.raises(
        ValueError, match="try holds a half-finished run of another configuration; move it away"
    ):
        execute(config(method="bits", strength=250.0), progress_bar=False)
    assert contents(repository) == before
    execute(weak, progress_bar=False)


def test_a_second_process_on_a_run_is_refused(repository):
    work = repository / "runs" / "try"
    work.mkdir(parents=True)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, pathlib\n"
            "lock = pathlib.Path(sys.argv[1]).open('w')\n"
            "fcntl.flock(lock, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()",
            str(work / "lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match=r"another process is working on .*try; wait for it"):
        execute(config(), progress_bar=False)
    assert list(work.iterdir()) == [work / "lock"]
    holder.communicate("")
    assert execute(config(), progress_bar=False).is_dir()


def test_a_start_without_its_weights_is_refused(repository):
    with pytest.raises(
        FileNotFoundError, match=r"try starts from dense, whose weights are not there: .*weights\.safe"
    ):
        execute(config(method="lfsr", sparsity=0.5, init="dense"), progress_bar=False)
    assert not (repository / "data" / "results").exists()


def test_layers_that_are_not_pruned_need_no_start(repository):
    """ERK with nothing removed keeps every weight."""
    folder = execute(config(method="bits", strength=60.0, density_rule="erk"), progress_bar=False)
    assert all(bool(layer.keep.all()) for layer in load_codes(folder / "codes.safetensors").layers.values())


# ---- the table ----


def test_no_table_and_no_runs(repository):
    with pytest.raises(FileNotFoundError, match="no codes of a run 'dense'; there are those of none"):
        load_network("dense")
    with pytest.raises(FileNotFoundError, match="no weights of a run 'lfsr'; there are those of none"):
        load_float_weights("lfsr")
    with pytest.raises(FileNotFoundError, match="no finished run under"):
        collect()
    with pytest.raises(
        FileNotFoundError, match=r"no results table at .*runs\.csv; `twofold collect` makes one"
    ):
        load_results()


@pytest.mark.parametrize(
    "text, message",
    [
        ("results_version,run\n1,a\n", "has results version 1; this library reads version 2"),
        ("results_version,run\n2,a\n0,b\n", "has results version 0"),
        ("results_version,run\n,a\n", "has results version nan"),
        ("run,method\na,dense\n", "is no results table: it has no column results_version"),
        ("", "is no readable CSV"),
        ('results_version,run\n2,"a\n', "is no readable CSV"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    for load in (load_results, load_epochs):
        with pytest.raises(ValueError, match=rf"runs\.csv {message}"):
            load(path)


MEASURED = {
    "test_accuracy": 91.0,
    "kept_weights": 10,
    "cell_energy_j": 7.7518e-7,
    "minutes": 1.5,
    "device": "a",
    "threads": 1,
    "commit": "123456789012",
    "finished": "2026-01-01T00:00:00+00:00",
}


def row_of(config: RunConfig, **changes) -> dict:
    return RunRow(config=config, measured=Measured(**MEASURED)).columns() | changes


def test_a_table_keeps_its_numbers_and_its_text(tmp_path):
    ours = config(method="bits", strength=61.2345678912345, learning_rate=1e-5)
    path = tmp_path / "runs.csv"
    pd.DataFrame([row_of(ours)]).to_csv(path, index=False)
    (row,) = load_results(path).to_dict("records")
    assert row["cell_energy_j"] == 7.7518e-7
    assert row["commit"] == "123456789012"  # a commit without a letter is no number
    assert RunRow.from_columns(row).config == ours


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sparsity": 1.5}, r", run try: sparsity is 1\.5; it must lie in \[0, 1\)"),
        ({"method": "lfsr"}, ", run try: sparsity is 0.0, but method 'lfsr' needs one above 0"),
        ({"epochs": "two"}, ", run try: epochs is 'two'; it must be int"),
        ({"kept_weights": None}, ", run try: kept_weights is None; it must be int"),
        ({"color": "red"}, " is no results table: it has a column color"),
    ],
)
def test_a_row_that_no_run_can_have_is_refused(tmp_path, changes, message):
    path = tmp_path / "runs.csv"
    pd.DataFrame([row_of(config(method="bits", strength=60.0), **changes)]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"runs\.csv{message}"):
        load_results(path)


def test_a_run_of_another_version_is_not_collected(repository):
    folder = execute(config(epochs=1), progress_bar=False)
    collect()
    before = contents(repository / "data" / "results")
    sidecar = json.loads((folder / "run.json").read_text())
    for broken, message in (
        (json.dumps(sidecar | {"results_version": 1}), "has results version 1; this library reads version 2"),
        (json.dumps({"results_version": 2}), "holds no result of a run"),
        (
            json.dumps(sidecar | {"result": sidecar["result"] | {"minutes": "3"}}),
            "holds no result of a run: minutes is '3'; it must be float",
        ),
        ("{", "is no readable JSON"),
    ):
        (folder / "run.json").write_text(broken)
        with pytest.raises(ValueError, match=rf"run\.json {message}"):
            collect()
    (folder / "run.json").write_text(json.dumps(sidecar, indent=1) + "\n")
    assert contents(repository / "data" / "results") == before


def test_a_finished_run_is_found_by_its_configuration(repository):
    execute(config("first"), progress_bar=False)
    assert finished_alike(config("another")) == ["first"]
    assert finished_alike(config("another", seed=2)) == []
