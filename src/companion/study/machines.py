"""Every recipe on every machine with every device table, everything charged: `data/results/machines.csv`."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from companion import paths
from companion.study.energies import energies
from companion.study.grouping import over_seeds
from companion.study.results import load_results
from twofold import CellTable, Machine, load_cell_table
from twofold._files import read_csv, written_whole
from twofold.energy.machine import DATAFLOWS, Dataflow
from twofold.energy.price import PARTS

__all__ = ["TABLES", "collect_machines", "load_machines", "whole_machine", "whole_machines"]

TABLES = {
    "slides": "rram_2bit_cell",
    "neurosim": "rram_neurosim",
    "isaac": "rram_isaac",
    "neurram": "rram_neurram",
}
"""Device tables by the name that results give them: the slides', and three from published parameters."""

COLUMNS = (
    *("run", "label", "experiment", "seeds", "machine", "table", "group", "accuracy"),
    *PARTS,
    *("total_j", "arrays", "conversions", "cycles", "slowest_layer_cycles", "gain", "edp_gain"),
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


def collect_machines() -> pd.DataFrame:
    """Make ``data/results/machines.csv`` from the committed codes of all finished runs; returns it."""
    runs = load_results()
    runs = runs[(runs.method != "dense") & ~runs.held_out]
    frames = []
    for table, cells in TABLES.items():
        machines = whole_machines(load_cell_table(cells))
        for name, machine in machines.items():
            priced = over_seeds(energies(runs, machine, baseline_model=machines["crossbar"]))
            frames.append(priced.assign(machine=name, table=table))
    measured = {
        "test_accuracy_w8a8": "accuracy",
        "energy_j": "total_j",
        "slowest_cycles": "slowest_layer_cycles",
    }
    table = pd.concat(frames, ignore_index=True).rename(columns=measured)[[*COLUMNS]]
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
