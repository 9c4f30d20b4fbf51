"""Words beside the points of a figure, placed so that they hide neither points nor one another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

__all__ = ["write_notes"]


LETTER, LINE, MARK = 4.9, 9.0, 7.0
"""Printer's points: the mean width of a letter of a note, a note's height, and half of a point's mark."""


def write_notes(ax: Axes, x: pd.Series, y: pd.Series, notes: Sequence[str], colors: Sequence[str]) -> None:
    """Write each note beside its point, where it covers least of the points and of the notes before it.

    Parameters
    ----------
    x, y : coordinates of the points, shape (n,), in units of the axes
    notes, colors : a note and a matplotlib color a point; an empty note writes nothing
    """
    if (figure := ax.get_figure(root=True)) is not None:
        figure.draw_without_rendering()  # the layout moves the panel; room is counted in printer's points
    spots = ax.transData.transform(np.column_stack([x, y]).astype(float)) * 72 / ax.figure.dpi
    taken = [(left - MARK, low - MARK, left + MARK, low + MARK) for left, low in spots]
    for at, (left, low), note, color in zip(zip(x, y, strict=True), spots, notes, colors, strict=True):
        width = LETTER * len(note)
        places = [(side, rise) for rise in (-4.5, -12, 3, -21, 12) for side in (8, -8 - width)]
        places += [(-width / 2, 8), (-width / 2, -17)]
        boxes = [(left + dx, low + dy, left + dx + width, low + dy + LINE) for dx, dy in places]
        best = int(np.argmin([sum(_shared(box, other) for other in taken) for box in boxes]))
        taken.append(boxes[best])
        style: dict = dict(textcoords="offset points", fontsize="x-small", color=color)
        ax.annotate(note, at, xytext=places[best], **style)


def _shared(box: tuple, other: tuple) -> float:
    """Area that two boxes (left, low, right, high) have in common."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(width, 0.0) * max(height, 0.0)
