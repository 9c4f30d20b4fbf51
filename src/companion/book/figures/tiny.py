"""Pictures of the benchmark's small network: a frame in, matplotlib Axes out; nothing is computed here."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from companion.book.figures.basic import (
    BLACK,
    BLUE,
    ORANGE,
    _error_scale,
    _joule_scale,
    _log_scale,
    hollow_where_single,
)
from companion.book.figures.energy import SERIES_STYLE
from companion.book.figures.notes import write_notes

__all__ = ["NETWORK_STYLE", "joules_above_bar", "lost_in_both", "wide_and_narrow"]


NETWORK_STYLE = {"resnet20": ("ResNet-20", BLUE, "o"), "resnet8": ("ResNet-8", ORANGE, "s")}
"""Network -> its name, color and marker."""


def joules_above_bar(frame: pd.DataFrame, cheapest: pd.DataFrame, bar: float) -> Axes:
    """Accuracy (%) against the energy of an image (logarithmic), and the accuracy that a benchmark asks.

    Parameters
    ----------
    frame : columns ``series`` (of `figures.energy.SERIES_STYLE`), ``energy_j``, ``test_accuracy`` (%),
        ``seeds``
    cheapest : the same, of those networks that are ringed and named, in ``note``
    bar : percent
    """
    _, ax = plt.subplots(figsize=(7.2, 4.6))
    _error_scale(ax)
    ax.axhline(bar, color=BLACK, linewidth=1.2, linestyle="--")
    for series, (color, marker) in SERIES_STYLE.items():
        own = frame[frame.series == series]
        size = 11 if marker == "*" else 7
        (line,) = ax.plot(own.energy_j, own.test_accuracy, marker, color=color, markersize=size, label=series)
        hollow_where_single(ax, line, own.seeds)
    ax.plot(cheapest.energy_j, cheapest.test_accuracy, "o", color=BLACK, fillstyle="none", markersize=14)
    _joule_scale(ax)
    ax.set(xlabel="energy of an image", ylabel="test accuracy (%)")
    ax.margins(x=0.12, y=0.08)
    ax.annotate(
        f"the bar, {bar:g} %",
        (1, bar),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize="small",
    )
    colors = [SERIES_STYLE[series][0] for series in cheapest.series]
    write_notes(ax, cheapest.energy_j, cheapest.test_accuracy, cheapest.note.tolist(), colors)
    if (figure := ax.get_figure(root=True)) is not None:
        figure.legend(fontsize="small", ncols=3, loc="outside lower center")
    return ax


def lost_in_both(frame: pd.DataFrame) -> Axes:
    """Points of accuracy that recipes lose, a dot a network of `NETWORK_STYLE`, a row a recipe.

    Parameters
    ----------
    frame : columns ``recipe``, ``network``, ``lost``, ``seeds``, as `study.tiny.lost_by_network`
    """
    recipes = list(dict.fromkeys(frame.recipe))
    figure, ax = plt.subplots(figsize=(7.2, 1.6 + 0.36 * len(recipes)))
    by_recipe = frame.pivot(index="recipe", columns="network", values="lost").loc[recipes]
    seeds = frame.pivot(index="recipe", columns="network", values="seeds").loc[recipes]
    rows = range(len(recipes))
    ax.hlines(rows, by_recipe.min(axis=1), by_recipe.max(axis=1), color="#bbbbbb", linewidth=2, zorder=1)
    for network, (name, color, marker) in NETWORK_STYLE.items():
        (line,) = ax.plot(by_recipe[network], rows, marker, color=color, markersize=8, label=name)
        hollow_where_single(ax, line, seeds[network])
    ax.axvline(0, color=BLACK, linewidth=1.2)
    ax.set_yticks(rows, recipes)
    ax.invert_yaxis()
    ax.set(xlabel="points of accuracy lost")
    figure.legend(fontsize="small", ncols=2, loc="outside lower center")
    return ax


def wide_and_narrow(frame: pd.DataFrame) -> Axes:
    """Accuracy (%) against kept weights and against the energy of an image, for networks of two widths.

    Networks of one series, width and length of codes are joined, by dots where codes have less than 8 bits;
    those of the greater width have large marks, and those of one seed hollow ones.

    Parameters
    ----------
    frame : columns ``series`` (of `figures.energy.SERIES_STYLE`), ``width`` (1 or 2), ``bits``,
        ``kept_weights``, ``energy_j``, ``test_accuracy`` (%), ``seeds``
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 4.2), sharey=True)
    for ax, across in ((left, "kept_weights"), (right, "energy_j")):
        named = set()
        for (series, width, bits), own in frame.sort_values(across).groupby(
            ["series", "width", "bits"], sort=False
        ):
            color, marker = SERIES_STYLE[series]
            size = (9 if marker == "*" else 6) * (1 if width == 1 else 1.7)
            joined = "none" if len(own) == 1 else "-" if bits == 8 else ":"
            style = dict(linestyle=joined, linewidth=1, color=color, markersize=size)
            apart = ", wide" if width > 1 else f", {bits} bits" if series in named else ""
            label = f"_{series}{apart}" if apart else series
            named.add(label)
            (line,) = ax.plot(own[across], own.test_accuracy, marker, label=label, **style)
            hollow_where_single(ax, line, own.seeds)
        ax.margins(x=0.08, y=0.08)
    _error_scale(left)
    _log_scale(left, lambda value, _: f"{value / 1e3:g}k")
    left.set(xlabel="weights kept", ylabel="test accuracy (%)")
    _joule_scale(right)
    right.set(xlabel="energy of an image")
    figure.legend(*left.get_legend_handles_labels(), fontsize="small", ncols=3, loc="outside lower center")
    return left
