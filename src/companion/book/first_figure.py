"""The first figure of the first page: six networks on every machine that its switches can set."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import fmean

import pandas as pd

from companion.book.headline import TALK
from companion.study.energies import layer_energies
from companion.study.grouping import recipe_names
from companion.study.machines import TABLES, whole_machines
from companion.study.plan import TALKS_ORDER
from companion.study.results import baseline_of, load_network, load_results
from twofold import Machine, load_cell_table, network_energy
from twofold.energy.price import PARTS

__all__ = [
    "BEST",
    "EVERYTHING",
    "POINTS",
    "SLIDES",
    "SWITCHES",
    "Point",
    "State",
    "first_figure",
    "joules",
    "start_of",
]


State = tuple[str, ...]
"""A value of each of `SWITCHES`, in their order."""


BEST = "best"
"""The machine of three on which a network gains most, each network its own."""


SWITCHES: dict[str, dict[str, str]] = {
    "removed": {"50": "50 %", "90": "90 %"},
    "machine": {BEST: "best of three", "crossbar": "crossbar", "packed": "packed", "grouped": "grouped"},
    "index": {"free": "free", "generated": "generated", "stored": "stored"},
    "converter": {"none": "free", "lossless": "lossless", "constant": "slides' constant"},
    "inputs": {"free": "free", "read": "read from memory"},
    "table": {"slides": "slides", "neurosim": "NeuroSim", "isaac": "ISAAC", "neurram": "NeuRRAM"},
}
"""Switch -> its values and their words, in the order in which the page has them."""


_DATAFLOWS = tuple(name for name in SWITCHES["machine"] if name != BEST)


SLIDES: State = ("50", "packed", "free", "none", "free", "slides")
"""What the slides count: cells alone."""


EVERYTHING: State = ("50", BEST, "generated", "lossless", "read", "slides")
"""Everything charged; what the page shows first."""


@dataclass(frozen=True)
class Point:
    """A named point, and which recipe it is.

    Attributes
    ----------
    key, name
        Of its color, and what stands beside it.
    recipes
        Share removed, as `SWITCHES` has it -> name of the runs without their seeds. A text is that recipe at
        every share: one that removes nothing.
    grouped
        The same where the grouped machine has a better one: of rows that columns share, or of codes in two's
        complement, which have no pairs there. Until such a run has finished the one of `recipes` stands
        there, and the page says so.
    note
        What must be known about the runs; empty where there is nothing.
    """

    key: str
    name: str
    recipes: str | Mapping[str, str]
    grouped: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


IN_ORDER = Point(
    "talk",
    "the talk's order",
    {
        "50": TALKS_ORDER[50],
        "90": TALKS_ORDER[90],
    },
    note="The talk's order stands here with its bit term as a price on the ones of each code, at strengths "
    "that follow runs on held-out images.",
)
"""Both penalties, then the mask, then post-training."""


POINTS = (
    Point("dense", "dense, 8 bits", "dense-b8"),
    Point("short", "fewer bits", "rounded-b3-rows"),
    Point("bits", "bits only", "bits-mu500"),
    Point(
        "twofold",
        "twofold",
        {"50": "twofold-r50-mu80-b8-rows", "90": "twofold-r90-mu60-b8-rows"},
        grouped={"50": "twofold-col-g64-r50-mu125", "90": "twofold-col-g4-r90-mu125"},
    ),
    Point(
        "magnitude",
        "magnitude + bits",
        {"50": "magnitude-bits-r50-mu80-b8-rows-bf16", "90": "magnitude-bits-r90-mu60-b8-rows-bf16"},
        grouped={"50": "magnitude-bits-g4-r50-mu125", "90": "magnitude-bits-g4-r90-mu125"},
    ),
    IN_ORDER,
)
"""What the figure shows; the first is the network that all gains are over, in a crossbar."""


def first_figure(cell_table: str = TABLES["slides"]) -> dict:
    """What the page reads: the switches, the points, and their numbers in every state.

    Parameters
    ----------
    cell_table : name of the table of cells that it shows first; another one than those of `SWITCHES` has no
        switch, and the slides' is shown

    Returns
    -------
    dict
        ``switches``, `SWITCHES`. ``start``: the state to show first. ``views``: two states by name.
        ``claim``: the gains that the talk states. ``points``: ``key``, ``name``, ``note``. ``networks``:
        share removed and machine -> of each point its ``run`` and ``label``, ``accuracy`` (%, 8-bit inputs),
        ``seeds``, ``index`` ("none": all weights are kept; "register"; "memory": no register makes the mask)
        and ``shared`` (columns share their rows). ``gain``, over the dense 8-bit network in a crossbar that
        is charged for the same, and ``energy_uj``, of an image: a state, its values joined by blanks -> a
        number a point, of four digits; means over seeds. ``best``: a state of the best machine -> which one
        it is, a name a point.

    Raises
    ------
    ValueError
        A point has no finished run.
    """
    runs = load_results()
    runs = runs.assign(recipe=recipe_names(runs))[~runs.held_out]
    by_recipe = dict(list(runs.groupby("recipe")))
    chosen = {
        (removed, machine): [_recipe(point, removed, machine, by_recipe) for point in POINTS]
        for removed in SWITCHES["removed"]
        for machine in _DATAFLOWS
    }
    names = sorted(set(itertools.chain(*chosen.values())))
    over = {row.run: baseline_of(row, runs) for name in names for _, row in by_recipe[name].iterrows()}
    spent = {run: joules(run) for run in {*over, *over.values()}}
    states = list(itertools.product(*SWITCHES.values()))
    # In the order of the states, those of the best machine too, which are filled in at the end.
    gain: dict[str, list[float]] = {" ".join(state): [] for state in states}
    energy_uj: dict[str, list[float]] = {" ".join(state): [] for state in states}
    for state in states:
        if state[1] == BEST:
            continue
        own, crossbar = state[1:], ("crossbar", *state[2:])
        seeds = [by_recipe[recipe].run for recipe in chosen[state[0], state[1]]]
        ratios = [fmean(spent[over[run]][crossbar] / spent[run][own] for run in point) for point in seeds]
        amounts = [fmean(1e6 * spent[run][own] for run in point) for point in seeds]
        gain[" ".join(state)] = [float(f"{value:.4g}") for value in ratios]
        energy_uj[" ".join(state)] = [float(f"{value:.4g}") for value in amounts]
    best = _best_machines(gain)
    for key, machines in best.items():
        for numbers in (gain, energy_uj):
            on_each = (numbers[key.replace(BEST, machine)] for machine in machines)
            numbers[key] = [row[point] for point, row in enumerate(on_each)]
    return {
        "switches": SWITCHES,
        "start": start_of(cell_table),
        "views": {"slides": SLIDES, "everything": EVERYTHING},
        "claim": TALK,
        "points": [{"key": point.key, "name": point.name, "note": point.note} for point in POINTS],
        "networks": {
            " ".join(key): [_network(recipe, by_recipe[recipe]) for recipe in recipes]
            for key, recipes in chosen.items()
        },
        "best": best,
        "gain": gain,
        "energy_uj": energy_uj,
    }


def _best_machines(gain: Mapping[str, list[float]]) -> dict[str, list[str]]:
    """A state of the best machine -> on which of three each point gains most, by its gains there."""
    found = {}
    for removed, *others in itertools.product(SWITCHES["removed"], *list(SWITCHES.values())[2:]):
        on_each = [gain[" ".join((removed, machine, *others))] for machine in _DATAFLOWS]
        # Of machines with the same gain it is the first, as for a network that keeps all of its weights.
        found[" ".join((removed, BEST, *others))] = [
            _DATAFLOWS[row.index(max(row))] for row in zip(*on_each, strict=True)
        ]
    return found


def joules(run: str) -> dict[State, float]:
    """Joules of an image of a run on every machine of the switches; keys are states without `removed`.

    What a machine charges adds up, and no part depends on whether another one is charged. So each dataflow
    and table is priced once with everything charged, and every machine is a sum of those parts. Conversions
    of the slides cost one constant, whatever is converted.
    """
    machines, constant_j = _machines()
    network = load_network(run)
    unregistered = {name: replace(layer, generator=None) for name, layer in network.layers.items()}
    from_memory = network_energy(unregistered, network.activity, machines["packed", "slides"])
    stored_j = from_memory.index_j.sum() / network.images
    found: dict[State, float] = {}
    for (dataflow, table), machine in machines.items():
        whole = layer_energies(run, machine)[[*PARTS, "conversions"]].sum()
        stored = 0.0 if dataflow == "crossbar" else stored_j
        index = {"free": 0.0, "generated": whole.index_j, "stored": stored}
        converter = {"none": 0.0, "lossless": whole.adc_j, "constant": whole.conversions * constant_j}
        inputs = {"free": 0.0, "read": whole.input_j}
        for charged in itertools.product(index, converter, inputs):
            extra_j = index[charged[0]] + converter[charged[1]] + inputs[charged[2]]
            found[dataflow, *charged, table] = float(whole.cells_j + whole.sign_j + extra_j)
    return found


@cache
def _machines() -> tuple[dict[tuple[str, str], Machine], float]:
    """Machines charged for everything, by dataflow and table, and joules of the slides' conversion."""
    machines: dict[tuple[str, str], Machine] = {
        (dataflow, table): machine
        for table in SWITCHES["table"]
        for dataflow, machine in whole_machines(load_cell_table(TABLES[table])).items()
    }
    return machines, machines["packed", "slides"].table.adc_energy_j


def start_of(cell_table: str) -> State:
    """Everything charged, with the cells of that name; with the slides' where no switch has them."""
    table = next((name for name, cells in TABLES.items() if cells == cell_table), "slides")
    return (*EVERYTHING[:-1], table)


def _recipe(point: Point, removed: str, machine: str, there: Mapping[str, pd.DataFrame]) -> str:
    """What stands for a point; its own network where the one for the grouped machine has not finished."""
    own = point.recipes if isinstance(point.recipes, str) else point.recipes[removed]
    if machine == "grouped" and point.grouped.get(removed) in there:
        own = point.grouped[removed]
    if own not in there:
        raise ValueError(f"no run of {own} has finished, which the first figure shows as {point.name!r}")
    return own


def _network(recipe: str, seeds: pd.DataFrame) -> dict[str, str | float | int | bool]:
    """What the page says of a network, of its rows of the results table."""
    first = seeds.iloc[0]
    register = isinstance(first.generator, str)
    return {
        "run": recipe,
        "label": first.label,
        "accuracy": float(f"{seeds.test_accuracy_w8a8.mean():.6g}"),
        "seeds": len(seeds),
        "index": "none" if first.sparsity == 0 else "register" if register else "memory",
        "shared": bool(first.group > 1),
    }
