"""Faults, with the real thing: kills, full and read-only disks, two processes at once.

TWOFOLD_KILLS says how often the killed run is killed: three times by default, twenty were tried once.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

from companion.__main__ import main
from companion.benchmarks.determinism import SETTINGS
from companion.study.config import RunConfig
from companion.study.results import collect, load_determinism, load_epochs, load_results
from companion.study.run import carry_out, carry_out_all, execute

pytestmark = pytest.mark.usefixtures("one_thread")

KILLS = int(os.environ.get("TWOFOLD_KILLS", "3"))
BITS = RunConfig(
    run="bits", method="bits", network="digits-net", dataset="digits", epochs=2, batch_size=128, strength=60.0
)
TWOFOLD = RunConfig(
    run="killed",
    method="twofold",
    network="digits-net",
    dataset="digits",
    epochs=8,
    batch_size=16,
    sparsity=0.5,
    strength=60.0,
    prune_epoch=2,
    network_strength=0.001,
    seed=3,
)


def train(config: RunConfig, folder: Path) -> subprocess.Popen:
    """`twofold train` in a process of its own, on a configuration written to `folder`."""
    path = folder / f"{config.run}.yml"
    path.write_text(config.to_yaml())
    return subprocess.Popen(
        [sys.executable, "-c", "from companion.__main__ import main; main()", "train", str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def numbers(folder: Path) -> dict:
    """All that a run's folder holds, less the clock's part: seconds, minutes and the date."""
    found: dict = {p.name: p.read_bytes() for p in folder.iterdir()}
    found["epochs.csv"] = pd.read_csv(folder / "epochs.csv").drop(columns="seconds").to_csv()
    found["run.json"] = json.loads(found["run.json"])
    for name in ("minutes", "finished"):
        del found["run.json"]["result"][name]
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def finish(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return errors


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---- kills ----


@pytest.mark.slow
def test_a_run_killed_at_random_ends_bit_for_bit(repository, tmp_path):
    """SIGKILL at a moment drawn from the whole of the work, again and again; the seed is printed."""
    seed = random.SystemRandom().randrange(2**32)
    draw = random.Random(seed)
    final, work = repository / "data" / "results" / "killed", repository / "runs" / "killed"
    process = train(TWOFOLD, tmp_path)
    wait_for(work / "lock", process)
    started = time.monotonic()
    finish(process)
    length_s = time.monotonic() - started
    unbroken = numbers(final)
    shutil.rmtree(final)
    shutil.rmtree(work)

    kills = 0
    while kills < KILLS:
        process = train(TWOFOLD, tmp_path)
        wait_for(work / "lock", process)
        time.sleep(draw.uniform(0, length_s))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            left = sorted(p.name for p in work.iterdir())
            print(f"seed {seed}, kill {kills}: left {', '.join(left)}; results there: {final.exists()}")
        if final.exists():  # it had ended before the kill, or was killed behind its last act: begin again
            assert numbers(final) == unbroken
            shutil.rmtree(final)
            shutil.rmtree(work)
    finish(train(TWOFOLD, tmp_path))
    assert numbers(final) == unbroken
    assert {p.name for p in work.iterdir()} == {"lock"}


@pytest.mark.slow
def test_runs_of_a_page_go_on_after_a_kill(repository, tmp_path):
    """The first run, done before the kill, is not trained again: its epochs took, to the digit, as long."""
    configs = [BITS, TWOFOLD.replaced(batch_size=64)]
    unbroken = [carry_out(config, progress_bar=False) for config in configs]
    program = (
        "import json, sys; from companion.study.config import RunConfig;"
        "from companion.study.run import carry_out_all;"
        "carry_out_all([RunConfig(**values) for values in json.loads(sys.argv[1])], progress_bar=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps([config.model_dump() for config in configs])],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    while not list((repository / "runs").glob("together-*/1.safetensors")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (work,) = (repository / "runs").iterdir()
    with safe_open(work / "0.safetensors", "pt") as checkpoint:
        took = [row["seconds"] for row in json.loads(checkpoint.metadata()["history"])]

    outcomes = carry_out_all(configs, progress_bar=False)
    assert outcomes[0].epochs.seconds.tolist() == took
    for outcome, whole in zip(outcomes, unbroken, strict=True):
        assert outcome.epochs.drop(columns="seconds").equals(whole.epochs.drop(columns="seconds"))
        for name, layer in outcome.finished.layers.items():
            assert torch.equal(layer.codes, whole.finished.layers[name].codes)
    assert not work.exists()


def test_a_configuration_cut_by_a_kill_does_not_block_the_run(repository):
    """The note beside a checkpoint is written whole or not at all, so only its absence can be found."""
    execute(BITS, progress_bar=False)
    first = numbers(repository / "data" / "results" / "bits")
    shutil.rmtree(repository / "data" / "results")
    (repository / "data" / "results" / ".bits.partial").mkdir(parents=True)
    (repository / "data" / "results" / ".bits.partial" / "run.json").write_text("{")
    (repository / "runs" / "bits" / "config.yml.partial").write_text("run: bi")
    (repository / "runs" / "bits" / "checkpoint.safetensors.partial").write_bytes(b"half")
    assert numbers(execute(BITS, progress_bar=False)) == first


# ---- disks ----


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, and how to fill it but for some bytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk can be mounted only by root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("ab") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_bsize - leave)))
    return ballast


def test_a_full_disk_stops_a_run_that_then_goes_on(small_disk, repository, monkeypatch):
    unbroken = numbers(execute(BITS, progress_bar=False))
    shutil.copytree(repository, small_disk, dirs_exist_ok=True)
    shutil.rmtree(small_disk / "runs")
    shutil.rmtree(small_disk / "data" / "results")
    monkeypatch.setenv("TWOFOLD_REPOSITORY", str(small_disk))
    final, work = small_disk / "data" / "results" / "bits", small_disk / "runs" / "bits"
    for leave in (0, 16 << 10, 200 << 10):  # no room for the note; for the first checkpoint; for the second
        ballast = fill(small_disk, leave)
        with pytest.raises(OSError, match="No space left on device"):
            execute(BITS, progress_bar=False)
        assert not final.exists()
        assert not list(small_disk.rglob("*.partial"))
        ballast.unlink()
    assert (work / "checkpoint.safetensors").is_file()
    assert numbers(execute(BITS, progress_bar=False)) == unbroken

    shutil.rmtree(final)
    obstacle = final.with_name(".bits.partial")
    obstacle.touch()
    with pytest.raises(OSError, match=r"the results of bits could not be written: .*File exists"):
        execute(BITS, progress_bar=False)
    obstacle.unlink()  # all epochs are trained, and now there is no room for what they made
    ballast = fill(small_disk, 8 << 10)
    path = small_disk.parent / "bits.yml"
    path.write_text(BITS.to_yaml())
    told = CliRunner().invoke(main, ["train", str(path)])
    assert told.exit_code == 1
    assert told.output.startswith("Error: the results of bits could not be written: ")
    assert "No space left on device" in told.output
    assert "Traceback" not in told.output
    assert not final.exists()
    assert {p.name for p in work.iterdir()} == {"checkpoint.safetensors", "config.yml", "parts.json", "lock"}
    ballast.unlink()
    assert numbers(execute(BITS, progress_bar=False)) == unbroken

    collect()
    tables = contents(small_disk / "data" / "results")
    for leave in (0, 4 << 10):
        ballast = fill(small_disk, leave)
        with pytest.raises(OSError, match="could not be written"):
            collect()
        assert contents(small_disk / "data" / "results") == tables
        ballast.unlink()


def test_read_only_results_can_be_read_and_stop_a_run_before_it_trains(small_disk, repository):
    execute(BITS, progress_bar=False)
    collect()
    results = repository / "data" / "results"
    shutil.copytree(results, small_disk, dirs_exist_ok=True)
    subprocess.run(["mount", "--bind", "-o", "ro", str(small_disk), str(results)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(results)], check=True)
        shutil.rmtree(repository / "runs")
        assert load_results().run.tolist() == ["bits"]
        assert len(load_epochs()) == 2
        assert execute(BITS, progress_bar=False) == results / "bits"
        with pytest.raises(PermissionError, match=r"results cannot be written to, and the results of other"):
            execute(BITS.replaced(run="other"), progress_bar=False)
        assert not (repository / "runs").exists()
        with pytest.raises(OSError, match="Read-only file system"):
            collect()
    finally:
        subprocess.run(["umount", str(results)], check=True)


# ---- two at once ----


@pytest.mark.slow
def test_of_two_processes_on_one_run_the_second_is_refused(repository, tmp_path):
    first = train(TWOFOLD, tmp_path)
    wait_for(repository / "runs" / "killed" / "lock", first)
    first.send_signal(signal.SIGSTOP)  # so that it surely still holds the run when the second comes
    second = train(TWOFOLD, tmp_path)
    _, errors = second.communicate(timeout=600)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "Error: another process is working on" in errors
    assert "Traceback" not in errors
    finish(first)
    together = numbers(repository / "data" / "results" / "killed")
    shutil.rmtree(repository / "runs")
    shutil.rmtree(repository / "data" / "results")
    finish(train(TWOFOLD, tmp_path))
    assert numbers(repository / "data" / "results" / "killed") == together


def test_a_run_that_another_process_ended_meanwhile_is_taken_from_it(repository, monkeypatch):
    """It ends between the first look for results and the lock; training over them would waste hours."""
    import companion.study.run as runs

    finished = numbers(execute(BITS, progress_bar=False))
    stored = repository / "stored"
    (repository / "data" / "results" / "bits").rename(stored)
    held = runs.held

    def late(*lock):
        shutil.copytree(stored, repository / "data" / "results" / "bits")
        return held(*lock)

    monkeypatch.setattr(runs, "held", late)
    monkeypatch.setattr(runs, "carry_out", lambda *_, **__: pytest.fail("it trains"))
    assert numbers(execute(BITS, progress_bar=False)) == finished


# ---- the same bits ----


def test_measured_differences_are_none_where_a_setting_is_repeated():
    """The committed measurement: each setting against one thread, and three settings tried twice."""
    frame = load_determinism().set_index(["setting", "seed"])
    changes = ["codes_differing", "largest_code_step", "largest_scale_change", "largest_other_change"]
    assert not frame.loc["one thread, again"][changes].any(axis=None)
    assert frame.loc["two threads, again"].equals(frame.loc["two threads"])
    assert frame.loc["compiled, again"].equals(frame.loc["compiled"])
    assert (frame.loc["two threads"].threads == 2).all()
    assert set(SETTINGS) == set(frame.index.get_level_values("setting"))
