"""Index generators: what turns the states of a register into the positions of the kept weights.

An index generator is a register (polynomial, seed, form) and a rule from states to positions. It draws the
mask, knows the order in which a memory holds the kept weights and the clocks that the walk takes, and names
the parameters of its hardware. `hardware/` has the same walk in Verilog.

================ ============================ ========================================
kind             position of a state          repeats
================ ============================ ========================================
`MultiplyShift`  ``(state * size) >> degree`` yes: a memory has to know first sights
`Modulo`         ``state mod size``           yes, as above; and a divider
`Rejection`      ``state - 1``; above: none   never within a period; at most 2 clocks
================ ============================ ========================================

Source: slide "LFSR Indexing Generator (LIG) Block", example `P.P. = X^9 + X^4 + 1; M = 300`.
"""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int64, UInt

from twofold.masks.draw import Mask, first_sights, kept_of, mask_of, size_of
from twofold.masks.gf2 import Polynomial, primitive_count, primitive_polynomials
from twofold.masks.lfsr import LFSR, Form

__all__ = [
    "GENERATORS",
    "LAYERS_PER_RUN",
    "LAYER_POLYNOMIAL",
    "IndexGenerator",
    "Modulo",
    "MultiplyShift",
    "Reduction",
    "Rejection",
    "generator_of",
    "layer_generator",
    "layer_polynomial",
    "layer_seed",
    "lfsr_mask",
    "reduce_states",
]

Reduction = Literal["multiply-shift", "modulo", "rejection"]
"""The kinds of index generators, by name."""

LAYER_POLYNOMIAL = Polynomial.parse("x^31+x^3+1")
"""The register of all layers where positions may repeat: one XOR gate, and a prime period, 2^31 - 1."""

