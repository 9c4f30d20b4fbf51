"""Accuracy of the committed networks on crossbars: measured point by point into one table, and read back."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

from twofold import paths
from twofold.adc import Adc
from twofold.bit_slices import check_slices
from twofold.crossbar import Crossbar
from twofold.crossbar_network import on_crossbars
from twofold.data import Images, load_images, normalise
from twofold.devices import Device
from twofold.files import held, read_csv, written_whole
from twofold.inputs import activation_scales
from twofold.pack import FinishedNetwork
from twofold.provenance import commit, device_name
from twofold.results import RESULTS_VERSION, load_network, load_results
from twofold.train import evaluate

__all__ = ["Point", "accuracy", "load_crossbar", "measure", "sweep"]

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
    r_hrs_ohm: float = 1e6
    variation: float = 0.0
    seed: int = 0
    images: int = 1000

    def machine(self) -> Crossbar:
        """The crossbar that the point names."""
        return Crossbar(
            adc=Adc(range_rule=self.adc_range, bits=self.adc_bits, percentile=self.percentile),
            encoding=self.encoding,
            slices=check_slices([int(width) for width in self.slices.split("-")], 8),
            array_rows=self.array_rows,
            device=Device(r_hrs_ohm=self.r_hrs_ohm, variation=self.variation, seed=self.seed),
        )

    def key(self) -> dict[str, object]:
        """What identifies the point's row: its settings, and the codes that it was measured on."""
        settings = vars(self) | {"codes": _codes_hash(self.run)}
        if self.adc_range == "none":
            settings |= {"adc_bits": math.nan, "percentile": math.nan}
        elif self.adc_range != "calibrated":
            settings |= {"percentile": math.nan}
        return settings


def accuracy(network: FinishedNetwork, machine: Crossbar, train: Images, test: Images) -> float:
    """Accuracy (%) on `test` of a finished network on crossbars; training images calibrate it."""
    model = network.build()
    images = normalise(train[:SCALE_IMAGES])
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
        There is no such table; ``workflow/crossbar_sweep.py`` makes one.
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
