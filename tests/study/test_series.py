"""Seeds of one recipe, lines of a figure, and the goals that are held against them."""

import runpy
from dataclasses import replace

import pandas as pd
import pytest

from companion.paths import repository
from companion.study import protocol as goals
from companion.study.grouping import over_seeds, recipe_names, shown_first, trained_alike, usual, with_series
from companion.study.protocol import GOALS, goal_candidates, goal_table
from companion.study.results import load_results, starting_from

RUNS = load_results()
STUDY = runpy.run_path(str(repository() / "workflow" / "study.py"))["RUNS"]


def as_rows(configs: list[dict]) -> pd.DataFrame:
    """The columns that a table of finished runs would have of these configurations."""
    usual_values = {"sparsity": 0.0, "strength": 0.0, "density_rule": "uniform", "bit_term": "energy"}
    usual_values |= {"prune_epoch": 0, "polarity": "removed", "clip_ratio": 1.0, "distillation": 0.0}
    usual_values |= {"encoding": "twos_complement", "bits": 8}
    frame = pd.DataFrame([usual_values | config for config in configs])
    return frame.assign(bit_term=frame.bit_term.where(frame.strength > 0))


def test_runs_of_one_recipe_differ_in_their_seed_only():
    frame = as_rows(STUDY)
    frame["recipe"] = recipe_names(frame)
    for _, own in frame.groupby("recipe"):
        assert (own.drop(columns=["run", "seed"]).nunique() <= 1).all()
        assert own.seed.is_unique
    assert frame.groupby("recipe").size().loc[["dense-8bit", "lfsr-50", "iid-90"]].tolist() == [3, 3, 3]


def test_means_over_seeds():
    first = RUNS[RUNS.run == "lfsr-50-s1"]
    rows = [
        first.assign(run=f"lfsr-50-s{s}", seed=s, test_accuracy=a)
        for s, a in ((1, 90.0), (2, 91.0), (3, 89.6))
    ]
    frame = over_seeds(pd.concat([*rows, RUNS[RUNS.run == "lfsr-90"]]))
    assert frame.run.tolist() == ["lfsr-50", "lfsr-90"]
    assert frame.seeds.tolist() == [3, 1]
    assert frame.test_accuracy[0] == pytest.approx((90 + 91 + 89.6) / 3)
    assert (frame.lowest[0], frame.highest[0]) == (89.6, 91.0)
    assert frame.sparsity.tolist() == [0.5, 0.9]  # settings stay what they are, to the last bit
    assert "seed" not in frame


def test_runs_of_one_name_from_two_starts_are_two_recipes():
    frame = over_seeds(RUNS[recipe_names(RUNS) == "lfsr-50"])
    assert set(frame.run) == {"lfsr-50 (dense)", "lfsr-50 (dense-60)"}
    assert dict(zip(frame.init, frame.seeds, strict=True)) == {"dense": 1, "dense-60": 3}
    assert set(with_series(frame).series) == {"from dense", "from dense-60"}


@pytest.mark.parametrize("column, value", [("strength", 500.0), ("epochs", 2), ("bit_term", None)])
def test_a_seed_of_another_configuration_is_refused(column, value):
    seeds = RUNS[RUNS.run.isin(["twofold-50-s1", "twofold-50-s2"])]
    alien = seeds.tail(1).assign(run="twofold-50-s4", seed=4, **{column: value})
    with pytest.raises(
        ValueError, match=f"the seeds of twofold-50 differ in {column}: .*; rename one of them"
    ):
        over_seeds(pd.concat([seeds, alien]))


def test_no_two_recipes_of_the_study_share_a_point_of_a_figure():
    frame = as_rows([config for config in STUDY if not config.get("held_out") and config["seed"] == 1])
    points = with_series(frame)
    assert not points.duplicated(["method", "series", "note"]).any()
    assert not points.duplicated(["method", "kind", "note"]).any()


@pytest.mark.parametrize(
    "run, series, note",
    [
        ("dense-8bit-s1", "", ""),
        ("lfsr-50-s1", "", "50 %"),
        ("bits-250-s1", "", "µ 250"),
        ("popcount-10-s1", "popcount", "β 10"),
        ("twofold-70-s1", "strength 125", "70 %, µ 125"),
        ("lfsr-90-erk-s1", "small layers spared", "90 %"),
        ("bits-1100-clip-s1", "scale x0.5, distilled", "µ 1100"),
        ("twofold-90-200-rows-s1", "strength 200, signed rows, scale x2", "90 %, µ 200"),
        ("bits-2-5bit-rows-s1", "5 bits, signed rows, scale x0.85", "µ 2"),
        ("slides-50-printed-s1", "popcount, strength 10, slides' order, as printed", "50 %, β 10"),
        ("slides-90-removed-s1", "popcount, strength 10, slides' order", "90 %, β 10"),
    ],
)
def test_words_of_a_figure(run, series, note):
    row = with_series(as_rows([config for config in STUDY if config["run"] == run])).iloc[0]
    assert (row.series, row.note) == (series, note)


