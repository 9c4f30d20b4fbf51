"""Which levers pay once a machine is charged for all it does: masks, cheap codes, fewer bits, shared rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from companion.study.energies import energies
from companion.study.plan import TALKS_ORDER
from companion.study.results import load_network
from twofold import Machine, StoredLayer, network_energy
from twofold.energy.price import PARTS, network_totals
from twofold.masks.generator import layer_generator

__all__ = ["LEVERS", "accounts", "best_machine", "levers", "on_front", "shared_rows"]


LEVERS = {
    "cheap codes, 8 bits": "bits-mu500",
    "3 bits": "rounded-b3-rows",
    "LFSR mask, 50 %": "lfsr-r50",
    "LFSR mask, 90 %": "lfsr-r90",
    "twofold, 50 %": TALKS_ORDER[50],
    "twofold, 90 %": TALKS_ORDER[90],
    "shared rows, 50 %": "lfsr-col-g64-r50",
    "shared rows, twofold, 50 %": "twofold-col-g64-r50-mu125",
    "shared rows, twofold, 80 %": "twofold-col-g64-r80-mu125",
    "shared rows, 3 bits, 50 %": "twofold-col-g64-r50-mu0.8-b3-rows",
    "largest rows, 3 bits, 50 %": "magnitude-bits-g64-r50-mu0.8-b3-rows",
    "magnitude + bits, 50 %": "magnitude-bits-r50-mu125",
    "magnitude + bits, 90 %": "magnitude-bits-r90-mu125",
}
"""Words of a figure -> the recipe of the plan that shows what they do; *shared* and *largest* rows are those
of all columns."""


def levers(machines: pd.DataFrame) -> pd.DataFrame:
    """What each of `LEVERS` gains on every device table, everything charged, on its best machine.

    Parameters
    ----------
    machines : as `machines.load_machines`

    Returns
    -------
    DataFrame
        A row a lever and table, in their order: ``lever``, ``table``, ``machine`` (that of the largest gain
        in energy), ``accuracy`` (%), ``gain``, ``edp_gain``; NaN where the recipe has not finished.
    """
    best = machines.loc[machines.groupby(["run", "table"], sort=False).gain.idxmax()]
    best = best.set_index(["run", "table"])[["machine", "accuracy", "gain", "edp_gain"]]
    tables = list(dict.fromkeys(machines.table))
    wanted = pd.MultiIndex.from_product([LEVERS.values(), tables], names=["run", "table"])
    frame = best.reindex(wanted).reset_index()
    words = {run: lever for lever, run in LEVERS.items()}
    return frame.assign(lever=frame.run.map(words))[["lever", "table", *best.columns]]


def accounts(runs: pd.DataFrame, machines: Mapping[str, Machine], baseline: str) -> pd.DataFrame:
    """Each run on each machine; a network that keeps all of its weights on the baseline's only.

    Parameters
    ----------
    runs : rows of `results.load_results`
    machines : by name
    baseline : the name of the one that the dense network is priced on

    Returns
    -------
    DataFrame
        What `energies.energies` has, and the column ``machine``; run by run, in their order.
    """
    frames = [
        energies(runs, machine, baseline_model=machines[baseline]).assign(machine=name)
        for name, machine in machines.items()
    ]
    order = {run: number for number, run in enumerate(runs.run)}
    frame = pd.concat(frames).sort_values("run", key=lambda names: names.map(order), kind="stable")
    return frame[(frame.sparsity > 0) | (frame.machine == baseline)]


def best_machine(priced: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each recipe on the machine where it gains most energy.

    Parameters
    ----------
    priced : by machine, the same recipes in the same order: columns of `energies.energies`

    Returns
    -------
    DataFrame
        Rows of those frames, with the column ``machine``.
    """
    gains = pd.DataFrame({name: frame.gain for name, frame in priced.items()})
    chosen = gains.idxmax(axis=1)
    rows = [priced[name].loc[[row]].assign(machine=name) for row, name in chosen.items()]
    return pd.concat(rows)


def on_front(frame: pd.DataFrame, x: str, y: str, by: Sequence[str]) -> pd.Series:
    """Which rows no other row of the same group exceeds in both columns.

    Examples
    --------
    >>> points = pd.DataFrame({"gain": [1, 2, 3], "accuracy": [9, 7, 8], "method": "mask"})
    >>> on_front(points, "gain", "accuracy", ["method"]).tolist()
    [True, False, True]
    """
    found = pd.Series(False, index=frame.index)
    for _, own in frame.groupby([*by], sort=False):
        ordered = own.sort_values([x, y], ascending=False)
        highest = ordered[y].cummax().shift(fill_value=-np.inf)
        found[ordered.index] = ordered[y] > highest
    return found


def shared_rows(
    run: str, densities: Iterable[float], groups: Iterable[int], machine: Machine, baseline: Machine
) -> pd.DataFrame:
    """What a mask alone saves by the columns that share its rows: a network's codes, masked and not trained.

    The masks are those of the study's shared rows, column by column. Joules hardly depend on what a training
    would make of the codes; accuracy does, and is not here.

    Parameters
    ----------
    run : a dense run, whose codes and input bits are taken
    densities : shares of the rows that are kept, each in (0, 1]
    groups : columns that share their rows; those of a layer that has fewer all do
    machine : that prices the masked network
    baseline : that prices the dense one

    Returns
    -------
    DataFrame
        A row a density and group: ``density``, ``group``, the `PARTS` and ``total_j`` (J an image),
        ``arrays``, ``cycles``, ``gain`` and ``edp_gain`` over the dense network.
    """
    network = load_network(run)

    def totals(layers: Mapping[str, StoredLayer], priced_on: Machine) -> pd.Series:
        return network_totals(network_energy(layers, network.activity, priced_on), network.images)

    dense, rows = totals(network.layers, baseline), []
    for density in densities:
        for group in groups:
            own = totals(_masked(network.layers, density, group), machine)
            gains = {
                "gain": dense.total_j / own.total_j,
                "edp_gain": dense.energy_delay / own.energy_delay,
            }
            spent = own[[*PARTS, "total_j", "arrays", "cycles"]].to_dict()
            rows.append({"density": density, "group": group, **spent, **gains})
    return pd.DataFrame(rows)


def _masked(layers: Mapping[str, StoredLayer], density: float, group: int) -> dict[str, StoredLayer]:
    """The layers with a mask each, drawn column by column."""
    masked = {}
    for number, (name, layer) in enumerate(layers.items()):
        shape = tuple(layer.codes.shape)
        generator = layer_generator("column", shape, number, group=group)
        keep = generator.draw(shape, density).keep
        codes = torch.where(keep, layer.codes, torch.zeros_like(layer.codes))
        masked[name] = replace(layer, codes=codes, keep=keep, generator=generator, group=group)
    return masked
