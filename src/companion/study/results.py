"""The table that all figures start from: made from the folders of finished runs, read by the chapters."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from companion import paths
from companion.files import read_json
from companion.study.config import METHODS, RunConfig, Schema
from companion.study.names import START, label_of
from companion.study.networks import FinishedNetwork, load_codes
from companion.study.plan import experiment_of
from twofold._files import load_tensors, read_csv, written_whole

__all__ = [
    "RESULTS_VERSION",
    "STUDY_START",
    "Measured",
    "RunRow",
    "baseline_of",
    "collect",
    "load_determinism",
    "load_epochs",
    "load_float_weights",
    "load_literature",
    "load_network",
    "load_results",
    "run_costs",
    "run_versions",
    "starting_from",
]


RESULTS_VERSION = 2


TABLES = ("runs.csv", "epochs.csv")


SUMS = "SHA256SUMS"
"""Checksums of the tables that `collect` makes, as ``sha256sum -c`` reads them."""


STUDY_START = START
"""The float run whose descendants README, first page and ledger show."""


class Measured(Schema):
    """What a finished run found, and where, how and when it ran."""

    test_accuracy: float
    """Percent, after the last epoch; weights of the run's bits, float inputs to every layer."""
    test_accuracy_w8a8: float | None = None
    """Percent, the same with 8-bit inputs to every layer; None for float runs, as the next two."""
    kept_weights: int
    """Number of weights that the masks keep."""
    zero_codes: float | None = None
    """Share of the kept codes that are 0."""
    cell_energy_j: float | None = None
    """All cells of the kept weights read once with an input bit of 1, in the run's encoding and cells."""
    accuracy_before_pruning: float | None = None
    """Percent, where the masks became hard during the training."""
    accuracy_after_pruning: float | None = None
    """Percent, just after that."""
    minutes: float
    """Wall time of training and evaluation."""
    device: str
    threads: int
    commit: str
    """The library's."""
    finished: str
    """UTC, ISO 8601."""


class RunRow(Schema):
    """A row of ``runs.csv``: a run's configuration, every field of it, and what was measured."""

    config: RunConfig
    measured: Measured

    def columns(self) -> dict[str, Any]:
        """The values by column of the table.

        ``bits`` of a float run is 32, ``bit_term`` None without one, ``generator`` None without a register.
        """
        config = self.config.model_dump()
        if self.config.method == "dense":
            config["bits"] = 32
        if not METHODS[self.config.method][1]:
            config["bit_term"] = None
        if METHODS[self.config.method][0] != "lfsr":
            config["generator"] = None
        first = {
            "results_version": RESULTS_VERSION,
            "run": config.pop("run"),
            "experiment": experiment_of(self.config),
            "label": label_of(self.config),
            # The talk's order is to train with both penalties, then to prune, then to train on.
            "procedure": "joint" if self.config.prune_epoch else "masked",
        }
        return first | config | self.measured.model_dump()

    @classmethod
    def from_columns(cls, values: Mapping[str, Any]) -> "RunRow":
        """The row that has these values.

        Raises
        ------
        ValueError
            A column too many or too few, or a value that `RunConfig` or `Measured` does not take.
        """
        own = {name: None if pd.isna(value) else value for name, value in values.items()}
        for name in ("results_version", "experiment", "label", "procedure"):
            del own[name]
        if own["method"] == "dense":
            del own["bits"]
        for name in ("bit_term", "generator"):
            if own[name] is None:
                del own[name]
        measured = {name: own.pop(name) for name in Measured.model_fields}
        return cls(config=RunConfig(**own), measured=Measured(**measured))


COLUMNS = (
    *("results_version", "run", "experiment", "label", "procedure"),
    *(name for name in RunConfig.model_fields if name != "run"),
    *Measured.model_fields,
)
"""Of ``runs.csv``, in order."""

TEXT = {
    **dict.fromkeys(("run", "experiment", "label", "procedure"), str),
    **{
        name: str
        for schema in (RunConfig, Measured)
        for name, field in schema.model_fields.items()
        if field.annotation in (str, str | None)
    },
}
"""Columns of text, whatever it looks like: a commit may have no letter."""