def test_a_longer_schedule_is_named_and_not_usual():
    names = ["lfsr-90-s1", "lfsr-90-24epochs-s1", "twofold-90-60-rows-24epochs-s1", "dense-60", "tune-start"]
    frame = as_rows([config for config in STUDY if config["run"] in names]).set_index("run", drop=False)
    assert usual(frame)[names].tolist() == [True, False, False, True, True]
    assert shown_first(frame)[names].tolist() == [True, False, False, True, True]
    named = with_series(frame)
    assert named.series[names[:3]].tolist() == [
        "",
        "24 epochs",
        "strength 60, signed rows, scale x2, 24 epochs",
    ]
    assert (named.kind[names[3:]] == "").all()  # of more epochs, but a float network has no control
    alone = frame.loc[["lfsr-90-24epochs-s1"]]  # a study of 24 epochs throughout is as usual as one of 12
    assert usual(alone).all() and (with_series(alone).series == "").all()


def test_trained_alike_asks_for_the_order_the_labels_and_the_epochs():
    names = ["lfsr-90-24epochs-s1", "lfsr-90-distilled-s1", "slides-90-removed-s1", "lfsr-90-erk-s1"]
    names += ["twofold-90-60-rows-s1", "popcount-10-s1"]  # other codes and bit terms are trained alike
    frame = as_rows(STUDY).set_index("run")
    assert trained_alike(frame)[names].tolist() == [False, False, False, True, True, True]


def test_first_page_shows_plain_runs_at_the_ends_only():
    frame = as_rows([config for config in STUDY if not config.get("held_out")])
    shown = set(recipe_names(frame[shown_first(frame) & (frame.method != "dense")]))
    plain = {
        f"{method}-{p}"
        for method in ("lfsr", "iid", "magnitude", "twofold", "magnitude-bits")
        for p in (50, 90)
    }
    rows = {f"twofold-{which}-rows" for which in ("50-80", "50-400", "90-60", "90-200")}
    rows |= {f"{which}-5bit-rows" for which in ("bits-2", "lfsr-90", "twofold-50-1", "twofold-90-1")}
    rows |= {f"{which}-3bit-rows" for which in ("rounded", "bits-0.8", "lfsr-50", "twofold-50-0.8")}
    assert shown == plain | rows | {"dense-8bit", "twofold-50-500"} | {
        f"bits-{mu}" for mu in (60, 125, 250, 500, 1000)
    }
    assert set(frame[~usual(frame)].run.str.split("-").str[0]) == {
        "popcount",
        "planes",
        "lfsr",
        "twofold",
        "slides",
        "dense",
        "bits",
        "rounded",
    }


def test_goals_are_judged_by_gain_and_loss_together(monkeypatch):
    runs = starting_from(RUNS, "dense")
    goal = GOALS[2]
    frame = goal_candidates(runs, goal).set_index("run")
    lfsr = RUNS.set_index("run").test_accuracy["lfsr-50"]
    for name in ("twofold-50-60", "twofold-50-250"):
        assert frame.lost[name] == pytest.approx(lfsr - frame.test_accuracy[name])
    weak, strong = (frame.loc[name] for name in ("twofold-50-60", "twofold-50-250"))
    for gain, points, verdict in (
        (weak.gain - 0.1, weak.lost + 0.01, "reached"),
        (weak.gain + 0.1, weak.lost + 0.01, "not reached"),  # the strong one gains enough and loses too much
        (strong.gain - 0.1, strong.lost + 0.01, "reached"),
    ):
        monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=gain, points=points),))
        assert verdicts(runs) == [verdict, verdict, "open"]
    assert verdicts(runs[runs.method != "twofold"]) == ["open"] * 3
    assert verdicts(runs[runs.method != "lfsr"]) == ["open"] * 3  # nothing to compare with


def verdicts(runs):
    (row,) = goal_table(runs)[["8 bits", "any bits", "rounding"]].to_numpy().tolist()
    return row


@pytest.mark.parametrize("goal", GOALS[:3], ids=str)
def test_fewer_bits_are_judged_apart(monkeypatch, goal):
    """The same codes again as if they had 5 bits: 8 bits have then reached nothing."""
    monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=0.9, points=5.0),))
    runs = starting_from(RUNS)
    runs = runs[runs.method.isin([goal.method, goal.against]) & (runs.bits == 8)]
    assert verdicts(runs) == ["reached", "reached", "open"]
    short = runs.assign(bits=runs.bits.where(runs.method != goal.method, 5))
    assert verdicts(short) == ["open", "reached", "open"]
    rounded = runs[runs.method == goal.against].assign(method=goal.without, bits=5)
    assert verdicts(pd.concat([runs, rounded])) == ["reached"] * 3


def test_a_run_loses_against_the_control_of_its_own_seed_or_the_mean_of_the_others():
    runs = starting_from(RUNS, "dense-60")
    runs = runs[(runs.method == "dense-8bit") | (runs.run == "bits-125-s1")]
    accuracy = runs.set_index("run").test_accuracy
    others = (accuracy["dense-8bit-s2"] + accuracy["dense-8bit-s3"]) / 2
    for there, control in ((runs, accuracy["dense-8bit-s1"]), (runs[runs.run != "dense-8bit-s1"], others)):
        lost = goal_candidates(there, GOALS[0]).set_index("run").lost["bits-125"]
        assert lost == pytest.approx(control - accuracy["bits-125-s1"])


def test_a_goal_shows_the_best_from_either_side():
    table = goal_table(starting_from(RUNS, "dense"))
    assert table.index.tolist() == [str(goal) for goal in GOALS]
    half = table.loc[str(GOALS[2])]
    assert half.within == "twofold-50-60"
    assert pd.isna(half.beyond)  # no first run gains eightfold
