"""A run: one configuration -> one folder of results -> one row of the table that all figures start from.

Unfinished runs live in ``runs/<run>`` (checkpoints, ignored by git); a finished one appears, whole, as
``data/results/<run>`` with its configuration, a row per epoch, its weights or codes and a sidecar.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from twofold import paths
from twofold.data import DATASETS, Images, load_images
from twofold.models import NETWORKS, build_model
from twofold.train import Recipe, fit

__all__ = ["METHODS", "RunConfig", "commit", "execute"]

RESULTS_VERSION = 1
METHODS = ("dense", "dense-8bit", "lfsr", "iid", "magnitude", "bits", "twofold", "magnitude-bits")


@dataclass(frozen=True, kw_only=True)
class RunConfig(Recipe):
    """Everything that decides a run's numbers; the fields of ``Recipe`` and these.

    Attributes
    ----------
    run : str
        Name of the run and of its folder: letters, digits, ``.``, ``-``, ``_``.
    method : str, one of ``METHODS``
    network, dataset : str, see ``models.NETWORKS`` and ``data.DATASETS``
    init : str or None
        The run whose float weights this one starts from; None starts afresh.
    bits : int
        Bits of a weight's code; not used by ``dense``.
    sparsity : float in [0, 1)
        Overall sparsity: share of the weights that are not kept.
    strength : float
        Of the bit term: LSB^2/pJ for energy-aware codes, the slides' beta for the others.
    held_out : bool
        Train without 5,000 images and evaluate on those instead of the test set.
    """

    run: str
    method: str
    network: str = "resnet20"
    dataset: str = "cifar10"
    init: str | None = None
    bits: int = 8
    sparsity: float = 0.0
    strength: float = 0.0
    held_out: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not self.run or not all(c.isalnum() or c in ".-_" for c in self.run) or self.run.startswith("."):
            raise ValueError(f"run is {self.run!r}; a name has letters, digits, '.', '-' and '_' only")
        for name, allowed in (("method", METHODS), ("network", tuple(NETWORKS)), ("dataset", DATASETS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity is {self.sparsity!r}; the share of removed weights lies in [0, 1)")
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"strength is {self.strength!r}; it must be a finite number of at least 0")

    @classmethod
    def from_yaml(cls, path: Path) -> "RunConfig":
        """Read a configuration; an unknown or missing key is an error that names it."""
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{path} holds {type(values).__name__}, not keys with values")
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(map(str, values)) - set(known))
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(unknown)}; known are {', '.join(known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from None


def execute(config: RunConfig, *, device: str = "cpu", progress_bar: bool = True) -> Path:
    """Carry a run out, or finish a killed one; returns the folder of its results.

    A run that is already finished is left as it is. Nothing appears in ``data/results`` before the
    run is complete, and then all of it at once.

    Raises
    ------
    ValueError
        A finished or half-finished run of this name has another configuration.
    FileNotFoundError
        The run named by ``init`` has no weights, or the images are missing.
    """
    final = paths.results_dir() / config.run
    if final.exists():
        there = RunConfig.from_yaml(final / "config.yml")
        if there != config:
            raise ValueError(
                f"{final} holds a finished run of another configuration; choose another name"
            )
        return final
    work = paths.runs_dir() / config.run
    with _exclusive(work):
        train, test = load_images(config.dataset, held_out=config.held_out)
        model = _initial_model(config, train)
        recipe = Recipe(**{f.name: getattr(config, f.name) for f in fields(Recipe)})
        epochs = fit(
            model,
            train,
            test,
            recipe,
            checkpoint=work / "checkpoint.safetensors",
            device=device,
            progress_bar=progress_bar,
        )
        partial = work / "finished"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_file(
            {k: v.cpu().contiguous() for k, v in model.state_dict().items()}, partial / "weights.safetensors"
        )
        epochs.to_csv(partial / "epochs.csv", index=False, float_format="%.6g")
        (partial / "config.yml").write_text(yaml.safe_dump(asdict(config), sort_keys=False), encoding="utf-8")
        (partial / "run.json").write_text(
            json.dumps(_sidecar(config, epochs, device), indent=1) + "\n", encoding="utf-8"
        )
        final.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(final)
    return final


def _initial_model(config: RunConfig, train: Images) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = build_model(config.network, int(train.labels.max()) + 1, train.pixels.shape[1])
    if config.init is not None:
        weights = paths.results_dir() / config.init / "weights.safetensors"
        if not weights.exists():
            raise FileNotFoundError(
                f"{config.run} starts from {config.init}, whose weights are not there: {weights}"
            )
        model.load_state_dict(load_file(weights))
    return model


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; a second run on it is refused instead of mixing files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"another process is working on {folder}; wait for it or choose another run name"
            ) from None
        yield


def _sidecar(config: RunConfig, epochs: pd.DataFrame, device: str) -> dict:
    names = ("twofold", "torch", "torchvision", "numpy", "safetensors")
    return {
        "results_version": RESULTS_VERSION,
        "run": config.run,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {"python": platform.python_version()} | {n: version(n) for n in names},
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "minutes": round(float(epochs.seconds.sum()) / 60, 2),
        "test_accuracy": float(epochs.test_accuracy.iloc[-1]),
    }


def commit() -> str:
    """The checkout's commit, with ``-dirty`` where the library differs from it; ``unknown`` outside git."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", folder, *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "-dirty" if git("status", "--porcelain", ".") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        if cpuinfo.exists()
        else []
    )
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"
