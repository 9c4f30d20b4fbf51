"""Seeds of one recipe, and the goals that are held against them."""

from dataclasses import replace

import pandas as pd
import pytest

from companion.study import protocol as goals
from companion.study.grouping import over_seeds
from companion.study.protocol import GOALS, goal_candidates, goal_table, machine_goals
from companion.study.results import load_results, starting_from

RUNS = load_results()
HALF = RUNS[RUNS.run.isin(["lfsr-ms-r50-s1", "twofold-ms-r50-mu125-s1", "twofold-ms-r50-mu500-s1"])]


def seeds(run: str, accuracies: tuple[float, ...]) -> pd.DataFrame:
    """Finished runs of one recipe that differ in seed, name and accuracy."""
    first = RUNS[RUNS.run == f"{run}-s1"]
    rows = [
        first.assign(run=f"{run}-s{s}", seed=s, test_accuracy=a) for s, a in enumerate(accuracies, start=1)
    ]
    return pd.concat(rows)


def test_means_over_seeds():
    frame = over_seeds(pd.concat([seeds("lfsr-ms-r50", (90.0, 91.0, 89.6)), seeds("lfsr-ms-r90", (80.0,))]))
    assert frame.run.tolist() == ["lfsr-ms-r50", "lfsr-ms-r90"]
    assert frame.label.tolist() == [f"LFSR mask, multiply-shift, {p} % removed" for p in (50, 90)]
    assert frame.seeds.tolist() == [3, 1]
    assert frame.test_accuracy[0] == pytest.approx((90 + 91 + 89.6) / 3)
    assert (frame.lowest[0], frame.highest[0]) == (89.6, 91.0)
    assert frame.sparsity.tolist() == [0.5, 0.9]  # settings stay what they are, to the last bit
    assert "seed" not in frame


def test_columns_that_were_added_are_means_where_they_are_real_numbers():
    frame = seeds("lfsr-ms-r50", (90.0, 91.0)).assign(gain=[2.0, 4.0], baseline=["a", "b"])
    row = over_seeds(frame).iloc[0]
    assert (row.gain, row.baseline) == (3.0, "a")


@pytest.mark.parametrize(
    "column, value", [("generator", "rejection"), ("epochs", 24), ("init", None), ("precision", "bf16")]
)
def test_runs_of_another_configuration_are_another_recipe_whatever_their_names_say(column, value):
    frame = seeds("twofold-ms-r50-mu125", (89.0, 90.0, 91.0))
    frame[column] = frame[column].where(frame.seed != 3, value)
    assert over_seeds(frame).seeds.tolist() == [2, 1]
    assert over_seeds(frame.assign(run=["a", "b", "c"])).seeds.tolist() == [2, 1]


def test_the_committed_runs_are_as_many_recipes_as_labels():
    frame = over_seeds(RUNS)
    assert frame.label.is_unique and set(frame.label) == set(RUNS.label)
    assert frame.run.is_unique


def verdicts(runs):
    (row,) = goal_table(runs)[["8 bits", "any bits", "rounding"]].to_numpy().tolist()
    return row


def test_goals_are_judged_by_gain_and_loss_together(monkeypatch):
    goal = GOALS[2]
    frame = goal_candidates(HALF, goal).set_index("run")
    accuracy = HALF.set_index("run").test_accuracy
    weak, strong = (frame.loc[f"twofold-ms-r50-mu{mu}"] for mu in (125, 500))
    for row in (weak, strong):
        assert row.lost == pytest.approx(accuracy["lfsr-ms-r50-s1"] - row.test_accuracy)
    for gain, points, verdict in (
        (weak.gain - 0.1, weak.lost + 0.01, "reached"),
        (weak.gain + 0.1, weak.lost + 0.01, "not reached"),  # the strong one gains enough and loses too much
        (strong.gain - 0.1, strong.lost + 0.01, "reached"),
    ):
        monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=gain, points=points),))
        assert verdicts(HALF) == [verdict, verdict, "open"]
    assert verdicts(HALF[HALF.method != "twofold"]) == ["open"] * 3
    assert verdicts(HALF[HALF.method != "lfsr"]) == ["open"] * 3  # nothing to compare with
    other_masks = HALF.generator.where(HALF.method != "lfsr", "rejection")
    assert verdicts(HALF.assign(generator=other_masks)) == ["open"] * 3


@pytest.mark.parametrize("goal", (GOALS[0], GOALS[2]), ids=str)
def test_fewer_bits_are_judged_apart(monkeypatch, goal):
    """The same codes again as if they had 5 bits: 8 bits have then reached nothing."""
    monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=0.9, points=5.0),))
    runs = starting_from(RUNS)
    runs = runs[runs.method.isin([goal.method, goal.against]) & (runs.bits == 8) & (runs.seed == 1)]
    runs = runs[runs.generator.fillna("multiply-shift") == "multiply-shift"]
    assert verdicts(runs) == ["reached", "reached", "open"]
    short = runs.assign(bits=runs.bits.where(runs.method != goal.method, 5))
    assert verdicts(short) == ["open", "reached", "open"]
    rounded = runs[runs.method == goal.against].assign(method=goal.without, bits=5)
    assert verdicts(pd.concat([runs, rounded])) == ["reached"] * 3


