"""The index generator clock by clock: the Verilog simulated, and the library's model of the same clocks."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from companion import paths
from twofold import LFSR, Polynomial
from twofold.masks.generator import reduce_states
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import Form

__all__ = ["lig_model", "lig_trace", "simulate_lig"]


COLUMNS = ["state", "raw", "index", "valid", "ready", "last"]


IN_HARDWARE: tuple[Reduction, ...] = ("multiply-shift", "modulo")
"""Kinds of index generators that `hardware/lig.v` has."""


def lig_trace(clocks: int, **design) -> tuple[pd.DataFrame, str]:
    """`simulate_lig` where Icarus Verilog is installed, else `lig_model`; and which of the two it was."""
    if shutil.which("iverilog"):
        return simulate_lig(clocks, **design), "Icarus Verilog"
    return lig_model(clocks, **design), "the library's model"


def simulate_lig(
    clocks: int,
    *,
    polynomial: Polynomial | str = "x^9+x^4+1",
    seed: int = 1,
    size: int = 300,
    kept: int = 0,
    reduction: Reduction = "multiply-shift",
    form: Form = "fibonacci",
    dedup: bool = True,
    stall: int = 0,
) -> pd.DataFrame:
    """`hardware/lig.v` in Icarus Verilog, from the first clock after its scratch bits are clear.

    Parameters
    ----------
    kept : indices in one walk, after which the generator starts again from the seed; 0: no end
    dedup : first sights only
    stall : the consumer is not ready at every so manyth clock, from the first on; 0: always ready

    Returns
    -------
    DataFrame
        A row a clock: ``state``, ``raw`` (its index), ``index`` and ``valid`` (what the generator offers),
        ``ready``, ``last``. What the hardware does not know yet (x) is -1.

    Raises
    ------
    ValueError
        A register that the library refuses, a size below 2, or a kind of generator that is none of
        `IN_HARDWARE`.
    RuntimeError
        Icarus Verilog is not installed, or refuses.
    """
    register = _register(polynomial, seed, form, size, reduction)
    if shutil.which("iverilog") is None:
        raise RuntimeError("Icarus Verilog is not installed (Debian: apt install iverilog)")
    settings = {
        "DEGREE": register.degree,
        "TAPS": register.polynomial.mask - (1 << register.degree),
        "SEED": seed,
        "M": size,
        "KEPT": kept,
        "MODULO": int(reduction == "modulo"),
        "GALOIS": int(form == "galois"),
        "DEDUP": int(dedup),
        "CLOCKS": clocks,
        "STALL": stall,
    }
    return pd.DataFrame(_simulate("lig_tb", settings), columns=COLUMNS)


def lig_model(
    clocks: int,
    *,
    polynomial: Polynomial | str = "x^9+x^4+1",
    seed: int = 1,
    size: int = 300,
    kept: int = 0,
    reduction: Reduction = "multiply-shift",
    form: Form = "fibonacci",
    dedup: bool = True,
    stall: int = 0,
) -> pd.DataFrame:
    """The same clocks from the library's states, with sets in place of scratch bits; see `simulate_lig`."""
    register = _register(polynomial, seed, form, size, reduction)
    states = register.states(clocks + 1).astype(np.int64)
    raws = reduce_states(register.states(clocks + 1), size, register.degree, reduction)
    seen: set[int] = set()
    step, handed, held, rows = 0, 0, -1, []  # held: the index that waits to be handed on; -1: none
    known = -1  # what stands on the index wires, valid or not
    for t in range(clocks):
        ready = stall == 0 or t % stall != 0
        index = known if dedup else int(raws[step])
        valid = held >= 0 and held not in seen if dedup else True
        last = kept > 0 and handed == kept - 1
        rows.append((states[step], raws[step], index, valid, ready, last))
        taken = valid and ready
        if taken:
            seen.add(index)
            handed += 1
        if dedup and (taken or not valid):
            known = held = int(raws[step])
        if taken and last:
            seen, step, handed, held = set(), 0, 0, -1
        elif taken or not valid:
            step += 1
    return pd.DataFrame(rows, columns=COLUMNS).astype(int)


def _register(polynomial: Polynomial | str, seed: int, form: Form, size: int, reduction: Reduction) -> LFSR:
    if reduction not in IN_HARDWARE:
        raise ValueError(f"reduction is {reduction!r}; hardware/lig.v has {' and '.join(IN_HARDWARE)}")
    if size < 2:
        raise ValueError(f"size is {size}; the generator takes 2 positions or more")
    return LFSR(polynomial, seed, form)


def _simulate(bench: str, settings: dict[str, int]) -> list[list[int]]:
    """The numbers that a test bench prints, a list a line; x becomes -1."""
    folder = paths.hardware_dir()
    sources = [folder / f"{name}.v" for name in ("first_sights", "walk_end", "lig", "lig_pair", bench)]
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "bench"
        chosen = [f"-P{bench}.{name}={value}" for name, value in settings.items()]
        _run(["iverilog", "-g2005-sv", "-s", bench, "-o", str(program), *chosen, *map(str, sources)])
        printed = _run(["vvp", "-n", str(program)])
    lines = [line.split() for line in printed.splitlines() if line[:1].isdigit()]
    return [[int(word) if word.isdigit() else -1 for word in line] for line in lines]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
