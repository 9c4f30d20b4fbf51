"""The kinds of index generators: what turns the states of a register into the positions of the kept weights.

An index generator is a register (polynomial, seed, form) and a rule from states to positions. It draws the
mask, knows the order in which a memory holds the kept weights and the clocks that the walk takes, and names
the parameters of its hardware. `hardware/` has the same walks in Verilog.

================ ==================================== ====================================================
kind             position of a state                  repeats
================ ==================================== ====================================================
`Rejection`      ``state - 1``; above: none           never within a period; at most 2 clocks an index
`ColumnByColumn` ``state xor scramble``, a row of     never; each column keeps as many rows; at most 2
                 one column; above: none              clocks an index
`KernelCounter`  ``state * kernel + counter``;        never; stratified over the places of the kernel;
                 above: none                          at most 2 clocks, 1 where the pairs are a power of 2
`MultiplyShift`  ``(state * size) >> degree``         yes: a memory has to know first sights
`Modulo`         ``state mod size``                   yes, as above; and a divider
================ ==================================== ====================================================

**Shared rows.** With ``group`` = g, g neighboring columns share one sequence of indices: the walk runs over
``ceil(columns / g)`` groups in place of the columns, and each index stands for a row's weights in all columns
of the group. The last group has what is left. An array then holds a group as an ordinary crossbar that has
only the kept rows. A group of more columns than a layer has is all of them.

Source: slide "LFSR Indexing Generator (LIG) Block", example `P.P. = X^9 + X^4 + 1; M = 300`.
"""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int64, UInt

from twofold.masks.draw import Mask, blocks_of, check_group, first_sights, kept_of, mask_of, size_of, spread
from twofold.masks.gf2 import Polynomial, primitive_polynomial
from twofold.masks.lfsr import LFSR, Form

__all__ = [
    "ColumnByColumn",
    "IndexGenerator",
    "KernelCounter",
    "Modulo",
    "MultiplyShift",
    "Reduction",
    "Rejection",
    "Repeating",
]

Reduction = Literal["rejection", "column", "counter", "multiply-shift", "modulo"]
"""The kinds of index generators, by name."""

_LONGEST = 24  # bits of a register that skips: a longer one, of a file made by hand, would walk for ever


@dataclass(frozen=True)
class IndexGenerator(ABC):
    """A register, and the rule by which its states say positions.

    Parameters
    ----------
    polynomial : Polynomial or str
        Primitive, so that the register runs through all states but 0.
    seed : int
        The first state.
    form : {"fibonacci", "galois"}
    group : int
        Neighboring columns that share their indices, see the module; 1: none do.

    Raises
    ------
    ValueError
        As :class:`~twofold.masks.lfsr.LFSR`: no such polynomial, one that is not primitive, no such state or
        form; or a group below 1.

    Examples
    --------
    Take one of the kinds:

    >>> generator = MultiplyShift("x^9+x^4+1", seed=5)
    >>> print(generator)
    x^9+x^4+1 (fibonacci, multiply-shift) from seed 5
    >>> mask = generator.draw((4, 6), density=0.5)
    >>> mask.kept, mask.order[:4], mask.clocks
    (12, tensor([ 0, 12,  6, 15]), 16)

    Two columns share their rows: half as many indices for as many weights.

    >>> shared = Rejection("x^4+x+1", group=2).draw((4, 6), density=0.5)
    >>> shared.kept, shared.indices, shared.order[:4]
    (12, 6, tensor([ 0,  6, 13, 19]))
    """

    polynomial: Polynomial | str
    seed: int = 1
    form: Form = "fibonacci"
    group: int = 1

    kind: ClassVar[Reduction]

    def __post_init__(self) -> None:
        object.__setattr__(self, "polynomial", Polynomial.parse(self.polynomial))
        object.__setattr__(self, "group", check_group(self.group))
        _ = self.register  # refuses now what it would refuse at the first walk

    @cached_property
    def register(self) -> LFSR:
        """The shift register."""
        return LFSR(self.polynomial, self.seed, self.form)

    @classmethod
    @abstractmethod
    def least_degree(cls, shape: Sequence[int]) -> int:
        """Flip-flops of the shortest register, 2 or more, that reaches every position of a shape.

        0 where the register is not tied to a shape: positions repeat, and a long period is what counts.
        """

    def draw(self, shape: Sequence[int], density: float) -> Mask:
        """The mask of the first ``density`` of all positions that the register points at.

        Raises
        ------
        ValueError
            For a density outside (0, 1] or one that keeps no position, or a register that does not reach so
            many positions in its period, or that is far longer than it takes to reach them.
        """
        blocks = blocks_of(shape, self.group)
        least = self.least_degree(blocks)
        if least and self.register.degree > (longest := max(least, _LONGEST)):
            raise ValueError(
                f"{self.polynomial} has 2^{self.register.degree} states, and nearly all would be skipped; "
                f"degree {least} reaches every position, allowed are up to {longest}"
            )
        return spread(self._walk(blocks, density), shape, self.group)

    @abstractmethod
    def _walk(self, shape: tuple[int, ...], density: float) -> Mask:
        """`draw` where no columns share."""

    def __str__(self) -> str:
        shared = f", {self.group} columns an index" if self.group > 1 else ""
        return f"{self.polynomial} ({self.form}, {self.kind}) from seed {self.seed}{shared}"


