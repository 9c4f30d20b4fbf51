"""How a code is written in ones and zeros: a class an encoding, with all that its sign asks of an array.

An encoding alone decides what a code costs: -1 is eight ones in two's complement, two in sign and magnitude.
Cells add up to sums of levels, which are never negative, so the sign comes back in one of these ways:

================ ============================================ ============= ================================
encoding         pattern                                      -3 in 4 bits  where the sign is
================ ============================================ ============= ================================
twos_complement  ``k mod 2^b``                                1101          the top bit weighs ``-2^(b-1)``
offset_binary    ``k + 2^(b-1)``                              0101          a known sum is subtracted
sign_magnitude   the sign on top, then the magnitude          1011          negative weights stored again
differential     ``max(k, 0)``, ``max(-k, 0)``; top bits 0    0000, 0011    the second word is subtracted
signed_rows      the magnitude; top bit 0                     0011          the driver of the cell's row
================ ============================================ ============= ================================

*Signed rows* need a machine whose rows each serve one weight: the packed one. It drives those of positive
weights first, the others next, and subtracts.

Source: slide "Bit Sparsity: DNN Training under Bit Representation", for two's complement.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Int, Int8, Int16, Int32
from torch import Tensor

from twofold.codes.quantizer import check_bits, code_limit
from twofold.codes.slices import Slice, SlicedCodes, check_slices

__all__ = [
    "CELL_ENCODINGS",
    "ENCODINGS",
    "Encoding",
    "EncodingName",
    "bit_planes",
    "decode",
    "encode",
    "encoding_of",
    "from_bit_planes",
    "popcount",
    "slice_codes",
]

EncodingName = Literal["twos_complement", "offset_binary", "sign_magnitude", "differential", "signed_rows"]
"""The encodings by name."""


class Encoding(ABC):
    """One way to write integer codes.

    Attributes
    ----------
    name
        As configurations, files and tables spell it.
    words
        Bit patterns that one code needs.
    keeps_sign
        Whether the patterns say the sign, so that `decode` gives the code back.
    signed_bits
        1 where a pattern's top bit belongs to the sign and takes room in the cells, 0 where the words are
        magnitudes, a bit shorter than the code.
    passes
        Times that a column is read for one input bit: twice where rows of either sign are driven in turn.
    in_crossbar
        Encoding in which a crossbar, whose rows drive weights of either sign at once, holds a network that
        was trained for this one.
    """

    name: ClassVar[EncodingName]
    words: ClassVar[int] = 1
    keeps_sign: ClassVar[bool] = True
    signed_bits: ClassVar[int] = 1
    passes: ClassVar[int] = 1
    in_crossbar: ClassVar[EncodingName]

    @abstractmethod
    def patterns(self, codes: Int32[Tensor, "*shape"], bits: int) -> tuple[Int32[Tensor, "*shape"], ...]:
        """The words of each code, the first one first; the codes are known to fit."""

    @abstractmethod
    def codes(self, words: Sequence[Int32[Tensor, "*shape"]], bits: int) -> Int32[Tensor, "*shape"]:
        """What the words stand for, also those that `patterns` never makes."""

    def cell_words(self, words: Int32[Tensor, "*shape words"], bits: int) -> Int32[Tensor, "*shape words"]:
        """The words as cells take them, where the top cell may have room for more bits: filled with zeros."""
        return words

    def own_slices(self, slices: tuple[int, ...], bits: int) -> tuple[int, ...]:
        """Those of a list of slices, widths in bits, that this encoding's words fill."""
        return slices

    @abstractmethod
    def with_sign(
        self, own: list[Slice], codes: Int32[Tensor, "out rows"], bits: int
    ) -> tuple[list[Slice], int]:
        """All slices, of the words and for the sign, and the number added once a unit of input."""

    def __str__(self) -> str:
        return self.name


