"""Accuracy of the committed networks on crossbars: measured point by point into one table, and read back."""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

from companion import paths
from companion.files import held
from companion.provenance import commit, device_name
from companion.study.images import Images, load_images, normalize
from companion.study.networks import FinishedNetwork
from companion.study.results import RESULTS_VERSION, load_network, load_results
from companion.study.train import evaluate
from twofold import (
    Adc,
    CellTable,
    Crossbar,
    Device,
    Machine,
    activation_scales,
    load_cell_table,
    network_energy,
    on_crossbars,
)
from twofold._files import read_csv, written_whole
from twofold.codes.slices import check_slices
from twofold.crossbar.network import program

__all__ = [
    "Point",
    "accuracy",
    "cell_levels",
    "column_loads",
    "converter_energies",
    "gains_by_levels",
    "load_crossbar",
    "measure",
    "needed_bits",
    "sweep",
]


SCALE_IMAGES = 1000
"""Training images that set the activation scales, as in the runs themselves."""


CALIBRATION_IMAGES = 32
"""Training images that set the range of calibrated converters."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One network on one machine, and how many test images it is asked.

    Attributes
    ----------
    run
        A finished run of ``data/results``.
    adc_range, adc_bits, percentile
        As `adc.Adc`.
    levels
        "even", evenly spaced conductances between those of `r_hrs_ohm` and 10 kΩ; or the name of a table of
        cells, whose joules are read as conductances (`Device.of_table`), with resistances of its own.
    r_hrs_ohm, variation, seed
        As `devices.Device`; with its R_LRS of 10 kΩ, 1 MΩ is an on/off ratio of 100.
    images
        Of the test set, the first ones; the labels of CIFAR-10's are in no order.
    """

    run: str
    adc_range: str
    adc_bits: int = 8
    percentile: float = 99.9
    encoding: str = "twos_complement"
    slices: str = "2-2-2-2"
    array_rows: int = 128
    levels: str = "even"
    r_hrs_ohm: float = 1e6
    variation: float = 0.0
    seed: int = 0
    images: int = 1000

    def machine(self) -> Crossbar:
        """The crossbar that the point names."""
        effects = {"variation": self.variation, "seed": self.seed}
        if self.levels == "even":
            device = Device(r_hrs_ohm=self.r_hrs_ohm, **effects)
        else:
            device = Device.of_table(load_cell_table(self.levels), **effects)
        return Crossbar(
            adc=Adc(range_rule=self.adc_range, bits=self.adc_bits, percentile=self.percentile),
            encoding=self.encoding,
            slices=check_slices([int(width) for width in self.slices.split("-")], 8),
            array_rows=self.array_rows,
            device=device,
        )

    def key(self) -> dict[str, object]:
        """What identifies the point's row: its settings, and the codes that it was measured on."""
        settings = vars(self) | {"codes": _codes_hash(self.run)}
        if self.adc_range == "none":
            settings |= {"adc_bits": math.nan, "percentile": math.nan}
        elif self.adc_range != "calibrated":
            settings |= {"percentile": math.nan}
        if self.levels != "even":
            settings |= {"r_hrs_ohm": math.nan}
        return settings


def accuracy(network: FinishedNetwork, machine: Crossbar, train: Images, test: Images) -> float:
    """Accuracy (%) on `test` of a finished network on crossbars; training images calibrate it."""
    model = network.build()
    images = normalize(train[:SCALE_IMAGES])
    scales = activation_scales(model, images)
    with on_crossbars(model, network.layers, scales, machine, calibration=images[:CALIBRATION_IMAGES]):
        return evaluate(model, test, batch_size=50)


