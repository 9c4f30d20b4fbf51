"""Which runs belong together: seeds of one recipe, and recipes that lie on one line of a figure."""

import pandas as pd

from companion.study.config import RunConfig

__all__ = ["over_seeds", "recipe_names", "shown_first", "trained_alike", "usual", "with_series"]


SETTINGS = tuple(name for name in RunConfig.model_fields if name not in ("run", "seed"))
"""Columns of `results.load_results` that do not differ between the seeds of a recipe."""


def recipe_names(runs: pd.DataFrame) -> pd.Series:
    """Names without their seeds: ``lfsr-r50`` for ``lfsr-r50-s2``. A name without a seed is its own."""
    names = [run.removesuffix(f"-s{seed}") for run, seed in zip(runs.run, runs.seed, strict=True)]
    return pd.Series(names, index=runs.index, dtype=object)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a recipe, which is a configuration without its seed: means of what was measured.

    Parameters
    ----------
    runs : rows of `results.load_results` or `energies.energies`, with whatever columns were added

    Returns
    -------
    DataFrame
        The columns of ``runs`` without ``seed``, in the order of each recipe's first run: real numbers
        that are no setting are means, all else is the first run's, and ``run`` is that one's name without the
        seed. Then ``seeds``, how many there are, and ``lowest`` and ``highest``, the range of
        ``test_accuracy`` (%).
    """
    runs = runs.reset_index(drop=True)
    groups = runs.groupby([*SETTINGS], sort=False, dropna=False)
    recipe, first = groups.ngroup(), groups.head(1)
    measured = [
        name for name in runs if pd.api.types.is_float_dtype(runs[name]) and name not in (*SETTINGS, "seed")
    ]
    frame = first.assign(run=recipe_names(first)).drop(columns="seed").set_axis(recipe[first.index])
    frame[measured] = runs[measured].groupby(recipe).mean()
    by_recipe = runs.test_accuracy.groupby(recipe)
    frame["seeds"], frame["lowest"], frame["highest"] = by_recipe.size(), by_recipe.min(), by_recipe.max()
    return frame.reset_index(drop=True)


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
