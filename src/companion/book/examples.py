"""Tables for the figures that move: all that the explorers' scripts show is computed here, not in a browser.

A script only looks up, counts and draws, so a page cannot disagree with the library. Everything is plain
lists, dictionaries and numbers, ready for JSON.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt32
from torch import Tensor

from twofold import LFSR, CellTable, Polynomial, quantize
from twofold.codes.cells import cells_per_code, code_energy_table, to_cells
from twofold.codes.encodings import ENCODINGS, EncodingName, encode, popcount
from twofold.codes.quantizer import code_limit
from twofold.masks.generator import layer_polynomial, reduce_states
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.kinds import Rejection
from twofold.masks.lfsr import states_of_seeds
from twofold.masks.measures import overlap

__all__ = [
    "ENCODING_NAMES",
    "bit_truth_table",
    "code_tables",
    "encoding_control",
    "over_chance",
    "overlap_by_distance",
    "register_tables",
    "worked_example",
]


ENCODING_NAMES = {
    "twos_complement": "two's complement",
    "offset_binary": "offset binary",
    "sign_magnitude": "sign and magnitude",
    "differential": "differential pair",
    "signed_rows": "signed rows",
}
"""What text and figures call the encodings of signed codes."""


def bit_truth_table(r_lrs_ohm: float, r_hrs_ohm: float, v_read_v: float) -> pd.DataFrame:
    """Current of one 1-bit cell, I = V * G, for each input bit ``x`` and stored bit ``w``.

    A 1 is stored as the low resistance state (LRS), a 0 as the high one (HRS); an input bit of 0 applies no
    voltage (slide "Motivation: Why Compute-In-Memory (CIM)?"). Columns: ``x``, ``w``, ``resistance_ohm``,
    ``current_a``.
    """
    if not 0 < r_lrs_ohm < r_hrs_ohm < math.inf:
        raise ValueError(
            f"r_lrs_ohm is {r_lrs_ohm:g}, r_hrs_ohm {r_hrs_ohm:g}; needed is 0 < r_lrs_ohm < r_hrs_ohm"
        )
    if not 0 < v_read_v < math.inf:
        raise ValueError(f"v_read_v is {v_read_v:g}, allowed are finite voltages above 0")
    resistance_ohm = {0: r_hrs_ohm, 1: r_lrs_ohm}
    return pd.DataFrame(
        {"x": x, "w": w, "resistance_ohm": resistance_ohm[w], "current_a": x * v_read_v / resistance_ohm[w]}
        for x in (0, 1)
        for w in (0, 1)
    )


def encoding_control(
    weights_by_layer: Mapping[str, Float[Tensor, "..."]], table: CellTable, bits: int = 8
) -> pd.DataFrame:
    """Cell energy of the same float weights under each encoding, with no training for it: the control.

    Each cell read once with an input bit of 1, no ADC. Columns: ``encoding``, ``cells_per_weight``,
    ``energy_j``, ``energy_per_weight_j``, ``ratio`` (two's complement over this one), ``table``, ``bits``.
    """
    if not weights_by_layer:
        raise ValueError("weights_by_layer is empty, one layer at least is needed")
    limit = code_limit(bits)
    # How often each code occurs decides all: 255 numbers instead of a look-up per weight and encoding.
    counts = torch.zeros(2 * limit + 1, dtype=torch.int64)
    for weight in weights_by_layer.values():
        codes = quantize(weight, bits).flatten().long()
        counts += torch.bincount(codes + limit, minlength=2 * limit + 1).cpu()
    energy_j = {
        encoding: float(counts.double() @ code_energy_table(bits, encoding, table)) for encoding in ENCODINGS
    }
    return pd.DataFrame(
        {
            "encoding": encoding,
            "cells_per_weight": cells_per_code(bits, table.cell_bits, encoding),
            "energy_j": energy,
            "energy_per_weight_j": energy / int(counts.sum()),
            "ratio": energy_j["twos_complement"] / energy if energy else math.nan,
            "table": table.name,
            "bits": bits,
        }
        for encoding, energy in energy_j.items()
    )


def worked_example(
    weight_value: float, scale: float, bits: int, encoding: EncodingName, table: CellTable
) -> pd.DataFrame:
    """One weight all the way from a float to joules, a row for each of its cells.

    Columns: ``weight``, ``scale``, ``code``, ``quantized`` (the value that the code stands for),
    ``encoding``, ``pattern`` (all bits of the cell's word), ``word``, ``cell``, ``bits`` (those in the cell),
    ``level``, ``energy_j``. The last column's sum is the weight's energy, read once with an input bit of 1.
    """
    code_energy_table(bits, encoding, table)  # refuses what it cannot price
    code = quantize(torch.tensor([weight_value], dtype=torch.float64), bits, scale)
    patterns = encode(code, bits, encoding)[0]
    levels = to_cells(patterns, bits, table.cell_bits, encoding).unflatten(0, (patterns.numel(), -1))
    return pd.DataFrame(
        {
            "weight": weight_value,
            "scale": scale,
            "code": int(code),
            "quantized": int(code) * scale / code_limit(bits),
            "encoding": encoding,
            "pattern": format(pattern, f"0{bits}b"),
            "word": word,
            "cell": cell,
            "bits": format(level, f"0{table.cell_bits}b"),
            "level": level,
            "energy_j": table.energy_j[level],
        }
        for word, pattern in enumerate(patterns.tolist())
        for cell, level in enumerate(levels[word].tolist())
    )


def overlap_by_distance(size: int, density: float, steps: int = 40) -> pd.DataFrame:
    """Positions that two layers of one size have in common, by how far apart their seeds lie.

    Both walk by rejection. Where they have one polynomial they are arcs of one cycle, and have anything in
    common; two polynomials are two cycles.

    Parameters
    ----------
    size : positions of a layer
    density : share of them that each keeps
    steps : seeds of the second layer, spread evenly over its cycle

    Returns
    -------
    DataFrame
        ``distance`` of the seeds, as a share of the cycle; ``polynomials``, "one polynomial for both
        layers" or "a polynomial each"; ``overlap``, the share of the first layer's positions that the second
        keeps too.
    """
    degree = Rejection.least_degree((size,))
    first = layer_polynomial(degree, 0)
    mask = Rejection(first).draw((size,), density)
    rows = []
    second_of = {"one polynomial for both layers": first, "a polynomial each": layer_polynomial(degree, 1)}
    for words, second in second_of.items():
        for step in range(steps + 1):
            register = LFSR(second)
            seed = register.jump(step * register.period // steps).seed
            common = overlap(mask, Rejection(second, seed).draw((size,), density))
            rows.append((step / steps, words, common))
    return pd.DataFrame(rows, columns=["distance", "polynomials", "overlap"])


def over_chance(quality: pd.DataFrame) -> pd.DataFrame:
    """Measures of masks, overlaps over the density, which is what chance expects of them.

    Parameters
    ----------
    quality : as `masks.measures.mask_quality`, of several generators at several densities
    """
    expected = quality.density.where(quality.measure.str.startswith("overlap"), 1.0)
    return quality.assign(value=quality.value / expected)


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
        ``sizes``: by M, ``columns`` of its drawing and, by rule and degree, the ``positions`` of the states
        0 to 2^n - 1; -1 is a state that the rule skips.
    """
    degrees = {}
    for degree in _DEGREES:
        masks = range(2**degree + 1, 2 ** (degree + 1), 2)
        degrees[degree] = {
            "primitive": primitive_polynomial(degree).mask,
            "cycles": {mask: _cycles(Polynomial(mask)) for mask in masks},
        }
    sizes = {
        size: {
            "columns": columns,
            "positions": {
                rule: {degree: positions(size, degree) for degree in _DEGREES}
                for rule, positions in _RULES.items()
            },
        }
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


def _by_rejection(size: int, degree: int) -> list[int]:
    return [state - 1 if state <= size else -1 for state in range(2**degree)]


def _by_multiply_shift(size: int, degree: int) -> list[int]:
    return reduce_states(np.arange(2**degree, dtype=np.uint32), size, degree).tolist()


_RULES = {"rejection": _by_rejection, "multiply-shift": _by_multiply_shift}
