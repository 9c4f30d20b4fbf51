"""The index generator as pictures: its signals over time, its price, its masks. See `basic` for the rules."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from companion.book.figures.basic import BLUE, GREEN, ORANGE, PURPLE, RED, _axes
from companion.book.figures.page import keep_wide

__all__ = ["index_energy", "mask_quality", "walks", "waves"]


INNER, LEVELS = ("state", "raw", "scramble"), ("valid", "ready", "last")
"""Signals of a trace that are inside the generator, and those that are single bits."""


GREY = "#777777"


WAYS = {
    "rejection": (BLUE, "o"),
    "column": (GREEN, "s"),
    "counter": (ORANGE, "^"),
    "multiply-shift": (RED, "X"),
    "SRAM": (PURPLE, "D"),
    "register file": (GREY, "v"),
    "DRAM": (GREY, "P"),
}
"""How a way to say positions looks in every figure: color and marker."""


def waves(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Signals over time, a clock a unit: numbers in boxes, single bits as levels.

    Boxes of what is handed out (``index``; ``row`` and ``column``; ``pair`` and ``place``) are filled where a
    consumer takes it (``valid`` and ``ready``), hatched where it is held back or not valid. Columns as
    `study.verilog.simulate`; -1, what is not known yet, stays empty.
    """
    names = list(frame)
    digits = len(str(frame.to_numpy().max()))
    size = (max(0.42, 0.11 * digits) * len(frame) + 1.2, 0.55 * len(names) + 0.6)
    ax = _axes(ax, figsize=size)
    keep_wide(ax.figure)
    taken = (frame.valid == 1) & (frame.ready == 1)
    for row, name in enumerate(names):
        values = frame[name].tolist()
        if name in LEVELS:
            level = [value for value in values for _ in (0, 1)]
            edges = [t + end for t in range(len(values)) for end in (0, 1)]
            ax.plot(edges, [row + 0.4 - 0.7 * bit for bit in level], color=BLUE, linewidth=1.6)
            continue
        for t, value in enumerate(values):
            filled = name not in INNER and taken.iloc[t]
            repeat = name not in INNER and not filled
            ax.broken_barh(
                [(t + 0.04, 0.92)],
                (row - 0.35, 0.75),
                facecolor=(BLUE, 0.2) if filled else "none",
                edgecolor="#999999" if repeat else BLUE,
                hatch="////" if repeat else None,
            )
            if value >= 0:
                color = RED if repeat else "#333333"
                ground = dict(facecolor="#ffffff", edgecolor="none", pad=1) if repeat else None
                style: dict = dict(ha="center", va="center", fontsize=11, color=color, bbox=ground)
                ax.text(t + 0.5, row + 0.03, value, **style)
    ax.set(xlim=(0, len(frame)), ylim=(len(names) - 0.4, -0.6), xlabel="clock")
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(range(len(frame) + 1))
    ax.tick_params(labelsize=11)
    ax.grid(axis="y", visible=False)
    return ax


def walks(frame: pd.DataFrame, ends: Mapping[str, int], size: int) -> list[Axes]:
    """What generators point at clock by clock, a panel each.

    Parameters
    ----------
    frame : columns ``generator``, ``clock``, ``position`` and ``handed``: whether it is an index, rather than
        skipped
    ends : generator -> clock of its last kept index, where a line stands
    size : positions that there are
    """
    figure, grid = plt.subplots(1, len(ends), figsize=(7.2, 3.6), sharex=True, sharey=True, squeeze=False)
    axes = grid[0]
    for ax, (name, end) in zip(axes, ends.items(), strict=True):
        own = frame[frame.generator == name]
        for handed, color, words in ((True, BLUE, "handed on"), (False, RED, "skipped")):
            points = own[own.handed == handed]
            marker = "o" if handed else "x"
            (dots,) = ax.plot(points.clock, points.position, marker, color=color, markersize=3.5, label=words)
            dots.set_rasterized(True)  # a thousand marks, twice: a picture of them is a tenth as large
        ax.axvline(end, color=GREY, linestyle=":")
        ax.axhline(size, color=GREY, linewidth=1)
        ax.set(title=name, xlabel="clock")
    axes[0].set_ylabel("position")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return list(axes)


def mask_quality(frame: pd.DataFrame, names: Mapping[str, str], measures: Mapping[str, str]) -> list[Axes]:
    """Measures of masks, a panel each: a row a generator, a mark each of three densities; dotted: chance.

    Parameters
    ----------
    frame : columns ``generator``, ``density``, ``measure`` and ``value``, as `examples.over_chance`
    names : generator -> words of its row, from the top
    measures : measure -> title of its panel; an even number of them
    """
    across = len(measures) // 2
    size = (7.2, 1.8 + 0.46 * len(names))
    figure, grid = plt.subplots(2, across, figsize=size, sharey=True, squeeze=False)
    frame = frame[frame.measure.isin([*measures])]  # others must not widen a scale
    looks = (BLUE, "o"), (ORANGE, "s"), (GREEN, "^")
    marks = dict(zip(sorted(frame.density.unique()), looks, strict=True))
    for ax, (measure, title) in zip(grid.flat, measures.items(), strict=True):
        own = frame[frame.measure == measure].pivot(index="generator", columns="density", values="value")
        own = own.reindex([*names])
        for number, (density, (color, marker)) in enumerate(marks.items()):
            rows = [row + 0.22 * (number - 1) for row in range(len(names))]  # beside each other where equal
            words = f"{100 * density:.0f} % kept"
            ax.plot(own[density], rows, marker, color=color, markersize=5, label=words)
        ax.axvline(0 if measure.startswith("corr") else 1, color=GREY, linestyle=":")
        # Panels of one kind have one scale, so that what is next to nothing does not look like much.
        alike = frame[frame.measure.str.split().str[0] == measure.split()[0]].value
        reach = max(alike.max() - alike.min(), 0.1)
        ax.set_xlim(alike.min() - 0.15 * reach, alike.max() + 0.15 * reach)
        ax.set_title(title, fontsize="medium")
        ax.xaxis.set_major_locator(MaxNLocator(3))
    for ax in grid[:, 0]:
        ax.set_yticks(range(len(names)), [*names.values()])
    grid[0][0].invert_yaxis()  # of all, since they share it
    figure.legend(
        *grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small"
    )
    return list(grid.flat)


def index_energy(frame: pd.DataFrame, names: Mapping[str, str], groups: Mapping[int, str]) -> list[Axes]:
    """Joules that a kept weight pays for its index, against the share kept; a panel a group of columns.

    Parameters
    ----------
    frame : columns ``group``, ``density``, ``way``, ``weight_j``
    names : way -> the words beside its line in the last panel; those in `WAYS` that are gray are context
    groups : columns that share an index -> title of its panel
    """
    figure, grid = plt.subplots(1, len(groups), figsize=(7.2, 4.2), sharey=True, squeeze=False)
    for ax, (group, title) in zip(grid[0], groups.items(), strict=True):
        for way, words in names.items():
            own = frame[(frame.group == group) & (frame.way == way)].sort_values("density")
            if own.empty:
                continue
            color, _ = WAYS[way]
            style = "--" if way in ("SRAM", "DRAM", "register file") else "-"
            ax.plot(100 * own.density, 1e12 * own.weight_j, style, color=color, linewidth=2, label=words)
        ax.set(yscale="log", title=title, xlim=(0, 100), xlabel="weights kept (%)")
        ax.set_xticks([0, 50, 100])
    grid[0][0].set_ylabel("index of a kept weight (pJ)")
    grid[0][0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.legend(
        *grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small"
    )
    return list(grid[0])
