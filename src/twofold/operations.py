"""Joules of digital operations and of memory words: the 45 nm table of the slides (Han et al. 2015)."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from twofold.cells import read_energies

__all__ = ["load_operation_energies", "memory_word_energy_j", "memory_words"]

MEMORY_WORD_BITS = 32
MEMORIES = {"SRAM": "32-bit SRAM cache", "DRAM": "32-bit DRAM memory"}
"""Where a stored index may lie -> its operation in the 45 nm table."""


def load_operation_energies(name_or_path: str | Path = "energy_ops_45nm") -> pd.DataFrame:
    """Energy of digital operations: columns ``operation``, ``energy_j``, ``source``, ``doi``."""
    return read_energies(name_or_path, "operation")


@lru_cache
def memory_word_energy_j(memory: str = "SRAM") -> float:
    """Joules to read one 32-bit word of a memory ("SRAM" or "DRAM"), by the 45 nm table."""
    if memory not in MEMORIES:
        raise ValueError(f"memory is {memory!r}, allowed are {', '.join(MEMORIES)}")
    return float(load_operation_energies().set_index("operation").energy_j[MEMORIES[memory]])


def memory_words(bits: int) -> int:
    """Words of 32 bits that so many bits fill, the last one perhaps in part."""
    return -(-bits // MEMORY_WORD_BITS)
