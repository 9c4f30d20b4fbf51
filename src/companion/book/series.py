"""Which runs make the curves and points of a figure, and what figures call their networks."""

from collections.abc import Sequence

import pandas as pd

from twofold.sparsity.twofold import CHOOSING

__all__ = [
    "FAMILIES",
    "MASKS",
    "bit_term_points",
    "brief",
    "by_share",
    "chosen",
    "families",
    "mask_alone",
    "scale_pairs",
]


MASKS = ("masks", "curve", "chance")
"""Experiments whose networks differ in their mask alone: codes of 8 bits in two's complement."""


UNLIKE = ("distillation", "longer")
"""Experiments whose networks had another loss or more epochs than the rest."""


FAMILIES = {
    "dense-8bit": "dense, 8 bits",
    "bits": "cheap codes",
    "rounded": "fewer bits",
    "lfsr": "LFSR mask",
    "twofold": "twofold",
    "magnitude": "magnitude masks",
    "magnitude-bits": "magnitude masks",
    "iid": "i.i.d. mask",
}
"""Method -> what the figures of energy call it; `families` says which of them count for another one."""


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


def families(frame: pd.DataFrame) -> pd.Series:
    """What each network is an example of, in words of `FAMILIES`.

    Codes of fewer than 8 bits count as *fewer bits* also where a term chose them and, behind an LFSR's mask,
    as *twofold*: both are ways to cheaper bits. *Magnitude masks* are those with a bit term and without.
    Networks that were trained unlike the others, twice as long, on another network's answers or in the
    slides' order, are *trained otherwise*.

    Parameters
    ----------
    frame : columns ``method``, ``bits``, ``bit_term``, ``distillation``, ``experiment``
    """
    named = frame.method.map(FAMILIES)
    named = named.mask((frame.method == "bits") & (frame.bits < 8), "fewer bits")
    named = named.mask((frame.method == "lfsr") & (frame.bits < 8), "twofold")
    in_the_talk_s_way = frame.bit_term.notna() & (frame.bit_term != "energy")
    otherwise = in_the_talk_s_way | (frame.distillation > 0) | frame.experiment.isin(UNLIKE)
    return named.mask(otherwise, "trained otherwise")


def bit_term_points(runs: pd.DataFrame, start: str, tuning_start: str) -> tuple[pd.DataFrame, pd.Series]:
    """Bit terms of several strengths, with nothing removed and with half, for `figures.talk.bit_terms`.

    Codes of 8 bits in two's complement, labels alone to learn from. With nothing removed it is test images;
    with half removed it is held-out ones, shorter runs, and of the penalties on planes those that rise
    slowly.

    Parameters
    ----------
    runs : rows of `results.load_results`
    start, tuning_start : the float runs that the two begin with

    Returns
    -------
    tuple
        A row a run: ``run``, ``panel``, ``bit_term`` (with ``-own`` behind it where planes have a rate of
        their own), ``strength``, ``energy_j``, of the cells of a kept weight, each read once, and
        ``test_accuracy`` (%); and the accuracy without a bit term by panel.
    """
    plain = runs[(runs.bits == 8) & (runs.encoding == "twos_complement") & (runs.distillation == 0)]
    plain = plain[(plain.clip_ratio == 1) & (plain.network_strength == 0) & (plain.seed == 1)]
    panels = {
        "nothing removed": plain[(plain.init == start) & plain.method.isin(["dense-8bit", "bits"])],
        "half removed, held-out images": plain[
            (plain.bit_term.isin(CHOOSING) | (plain.strength == 0) | (plain.penalty_ramp > 0))
            & plain.held_out
            & (plain.init == tuning_start)
            & (plain.sparsity == 0.5)
            & (plain.learning_rate == 0.05)
            & plain.method.isin(["lfsr", "twofold"])
        ],
    }
    level, frames = {}, []
    for panel, own in panels.items():
        bare = own[own.strength == 0]
        level[panel] = bare.sort_values("precision").test_accuracy.iloc[0]  # bf16, as the others
        frames.append(own[own.strength > 0].assign(panel=panel))
    frame = pd.concat(frames)
    term = frame.bit_term.where(frame.plane_rate == 0, frame.bit_term + "-own")
    frame = frame.assign(energy_j=frame.cell_energy_j / frame.kept_weights, bit_term=term)
    columns = ["run", "panel", "bit_term", "strength", "energy_j", "test_accuracy"]
    return frame[columns].reset_index(drop=True), pd.Series(level)