LAYERS_PER_RUN = 1440
"""Seeds set aside for one run: with this number 128 layers of 16 runs lie at least 1/2600 of the period
apart, close to the 1/2048 that is possible; with the round 1024 it would be 1/9400."""

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 (sqrt(5) - 1) / 2
_POLYNOMIALS_BETWEEN_RUNS = 41


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

    Raises
    ------
    ValueError
        As :class:`~twofold.masks.lfsr.LFSR`: no such polynomial, one that is not primitive, no such state or
        form.

    Examples
    --------
    Take one of the kinds:

    >>> generator = MultiplyShift("x^9+x^4+1", seed=5)
    >>> print(generator)
    x^9+x^4+1 (fibonacci, multiply-shift) from seed 5
    >>> mask = generator.draw((4, 6), density=0.5)
    >>> mask.kept, mask.order[:4], mask.clocks
    (12, tensor([ 0, 12,  6, 15]), 16)
    """

    polynomial: Polynomial | str
    seed: int = 1
    form: Form = "fibonacci"

    kind: ClassVar[Reduction]

    def __post_init__(self) -> None:
        object.__setattr__(self, "polynomial", Polynomial.parse(self.polynomial))
        _ = self.register  # refuses now what it would refuse at the first walk

    @cached_property
    def register(self) -> LFSR:
        """The shift register."""
        return LFSR(self.polynomial, self.seed, self.form)

    @staticmethod
    @abstractmethod
    def positions(states: UInt[np.ndarray, "*shape"], size: int, degree: int) -> Int64[np.ndarray, "..."]:
        """Positions in [0, size) that states of `degree` bits stand for."""

    @abstractmethod
    def draw(self, shape: Sequence[int], density: float) -> Mask:
        """Walk until `round(density * size)` distinct positions (at least one) are found: the mask of those.

        Raises
        ------
        ValueError
            For a density outside (0, 1], or a register that does not reach so many positions in its period.
        """

    def __str__(self) -> str:
        return f"{self.polynomial} ({self.form}, {self.kind}) from seed {self.seed}"


class _Repeating(IndexGenerator):
    """Every state is a position, and positions come again: only the first sight of each counts."""

    def draw(self, shape: Sequence[int], density: float) -> Mask:
        register, size = self.register, size_of(shape)

        def walk(start: int, count: int) -> np.ndarray:
            return self.positions(register.jump(start).states(count), size, register.degree)

        return first_sights(walk, shape, kept_of(size, density), register.period, str(register.polynomial))


class MultiplyShift(_Repeating):
    """``(state * size) >> degree``: a multiplier and no divider, and a memory that recognizes repeats."""

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


class Modulo(_Repeating):
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

    @staticmethod
    def positions(states: np.ndarray, size: int, degree: int) -> np.ndarray:
        return states[states <= size].astype(np.int64) - 1

    def draw(self, shape: Sequence[int], density: float) -> Mask:
        size, period = size_of(shape), self.register.period
        kept = kept_of(size, density)
        if size > period:
            raise ValueError(
                f"{self.polynomial} has {period} states, too few for {size} positions; "
                f"take a primitive polynomial of degree {size.bit_length()} or more"
            )
        # As many clocks as are needed on average, and four standard deviations.
        count = kept * period // size + 4 * math.isqrt(kept * (period - size) // size + 1) + 64
        while True:
            states = self.register.states(min(count, period))
            clocks = np.flatnonzero(states <= size)[:kept]
            if len(clocks) == kept:
                return mask_of(states.take(clocks).astype(np.int64) - 1, shape, int(clocks[-1]) + 1)
            count *= 2


GENERATORS: dict[str, type[IndexGenerator]] = {kind.kind: kind for kind in (MultiplyShift, Modulo, Rejection)}
"""Every kind of index generator by its name."""


def generator_of(kind: str) -> type[IndexGenerator]:
    """The class of a kind of index generator, one of `GENERATORS`.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> generator_of("rejection").__name__
    'Rejection'
    """
    if kind not in GENERATORS:
        raise ValueError(f"reduction {kind!r} is unknown; allowed are {', '.join(GENERATORS)}")
    return GENERATORS[kind]


def reduce_states(
    states: UInt[np.ndarray, "*shape"], size: int, degree: int, reduction: Reduction = "multiply-shift"
) -> Int64[np.ndarray, "*shape"]:
    """Map the states of a register of `degree` bits to positions in [0, size), see the table of the module.

    Raises
    ------
    ValueError
        Where `state * size` would not fit into 64 bits, for a size below 1, for an unknown reduction, or for
        one that has no position for some states.

    Examples
    --------
    >>> states = LFSR("x^9+x^4+1", seed=5).states(4)
    >>> reduce_states(states, size=300, degree=9), reduce_states(states, 300, 9, "modulo")
    (array([  2, 151,  75, 187]), array([  5, 258, 129,  20]))
    """
    if not 0 < size < 2**63:
        raise ValueError(f"size {size} cannot be indexed; allowed are 1 to 2^63-1")
    if not issubclass(kind := generator_of(reduction), _Repeating):
        there = ", ".join(name for name, other in GENERATORS.items() if issubclass(other, _Repeating))
        raise ValueError(f"reduction {reduction!r} passes states over; each has a position in {there}")
    return kind.positions(states, size, degree)


def lfsr_mask(
    shape: Sequence[int],
    density: float,
    polynomial: Polynomial | str = LAYER_POLYNOMIAL,
    seed: int = 1,
    form: Form = "fibonacci",
    reduction: Reduction = "multiply-shift",
) -> Mask:
    """Keep the first `round(density * size)` distinct positions (at least one) that one register points at.

    The `draw` of the index generator that these arguments make.

    Raises
    ------
    ValueError
        For a density outside (0, 1], or a register that does not reach so many positions within its period.

    Examples
    --------
    >>> mask = lfsr_mask((64, 16, 3, 3), density=0.5)
    >>> mask.keep.shape, mask.kept, mask.density
    (torch.Size([64, 16, 3, 3]), 4608, 0.5)
    >>> again = lfsr_mask((64, 16, 3, 3), density=0.5)  # the same register, so the same mask
    >>> bool((again.keep == mask.keep).all())
    True
    """
    return generator_of(reduction)(polynomial, seed, form).draw(shape, density)


# ---- a layer's own generator ----


def layer_generator(kind: Reduction, size: int, layer: int, run: int = 0) -> IndexGenerator:
    """The index generator of a layer of `size` weights in a run; all layers' and runs' lie far apart.

    By rejection each layer has a register of its own, see `layer_polynomial`; otherwise all have
    `LAYER_POLYNOMIAL`. Each starts at its `layer_seed`.

    Examples
    --------
    >>> print(layer_generator("multiply-shift", size=432, layer=0))
    x^31+x^3+1 (fibonacci, multiply-shift) from seed 1311145148
    >>> print(layer_generator("rejection", size=432, layer=0))
    x^9+x^4+1 (fibonacci, rejection) from seed 373
    """
    polynomial = layer_polynomial(size, layer, run) if kind == "rejection" else LAYER_POLYNOMIAL
    return generator_of(kind)(polynomial, layer_seed(polynomial, layer, run))


@lru_cache(maxsize=1 << 12)  # a study asks for the same seeds at every density
def layer_seed(polynomial: Polynomial | str, layer: int, run: int = 0, form: Form = "fibonacci") -> int:
    """The seed of a layer in a run, far along the cycle from the seeds of all others.

    Neighbors on the cycle give nearly the same mask, so seeds must not be counted 1, 2, 3. Seed number
    `m = 1 + layer + 1440 run` lies at the share `m (sqrt(5) - 1) / 2 mod 1` of the period: multiples of the
    golden ratio never come close to each other (the three-distance theorem). Masks of different seeds then
    overlap by their density; the spread is up to 1.8 times the hypergeometric one of i.i.d. masks, because an
    LFSR's successive positions are related (multiply-shift halves them).

    Raises
    ------
    ValueError
        For a layer outside 0..1439 or a negative run.

    Examples
    --------
    >>> layer_seed(LAYER_POLYNOMIAL, layer=0), layer_seed(LAYER_POLYNOMIAL, layer=1)
    (1311145148, 928138706)
    """
    if not 0 <= layer < LAYERS_PER_RUN:
        raise ValueError(f"layer {layer} has no seed; allowed are 0 to {LAYERS_PER_RUN - 1}")
    if run < 0:
        raise ValueError(f"run {run} is negative; allowed are 0 and above")
    register = LFSR(polynomial, form=form)
    share = (1 + layer + LAYERS_PER_RUN * run) * _GOLDEN % 2**64
    return register.jump(share * register.period >> 64).seed


@lru_cache(maxsize=1 << 12)
def layer_polynomial(size: int, layer: int, run: int = 0) -> Polynomial:
    """The register of a layer whose positions are found by rejection: the shortest that reaches them all.

    Its degree is `ceil(log2(size + 1))`, and of the `gf2.primitive_polynomials` of that degree each layer
    takes the next, since two registers of one polynomial are arcs of one cycle and overlap by anything.
    Further runs begin 41 polynomials on. Where a degree has fewer than there are layers of it, they begin
    again, with other seeds.

    Examples
    --------
    >>> [str(layer_polynomial(size=432, layer=layer)) for layer in (0, 1)]
    ['x^9+x^4+1', 'x^9+x^6+x^4+x^3+1']
    """
    degree = max(2, size.bit_length())
    number = (layer + _POLYNOMIALS_BETWEEN_RUNS * run) % primitive_count(degree)
    return next(primitive_polynomials(degree, start=number))
