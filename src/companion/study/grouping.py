"""Seeds of one recipe, taken together."""

import pandas as pd

from companion.study.config import RunConfig

__all__ = ["over_seeds", "recipe_names"]


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
