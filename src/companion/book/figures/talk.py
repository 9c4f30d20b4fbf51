"""The talk's result slides and its bit terms: a frame in, matplotlib Axes out; nothing is computed here."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from companion.book.figures.basic import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    TEAL,
    _error_scale,
    _joule_scale,
    hollow_where_single,
)
from companion.book.figures.energy import SLIDE_STYLE, energy_against_sparsity
from companion.book.figures.notes import write_notes

__all__ = ["STEPS", "TERMS", "accuracy_in_steps", "bit_terms", "both_slides"]


STEPS = {
    "accuracy_before_pruning": ("before pruning", ORANGE, "o", ":"),
    "accuracy_after_pruning": ("after pruning", PURPLE, "X", "--"),
    "test_accuracy": ("after post-training", TEAL, "s", "-"),
}
"""Column of accuracies (%) -> its words, color, marker and line, in the order of the talk's training."""


TERMS = {
    "popcount": ("popcount", ORANGE, "v"),
    "popcount-own": ("popcount, planes' own rate", ORANGE, "^"),
    "planes": ("planes, as BSQ", PURPLE, "X"),
    "planes-own": ("planes, their own rate", PURPLE, "D"),
    "counts": ("count-aware codes", BLUE, "o"),
    "energy": ("energy-aware codes", GREEN, "P"),
}
"""Bit term -> its words, color and marker."""


NEAR = 0.1
"""Points of a line whose energies differ by this share at most have one note: their own would collide."""


def accuracy_in_steps(
    joint: pd.DataFrame, control: pd.DataFrame, dense: float, ax: Axes | None = None
) -> Axes:
    """Accuracy (%) against overall sparsity (%) at the three steps of the talk's training; legend if alone.

    Parameters
    ----------
    joint : columns ``sparsity`` (share), ``seeds``, those of `STEPS`, and ``lowest`` and ``highest`` of the
        last
    control : the mask alone, with as many epochs: ``sparsity``, ``seeds``, ``test_accuracy``, ``lowest``,
        ``highest``
    dense : accuracy (%) of the dense network
    """
    alone = ax is None
    ax = plt.subplots(figsize=(7.2, 4.4))[1] if ax is None else ax
    _error_scale(ax)
    ax.axhline(dense, color=BLACK, linewidth=1.2, label="dense, 8 bits")
    control, joint = control.sort_values("sparsity"), joint.sort_values("sparsity")
    for frame, color in ((control, BLUE), (joint, TEAL)):
        ax.vlines(100 * frame.sparsity, frame.lowest, frame.highest, color=color, linewidth=4, alpha=0.3)
    (masked,) = ax.plot(
        100 * control.sparsity,
        control.test_accuracy,
        color=BLUE,
        marker="o",
        markersize=6,
        linewidth=1.2,
        label="LFSR mask alone",
    )
    hollow_where_single(ax, masked, control.seeds)
    for column, (words, color, marker, style) in STEPS.items():
        (line,) = ax.plot(
            100 * joint.sparsity, joint[column], color=color, marker=marker, linestyle=style, label=words
        )
        if column == "accuracy_before_pruning":  # where pruning costs nothing, the next marks lie inside
            line.set(markersize=13, markerfacecolor=(color, 0.45), markeredgewidth=0)
        else:
            hollow_where_single(ax, line, joint.seeds)
    ax.set(xlabel="overall sparsity (%)", ylabel="test accuracy (%)")
    if alone:
        ax.legend(fontsize="small", loc="lower left")
    return ax


def both_slides(
    joint: pd.DataFrame, control: pd.DataFrame, dense: float, spent: pd.DataFrame, claims: pd.DataFrame
) -> list[Axes]:
    """The talk's two result slides side by side: `accuracy_in_steps` and `energy_against_sparsity`."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 4.4))
    accuracy_in_steps(joint, control, dense, axes[0]).set_title("accuracy")
    energy_against_sparsity(spent, claims, axes[1]).set_title("energy")
    entries: dict[str, Artist] = {}
    for ax in axes:
        handles, words = ax.get_legend_handles_labels()
        entries |= dict(zip(words, handles, strict=True))
    del entries[SLIDE_STYLE["joint"][0]]  # they are those after post-training, and look like them
    figure.legend(entries.values(), [*entries], fontsize="small", ncols=3, loc="outside lower center")
    return list(axes)


def bit_terms(frame: pd.DataFrame, level: pd.Series) -> list[Axes]:
    """Accuracy (%) against the energy of the cells, a panel each of ``panel``, a line a bit term of `TERMS`.

    Parameters
    ----------
    frame : columns ``panel``, ``bit_term``, ``strength``, ``energy_j``, ``test_accuracy`` (%); the points of
        a term are joined in the order of their strengths, which stand beside them; points that lie `NEAR`
        one another have a range beside the last one
    level : by panel, accuracy (%) of the network without a bit term
    """
    names = list(dict.fromkeys(frame.panel))
    figure, grid = plt.subplots(1, len(names), figsize=(7.2, 4.4), squeeze=False)
    for ax, name in zip(grid.flat, names, strict=True):
        own = frame[frame.panel == name]
        _error_scale(ax)
        ax.axhline(level[name], color=BLACK, linewidth=1.2, label="no bit term")
        notes = []
        for term, (words, color, marker) in TERMS.items():
            line = own[own.bit_term == term].sort_values("strength")
            if line.empty:
                continue
            (drawn,) = ax.plot(
                line.energy_j, line.test_accuracy, color=color, marker=marker, markersize=7, label=words
            )
            if len(line) < 3:  # what lies between two points is not a straight line
                drawn.set_linestyle("none")
            for _, near in line.groupby((line.energy_j.pct_change().abs() > NEAR).cumsum()):
                last = near.iloc[-1]
                ends = dict.fromkeys(f"{strength:g}" for strength in near.strength.iloc[[0, -1]])
                notes.append((last.energy_j, last.test_accuracy, "\N{EN DASH}".join(ends), color))
        _joule_scale(ax)
        ax.set(title=name, xlabel="cells of a kept weight")
        ax.margins(x=0.15, y=0.1)
        x, y, told, colors = zip(*notes, strict=True)
        write_notes(ax, pd.Series(x), pd.Series(y), told, colors)
    grid[0, 0].set_ylabel("accuracy (%)")
    drawings = [ax.get_legend_handles_labels() for ax in grid.flat]
    entries = {word: mark for marks, names in drawings for mark, word in zip(marks, names, strict=True)}
    figure.legend(
        list(entries.values()), list(entries), fontsize="small", ncols=3, loc="outside lower center"
    )
    return list(grid.flat)
