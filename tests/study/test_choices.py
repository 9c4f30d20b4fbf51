"""What held-out runs choose: the stated rules on frames by hand, and the study's own constants."""

import pandas as pd
import pytest

from companion.study.names import learning_rate
from companion.study.plan import EXPERIMENTS, STRENGTH
from companion.study.protocol import best_learning_rates, held_out_runs, strongest_within


def frame(*rows: tuple) -> pd.DataFrame:
    columns = ["run", "method", "sparsity", "learning_rate", "strength", "held_out_accuracy"]
    return pd.DataFrame(rows, columns=columns).assign(clip_ratio=1.0, distillation=0.0, precision="fp32")


RATES = [
    ("a", "lfsr", 0.5, 0.02, 0.0, 90.0),
    ("b", "lfsr", 0.5, 0.05, 0.0, 89.0),
    ("c", "lfsr", 0.9, 0.02, 0.0, 70.0),
    ("d", "lfsr", 0.9, 0.05, 0.0, 74.0),
    ("e", "magnitude", 0.9, 0.1, 0.0, 99.0),  # rates are chosen for the register's masks
]


def test_only_runs_from_the_named_start_take_part():
    tuning = {run.run for experiment in EXPERIMENTS if "tuning" in experiment.name for run in experiment.runs}
    assert {*held_out_runs().run} <= tuning
    assert len(held_out_runs()) and held_out_runs("dense-e60").empty


def test_each_sparsity_has_its_best_rate():
    assert best_learning_rates(frame(*RATES)) == {0.5: 0.02, 0.9: 0.05}
    other_precision = frame(("z", "lfsr", 0.9, 0.2, 0.0, 99.0)).assign(precision="bf16")
    assert best_learning_rates(pd.concat([frame(*RATES), other_precision]))[0.9] == 0.05


def test_the_strength_is_the_largest_that_costs_at_most_so_much_at_the_same_rate_and_sparsity():
    bits = [
        ("f", "twofold", 0.5, 0.05, 100.0, 88.8),
        ("g", "twofold", 0.5, 0.05, 200.0, 88.5),
        ("h", "twofold", 0.5, 0.05, 400.0, 86.0),
    ]
    runs = frame(*RATES, *bits)
    assert strongest_within(runs) == strongest_within(runs, points=0.5) == 200
    assert strongest_within(runs, points=3.0) == 400
    better = frame(("k", "twofold", 0.5, 0.05, 800.0, 89.0), ("l", "twofold", 0.5, 0.05, 900.0, 89.0))
    # Other codes, another loss: no rivals.
    better = better.assign(clip_ratio=[0.5, 1.0], distillation=[0.0, 0.5])
    assert strongest_within(pd.concat([runs, better], ignore_index=True)) == 200
    with pytest.raises(ValueError, match=r"costs more than 0.1 points \(100: 0.20, 200: 0.50, 400: 3.00\)"):
        strongest_within(runs, points=0.1)
    with pytest.raises(ValueError, match="no held-out run without a bit term stands beside i"):
        strongest_within(frame(*RATES, ("i", "twofold", 0.7, 0.05, 100.0, 88.8)))


def test_the_study_uses_what_its_committed_held_out_runs_choose():
    chosen = held_out_runs()
    assert best_learning_rates(chosen) == {sparsity: learning_rate(sparsity) for sparsity in (0.5, 0.9)}
    assert strongest_within(chosen) == STRENGTH
