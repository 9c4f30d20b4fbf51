"""Bit patterns become multi-level cells, and cells joules.

A code's pattern is cut into cells of 1 to 4 bits; each cell, read with an input bit of 1, costs what a table
says of the level that it stores (slide "Motivation: 2bit/cell CIM"). An input bit of 0 costs nothing.

Beside the cells of its pattern a code takes those that its sign asks for, `cell_columns`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float64, Int, Int32, UInt8
from torch import Tensor

from twofold.codes.encodings import EncodingName, encode, encoding_of, slice_codes
from twofold.codes.quantizer import check_bits, code_limit
from twofold.codes.tables import CellTable, _check_cell_bits

__all__ = [
    "CellColumns",
    "cell_columns",
    "cells_per_code",
    "code_energy",
    "code_energy_table",
    "from_cells",
    "to_cells",
]


def cells_per_code(bits: int, cell_bits: int, encoding: EncodingName) -> int:
    """Cells that hold one code: 4 for 8 bits in 2-bit cells, 8 for a differential pair of them.

    Where magnitudes alone are stored, in a pair or on signed rows, there is no cell for a sign: 5 bits are
    two 2-bit cells, where two's complement needs three.

    Examples
    --------
    >>> cells_per_code(8, 2, "twos_complement"), cells_per_code(8, 2, "differential")
    (4, 8)
    """
    kind = encoding_of(encoding)
    return kind.words * math.ceil((check_bits(bits) - 1 + kind.signed_bits) / _check_cell_bits(cell_bits))


def to_cells(
    patterns: Int[Tensor, "*shape words"], bits: int, cell_bits: int, encoding: EncodingName
) -> UInt8[Tensor, "*shape cells"]:
    """Cut patterns into the levels of cells, the most significant cell first, word after word.

    Where `cell_bits` does not divide `bits`, the top cell is filled up: with the sign in two's complement, so
    that its bits still weigh what two's complement says, otherwise with zeros.

    Examples
    --------
    >>> patterns = encode(torch.tensor([-51]), 8, "twos_complement")  # 11 00 11 01
    >>> to_cells(patterns, 8, 2, "twos_complement")
    tensor([[3, 0, 3, 1]], dtype=torch.uint8)
    """
    kind = encoding_of(encoding)
    count = cells_per_code(bits, cell_bits, encoding) // kind.words
    words = kind.cell_words(patterns.to(torch.int32), bits)
    shifts = cell_bits * torch.arange(count - 1, -1, -1, dtype=torch.int32, device=words.device)
    levels = words.unsqueeze(-1) >> shifts & (2**cell_bits - 1)
    return levels.to(torch.uint8).flatten(-2)


def from_cells(
    cells: UInt8[Tensor, "*shape cells"], bits: int, cell_bits: int, encoding: EncodingName
) -> Int32[Tensor, "*shape words"]:
    """Patterns that lie in the cells, the inverse of `to_cells`; what fills up the top cell is not looked at.

    Raises
    ------
    ValueError
        The last axis is not `cells_per_code` long.

    Examples
    --------
    >>> from_cells(torch.tensor([[3, 0, 3, 1]], dtype=torch.uint8), 8, 2, "twos_complement")  # 11001101
    tensor([[205]], dtype=torch.int32)
    """
    words, count = encoding_of(encoding).words, cells_per_code(bits, cell_bits, encoding)
    if cells.shape[-1:] != (count,):
        raise ValueError(f"cells of shape {tuple(cells.shape)}: {encoding} needs a last axis of {count}")
    levels = cells.unflatten(-1, (words, count // words)).to(torch.int32)
    shifts = cell_bits * torch.arange(count // words - 1, -1, -1, dtype=torch.int32, device=cells.device)
    return (levels << shifts).sum(dim=-1, dtype=torch.int32) & (2**bits - 1)


# ---- cells -> joules ----


def code_energy_table(bits: int, encoding: EncodingName, table: CellTable) -> Float64[Tensor, "codes"]:
    """Joules to read each code once with an input bit of 1; code ``k`` stands at ``k + code_limit(bits)``.

    With the table of the slides, 8 bits and two's complement, 0 costs 0.316 pJ and -1 costs 5.96 pJ.

    Raises
    ------
    ValueError
        Unknown encoding, or a code needs a level that the table has no energy for.
    TypeError
        The table is none.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> energy_j = code_energy_table(8, "twos_complement", load_cell_table())
    >>> energy_j.shape
    torch.Size([255])
    >>> 1e12 * energy_j[127], 1e12 * energy_j[126]  # picojoules of 0 and -1
    (tensor(0.3160, dtype=torch.float64), tensor(5.9600, dtype=torch.float64))
    """
    encoding_of(encoding)
    if not isinstance(table, CellTable):
        raise TypeError(f"table is {table!r}, no CellTable; load_cell_table(name or path) gives one")
    limit = code_limit(bits)
    codes = torch.arange(-limit, limit + 1)
    levels = to_cells(encode(codes, bits, encoding), bits, table.cell_bits, encoding)
    return _priced(levels, bits, encoding, table)


def _priced(
    levels: UInt8[Tensor, "codes cells"], bits: int, encoding: EncodingName, table: CellTable
) -> Float64[Tensor, "codes"]:
    """Joules of the cells of every code together."""
    energy_j = torch.tensor(table.energy_j, dtype=torch.float64)[levels.long()]
    unpriced = energy_j.isnan()
    if bool(unpriced.any()):
        level = int(levels[unpriced][0])
        code = int(unpriced.any(dim=-1).nonzero()[0]) - code_limit(bits)
        raise ValueError(
            f"table {table.name} has no energy for level {level:0{table.cell_bits}b}, which {encoding} needs "
            f"for the code {code} of {bits} bits; take another encoding or number of bits"
        )
    return energy_j.sum(dim=-1)


@dataclass(frozen=True, eq=False)
class CellColumns:
    """The columns of cells that a column of weights takes, and what the cells of each code cost.

    Attributes
    ----------
    own
        Bits of a cell of each column that holds the pattern.
    sign
        The same of the columns that stand beside them for the sign's sake.
    own_j, sign_j
        Joules to read those cells of each code once with an input bit of 1; code ``k`` stands at
        ``k + code_limit(bits)``.
    """

    own: tuple[int, ...]
    sign: tuple[int, ...]
    own_j: Float64[Tensor, "codes"]
    sign_j: Float64[Tensor, "codes"]


@lru_cache(maxsize=256)
def cell_columns(bits: int, encoding: EncodingName, table: CellTable) -> CellColumns:
    """The columns that `encodings.slice_codes` cuts codes into, all as wide as the table's cells.

    Cells of 1 bit, which two's complement's sign takes, use the lower two levels of the table. Signed rows
    have no column for the sign, as their drivers know it, and neither have cells that are signed themselves
    (`tables.ternary_table`).

    Raises
    ------
    ValueError, TypeError
        As `code_energy_table`.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> columns = cell_columns(8, "twos_complement", load_cell_table())
    >>> columns.own, columns.sign
    ((2, 2, 2, 2), (1,))
    >>> 1e12 * columns.own_j[126:128], 1e12 * columns.sign_j[126:128]  # picojoules of -1 and 0
    (tensor([5.9600, 0.3160], dtype=torch.float64), tensor([0.3600, 0.0790], dtype=torch.float64))
    """
    own_j = code_energy_table(bits, encoding, table)
    own = (table.cell_bits,) * cells_per_code(bits, table.cell_bits, encoding)
    if not encoding_of(encoding).keeps_sign or table.signed:
        return CellColumns(own, (), own_j, torch.zeros_like(own_j))
    limit = code_limit(bits)
    slices = (table.cell_bits,) * -(-bits // table.cell_bits)
    sliced = slice_codes(torch.arange(-limit, limit + 1)[:, None], bits, encoding, slices)
    levels = sliced.levels[sliced.stored :, :, 0].T
    return CellColumns(own, sliced.slice_bits[sliced.stored :], own_j, _priced(levels, bits, encoding, table))


def code_energy(
    codes: Int[Tensor, "*shape"], energy_table_j: Float64[Tensor, "codes"]
) -> Float64[Tensor, "*shape"]:
    """Joules to read each code once with an input bit of 1, looked up in a `code_energy_table`.

    Raises
    ------
    ValueError
        A code lies outside the table.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> table = code_energy_table(8, "twos_complement", load_cell_table())
    >>> 1e12 * code_energy(torch.tensor([[0, -1], [1, 3]]), table)  # picojoules
    tensor([[0.3160, 5.9600],
            [0.5970, 1.7270]], dtype=torch.float64)
    """
    limit = (energy_table_j.numel() - 1) // 2
    if codes.numel():
        low, high = codes.aminmax()
        if int(low) < -limit or int(high) > limit:
            raise ValueError(f"codes span {int(low)}..{int(high)}, the table has {-limit}..{limit}")
    # index_select with int32: three times the speed of energy_table_j[codes.long() + limit] on a CPU.
    index = codes.flatten().to(torch.int32).add_(limit)
    return energy_table_j.to(codes.device).index_select(0, index).view(codes.shape)
