"""The LFSR index generator (LIG): register state -> position of a kept weight; controls, overlap, storage.

A mask is **True = kept**. A weight `[out, in, kh, kw]` is a crossbar matrix of `in*kh*kw` rows (inputs) and
`out` columns (outputs), `weight.flatten(1).T`: dimension 0 of every shape here counts crossbar columns.
Positions are flat indices into the weight tensor.

Source: slide "LFSR Indexing Generator (LIG) Block", example `P.P. = X^9 + X^4 + 1; M = 300`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt
from torch import Tensor

from twofold.gf2 import Polynomial
from twofold.lfsr import LFSR, Form, states_of_seeds

__all__ = [
    "LAYERS_PER_RUN",
    "LAYER_POLYNOMIAL",
    "Mask",
    "Reduction",
    "index_storage_bits",
    "layer_seed",
    "lfsr_mask",
    "magnitude_mask",
    "nested_mask",
    "numerical_rank",
    "overlap",
    "pair_mask",
    "random_mask",
    "reduce_states",
]

Reduction = Literal["multiply-shift", "modulo"]

LAYER_POLYNOMIAL = Polynomial.parse("x^31+x^3+1")
"""The register of the layers: one XOR gate, and a period, 2^31 - 1, that is prime."""

LAYERS_PER_RUN = 1440
"""Seeds set aside for one run: with this number 128 layers of 16 runs lie at least 1/2600 of the period
apart, close to the 1/2048 that is possible; with the round 1024 it would be 1/9400."""

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 (sqrt(5) - 1) / 2
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


def reduce_states(
    states: UInt[np.ndarray, "*shape"], size: int, degree: int, reduction: Reduction = "multiply-shift"
) -> Int64[np.ndarray, "*shape"]:
    """Map the states of a register of `degree` bits to positions in [0, size).

    "multiply-shift" is `(state * size) >> degree`, a multiplier and no divider; "modulo" is `state % size`.

    Raises
    ------
    ValueError
        Where `state * size` would not fit into 64 bits, for an unknown reduction, or for a size below 1.
    """
    if not 0 < size < 2**63:
        raise ValueError(f"size {size} cannot be indexed; allowed are 1 to 2^63-1")
    if reduction == "modulo":
        word = states.dtype if size <= np.iinfo(states.dtype).max else np.uint64
        return np.remainder(states, size, dtype=word).astype(np.int64)
    if reduction != "multiply-shift":
        raise ValueError(f"reduction {reduction!r} is unknown; allowed are {', '.join(get_args(Reduction))}")
    bits = degree + operator.index(size).bit_length()
    if bits > 64:
        raise ValueError(
            f"multiply-shift of {degree}-bit states by size {size} takes {bits} bits, more than 64; "
            "take a lower degree or the reduction 'modulo'"
        )
    product = np.multiply(states, size, dtype=np.uint64)
    product >>= np.uint64(degree)
    return product.view(np.int64)


@lru_cache(maxsize=1 << 12)  # a study asks for the same seeds at every density
def layer_seed(polynomial: Polynomial | str, layer: int, run: int = 0, form: Form = "fibonacci") -> int:
    """The seed of a layer in a run, far along the cycle from the seeds of all others.

    Neighbours on the cycle give nearly the same mask, so seeds must not be counted 1, 2, 3. Seed number
    `m = 1 + layer + 1440 run` lies at the share `m (sqrt(5) - 1) / 2 mod 1` of the period: multiples of the
    golden ratio never come close to each other (the three-distance theorem). Masks of different seeds then
    overlap by their density; the spread is up to 1.8 times the hypergeometric one of i.i.d. masks, because an
    LFSR's successive positions are related (multiply-shift halves them).

    Raises
    ------
    ValueError
        For a layer outside 0..1439 or a negative run.
    """
    if not 0 <= layer < LAYERS_PER_RUN:
        raise ValueError(f"layer {layer} has no seed; allowed are 0 to {LAYERS_PER_RUN - 1}")
    if run < 0:
        raise ValueError(f"run {run} is negative; allowed are 0 and above")
    register = LFSR(polynomial, form=form)
    share = (1 + layer + LAYERS_PER_RUN * run) * _GOLDEN % 2**64
    return register.jump(share * register.period >> 64).seed


def lfsr_mask(
    shape: Sequence[int],
    density: float,
    polynomial: Polynomial | str = LAYER_POLYNOMIAL,
    seed: int = 1,
    form: Form = "fibonacci",
    reduction: Reduction = "multiply-shift",
) -> Mask:
    """Keep the first `round(density * size)` distinct positions (at least one) that one register points at.

    Raises
    ------
    ValueError
        For a density outside (0, 1], or a register that does not reach so many positions within its period.
    """
    register = LFSR(polynomial, seed, form)
    size = _size(shape)

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
        Where both polynomials are the same (each column would be its neighbour's, shifted), for a density
        outside (0, 1], or an inner register that does not reach so many rows within its period.
    """
    inner, outer = LFSR(inner_polynomial, form=form), LFSR(outer_polynomial, seed, form)
    if inner.polynomial == outer.polynomial:
        raise ValueError(
            f"inner and outer register are both {inner.polynomial}: each column would be its neighbour's, "
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


def overlap(a: Mask | Bool[Tensor, "*shape"], b: Mask | Bool[Tensor, "*shape"]) -> float:
    """`|A and B| / |A|`: the share of A's kept weights that B keeps too; by chance, about B's density."""
    keep_a, keep_b = (mask.keep if isinstance(mask, Mask) else mask for mask in (a, b))
    if keep_a.shape != keep_b.shape:
        raise ValueError(f"masks of shapes {tuple(keep_a.shape)} and {tuple(keep_b.shape)} have no overlap")
    kept = int(keep_a.sum())
    if kept == 0:
        raise ValueError("the first mask keeps 0 weights, so its overlap is not defined; keep at least 1")
    return int((keep_a & keep_b).sum()) / kept


def numerical_rank(matrix: Shaped[Tensor, "rows columns"]) -> int:
    """Rank in float64 at the default tolerance of `torch.linalg.matrix_rank`; a mask counts as 0 and 1."""
    return int(torch.linalg.matrix_rank(matrix.detach().double()))


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

    Notes
    -----
    Relative indices: Han et al., "Deep Compression" (ICLR 2016), section 2 and figure 2, and "EIE" (ISCA
    2016), section III; here they run over the flattened layer.
    """
    if weight_bits < 1:
        raise ValueError(f"weight_bits {weight_bits} is no width; allowed are 1 and above")
    positions = np.flatnonzero(keep.cpu().numpy())
    size, kept = _size(keep.shape), len(positions)
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
    return math.prod(shape)


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