class TwosComplement(Encoding):
    """``k mod 2^b``: the sign bit weighs ``-2^(b-1)``.

    In a slice of its own (``[1, 1, 2, 2, 2]``) that is a minus in the digital sum and costs nothing. In a
    cell with other bits (``[2, 2, 2, 2]``) no factor can do it, as the column has added the negative bit to a
    positive one: then the sign bits are stored once more, in 1-bit cells that are weighted with ``-2^b``.
    """

    name = in_crossbar = "twos_complement"

    def patterns(self, codes: Tensor, bits: int) -> tuple[Tensor, ...]:
        return (codes & (2**bits - 1),)

    def codes(self, words: Sequence[Tensor], bits: int) -> Tensor:
        half = 2 ** (bits - 1)
        return (words[0] ^ half) - half

    def cell_words(self, words: Tensor, bits: int) -> Tensor:
        # As signed integers, whose shifts to the right repeat their sign up to the top of the first cell.
        return self.codes([words], bits)

    def with_sign(self, own: list[Slice], codes: Tensor, bits: int) -> tuple[list[Slice], int]:
        first, *rest = own
        if first.bits == 1:
            return [first.worth(-first.factor), *rest], 0
        return [*own, Slice((codes < 0).to(torch.int32), 1, -first.factor * 2**first.bits)], 0


class OffsetBinary(Encoding):
    """``k + 2^(b-1)``: that many times the sum of the inputs is subtracted, digitally, of known numbers."""

    name = in_crossbar = "offset_binary"

    def patterns(self, codes: Tensor, bits: int) -> tuple[Tensor, ...]:
        return (codes + 2 ** (bits - 1),)

    def codes(self, words: Sequence[Tensor], bits: int) -> Tensor:
        return words[0] - 2 ** (bits - 1)

    def with_sign(self, own: list[Slice], codes: Tensor, bits: int) -> tuple[list[Slice], int]:
        return own, -(2 ** (bits - 1))


class SignMagnitude(Encoding):
    """The sign on top, then the magnitude.

    No column can subtract some of its cells. The negative weights are stored once more, as
    ``2^(b-2) + magnitude`` (0 for the others), and subtracted twice: as many cells as a pair.
    """

    name = "sign_magnitude"
    in_crossbar = "differential"

    def patterns(self, codes: Tensor, bits: int) -> tuple[Tensor, ...]:
        return (torch.where(codes < 0, 2 ** (bits - 1) - codes, codes),)

    def codes(self, words: Sequence[Tensor], bits: int) -> Tensor:
        half = 2 ** (bits - 1)
        magnitude = words[0] & (half - 1)
        return torch.where(words[0] >= half, -magnitude, magnitude)

    def with_sign(self, own: list[Slice], codes: Tensor, bits: int) -> tuple[list[Slice], int]:
        # k = P - s (2^(b-1) + 2m), P the pattern as a plain number, s the sign bit, m the magnitude
        again = (codes < 0) * (2 ** (bits - 2) + codes.abs())
        return own + [piece.of(again).worth(-2 * piece.factor) for piece in own], 0


class Differential(Encoding):
    """A pair of magnitudes, ``max(k, 0)`` and ``max(-k, 0)``, the second subtracted from the first.

    The words are a bit shorter than the code: a first slice for that bit alone is not made.
    """

    name = in_crossbar = "differential"
    words = 2
    signed_bits = 0

    def patterns(self, codes: Tensor, bits: int) -> tuple[Tensor, ...]:
        return codes.clamp(min=0), (-codes).clamp(min=0)

    def codes(self, words: Sequence[Tensor], bits: int) -> Tensor:
        return words[0] - words[1]

    def own_slices(self, slices: tuple[int, ...], bits: int) -> tuple[int, ...]:
        return slices[1:] if sum(slices[1:]) >= bits - 1 else slices

    def with_sign(self, own: list[Slice], codes: Tensor, bits: int) -> tuple[list[Slice], int]:
        half = len(own) // 2
        return own[:half] + [piece.worth(-piece.factor) for piece in own[half:]], 0


