"""Inputs bit by bit through a programmed matrix: the currents of all columns, as fast as a CPU gives them.

Input bits and slices are stacked into one matrix product, cut into chunks whose numbers stay in a core's
cache between the passes of a converter. Ideal cells hold small integers, so int8 matrices are multiplied.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

__all__ = ["bit_patterns", "column_sums", "has_integer_units"]


# Numbers in work at once: bit planes and sums of one chunk.
_CHUNK = 2**19


_LANES = 0x0101010101010101  # the lowest bit of each byte of an int64
_PLACES = torch.arange(8)


def has_integer_units() -> bool:
    """Whether int8 matrices multiply fast: with oneDNN and the integer units (VNNI) of AVX-512 or AMX.

    torch multiplies them on any CPU, to the same numbers, but elsewhere slowly.
    """
    return torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()


def bit_patterns(
    inputs: Int[Tensor, "rows positions"] | UInt8[Tensor, "rows positions"], input_bits: int, signed: bool
) -> UInt8[Tensor, "bytes rows padded"]:
    """Inputs as bit patterns, in two's complement if `signed`, the low byte first.

    The positions are padded with zeros to a multiple of eight: eight bytes are then handled as one int64.

    Raises
    ------
    ValueError
        An input does not fit.

    Examples
    --------
    >>> bit_patterns(torch.tensor([[3], [-1]]), input_bits=4, signed=True)[0, :, 0]
    tensor([ 3, 15], dtype=torch.uint8)
    """
    lowest = -(2 ** (input_bits - 1)) if signed else 0
    highest = lowest + 2**input_bits - 1
    if inputs.numel():
        low, high = (int(x) for x in inputs.aminmax())
        if low < lowest or high > highest:
            raise ValueError(f"inputs span {low}..{high}, allowed are {lowest}..{highest}")
    rows, positions = inputs.shape
    whole_bytes = inputs.element_size() == 1 and input_bits == 8
    if whole_bytes and positions % 8 == 0 and inputs.storage_offset() % 8 == 0:
        return inputs.contiguous().view(torch.uint8)[None]
    patterns = torch.zeros(-(-input_bits // 8), rows, -(-positions // 8) * 8, dtype=torch.uint8)
    if whole_bytes:
        patterns[0, :, :positions] = inputs.view(torch.uint8)
    else:
        for index, byte in enumerate(patterns):
            kept = inputs.to(torch.int32) & (2**input_bits - 1)
            byte[:, :positions] = kept >> (8 * index) & 0xFF
    return patterns


def column_sums(
    patterns: UInt8[Tensor, "bytes rows padded"],
    input_bits: int,
    weights: Sequence[Tensor],
    groups: Sequence[slice],
    dtype: torch.dtype,
    *,
    skip: bool,
    disturb: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Iterator[tuple[slice, int, Float[Tensor, "planes columns count"]]]:
    """What each column adds up, chunk of positions by chunk, row group by group.

    Parameters
    ----------
    weights
        ``(columns, rows)`` of each row group: int8, or of `dtype`.
    skip
        Leave the planes above the highest bit of a chunk out: they hold no 1, and their sums are zero.
    disturb
        Called with the group, its sums and the planes that made them, to change them (float weights only).

    Yields
    ------
    tuple
        The chunk's positions, the group's number, and its sums; the first plane is the lowest bit's. The
        next step overwrites the sums.

    Examples
    --------
    >>> inputs = bit_patterns(torch.tensor([[3], [1]]), input_bits=2, signed=False)  # two rows, one position
    >>> weights = torch.tensor([[1, 2]], dtype=torch.int8)  # one column
    >>> for _, _, sums in column_sums(inputs, 2, [weights], [slice(0, 2)], torch.float32, skip=False):
    ...     sums[:, 0, 0]  # of the low bits, 1 and 1, and of the high ones, 1 and 0
    tensor([3., 1.])
    """
    _, rows, padded = patterns.shape
    columns, integer = len(weights[0]), weights[0].dtype == torch.int8
    width = min(max(_CHUNK // (input_bits * (rows + columns)) // 16 * 16, 16), padded)
    room = input_bits * columns * width
    memory = torch.empty(room, dtype=dtype)
    integers = torch.empty(room, dtype=torch.int32) if integer else None
    for first in range(0, padded, width):
        part = patterns[:, :, first : first + width]
        count = part.shape[2]
        used = _highest_bit(part) if skip else input_bits
        if not used:
            continue
        # Rows, bytes, positions; then rows and planes of all bytes, those above the highest bit left out.
        words = part.contiguous().view(torch.int64).transpose(0, 1)[:, :, None]
        lanes = (words >> _PLACES[: min(used, 8), None]).bitwise_and_(_LANES)
        planes = lanes.flatten(1, 2)[:, :used].view(torch.int8)
        sums = memory[: used * columns * count].view(used, columns, count)
        for group, (own, matrix) in enumerate(zip(groups, weights, strict=True)):
            carried = planes[own].flatten(1)
            if integers is not None:
                found = integers[: used * columns * count].view(columns, used * count)
                torch._int_mm(matrix, carried, out=found)
            else:
                found = matrix @ carried.to(dtype)
                if disturb is not None:
                    disturb(group, found, carried)
            sums.copy_(found.view(columns, used, count).transpose(0, 1))
            yield slice(first, first + count), group, sums


def _highest_bit(part: Tensor) -> int:
    """Number of planes up to the highest bit that is set anywhere."""
    return max(8 * index + int(byte.max()).bit_length() * bool(byte.max()) for index, byte in enumerate(part))