class Repeating(IndexGenerator):
    """Every state is a position, and positions come again: only the first sight of each counts."""

    @classmethod
    def least_degree(cls, shape: Sequence[int]) -> int:
        return 0

    @staticmethod
    @abstractmethod
    def positions(states: UInt[np.ndarray, "*shape"], size: int, degree: int) -> Int64[np.ndarray, "*shape"]:
        """Positions in [0, size) that states of `degree` bits stand for."""

    def _walk(self, shape: tuple[int, ...], density: float) -> Mask:
        register, size = self.register, size_of(shape)
        walk = partial(self._walked, size)
        return first_sights(walk, shape, kept_of(size, density), register.period, str(register.polynomial))

    def _walked(self, size: int, start: int, count: int) -> np.ndarray:
        return self.positions(self.register.jump(start).states(count), size, self.register.degree)


class MultiplyShift(Repeating):
    """``(state * size) >> degree``: a multiplier and no divider, and a memory that recognizes repeats.

    The slides' M = 300 is made with it. As hardware it is what not to build: the memory costs far more than
    the register (chapter 8).
    """

    kind = "multiply-shift"

    @staticmethod
    def positions(states: np.ndarray, size: int, degree: int) -> np.ndarray:
        bits = degree + operator.index(size).bit_length()
        if bits > 64:
            raise ValueError(
                f"multiply-shift of {degree}-bit states by size {size} takes {bits} bits, more than 64; "
                "take a lower degree or the reduction 'modulo'"
            )
        product = np.multiply(states, size, dtype=np.uint64)
        product >>= np.uint64(degree)
        return product.view(np.int64)


class Modulo(Repeating):
    """``state mod size``: a divider, and a memory that recognizes repeats."""

    kind = "modulo"

    @staticmethod
    def positions(states: np.ndarray, size: int, degree: int) -> np.ndarray:
        word = states.dtype if size <= np.iinfo(states.dtype).max else np.uint64
        return np.remainder(states, size, dtype=word).astype(np.int64)


class Rejection(IndexGenerator):
    """``state - 1``, and states above the size are skipped: no position comes twice within a period.

    The register is as short as reaches every position, so fewer than half of its states are skipped. It needs
    neither a multiplier nor a memory of what was seen. Layers of one size need polynomials of their own, see
    `layer_polynomial`.

    Examples
    --------
    >>> mask = Rejection("x^5+x^2+1").draw((4, 6), density=0.5)
    >>> mask.kept, mask.order[:4], mask.clocks
    (12, tensor([ 0, 15,  7,  3]), 17)
    """

    kind = "rejection"

    @classmethod
    def least_degree(cls, shape: Sequence[int]) -> int:
        return max(2, size_of(shape).bit_length())

    def _walk(self, shape: tuple[int, ...], density: float) -> Mask:
        size, period = size_of(shape), self.register.period
        kept = kept_of(size, density)
        if size > period:
            raise ValueError(_too_short(self.polynomial, period, f"{size} positions", size.bit_length()))
        # As many clocks as are needed on average, and four standard deviations.
        count = kept * period // size + 4 * math.isqrt(kept * (period - size) // size + 1) + 64
        while True:
            states = self.register.states(min(count, period))
            clocks = np.flatnonzero(states <= size)[:kept]
            if len(clocks) == kept:
                order = states.take(clocks).astype(np.int64)
                order -= 1
                return mask_of(order, shape, int(clocks[-1]) + 1)
            count *= 2


