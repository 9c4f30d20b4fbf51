"""A tidy frame in, a matplotlib Axes out; nothing is computed here, and no mathematics of twofold imported.

Colors are Okabe and Ito's, told apart by color-blind readers; methods differ by marker as well.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, MaxNLocator, NullFormatter

from companion.book.figures.notes import write_notes
from companion.book.figures.page import show_in_page

__all__ = [
    "METHOD_STYLE",
    "accuracy_curves",
    "bars",
    "code_energies",
    "curves",
    "dots",
    "hollow_where_single",
    "masks",
    "points",
    "ranges",
    "use_style",
]


BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2 #E69F00 #009E73 #D55E00 #CC79A7 #56B4E9 #B8A900 #333333".split()
)


TEAL = "#0B7A75"


PALETTE = [BLUE, RED, GREEN, ORANGE, PURPLE, SKY, YELLOW, BLACK]


STYLE: dict[Any, Any] = {
    "font.size": 12,
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "text.color": ".15",
    "axes.axisbelow": True,
    "axes.edgecolor": ".8",
    "axes.grid": True,
    "axes.labelcolor": ".15",
    "axes.labelsize": 12,
    "axes.linewidth": 1.25,
    "grid.linewidth": 1,
    "legend.fontsize": 11,
    "legend.title_fontsize": 12,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.bottom": False,
    "ytick.left": False,
    **{
        f"{axis}tick.{name}": value
        for axis in ("x", "y")
        for name, value in {
            "color": ".15",
            "labelsize": 11,
            "major.size": 6,
            "major.width": 1.25,
            "minor.size": 4,
            "minor.width": 1,
        }.items()
    },
}
"""Seaborn's whitegrid in its notebook context; to import seaborn takes a second, and few chapters use it."""


METHOD_STYLE = {
    "dense": (BLACK, "s", "dense, float"),
    "dense-8bit": (BLACK, "D", "dense, 8 bits"),
    "rounded": ("#8C6A00", "d", "dense, rounded"),
    "lfsr": (BLUE, "o", "LFSR mask"),
    "iid": ("#777777", "v", "i.i.d. mask"),
    "magnitude": ("#A3548A", "^", "magnitude mask"),
    "bits": (GREEN, "P", "bits only"),
    "twofold": (RED, "*", "twofold"),
    "magnitude-bits": (PURPLE, "X", "magnitude + bits"),
}
"""Method -> color, marker, name in legends; the same in every chapter, and readable on light and dark."""


def use_style() -> None:
    """Set the look of all figures, and show them as parts of the page: one call at the top of a chapter."""
    plt.rcParams.update(
        STYLE
        | {
            "axes.prop_cycle": cycler(color=PALETTE),
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "grid.color": "#e4e4e4",
            "legend.frameon": False,
            "svg.hashsalt": "twofold",
        }
    )
    show_in_page()


def _axes(ax: Axes | None, **size) -> Axes:
    return plt.subplots(**size)[1] if ax is None else ax


def bars(
    frame: pd.DataFrame, x: str, y: str, *, unit: str, log: bool = False, ax: Axes | None = None
) -> Axes:
    """Horizontal bars, one a row of ``frame``, each with its value; ``y`` names what, ``x`` how much."""
    ax = _axes(ax, figsize=(7.2, 0.9 + 0.42 * len(frame)))
    ax.barh(frame[y].astype(str), frame[x], color=BLUE, height=0.65)
    form = EngFormatter(unit, places=None)
    for row, value in enumerate(frame[x]):
        _write_beside(ax, form(float(f"{value:.3g}")), (value, row), 4.0)
    if log:
        ax.set_xscale("log")
    ax.margins(x=0.18)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(form)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="", ylabel="")
    return ax


def dots(frame: pd.DataFrame, x: str, y: str, *, unit: str, ax: Axes | None = None) -> Axes:
    """A dot a row of ``frame`` on a logarithmic axis, each with its value; ``y`` names what, ``x`` how much.

    For amounts that differ by orders: a bar's length would mean nothing there.
    """
    ax = _axes(ax, figsize=(7.2, 0.9 + 0.42 * len(frame)))
    rows = range(len(frame))
    ax.plot(frame[x], rows, "o", color=BLUE, markersize=9)
    form = EngFormatter(unit, places=None)
    for row, value in zip(rows, frame[x], strict=True):
        _write_beside(ax, form(float(f"{value:.3g}")), (value, row), 9.0)
    ax.set(xscale="log", xlabel="", ylabel="")
    ax.set_yticks(rows, frame[y].astype(str))
    ax.margins(x=0.18, y=0.12)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(form)
    return ax


def _write_beside(ax: Axes, words: str, at: tuple[float, int], distance: float) -> None:
    """To the right of a point, in printer's points; on the page's ground, so that no grid line crosses it."""
    ground = dict(facecolor="#ffffff", edgecolor="none", pad=1)
    ax.annotate(
        words, at, (distance, 0), textcoords="offset points", va="center", fontsize="small", bbox=ground
    )


def points(frame: pd.DataFrame, x: str, y: str, *, hue: str | None = None, ax: Axes | None = None) -> Axes:
    """Small dots, such as the indices of a generator against its clock."""
    import seaborn as sns

    ax = _axes(ax)
    sns.scatterplot(frame, x=x, y=y, hue=hue, s=14, linewidth=0, ax=ax, color=BLUE if hue is None else None)
    return ax


