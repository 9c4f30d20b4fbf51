"""How experiments of the study become the series of a figure, and what tells the points of one apart.

A figure has a color for each method. Within a method a series is an experiment, or the few that together are
one curve; what tells the points of a series apart stands beside them, as numbers.
"""

from collections.abc import Sequence

import pandas as pd

__all__ = ["MASKS", "SERIES", "as_series", "chosen"]


MASKS = ("masks", "curve", "chance")
"""Experiments whose networks differ in their mask alone: codes of 8 bits in two's complement."""


SERIES = {
    "signed-rows": "signed rows",
    "fewer-bits": "signed rows, fewer bits",
    "density-rule": "small layers spared",
    "distillation": "distilled",
    "longer": "twice the epochs",
    "generators": "drawn by rejection",
    "talk": "the slides' order",
    "own": "your own",
}
"""Experiment -> what a legend says of its networks, after the method. All others are the plain ones."""


def chosen(runs: pd.DataFrame, experiments: Sequence[str]) -> pd.DataFrame:
    """The rows of some experiments, by their names in the column ``experiment``.

    Raises
    ------
    ValueError
        No row belongs to one of them; the message lists the experiments that there are.
    """
    unknown = [name for name in experiments if name not in set(runs.experiment)]
    if unknown or not experiments:
        there = ", ".join(sorted(set(runs.experiment)))
        raise ValueError(f"experiments are {list(experiments)!r}; the runs belong to {there}")
    return runs[runs.experiment.isin(experiments)]


def as_series(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with what the figures write, as columns ``series`` and ``note``.

    Parameters
    ----------
    frame : columns ``experiment``, ``sparsity``, ``strength``, ``bit_term``, ``bits``

    Returns
    -------
    DataFrame
        ``series`` as `SERIES` has it, and the slides' bit term where there is one; ``note``, the numbers of
        the point: the share removed, the strength (µ, for the slides' terms β), and the bits where they are
        not 8.
    """
    series, notes = [], []
    for row in frame.itertuples():
        parts = [f"{100 * row.sparsity:.0f} %"] if row.sparsity else []
        talks = bool(row.strength) and row.bit_term in ("popcount", "planes")
        if row.strength:
            parts.append(f"{'β' if talks else 'µ'} {row.strength:g}")
        if row.bits not in (8, 32):  # 32: float
            parts.append(f"{row.bits} bits")
        notes.append(", ".join(parts))
        words = [SERIES.get(row.experiment, ""), row.bit_term if talks else ""]
        series.append(", ".join(word for word in words if word))
    return frame.assign(series=series, note=notes)