class _DeBruijn(IndexGenerator):
    """A register with the state 0 spliced in, so that it runs through all ``2^n`` states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form != "fibonacci":
            raise ValueError(
                f"form {self.form!r} has no {self.kind} generator; allowed is fibonacci, where state 0 can "
                "be spliced in"
            )

    def _check_reach(self, positions: int, what: str) -> None:
        states = 2**self.register.degree
        if positions > states:
            needed = (positions - 1).bit_length()
            raise ValueError(_too_short(self.polynomial, states, f"{positions} {what}", needed))


class ColumnByColumn(_DeBruijn):
    """One column after the other by a register over its rows, scrambled anew in each.

    The register is as short as a column is long, and 0 is spliced into its cycle. In column j the row is
    ``state xor s_j``, and values beyond the last row are skipped; once the column has its
    ``round(density * rows)`` rows, the next one begins and the register goes on. The scramble s_j is the low
    bits of the j-th state of a second register that steps once a column: without it columns would be arcs of
    one cycle, alike or disjoint. It is the first one read backwards, polynomial and seed, and so another in
    each layer: scrambled by the same words, column j would be related from layer to layer. Every column keeps
    as many rows, so that a crossbar of a group (see the module) has as many as any other.

    Examples
    --------
    >>> import torch
    >>> mask = ColumnByColumn("x^3+x+1", seed=3).draw((4, 6), density=0.5)
    >>> mask.order.view(4, 3) - 6 * torch.arange(4)[:, None], mask.clocks  # rows of each column
    (tensor([[5, 2, 4],
            [2, 1, 0],
            [0, 2, 3],
            [1, 0, 3]]), 15)
    """

    kind = "column"

    @classmethod
    def least_degree(cls, shape: Sequence[int]) -> int:
        return max(2, (size_of(shape) // shape[0] - 1).bit_length())

    def scramble(self, columns: int) -> LFSR:
        """The second register, for so many columns (groups of them, where they share).

        Of the reciprocal polynomial, from the seed's bits in reverse order. Where that has no state for each
        column, of the `primitive_polynomial` of the first degree that has, with ones above those bits.
        """
        bits, degree = self.register.degree, max(self.register.degree, columns.bit_length())
        backwards = int(f"{self.seed:0{bits}b}"[::-1], 2)
        polynomial = primitive_polynomial(degree) if degree > bits else self.polynomial.reciprocal()
        return LFSR(polynomial, 2**degree - 2**bits + backwards)

    def _walk(self, shape: tuple[int, ...], density: float) -> Mask:
        columns, rows = shape[0], size_of(shape) // shape[0]
        self._check_reach(rows, "rows of a column")
        kept, states = kept_of(rows, density), self.register.de_bruijn_states()
        scrambles = self.scramble(columns).states(columns) & np.uint32(len(states) - 1)
        # No more than one cycle is needed for a column, and no fewer than so many states are among them.
        cycle = np.concatenate([states, states])
        likely = min(len(states), kept * len(states) // rows + 4 * math.isqrt(kept) + 16)
        order, clock = [], 0
        for column, scrambled in enumerate(scrambles):
            start = clock % len(states)
            for reach in (likely, len(states)):
                found = cycle[start : start + reach] ^ scrambled
                inside = np.flatnonzero(found < rows)[:kept]
                if len(inside) == kept:
                    break
            order.append(found.take(inside).astype(np.int64) + column * rows)
            clock += int(inside[-1]) + 1
        return mask_of(np.concatenate(order), shape, clock)


class KernelCounter(_DeBruijn):
    """A counter over the places of a kernel beside a register over the pairs of input and output.

    For kernels of an odd number k of places, 3x3 above all: ``position = state * k + counter``, both step at
    each clock, and states beyond the last pair are skipped. As k and the register's ``2^n`` states have no
    common divisor, every position comes once in ``k 2^n`` clocks. The kept weights are spread evenly over the
    places of the kernel, more evenly than chance would; and pairs that are a power of two skip nothing.

    Examples
    --------
    >>> mask = KernelCounter("x^3+x+1").draw((4, 2, 3, 3), density=0.5)
    >>> mask.order[:4], mask.clocks  # register 1, 0, 4, 2; counter 0, 1, 2, 3
    (tensor([ 9,  1, 38, 21]), 36)
    """

    kind = "counter"

    @classmethod
    def least_degree(cls, shape: Sequence[int]) -> int:
        return max(2, (size_of(shape) // math.prod(shape[2:]) - 1).bit_length())

    def _walk(self, shape: tuple[int, ...], density: float) -> Mask:
        size, places = size_of(shape), math.prod(shape[2:])
        pairs = size // places
        if places % 2 == 0:
            raise ValueError(
                f"a kernel of {places} places and a register of 2^n states step together before all "
                "positions came; kind 'counter' needs an odd number, as 3x3 is; take 'rejection' or 'column'"
            )
        self._check_reach(pairs, "pairs of input and output")
        kept, states = kept_of(size, density), self.register.de_bruijn_states()
        # A state comes back every 2^n clocks, so the clocks of n kept positions are known to within a cycle.
        cycles = min(places, kept // pairs + 1)
        walked = np.tile(states, cycles)
        clocks = np.flatnonzero(walked < pairs)[:kept]
        return mask_of(walked[clocks].astype(np.int64) * places + clocks % places, shape, int(clocks[-1]) + 1)


def _too_short(polynomial: Polynomial | str, states: int, needed: str, degree: int) -> str:
    return (
        f"{polynomial} has {states} states, too few for {needed}; "
        f"take a primitive polynomial of degree {degree} or more"
    )