def collect() -> pd.DataFrame:
    """Make ``data/results/runs.csv`` from the folders of all finished runs; returns it."""
    rows, epochs = [], []
    for sidecar_path in sorted(
        paths.results_dir().glob("[!.]*/run.json")
    ):  # not what a kill left half-written
        row, curve = _finished_run(sidecar_path)
        rows.append(row.columns())
        epochs.append(curve.assign(results_version=RESULTS_VERSION, run=row.config.run))
    if not rows:
        raise FileNotFoundError(f"no finished run under {paths.results_dir()}")
    table = pd.DataFrame(rows)[[*COLUMNS]]
    for name in Measured.model_fields:
        if pd.api.types.is_float_dtype(table[name]):  # six digits; a configuration's numbers keep all of them
            table[name] = [float(f"{value:.6g}") for value in table[name]]
    texts = {
        "runs.csv": table.to_csv(index=False, lineterminator="\n"),
        "epochs.csv": pd.concat(epochs).to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    }
    texts[SUMS] = "".join(f"{_sha256(text.encode())}  {name}\n" for name, text in texts.items())
    with contextlib.ExitStack() as stack:  # a full disk leaves all three as they were
        for name, text in texts.items():
            partial = stack.enter_context(written_whole(paths.results_dir() / name))
            partial.write_text(text, encoding="utf-8", newline="\n")
    return load_results()


def _finished_run(sidecar_path: Path) -> tuple[RunRow, pd.DataFrame]:
    """A run's row and its epochs, from its folder; ``ValueError`` where they are not whole."""
    sidecar = read_json(sidecar_path)
    _check_version(sidecar.get("results_version"), sidecar_path)
    config = RunConfig.from_yaml(sidecar_path.with_name("config.yml"))
    result, run = sidecar.get("result"), sidecar_path.parent.name
    if not isinstance(result, dict) or result.pop("run", None) != run or config.run != run:
        raise ValueError(f"{sidecar_path} holds no result of a run {run!r}")
    try:
        measured = Measured(**result)
    except ValueError as error:
        raise ValueError(f"{sidecar_path} holds no result of a run: {error}") from None
    curve_path = sidecar_path.with_name("epochs.csv")
    curve = read_csv(curve_path)
    if "epoch" not in curve or curve.epoch.tolist() != [*range(1, config.epochs + 1)]:
        raise ValueError(f"{curve_path} does not hold the {config.epochs} epochs of the run")
    return RunRow(config=config, measured=measured), curve


def load_results(path: Path | None = None) -> pd.DataFrame:
    """The table of runs, a row each; columns and units are explained in ``data/results/README.md``.

    Raises
    ------
    FileNotFoundError
        There is no such table.
    ValueError
        It was written by another version of this library, or is no such table, or a row of it holds what a
        run cannot have.
    """
    path = path or paths.results_dir() / "runs.csv"
    frame = _read(path, dtype=TEXT)
    missing = [name for name in COLUMNS if name not in frame]
    unknown = [str(name) for name in frame if name not in COLUMNS]
    if missing or unknown:
        told = [f"it has no column {', '.join(missing)}"] if missing else []
        told += [f"it has a column {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"{path} is no results table: {' and '.join(told)}")
    for values in frame.to_dict("records"):
        try:
            RunRow.from_columns(values)
        except ValueError as error:
            raise ValueError(f"{path}, run {values['run']}: {error}") from None
    return frame


def starting_from(frame: pd.DataFrame, start: str = STUDY_START) -> pd.DataFrame:
    """The quantized runs that start from one float run and saw the test set only at the end: fit to compare.

    Raises
    ------
    ValueError
        No run starts there; the message lists where runs start.
    """
    own = frame[(frame.init == start) & (frame.method != "dense") & ~frame.held_out]
    if own.empty:
        starts = ", ".join(sorted(frame.init.dropna().unique()))
        raise ValueError(f"no run starts from {start!r}; there are runs that start from {starts}")
    return own


def baseline_of(run: pd.Series, frame: pd.DataFrame) -> str:
    """The dense 8-bit run that a run is measured against: same images, network and start, not distilled.

    That of the same seed, where there is one, otherwise the first seed's.

    Raises
    ------
    ValueError
        ``frame`` holds no such run.
    """
    same = frame[(frame.method == "dense-8bit") & ~frame.held_out & (frame.distillation == 0)]
    for column in ("dataset", "network", "init"):
        same = same[same[column].fillna("") == (run[column] if pd.notna(run[column]) else "")]
    if same.empty:
        raise ValueError(
            f"{run.run} has no baseline: no finished run of method 'dense-8bit' with dataset "
            f"{run.dataset!r}, network {run.network!r} and init {run.init!r}"
        )
    return same.assign(other=same.seed != run.seed).sort_values(["other", "seed"]).run.iloc[0]


def load_epochs(path: Path | None = None) -> pd.DataFrame:
    """A row for each epoch of each run (``run`` names it); errors as `load_results`."""
    return _read(path or paths.results_dir() / "epochs.csv")


def load_determinism() -> pd.DataFrame:
    """What another number of threads, compilation or instruction set change in a run on the digits.

    A row a setting and seed, against one thread: share of the kept codes that differ, the largest step of
    one, the largest change of scales (relative) and of other tensors, accuracies in percent; then machine and
    commit.
    ``python -m companion.benchmarks.determinism`` makes it.
    """
    return read_csv(paths.repository() / "data" / "determinism.csv")


def load_literature() -> pd.DataFrame:
    """Published accuracies of ResNet-20 on CIFAR-10; each row carries its ``source``."""
    return read_csv(paths.repository() / "data" / "literature_resnet20.csv")


def load_network(run: str) -> FinishedNetwork:
    """The committed codes of a finished run; the same object as long as its files stay.

    Raises
    ------
    FileNotFoundError
        There are none of this run; the message lists the runs that have some.
    """
    codes = _committed(run, "codes")
    config = codes.with_name("config.yml")
    return _stored(codes, config, (codes.stat().st_mtime_ns, config.stat().st_mtime_ns))


# A chapter prices every run on a dozen machines, and decoding walks each layer's generator: room for more
# runs than a study has, or each machine would decode them all again. A ResNet-20 takes about a megabyte.
@lru_cache(maxsize=256)
def _stored(codes: Path, config: Path, stamps: tuple[int, int]) -> FinishedNetwork:
    """A run's network, anew for new files."""
    # What the codes were chosen for: files of the first edition do not say it.
    return load_codes(codes).trained_for(RunConfig.from_yaml(config).encoding)


def load_float_weights(run: str) -> dict[str, Tensor]:
    """The weights of a finished float run's convolutions and matrices, by layer.

    Raises
    ------
    FileNotFoundError
        There are none of this run; the message lists the runs that have some.
    """
    _, state = load_tensors(_committed(run, "weights"))
    return {name.removesuffix(".weight"): tensor for name, tensor in state.items() if tensor.ndim > 1}


def _committed(run: str, what: str) -> Path:
    path = paths.results_dir() / paths.check_run_name(run) / f"{what}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(p.parent.name for p in paths.results_dir().glob(f"*/{what}.safetensors")))
        raise FileNotFoundError(f"no {what} of a run {run!r}; there are those of {there or 'none'}")
    return path


def _read(path: Path, **options: Any) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"no results table at {path}; `twofold collect` makes one from finished runs")
    _check_sum(path)
    frame = read_csv(path, **options)
    missing = {"results_version", "run"} - set(frame)
    if missing:
        raise ValueError(f"{path} is no results table: it has no column {', '.join(sorted(missing))}")
    for value in frame.results_version.unique():
        _check_version(value, path)
    return frame


