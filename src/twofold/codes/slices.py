"""Codes become the columns of an array: bit slices, each with the place value at which its sum counts.

A column adds the currents of its cells, so it gives a sum of *levels*, and levels are never negative. What an
encoding says of signs has to be paid for outside the column, and this module says with what:

================ ============================================================================================
encoding         how the sign comes back
================ ============================================================================================
twos_complement  The sign bit weighs ``-2^(b-1)``. In a slice of its own (``[1, 1, 2, 2, 2]``) that is a minus
                 in the digital sum and costs nothing. In a cell with other bits (``[2, 2, 2, 2]``) no factor
                 can do it, as the column has added the negative bit to a positive one. Then the sign bits are
                 stored once more, in a column of 1-bit cells that is weighted with ``-2^b``.
offset_binary    ``2^(b-1)`` times the sum of the inputs is subtracted: digital, of known numbers.
sign_magnitude   No column can subtract some of its cells. The negative weights are stored once more, as
                 ``2^(b-2) + magnitude`` (0 for the others), and subtracted twice: as many cells as a pair.
differential     The second word's columns are subtracted from the first's. The words are magnitudes, a bit
                 shorter than the code: a first slice for that bit alone is not made.
================ ============================================================================================

The columns that hold the code's own pattern are those of `cells.to_cells`, and the ones whose energy
`twofold.energy.price` charges; the columns that stand beside them for the sign's sake are counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from twofold.codes.encodings import Encoding, encode, words_per_code
from twofold.codes.quantizer import check_bits

__all__ = ["SlicedCodes", "check_slices", "slice_codes"]


@dataclass(frozen=True, eq=False)
class SlicedCodes:
    """Levels of all columns of cells, and what each column's sum is worth.

    Attributes
    ----------
    levels
        Of each cell: 0 is the high-resistance state.
    slice_bits
        Bits of a cell, for each slice; its levels are ``0..2^bits - 1``.
    factors
        Place value of each slice's sum.
    offset
        Added to each product once per unit of input: digital.
    stored
        So many slices, the first ones, hold the code's own pattern; the rest are there for the sign.
    """

    levels: UInt8[Tensor, "slices out rows"]
    slice_bits: tuple[int, ...]
    factors: tuple[int, ...]
    offset: int
    stored: int


def check_slices(slices: Sequence[int], bits: int) -> tuple[int, ...]:
    """Return `slices` (bits of each, the most significant first), or raise ``ValueError``.

    Each has 1 to 4 bits, and together they hold a code of `bits`; only the first may be wider than needed.
    """
    total = sum(slices)
    if not slices or not all(1 <= width <= 4 for width in slices):
        raise ValueError(f"slices are {list(slices)}, allowed are 1..4 bits each")
    if not total - slices[0] < check_bits(bits) <= total:
        raise ValueError(
            f"slices are {list(slices)}, {total} bits; needed are {bits}, a surplus in the first slice only"
        )
    return tuple(slices)


def slice_codes(
    codes: Int[Tensor, "out rows"], bits: int, encoding: Encoding, slices: Sequence[int]
) -> SlicedCodes:
    """Cut integer codes into bit slices, the most significant first, word after word.

    ``sum(factor * level) + offset`` over a code's cells is the code, for every encoding. A first slice wider
    than needed is filled up as `cells.to_cells` does: with the sign in two's complement, else with zeros.

    Raises
    ------
    ValueError
        The slices do not hold `bits`, or a code does not fit.
    """
    slices = check_slices(slices, bits)
    if encoding == "differential" and sum(slices[1:]) >= bits - 1:
        slices = slices[1:]
    total = sum(slices)
    words = encode(codes, bits, encoding).unbind(-1)
    shifts = [total - sum(slices[: i + 1]) for i in range(len(slices))]
    values = [2**shift for shift in shifts]
    factors, widths, offset = list(values), list(slices), 0
    negative = codes.to(torch.int32) < 0

    if encoding == "twos_complement":
        words = (
            codes.to(torch.int32) & (2**total - 1),
        )  # the sign repeated up to the top of the first slice
    cells = [
        word >> shift & (2**width - 1) for word in words for shift, width in zip(shifts, slices, strict=True)
    ]
    if encoding == "twos_complement" and slices[0] == 1:
        factors[0] = -values[0]
    elif encoding == "twos_complement":
        cells.append(negative.to(torch.int32))
        factors.append(-(2**total))
        widths.append(1)
    elif encoding == "offset_binary":
        offset = -(2 ** (bits - 1))
    elif encoding == "sign_magnitude":
        # k = P - s (2^(b-1) + 2m), P the pattern as a plain number, s the sign bit, m the magnitude
        again = negative * (2 ** (bits - 2) + codes.to(torch.int32).abs())
        cells += [again >> shift & (2**width - 1) for shift, width in zip(shifts, slices, strict=True)]
        factors += [-2 * value for value in values]
        widths += slices
    else:
        factors += [-value for value in values]
        widths += slices
    return SlicedCodes(
        torch.stack(cells).to(torch.uint8),
        tuple(widths),
        tuple(factors),
        offset,
        stored=len(slices) * words_per_code(encoding),
    )
