"""Drawings of the machines: a crossbar, its converter, what dataflows store, rows shared, signed rows."""

import numpy as np
from jaxtyping import Bool

from companion.book.figures.schematics.drawing import ACCENT, BACKGROUND, FAINT, INK, MINUS, Drawing

__all__ = ["converter", "crossbar", "dataflows", "shared_rows", "signed_rows"]


def crossbar(bits: Bool[np.ndarray, "rows columns"], inputs: Bool[np.ndarray, " rows"]) -> str:
    """Rows that carry input bits, columns that add currents, a converter below each column.

    Parameters
    ----------
    bits : what the cells store
    inputs : the input bits
    """
    rows, columns = bits.shape
    sums = (bits & inputs[:, None]).sum(0)
    drawing = Drawing(
        f"A crossbar of {rows} rows and {columns} columns. Rows whose input bit is 1 carry a voltage. Where "
        "such a row meets a cell that stores a 1 a large current flows into the column, where it meets a 0 a "
        f"small one. A converter below each column reads the sum: {', '.join(map(str, sums))}."
    )
    left, top, wide, high = 104.0, 40.0, 168.0 / max(columns - 1, 1), 40.0
    bottom = top + rows * high
    drawing.text(left - 52, 16, "input bits")
    drawing.text(left + 84, 16, "cells, one bit each")
    for row in range(rows):
        y, on = top + row * high, bool(inputs[row])
        color = ACCENT if on else FAINT
        drawing.text(left - 52, y + 5, str(int(on)), size=15, bold=on, color=ACCENT if on else INK)
        drawing.line([(left - 36, y), (left + 190, y)], color, width=2 if on else 1.2)
    for column in range(columns):
        x = left + column * wide
        drawing.arrow([(x, top - 12), (x, bottom - 2)])
        drawing.box(x - 18, bottom, 36, 26, str(sums[column]), color=ACCENT)
    for row in range(rows):
        for column in range(columns):
            x, y = left + column * wide, top + row * high
            drawing.dot(x, y, radius=7, full=bool(bits[row, column]), color=ACCENT if inputs[row] else INK)
    drawing.text(left - 32, bottom + 17, "converters", anchor="end")
    low = bottom + 50
    drawing.dot(22, low, radius=7)
    drawing.text(34, low + 4.5, "stores 1: low resistance", anchor="start")
    drawing.dot(204, low, radius=7, full=False)
    drawing.text(216, low + 4.5, "stores 0: high", anchor="start")
    return drawing.svg(low + 14)


_SUMS = (3, 5, 8, 10, 12, 14, 16, 17, 20, 22, 25, 29, 34, 41)
"""Sums of a column, in levels, of 384 that could flow: the first of eight steps is 48 levels wide."""


def converter() -> str:
    """A column of cells, and the steps of its converter for two ranges: what could flow, and what does."""
    drawing = Drawing(
        "A column of cells adds the currents of the rows whose input bit is 1, and a converter makes a "
        "number of the sum. Its eight steps are drawn twice. Spread over all that could flow, the sums that "
        "occur lie in the first step and are read as one number. Spread over what does flow, the same steps "
        "tell the sums apart, and a larger sum is cut off."
    )
    x, top, high = 46.0, 34.0, 26.0
    low = top + 5 * high
    drawing.text(x, 14, "a column")
    inputs, stored = (True, False, True, True, False), (True, True, False, True, False)
    for row, on in enumerate(inputs):
        y = top + row * high
        drawing.line([(10, y), (82, y)], ACCENT if on else FAINT, width=2 if on else 1.2)
    drawing.arrow([(x, top - 10), (x, low)])
    for row, (on, full) in enumerate(zip(inputs, stored, strict=True)):
        drawing.dot(x, top + row * high, radius=7, full=full, color=ACCENT if on else INK)
    drawing.box(10, low, 72, 26, "converter", color=ACCENT)

    left, steps, wide, tall = 112.0, 8, 29.0, 24.0
    right, first, second = left + steps * wide, 46.0, 122.0
    drawing.text(left, 20, "range: what could flow", anchor="start", bold=True)
    drawing.text(left, 38, "all sums fall into one step of eight", anchor="start")
    drawing.text(left, second + 42, "range: what does flow", anchor="start", bold=True)
    drawing.text(left, second + 60, "the same steps tell the sums apart,", anchor="start")
    drawing.text(left, second + 76, "and a larger one is cut off", anchor="start")
    for y, scale in ((first, wide / 48), (second, steps * wide / 48)):
        for step in range(steps):
            drawing.rect(left + step * wide, y, wide, tall, color=INK, name="step")
        for total in _SUMS:
            drawing.line(
                [(left + total * scale, y + 4), (left + total * scale, y + tall - 4)], ACCENT, width=1.6
            )
    drawing.line([(left, first + tall), (left, second)], FAINT, dashed=True)
    drawing.line([(left + wide, first + tall), (right, second)], FAINT, dashed=True)
    drawing.arrow([(right - 8, second + tall / 2), (right + 12, second + tall / 2)], ACCENT, width=1.6)
    return drawing.svg(second + 84)


