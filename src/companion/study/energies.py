"""What the finished runs cost: energies of networks and layers from committed codes and activities."""

from dataclasses import replace
from functools import lru_cache

import pandas as pd

from companion import paths
from companion.study.results import baseline_of, load_network, load_results
from twofold import Machine, load_cell_table, network_energy
from twofold.codes.encodings import CELL_ENCODINGS, ENCODINGS
from twofold.energy.machine import Dataflow
from twofold.energy.price import PARTS, network_totals

__all__ = [
    "cells_only",
    "crossbar_ceiling",
    "energies",
    "forget_prices",
    "layer_energies",
]


def cells_only(dataflow: Dataflow) -> Machine:
    """The headline's machine: the slides' cells, and neither converters, inputs nor index charged."""
    return Machine.cells_only(load_cell_table(), dataflow)


def layer_energies(run: str, model: Machine) -> pd.DataFrame:
    """Joules, conversions and cycles of each layer of a finished run for one image, see `layer_energy`.

    The activity is that of the run's own inputs, exact, averaged over the test images it was measured on.
    A mask that no register makes has a stored index, each layer's in its cheapest scheme. A network that was
    trained for another encoding than two's complement is held in that one, all others in the model's, see
    `StoredLayer.encoding_in`.
    """
    file = paths.results_dir() / paths.check_run_name(run) / "codes.safetensors"
    stamp = (file, file.stat().st_mtime_ns) if file.is_file() else None
    return _priced(run, stamp, model).copy()


@lru_cache(maxsize=4096)  # tables of a chapter share their runs and machines; a frame is twenty short rows
def _priced(run: str, stamp: tuple | None, model: Machine) -> pd.DataFrame:
    """`network_energy` of a run for one image."""
    network = load_network(run)
    frame = network_energy(network.layers, network.activity, model)
    for name in (*PARTS, "total_j", "conversions", "cycles"):
        frame[name] = frame[name] / network.images
    return frame


def forget_prices() -> None:
    """Price every run anew from here on, as a measurement of pricing must."""
    _priced.cache_clear()


def energies(
    runs: pd.DataFrame,
    model: Machine,
    baseline: str | None = None,
    *,
    baseline_model: Machine | None = None,
) -> pd.DataFrame:
    """Energy of one image's inference by each quantized run of ``runs``, from its committed codes.

    The activity is that of the run's own inputs, exact, averaged over the test images it was measured on.

    Parameters
    ----------
    runs : rows of `load_results`; float runs are left out
    model : the machine. Its encoding is that of all networks that were not trained for another, see
        `layer_energies`
    baseline : run whose energy over a row's own is that row's ``gain``; None: each row's
        `results.baseline_of`
    baseline_model : the machine of the baseline; None: the same

    Returns
    -------
    DataFrame
        The rows with what `energy.price.network_totals` has, an image, ``total_j`` as ``energy_j``;
        ``baseline``; ``gain`` and ``edp_gain``, in energy and in energy times delay over the baseline as it
        is; and ``gain_best_untrained``, over the baseline in whichever encoding is cheapest without any
        training for it; packed, that may be signed rows.
    """

    def per_image(run: str, machine: Machine) -> pd.Series:
        return network_totals(layer_energies(run, machine))

    quantized = runs[runs.method != "dense"]
    if quantized.empty:
        raise ValueError(
            f"none of {len(runs)} runs has codes to price; float runs (method 'dense') have none"
        )
    parts = pd.DataFrame([per_image(run, model) for run in quantized.run], index=quantized.index)
    frame = quantized.join(parts.rename(columns={"total_j": "energy_j"}))
    pool = load_results()
    if baseline is None:  # one look-up for all runs of a start and a seed
        alike = ["dataset", "network", "init", "seed"]
        first = quantized.groupby(alike, dropna=False, sort=False).run.transform("first")
        found = {row.run: baseline_of(row, pool) for _, row in quantized[quantized.run == first].iterrows()}
        frame["baseline"] = first.map(found)
    else:
        frame["baseline"] = baseline
    against = baseline_model or model
    encodings = CELL_ENCODINGS if against.dataflow == "packed" else ENCODINGS
    for name in frame.baseline.unique():
        own = frame.baseline == name
        reference = per_image(name, against)
        untrained_j = min(per_image(name, replace(against, encoding=e)).total_j for e in encodings)
        frame.loc[own, "gain"] = reference.total_j / frame.energy_j[own]
        frame.loc[own, "edp_gain"] = reference.energy_delay / frame.energy_delay[own]
        frame.loc[own, "gain_best_untrained"] = untrained_j / frame.energy_j[own]
    return frame.assign(**{k: v for k, v in model.describe().items() if k != "encoding"})


def crossbar_ceiling(model: Machine, baseline: str) -> float:
    """Gain over a dense 8-bit run of a crossbar that stores only zeros, read with the baseline's inputs."""
    network = load_network(baseline)

    def stored_j(share: int) -> float:
        layers = {name: replace(layer, codes=layer.codes * share) for name, layer in network.layers.items()}
        return network_energy(layers, network.activity, model)[["cells_j", "sign_j"]].to_numpy().sum()

    return stored_j(1) / stored_j(0)
