"""The plan, and Snakemake that carries it out, also after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from companion.study.config import METHODS, RunConfig
from companion.study.plan import EXPERIMENTS, OWN, PLAN, chosen, experiment_of

CHECKOUT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")

needs_snakemake = pytest.mark.skipif(
    not SNAKEMAKE.exists(), reason='Snakemake is not installed (pip install -e ".[study]")'
)


# ---- the plan ----


def test_each_run_is_in_one_experiment_and_starts_from_an_earlier_one():
    names = [run.run for experiment in EXPERIMENTS for run in experiment.runs]
    assert names == [*PLAN]  # none twice
    for place, (name, run) in enumerate(PLAN.items()):
        assert run.init is None or run.init in names[:place], name
    for experiment in EXPERIMENTS:
        assert experiment.question.endswith("?")
        assert {experiment_of(run) for run in experiment.runs} == {experiment.name}


def test_a_run_of_a_planned_name_and_another_configuration_is_no_run_of_the_plan():
    run = PLAN["lfsr-r50-s1"]
    assert experiment_of(run.replaced(run="mine")) == experiment_of(run.replaced(epochs=13)) == OWN


def test_every_method_is_in_the_plan_and_every_fine_tuned_run_has_a_control_of_its_training():
    """A run with a bit term has one without, of the same masks, removed share, loss, epochs and start."""
    compared = [run for run in PLAN.values() if not run.held_out]
    assert {run.method for run in compared} == set(METHODS)
    training = (
        "network",
        "init",
        "epochs",
        "distillation",
        "precision",
        "generator",
        "sparsity",
        "density_rule",
    )
    plain = {
        tuple(getattr(run, name) for name in training)
        for run in compared
        if run.method in ("dense-8bit", "lfsr", "magnitude")
    }
    for run in compared:
        if METHODS[run.method][1] and run.network == "resnet20":
            assert tuple(getattr(run, name) for name in training) in plain, run.run


def test_what_is_chosen_on_held_out_images_starts_from_a_network_that_never_saw_them():
    held_out = {run.run for run in PLAN.values() if run.held_out}
    assert held_out
    for run in PLAN.values():
        assert (run.init in held_out) == (run.run in held_out and run.method != "dense")


def test_finished_runs_of_planned_names_are_those_of_the_plan():
    for record in sorted((CHECKOUT / "data" / "results").glob("*/config.yml")):
        assert RunConfig.from_yaml(record) == PLAN[record.parent.name]


def test_a_word_is_a_name_of_the_plan_or_a_file(tmp_path):
    assert chosen("lfsr-r50-s1") == PLAN["lfsr-r50-s1"]
    mine = PLAN["lfsr-r50-s1"].replaced(run="mine")
    (tmp_path / "mine.yml").write_text(mine.to_yaml(), encoding="utf-8")
    assert chosen(str(tmp_path / "mine.yml")) == mine
    with pytest.raises(ValueError, match=r"'lfsr-50-s1' is no file, .* of that name; it has lfsr-r50-s1, "):
        chosen("lfsr-50-s1")


# ---- Snakemake ----

SHARED = {"network": "digits-net", "dataset": "digits", "seed": 1, "epochs": 12, "batch_size": 32}
DIGITS = (
    RunConfig(run="start", method="dense", **SHARED),
    RunConfig(run="plain", method="dense-8bit", init="start", **SHARED),
    RunConfig(run="both", method="twofold", init="start", sparsity=0.5, strength=60.0, **SHARED),
)
RUNS = f"runs={' '.join(f'{run.run}.yml' for run in DIGITS)}"


def study_folder(path: Path) -> Path:
    """A checkout with three runs on the digits, and the real Snakefile and profile."""
    (path / "book").mkdir(parents=True)
    shutil.copyfile(CHECKOUT / "book" / "_toc.yml", path / "book" / "_toc.yml")
    shutil.copytree(CHECKOUT / "workflow", path / "workflow")
    for run in DIGITS:
        (path / f"{run.run}.yml").write_text(run.to_yaml(), encoding="utf-8")
    return path


def snakemake(folder: Path, *words: str) -> subprocess.Popen:
    environment = os.environ | {
        "TWOFOLD_REPOSITORY": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [SNAKEMAKE, "-c2", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, to be killed as one
    )


def finish(process: subprocess.Popen) -> str:
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    return printed


@needs_snakemake
def test_a_clone_has_nothing_left_but_what_is_missing(tmp_path):
    """Also without the images, and without the network that all runs started from."""
    results = tmp_path / "data" / "results"
    shutil.copytree(CHECKOUT / "book", tmp_path / "book", ignore=lambda _, names: {*names} - {"_toc.yml"})
    for record in (CHECKOUT / "data" / "results").glob("*/config.yml"):
        shutil.copytree(record.parent, results / record.parent.name, ignore=lambda *_: ["codes.safetensors"])
    shutil.copytree(CHECKOUT / "workflow", tmp_path / "workflow")
    for run in ("dense-e60", "lfsr-ms-r50-s1"):
        shutil.rmtree(results / run)
    (results / "runs.csv").touch()
    missing = {run for run in PLAN if not (results / run).exists()}
    listed = finish(snakemake(tmp_path, "-n", "tables")).split("Job stats:")[1].split("total")[0]
    jobs = {line.split()[0] for line in listed.splitlines()[3:] if line.strip()}
    assert jobs == {"tables", "collect", "images"} | missing


def content(folder: Path) -> dict[str, bytes]:
    """The files of all results that do not depend on when and how fast they were made."""
    names = ("config.yml", "codes.safetensors", "weights.safetensors")
    return {str(p.relative_to(folder)): p.read_bytes() for n in names for p in folder.rglob(n)}


@needs_snakemake
@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_where_an_unbroken_one_ends(tmp_path):
    unbroken, broken = study_folder(tmp_path / "unbroken"), study_folder(tmp_path / "broken")
    finish(snakemake(unbroken, "tables", "--config", RUNS))
    kills = 0
    for pause_s in (9, 12, 15):
        process = snakemake(broken, "tables", "--config", RUNS)
        time.sleep(pause_s)
        if process.poll() is None:
            kills += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills
    finish(snakemake(broken, "tables", "--config", RUNS))
    assert content(unbroken / "data" / "results") == content(broken / "data" / "results")
    tables = [pd.read_csv(folder / "data" / "results" / "runs.csv") for folder in (unbroken, broken)]
    assert list(tables[0].run) == ["both", "plain", "start"]
    same = ["run", "test_accuracy", "test_accuracy_w8a8", "zero_codes", "cell_energy_j"]
    pd.testing.assert_frame_equal(tables[0][same], tables[1][same])
    assert "Nothing to be done" in finish(snakemake(broken, "-n", "tables", "--config", RUNS))

    # A run that is removed is made again, and one that appears meanwhile is neither lost nor repeated.
    results = broken / "data" / "results"
    for run in ("start", "plain"):
        shutil.rmtree(results / run)
    process = snakemake(broken, "tables", "--config", RUNS)
    deadline = time.monotonic() + 300
    while (
        not (broken / "runs" / "start" / "lock").exists()
        or not (broken / "runs" / "start" / "config.yml").exists()
    ):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    shutil.copytree(unbroken / "data" / "results" / "plain", results / "plain")
    finish(process)
    record = [
        (folder / "data" / "results" / "plain" / "run.json").read_bytes() for folder in (unbroken, broken)
    ]
    assert record[0] == record[1]
    assert content(unbroken / "data" / "results") == content(results)
    assert "Nothing to be done" in finish(snakemake(broken, "-n", "tables", "--config", RUNS))

    (broken / "plain.yml").write_text(DIGITS[1].replaced(seed=2).to_yaml(), encoding="utf-8")
    process = snakemake(broken, "-n", "tables", "--config", RUNS)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "configuration and finished results differ: plain" in printed
