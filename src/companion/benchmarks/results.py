"""The committed timings of ``python -m companion.benchmarks``: ours beside a peer's, and how works grow."""

from collections.abc import Sequence

import pandas as pd

from companion.paths import repository

__all__ = ["FLOOR", "benchmarks", "growth", "not_measured"]


FLOOR = "copy of the weights"
"""The work that no pass over float weights can beat: reading each once and writing it once."""


def benchmarks() -> pd.DataFrame:
    """``data/benchmarks.csv``: a row a comparison and machine.

    Columns: ``work``, ``peer``, ``ours_ms``, ``peer_ms`` (medians), ``ratio`` (ours / peer), ``goal`` (the
    largest ratio allowed), ``reached``, ``repeats``, ``ours_spread``, ``peer_spread`` (interquartile range /
    median), ``threads``, ``device``, ``commit``, ``note``, and a column for each package's version; and
    ``machine``, the device in short, without its cores.

    Raises
    ------
    FileNotFoundError
        The file is not there; the message says which command makes it.
    ValueError
        A column is missing.
    """
    frame = _read("benchmarks", ["work", "peer", "ours_ms", "peer_ms", "ratio", "goal", "reached", "device"])
    return frame.assign(machine=frame.device.map(_processor))


def not_measured() -> list[str]:
    """Comparisons that were changed or added after the committed timings: works and goals, in words."""
    from companion.benchmarks.cases import CASES  # much that only this look needs

    known = set(benchmarks().work)
    return [
        f"{case.name} ({case.peer}: {case.goal:g})"
        for case in CASES
        if case.name not in known and "GPU" not in case.name
    ]


def growth(works: Sequence[str] | None = None) -> pd.DataFrame:
    """``data/benchmarks-growth.csv``: a row for each work and number of weights, the `FLOOR` among them.

    Of the machine measured last. Columns: ``work``, ``weights``, ``seconds`` (median), ``peak_mb`` (most
    memory held, beyond the imports'), ``imports_mb``, and where and with what it was measured, as in
    `benchmarks`.

    Parameters
    ----------
    works
        Which to return beside the `FLOOR`; all by default.

    Raises
    ------
    FileNotFoundError, ValueError
        As `benchmarks`; or a work that was not measured (the message lists those that were).
    """
    frame = _read("benchmarks-growth", ["work", "weights", "seconds", "peak_mb", "device"])
    frame = frame[frame.device == frame.device.iloc[-1]]
    known = [work for work in frame.work.unique() if work != FLOOR]
    for work in known if works is None else works:
        if work not in known:
            raise ValueError(f"work {work!r} was not measured; there are {', '.join(known)}")
    return frame[frame.work.isin([*(known if works is None else works), FLOOR])].reset_index(drop=True)


def _processor(device: str) -> str:
    """A machine's name without its cores: ``AMD EPYC (AVX2)`` for ``AMD EPYC (AVX2), 2 cores``."""
    return device.rsplit(",", 1)[0].replace("(R)", "").replace(" Processor", "")


def _read(name: str, columns: list[str]) -> pd.DataFrame:
    path = repository() / "data" / f"{name}.csv"
    if not path.is_file():
        command = "python -m companion.benchmarks" + (" growth" if name.endswith("growth") else "")
        raise FileNotFoundError(f"{path} is missing; {command} makes it")
    frame = pd.read_csv(path, keep_default_na=False)
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    return frame
