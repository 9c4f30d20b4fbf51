"""Masks of two registers: a row and a column register clocked together, and one inside the other.

Source: slide "LFSR Indexing Generator (LIG) Block".
"""

import math
from collections.abc import Sequence

import numpy as np

from twofold.masks.draw import Mask, expected_clocks, first_sights, kept_of, mask_of, out_of_reach, size_of
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import Polynomial
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import LFSR, Form, states_of_seeds

__all__ = ["nested_mask", "pair_mask"]


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

    Examples
    --------
    >>> mask = pair_mask((4, 6), 0.5, row_polynomial="x^5+x^2+1", column_polynomial="x^4+x+1")
    >>> mask.keep.shape, mask.kept
    (torch.Size([4, 6]), 12)
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
    return first_sights(draw, shape_2d, kept_of(rows * columns, density), math.prod(periods), registers)


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

    Examples
    --------
    >>> mask = nested_mask((4, 6), 0.5, inner_polynomial="x^5+x^2+1", outer_polynomial="x^9+x^4+1")
    >>> mask.keep.sum(dim=1)  # as many in each column
    tensor([3, 3, 3, 3])
    """
    inner, outer = LFSR(inner_polynomial, form=form), LFSR(outer_polynomial, seed, form)
    if inner.polynomial == outer.polynomial:
        raise ValueError(
            f"inner and outer register are both {inner.polynomial}: each column would be its neighbor's, "
            "shifted; take two different polynomials"
        )
    rows, columns = _matrix_shape(shape)
    kept = kept_of(rows, density)
    # At 50 % density a column shares 70 % of its rows with the next if their seeds are one clock apart, and
    # 56 % at n clocks where both polynomials have one low tap (x^n mod P is as sparse as P); at 7n/2, 50 %.
    stride = 7 * outer.degree // 2
    words = outer.states(columns * stride)[::stride]
    seeds = 1 + reduce_states(words, inner.period, outer.degree, reduction).astype(np.uint64)
    clocks = 0
    while True:
        clocks = min(max(2 * clocks, expected_clocks(rows, 0, kept)), inner.period)
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
            raise ValueError(out_of_reach(str(inner.polynomial), clocks, int(sights[-1].min()), rows, kept))
    chosen = (first & (sights <= kept)).T  # a row for each column of the matrix, in the order of sight
    inner_clocks = int((sights < kept).sum()) + columns  # up to and including the clock of the last kept row
    return mask_of(positions.T[chosen], shape, inner_clocks + columns * stride)


def _matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of the crossbar matrix of a weight `[columns, ...]`."""
    size = size_of(shape)
    if len(shape) < 2:
        raise ValueError(f"shape {tuple(shape)} is no matrix; allowed are two or more dimensions")
    return size // shape[0], shape[0]
