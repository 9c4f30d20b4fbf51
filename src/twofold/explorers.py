"""Tables for the figures that move: all that the explorers' scripts show is computed here, not in a browser.

A script only looks up, counts and draws, so a page cannot disagree with the library. Everything is plain
lists, dictionaries and numbers, ready for JSON.
"""

import numpy as np
import torch
from jaxtyping import UInt32

from twofold.cells import CellTable, code_energy_table, to_cells
from twofold.codes import ENCODINGS, code_limit, encode, popcount, quantize
from twofold.gf2 import Polynomial, primitive_polynomial
from twofold.lfsr import states_of_seeds
from twofold.lig import reduce_states

__all__ = ["code_tables", "register_tables"]

_DEGREES = range(3, 10)  # to the slides' own x^9+x^4+1; the table doubles twice with each further degree
_GRIDS = {64: 8, 144: 12, 300: 20}  # positions -> columns of the drawn grid; 300 is the slides' M
_STEPS = 200  # weights a side: the explorer's slider goes by half a percent of the layer's largest weight


def register_tables() -> dict:
    """Every Fibonacci register of degree 3 to 9, primitive or not, and the positions of its states.

    Returns
    -------
    dict
        ``degrees``: by degree, ``primitive`` (the mask of the first primitive polynomial) and ``cycles``: by
        the mask of each polynomial with constant term 1, the output bits of every cycle but that of state 0,
        as text. State number t of a cycle is its window of n bits from t on, the first bit lowest.
        ``sizes``: by M, ``columns`` of its drawing and, by degree, the ``positions`` of the states 0 to
        2^n - 1 by multiply-shift.
    """
    degrees = {}
    for degree in _DEGREES:
        masks = range(2**degree + 1, 2 ** (degree + 1), 2)
        degrees[degree] = {
            "primitive": primitive_polynomial(degree).mask,
            "cycles": {mask: _cycles(Polynomial(mask)) for mask in masks},
        }
    sizes = {
        size: {"columns": columns, "positions": {degree: _positions(size, degree) for degree in _DEGREES}}
        for size, columns in _GRIDS.items()
    }
    return {"degrees": degrees, "sizes": sizes}


def code_tables(table: CellTable, bits: int = 8) -> dict:
    """Codes of weights from minus to plus the layer's largest, and what each code is in every encoding.

    Returns
    -------
    dict
        ``weights``: pairs of a weight, as a share of the largest, and its code. ``codes``: by code and
        encoding, ``cells`` (the bits of each cell, the highest first), ``ones`` and ``energy_pj`` (all cells
        read once with an input bit of 1). ``limit`` is the largest code.
    """
    shares = torch.arange(-_STEPS, _STEPS + 1, dtype=torch.float64) / _STEPS
    codes = quantize(shares, bits, 1.0)
    used = codes.unique()
    by_encoding = {}
    for encoding in ENCODINGS:
        cells = to_cells(encode(used, bits, encoding), bits, table.cell_bits, encoding).tolist()
        energy_pj = 1e12 * code_energy_table(bits, encoding, table)[used.long() + code_limit(bits)]
        ones = popcount(used, bits, encoding).tolist()
        by_encoding[encoding] = [
            {
                "cells": [format(level, f"0{table.cell_bits}b") for level in levels],
                "ones": count,
                "energy_pj": round(pj, 6),
            }
            for levels, count, pj in zip(cells, ones, energy_pj.tolist(), strict=True)
        ]
    return {
        "limit": code_limit(bits),
        "weights": [[round(w, 4), k] for w, k in zip(shares.tolist(), codes.tolist(), strict=True)],
        "codes": {
            code: {encoding: entries[i] for encoding, entries in by_encoding.items()}
            for i, code in enumerate(used.tolist())
        },
    }


def _cycles(polynomial: Polynomial) -> list[str]:
    """Output bits of each cycle of nonzero states, each from its smallest state on."""
    seeds = np.arange(1, 2**polynomial.degree, dtype=np.uint32)
    following: UInt32[np.ndarray, "states"] = states_of_seeds(polynomial, seeds, 2)[1]
    left, cycles = set(seeds.tolist()), []
    while left:
        start = state = min(left)
        cycle = []
        while state in left:
            left.remove(state)
            cycle.append(str(state & 1))
            state = int(following[state - 1])
        assert state == start  # a constant term of 1 makes every walk a cycle
        cycles.append("".join(cycle))
    return cycles


def _positions(size: int, degree: int) -> list[int]:
    return reduce_states(np.arange(2**degree, dtype=np.uint32), size, degree).tolist()
