"""The one figure and its table: on the first page of the book, and for README, where no code runs."""

import hashlib
import io
from pathlib import Path

import pandas as pd

from companion import paths
from companion.book.figures import basic as plots
from companion.book.series import as_series
from companion.study.energies import cells_only, energies, headline, machines
from companion.study.grouping import over_seeds, recipe_names
from companion.study.results import load_results
from twofold._files import written_whole

__all__ = [
    "RECIPES",
    "SCHEMES",
    "data_mark",
    "headline_points",
    "headline_runs",
    "readme_table",
    "save_headline",
]


RECIPES = (
    "dense-b8",
    *("bits-mu60", "bits-mu125", "bits-mu250", "bits-mu500", "bits-mu1000"),
    *("rounded-b3-rows", "bits-mu0.8-b3-rows", "bits-mu2-b5-rows"),
    *("lfsr-ms-r50", "iid-r50", "magnitude-r50", "magnitude-bits-r50-mu125"),
    *("twofold-ms-r50-mu125", "twofold-ms-r50-mu500"),
    *("twofold-ms-r50-mu80-b8-rows", "twofold-ms-r50-mu400-b8-rows"),
    *("lfsr-ms-r50-b3-rows", "twofold-ms-r50-mu0.8-b3-rows", "twofold-ms-r50-mu1-b5-rows"),
    *("lfsr-ms-r90", "iid-r90", "magnitude-r90", "magnitude-bits-r90-mu125", "twofold-ms-r90-mu125"),
    *("twofold-ms-r90-mu60-b8-rows", "twofold-ms-r90-mu200-b8-rows"),
    *("lfsr-ms-r90-b5-rows", "twofold-ms-r90-mu1-b5-rows"),
)
"""What README and the first page show: names of runs without their seeds."""


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
"""What the colors of `figures.basic.use_style` become on a dark page; the methods' own stay."""


def headline_runs() -> pd.DataFrame:
    """The finished runs of `RECIPES`, all seeds: rows of `results.load_results`.

    Raises
    ------
    ValueError
        A recipe has no finished run.
    """
    runs = load_results()
    names = recipe_names(runs)
    missing = sorted(set(RECIPES) - set(names))
    if missing:
        raise ValueError(f"no finished run of {', '.join(missing)}, which the first figure shows")
    return runs[names.isin(RECIPES)]


def headline_points() -> pd.DataFrame:
    """Accuracy (8-bit inputs too) and energy an image of `RECIPES`: packed, neither ADC nor index charged.

    A row a recipe, means over seeds. Columns ``run``, ``method``, ``energy_j``, ``test_accuracy`` (%),
    ``gain``, and what `figures.basic.accuracy_against_energy` writes.
    """
    frame = energies(headline_runs(), cells_only("packed"))
    frame = as_series(over_seeds(frame.assign(test_accuracy=frame.test_accuracy_w8a8)))
    frame = frame.sort_values(["sparsity", "strength", "run"], ignore_index=True)
    told_apart = ["method", "series", "bit_term", "strength", "bits", "sparsity", "note"]
    return frame[["run", *told_apart, "energy_j", "test_accuracy", "gain", "lowest", "highest"]]


def readme_table() -> str:
    """The table of `RECIPES` in Markdown: no converter charged, the baseline in two's complement."""
    table = headline(headline_runs(), machines(cells_only("packed")))
    head = ["network", *table.columns]
    lines = [head, ["---", *["---:"] * len(table.columns)]]
    for row in table.itertuples(name=None):
        lines.append([f"{value:.2f}" if isinstance(value, float) else f"{value}" for value in row])
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

    points, file = headline_points(), io.StringIO()
    plots.use_style()
    axes = plots.accuracy_against_energy(points)
    figure = plt.gcf()
    axes.set_xlabel("energy of the cells for one image")
    about = {"Date": None, "Title": "Accuracy against energy", "Description": data_mark(points)}
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
