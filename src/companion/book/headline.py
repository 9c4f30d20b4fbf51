"""The one figure and its table: on the first page of the book, and for README, where no code runs."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd

from companion import paths
from companion.book.figures import basic as plots
from companion.book.figures.energy import accuracy_against_gain
from companion.book.series import brief, by_share, families
from companion.study.energies import energies
from companion.study.grouping import over_seeds, recipe_names
from companion.study.levers import best_machine, on_front
from companion.study.machines import whole_machines
from companion.study.plan import TALKS_ORDER
from companion.study.results import load_results, starting_from
from twofold import CellTable, Machine, load_cell_table
from twofold._files import written_whole

__all__ = [
    "IN_ORDER",
    "PANELS",
    "RECIPES",
    "SCHEMES",
    "TALK",
    "data_mark",
    "first_page_runs",
    "headline_points",
    "headline_runs",
    "headline_table",
    "priced",
    "readme_table",
    "save_headline",
]


RECIPES = (
    "dense-b8",
    "rounded-b3-rows",
    TALKS_ORDER[50],
    "twofold-col-g64-r50-mu125",
    "twofold-col-g64-r50-mu0.8-b3-rows",
    "magnitude-bits-g64-r50-mu0.8-b3-rows",
    "magnitude-bits-r50-mu125",
    TALKS_ORDER[90],
    "magnitude-bits-r90-mu125",
)
"""What the table shows, as far as it has finished: names of runs without their seeds."""


PANELS = {"cells": "cells alone, packed", "whole": "everything charged"}
"""What is charged -> the title of its panel."""


IN_ORDER = ", counts, β 100, λ 0.1, masks from epoch 6"
"""What the label of a network in the talk's order says of it; the tables say it shorter."""


TALK = (2.2, 14.0)
"""The gains that the talk's abstract states, at 10 and at 90 % removed."""


SCHEMES = ("light", "dark")


_DARK = {
    "#ffffff": "#0d1117",  # the page, as GitHub has it in the dark
    "#000000": "#e6e6e6",
    "#333333": "#e6e6e6",  # the dense networks, drawn in near black
    "#262626": "#d0d0d0",  # axes and their labels
    "#555555": "#b8b8b8",
    "#e4e4e4": "#3a3f47",  # the grid
    "#cccccc": "#5a5f67",
}
"""What the colors of `figures.basic.use_style` become on a dark page; the families' own stay."""


def headline_runs() -> pd.DataFrame:
    """The finished runs that the figure draws, quantized and from the study's start: rows of `load_results`.

    Raises
    ------
    ValueError
        The dense network that all gains are over has no finished run.
    """
    runs = starting_from(load_results())
    runs = runs[runs.method != "dense"]
    if RECIPES[0] not in set(recipe_names(runs)):
        raise ValueError(f"no finished run of {RECIPES[0]}, which all gains of the first figure are over")
    return runs


