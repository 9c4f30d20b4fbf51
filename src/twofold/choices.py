"""What was chosen on held-out images, by a stated rule: the study's learning rates and its strength.

The held-out images are 5,000 of the training images, and the networks that are compared on them, their start
included, were trained without them. The test set takes no part in a choice.
"""

import pandas as pd

from twofold import paths
from twofold.configs import RunConfig
from twofold.results import load_results

__all__ = ["best_learning_rates", "held_out_runs", "strongest_within"]


def held_out_runs(start: str = "tune-start") -> pd.DataFrame:
    """The fine-tuned runs that choices were made from, a row each: those on held-out images from ``start``.

    Returns
    -------
    DataFrame
        ``run``, ``method``, ``sparsity``, ``learning_rate`` (peak), ``strength`` (LSB^2/pJ), ``clip_ratio``,
        ``distillation``, ``encoding``, ``epochs``, ``held_out_accuracy`` (%) and ``cell_energy_j``; no rows
        where no such run has finished.
    """
    runs = load_results()
    runs = runs[runs.held_out & (runs.init == start)]
    configs = [RunConfig.from_yaml(paths.results_dir() / run / "config.yml") for run in runs.run]
    columns = [
        "run",
        "method",
        "sparsity",
        "strength",
        "clip_ratio",
        "distillation",
        "encoding",
        "epochs",
        "cell_energy_j",
    ]
    frame = runs[columns]
    frame = frame.assign(learning_rate=[config.learning_rate for config in configs])
    frame["held_out_accuracy"] = runs.test_accuracy
    return frame.sort_values(["method", "sparsity", "learning_rate", "strength"], ignore_index=True)


def best_learning_rates(frame: pd.DataFrame) -> dict[float, float]:
    """For each sparsity the learning rate with which the LFSR's mask alone, without a bit term, did best."""
    tried = frame[(frame.method == "lfsr") & (frame.distillation == 0)]
    best = tried.loc[tried.groupby("sparsity").held_out_accuracy.idxmax()]
    return dict(zip(best.sparsity, best.learning_rate, strict=True))


def strongest_within(frame: pd.DataFrame, points: float = 1.0) -> float:
    """The largest strength of the bit term that costs at most so many points of accuracy.

    Each twofold run, of those without another scale and distillation, is compared with the run of method
    ``lfsr`` at its sparsity and learning rate.

    Raises
    ------
    ValueError
        A twofold run has no such neighbour, or every strength costs more.
    """
    frame = frame[(frame.clip_ratio == 1) & (frame.distillation == 0)]
    keys = ["sparsity", "learning_rate"]
    plain = frame[frame.method == "lfsr"].set_index(keys).held_out_accuracy
    tried = frame[frame.method == "twofold"].set_index(keys)
    alone = tried.run[~tried.index.isin(plain.index)]
    if len(alone):
        raise ValueError(f"no held-out run without a bit term stands beside {', '.join(alone)}")
    lost = (plain.reindex(tried.index) - tried.held_out_accuracy).set_axis(tried.strength)
    if not (lost <= points).any():
        told = ", ".join(f"{strength:g}: {value:.2f}" for strength, value in lost.items())
        raise ValueError(f"every strength costs more than {points:g} points ({told})")
    return float(lost.index[lost <= points].max())
