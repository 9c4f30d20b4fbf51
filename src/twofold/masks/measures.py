"""What masks have in common, what they span, what they reach, and what their indices cost to store.

A mask is **True = kept**; see :mod:`twofold.masks.draw`.
"""

import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from twofold.masks.draw import Mask
from twofold.masks.generator import LAYER_POLYNOMIAL, reduce_states
from twofold.masks.gf2 import Polynomial
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import LFSR

__all__ = ["cheapest_index_bits", "index_storage_bits", "numerical_rank", "overlap", "pair_coverage"]


_MAX_CLOCKS = 1 << 24  # about a second's walk


_CHUNK = 1 << 20  # clocks walked at once: bounds the memory


def overlap(a: Mask | Bool[Tensor, "*shape"], b: Mask | Bool[Tensor, "*shape"]) -> float:
    """`|A and B| / |A|`: the share of A's kept weights that B keeps too; by chance, about B's density.

    Raises
    ------
    ValueError
        For masks of two shapes, or a first mask that keeps nothing.

    Examples
    --------
    >>> overlap(torch.tensor([True, True, False]), torch.tensor([True, False, True]))
    0.5
    """
    keep_a, keep_b = (mask.keep if isinstance(mask, Mask) else mask for mask in (a, b))
    if keep_a.shape != keep_b.shape:
        raise ValueError(f"masks of shapes {tuple(keep_a.shape)} and {tuple(keep_b.shape)} have no overlap")
    kept = int(keep_a.sum())
    if kept == 0:
        raise ValueError("the first mask keeps 0 weights, so its overlap is not defined; keep at least 1")
    return int((keep_a & keep_b).sum()) / kept


def numerical_rank(matrix: Shaped[Tensor, "rows columns"]) -> int:
    """Rank in float64 at the default tolerance of `torch.linalg.matrix_rank`; a mask counts as 0 and 1.

    Examples
    --------
    >>> numerical_rank(torch.tensor([[True, False], [True, False]]))
    1
    """
    return int(torch.linalg.matrix_rank(matrix.detach().double()))


def pair_coverage(
    rows: int,
    columns: int,
    row_register: LFSR,
    column_register: LFSR,
    reduction: Reduction = "multiply-shift",
) -> Bool[Tensor, "rows columns"]:
    """The positions of a matrix that two registers, clocked together for ever, point at.

    The pair of states returns after the lcm of both periods, so one lcm shows everything. Two equal periods
    repeat together: the pair walks one period's worth of positions, however often it runs round. This is what
    :func:`~twofold.masks.pairs.pair_mask` refuses.

    Raises
    ------
    ValueError
        For an lcm above 2^24 clocks, or a matrix without rows or columns.

    Examples
    --------
    >>> equal = pair_coverage(6, 6, LFSR("x^3+x+1"), LFSR("x^3+x^2+1"))
    >>> coprime = pair_coverage(6, 6, LFSR("x^3+x+1"), LFSR("x^4+x+1"))
    >>> int(equal.sum()), int(coprime.sum())  # of 36 positions
    (7, 36)
    """
    if min(rows, columns) < 1:
        raise ValueError(f"a matrix of {rows} rows and {columns} columns is empty; allowed are 1 and above")
    periods = row_register.period, column_register.period
    clocks = math.lcm(*periods)
    if clocks > _MAX_CLOCKS:
        raise ValueError(
            f"periods {periods[0]} ({row_register.polynomial}) and {periods[1]} "
            f"({column_register.polynomial}) return together after {clocks} clocks; "
            f"allowed are up to 2^24 = {_MAX_CLOCKS}; take narrower registers"
        )
    visited = np.zeros((rows, columns), bool)
    for start in range(0, clocks, _CHUNK):
        row, column = (
            reduce_states(
                register.jump(start).states(min(_CHUNK, clocks - start)), size, register.degree, reduction
            )
            for register, size in ((row_register, rows), (column_register, columns))
        )
        visited[row, column] = True
    return torch.from_numpy(visited)