def test_a_run_loses_against_the_control_of_its_own_seed_or_the_mean_of_the_others():
    runs = starting_from(RUNS)
    runs = runs[(runs.method == "dense-8bit") | (runs.run == "bits-mu125-s1")]
    accuracy = runs.set_index("run").test_accuracy
    others = (accuracy["dense-b8-s2"] + accuracy["dense-b8-s3"]) / 2
    for there, control in ((runs, accuracy["dense-b8-s1"]), (runs[runs.run != "dense-b8-s1"], others)):
        lost = goal_candidates(there, GOALS[0]).set_index("run").lost["bits-mu125"]
        assert lost == pytest.approx(control - accuracy["bits-mu125-s1"])


def test_a_goal_shows_the_best_from_either_side(monkeypatch):
    goal = GOALS[2]
    weak, strong = goal_candidates(HALF, goal).itertuples()
    halfway = (weak.gain + strong.gain) / 2
    monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=halfway, points=weak.lost),))
    (row,) = goal_table(HALF).itertuples()
    assert (row.within, row.beyond) == ("twofold-ms-r50-mu125", "twofold-ms-r50-mu500")
    monkeypatch.setattr(goals, "GOALS", (replace(goal, gain=2 * strong.gain, points=0.0),))
    (row,) = goal_table(HALF).itertuples()
    assert row.within is None and row.beyond is None


def test_the_talk_s_order_is_no_candidate():
    goal = GOALS[3]
    runs = starting_from(load_results())
    found = goal_candidates(runs, goal)
    masked = runs[runs.procedure == "masked"]
    assert found.run.tolist() == goal_candidates(masked, goal).run.tolist() != []
    assert not found.run.str.contains("counts").any()


def test_goals_without_a_bit_term_are_judged_although_no_register_made_a_mask():
    runs = starting_from(RUNS)
    two = runs[runs.run.isin(["dense-b8-s1", "bits-mu125-s1"])]
    assert goal_candidates(two, GOALS[0]).lost.notna().all()


def test_goals_of_machines_name_the_best_candidate_and_what_has_not_finished():
    runs = starting_from(RUNS)
    names = ["dense-b8-s1", "twofold-r50-mu80-b8-rows-s1", "twofold-ms-r50-mu80-b8-rows-s1"]
    half, ninety, *shared = machine_goals(runs[runs.run.isin(names)]).itertuples()
    assert (half.label, half.seeds) == ("twofold, 50 % removed, µ 80, signed rows", 1)  # never multiply-shift
    assert half.verdict == ("reached" if half.gain >= 6 else "not reached")
    assert [row.verdict for row in (ninety, *shared)] == ["not finished"] * 4


def test_goals_of_shared_rows_ask_for_energy_delay_and_accuracy(monkeypatch):
    runs = starting_from(RUNS)
    first = runs[runs.run == "twofold-r50-mu80-b8-rows-s1"]
    pool = [runs[runs.run.isin(["dense-b8-s1", "rounded-b3-rows-s1"])], first]

    def verdict(gain, edp_gain, lost, bits=8):
        accuracy = first.test_accuracy_w8a8.item() - lost
        own = first.assign(run="shared-s1", group=64, test_accuracy_w8a8=accuracy, bits=bits)
        made_up = {"gain": gain, "edp_gain": edp_gain}
        alone = {"gain": 2.0, "edp_gain": 2.0}
        monkeypatch.setattr(
            goals,
            "energies",
            lambda own, *_, **__: own.assign(**(made_up if "shared-s1" in set(own.run) else alone)),
        )
        return machine_goals(pd.concat([*pool, own])).verdict

    for gain, edp_gain, lost, expected in (
        (3.1, 3.2, 0.4, "reached"),
        (2.9, 3.2, 0.4, "not reached"),
        (3.1, 2.9, 0.4, "not reached"),
        (3.1, 3.2, 0.6, "not reached"),
    ):
        assert verdict(gain, edp_gain, lost).iloc[2] == expected
    # Short codes are compared with both levers alone; shared rows alone have not finished at first.
    assert verdict(9.0, 9.0, 0.0, bits=3).iloc[4] == "not finished"
    pool.append(runs[runs.run == "lfsr-r50-s1"].assign(run="alone-s1", group=64))
    assert verdict(9.0, 9.0, 0.0, bits=3).iloc[4] == "reached"
    assert verdict(1.9, 9.0, 0.0, bits=3).iloc[4] == "not reached"


def test_shared_rows_are_held_against_the_run_of_their_own_seed():
    names = ["dense-b8-s1", "rounded-b3-rows-s1", "twofold-col-g64-r50-mu125-s1"]
    controls = [f"twofold-ms-r50-mu125-s{seed}" for seed in (1, 2, 3)]
    runs = RUNS[RUNS.run.isin([*names, *controls])]
    known = runs.set_index("run").test_accuracy_w8a8
    third = machine_goals(starting_from(runs)).iloc[2]
    assert third.control == "twofold, multiply-shift, 50 % removed, µ 125, fp32"
    assert third.lost == pytest.approx(known[controls[0]] - known[names[-1]])
    others = machine_goals(starting_from(runs[runs.run != controls[0]])).iloc[2]
    assert others.lost == pytest.approx(known[controls[1:]].mean() - known[names[-1]])
