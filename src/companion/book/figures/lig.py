"""The index generator as a picture: its signals over time. A tidy frame in, an Axes out; see `plots`."""

import pandas as pd
from matplotlib.axes import Axes

from companion.book.figures.basic import BLUE, RED, _axes

__all__ = ["waves"]


BUSES = ("state", "raw", "index")


def waves(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Signals over time, a clock a unit: numbers in boxes, single bits as levels.

    Boxes of ``index`` are filled where it is handed on (``valid`` and ``ready``), hatched where it is held
    back or not valid. Columns as `hardware.lig_trace`; -1, what is not known yet, stays empty.
    """
    names = [name for name in ("state", "raw", "index", "valid", "ready", "last") if name in frame]
    ax = _axes(ax, figsize=(0.5 * len(frame) + 1.2, 0.55 * len(names) + 0.6))
    taken = (frame.valid == 1) & (frame.ready == 1)
    for row, name in enumerate(names):
        values = frame[name].tolist()
        if name not in BUSES:
            level = [value for value in values for _ in (0, 1)]
            edges = [t + end for t in range(len(values)) for end in (0, 1)]
            ax.plot(edges, [row + 0.4 - 0.7 * bit for bit in level], color=BLUE, linewidth=1.6)
            continue
        for t, value in enumerate(values):
            filled = name == "index" and taken.iloc[t]
            repeat = name == "index" and not filled
            ax.broken_barh(
                [(t + 0.04, 0.92)],
                (row - 0.35, 0.75),
                facecolor="#cfe6f5" if filled else "none",
                edgecolor="#999999" if repeat else BLUE,
                hatch="////" if repeat else None,
            )
            if value >= 0:
                color = "#333333" if name != "index" or filled else RED
                ax.text(t + 0.5, row + 0.03, value, ha="center", va="center", fontsize="x-small", color=color)
    ax.set(xlim=(0, len(frame)), ylim=(len(names) - 0.4, -0.6), xlabel="clock")
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(range(len(frame) + 1))
    ax.tick_params(labelsize="small")
    ax.grid(axis="y", visible=False)
    return ax
