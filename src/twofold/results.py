"""The table that all figures start from: made from the folders of finished runs, read by the chapters."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twofold import paths
from twofold.pack import FinishedNetwork, load_codes

__all__ = [
    "RESULTS_VERSION",
    "collect",
    "load_epochs",
    "load_literature",
    "load_network",
    "load_results",
]

RESULTS_VERSION = 1


def collect() -> pd.DataFrame:
    """Make ``data/results/runs.csv`` from the folders of all finished runs; returns it."""
    rows, epochs = [], []
    for sidecar_path in sorted(paths.results_dir().glob("*/run.json")):
        try:
            sidecar = json.loads(sidecar_path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{sidecar_path} is no readable JSON: {error}") from error
        _check_version(sidecar.get("results_version"), sidecar_path)
        if "run" not in sidecar.get("result", {}):
            raise ValueError(f"{sidecar_path} holds no result of a run")
        label = {"results_version": RESULTS_VERSION, "run": sidecar["result"]["run"]}
        rows.append(label | sidecar["result"])
        epochs.append(pd.read_csv(sidecar_path.with_name("epochs.csv")).assign(**label))
    if not rows:
        raise FileNotFoundError(f"no finished run under {paths.results_dir()}")
    for name, frame in (("runs.csv", pd.DataFrame(rows)), ("epochs.csv", pd.concat(epochs))):
        partial = paths.results_dir() / f"{name}.partial"
        frame.to_csv(partial, index=False, float_format="%.6g")
        partial.replace(paths.results_dir() / name)
    return load_results()


def load_results(path: Path | None = None) -> pd.DataFrame:
    """The table of runs, a row each; columns and units are explained in ``data/results/README.md``.

    Raises
    ------
    FileNotFoundError
        There is no such table.
    ValueError
        It was written by another version of this library, or is no such table.
    """
    return _read(path or paths.results_dir() / "runs.csv")


def select(
    frame: pd.DataFrame, dataset: str, networks: Sequence[str], methods: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of a data set, some networks and some methods (none named: all).

    Raises
    ------
    ValueError
        A name that the table does not hold, or nothing left; the message lists what there is.
    """
    wanted = {"dataset": [dataset], "network": list(networks), "method": list(methods)}
    for column, names in wanted.items():
        unknown = sorted(set(names) - set(frame[column]))
        if unknown:
            there = ", ".join(sorted(set(frame[column])))
            raise ValueError(f"no {column} {', '.join(map(repr, unknown))} in the results; there are {there}")
        if names:
            frame = frame[frame[column].isin(names)]
    if frame.empty:
        raise ValueError(f"no run has all of {wanted}")
    return frame


def load_epochs(path: Path | None = None) -> pd.DataFrame:
    """A row for each epoch of each run (``run`` names it); errors as `load_results`."""
    return _read(path or paths.results_dir() / "epochs.csv")


def load_literature() -> pd.DataFrame:
    """Published accuracies of ResNet-20 on CIFAR-10; each row carries its ``source``."""
    return pd.read_csv(paths.tables_dir() / "literature_resnet20.csv")


def load_network(run: str) -> FinishedNetwork:
    """The committed codes of a finished run."""
    return load_codes(paths.results_dir() / run / "codes.safetensors")


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"no results table at {path}; `twofold collect` makes one from finished runs")
    try:
        frame = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no readable CSV: {error}") from error
    missing = {"results_version", "run"} - set(frame)
    if missing:
        raise ValueError(f"{path} is no results table: it has no column {', '.join(sorted(missing))}")
    for value in frame.results_version.unique():
        _check_version(value, path)
    return frame


def _check_version(value: object, path: Path) -> None:
    if value != RESULTS_VERSION:
        raise ValueError(f"{path} has results version {value}; this library reads version {RESULTS_VERSION}")