def masks(named: dict, *, ax: list[Axes] | None = None) -> list[Axes]:
    """Masks side by side: dark where a weight is kept."""
    axes = plt.subplots(1, len(named), figsize=(7.2, 2.9), squeeze=False)[1][0] if ax is None else ax
    for axis, (name, keep) in zip(axes, named.items(), strict=True):
        axis.imshow(keep, cmap="Blues", vmin=-0.2, vmax=1, interpolation="nearest", aspect="auto")
        axis.set(title=name, xticks=[], yticks=[])
        axis.grid(False)
    return list(axes)


def code_energies(frame: pd.DataFrame) -> list[Axes]:
    """Energy of every code, a panel an encoding; columns ``code``, ``energy_j``, ``encoding``."""
    names = list(frame.encoding.unique())
    size = (7.2, 1.7 * len(names) + 0.4)
    axes = list(plt.subplots(len(names), 1, figsize=size, sharex=True, sharey=True, squeeze=False)[1].flat)
    for ax, name in zip(axes, names, strict=True):
        own = frame[frame.encoding == name]
        ax.plot(own.code, own.energy_j, drawstyle="steps-mid", color=BLUE, linewidth=1)
        ax.set(title=name, ylim=(0, None))
        ax.yaxis.set_major_formatter(EngFormatter("J"))
    axes[-1].set(xlabel="code")
    return axes


def curves(
    frame: pd.DataFrame, x: str, y: str, *, hue: str, ylabel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Lines over ``x``, one for each value of ``hue``."""
    import seaborn as sns

    ax = _axes(ax)
    sns.lineplot(frame, x=x, y=y, hue=hue, errorbar=None, ax=ax)
    if pd.api.types.is_integer_dtype(frame[x]):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(ylabel=ylabel or y)
    ax.legend(title="", fontsize="small")
    return ax


def ranges(frame: pd.DataFrame, x: str, ax: Axes | None = None) -> Axes:
    """A point at the mean of each row and a bar over its range; columns ``x``, ``min``, ``mean``, ``max``."""
    ax = _axes(ax)
    ax.vlines(frame[x], frame["min"], frame["max"], color=BLUE, linewidth=4, alpha=0.3)
    ax.plot(frame[x], frame["mean"], "o", color=BLUE)
    ax.set(ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def hollow_where_single(ax: Axes, line: Line2D, seeds: pd.Series) -> None:
    """Make the marks of a line hollow where a point has one seed only; others are means of several."""
    single = seeds.to_numpy() == 1
    if not single.any():
        return
    x, y = line.get_xdata(), line.get_ydata()
    ax.plot(
        np.asarray(x)[single],
        np.asarray(y)[single],
        linestyle="none",
        marker=line.get_marker(),
        color=line.get_color(),
        markersize=line.get_markersize(),
        markerfacecolor="#ffffff",  # `figures.page.COLORS` makes it the page's
    )


def _error_scale(ax: Axes) -> None:
    """The error on a logarithmic scale, as accuracy: most networks lie within a few points of the best."""
    ax.set_yscale("function", functions=(_of_error, lambda height: 100 - 10**-height))


def _joule_scale(ax: Axes) -> None:
    """Joules along a logarithmic axis: 1 µJ, 2 µJ, 5 µJ, 10 µJ."""
    _log_scale(ax, EngFormatter("J"))


def _log_scale(ax: Axes, words: Formatter | Callable[[float, int], str], axis: str = "x") -> None:
    """A logarithmic axis with numbers at 1, 2 and 5 of each decade."""
    getattr(ax, f"set_{axis}scale")("log")
    scale = getattr(ax, f"{axis}axis")
    scale.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=words)
    scale.set_minor_formatter(NullFormatter())


def _of_error(accuracy):
    return -np.log10(np.maximum(100 - accuracy, 0.01))


def accuracy_curves(frame: pd.DataFrame, gray: pd.DataFrame, literature: pd.DataFrame) -> Axes:
    """Test accuracy (%) against overall sparsity (%), a line a method, named at its end; the rest in gray.

    Columns: ``method``, ``sparsity``, ``test_accuracy``, of the first also ``seeds``, and ``lowest`` and
    ``highest`` over them.
    """
    _, ax = plt.subplots(figsize=(7.2, 4.6))
    _error_scale(ax)
    other = pd.concat([gray, literature])
    ax.plot(100 * other.sparsity, other.test_accuracy, "o", color="#999999", markersize=5, zorder=1)
    ends = []
    for method, (color, marker, name) in METHOD_STYLE.items():
        line = frame[frame.method == method].sort_values("sparsity")
        if line.empty:
            continue
        x = 100 * line.sparsity
        size = 11 if marker == "*" else 6
        (drawn,) = ax.plot(x, line.test_accuracy, marker=marker, color=color, markersize=size, linewidth=1.4)
        hollow_where_single(ax, drawn, line.seeds)
        if len(line) < 3:  # accuracy bends too much between two points
            drawn.set_linestyle("none")
        ax.fill_between(x, line.lowest, line.highest, color=color, alpha=0.2, linewidth=0)
        drawn.set_label(name)
        ends.append({"x": x.iloc[-1], "y": line.test_accuracy.iloc[-1], "name": name, "color": color})
    ax.set(xlabel="overall sparsity (%)", ylabel="test accuracy (%)")
    notes = pd.DataFrame(ends)
    write_notes(ax, notes.x, notes.y, notes["name"].tolist(), notes.color.tolist(), legend_if_narrow=True)
    return ax
