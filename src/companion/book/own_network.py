"""Chapter 11's tables: reports by the parts of a network and by machine, what they are over, and outliers."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from companion.study.energies import energies
from twofold import Machine, dequantize, quantize
from twofold.codes.quantizer import channel_scale
from twofold.energy.price import PARTS
from twofold.reports import Report, over

__all__ = ["bars_by_machine", "by_part", "by_strength", "outlier_errors", "train_dense"]


def train_dense(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Float[Tensor, "n channels height width"],
    labels: Int[Tensor, " n"],
    steps: int,
) -> None:
    """Train what a gain is over as the page trains its sparse networks, but for the sparsities.

    In steps of 64 images; torch's random numbers afterwards are as if nothing had been drawn.
    """
    with torch.random.fork_rng(devices=[]):
        for _ in range(steps):
            batch = torch.randint(len(labels), (64,))
            loss = functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()


def by_part(report: Report, parts: Mapping[str, str]) -> pd.DataFrame:
    """A report by kinds of layers, in six columns, and the total: whoever has many layers reads few rows.

    Parameters
    ----------
    report : with a baseline
    parts
        What a part is called, and the pattern that the names of its layers fit (``*`` spans dots too). A
        layer belongs to the first part that it fits.

    Returns
    -------
    DataFrame
        ``layers`` (the part), ``weights``, ``code 0 (%)`` (of the kept ones), ``file (kB)``, ``energy (nJ)``
        of one input, ``gain (x)`` over the baseline.

    Raises
    ------
    ValueError
        A layer that fits no part, or a part without layers.
    """
    frame = report.frame.assign(zeros=report.frame.zero_codes * report.frame.kept)
    named = [
        next((part for part, pattern in parts.items() if fnmatchcase(layer, pattern)), None)
        for layer in frame.layer
    ]
    if None in named:
        raise ValueError(f"layer {frame.layer[named.index(None)]!r} fits none of {', '.join(parts.values())}")
    if empty := [pattern for part, pattern in parts.items() if part not in named]:
        raise ValueError(f"no layer fits {', '.join(empty)}")
    sums = ["weights", "kept", "zeros", "bytes_packed", "energy_j", "baseline_j"]
    rows = frame.groupby(named)[sums].sum().loc[[*parts]]
    rows = pd.concat([rows, rows.sum().to_frame("total").T])
    return pd.DataFrame(
        {
            "layers": rows.index,
            "weights": rows.weights.astype(int),
            "code 0 (%)": 100 * rows.zeros / rows.kept,
            "file (kB)": rows.bytes_packed / 1e3,
            "energy (nJ)": 1e9 * rows.energy_j,
            "gain (x)": over(rows.baseline_j, rows.energy_j),
        }
    ).reset_index(drop=True)


def by_strength(runs: pd.DataFrame, machine: Machine) -> pd.DataFrame:
    """What a price on joules costs and gains: the energy-aware codes of networks that keep all weights.

    Parameters
    ----------
    runs : rows of `results.load_results`; those of the experiment "bits" with energy-aware codes are taken

    Returns
    -------
    DataFrame
        By rising ``strength`` (LSB²/pJ): ``steps for 1 pJ``, how far a code moves at most to save a pJ,
        ``lost (points)`` of accuracy (%) below the same seed's dense 8 bits, ``gain (x)`` on the machine, and
        ``code 0 (%)``.
    """
    own = runs[(runs.experiment == "bits") & (runs.bit_term == "energy")].sort_values("strength")
    priced = energies(own, machine)
    dense = runs.set_index("run").test_accuracy[priced.baseline]
    return pd.DataFrame(
        {
            "strength": priced.strength,
            "steps for 1 pJ": priced.strength**0.5,
            "lost (points)": dense.to_numpy() - priced.test_accuracy,
            "gain (x)": priced.gain,
            "code 0 (%)": 100 * priced.zero_codes,
        }
    ).reset_index(drop=True)


def bars_by_machine(reports: Mapping[str, Report]) -> pd.DataFrame:
    """Totals of reports, for `figures.energy.account_bars`; gains are over the first of them.

    Parameters
    ----------
    reports : what a bar is called, and the report
    """
    frame = pd.DataFrame({bar: own.total for bar, own in reports.items()}).T
    frame = frame[[*PARTS, "energy_j", "cycles", "arrays"]].rename_axis("bar").reset_index()
    first = frame.iloc[0]
    gain = over(first.energy_j, frame.energy_j)
    return frame.assign(gain=gain, edp_gain=gain * over(first.cycles, frame.cycles))


def outlier_errors(
    weight: Float[Tensor, "out *rest"], outliers: Sequence[int | float], bits: int
) -> pd.DataFrame:
    """What rounding costs a layer of which one weight is so many times as large as all others.

    Returns
    -------
    DataFrame
        ``outlier``, ``scale`` ("one scale a layer" or "a scale a channel"), and ``snr_db``: the power of the
        weights over that of their errors, in the middle one of the output channels.
    """
    rows, weight = [], weight.detach()
    for outlier in outliers:
        own = weight.clone()
        own.view(-1)[0] = outlier * weight.abs().max()
        scales = {"one scale a layer": own.abs().max(), "a scale a channel": channel_scale(own).flatten()}
        for name, scale in scales.items():
            coded = dequantize(quantize(own, bits, scale), scale, bits)
            power = own.square().flatten(1).sum(1) / (own - coded).square().flatten(1).sum(1)
            snr_db = float(10 * torch.log10(power.median()))
            rows.append({"outlier": outlier, "scale": name, "snr_db": snr_db})
    return pd.DataFrame(rows)
