"""Pictures of what machines spend: a tidy frame in, matplotlib Axes out; nothing is computed here."""

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from companion.book.figures.basic import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    TEAL,
    _error_scale,
    _log_scale,
    hollow_where_single,
)
from companion.book.figures.notes import NOTE, write_notes
from companion.book.figures.page import LINE, when_narrow

__all__ = [
    "PARTS",
    "RECIPE_STYLE",
    "SERIES_STYLE",
    "SLIDE_STYLE",
    "account_bars",
    "accuracy_against_gain",
    "energy_against_sparsity",
    "gain_panels",
    "lever_dots",
]


PARTS = {
    "cells_j": ("cells", BLUE),
    "sign_j": ("sign", SKY),
    "adc_j": ("converters", ORANGE),
    "input_j": ("inputs", PURPLE),
    "index_j": ("index", GREEN),
}
"""What joules are charged for -> its word and color."""


SERIES_STYLE = {
    "dense, 8 bits": (BLACK, "D"),
    "cheap codes": (GREEN, "P"),
    "fewer bits": ("#8C6A00", "d"),
    "LFSR mask": (BLUE, "o"),
    "twofold": (RED, "*"),
    "magnitude masks": (PURPLE, "X"),
}
"""Family of networks -> color and marker; those of `figures.basic.METHOD_STYLE`. All others are gray dots."""

GRAY = "#8a8a8a"


def _ratios(ax: Axes, axis: str = "x") -> None:
    """A logarithmic axis of ratios: 1x, 2x, 5x, 10x."""
    _log_scale(ax, lambda value, _: f"{value:g}x", axis)


RECIPE_STYLE = {
    "LFSR mask": (BLUE, "o", "-"),
    "twofold": (RED, "*", "-"),
    "twofold, signed rows": (RED, "P", "--"),
    "3 bits, signed rows": ("#8C6A00", "d", "--"),
    "magnitude + bits": (PURPLE, "X", "-"),
    "magnitude + bits, signed rows": (PURPLE, "^", "--"),
}
"""Curve over the share removed -> color, marker and line. Signed rows are dashed, in their kind's color."""


SLIDE_STYLE = {
    "LFSR mask": ("LFSR mask alone", BLUE, "o"),
    "joint": ("twofold, the talk's order", TEAL, "s"),
    "twofold": ("twofold, codes chosen by energy", RED, "*"),
}
"""What is drawn beside the dense network, by the share removed -> its words, color and marker."""


