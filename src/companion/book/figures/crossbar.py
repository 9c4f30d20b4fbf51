"""Pictures of the crossbar chapter: a tidy frame in, a matplotlib Axes out; nothing is computed here."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from companion.book.figures.basic import METHOD_STYLE

__all__ = ["accuracy_curves", "column_bars", "energy_bars"]


def accuracy_curves(frame: pd.DataFrame, x: str, xlabel: str, panels: str) -> list[Axes]:
    """Test accuracy (%) over ``x``, a line a network, a panel a value of ``panels``; a band over seeds.

    Color and marker are the method's; the more weights removed, the finer the line. Columns ``label``,
    ``method``, ``sparsity``, ``test_accuracy`` and the two named.
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
        figure.legend(known.values(), known.keys(), fontsize="small", ncols=2, loc="outside lower center")
    return list(grid.flat)


def column_bars(frame: pd.DataFrame) -> Axes:
    """Mean sum of a column (levels) by slice and network; columns ``slice``, ``mean``, ``label``."""
    ax = plt.subplots(figsize=(7.2, 3.2))[1]
    sns.barplot(frame, x="slice", y="mean", hue="label", ax=ax)
    ax.set(xlabel="slice, 0 the most significant", ylabel="mean column sum (levels)")
    ax.margins(y=0.3)  # room for the legend
    ax.legend(title="", loc="upper right")
    return ax


def energy_bars(frame: pd.DataFrame) -> list[Axes]:
    """Energy of an image by network, cells, signs and converters, a panel a price of conversions.

    Columns ``label``, ``converter``, ``cells_j``, ``sign_j``, ``adc_j``.
    """
    names = list(frame.converter.unique())
    size = (7.2, 1.2 + 0.4 * frame.label.nunique())
    figure, grid = plt.subplots(1, len(names), figsize=size, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for ax, name in zip(axes, names, strict=True):
        own = frame[frame.converter == name]
        left = 0.0
        for column, part in (("cells_j", "cells"), ("sign_j", "signs"), ("adc_j", "converters")):
            ax.barh(own.label, own[column], left=left, label=part, height=0.75)
            left = left + own[column]
        ax.set_title(name, fontsize="small")
        ax.tick_params(labelsize="x-small")
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_major_formatter(EngFormatter("J"))
    axes[0].invert_yaxis()  # shared: the first network on top in each panel
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize="small", ncols=3, loc="outside lower center")
    return axes
