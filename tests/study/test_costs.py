"""What the runs took, from the records that they left."""

import json

import pytest

from companion.paths import results_dir
from companion.study.results import load_epochs, load_results, run_costs, run_versions


def records() -> dict:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in results_dir().glob("*/run.json")]
    return {record["result"]["run"]: record for record in found}


def test_every_run_is_there_once_with_its_own_record():
    costs, every = run_costs().set_index("run"), records()
    assert costs.index.is_unique
    assert set(costs.index) == set(every) == set(load_results().run)
    for run, record in every.items():
        for column in ("minutes", "threads", "device", "commit", "finished"):
            assert costs.loc[run, column] == record["result"][column], (run, column)
        assert costs.loc[run, "note"] == record.get("note", "")
    assert costs.finished.is_monotonic_increasing


def test_minutes_are_those_of_the_epochs():
    costs = run_costs().set_index("run").sort_index()
    epochs = load_epochs().groupby("run").seconds
    assert costs.minutes.to_numpy() == pytest.approx(epochs.sum().to_numpy() / 60, abs=0.0051)
    assert costs.seconds_an_epoch.to_numpy() == pytest.approx(epochs.median().to_numpy(), rel=1e-4)


def test_each_run_is_counted_with_its_versions():
    versions = run_versions()
    assert versions.runs.sum() == len(records())
    python = {record["versions"]["python"] for record in records().values()}
    assert set(versions.python) == python