class SignedRows(Encoding):
    """The magnitude alone; the sign belongs to the driver of the cell's row."""

    name = "signed_rows"
    keeps_sign = False
    signed_bits = 0
    passes = 2
    in_crossbar = "differential"

    def patterns(self, codes: Tensor, bits: int) -> tuple[Tensor, ...]:
        return (codes.abs(),)

    def codes(self, words: Sequence[Tensor], bits: int) -> Tensor:
        raise ValueError("patterns of signed_rows hold no sign; the drivers of the rows do")

    def with_sign(self, own: list[Slice], codes: Tensor, bits: int) -> tuple[list[Slice], int]:
        raise ValueError("signed_rows are no slices of a crossbar, whose rows drive weights of either sign")


_BY_NAME: dict[str, Encoding] = {
    kind.name: kind() for kind in (TwosComplement, OffsetBinary, SignMagnitude, Differential, SignedRows)
}
CELL_ENCODINGS: tuple[EncodingName, ...] = tuple(encoding.name for encoding in _BY_NAME.values())
"""Names of all encodings, of what cells can hold of a code."""
ENCODINGS: tuple[EncodingName, ...] = tuple(e.name for e in _BY_NAME.values() if e.keeps_sign)
"""Those whose patterns say the sign, so that a code can be read back."""


def encoding_of(name: str, *, with_sign: bool = False) -> Encoding:
    """The encoding of a name, one of `CELL_ENCODINGS`; `with_sign`: one of `ENCODINGS`.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> kind = encoding_of("signed_rows")
    >>> kind.words, kind.signed_bits, kind.passes, kind.in_crossbar
    (1, 0, 2, 'differential')
    """
    allowed = ENCODINGS if with_sign else CELL_ENCODINGS
    if name not in allowed:
        raise ValueError(f"encoding is {name!r}, allowed are {', '.join(allowed)}")
    return _BY_NAME[name]


# ---- integer <-> bits ----


def encode(codes: Int[Tensor, "*shape"], bits: int, encoding: EncodingName) -> Int32[Tensor, "*shape words"]:
    """Bit patterns of integer codes, as non-negative integers below ``2^bits``; see the table of the module.

    Raises
    ------
    ValueError
        A code is outside ``[-code_limit, code_limit]``.

    Examples
    --------
    >>> codes = torch.tensor([5, -3])
    >>> [format(int(word), "04b") for word in encode(codes, 4, "twos_complement")]
    ['0101', '1101']
    >>> encode(codes, 4, "differential")  # two words a code
    tensor([[5, 0],
            [0, 3]], dtype=torch.int32)
    """
    limit, kind = code_limit(bits), encoding_of(encoding)
    k = codes.to(torch.int32)
    if k.numel() and int(k.abs().max()) > limit:
        worst = int(k.flatten()[k.abs().argmax()])
        raise ValueError(f"code {worst} does not fit {bits} bits, allowed are {-limit}..{limit}")
    return torch.stack(kind.patterns(k, bits), dim=-1)


def decode(
    patterns: Int[Tensor, "*shape words"], bits: int, encoding: EncodingName
) -> Int8[Tensor, "*shape"] | Int16[Tensor, "*shape"]:
    """Codes of bit patterns, the inverse of `encode`.

    Patterns that `encode` never makes keep their arithmetic meaning: ``1000`` is -8 in two's complement and
    0 in sign and magnitude.

    Raises
    ------
    ValueError
        The encoding keeps no sign, the last axis is not as long as a code has words, a pattern has more than
        `bits` bits, or a word of a differential pair uses its top bit.

    Examples
    --------
    >>> decode(torch.tensor([[5, 0], [0, 3]]), 4, "differential")
    tensor([ 5, -3], dtype=torch.int8)
    """
    kind = encoding_of(encoding, with_sign=True)
    if patterns.shape[-1:] != (kind.words,):
        shape = tuple(patterns.shape)
        raise ValueError(f"patterns of shape {shape}: {encoding} needs a last axis of {kind.words}")
    p = patterns.to(torch.int32)
    allowed = 2 ** (check_bits(bits) - 1 + kind.signed_bits)
    if p.numel() and not 0 <= int(p.min()) <= int(p.max()) < allowed:
        raise ValueError(f"patterns span {int(p.min())}..{int(p.max())}, allowed are 0..{allowed - 1}")
    return kind.codes(p.unbind(-1), bits).to(torch.int8 if bits <= 8 else torch.int16)


