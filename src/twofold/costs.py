"""What the finished runs took: minutes, machine, versions, and what must be known about each."""

import json

import pandas as pd

from twofold import paths
from twofold.results import load_epochs, load_results

__all__ = ["run_costs", "run_versions"]


def run_costs() -> pd.DataFrame:
    """A row a finished run of the results table, in the order in which they finished.

    Returns
    -------
    DataFrame
        ``run``, ``method``, ``network``, ``seed``, ``epochs``, ``minutes`` (wall time of training and
        evaluation), ``seconds_an_epoch`` (the median), ``threads``, ``device``, ``commit``, ``finished``
        (UTC) and ``note`` (what must be known about the run; empty where there is nothing).
    """
    runs = load_results().sort_values("finished", ignore_index=True)
    median_s = load_epochs().groupby("run").seconds.median()
    columns = ["run", "method", "network", "seed", "epochs", "minutes"]
    frame = runs[columns].assign(seconds_an_epoch=runs.run.map(median_s))
    frame[["threads", "device", "commit", "finished"]] = runs[["threads", "device", "commit", "finished"]]
    return frame.assign(note=[_sidecar(run).get("note", "") for run in runs.run])


def run_versions() -> pd.DataFrame:
    """Each set of versions that runs were made with: a row a set, the packages, and ``runs`` of that set."""
    frame = pd.DataFrame([_sidecar(run).get("versions", {}) for run in load_results().run])
    frame = frame.fillna("not recorded").astype(str)
    return frame.value_counts(sort=True).rename("runs").reset_index()


def _sidecar(run: str) -> dict:
    return json.loads((paths.results_dir() / run / "run.json").read_text(encoding="utf-8"))