def _check_sum(path: Path) -> None:
    """Where checksums lie beside a table, they must agree: one that is cut between two rows reads well."""
    sums = path.with_name(SUMS)
    if path.name in TABLES and sums.is_file():
        found = _sha256(path.read_bytes().replace(b"\r\n", b"\n"))  # git may have changed the ends of lines
        if f"{found}  {path.name}" not in sums.read_text(encoding="utf-8", errors="replace").splitlines():
            raise ValueError(
                f"{path} is not the table that {SUMS} was made for; `twofold collect` makes both anew"
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_version(value: object, path: Path) -> None:
    if value != RESULTS_VERSION:
        raise ValueError(f"{path} has results version {value}; this library reads version {RESULTS_VERSION}")


def run_costs() -> pd.DataFrame:
    """A row a finished run of the results table, in the order in which they finished.

    Returns
    -------
    DataFrame
        ``run``, ``method``, ``network``, ``seed``, ``epochs``, ``minutes`` (wall time of training and
        evaluation), ``seconds_an_epoch`` (the median), ``threads``, ``device``, ``commit``, ``finished``
        (UTC) and ``note`` (what must be known about the run; empty where there is nothing).
    """
    runs = load_results().sort_values("finished", ignore_index=True)
    median_s = load_epochs().groupby("run").seconds.median()
    columns = ["run", "method", "network", "seed", "epochs", "minutes"]
    frame = runs[columns].assign(seconds_an_epoch=runs.run.map(median_s))
    frame[["threads", "device", "commit", "finished"]] = runs[["threads", "device", "commit", "finished"]]
    return frame.assign(note=[_sidecar(run).get("note", "") for run in runs.run])


def run_versions() -> pd.DataFrame:
    """Each set of versions that runs were made with: a row a set, the packages, and ``runs`` of that set."""
    frame = pd.DataFrame([_sidecar(run).get("versions", {}) for run in load_results().run])
    frame = frame.fillna("not recorded").astype(str)
    return frame.value_counts(sort=True).rename("runs").reset_index()


def _sidecar(run: str) -> dict:
    return json.loads((paths.results_dir() / run / "run.json").read_text(encoding="utf-8"))
