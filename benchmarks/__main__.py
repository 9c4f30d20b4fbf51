"""Run the comparisons: ours and the peer's in turn, medians, one line each; exit 1 where a goal is missed."""

import argparse
import sys
import time
from statistics import median

import pandas as pd
import torch

from benchmarks.cases import CASES, Case, Work
from twofold.paths import repository
from twofold.provenance import commit, device_name


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(case: Case, budget_s: float) -> dict:
    """Interleave ours and the peer's for about ``budget_s`` seconds, at least five times each."""
    ours, peer = case.make()
    ours(), peer()  # warm caches, import lazily, compile
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < 5 or time.perf_counter() - start < budget_s:
        pairs.append((seconds(ours), seconds(peer)))
    ours_s, peer_s = (median(column) for column in zip(*pairs, strict=True))
    ratio = ours_s / peer_s
    return {
        "work": case.name,
        "peer": case.peer,
        "ours_ms": 1e3 * ours_s,
        "peer_ms": 1e3 * peer_s,
        "ratio": ratio,
        "goal": case.goal,
        "reached": ratio <= case.goal,
        "repeats": len(pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("-k", default="", metavar="NAME", help="only comparisons whose name holds NAME")
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each comparison")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if arguments.k in case.name]
    if not chosen:
        parser.error(
            f"no comparison is named like {arguments.k!r}; there are: {'; '.join(c.name for c in CASES)}"
        )
    torch.set_num_threads(arguments.threads)
    rows = []
    for case in chosen:
        row = compare(case, arguments.seconds)
        rows.append(row)
        print(
            f"{row['work']:34} {row['ours_ms']:9.3f} ms | {row['peer']:26} {row['peer_ms']:9.3f} ms | "
            f"ratio {row['ratio']:.3f}, goal {row['goal']:.3f}: {'reached' if row['reached'] else 'MISSED'}",
            flush=True,
        )
    if len(chosen) == len(CASES):
        frame = pd.DataFrame(rows).assign(threads=arguments.threads, device=device_name(), commit=commit())
        frame.to_csv(repository() / "data" / "benchmarks.csv", index=False, float_format="%.4g")
    sys.exit(0 if all(row["reached"] for row in rows) else 1)


if __name__ == "__main__":
    main()
