"""Codes become the columns of an array: bit slices, each with the place value at which its sum counts.

A column adds the currents of its cells, so it gives a sum of *levels*, and levels are never negative. What an
encoding says of signs has to be paid for outside the column; :mod:`twofold.codes.encodings` says with what.
The columns that hold the code's own pattern are those of :func:`twofold.codes.cells.to_cells`; the columns
that stand beside them for the sign's sake are counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Int32, UInt8
from torch import Tensor

from twofold.codes.quantizer import check_bits

__all__ = ["Slice", "SlicedCodes", "check_slices"]


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice of every code: the levels of its cells, their bits, and the place value of their sum."""

    levels: Int32[Tensor, "out rows"]
    bits: int
    factor: int

    def cut(self) -> "Slice":
        """The slice's own bits of whole words: from its place up, as many as it is wide."""
        return replace(self, levels=self.levels >> (self.factor.bit_length() - 1) & (2**self.bits - 1))

    def of(self, words: Int32[Tensor, "out rows"]) -> "Slice":
        """The same bits of other words."""
        return replace(self, levels=words).cut()

    def worth(self, factor: int) -> "Slice":
        """The same cells at another place value."""
        return replace(self, factor=factor)


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

    Examples
    --------
    >>> check_slices([1, 1, 2, 2, 2], bits=8)
    (1, 1, 2, 2, 2)
    """
    total = sum(slices)
    if not slices or not all(1 <= width <= 4 for width in slices):
        raise ValueError(f"slices are {list(slices)}, allowed are 1..4 bits each")
    if not total - slices[0] < check_bits(bits) <= total:
        raise ValueError(
            f"slices are {list(slices)}, {total} bits; needed are {bits}, a surplus in the first slice only"
        )
    return tuple(slices)
