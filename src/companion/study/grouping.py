"""Which runs belong together: seeds of one recipe, and recipes that lie on one line of a figure."""

import pandas as pd

__all__ = ["over_seeds", "recipe_names", "shown_first", "trained_alike", "usual", "with_series"]


MEASURED = (
    "test_accuracy",
    "test_accuracy_w8a8",
    "accuracy_before_pruning",
    "accuracy_after_pruning",
    "zero_codes",
    "cell_energy_j",
    "minutes",
    "array_j",
    "adc_j",
    "index_j",
    "energy_j",
    "gain",
    "gain_best_untrained",
    "lost",
)
"""Columns of `results.load_results`, `accounts.energies` and `goals` that differ from seed to seed."""


ALIKE = (
    "method",
    "network",
    "dataset",
    "bits",
    "sparsity",
    "density_rule",
    "bit_term",
    "strength",
    "network_strength",
    "polarity",
    "prune_epoch",
    "encoding",
    "clip_ratio",
    "distillation",
    "epochs",
    "held_out",
)
"""Columns of `results.load_results` that do not differ between the seeds of a recipe."""


def recipe_names(runs: pd.DataFrame) -> pd.Series:
    """Names without their seeds: ``lfsr-50`` for ``lfsr-50-s2``. A name without a seed is its own."""
    names = [run.removesuffix(f"-s{seed}") for run, seed in zip(runs.run, runs.seed, strict=True)]
    return pd.Series(names, index=runs.index, dtype=object)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a recipe: means over its seeds of what was measured.

    Parameters
    ----------
    runs : rows of `results.load_results` or `accounts.energies`

    Returns
    -------
    DataFrame
        The columns of ``runs``, without ``seed``; ``run`` is the name without the seed, with the start in
        brackets where runs of one name started from different networks. Then ``seeds``, how many there are,
        and ``lowest`` and ``highest``, the range of ``test_accuracy`` (%) over them.

    Raises
    ------
    ValueError
        Runs that only their seed tells apart by name have another configuration (named).
    """
    named = runs.assign(run=recipe_names(runs))
    if "init" in named:
        starts = named.init.fillna("none")
        several = starts.groupby(named.run).transform("nunique") > 1
        named["run"] = named.run.where(~several, named.run + " (" + starts + ")")
    groups = named.groupby("run", sort=False)
    for column in (name for name in ALIKE if name in named):
        if (mixed := groups[column].nunique(dropna=False) > 1).any():
            run = mixed.idxmax()
            values = sorted({str(value) for value in named[column][named.run == run]})
            raise ValueError(
                f"the seeds of {run} differ in {column}: {', '.join(values)}; rename one of them"
            )
    frame = groups.head(1).set_index("run").drop(columns="seed")
    measured = [name for name in MEASURED if name in runs]
    frame[measured] = groups[measured].mean()
    frame["seeds"] = groups.size()
    frame["lowest"], frame["highest"] = groups.test_accuracy.min(), groups.test_accuracy.max()
    return frame.reset_index()[["run", *frame.columns]]


def usual(runs: pd.DataFrame) -> pd.Series:
    """Whether a run is of the plain kind: no variant of densities, bit term, order, codes or loss.

    The same density in each layer, energy-aware codes where there is a bit term, masks from the first epoch,
    codes of 8 bits in two's complement that reach to the largest weight, labels alone to learn from, and no
    more epochs than others in the frame from its start.
    """
    plain_codes = (runs.bits == 8) & (runs.encoding == "twos_complement") & (runs.clip_ratio == 1)
    return _plain_training(runs) & plain_codes


def trained_alike(runs: pd.DataFrame) -> pd.Series:
    """Whether a run was trained as most: masks from the first epoch, on labels alone, and for no longer.

    That is, no fine-tuned run of more epochs than another in the frame that started from the same network.
    """
    return (runs.prune_epoch == 0) & (runs.distillation == 0) & ~_longer(runs)


def _plain_training(runs: pd.DataFrame) -> pd.Series:
    own_codes = runs.bit_term.fillna("energy") == "energy"
    return (runs.density_rule == "uniform") & own_codes & trained_alike(runs)


def _longer(runs: pd.DataFrame) -> pd.Series:
    """Whether a fine-tuned run has more epochs than another in the frame that started where it did."""
    return runs.epochs > runs.epochs.groupby(runs.init).transform("min")  # NaN, so False, without a start


def shown_first(runs: pd.DataFrame) -> pd.Series:
    """Whether README and the first page show a run.

    A `usual` one, or one that differs from those in signed rows, their scale and their bits alone, with 0, 50
    or 90 % removed.
    """
    signed_rows = _plain_training(runs) & (runs.encoding == "signed_rows")
    return (usual(runs) | signed_rows) & runs.sparsity.round(6).isin([0.0, 0.5, 0.9])


def with_series(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with what a figure writes: ``kind``, ``series`` and ``note``.

    ``kind`` is how a network differs from the plain ones of its method, its strength apart; ``series`` names
    the strength, too, where weights are removed. ``note`` tells the points of one kind apart: the share
    removed, and the strength (µ, for the slides' terms beta). Where networks of several starts are there,
    ``kind`` and ``series`` name the start as well, and the epochs of those that were fine-tuned for longer
    than others from their start.
    """
    kinds, words, notes = [], [], []
    several = "init" in frame and frame.init.nunique() > 1
    for row, longer in zip(frame.itertuples(), _longer(frame), strict=True):
        symbol = "µ" if row.bit_term == "energy" else "β"
        term = [] if symbol == "µ" or not row.strength else [row.bit_term]
        strength = [f"strength {row.strength:g}"] if row.strength and row.sparsity else []
        parts = []
        if row.density_rule != "uniform":
            parts.append("small layers spared")
        if row.prune_epoch:
            parts.append("slides' order" + (", as printed" if row.polarity == "printed" else ""))
        if row.bits not in (8, 32):  # 32: float
            parts.append(f"{row.bits} bits")
        if row.encoding != "twos_complement":
            parts.append(row.encoding.replace("_", " "))
        if row.clip_ratio != 1:
            parts.append(f"scale x{row.clip_ratio:g}")
        if row.distillation:
            parts.append("distilled")
        if longer:
            parts.append(f"{row.epochs} epochs")
        if several and isinstance(row.init, str):
            parts.append(f"from {row.init}")
        kinds.append(", ".join(term + parts))
        words.append(", ".join(term + strength + parts))
        removed = [f"{100 * row.sparsity:.0f} %"] if row.sparsity else []
        notes.append(", ".join(removed + ([f"{symbol} {row.strength:g}"] if row.strength else [])))
    return frame.assign(kind=kinds, series=words, note=notes)
