"""Run the comparisons: ours and the peer's in turn, medians, one line each; exit 1 where a goal is missed.

``python -m companion.benchmarks growth`` measures how time and memory grow with the weights instead.
"""

import argparse
import ctypes
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch

from companion.benchmarks.cases import CASES, Case, Work
from companion.benchmarks.growth import measure_all
from companion.paths import repository
from companion.provenance import commit, device_name, versions
from twofold._files import written_whole

# glibc's numbers of the two settings.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_memory() -> None:
    """Have glibc keep what is freed, as the study's training does (`workflow/README.md`).

    By itself it gives large tensors back to the system and takes them anew, page by page, or does not: it
    depends on what lies above them in memory, and made one work of a pair a tenth slower by chance.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_MAX, 0)
        set_option(_M_TRIM_THRESHOLD, 2**31 - 1)


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(case: Case, budget_s: float) -> dict:
    """Interleave ours and the peer's for about ``budget_s`` seconds, at least five times each."""
    ours, peer = case.make()
    timed = callable(peer)
    for work in (ours, peer) if timed else (ours,):
        work()  # warm caches, import lazily, compile
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < 5 or time.perf_counter() - start < budget_s:
        pairs.append((seconds(ours), seconds(peer) if timed else peer))
    low, middle, high = np.quantile(pairs, [0.25, 0.5, 0.75], axis=0)
    ratio = middle[0] / middle[1]
    spread = (high - low) / middle
    return {
        "work": case.name,
        "peer": case.peer,
        "ours_ms": 1e3 * middle[0],
        "peer_ms": 1e3 * middle[1],
        "ratio": ratio,
        "goal": case.goal,
        "reached": ratio <= case.goal,
        "repeats": len(pairs),
        "ours_spread": spread[0],
        "peer_spread": spread[1],
    }


def line(row: dict) -> str:
    return (
        f"{row['work']:32} {row['ours_ms']:9.3f} ms | {row['peer']:30} {row['peer_ms']:9.3f} ms | "
        f"ratio {row['ratio']:.3f}, goal {row['goal']:.3f}: {'reached' if row['reached'] else 'MISSED'}"
    )


def write(rows: list[dict], name: str, note: str) -> None:
    """A CSV under ``data/``: what was measured, and where and with what; other machines' rows stay."""
    about = {"threads": torch.get_num_threads(), "device": device_name(), "commit": commit(), "note": note}
    if torch.cuda.is_available():
        about["device"] += f"; {device_name('cuda')}"
    about |= {package: number for package, number in versions().items() if package != "twofold"}
    about |= {peer: version(peer) for peer in ("scipy", "brevitas") if find_spec(peer)}
    path = repository() / "data" / f"{name}.csv"
    frame = pd.DataFrame(rows).assign(**about)
    if path.is_file():
        before = pd.read_csv(path, keep_default_na=False)
        frame = pd.concat([before[before.device != about["device"]], frame])
    with written_whole(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.4g")
    print(f"written: {path}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m companion.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["compare", "growth"], default="compare")
    parser.add_argument("-k", default="", metavar="NAME", help="only comparisons whose name holds NAME")
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each comparison")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--note", default="", help="a word on the machine, kept in the CSV")
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    if arguments.what == "growth":
        write(measure_all(arguments.threads), "benchmarks-growth", arguments.note)
        return 0
    chosen = [case for case in CASES if arguments.k in case.name]
    if not chosen:
        parser.error(
            f"no comparison is named like {arguments.k!r}; there are: {'; '.join(c.name for c in CASES)}"
        )
    missing = sorted({case.needs for case in chosen if case.needs and find_spec(case.needs) is None})
    if missing:
        install = "pip install -c constraints.txt -e '.[book]' --group test --group bench"
        parser.error(f"{', '.join(missing)} is missing: {install}")
    keep_memory()
    rows = []
    for case in chosen:
        rows.append(compare(case, arguments.seconds))
        print(line(rows[-1]), flush=True)
    if len(chosen) == len(CASES):
        write(rows, "benchmarks", arguments.note)
    return 0 if all(row["reached"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
