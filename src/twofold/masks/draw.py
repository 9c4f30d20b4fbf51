"""Masks that registers generate, from one, from two, or nested; and the controls without a register.

A mask is **True = kept**. A weight `[out, in, kh, kw]` is a crossbar matrix of `in*kh*kw` rows (inputs) and
`out` columns (outputs), `weight.flatten(1).T`: dimension 0 of every shape here counts crossbar columns.
Positions are flat indices into the weight tensor.

Source: slide "LFSR Indexing Generator (LIG) Block".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twofold.masks.generator import LAYER_POLYNOMIAL, Reduction, reduce_states
from twofold.masks.gf2 import Polynomial
from twofold.masks.lfsr import LFSR, Form, states_of_seeds

__all__ = ["Mask", "lfsr_mask", "magnitude_mask", "nested_mask", "pair_mask", "random_mask"]


LARGEST = 1 << 28
"""Weights that a mask may span: a number typed too long must not ask for all memory."""


_CHUNK = 1 << 22  # clocks drawn at once at most: bounds the memory of very large or very dense masks


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
class Mask:
    """Which weights are kept, and in which order their positions were generated.

    Parameters
    ----------
    keep : Bool[Tensor, "*shape"]
        True = kept.
    order : Int64[Tensor, "kept"]
        Flat positions of the kept weights in the order of first sight, the order of packed storage.
    clocks : int
        Register clocks until the last kept position was seen, repeats included; 0 where no register ran.
    """

    keep: Bool[Tensor, "*shape"]
    order: Int64[Tensor, "kept"]
    clocks: int

    @property
    def kept(self) -> int:
        """Number of weights kept."""
        return self.order.numel()

    @property
    def density(self) -> float:
        """Share of weights kept."""
        return self.kept / self.keep.numel()

    @property
    def sparsity(self) -> float:
        """Share of weights not kept."""
        return 1 - self.density

    @property
    def matrix(self) -> Bool[Tensor, "rows columns"]:
        """The crossbar view of a mask of two or more dimensions: rows are inputs, columns outputs."""
        return self.keep.flatten(1).T


def lfsr_mask(
    shape: Sequence[int],
    density: float,
    polynomial: Polynomial | str = LAYER_POLYNOMIAL,
    seed: int = 1,
    form: Form = "fibonacci",
    reduction: Reduction = "multiply-shift",
) -> Mask:
    """Keep the first `round(density * size)` distinct positions (at least one) that one register points at.

    By `lig.reduce_states`; "rejection" needs a register of as many states as there are positions.

    Raises
    ------
    ValueError
        For a density outside (0, 1], or a register that does not reach so many positions within its period.
    """
    register = LFSR(polynomial, seed, form)
    size = _size(shape)
    if reduction == "rejection":
        return _by_rejection(register, shape, _kept(size, density))

    def draw(start: int, count: int) -> np.ndarray:
        return reduce_states(register.jump(start).states(count), size, register.degree, reduction)

    return _first_sights(draw, shape, _kept(size, density), register.period, str(register.polynomial))


def pair_mask(
    shape_2d: Sequence[int],
    density: float,
    row_polynomial: Polynomial | str,
    column_polynomial: Polynomial | str,
    row_seed: int = 1,
    column_seed: int = 1,
    form: Form = "fibonacci",
    reduction: Reduction = "multiply-shift",
) -> Mask:
    """Keep the first distinct (row, column) pairs that two registers, clocked together, point at.

    The shape is a weight's, `[columns, rows]`, or `[columns, ...]` with all but the first flattened to rows.

    Raises
    ------
    ValueError
        Where the two periods share a divisor g: the pair repeats after lcm(periods) clocks and so visits 1/g
        of the matrix. Coprime periods need coprime widths, because gcd(2^a - 1, 2^b - 1) = 2^gcd(a, b) - 1.
    """
    row_register = LFSR(row_polynomial, row_seed, form)
    column_register = LFSR(column_polynomial, column_seed, form)
    rows, columns = _matrix_shape(shape_2d)
    periods = row_register.period, column_register.period
    common = math.gcd(*periods)
    if common > 1:
        raise ValueError(
            f"row period {periods[0]} ({row_register.polynomial}) and column period {periods[1]} "
            f"({column_register.polynomial}) have gcd {common}: the pair repeats after lcm = "
            f"{math.lcm(*periods)} clocks and visits 1/{common} of the matrix; take coprime widths, "
            f"not {row_register.degree} and {column_register.degree}"
        )

    def draw(start: int, count: int) -> np.ndarray:
        row, column = (
            reduce_states(register.jump(start).states(count), length, register.degree, reduction)
            for register, length in ((row_register, rows), (column_register, columns))
        )
        return column * rows + row

    registers = f"the pair {row_register.polynomial}, {column_register.polynomial}"
    return _first_sights(draw, shape_2d, _kept(rows * columns, density), math.prod(periods), registers)


def nested_mask(
    shape: Sequence[int],
    density: float,
    inner_polynomial: Polynomial | str,
    outer_polynomial: Polynomial | str,
    seed: int = 1,
    form: Form = "fibonacci",
    reduction: Reduction = "multiply-shift",
) -> Mask:
    """Keep `round(density * rows)` rows (at least one) of each output column, given by an inner register.

    The outer register starts at `seed`; its states, reduced to 1..inner period, seed the inner register,
    which starts afresh for each column. From column to column the outer one runs 3.5 times its degree in
    clocks, for its states to be unrelated. `order` goes column after column; `clocks` counts both registers,
    the inner one summed over the columns.

    Raises
    ------
    ValueError
        Where both polynomials are the same (each column would be its neighbor's, shifted), for a density
        outside (0, 1], or an inner register that does not reach so many rows within its period.
    """
    inner, outer = LFSR(inner_polynomial, form=form), LFSR(outer_polynomial, seed, form)
    if inner.polynomial == outer.polynomial:
        raise ValueError(
            f"inner and outer register are both {inner.polynomial}: each column would be its neighbor's, "
            "shifted; take two different polynomials"
        )
    rows, columns = _matrix_shape(shape)
    kept = _kept(rows, density)
    # At 50 % density a column shares 70 % of its rows with the next if their seeds are one clock apart, and
    # 56 % at n clocks where both polynomials have one low tap (x^n mod P is as sparse as P); at 7n/2, 50 %.
    stride = 7 * outer.degree // 2
    words = outer.states(columns * stride)[::stride]
    seeds = 1 + reduce_states(words, inner.period, outer.degree, reduction).astype(np.uint64)
    clocks = 0
    while True:
        clocks = min(max(2 * clocks, _expected_clocks(rows, 0, kept)), inner.period)
        states = states_of_seeds(inner.polynomial, seeds, clocks, form)
        positions = reduce_states(states, rows, inner.degree, reduction) + rows * np.arange(columns)
        clock = np.arange(clocks)[:, None]
        seen_at = np.full(rows * columns, clocks)
        np.minimum.at(seen_at, positions, clock)
        first = seen_at.take(positions) == clock
        sights = first.cumsum(axis=0)
        if sights[-1].min() >= kept:
            break
        if clocks == inner.period:
            raise ValueError(_out_of_reach(str(inner.polynomial), clocks, int(sights[-1].min()), rows, kept))
    chosen = (first & (sights <= kept)).T  # a row for each column of the matrix, in the order of sight
    inner_clocks = int((sights < kept).sum()) + columns  # up to and including the clock of the last kept row
    return _mask(positions.T[chosen], shape, inner_clocks + columns * stride)


def random_mask(shape: Sequence[int], density: float, seed: int) -> Mask:
    """The i.i.d. control: `round(density * size)` positions drawn without replacement, in the order drawn."""
    size = _size(shape)
    order = np.random.default_rng(seed).permutation(size)[: _kept(size, density)]
    return _mask(order, shape, clocks=0)


def magnitude_mask(weight: Float[Tensor, "*shape"], density: float) -> Mask:
    """The magnitude control: the `round(density * size)` largest weights, largest first, ties by position."""
    bad = int((~torch.isfinite(weight)).sum())
    if bad:
        raise ValueError(f"weight holds {bad} NaN or infinite entries; allowed are finite weights")
    ranking = weight.detach().abs().flatten().argsort(descending=True, stable=True)
    order = ranking[: _kept(_size(weight.shape), density)].cpu().numpy()
    return _mask(order, weight.shape, clocks=0)


def _by_rejection(register: LFSR, shape: Sequence[int], kept: int) -> Mask:
    """The mask of the first `kept` states that are positions: none comes twice, so nothing is looked up."""
    size, period = math.prod(shape), register.period
    if size > period:
        raise ValueError(
            f"{register.polynomial} has {period} states, too few for {size} positions; "
            f"take a primitive polynomial of degree {size.bit_length()} or more"
        )
    count = min(period, kept * period // size + 4 * math.isqrt(kept * (period - size) // size + 1) + 64)
    while True:
        states = register.states(count)
        clocks = np.flatnonzero(states <= size)[:kept]
        if len(clocks) == kept:
            return _mask(states.take(clocks).astype(np.int64) - 1, shape, int(clocks[-1]) + 1)
        count = min(period, 2 * count)


def _first_sights(
    draw: Callable[[int, int], np.ndarray], shape: Sequence[int], kept: int, period: int, registers: str
) -> Mask:
    """The mask of the first `kept` distinct positions of a stream; `draw(start, count)` gives a part of it.

    No sort: `seen_at` holds the clock of each position's first sight, and a clock is a first sight where its
    position holds that clock. Never draws more than one period.
    """
    size = math.prod(shape)
    if kept > period:
        raise ValueError(_out_of_reach(registers, period, period, size, kept))
    times = np.int32 if period < 2**31 else np.int64
    seen_at = np.full(size, np.iinfo(times).max, times)
    order, found, clock = [], 0, 0
    while True:
        count = min(_expected_clocks(size, found, kept), _CHUNK, period - clock)
        positions = draw(clock, count)
        clocks = np.arange(clock, clock + count, dtype=times)
        np.minimum.at(seen_at, positions, clocks)
        first = np.flatnonzero(seen_at.take(positions) == clocks)[: kept - found]
        order.append(positions[first])
        found, clock = found + len(first), clock + count
        if found == kept:
            spent = int(clocks[first[-1]]) + 1
            return _mask(np.concatenate(order), shape, spent, keep=seen_at < spent)
        if clock == period:
            raise ValueError(_out_of_reach(registers, period, found, size, kept))


def _expected_clocks(size: int, found: int, kept: int) -> int:
    """Clocks to go from `found` to `kept` distinct positions, with a margin of four standard deviations.

    A coupon collector's `size * ln((size - found) / (size - kept))`; the halves serve `kept = size`.
    """
    left = size - kept + 0.5
    return int(size * math.log((size - found + 0.5) / left) + 4 * math.sqrt(size * kept / left)) + 64


def _mask(order: np.ndarray, shape: Sequence[int], clocks: int, keep: np.ndarray | None = None) -> Mask:
    if keep is None:
        keep = np.zeros(math.prod(shape), bool)
        keep[order] = True
    return Mask(torch.from_numpy(keep).reshape(tuple(shape)), torch.from_numpy(order), clocks)


def _size(shape: Sequence[int]) -> int:
    if not len(shape) or min(shape) < 1:
        raise ValueError(f"shape {tuple(shape)} holds no weights; allowed are one or more lengths above 0")
    if (size := math.prod(shape)) > LARGEST:
        raise ValueError(f"shape {tuple(shape)} holds {size} weights; allowed are {LARGEST} or fewer")
    return size


def _matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of the crossbar matrix of a weight `[columns, ...]`."""
    size = _size(shape)
    if len(shape) < 2:
        raise ValueError(f"shape {tuple(shape)} is no matrix; allowed are two or more dimensions")
    return size // shape[0], shape[0]


def _kept(size: int, density: float) -> int:
    if not 0 < density <= 1:  # NaN fails both comparisons
        raise ValueError(f"density {density} is outside (0, 1]")
    return max(1, round(density * size))


def _out_of_reach(registers: str, period: int, reached: int, size: int, kept: int) -> str:
    return (
        f"{registers} reaches at most {reached} of {size} positions in one period of {period} clocks, "
        f"but {kept} are to be kept; take a higher degree or a lower density"
    )
