"""Chapter 11's tables: a report by the parts of a network, its bars, and what an outlier costs the others."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from twofold import dequantize, quantize
from twofold.codes.quantizer import channel_scale
from twofold.energy.price import PARTS
from twofold.reports import Report, over

__all__ = ["bars_by_part", "by_part", "outlier_errors"]


SUMS = ["weights", "kept", "bytes_packed", "energy_j", "arrays", "cycles", *PARTS]
"""What parts have the sums of."""


def by_part(report: Report, parts: Mapping[str, str]) -> pd.DataFrame:
    """A report by kinds of layers, in six columns, and the total: whoever has many layers reads few rows.

    Parameters
    ----------
    report : with a baseline
    parts
        What a part is called, and the pattern that the names of its layers fit (``*`` spans dots too). A
        layer belongs to the first part that it fits, and every layer to one.

    Returns
    -------
    DataFrame
        ``part``, ``weights``, ``zero codes (%)`` (of the kept), ``stored (kB)``, ``energy (nJ)`` of one
        input, ``gain (x)`` over the baseline.

    Raises
    ------
    ValueError
        A layer that fits no part, or a part without layers.
    """
    rows = _summed(report, parts)
    total = rows[["weights", "kept", "zeros", "bytes_packed", "energy_j", "baseline_j"]].sum()
    rows = pd.concat([rows, total.to_frame("total").T])
    return pd.DataFrame(
        {
            "part": rows.index,
            "weights": rows.weights.astype(int),
            "zero codes (%)": 100 * rows.zeros / rows.kept,
            "stored (kB)": rows.bytes_packed / 1e3,
            "energy (nJ)": 1e9 * rows.energy_j,
            "gain (x)": over(rows.baseline_j, rows.energy_j),
        }
    ).reset_index(drop=True)


def bars_by_part(reports: Mapping[str, Report], parts: Mapping[str, str]) -> pd.DataFrame:
    """The reports side by side, for `figures.energy.account_bars`: a bar a report in each part.

    Parameters
    ----------
    reports : what a bar is called, and the report; each with a baseline
    parts : as in `by_part`
    """
    frames = []
    for bar, own in reports.items():
        rows = _summed(own, parts)
        gain = over(rows.baseline_j, rows.energy_j)
        edp_gain = gain * over(rows.baseline_cycles, rows.cycles)
        rows = rows.assign(gain=gain, edp_gain=edp_gain, bar=bar)
        frames.append(rows.rename_axis("network").reset_index())
    together = pd.concat(frames)
    order = {part: number for number, part in enumerate(parts)}
    return together.sort_values("network", key=lambda names: names.map(order), kind="stable")


def _summed(report: Report, parts: Mapping[str, str]) -> pd.DataFrame:
    frame = report.frame.assign(zeros=report.frame.zero_codes * report.frame.kept)
    named = [
        next((part for part, pattern in parts.items() if fnmatchcase(layer, pattern)), None)
        for layer in frame.layer
    ]
    if None in named:
        raise ValueError(f"layer {frame.layer[named.index(None)]!r} fits none of {', '.join(parts.values())}")
    sums = [*SUMS, "zeros", "baseline_j", "baseline_cycles"]
    rows = frame.groupby(named)[sums].sum().reindex([*parts])
    if (empty := rows.weights.isna()).any():
        raise ValueError(f"no layer fits {', '.join(parts[part] for part in rows.index[empty])}")
    return rows


def outlier_errors(weight: Float[Tensor, "out *rest"], outliers: Sequence[float], bits: int) -> pd.DataFrame:
    """What rounding costs a layer of which one weight is so many times as large as all others.

    Returns
    -------
    DataFrame
        ``outlier``, ``scale`` ("one scale a layer" or "a scale a channel"), and ``snr_db``: the power of the
        weights over that of their errors, in the middle one of the output channels.
    """
    rows = []
    for outlier in outliers:
        own = weight.detach().clone()
        own.view(-1)[0] = outlier * weight.abs().max()
        scales = {"one scale a layer": own.abs().max(), "a scale a channel": channel_scale(own).flatten()}
        for name, scale in scales.items():
            coded = dequantize(quantize(own, bits, scale), scale, bits)
            power = own.square().flatten(1).sum(1) / (own - coded).square().flatten(1).sum(1)
            snr_db = float(10 * torch.log10(power.median()))
            rows.append({"outlier": outlier, "scale": name, "snr_db": snr_db})
    return pd.DataFrame(rows)
