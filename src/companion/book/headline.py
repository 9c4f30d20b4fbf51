"""The one figure: drawn on the first page of the book, and kept as files for README, where no code runs."""

import hashlib
import io
from pathlib import Path

import pandas as pd

from companion import paths
from companion.book.figures import basic as plots
from companion.study.energies import cells_only, energies
from companion.study.grouping import over_seeds, shown_first, with_series
from companion.study.results import load_results, starting_from

__all__ = ["SCHEMES", "data_mark", "headline_points", "save_headline"]


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
"""What the colors of `plots.use_style` become on a dark page; the methods' own stay."""


def headline_points() -> pd.DataFrame:
    """Accuracy (8-bit weights and inputs) and energy an image of the study's networks: packed, no ADC or LIG.

    A row a recipe of `series.shown_first`, means over seeds. Columns ``run``, ``method``, ``strength``,
    ``sparsity``, ``energy_j``, ``test_accuracy`` (%), ``gain``, and what `plots.accuracy_against_energy`
    writes.
    """
    runs = starting_from(load_results())
    frame = energies(runs[shown_first(runs)], cells_only("packed"))
    frame = with_series(over_seeds(frame.assign(test_accuracy=frame.test_accuracy_w8a8)))
    frame = frame.sort_values(["sparsity", "strength", "run"], ignore_index=True)
    columns = ["run", "method", "strength", "sparsity", "energy_j", "test_accuracy", "gain"]
    return frame[[*columns, "kind", "series", "note", "lowest", "highest"]]


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
        partial = path.with_suffix(".svg.partial")
        partial.write_text(drawing, encoding="utf-8")
        partial.replace(path)
        written.append(path)
    return written
