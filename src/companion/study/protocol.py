"""What the study set out to show, and how far its runs went."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from companion.study.energies import cells_only, energies
from companion.study.grouping import over_seeds, recipe_names
from companion.study.machines import whole_machine
from companion.study.names import TUNING_START
from companion.study.results import load_results
from twofold import Machine
from twofold.energy.machine import Dataflow

__all__ = [
    "GOALS",
    "Goal",
    "best_learning_rates",
    "goal_candidates",
    "goal_table",
    "held_out_runs",
    "machine_goals",
    "strongest_within",
]


@dataclass(frozen=True)
class Goal:
    """A gain in cell energy, no ADC charged, at a loss of accuracy; set before the runs were made.

    Attributes
    ----------
    method, sparsity : of the networks that are meant
    dataflow : machine on which the gain over dense 8 bits is counted, in two's complement
    gain : the least that reaches the goal
    points : the most that may be lost, in points of accuracy
    against : method that the loss is counted against, with 8 bits and at the same sparsity
    without : method that has no bit term and is `method` in all else; of fewer bits than 8, its rival
    """

    method: str
    sparsity: float
    dataflow: Dataflow
    gain: float
    points: float
    against: str
    without: str

    def __str__(self) -> str:
        removed = f", {100 * self.sparsity:.0f} % removed" if self.sparsity else ""
        points = "1 point" if self.points == 1 else f"{self.points:g} points"
        return f"{self.method}{removed}: {self.gain:g}x within {points}"


GOALS = (
    Goal("bits", 0.0, "crossbar", gain=4.0, points=0.3, against="dense-8bit", without="rounded"),
    Goal("bits", 0.0, "crossbar", gain=6.0, points=1.0, against="dense-8bit", without="rounded"),
    Goal("twofold", 0.5, "packed", gain=8.0, points=0.5, against="lfsr", without="lfsr"),
    Goal("twofold", 0.9, "packed", gain=30.0, points=0.5, against="lfsr", without="lfsr"),
)


def goal_candidates(runs: pd.DataFrame, goal: Goal) -> pd.DataFrame:
    """The recipes that a goal is about, means over seeds; no rows where none has finished.

    Parameters
    ----------
    runs : rows of `results.load_results` that start from one float run

    Returns
    -------
    DataFrame
        The columns of `grouping.over_seeds`; ``lost``, points of accuracy (float inputs) against the goal's
        other method with 8 bits and the same densities, loss and epochs, each run against that of its own
        seed (or, where that one has not finished, the mean of those that have); ``reached``. Sorted by
        ``gain``.
    """
    runs = runs[runs.procedure == "masked"]  # what trains before it is pruned has no control of its own
    runs = runs.assign(generator=runs.generator.fillna("none"))  # a missing one would be alike to no other
    close = _close(runs.sparsity, goal.sparsity)
    own, other = (runs[close & (runs.method == method)] for method in (goal.method, goal.against))
    own = own[own.bits < 8] if goal.method == goal.without else own
    other = other[other.bits == 8]
    if own.empty or other.empty:
        return pd.DataFrame(columns=[*runs.columns, "gain", "lost", "reached"])
    # A control without the bit term, of the same densities and masks, and trained alike.
    alike = ["density_rule", "generator", "distillation", "epochs", "precision"]
    priced = energies(own.assign(lost=_points_lost(own, other, alike)), cells_only(goal.dataflow))
    frame = over_seeds(priced).sort_values("gain", ignore_index=True)
    frame["reached"] = (frame.gain >= goal.gain) & (frame.lost <= goal.points)
    return frame


def goal_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a goal: the recipe that comes closest from either side.

    Returns
    -------
    DataFrame
        Index: the goal in words. ``within``: the recipe of highest gain among those that lose no more than
        the goal allows, with ``gain within``; ``beyond``: the recipe that loses least among those with the
        goal's gain, with ``lost beyond`` (points). A gap where no recipe qualifies. Then a verdict each on
        recipes of ``8 bits``, of ``any bits``, and on ``rounding``, fewer bits and no bit term: "reached",
        "not reached", or "open" without a finished run that has a finished control.
    """
    rows = {}
    for goal in GOALS:
        frame = goal_candidates(runs, goal)
        rounding = goal_candidates(runs, replace(goal, method=goal.without))
        verdicts = {
            "8 bits": _verdict(frame[frame.bits == 8]),
            "any bits": _verdict(frame),
            "rounding": _verdict(rounding),
        }
        frame = frame.dropna(subset="lost")
        within, beyond = frame[frame.lost <= goal.points], frame[frame.gain >= goal.gain]
        row: dict = dict.fromkeys(("within", "gain within", "beyond", "lost beyond"))
        if len(within):
            best = within.loc[within.gain.idxmax()]
            row |= {"within": best.run, "gain within": best.gain}
        if len(beyond):
            best = beyond.loc[beyond.lost.idxmin()]
            row |= {"beyond": best.run, "lost beyond": best.lost}
        rows[str(goal)] = row | verdicts
    return pd.DataFrame.from_dict(rows, orient="index")