def energy_against_sparsity(frame: pd.DataFrame, claims: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Joules of an image against the share removed (%): dense, a mask alone, twofold in two ways.

    With a legend, unless it is drawn into axes of the caller's.

    Parameters
    ----------
    frame : columns ``series`` (of `SLIDE_STYLE`, or left out), ``sparsity`` (share), ``seeds``, ``energy_j``,
        ``gain`` over the dense network
    claims : gains that others state, columns ``sparsity``, ``gain``
    """
    alone = ax is None
    ax = plt.subplots(figsize=(7.2, 4.2))[1] if ax is None else ax
    dense_j = (frame.energy_j * frame.gain).iloc[0]
    ax.axhline(dense_j, color=BLACK, linewidth=1.4, label="dense, 8 bits")
    for series, (words, color, marker) in SLIDE_STYLE.items():
        line = frame[frame.series == series].sort_values("sparsity")
        size = 11 if marker == "*" else 6
        x, y = 100 * line.sparsity, line.energy_j
        (drawn,) = ax.plot(x, y, color=color, marker=marker, markersize=size, label=words)
        hollow_where_single(ax, drawn, line.seeds)
    ax.plot(100 * claims.sparsity, dense_j / claims.gain, "x", color=BLACK, markersize=9, label="the talk")
    ax.set(
        yscale="log", xlabel="overall sparsity (%)", ylabel="energy of an image, cells alone", xlim=(-3, 100)
    )
    ax.yaxis.set_major_formatter(EngFormatter("J"))
    if alone:
        ax.legend(fontsize="small", loc="lower left")
    told = claims.gain.map("{:g}x".format).tolist()
    write_notes(ax, 100 * claims.sparsity, dense_j / claims.gain, told, [BLACK] * len(told))
    return ax


def gain_panels(
    frame: pd.DataFrame, claims: pd.DataFrame, ceilings: Mapping[str, float] | None = None
) -> list[Axes]:
    """Energy gain against the share removed (%), a panel a machine, a line each of `RECIPE_STYLE`.

    Parameters
    ----------
    frame : columns ``panel``, ``series``, ``sparsity`` (share), ``seeds``, ``gain``; others are left out
    claims : columns ``sparsity``, ``gain``
    ceilings : by panel, the gain of a network of nothing but zeros, dotted
    """
    names = list(dict.fromkeys(frame.panel))
    figure, grid = plt.subplots(1, len(names), figsize=(7.2, 4.0), sharex=True, sharey=True, squeeze=False)
    for ax, name in zip(grid.flat, names, strict=True):
        own = frame[frame.panel == name]
        for series, (color, marker, style) in RECIPE_STYLE.items():
            line = own[own.series == series].sort_values("sparsity")
            size = 11 if marker == "*" else 6
            look = dict(color=color, marker=marker, linestyle=style, markersize=size, linewidth=1.4)
            (drawn,) = ax.plot(100 * line.sparsity, line.gain, **look, label=series)
            hollow_where_single(ax, drawn, line.seeds)
        ax.plot(100 * claims.sparsity, claims.gain, "x", color=BLACK, markersize=9, label="the talk")
        if ceilings and name in ceilings:
            ax.axhline(ceilings[name], color=BLACK, linestyle=":", label="nothing but zeros")
        ax.set(title=name, xlabel="weights removed (%)")
        _ratios(ax, "y")
    grid[0, 0].set_ylabel("energy gain over dense 8 bits")
    lines = {line.get_label(): line for ax in grid.flat for line in ax.get_legend_handles_labels()[0]}
    figure.legend(handles=[*lines.values()], fontsize="small", ncols=3, loc="outside lower center")
    return list(grid.flat)


def account_bars(frame: pd.DataFrame, *, longest_j: float | None = None) -> Axes:
    """Joules of an image in stacked bars, by `PARTS`; the bars of a network stand under its name.

    Parameters
    ----------
    frame
        Columns ``network``, ``bar`` (what tells its bars apart), `PARTS`, and what is written at a bar's end:
        ``gain``, ``edp_gain``, ``arrays``.
    longest_j
        Where the axis ends; a longer bar is cut, and its note stands inside. None: all are drawn whole.
    """
    figure, ax = plt.subplots(figsize=(7.2, 2.0))
    lines = _draw_account(ax, frame, longest_j)
    figure.set_figheight(0.9 + 0.24 * lines)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, borderaxespad=0.2, fontsize="small")

    def draw_narrow() -> None:
        ax.clear()
        more = _draw_account(ax, frame, longest_j, narrow=True) - lines
        figure.set_figheight(figure.get_figheight() + 0.24 * more)

    when_narrow(figure, draw_narrow)
    return ax


def _draw_account(ax: Axes, frame: pd.DataFrame, longest_j: float | None, *, narrow: bool = False) -> float:
    """Draw the bars of `account_bars`; returns lines of height. Narrow, the words of a bar stand above it."""
    step, first, after = (1.6, 1.5, 1.0) if narrow else (0.8, 0.85, 1.15)
    heights, heads, at = [], [], 0.0
    for name, own in frame.groupby("network", sort=False):
        lines = wrap(name, LINE) if narrow else [name]
        heads += [(at + 0.9 * number, line) for number, line in enumerate(lines)]
        heights += [heads[-1][0] + first + step * number for number in range(len(own))]
        at = heights[-1] + after
    left = np.zeros(len(frame))
    for column, (word, color) in PARTS.items():
        ax.barh(heights, frame[column], left=left, color=color, label=word, height=0.7)
        left = left + frame[column].to_numpy()
    end = left.max() if longest_j is None else longest_j
    for height, total, row in zip(heights, left, frame.itertuples(), strict=True):
        note = f"{row.gain:.2g}x, EDP {row.edp_gain:.2g}x, {row.arrays:,.0f} arrays"
        inside = total > end and not narrow
        style: dict = dict(va="center_baseline", fontsize=NOTE, in_layout=False)
        if narrow:
            ax.text(0, height - 0.75, f"{row.bar}: {note}", **style)
        elif inside:
            ax.text(end, height, f"{note} ", ha="right", color="white", fontweight="bold", **style)
        else:
            ax.text(total, height, f" {note}", color=BLACK, **style)
    for height, line in heads:
        ax.text(0, height, line, va="center_baseline", fontsize="small", fontweight="bold", in_layout=False)
    ax.set_yticks([] if narrow else heights, [] if narrow else frame.bar.tolist(), fontsize=NOTE)
    width = end if narrow or longest_j else 1.45 * end
    ax.set(ylim=(at - 0.5, -0.6), xlim=(0, width), xlabel="energy of an image")
    ax.xaxis.set_major_formatter(EngFormatter("J"))
    if narrow:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.grid(axis="y", visible=False)
    return at


def accuracy_against_gain(frame: pd.DataFrame, marked: tuple[float, float] | None = None) -> list[Axes]:
    """Accuracy (%) against what is gained over dense 8 bits, a panel a machine or quantity.

    The best networks of each family are joined and named, those that none of it exceeds in both; all others
    are gray dots, for scale. Up and to the right is better.

    Parameters
    ----------
    frame
        Columns ``panel``, ``series``, ``gain``, ``test_accuracy`` (%), ``seeds`` and ``front`` (one of the
        best).
    marked
        A range of gains that is shaded in the first panel.
    """
    names = list(dict.fromkeys(frame.panel))
    figure, grid = plt.subplots(1, len(names), figsize=(7.2, 4.6), sharey=True, squeeze=False)
    for ax, name in zip(grid.flat, names, strict=True):
        own = frame[frame.panel == name]
        _error_scale(ax)
        if marked is not None and name == names[0]:
            ax.axvspan(*marked, color="#cccccc", alpha=0.35, linewidth=0)
            ax.text(marked[0], 0.02, " the talk's range", transform=ax.get_xaxis_transform(), fontsize=NOTE)
        others = own[~own.front | ~own.series.isin(SERIES_STYLE)]
        ax.plot(others.gain, others.test_accuracy, ".", color=GRAY, markersize=5)
        for series, (color, marker) in SERIES_STYLE.items():
            best = own[own.front & (own.series == series)].sort_values("gain")
            size = 11 if marker == "*" else 6
            x, y = best.gain, best.test_accuracy
            (drawn,) = ax.plot(x, y, color=color, marker=marker, markersize=size, linewidth=1.3, label=series)
            hollow_where_single(ax, drawn, best.seeds)
        ax.set(title=name, xlabel="gain over dense 8 bits")
        _ratios(ax)
    grid[0, 0].set_ylabel("accuracy with 8-bit inputs (%)")
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), fontsize="small", ncols=3, loc="outside lower center"
    )
    return list(grid.flat)


def lever_dots(frame: pd.DataFrame) -> list[Axes]:
    """What each lever gains, a panel a device table: a dot in energy, a ring in energy times delay.

    Columns ``lever``, ``panel``, ``gain``, ``edp_gain``; a lever without a gain is said not to have finished.
    """
    levers, names = list(dict.fromkeys(frame.lever)), list(dict.fromkeys(frame.panel))
    rows = -(-len(names) // 2)
    figure, grid = plt.subplots(
        rows,
        min(2, len(names)),
        figsize=(7.2, rows * (0.9 + 0.24 * len(levers))),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax, name in zip(grid.flat, names, strict=False):
        own = frame[frame.panel == name].set_index("lever").loc[levers]
        at = np.arange(len(levers))
        ax.axvline(1, color=GRAY, linewidth=1)
        ax.hlines(at, own.gain, own.edp_gain, color="#cccccc", linewidth=1.2)
        ax.plot(own.gain, at, "o", color=BLUE, markersize=6, label="energy")
        ax.plot(own.edp_gain, at, "o", color=RED, markersize=6, fillstyle="none", label="energy x delay")
        for row in np.flatnonzero(own.gain.isna()):
            ax.text(1, row, "  not finished", va="center", fontsize=NOTE, color=GRAY)
        ax.set_yticks(at, levers, fontsize=NOTE)
        ax.set(title=name)
        _ratios(ax)
    for ax in grid[-1]:
        ax.set_xlabel("gain over dense 8 bits")
    grid[0, 0].invert_yaxis()
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), fontsize="small", ncols=2, loc="outside lower center"
    )
    return list(grid.flat)[: len(names)]
