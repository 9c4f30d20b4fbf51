"""The study: its files say what its list says, and Snakemake carries it out, also after a kill."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from companion.study.config import METHODS, RunConfig

CHECKOUT = Path(__file__).parents[2]
STUDY = runpy.run_path(str(CHECKOUT / "workflow" / "study.py"))
SNAKEMAKE = Path(sys.executable).with_name("snakemake")

needs_snakemake = pytest.mark.skipif(
    not SNAKEMAKE.exists(), reason='Snakemake is not installed (pip install -e ".[study]")'
)


@pytest.mark.parametrize("config", STUDY["RUNS"], ids=lambda c: c["run"])
def test_each_file_is_what_the_list_says(config):
    path = STUDY["CONFIGS"] / f"{config['run']}.yml"
    assert path.read_text(encoding="utf-8") == STUDY["yaml_of"](config)
    assert RunConfig.from_yaml(path).run == config["run"]


def test_each_run_has_its_own_name_and_starts_from_an_earlier_one():
    seen = set()
    for config in STUDY["RUNS"]:
        assert config["run"] not in seen
        assert config.get("init") is None or config["init"] in seen
        seen.add(config["run"])


def test_every_method_is_in_the_study_and_every_fine_tuned_run_has_a_control_of_its_epochs():
    compared = [c for c in STUDY["RUNS"] if not c.get("held_out")]
    assert {c["method"] for c in compared} == set(METHODS)
    tuned = [c for c in compared if c["method"] != "dense"]
    usual = STUDY["FINE_TUNED"]["epochs"]
    longer = {c["run"]: c for c in tuned if c["epochs"] != usual}
    assert set(longer) == {"lfsr-90-24epochs-s1", "twofold-90-60-rows-24epochs-s1"}
    control, own = longer.values()
    codes = {"run", "method", "strength", "encoding", "clip_ratio"}
    assert {k: own[k] for k in own.keys() - codes} == {k: control[k] for k in control.keys() - codes}


def test_what_is_chosen_on_held_out_images_starts_from_a_network_that_never_saw_them():
    held_out = {c["run"] for c in STUDY["RUNS"] if c.get("held_out")}
    assert held_out
    for config in STUDY["RUNS"]:
        start = config.get("init")
        assert (start in held_out) == (config["run"] in held_out and config["method"] != "dense")


DIGITS = """
from pathlib import Path
CONFIGS = Path(__file__).parent / "configs"
SHARED = {"network": "digits-net", "dataset": "digits", "seed": 1, "epochs": 12, "batch_size": 32}
RUNS = [
    {"run": "start", "method": "dense", **SHARED},
    {"run": "plain", "method": "dense-8bit", "init": "start", **SHARED},
    {"run": "both", "method": "twofold", "init": "start", "sparsity": 0.5, "strength": 60.0, **SHARED},
]
"""


def study_folder(path: Path) -> Path:
    """A checkout whose study is three runs on the digits, with the real Snakefile and profile."""
    (path / "book").mkdir(parents=True)
    shutil.copyfile(CHECKOUT / "book" / "_toc.yml", path / "book" / "_toc.yml")
    shutil.copytree(CHECKOUT / "workflow" / "profiles", path / "workflow" / "profiles")
    shutil.copyfile(CHECKOUT / "workflow" / "Snakefile", path / "workflow" / "Snakefile")
    study = path / "workflow" / "study.py"
    study.write_text(DIGITS, encoding="utf-8")
    (path / "workflow" / "configs").mkdir()
    for config in runpy.run_path(str(study))["RUNS"]:
        lines = "".join(f"{key}: {value}\n" for key, value in config.items())
        (path / "workflow" / "configs" / f"{config['run']}.yml").write_text(lines, encoding="utf-8")
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
    for run in ("dense-60", "lfsr-50-s1"):
        shutil.rmtree(results / run)
    (results / "runs.csv").touch()
    missing = {c["run"] for c in STUDY["RUNS"] if not (results / c["run"]).exists()}
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
    finish(snakemake(unbroken, "tables"))
    kills = 0
    for pause_s in (9, 12, 15):
        process = snakemake(broken, "tables")
        time.sleep(pause_s)
        if process.poll() is None:
            kills += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills
    finish(snakemake(broken, "tables"))
    assert content(unbroken / "data" / "results") == content(broken / "data" / "results")
    tables = [pd.read_csv(folder / "data" / "results" / "runs.csv") for folder in (unbroken, broken)]
    assert list(tables[0].run) == ["both", "plain", "start"]
    same = ["run", "test_accuracy", "test_accuracy_w8a8", "zero_codes", "cell_energy_j"]
    pd.testing.assert_frame_equal(tables[0][same], tables[1][same])
    assert "Nothing to be done" in finish(snakemake(broken, "-n", "tables"))

    # A run that is removed is made again, and one that appears meanwhile is neither lost nor repeated.
    results = broken / "data" / "results"
    for run in ("start", "plain"):
        shutil.rmtree(results / run)
    process = snakemake(broken, "tables")
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
    assert "Nothing to be done" in finish(snakemake(broken, "-n", "tables"))

    config = broken / "workflow" / "configs" / "plain.yml"
    config.write_text(config.read_text(encoding="utf-8").replace("seed: 1", "seed: 2"), encoding="utf-8")
    process = snakemake(broken, "-n", "tables")
    printed, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "configuration and finished results differ: plain" in printed