def _verdict(candidates: pd.DataFrame) -> str:
    if candidates.lost.notna().sum() == 0:
        return "open"
    return "reached" if candidates.reached.any() else "not reached"


def machine_goals(runs: pd.DataFrame) -> pd.DataFrame:
    """What the second edition set out to show of machines, and the recipe that comes closest to each goal.

    All are of LFSR masks whose generator never repeats, with cheap codes, and of the slides' cells; gains are
    over dense 8 bits in a crossbar. The first two charge cells, signs and index of packed weights, the others
    everything on the grouped machine, for columns that share their rows.

    Parameters
    ----------
    runs : rows of `results.load_results` that start from one float run

    Returns
    -------
    DataFrame
        Index: the goal in words. ``label``, ``seeds``, ``test_accuracy_w8a8`` (%), ``gain`` and ``edp_gain``
        of the candidate of largest gain; ``asked``, the gain that reaches the goal; ``lost``, points of
        accuracy against the same recipe without shared rows, where the goal has a limit on it, each run
        against that of its own seed (or, where there is none, the mean of all); ``control``, label and
        precision of that recipe, whose generator and precision may be others; ``verdict``:
        "reached", "not reached", or "not finished" where a recipe that decides it is missing.
    """
    plain = runs[(runs.bit_term == "energy") & (runs.density_rule == "uniform") & (runs.distillation == 0)]
    masked = runs[runs.generator.notna() & (runs.generator != "multiply-shift")]
    both = plain[plain.run.isin(masked.run) & (plain.method == "twofold")]
    indexed = replace(cells_only("packed"), index_rule="charged")
    cells = _priced(both[both.group == 1], indexed, indexed).assign(edp_gain=math.nan)  # not all is charged
    grouped, crossbar = whole_machine("slides", "grouped"), whole_machine("slides", "crossbar")
    shared = _priced(both[both.group > 1], grouped, crossbar)
    alone = {
        "mask": _priced(masked[(masked.method == "lfsr") & (masked.group > 1)], grouped, crossbar),
        "short codes": _priced(runs[runs.method == "rounded"], crossbar, crossbar),
    }
    ungrouped = plain[(plain.method == "twofold") & (plain.group == 1)]
    rows = {}
    for words, frame, sparsity, asked in (
        ("cells and index, packed, 50 % removed: 6x", cells, 0.5, 6.0),
        ("cells and index, packed, 90 % removed: 20x", cells, 0.9, 20.0),
        ("everything, shared rows, 50 %: 3x, with delay too, half a point lost", shared, 0.5, 3.0),
        ("everything, shared rows, 80 %: 6x", shared, 0.8, 6.0),
    ):
        rows[words] = _closest(frame[(frame.bits == 8) & _close(frame.sparsity, sparsity)], asked)
    third = rows[list(rows)[2]]
    if third["verdict"] != "not finished":
        third |= _lost(both[(both.group > 1) & (recipe_names(both) == third["run"])], ungrouped)
        enough = min(third["gain"], third["edp_gain"]) >= 3 and third["lost"] <= 0.5
        third["verdict"] = "reached" if enough else "not reached"
    short = shared[(shared.bits < 8) & _close(shared.sparsity, 0.5)]
    levers = [
        frame[_close(frame.sparsity, s)].gain.max()
        for frame, s in zip(alone.values(), (0.5, 0.0), strict=True)
    ]
    row = _closest(short, max(levers))
    if pd.isna(levers).any():  # a lever that has not finished decides nothing
        row["verdict"] = "not finished"
    rows["everything, shared rows and short codes, 50 %: more than either alone"] = row
    columns = ["label", "seeds", "test_accuracy_w8a8", "gain", "edp_gain"]
    columns += ["asked", "lost", "control", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)


def _lost(own: pd.DataFrame, others: pd.DataFrame) -> dict[str, Any]:
    """Points of accuracy that a recipe's runs lose against the best other one that is alike; and that one."""
    alike = ["sparsity", "strength", "bits", "encoding", "clip_ratio", "epochs"]
    others = others.merge(own[alike].drop_duplicates(), on=alike)
    lost = {}
    for words, control in others.groupby(others.label + ", " + others.precision):
        lost[words] = _points_lost(own, control, alike, "test_accuracy_w8a8").mean()
    control = max(lost, key=lost.__getitem__, default=None)
    return {"lost": lost.get(control, math.nan), "control": control}


