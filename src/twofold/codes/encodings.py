"""Weights become integers, integers become bits.

A layer's weights share one scale ``s = max|W|`` and become codes ``k = round(W / s * (2^(b-1) - 1))``, as the
slide "Bit Sparsity: DNN Training under Bit Representation" has it. How a code is written in ones and zeros is
a second choice, the *encoding*, and it alone decides what a code costs: -1 is eight ones in two's complement,
two in sign and magnitude.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int, Int8, Int16, Int32
from torch import Tensor

from twofold.codes.quantizer import check_bits, code_limit

__all__ = [
    "CELL_ENCODINGS",
    "ENCODINGS",
    "CellEncoding",
    "Encoding",
    "bit_planes",
    "check_encoding",
    "decode",
    "encode",
    "from_bit_planes",
    "popcount",
    "words_per_code",
]


Encoding = Literal["twos_complement", "offset_binary", "sign_magnitude", "differential"]


ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


def check_encoding(encoding: str) -> str:
    """Return `encoding`, or raise ``ValueError`` where it is none of `ENCODINGS`."""
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}, allowed are {', '.join(ENCODINGS)}")
    return encoding


def words_per_code(encoding: str) -> int:
    """Bit patterns that one code needs: 2 for the differential pair, otherwise 1."""
    return 2 if check_encoding(encoding) == "differential" else 1


# ---- integer <-> bits ----


def encode(codes: Int[Tensor, "*shape"], bits: int, encoding: Encoding) -> Int32[Tensor, "*shape words"]:
    """Bit patterns of integer codes, as non-negative integers below ``2^bits``.

    ================ ============================================ ============= =====
    encoding         pattern                                      -3 in 4 bits  words
    ================ ============================================ ============= =====
    twos_complement  ``k mod 2^b``                                1101          1
    offset_binary    ``k + 2^(b-1)``                              0101          1
    sign_magnitude   the sign on top, then the magnitude          1011          1
    differential     ``max(k, 0)``, ``max(-k, 0)``; top bits 0    0000, 0011    2
    ================ ============================================ ============= =====

    Raises
    ------
    ValueError
        A code is outside ``[-code_limit, code_limit]``.
    """
    limit = code_limit(bits)
    check_encoding(encoding)
    k = codes.to(torch.int32)
    if k.numel() and int(k.abs().max()) > limit:
        worst = int(k.flatten()[k.abs().argmax()])
        raise ValueError(f"code {worst} does not fit {bits} bits, allowed are {-limit}..{limit}")
    if encoding == "differential":
        return torch.stack([k.clamp(min=0), (-k).clamp(min=0)], dim=-1)
    if encoding == "twos_complement":
        word = k & (2**bits - 1)
    elif encoding == "offset_binary":
        word = k + 2 ** (bits - 1)
    else:
        word = torch.where(k < 0, 2 ** (bits - 1) - k, k)
    return word.unsqueeze(-1)


def decode(
    patterns: Int[Tensor, "*shape words"], bits: int, encoding: Encoding
) -> Int8[Tensor, "*shape"] | Int16[Tensor, "*shape"]:
    """Codes of bit patterns, the inverse of `encode`.

    Patterns that `encode` never makes keep their arithmetic meaning: ``1000`` is -8 in two's complement and
    0 in sign and magnitude.

    Raises
    ------
    ValueError
        The last axis is not `words_per_code` long, a pattern has more than `bits` bits, or a word of a
        differential pair uses its top bit.
    """
    words = words_per_code(encoding)
    half = 2 ** (check_bits(bits) - 1)
    if patterns.shape[-1:] != (words,):
        shape = tuple(patterns.shape)
        raise ValueError(f"patterns of shape {shape}: {encoding} needs a last axis of {words}")
    p = patterns.to(torch.int32)
    allowed = half if encoding == "differential" else 2 * half
    if p.numel() and not 0 <= int(p.min()) <= int(p.max()) < allowed:
        raise ValueError(f"patterns span {int(p.min())}..{int(p.max())}, allowed are 0..{allowed - 1}")
    if encoding == "differential":
        k = p[..., 0] - p[..., 1]
    elif encoding == "twos_complement":
        k = (p[..., 0] ^ half) - half
    elif encoding == "offset_binary":
        k = p[..., 0] - half
    else:
        magnitude = p[..., 0] & (half - 1)
        k = torch.where(p[..., 0] >= half, -magnitude, magnitude)
    return k.to(torch.int8 if bits <= 8 else torch.int16)


def bit_planes(patterns: Int[Tensor, "*shape words"], bits: int) -> Bool[Tensor, "*shape words {bits}"]:
    """Single bits of the patterns, the most significant one first."""
    shifts = torch.arange(check_bits(bits) - 1, -1, -1, dtype=torch.int32, device=patterns.device)
    return (patterns.unsqueeze(-1) >> shifts & 1).bool()


def from_bit_planes(planes: Bool[Tensor, "*shape words bits"]) -> Int32[Tensor, "*shape words"]:
    """Patterns of single bits, the inverse of `bit_planes`."""
    bits = check_bits(planes.shape[-1])
    shifts = torch.arange(bits - 1, -1, -1, dtype=torch.int32, device=planes.device)
    return (planes.to(torch.int32) << shifts).sum(dim=-1, dtype=torch.int32)


def popcount(codes: Int[Tensor, "*shape"], bits: int, encoding: Encoding) -> Int32[Tensor, "*shape"]:
    """Number of ones in each code's bit pattern, both words of a differential pair together."""
    return bit_planes(encode(codes, bits, encoding), bits).sum(dim=(-2, -1), dtype=torch.int32)


CellEncoding = Literal[Encoding, "signed_rows"]


CELL_ENCODINGS: tuple[CellEncoding, ...] = (*ENCODINGS, "signed_rows")
"""What cells can hold of a code: its pattern in one of `codes.ENCODINGS`; or, with *signed rows*, the
magnitude alone, where the sign belongs to the driver of the cell's row. Only a machine whose rows each serve
one weight has such rows: the packed one. It drives those of positive weights first, the others next, and
subtracts.
"""