_KEPT = np.array(
    [
        [1, 0, 1, 0, 0, 1],
        [0, 1, 0, 1, 1, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 1, 1, 0, 1],
        [1, 0, 0, 1, 0, 1],
        [0, 1, 1, 0, 1, 0],
    ],
    dtype=bool,
)

_SHARED = np.array(
    [
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
    ],
    dtype=bool,
)


def dataflows() -> str:
    """Half of the weights removed, in three machines: all cells, packed weights, kept rows of groups."""
    drawing = Drawing(
        "Three machines hold a layer of which half is removed. The crossbar stores all cells, zeros too, and "
        "a row drives all columns. The packed machine stores kept weights only, and each column needs inputs "
        "of its own, which an index names. The grouped machine has columns that share their kept rows: each "
        "group is a small crossbar, and an index names its rows."
    )
    side, high = 15.0, 140.0

    def panel(number: int, title: str, words: tuple[str, ...]) -> float:
        top = number * high
        if number:
            drawing.line([(8, top - 8), (352, top - 8)], FAINT)
        drawing.text(8, top + 14, title, anchor="start", bold=True, size=13.5)
        for line, said in enumerate(words):
            drawing.text(196, top + 46 + 18 * line, said, anchor="start")
        return top + 26

    top = panel(0, "crossbar", ("all cells, zeros too;", "a row drives all columns,", "no index"))
    for row in range(6):
        drawing.arrow([(20, top + 6.5 + row * side), (56, top + 6.5 + row * side)])
    drawing.grid(60, top, side, _KEPT)

    top = panel(
        1,
        "packed",
        ("kept weights only;", "each column has inputs", "of its own: an index", "for every weight"),
    )
    for column in range(6):
        for place, kept_row in enumerate(np.flatnonzero(_KEPT[:, column])):
            x, y = 24 + 28 * column, top + 14 + 22 * place
            drawing.text(x, y + 11, str(kept_row), anchor="end")
            drawing.rect(x + 3, y, side - 2, side - 2, fill=ACCENT, color=ACCENT, name="cell full")
    drawing.text(16, top + 96, "row of the input, then the cell", anchor="start")

    top = panel(
        2,
        "grouped",
        ("columns share kept rows;", "a group is a crossbar:", "an index for every row", "of a group"),
    )
    for group in range(2):
        rows = np.flatnonzero(_SHARED[:, 3 * group])
        for place, kept_row in enumerate(rows):
            x, y = 34 + 82 * group, top + 14 + 22 * place
            drawing.text(x - 14, y + 11, str(kept_row), anchor="end")
            drawing.arrow([(x - 11, y + 6.5), (x - 1, y + 6.5)])
            drawing.grid(x + 2, y, side, np.ones((1, 3), dtype=bool))
    drawing.text(16, top + 96, "row of the input, then three cells", anchor="start")
    return drawing.svg(3 * high - 6)


def shared_rows(kept: dict[str, Bool[np.ndarray, "rows columns"]]) -> str:
    """Masks of the same density, by how many columns share their kept rows.

    Parameters
    ----------
    kept : masks by name, three of them
    """
    drawing = Drawing(
        f"Masks of one density: {', '.join(kept)}. The more columns share their rows, the longer are the "
        "bars of kept weights, and the fewer indices name them."
    )
    each = 360 / len(kept)
    low = 0.0
    for number, (name, mask) in enumerate(kept.items()):
        side = (each - 16) / mask.shape[1]
        drawing.text(each * (number + 0.5), 14, name)
        drawing.grid(each * number + 9, 24, side, mask)
        low = max(low, 24 + side * mask.shape[0])
    return drawing.svg(low + 4)


def signed_rows() -> str:
    """Magnitudes in the cells; the rows of positive weights are driven first, those of negative ones next."""
    drawing = Drawing(
        "One packed column. Its cells hold magnitudes alone. First the rows of the positive weights are "
        "driven and their sum is converted, then those of the negative ones; the second sum is subtracted."
    )
    signs = "+-++-"
    for phase, (left, sign) in enumerate(((8.0, "+"), (188.0, "-"))):
        words = "first: rows of +" if sign == "+" else f"next: rows of {MINUS}"
        drawing.text(left + 78, 16, words, bold=True)
        for row, own in enumerate(signs):
            y, on = 40.0 + 26 * row, own == sign
            color = ACCENT if on else FAINT
            drawing.text(left + 14, y + 5, own.replace("-", MINUS), size=15, color=ACCENT if on else INK)
            drawing.line([(left + 28, y), (left + 104, y)], color, width=2 if on else 1.2)
            drawing.rect(left + 86, y - 8, 36, 16, fill=BACKGROUND, color=color)
            drawing.line([(left + 122, y), (left + 140, y)], color)
        drawing.arrow([(left + 140, 36), (left + 140, 172)])
        drawing.text(left + 140, 188, f"sum {phase + 1}", color=ACCENT)
    drawing.text(66, 188, "magnitudes", color=INK)
    drawing.text(180, 212, f"result = sum 1 {MINUS} sum 2; each cell is read once", bold=True)
    return drawing.svg(222)