def first_page_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Those of `headline_runs` that the first page names, tables or draws as curves: all that it prices."""
    drawn = {*RECIPES, *by_share(over_seeds(runs)).run}
    return runs[recipe_names(runs).isin(drawn)]


def priced(runs: pd.DataFrame, cells: CellTable) -> dict[str, pd.DataFrame]:
    """The recipes of some runs by what is charged, with accuracies of 8-bit inputs; means over seeds.

    Returns
    -------
    dict
        Columns of `energies.energies`. ``cells`` and ``index``: cells and signs of packed weights, without
        and with their index, over the dense network as it is there. ``whole``: everything, each recipe on
        the machine where it gains most energy (``machine``), over the dense network in a crossbar.
    """
    judged = runs.assign(test_accuracy=runs.test_accuracy_w8a8)
    packed = Machine.cells_only(cells, "packed")
    accounts = {"cells": packed, "index": replace(packed, index_rule="charged")}
    found = {name: over_seeds(energies(judged, machine)) for name, machine in accounts.items()}
    whole = whole_machines(cells)
    on_each: dict[str, pd.DataFrame] = {
        name: over_seeds(energies(judged, machine, baseline_model=whole["crossbar"]))
        for name, machine in whole.items()
    }
    return found | {"whole": best_machine(on_each)}


def headline_points(accounts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The points of the first figure: accuracy (8-bit inputs too) against gain, by what is charged.

    A row a recipe and panel. Columns ``run``, ``panel``, ``series``, ``gain``, ``test_accuracy`` (%),
    ``seeds``, ``front``, as `figures.energy.accuracy_against_gain` draws them. Networks that the talk's order
    ruined, below 60 %, are left out.

    Parameters
    ----------
    accounts : as `priced`
    """
    frames = [accounts[name].assign(panel=title) for name, title in PANELS.items()]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[frame.test_accuracy > 60]
    frame = frame.assign(series=families(frame))
    frame = frame.assign(front=on_front(frame, "gain", "test_accuracy", ["panel", "series"]))
    frame = frame.sort_values(["panel", "series", "gain", "run"], ignore_index=True)
    return frame[["run", "panel", "series", "gain", "test_accuracy", "seeds", "front"]]


def headline_table(accounts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table of `RECIPES` that have finished, a row each: accuracy, and gains by what is charged."""
    cells, index, whole = (accounts[name].set_index("run") for name in ("cells", "index", "whole"))
    there = [name for name in RECIPES if name in cells.index]
    table = pd.DataFrame(
        {
            "accuracy (%)": cells.test_accuracy,
            "cells": cells.gain,
            "cells + index": index.gain,
            "everything": whole.gain,
            "machine": whole.machine,
            "with delay": whole.edp_gain,
            "arrays": whole.arrays.round().astype(int),
            "seeds": cells.seeds,
        }
    ).loc[there]
    labels = brief(cells.label[there]).str.replace(IN_ORDER, ", the talk's order", regex=False)
    return table.set_axis(labels, axis=0).rename_axis(None)


def readme_table() -> str:
    """`headline_table` in Markdown, with the slides' cells."""
    names = recipe_names(runs := headline_runs())
    table = headline_table(priced(runs[names.isin(RECIPES)], load_cell_table()))
    forms = {"accuracy (%)": "{:.1f}", "machine": "{}", "arrays": "{:,.0f}", "seeds": "{:,.0f}"}
    sides = ["---" if name == "machine" else "---:" for name in table.columns]
    lines = [["network", *table.columns], ["---", *sides]]
    for label, row in table.iterrows():
        values = [forms.get(name, "{:.1f}x").format(row[name]) for name in table.columns]
        lines.append([str(label), *values])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def data_mark(points: pd.DataFrame) -> str:
    """A short name of the points drawn, to six digits: a file that carries another one is out of date."""
    text = points.to_csv(index=False, float_format="%.6g")
    return f"points {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def save_headline() -> list[Path]:
    """Draw the one figure for README, light and dark: ``data/results/headline-<scheme>.svg``.

    The same points give the same bytes with the same matplotlib; the mark of the points is in each file.
    """
    from matplotlib import pyplot as plt

    points, file = headline_points(priced(headline_runs(), load_cell_table())), io.StringIO()
    plots.use_style()
    accuracy_against_gain(points, TALK)
    figure = plt.gcf()
    about = {"Date": None, "Title": "Accuracy against gain", "Description": data_mark(points)}
    figure.savefig(file, format="svg", metadata=about)
    plt.close(figure)
    written = []
    for scheme in SCHEMES:
        drawing = file.getvalue()
        for light, dark in _DARK.items() if scheme == "dark" else ():
            drawing = drawing.replace(light, dark)
        path = paths.results_dir() / f"headline-{scheme}.svg"
        with written_whole(path) as partial:
            partial.write_text(drawing, encoding="utf-8", newline="\n")
        written.append(path)
    return written