def measure(point: Point) -> dict[str, object]:
    """The point's row: its settings, the accuracy, and who measured it.

    Raises
    ------
    FileNotFoundError
        No such run, or its images are missing.
    """
    start = time.perf_counter()
    train, test = _images(load_results().set_index("run").dataset[point.run])
    share = accuracy(load_network(point.run), point.machine(), train, test[: point.images])
    return {
        "results_version": RESULTS_VERSION,
        **point.key(),
        "test_accuracy": share,
        "seconds": time.perf_counter() - start,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def sweep(points: Sequence[Point]) -> Iterator[dict[str, object]]:
    """Measure the points that ``data/results/crossbar.csv`` lacks; append and yield each row as it is done.

    Killed and started again it goes on where it stopped. Rows of codes that are no longer those of their
    run are dropped first.

    Raises
    ------
    RuntimeError
        Another process is sweeping.
    """
    lock = paths.runs_dir() / "crossbar.lock"
    with held(lock, "another process is sweeping crossbars here; wait for it"):
        path = _table()
        rows = load_crossbar() if path.is_file() else pd.DataFrame()
        for point in points:
            if _has(rows, point.key()):
                continue
            row = measure(point)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            with written_whole(path) as partial:
                rows.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")
            yield row


def load_crossbar(path: Path | None = None) -> pd.DataFrame:
    """The measured points of networks whose codes are still those; columns as in ``data/results/README.md``.

    Raises
    ------
    FileNotFoundError
        There is no such table; ``python -m companion.study.sweep`` makes one.
    ValueError
        It is no such table, or another version's.
    """
    path = path or _table()
    frame = read_csv(path)
    columns = ("results_version", "codes", *(field.name for field in fields(Point)))
    if missing := [column for column in columns if column not in frame]:
        raise ValueError(f"{path} is no table of crossbars: it has no column {', '.join(missing)}")
    if others := sorted(set(frame.results_version) - {RESULTS_VERSION}):
        raise ValueError(f"{path} has results version {others}; this library reads version {RESULTS_VERSION}")
    current = {run: _codes_hash(run) for run in frame.run.unique()}
    return frame[frame.codes == frame.run.map(current)].reset_index(drop=True)


def _table() -> Path:
    return paths.results_dir() / "crossbar.csv"


def _has(rows: pd.DataFrame, key: dict[str, object]) -> bool:
    if rows.empty:
        return False
    same = pd.Series(True, index=rows.index)
    for name, value in key.items():
        missing = isinstance(value, float) and math.isnan(value)
        same &= rows[name].isna() if missing else rows[name] == value
    return bool(same.any())


def _codes_hash(run: str) -> str:
    path = paths.results_dir() / run / "codes.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "none"


@lru_cache(maxsize=1)
def _images(dataset: str) -> tuple[Images, Images]:
    train, test = load_images(dataset)
    return train[:SCALE_IMAGES], test


def cell_levels(table: CellTable) -> pd.DataFrame:
    """What the cells of a table add to a column (levels, 0 to ``2^c - 1``) and take a read (pJ).

    A row a digit that a cell stores, in bits; as the table has them, and programmed to even levels.
    """
    bits = table.cell_bits
    columns = {}
    for words, cells in (("as the table has them", table), ("programmed evenly", table.with_even_levels())):
        device = Device.of_table(cells)
        siemens = device.conductances(bits)
        columns[words, "level"] = ((siemens - siemens[0]) / device.level_s(bits)).tolist()
        columns[words, "pJ a read"] = [1e12 * energy_j for energy_j in cells.energy_j]
    return pd.DataFrame(columns, index=[f"{digit:0{bits}b}" for digit in range(2**bits)])


def column_loads(runs: Sequence[str], machine: Crossbar) -> pd.DataFrame:
    """What the columns of each slice carry, in the networks' own codes and with their own inputs.

    Returns
    -------
    DataFrame
        A row a run and slice (0 the most significant): ``worst_case``, the full scale of an array's column;
        ``largest``, the most that any column could carry, all its rows at 1; ``mean``, what a column carries
        on average with the inputs that the run measured, all in levels; ``idle``, the share of columns that
        hold level 0 only.
    """
    rows = []
    for run in runs:
        network = load_network(run)
        matrices = program(network.layers, replace(machine, bits=network.bits))
        for index, width in enumerate(machine.slices):
            largest, means, idle, columns = 0.0, 0.0, 0, 0
            for name, matrix in matrices.items():
                activity = network.activity[name]
                share = activity.row_ones / (activity.reads * activity.input_bits)
                for levels, own in zip(
                    matrix.cells[index].split(machine.array_rows, 1),
                    share.split(machine.array_rows),
                    strict=True,
                ):
                    largest = max(largest, levels.sum(1).max().item())
                    means += (levels @ own).sum().item()
                    idle += int((levels == 0).all(1).sum())
                    columns += len(levels)
            rows.append(
                {
                    "run": run,
                    "slice": index,
                    "worst_case": machine.array_rows * (2**width - 1),
                    "largest": largest,
                    "mean": means / columns,
                    "idle": idle / columns,
                }
            )
    return pd.DataFrame(rows)


def converter_energies(
    runs: Sequence[str],
    machine: Crossbar,
    table: CellTable,
    adc_energies_j: Mapping[str, float],
    skip_idle: bool = False,
) -> pd.DataFrame:
    """Joules of one image in the crossbar dataflow, cells and converters, for each price of a conversion.

    Columns that stand there for the sign are included; with `skip_idle` without the conversions of columns
    that hold level 0 only, whose result is known.

    Returns
    -------
    DataFrame
        A row a run and price: ``run``, ``converter``, ``cells_j``, ``sign_j``, ``conversions``, ``adc_j``,
        ``total_j`` of these three.

    Raises
    ------
    ValueError
        The slices are no cells of the table.
    """
    if set(machine.slices) != {table.cell_bits}:
        raise ValueError(
            f"slices are {list(machine.slices)}, the table {table.name} has {table.cell_bits}-bit cells"
        )
    priced = replace(
        Machine.cells_only(table, "crossbar"),
        encoding=machine.encoding,
        adc_rule="column",
        array_rows=machine.array_rows,
    )
    rows = []
    for run in runs:
        network = load_network(run)
        frame = network_energy(network.layers, network.activity, priced)
        cells_j, sign_j, conversions = frame[["cells_j", "sign_j", "conversions"]].sum() / network.images
        if skip_idle:
            matrices = program(network.layers, replace(machine, bits=network.bits))
            counts = [matrix.counts(network.activity[name].reads) for name, matrix in matrices.items()]
            conversions -= sum(c["idle_conversions"] for c in counts) / network.images
        for name, energy_j in adc_energies_j.items():
            row = {"run": run, "converter": name, "cells_j": cells_j, "sign_j": sign_j}
            row |= {"conversions": conversions, "adc_j": conversions * energy_j}
            rows.append(row | {"total_j": cells_j + sign_j + conversions * energy_j})
    return pd.DataFrame(rows)


def gains_by_levels(runs: Sequence[str], table: CellTable) -> pd.DataFrame:
    """What networks take in a crossbar of a table's cells as they are given, and programmed to even levels.

    Returns
    -------
    DataFrame
        A row a run; µJ an image of its cells, those for the sign included, and gains over the first run in
        cells alone and with everything charged: each *given* and *even*.
    """
    found: dict[str, pd.Series] = {}
    for word, cells in (("given", table), ("even", table.with_even_levels())):
        machine = Machine.whole(cells, "crossbar")
        spent = {}
        for run in runs:
            network = load_network(run)
            frame = network_energy(network.layers, network.activity, machine)
            spent[run] = frame[["cells_j", "sign_j", "total_j"]].sum() / network.images
        joules = pd.DataFrame(spent).T
        alone = joules.cells_j + joules.sign_j
        found[f"cells (µJ), {word}"] = 1e6 * alone
        found[f"gain, {word}"] = alone[runs[0]] / alone
        found[f"whole gain, {word}"] = joules.total_j[runs[0]] / joules.total_j
    order = [f"{what}, {word}" for what in ("cells (µJ)", "gain", "whole gain") for word in ("given", "even")]
    return pd.DataFrame(found)[order]


def needed_bits(measured: pd.DataFrame, points: float = 1.0) -> pd.DataFrame:
    """The fewest bits of the converter that cost at most `points` of accuracy against none, by run and range.

    Parameters
    ----------
    measured
        Rows of `crossbar_study.load_crossbar` that differ in nothing but run, range rule and bits.

    Returns
    -------
    DataFrame
        Runs by range rules; missing where no measured resolution is enough, or none was measured.
    """
    free = measured[measured.adc_range == "none"].set_index("run").test_accuracy
    converted = measured[measured.adc_range != "none"]
    enough = converted[converted.test_accuracy >= converted.run.map(free) - points]
    return enough.pivot_table(index="run", columns="adc_range", values="adc_bits", aggfunc="min")
