"""Inputs bit by bit through a programmed matrix: the currents of all columns, as fast as a CPU gives them.

Input bits and slices are stacked into one matrix product, cut into chunks whose numbers stay in a core's
cache between the passes of a converter. Ideal cells hold small integers, so int8 matrices are multiplied.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

__all__ = ["Columns", "bit_patterns", "column_sums", "columns_of", "has_integer_units"]


# Numbers in work at once: sums of one chunk; and bit planes of a batch of chunks.
_CHUNK = 2**18
_BATCH = 2**21


_LANES = 0x0101010101010101  # the lowest bit of each byte of an int64
_PLACES = torch.arange(8)


@cache
def has_integer_units() -> bool:
    """Whether int8 matrices multiply fast: oneDNN's, on a CPU with AVX2 or more.

    torch's quantized layers are such products. Elsewhere floats are multiplied, to the same numbers. AVX2
    adds two products in 16 bits, which overflow for large bytes, but not for a 0 or 1 times at most 127.
    """
    there = torch._C._dispatch_has_kernel_for_dispatch_key("onednn::qlinear_pointwise", "CPU")
    vectors = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return there and torch.backends.mkldnn.is_available() and vectors


@dataclass(frozen=True, eq=False)
class Columns:
    """The cells of one row group, laid out for the product; see `columns_of`.

    Attributes
    ----------
    rows
        Those that the group takes of the padded rows of `bit_patterns`: whole words of eight, so that it may
        share its outer ones with its neighbors, where it has zeros.
    count
        Of columns.
    matrix
        Floats, ``(rows, columns)``; or int8 in oneDNN's own layout.
    whole
        Whether it is the latter.
    dtype
        Of the sums.
    """

    rows: slice
    count: int
    matrix: Tensor
    whole: bool
    dtype: torch.dtype

    def sums(
        self, carried: UInt8[Tensor, "vectors rows"], times: Float[Tensor, " columns"] | None
    ) -> Float[Tensor, "vectors columns"]:
        """What the columns add up for each vector of zeros and ones, times a factor a column; None: 1."""
        if self.whole:
            fused = times is not None and self.dtype == torch.float32
            ones, zeros = self._neutral
            factors = times if fused else ones
            nothing: tuple = ("none", [], "")  # of what could follow the product
            found = torch.ops.onednn.qlinear_pointwise(
                carried, 1.0, 0, self.matrix, factors, zeros, None, 1.0, 0, torch.float32, *nothing
            ).to(self.dtype)
            times = None if fused else times
        else:
            found = carried.to(self.dtype) @ self.matrix
        return found if times is None else found.mul_(times)

    @cached_property
    def _neutral(self) -> tuple[Float[Tensor, " columns"], Int64[Tensor, " columns"]]:
        """Scales and zero points that change nothing."""
        return torch.ones(self.count), torch.zeros(self.count, dtype=torch.int64)


def columns_of(
    cells: Float[Tensor, "columns rows"], groups: Sequence[slice], dtype: torch.dtype, *, whole: bool
) -> list[Columns]:
    """The row groups of a matrix of cells.

    Parameters
    ----------
    groups
        Rows of each, in order; together all rows.
    dtype
        Of the sums.
    whole
        Cells are whole numbers within 0..127, no group has more than 100,000 of them in a column, and the
        CPU has what `has_integer_units` asks for.
    """
    found = []
    for group in groups:
        rows = slice(group.start // 8 * 8, -(-group.stop // 8) * 8)
        own = torch.zeros(len(cells), rows.stop - rows.start, dtype=torch.int8 if whole else dtype)
        own[:, group.start - rows.start : group.stop - rows.start] = cells[:, group]
        matrix = torch.ops.onednn.qlinear_prepack(own, None) if whole else own.t().contiguous()
        found.append(Columns(rows, len(cells), matrix, whole, dtype))
    return found


def bit_patterns(
    inputs: Int[Tensor, "rows positions"] | UInt8[Tensor, "rows positions"], input_bits: int, signed: bool
) -> UInt8[Tensor, "bytes positions padded"]:
    """Inputs as bit patterns, in two's complement if `signed`, the low byte first, a vector a position.

    The rows are padded with zeros to a multiple of eight: eight bytes are then handled as one int64.

    Raises
    ------
    ValueError
        An input does not fit.

    Examples
    --------
    >>> bit_patterns(torch.tensor([[3], [-1]]), input_bits=4, signed=True)[0, 0]
    tensor([ 3, 15,  0,  0,  0,  0,  0,  0], dtype=torch.uint8)
    """
    lowest = -(2 ** (input_bits - 1)) if signed else 0
    highest = lowest + 2**input_bits - 1
    if inputs.numel() and not (inputs.dtype == torch.uint8 and lowest == 0 and highest >= 255):
        low, high = (int(x) for x in inputs.aminmax())
        if low < lowest or high > highest:
            raise ValueError(f"inputs span {low}..{high}, allowed are {lowest}..{highest}")
    rows, positions = inputs.shape
    whole_bytes = inputs.element_size() == 1 and input_bits == 8
    vectors = inputs.t().contiguous()
    if whole_bytes and rows % 8 == 0:
        return vectors.view(torch.uint8)[None]
    patterns = torch.zeros(-(-input_bits // 8), positions, -(-rows // 8) * 8, dtype=torch.uint8)
    if whole_bytes:
        patterns[0, :, :rows] = vectors.view(torch.uint8)
    else:
        kept = vectors.to(torch.int32) & (2**input_bits - 1)
        for index, byte in enumerate(patterns):
            byte[:, :rows] = kept >> (8 * index) & 0xFF
    return patterns


def column_sums(
    patterns: UInt8[Tensor, "bytes positions padded"],
    input_bits: int,
    columns: Sequence[Columns],
    times: Sequence[Float[Tensor, " columns"]] | None = None,
    *,
    skip: bool,
    disturb: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Iterator[tuple[slice, int, Float[Tensor, "planes count columns"]]]:
    """What each column adds up, chunk of positions by chunk, row group by group.

    Parameters
    ----------
    columns
        Of each row group, by `columns_of`.
    times
        Of each row group, what its sums are multiplied by; None: nothing.
    skip
        Leave the planes above the highest bit of a chunk out: they hold no 1, and their sums are zero.
    disturb
        Called with the group, its sums and the planes that made them, to change them before they are
        multiplied (float cells only).

    Yields
    ------
    tuple
        The chunk's positions, the group's number, and its sums; the first plane is the lowest bit's.

    Examples
    --------
    >>> inputs = bit_patterns(torch.tensor([[3], [1]]), input_bits=2, signed=False)  # two rows, one position
    >>> columns = columns_of(torch.tensor([[1.0, 2.0]]), [slice(0, 2)], torch.float32, whole=False)  # one
    >>> for _, _, sums in column_sums(inputs, 2, columns, skip=False):
    ...     sums[:, 0, 0]  # of the low bits, 1 and 1, and of the high ones, 1 and 0
    tensor([3., 1.])
    """
    _, positions, padded = patterns.shape
    width = min(max(_CHUNK // (input_bits * columns[0].count), 16), max(positions, 1))
    batch = max(1, _BATCH // (input_bits * padded * width)) * width
    rows = [own.rows for own in columns]
    for start in range(0, positions, batch):
        bound = min(start + batch, positions)
        for first, planes in _bit_planes(patterns[:, start:bound], width, rows, input_bits, skip=skip):
            used, count, _ = planes[0].shape
            if not used:
                continue
            chunk = slice(start + first, start + first + count)
            for group, own in enumerate(columns):
                carried = planes[group].flatten(0, 1)
                factors = None if times is None else times[group]
                if disturb is None:
                    sums = own.sums(carried, factors)
                else:
                    sums = own.sums(carried, None)
                    disturb(group, sums, carried)
                    if factors is not None:
                        sums.mul_(factors)
                yield chunk, group, sums.view(used, count, own.count)


def _bit_planes(
    patterns: UInt8[Tensor, "bytes positions padded"],
    width: int,
    groups: Sequence[slice],
    input_bits: int,
    *,
    skip: bool,
) -> Iterator[tuple[int, list[UInt8[Tensor, "planes count rows"]]]]:
    """The planes of a batch of patterns, taken apart at once: by chunk, each with its first position.

    Each group of rows has planes of its own, as its product reads them one after the other.
    """
    count, positions, padded = patterns.shape
    whole = positions // width * width
    places = _PLACES[: min(input_bits, 8), None, None]
    for first, last, size in ((0, whole, width), (whole, positions, positions - whole)):
        if first == last:
            continue
        parts = patterns[:, first:last].contiguous().view(count, -1, size, padded)
        # chunks, bytes, one bit, positions, words
        words = parts.view(torch.int64).transpose(0, 1)[:, :, None]
        planes = []
        for rows in groups:
            lanes = (words[..., rows.start // 8 : rows.stop // 8] >> places).bitwise_and_(_LANES)
            planes.append(lanes.flatten(1, 2).view(torch.uint8))
        used = [input_bits] * len(words)
        if skip:
            largest = parts.amax((2, 3)).T.tolist()
            used = [min(_highest_bit(own), input_bits) for own in largest]
        for number, bits in enumerate(used):
            yield first + number * size, [own[number, :bits] for own in planes]


def _highest_bit(largest: Sequence[int]) -> int:
    """Number of planes up to the highest bit that is set in any of the bytes, the lowest byte first."""
    return max(8 * index + byte.bit_length() if byte else 0 for index, byte in enumerate(largest))
