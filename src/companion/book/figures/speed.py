"""Timings as pictures: ratios beside their goals, and time and memory against size."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, StrMethodFormatter

from companion.book.figures.basic import PALETTE

__all__ = ["growth", "ratios"]


_MARKERS = "osD^vPX*"


def ratios(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """A dot for each comparison's ratio and a tick at its goal, on a log axis: left of the tick is reached.

    Columns ``work``, ``ratio``, ``goal``, ``reached`` and ``machine``: each machine has a shape of its own,
    a missed goal another color. Peers' names would not fit a phone beside the works'.
    """
    works = list(frame.work.unique())
    if ax is None:
        ax = plt.subplots(figsize=(7.2, 1.6 + 0.38 * len(works)), layout="constrained")[1]
    goals = frame.drop_duplicates("work").goal
    ax.scatter(goals, range(len(works)), marker="|", s=220, color=PALETTE[-1], label="goal")
    machines = list(frame.machine.unique())
    for index, (machine, marker) in enumerate(zip(machines, _MARKERS, strict=False)):
        rows = frame[frame.machine == machine]
        places = pd.Series([works.index(work) for work in rows.work], index=rows.index)
        places += 0.2 * (index - (len(machines) - 1) / 2)  # beside each other
        colors = [PALETTE[0] if reached else PALETTE[1] for reached in rows.reached]
        ax.scatter(rows.ratio, places, color=colors, marker=marker, s=26, zorder=3)
        ax.scatter([], [], color=PALETTE[0], marker=marker, s=26, label=machine)
    ax.set_yticks(range(len(works)), works)
    ax.tick_params(axis="y", labelsize="small")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.invert_yaxis()
    ax.set(xlabel="time, ours / peer's")
    ax.scatter([], [], color=PALETTE[1], marker="o", s=26, label="missed, on any")
    ax.figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return ax


def growth(frame: pd.DataFrame, floor: str, *, ax: list[Axes] | None = None) -> list[Axes]:
    """Seconds, and peak memory, against the number of weights on log axes; the work ``floor`` is dashed.

    Columns ``work``, ``weights``, ``seconds``, ``peak_mb``. In the right panel the floor is what the float
    weights themselves take, four bytes each.
    """
    axes = plt.subplots(1, 2, figsize=(7.2, 4.4), layout="constrained")[1] if ax is None else ax
    works = [work for work in frame.work.unique() if work != floor]
    for index, work in enumerate(works):
        rows = frame[frame.work == work].sort_values("weights")
        color, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
        axes[0].plot(rows.weights, rows.seconds, color=color, marker=marker, label=work)
        held = rows[rows.peak_mb > 0]  # small ones fit into what the imports held
        axes[1].plot(held.weights, 1e6 * held.peak_mb, color=color, marker=marker)
    rows = frame[frame.work == floor].sort_values("weights")
    axes[0].plot(rows.weights, rows.seconds, "--", color="#777777", label=floor)
    axes[1].plot(rows.weights, 4 * rows.weights, "--", color="#777777")
    for axis, unit, label in ((axes[0], "s", "time"), (axes[1], "B", "peak memory")):
        axis.set(xscale="log", yscale="log", xlabel="weights", ylabel=label)
        axis.xaxis.set_major_formatter(EngFormatter())
        axis.yaxis.set_major_formatter(EngFormatter(unit))
    axes[0].figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return list(axes)