def scale_pairs(runs: pd.DataFrame) -> pd.DataFrame:
    """Networks trained with one scale a layer beside their twins with a scale for each output channel.

    Parameters
    ----------
    runs : rows of `results.load_results`

    Returns
    -------
    pd.DataFrame
        A row a pair, by the label of the one with a scale a layer: ``layer`` and ``channel``, the accuracies
        (W8A8, %), and ``energy``, the cells' joules of the latter over those of the former.
    """
    # Of planned runs, since their names say what they are: but for its scale a twin is named alike.
    channel = runs[(runs.experiment == "scales") & (runs.scale == "channel")]
    layer = runs.set_index("run").loc[channel.run.str.replace("-ch-", "-")]
    return pd.DataFrame(
        {
            "layer": layer.test_accuracy_w8a8.to_numpy(),
            "channel": channel.test_accuracy_w8a8.to_numpy(),
            "energy": channel.cell_energy_j.to_numpy() / layer.cell_energy_j.to_numpy(),
        },
        index=pd.Index(layer.label, name="network"),
    )


def brief(labels: pd.Series, *without: str) -> pd.Series:
    """Labels without words that go without saying; 64 columns are all of any layer of ResNet-20.

    Words that tell two of the labels apart stay.
    """
    for words in ("column by column", *without):
        shorter = labels.str.replace(f", {words}", "", regex=False)
        alone = labels.groupby(shorter).transform("nunique") == 1
        labels = shorter.where(alone, labels)
    return labels.str.replace("rows shared by 64 columns", "rows shared by all columns", regex=False)


def mask_alone(recipes: pd.DataFrame) -> pd.DataFrame:
    """The LFSR's mask and nothing else, codes of 8 bits: a recipe for each share removed, in their order.

    The one whose register never repeats an index, or else that of the first edition.

    Parameters
    ----------
    recipes : columns ``method``, ``bits``, ``group``, ``density_rule``, ``experiment``, ``generator``,
        ``sparsity``
    """
    own = recipes[(recipes.method == "lfsr") & (recipes.bits == 8) & (recipes.group == 1)]
    own = own[(own.density_rule == "uniform") & ~own.experiment.isin(UNLIKE)]
    own = own.assign(repeats=own.generator == "multiply-shift")
    return own.sort_values(["sparsity", "repeats"]).drop_duplicates("sparsity").drop(columns="repeats")


def by_share(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that make a curve over the share removed, with its name as ``series``; others are left out.

    The curves begin at networks that keep all: the LFSR's mask at dense 8 bits, *twofold* at the same price
    on codes alone, *3 bits* at rounding. Those of signed rows have 8 bits, the weaker of two prices, one
    scale a layer, and masks that never repeat if a register draws them; masks of 3 bits have no bit term.
    *joint* are the networks in the talk's own order.

    Parameters
    ----------
    frame : columns ``method``, ``bits``, ``encoding``, ``strength``, ``experiment``, ``generator``,
        ``scale``, ``group``
    """
    plain = frame.experiment.isin(["baseline", *MASKS, "bits"]) & (frame.bits == 8)
    rows = (frame.encoding == "signed_rows") & (frame.group == 1)
    weak = rows & (frame.bits == 8) & frame.strength.isin([60.0, 80.0]) & (frame.scale == "layer")
    weak &= ~frame.experiment.isin(UNLIKE) & (frame.generator != "multiply-shift")
    curves = {
        "LFSR mask": plain & frame.method.isin(["dense-8bit", "lfsr"]),
        "twofold": plain & (frame.strength == 125) & frame.method.isin(["bits", "twofold"]),
        "twofold, signed rows": weak & (frame.method == "twofold"),
        "3 bits, signed rows": rows & (frame.bits == 3) & frame.method.isin(["rounded", "lfsr"]),
        "magnitude + bits": plain & (frame.method == "magnitude-bits"),
        "magnitude + bits, signed rows": weak & (frame.method == "magnitude-bits"),
        "joint": frame.experiment == "joint",
    }
    found = pd.concat([frame[own].assign(series=name) for name, own in curves.items()])
    return found.sort_values(["series", "sparsity"], kind="stable").drop_duplicates(["series", "sparsity"])
