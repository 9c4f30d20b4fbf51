"""Every recipe on every machine with every device table, everything charged: `data/results/machines.csv`."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from companion import paths
from companion.study.grouping import over_seeds
from companion.study.results import baseline_of, load_network, load_results
from twofold import CellTable, Machine, load_cell_table, network_energy
from twofold._files import read_csv, written_whole
from twofold.energy.machine import DATAFLOWS, Dataflow

__all__ = [
    "PARTS",
    "TABLES",
    "collect_machines",
    "load_machines",
    "whole_account",
    "whole_machine",
    "whole_machines",
]

TABLES = {
    "slides": "rram_2bit_cell",
    "neurosim": "rram_neurosim",
    "isaac": "rram_isaac",
    "neurram": "rram_neurram",
}
"""Device tables by the name that results give them: the slides', and three from published parameters."""

PARTS = ("cells_j", "sign_j", "adc_j", "input_j", "index_j")
"""What a machine spends, joules an image; their sum is ``total_j``."""

COUNTS = ("arrays", "conversions", "cycles")

COLUMNS = (
    *("run", "label", "experiment", "seeds", "machine", "table", "group", "accuracy"),
    *PARTS,
    "total_j",
    *COUNTS,
    *("slowest_layer_cycles", "gain", "edp_gain"),
)
"""Of ``machines.csv``, in order; data/results/README.md explains them."""


def whole_machine(table: str, dataflow: Dataflow) -> Machine:
    """A machine of which everything is charged, in the best form of its kind.

    Converters by Walden's law with the bits that lose nothing for the rows they sum; inputs from SRAM, in
    order, and for packed weights, which gather theirs one by one, from a register file that holds a window of
    them; the index.

    Parameters
    ----------
    table : one of `TABLES`
    """
    if table not in TABLES:
        raise ValueError(f"table is {table!r}; allowed are {', '.join(TABLES)}")
    return whole_machines(load_cell_table(TABLES[table]))[dataflow]


def whole_machines(cells: CellTable) -> dict[Dataflow, Machine]:
    """The same of any cells, by dataflow."""
    machines = {dataflow: Machine.whole(cells, dataflow) for dataflow in DATAFLOWS}
    return machines | {"packed": replace(machines["packed"], input_memory="register file")}


def whole_account(run: str, machine: Machine) -> dict[str, float]:
    """Joules, arrays, conversions and cycles of one image's inference by a finished run.

    Returns
    -------
    dict
        `PARTS` and ``total_j``; ``arrays`` of the whole network; ``conversions``; ``cycles``, layer after
        layer; ``slowest_layer_cycles``, of a pipeline of all layers.
    """
    network = load_network(run)
    frame = network_energy(network.layers, network.activity, machine)
    account = {name: float(frame[name].sum()) / network.images for name in (*PARTS, "total_j")}
    account["arrays"] = float(frame.arrays.sum())
    for name in ("conversions", "cycles"):
        account[name] = float(frame[name].sum()) / network.images
    return account | {"slowest_layer_cycles": float(frame.cycles.max()) / network.images}


def collect_machines() -> pd.DataFrame:
    """Make ``data/results/machines.csv`` from the committed codes of all finished runs; returns it."""
    pool = load_results()
    runs = pool[(pool.method != "dense") & ~pool.held_out]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn"), _one_thread) as workers:
        priced = list(workers.map(_priced, runs.run, chunksize=4))
    accounts = {run: rows for run, rows in zip(runs.run, priced, strict=True)}
    frames = []
    for table in TABLES:
        for machine in DATAFLOWS:
            own = pd.DataFrame([accounts[run][table, machine] for run in runs.run], index=runs.index)
            dense = pd.DataFrame(
                [accounts[baseline_of(row, pool)][table, "crossbar"] for _, row in runs.iterrows()],
                index=runs.index,
            )
            gain = dense.total_j / own.total_j
            own = own.assign(gain=gain, edp_gain=gain * dense.cycles / own.cycles)
            frames.append(runs.join(own).assign(machine=machine, table=table))
    rows = [over_seeds(frame) for frame in frames]
    table = pd.concat(rows, ignore_index=True).rename(columns={"test_accuracy_w8a8": "accuracy"})[[*COLUMNS]]
    # Six digits: what two machines that add in another order agree about.
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    with written_whole(paths.results_dir() / "machines.csv") as partial:
        Path(partial).write_text(text, encoding="utf-8", newline="\n")
    return load_machines()


def load_machines() -> pd.DataFrame:
    """The table that `collect_machines` makes: a row a recipe, machine and device table.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It has other columns.
    """
    path = paths.results_dir() / "machines.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no table of machines at {path}; `twofold machines` makes one")
    frame = read_csv(path)
    if tuple(frame) != COLUMNS:
        raise ValueError(f"{path} is no table of machines: its columns are {', '.join(frame)}")
    return frame


def _priced(run: str) -> dict[tuple[str, str], dict[str, float]]:
    """A run on all machines, by table and machine."""
    return {
        (table, machine): whole_account(run, whole_machine(table, machine))
        for table in TABLES
        for machine in DATAFLOWS
    }


def _one_thread() -> None:
    torch.set_num_threads(1)