def bit_planes(patterns: Int[Tensor, "*shape words"], bits: int) -> Bool[Tensor, "*shape words {bits}"]:
    """Single bits of the patterns, the most significant one first.

    Examples
    --------
    >>> bit_planes(torch.tensor([[13]]), bits=4).int()
    tensor([[[1, 1, 0, 1]]], dtype=torch.int32)
    """
    shifts = torch.arange(check_bits(bits) - 1, -1, -1, dtype=torch.int32, device=patterns.device)
    return (patterns.unsqueeze(-1) >> shifts & 1).bool()


def from_bit_planes(planes: Bool[Tensor, "*shape words bits"]) -> Int32[Tensor, "*shape words"]:
    """Patterns of single bits, the inverse of `bit_planes`.

    Examples
    --------
    >>> from_bit_planes(torch.tensor([[True, True, False, True]]))
    tensor([13], dtype=torch.int32)
    """
    bits = check_bits(planes.shape[-1])
    shifts = torch.arange(bits - 1, -1, -1, dtype=torch.int32, device=planes.device)
    return (planes.to(torch.int32) << shifts).sum(dim=-1, dtype=torch.int32)


def popcount(codes: Int[Tensor, "*shape"], bits: int, encoding: EncodingName) -> Int32[Tensor, "*shape"]:
    """Number of ones in each code's bit pattern, both words of a differential pair together.

    Examples
    --------
    >>> codes = torch.tensor([1, -1])
    >>> popcount(codes, 8, "twos_complement"), popcount(codes, 8, "sign_magnitude")
    (tensor([1, 8], dtype=torch.int32), tensor([1, 2], dtype=torch.int32))
    """
    return bit_planes(encode(codes, bits, encoding), bits).sum(dim=(-2, -1), dtype=torch.int32)


# ---- bits -> slices of a crossbar ----


def slice_codes(
    codes: Int[Tensor, "out rows"], bits: int, encoding: EncodingName, slices: Sequence[int]
) -> SlicedCodes:
    """Cut integer codes into bit slices: the words' own, the most significant first, then those for the sign.

    ``sum(factor * level) + offset`` over a code's cells is the code, for every encoding. A first slice wider
    than needed is filled up as `cells.to_cells` does: with the sign in two's complement, else with zeros.

    Raises
    ------
    ValueError
        The slices do not hold `bits`, a code does not fit, or the encoding keeps no sign.

    Examples
    --------
    >>> sliced = slice_codes(torch.tensor([[-1, 5]]), 8, "offset_binary", (2, 2, 2, 2))
    >>> sliced.levels.shape, sliced.factors, sliced.offset
    (torch.Size([4, 1, 2]), (64, 16, 4, 1), -128)
    >>> sliced.levels[:, 0, 0]  # -1 + 128 = 127 = 01 11 11 11
    tensor([1, 3, 3, 3], dtype=torch.uint8)
    """
    kind = encoding_of(encoding, with_sign=True)
    widths = kind.own_slices(check_slices(slices, bits), bits)
    words = kind.cell_words(encode(codes, bits, encoding), bits)
    below = [sum(widths[i + 1 :]) for i in range(len(widths))]
    places = list(zip(widths, below, strict=True))
    own = [Slice(word, width, 2**shift).cut() for word in words.unbind(-1) for width, shift in places]
    pieces, offset = kind.with_sign(own, codes.to(torch.int32), bits)
    return SlicedCodes(
        levels=torch.stack([piece.levels for piece in pieces]).to(torch.uint8),
        slice_bits=tuple(piece.bits for piece in pieces),
        factors=tuple(piece.factor for piece in pieces),
        offset=offset,
        stored=len(own),
    )
