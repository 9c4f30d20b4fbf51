"""How often each crossbar row carries an input bit of 1: the half of the energy that the data decides.

Inputs are quantized to a few bits and enter bit by bit; only their ones cost energy in the array. The energy
needs no more than their sum over all input vectors, and sums commute: so ones are counted once per activation
and summed over the images, and only that one map is cut into a kernel's windows.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64, Integer, UInt8
from torch import Tensor, nn

from twofold.inputs.scales import (
    PART,
    Feed,
    InputScale,
    channels_last,
    quantize_inputs,
    quantizer,
    scale_of,
    watch_inputs,
)
from twofold.inputs.windows import window_view

__all__ = ["Activity", "count_ones", "measure_activity"]


_FIT_A_BYTE = 31  # so many popcounts of bytes, each at most 8


@dataclass(frozen=True, eq=False)
class Activity:
    """What a layer's rows carried.

    Attributes
    ----------
    row_ones
        Input bits of value 1 that each row carried, summed over the input vectors. A convolution of g groups
        is g crossbars of their own inputs: their rows, one group after the other.
    reads
        Input vectors: one per image for a linear layer, one per image and output pixel for a convolution.
    input_bits
        Bits of each input; bit-serial, so each vector is read that many times.

    Raises
    ------
    ValueError
        Reads or bits below 1, rows that carry more ones than there were bits, or a sum of activities of two
        numbers of bits.

    Examples
    --------
    >>> batch = Activity(torch.tensor([8, 0], dtype=torch.float64), reads=1, input_bits=8)
    >>> both = batch + batch
    >>> both.row_ones, both.reads
    (tensor([16.,  0.], dtype=torch.float64), 2)
    """

    row_ones: Float64[Tensor, "rows"]
    reads: int
    input_bits: int

    def __post_init__(self) -> None:
        if self.reads < 1 or self.input_bits < 1:
            raise ValueError(f"reads is {self.reads} and input_bits {self.input_bits}, allowed are 1 or more")
        most = self.reads * self.input_bits
        if not bool(((self.row_ones >= 0) & (self.row_ones <= most)).all()):
            low, high = self.row_ones.min().item(), self.row_ones.max().item()
            raise ValueError(f"row_ones span {low:g}..{high:g}, allowed are 0..reads * input_bits = {most}")

    @classmethod
    def all_ones(cls, rows: int) -> "Activity":
        """Every row read once with an input bit of 1, the slides' way of counting.

        Examples
        --------
        >>> Activity.all_ones(3).row_ones
        tensor([1., 1., 1.], dtype=torch.float64)
        """
        return cls(torch.ones(rows, dtype=torch.float64), reads=1, input_bits=1)

    def __add__(self, other: "Activity") -> "Activity":
        if self.input_bits != other.input_bits:
            raise ValueError(
                f"activities of {self.input_bits} and {other.input_bits} input bits do not add up"
            )
        return Activity(self.row_ones + other.row_ones, self.reads + other.reads, self.input_bits)


def count_ones(
    codes: Int[Tensor, "vectors *shape"] | UInt8[Tensor, "vectors *shape"], input_bits: int
) -> Float64[Tensor, "*shape"]:
    """Ones in the lowest `input_bits` of each code, summed over the first axis; on the CPU.

    Examples
    --------
    >>> count_ones(torch.tensor([[3, 0], [255, 1]], dtype=torch.uint8), input_bits=8)
    tensor([10.,  1.], dtype=torch.float64)
    """
    if channels_last(codes):  # counted as it lies in memory: the order of the positions does not matter here
        return count_ones(codes.movedim(1, -1), input_bits).movedim(-1, 0)
    whole = codes.flatten(1).numpy(force=True)
    return torch.from_numpy(_ones([whole], input_bits, whole.shape[1])).double().view(codes.shape[1:])


def _ones_of_inputs(
    vectors: Float[Tensor, "vectors *shape"], scale: InputScale, input_bits: int
) -> Float64[Tensor, "*shape"]:
    """What `count_ones` finds in the codes of `quantize_inputs`, on the CPU part by part in its cache."""
    if vectors.device.type != "cpu":
        return count_ones(quantize_inputs(vectors, scale, input_bits), input_bits)
    if channels_last(vectors):
        return _ones_of_inputs(vectors.movedim(1, -1), scale, input_bits).movedim(-1, 0)
    inputs = vectors.detach().flatten(1).float().numpy()
    width = inputs.shape[1]
    rows = max(1, PART // width)
    if rows > _FIT_A_BYTE:  # sums of bytes are then full, with no few rows left over
        rows -= rows % _FIT_A_BYTE
    in_integers = quantizer(scale, input_bits, rows * width)
    parts = (in_integers(inputs[start : start + rows]) for start in range(0, len(inputs), rows))
    if input_bits <= 8:
        parts = (part.astype(np.uint8) for part in parts)
    return torch.from_numpy(_ones(parts, input_bits, width)).double().view(vectors.shape[1:])


def _ones(
    parts: Iterable[Integer[np.ndarray, "_ width"]], input_bits: int, width: int
) -> Int64[np.ndarray, "width"]:
    """Ones by position in the codes of all parts."""
    ones = np.zeros(width, np.int64)
    for codes in parts:
        if input_bits < 8 * codes.itemsize:  # the sign of a negative code runs on to the top of its integer
            codes = codes & (2**input_bits - 1)
        # As bytes, since of signed integers numpy counts the ones of their magnitudes.
        counts = np.bitwise_count(np.ascontiguousarray(codes).view(np.uint8))
        for start in range(0, len(counts), _FIT_A_BYTE):
            sums = counts[start : start + _FIT_A_BYTE].sum(axis=0, dtype=np.uint8)  # many times as fast
            ones += sums if codes.itemsize == 1 else sums.reshape(width, -1).sum(axis=1, dtype=np.int64)
    return ones


def measure_activity(
    model: nn.Module,
    images: Float[Tensor, "images ..."] | Feed,
    input_bits: int = 8,
    *,
    scales: Mapping[str, InputScale],
    batch_size: int = 128,
    layers: Collection[str] | None = None,
) -> dict[str, Activity]:
    """Activity of convolutions and linear layers over a forward pass of all images: exact, no loop over MACs.

    The inputs are those of the model as it stands, in evaluation mode; `scales` quantize them for the count
    only. A layer that is called twice counts both calls, one that is never called is left out. Inputs of NaN
    are refused where scales are made of them, and not looked for again here.

    Parameters
    ----------
    images
        One tensor; or, for a model of other inputs, a callable that runs it on them.
    scales
        Of every layer, from `activation_scales` on training images.
    batch_size
        Images at once.
    layers
        Names of those that count; None: all.

    Raises
    ------
    ValueError
        A layer has no scale (the message names it); and as `watch_inputs`.

    Examples
    --------
    >>> from twofold.inputs import activation_scales
    >>> model, images = nn.Sequential(nn.Linear(2, 3)), torch.tensor([[1.0, 0.0], [1.0, 0.5]])
    >>> seen = measure_activity(model, images, scales=activation_scales(model, images))["0"]
    >>> seen.row_ones, seen.reads  # 1.0 is 255, eight ones; 0.5 is 128, a single one
    (tensor([16.,  1.], dtype=torch.float64), 2)
    """
    # Maps of one size are summed over all batches, and cut into windows once, at the end. What stands in for
    # a function's product is a module of its own each time.
    maps: dict[tuple[str, nn.Module, torch.Size], tuple[Tensor, int]] = {}

    def see(name: str, layer: nn.Module, inputs: Tensor) -> None:
        scale = scale_of(name, scales)
        kernel_dims = 1 if isinstance(layer, nn.Linear) else layer.weight.dim() - 1
        vectors = inputs.reshape(-1, *inputs.shape[-kernel_dims:])
        ones = _ones_of_inputs(vectors, scale, input_bits)
        place = name, layer, ones.shape
        before, count = maps.get(place, (torch.zeros(()), 0))
        maps[place] = before + ones, count + len(vectors)

    watch_inputs(model, images, batch_size, see, layers)
    found: dict[str, Activity] = {}
    for (name, layer, _), (ones, reads) in maps.items():
        if not isinstance(layer, nn.Linear):
            seen_by_kernel = window_view(ones, layer)
            positions = tuple(range(2 - layer.weight.dim(), 0))
            ones = seen_by_kernel.sum(dim=positions).flatten()
            reads *= math.prod(seen_by_kernel.shape[positions[0] :])
        activity = Activity(ones, reads, input_bits)
        found[name] = found[name] + activity if name in found else activity
    return found
