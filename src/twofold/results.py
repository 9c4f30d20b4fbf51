"""The table that all figures start from: made from the folders of finished runs, read by the chapters."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from twofold import paths
from twofold.codes import ENCODINGS
from twofold.energy import EnergyModel, network_energy
from twofold.pack import FinishedNetwork, load_codes

__all__ = ["RESULTS_VERSION", "collect", "energies", "load_epochs", "load_network", "load_results"]

RESULTS_VERSION = 1


def collect() -> pd.DataFrame:
    """Make ``data/results/runs.csv`` from the folders of all finished runs; returns it."""
    rows, epochs = [], []
    for sidecar_path in sorted(paths.results_dir().glob("*/run.json")):
        sidecar = json.loads(sidecar_path.read_text(encoding="utf-8"))
        _check_version(sidecar.get("results_version"), sidecar_path)
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


def load_epochs(path: Path | None = None) -> pd.DataFrame:
    """A row for each epoch of each run (``run`` names it); errors as `load_results`."""
    return _read(path or paths.results_dir() / "epochs.csv")


def load_network(run: str) -> FinishedNetwork:
    """The committed codes of a finished run."""
    return load_codes(paths.results_dir() / run / "codes.safetensors")


def energies(runs: pd.DataFrame, model: EnergyModel, baseline: str = "dense-8bit") -> pd.DataFrame:
    """Energy of one image's inference by each quantised run of ``runs``, from its committed codes.

    The activity is that of the run's own inputs, exact, averaged over the test images it was measured on.

    Parameters
    ----------
    runs : rows of `load_results`; float runs are left out
    model : the machine; the baseline is priced on the same one
    baseline : run whose energy over a row's own is that row's ``gain``

    Returns
    -------
    DataFrame
        The rows with ``array_j``, ``adc_j``, ``lig_j`` and ``energy_j`` (their sum), per image; ``gain``, over
        the baseline as it is; and ``gain_best_untrained``, over the baseline in whichever encoding is
        cheapest without any training for it.
    """

    def per_image(run: str, machine: EnergyModel) -> pd.Series:
        network = load_network(run)
        layers = {n: (layer.codes, layer.keep, network.activity[n]) for n, layer in network.layers.items()}
        images = next(reversed(network.activity.values())).reads  # the last layer reads once an image
        frame = network_energy(layers, replace(machine, bits=network.bits))
        return frame[["array_j", "adc_j", "lig_j", "total_j"]].sum() / images

    quantised = runs[runs.method != "dense"]
    reference_j = per_image(baseline, model).total_j
    untrained_j = min(per_image(baseline, replace(model, encoding=e)).total_j for e in ENCODINGS)
    parts = pd.DataFrame([per_image(run, model) for run in quantised.run], index=quantised.index)
    frame = quantised.join(parts.rename(columns={"total_j": "energy_j"}))
    frame["gain"] = reference_j / frame.energy_j
    frame["gain_best_untrained"] = untrained_j / frame.energy_j
    return frame.assign(**{k: v for k, v in model.describe().items() if k not in ("bits", "encoding")})


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
