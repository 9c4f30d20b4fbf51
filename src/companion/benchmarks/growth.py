"""How time and memory grow with the number of weights, each size in a process of its own.

Run as ``python -m companion.benchmarks.growth WORK WEIGHTS``, it prints one measurement as JSON.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from twofold import LFSR, CodeChooser, lfsr_mask, load_cell_table
from twofold.codes.cells import code_energy, code_energy_table
from twofold.codes.encodings import encode
from twofold.codes.quantizer import quantize as to_codes
from twofold.masks.gf2 import primitive_polynomial

__all__ = ["SIZES", "WORKS", "measure_all"]

SIZES = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000]
_TABLE = code_energy_table(8, "twos_complement", load_cell_table())


def copy(weights: int) -> Callable[[], object]:
    """What no pass over float weights can beat: read them once, write them once."""
    source = torch.randn(weights)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def lfsr_bits(weights: int) -> Callable[[], object]:
    register = LFSR(primitive_polynomial(31))
    return lambda: register.bits(weights)


def mask(weights: int) -> Callable[[], object]:
    return lambda: lfsr_mask((weights,), 0.5)


def quantize(weights: int) -> Callable[[], object]:
    weight = torch.randn(weights)
    return lambda: encode(to_codes(weight), 8, "twos_complement")


def choice(weights: int) -> Callable[[], object]:
    place = 25 * torch.randn(weights)
    chooser = CodeChooser(8, 1e12 * _TABLE)
    chooser.set_strength(60.0)
    return lambda: chooser(place)


def energy(weights: int) -> Callable[[], object]:
    codes = torch.randint(-127, 128, (weights,), dtype=torch.int8)
    return lambda: code_energy(codes, _TABLE)


WORKS = {
    "copy of the weights": copy,
    "LFSR bits, one a weight": lfsr_bits,
    "LFSR mask, 50 %": mask,
    "quantize and encode": quantize,
    "energy-aware choice": choice,
    "energy of the codes": energy,
}


def peak_bytes() -> int:
    """The most memory that this process has held so far.

    Linux hands a child its parent's ``ru_maxrss`` on; the mark in /proc is the process's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (x for x in status.read_text(encoding="utf-8").splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(work: str, weights: int) -> dict:
    """Median seconds of some calls after a first one, and the peak memory beyond the imports'."""
    WORKS[work](1000)()  # lazy imports and tables
    imports = peak_bytes()
    call = WORKS[work](weights)
    call()
    times: list[float] = []
    while not times or (sum(times) < 0.5 and len(times) < 100) or (sum(times) < 5 and len(times) < 3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {
        "work": work,
        "weights": weights,
        "seconds": median(times),
        "spread": (max(times) - min(times)) / median(times),
        "repeats": len(times),
        "peak_mb": (peak_bytes() - imports) / 1e6,
        "imports_mb": imports / 1e6,
    }


def measure_all(threads: int) -> list[dict]:
    """Every work at every size."""
    rows = []
    for work in WORKS:
        for weights in SIZES:
            words = [sys.executable, "-m", "companion.benchmarks.growth", work, str(weights), str(threads)]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            row = rows[-1]
            print(f"{work:26} {weights:11,} {row['seconds']:10.4g} s {row['peak_mb']:9.1f} MB", flush=True)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