def _points_lost(
    own: pd.DataFrame, control: pd.DataFrame, alike: list[str], accuracy: str = "test_accuracy"
) -> pd.Series:
    """Of each run against the control of its own seed, or where there is none the mean over seeds."""
    paired, any_seed = (control.groupby(keys)[accuracy].mean() for keys in ([*alike, "seed"], alike))
    before = own.join(paired.rename("before"), on=[*alike, "seed"]).before
    return before.fillna(own.join(any_seed.rename("before"), on=alike).before) - own[accuracy]


def _priced(runs: pd.DataFrame, machine: Machine, baseline: Machine) -> pd.DataFrame:
    """Recipes on a machine; without any, the columns that a goal asks for."""
    if runs.empty:
        return over_seeds(runs.assign(gain=0.0, edp_gain=0.0))
    return over_seeds(energies(runs, machine, baseline_model=baseline))


def _closest(candidates: pd.DataFrame, asked: float) -> dict[str, Any]:
    """The candidate of largest gain, and whether it gains enough."""
    if candidates.empty:
        return {"asked": asked, "verdict": "not finished"}
    best = candidates.loc[candidates.gain.idxmax()].to_dict()
    return best | {"asked": asked, "verdict": "reached" if best["gain"] >= asked else "not reached"}


def _close(shares: pd.Series, share: float) -> pd.Series:
    return shares.sub(share).abs() < 1e-9


def held_out_runs(start: str = TUNING_START) -> pd.DataFrame:
    """The fine-tuned runs that choices were made from, a row each: those on held-out images from ``start``.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``method``, ``sparsity``, ``strength`` (LSB^2/pJ), ``clip_ratio``,
        ``distillation``, ``encoding``, ``precision``, ``epochs``, ``cell_energy_j``, ``learning_rate``
        (peak), ``accuracy_before_pruning``, ``accuracy_after_pruning`` (%, where it was pruned on the way)
        and ``held_out_accuracy`` (%); no rows where no such run has finished.
    """
    runs = load_results()
    runs = runs[runs.held_out & (runs.init == start)]
    columns = [
        "run",
        "label",
        "method",
        "sparsity",
        "strength",
        "clip_ratio",
        "distillation",
        "encoding",
        "precision",
        "epochs",
        "cell_energy_j",
        "learning_rate",
        "accuracy_before_pruning",
        "accuracy_after_pruning",
    ]
    frame = runs[columns].assign(held_out_accuracy=runs.test_accuracy)
    return frame.sort_values(["method", "sparsity", "learning_rate", "strength"], ignore_index=True)


def best_learning_rates(frame: pd.DataFrame) -> dict[float, float]:
    """For each sparsity the learning rate with which the LFSR's mask alone, without a bit term, did best.

    Of the runs in fp32 on labels alone.
    """
    tried = frame[(frame.method == "lfsr") & (frame.distillation == 0) & (frame.precision == "fp32")]
    best = tried.loc[tried.groupby("sparsity").held_out_accuracy.idxmax()]
    return dict(zip(best.sparsity, best.learning_rate, strict=True))


def strongest_within(frame: pd.DataFrame, points: float = 1.0) -> float:
    """The largest strength of the bit term that costs at most so many points of accuracy.

    Each twofold run, of those in fp32 without another scale and distillation, is compared with the run of
    method ``lfsr`` at its sparsity and learning rate.

    Raises
    ------
    ValueError
        A twofold run has no such neighbor, or every strength costs more.
    """
    frame = frame[(frame.clip_ratio == 1) & (frame.distillation == 0) & (frame.precision == "fp32")]
    keys = ["sparsity", "learning_rate"]
    plain = frame[frame.method == "lfsr"].set_index(keys).held_out_accuracy
    tried = frame[frame.method == "twofold"].set_index(keys)
    alone = tried.run[~tried.index.isin(plain.index)]
    if len(alone):
        raise ValueError(f"no held-out run without a bit term stands beside {', '.join(alone)}")
    lost = (plain.reindex(tried.index) - tried.held_out_accuracy).set_axis(tried.strength)
    if not (lost <= points).any():
        told = ", ".join(f"{strength:g}: {value:.2f}" for strength, value in lost.items())
        raise ValueError(f"every strength costs more than {points:g} points ({told})")
    return float(lost.index[lost <= points].max())
