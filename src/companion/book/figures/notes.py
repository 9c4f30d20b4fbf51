"""Words beside the points of a figure, placed so that they hide neither points nor one another."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from companion.book.figures.page import when_narrow

__all__ = ["NOTE", "write_notes"]


NOTE = 9.0
"""Size of small words, in printer's points: in a column of text they have 11 pixels, the least to be read."""

LETTER, LINE, MARK, CURVE = 5.2, 9.5, 6.0, 1.5
"""Printer's points: a letter of a note in the mean, a note's height, half of a small mark and of a line."""

STEPS = 12
"""Spots of a line between two points: a note steps aside for each of them."""


def write_notes(
    ax: Axes,
    x: pd.Series,
    y: pd.Series,
    notes: Sequence[str],
    colors: Sequence[str],
    *,
    legend_if_narrow: bool = False,
) -> None:
    """Write each note beside its point, where it covers least of the lines, points and notes before it.

    They are placed anew in the narrow figure of a phone, within its panel, which they would narrow further.

    Parameters
    ----------
    x, y : coordinates of the points, shape (n,), in units of the axes
    notes, colors : a note and a matplotlib color a point; an empty note writes nothing
    legend_if_narrow : have a legend of the labeled lines in a narrow figure instead: long notes find no room
    """
    figure = ax.get_figure(root=True)
    assert figure is not None  # only axes that were removed have none
    written: list[Annotation] = []

    def write(within: bool) -> None:
        while written:
            written.pop().remove()
        figure.draw_without_rendering()  # the layout moves the panel; room is counted in printer's points
        unit = 72 / figure.dpi
        left, low, right, high = np.array(ax.bbox.extents) * unit
        taken = [(left - 999, low, left, high)]
        taken += [(right, low, right + 999, high)] if within else []
        taken += [box for line in ax.lines for box in _boxes(line, unit)]
        taken += [tuple(np.array(text.get_window_extent().extents) * unit) for text in ax.texts]
        spots = ax.transData.transform(np.column_stack([x, y]).astype(float)) * unit
        for at, spot, note, color in zip(zip(x, y, strict=True), spots, notes, colors, strict=True):
            place, box = _free(spot, LETTER * len(note), taken)
            taken.append(box)
            style: dict = dict(textcoords="offset points", fontsize=NOTE, color=color)
            written.append(ax.annotate(note, at, xytext=place, **style))

    def explain() -> None:
        while written:
            written.pop().remove()
        handles, words = ax.get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", fontsize="small")
        figure.set_figheight(figure.get_figheight() + 0.22 * len(words))

    write(within=False)
    when_narrow(figure, explain if legend_if_narrow else lambda: write(within=True))


def _boxes(line: Line2D, unit: float) -> list[tuple]:
    """What a line and its marks take: boxes (left, low, right, high) in printer's points."""
    spots = line.get_transform().transform(line.get_xydata()) * unit
    half = max(MARK, line.get_markersize() / 2 + 0.5)
    marks = [(spot, half) for spot in spots] if line.get_marker() not in ("", "None", None) else []
    shares = np.linspace(0, 1, STEPS, endpoint=False)[1:, None]
    if line.get_linestyle() != "None":
        for start, end in pairwise(spots):
            marks += [(spot, CURVE) for spot in start + shares * (end - start)]
    return [(*(spot - half), *(spot + half)) for spot, half in marks]


def _free(spot: np.ndarray, width: float, taken: Sequence[tuple]) -> tuple[tuple[float, float], tuple]:
    """Where a note of a width covers least of the boxes: its distance from the point, and its own box."""
    sides, middle = (8.0, -8.0 - width), -width / 2
    near = [(side, -4.5) for side in sides] + [(middle, 8.0), (middle, -17.0)]
    places = near + [(side, rise) for rise in (3.0, -12.0, 12.0, -21.0) for side in sides]
    boxes = [(*(spot + place), *(spot + place + (width, LINE))) for place in map(np.array, places)]
    best = int(np.argmin([sum(_shared(box, other) for other in taken) for box in boxes]))
    return places[best], boxes[best]


def _shared(box: tuple, other: tuple) -> float:
    """Area that two boxes (left, low, right, high) have in common."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(width, 0.0) * max(height, 0.0)
