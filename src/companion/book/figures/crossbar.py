"""Pictures of the crossbar chapter: a tidy frame in, a matplotlib Axes out; nothing is computed here."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from companion.book.figures.basic import METHOD_STYLE

__all__ = ["accuracy_curves", "column_loads"]


GRAY = "#8a8a8a"


def accuracy_curves(
    frame: pd.DataFrame, x: str, xlabel: str, panels: str, marked: int | float | None = None
) -> list[Axes]:
    """Test accuracy (%) over ``x``, a line a network, a panel a value of ``panels``; a band over seeds.

    Color and marker are the method's; the more weights removed, the finer the line. Columns ``label``,
    ``method``, ``sparsity``, ``test_accuracy`` and the two named. Where ``x`` is ``marked``, a line stands.
    """
    names = list(frame[panels].unique()) or [""]
    lines = dict(zip(sorted(frame.sparsity.unique()), ("-", "--", ":", "-."), strict=False))
    figure, grid = plt.subplots(1, len(names), figsize=(7.2, 4.2), sharey=True, squeeze=False)
    for ax, name in zip(grid.flat, names, strict=True):
        own = frame[frame[panels] == name].sort_values(["sparsity", "method"])
        for label, same in own.groupby("label", sort=False):
            first = same.iloc[0]
            color, marker, _ = METHOD_STYLE[first.method]
            spread = same.groupby(x).test_accuracy.agg(["mean", "min", "max"])
            ax.plot(
                spread.index,
                spread["mean"],
                linestyle=lines.get(first.sparsity, "-"),
                marker=marker,
                markersize=10 if marker == "*" else 6,
                color=color,
                label=label,
            )
            ax.fill_between(spread.index, spread["min"], spread["max"], alpha=0.15, color=color, lw=0)
        ax.set(
            title=str(name).replace("_", " "), xlabel=xlabel, ylim=(0, 100), xticks=sorted(own[x].unique())
        )
    grid[0, 0].set_ylabel("test accuracy (%)")
    known = {line.get_label(): line for ax in grid.flat for line in ax.lines}
    if known:
        handles, words = list(known.values()), [str(name) for name in known]
        figure.legend(handles, words, fontsize="small", loc="outside lower center", ncols=2)
    for ax in grid.flat if marked is not None else ():
        ax.axvline(marked, color=GRAY, linestyle=":")
    return list(grid.flat)


def column_loads(frame: pd.DataFrame) -> Axes:
    """What columns carry, by slice and network: a dot at the mean sum, a ring at the largest; logarithmic.

    Color and marker are the method's. Columns ``label``, ``method``, ``slice`` (0 the most significant),
    ``mean``, ``largest`` and ``worst_case``, all three in levels.
    """
    figure, ax = plt.subplots(figsize=(7.2, 4.4))
    slices = sorted(frame.slice.unique())
    names = list(dict.fromkeys(frame.label))
    most = frame.worst_case.max()
    ax.axhline(most, color=GRAY, linewidth=1.2)
    ax.annotate("what could flow", (slices[0], most), (0, 5), textcoords="offset points")
    for number, name in enumerate(names):
        own = frame[frame.label == name].sort_values("slice")
        color, marker, _ = METHOD_STYLE[own.method.iloc[0]]
        at = own.slice + 0.13 * (number - (len(names) - 1) / 2)
        size = 11 if marker == "*" else 7
        ax.vlines(at, own["mean"], own.largest, color=color, linewidth=1)
        ax.plot(at, own["mean"], marker, color=color, markersize=size, label=name)
        ax.plot(at, own.largest, marker, color=color, markersize=size, fillstyle="none")
    ax.set_xticks(slices, [str(number + 1) for number in slices])
    ax.set(yscale="log", ylabel="sum of a column (levels)", ylim=(None, 3 * most))
    ax.set_xlabel("slice (1: the most significant)")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.grid(axis="x", visible=False)
    figure.legend(*ax.get_legend_handles_labels(), fontsize="small", loc="outside lower center", ncols=2)
    return ax