def index_storage_bits(
    keep: Bool[Tensor, "*shape"], polynomial: Polynomial | str = LAYER_POLYNOMIAL, weight_bits: int = 8
) -> pd.DataFrame:
    """What it costs to say where the kept weights of one layer are, in bits.

    - `lfsr`: `2 degree + ceil(log2(size + 1))`, that is taps, seed, and a counter of kept weights.
    - `bitmap`: `size`.
    - `csr`: `kept * ceil(log2(row length)) + (rows + 1) * ceil(log2(kept + 1))`, a row for each output.
    - `relative k-bit`: `k * entries`. An entry counts the zeros since the one before, 0 to 2^k - 1; a longer
      gap needs `floor(gap / 2^k)` filler zeros, each an entry of its own with a stored zero weight.

    Returns
    -------
    DataFrame
        `scheme`; `index_bits` as above; `entries`, the weights stored, fillers included; `filler_entries`;
        `filler_bits`, `weight_bits` for each filler; `bits`, the sum of `index_bits` and `filler_bits`.

    Raises
    ------
    ValueError
        For a mask without weights, or `weight_bits` below 1.

    Notes
    -----
    Relative indices: Han et al., "Deep Compression" (ICLR 2016), section 2 and figure 2, and "EIE" (ISCA
    2016), section III; here they run over the flattened layer.

    Examples
    --------
    >>> from twofold.masks import lfsr_mask
    >>> table = index_storage_bits(lfsr_mask((64, 64), density=0.1).keep)
    >>> table[["scheme", "index_bits", "entries", "bits"]]
               scheme  index_bits  entries  bits
    0            lfsr          75      410    75
    1          bitmap        4096      410  4096
    2             csr        3045      410  3045
    3  relative 4-bit        2132      533  3116
    4  relative 5-bit        2230      446  2518
    5  relative 8-bit        3280      410  3280
    """
    if keep.ndim == 0 or keep.numel() == 0:
        raise ValueError(
            f"shape {tuple(keep.shape)} holds no weights; allowed are one or more lengths above 0"
        )
    if weight_bits < 1:
        raise ValueError(f"weight_bits {weight_bits} is no width; allowed are 1 and above")
    positions = np.flatnonzero(keep.cpu().numpy())
    size, kept = keep.numel(), len(positions)
    rows = keep.shape[0] if keep.ndim > 1 else 1
    schemes = [
        ("lfsr", 2 * Polynomial.parse(polynomial).degree + size.bit_length(), 0),
        ("bitmap", size, 0),
        ("csr", kept * (size // rows - 1).bit_length() + (rows + 1) * kept.bit_length(), 0),
    ]
    gaps = np.diff(positions, prepend=-1) - 1
    for bits in (4, 5, 8):
        fillers = int((gaps >> bits).sum())
        schemes.append((f"relative {bits}-bit", bits * (kept + fillers), fillers))
    table = pd.DataFrame(schemes, columns=["scheme", "index_bits", "filler_entries"])
    table.insert(2, "entries", kept + table["filler_entries"])
    table["filler_bits"] = weight_bits * table["filler_entries"]
    table["bits"] = table["index_bits"] + table["filler_bits"]
    return table


def cheapest_index_bits(keep: Bool[Tensor, "*shape"], weight_bits: int = 8) -> int:
    """Bits of the cheapest index that a memory can hold, filler zeros included; 0 where all is kept.

    That is, of `index_storage_bits` all but the register, which raises the same errors.

    Examples
    --------
    >>> cheapest_index_bits(torch.eye(8, dtype=torch.bool))  # the bitmap takes 64
    32
    """
    if bool(keep.all()):
        return 0
    table = index_storage_bits(keep, weight_bits=weight_bits)
    return int(table.bits[table.scheme != "lfsr"].min())
