"""Index generators by name, and the one that a layer of a network gets.

The kinds themselves are in :mod:`twofold.masks.kinds`; `hardware/` has the same walks in Verilog.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int64, UInt

from twofold.masks.draw import Mask, blocks_of, check_group
from twofold.masks.gf2 import Polynomial, primitive_count, primitive_polynomials
from twofold.masks.kinds import (
    ColumnByColumn,
    IndexGenerator,
    KernelCounter,
    Modulo,
    MultiplyShift,
    Reduction,
    Rejection,
    Repeating,
)
from twofold.masks.lfsr import LFSR, Form

__all__ = [
    "GENERATORS",
    "LAYERS_PER_RUN",
    "LAYER_POLYNOMIAL",
    "generator_of",
    "layer_generator",
    "layer_polynomial",
    "layer_seed",
    "lfsr_mask",
    "reduce_states",
]

LAYER_POLYNOMIAL = Polynomial.parse("x^31+x^3+1")
"""The register of all layers where positions may repeat; one XOR gate, and a prime period, 2^31 - 1."""

LAYERS_PER_RUN = 1440
"""Seeds set aside for one run; with this number 128 layers of 16 runs lie at least 1/2600 of the period
apart, close to the 1/2048 that is possible; with the round 1024 it would be 1/9400."""

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 (sqrt(5) - 1) / 2
_POLYNOMIALS_BETWEEN_RUNS = 41


GENERATORS: dict[str, type[IndexGenerator]] = {
    kind.kind: kind for kind in (Rejection, ColumnByColumn, KernelCounter, MultiplyShift, Modulo)
}
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
    """Map states of a register of `degree` bits to positions in [0, size), see :mod:`twofold.masks.kinds`.

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
    if not issubclass(kind := generator_of(reduction), Repeating):
        there = ", ".join(name for name, other in GENERATORS.items() if issubclass(other, Repeating))
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


def layer_generator(
    kind: Reduction, shape: Sequence[int], layer: int, run: int = 0, group: int = 1
) -> IndexGenerator:
    """The index generator of a layer in a run; all layers' and runs' lie far apart.

    Where no position repeats each layer has a register of its own, as short as its shape allows, see
    `layer_polynomial`; otherwise all have `LAYER_POLYNOMIAL`. Each starts at its `layer_seed`.

    Examples
    --------
    >>> print(layer_generator("multiply-shift", (16, 3, 3, 3), layer=0))
    x^31+x^3+1 (fibonacci, multiply-shift) from seed 1311145148
    >>> print(layer_generator("rejection", (16, 3, 3, 3), layer=0))
    x^9+x^4+1 (fibonacci, rejection) from seed 373
    >>> print(layer_generator("column", (16, 3, 3, 3), layer=0, group=4))
    x^5+x^2+1 (fibonacci, column) from seed 24, 4 columns an index
    """
    return _layer_generator(kind, tuple(shape), layer, run, check_group(group))


@lru_cache(maxsize=1 << 12)  # as for seeds, below; a generator never changes
def _layer_generator(
    kind: Reduction, shape: tuple[int, ...], layer: int, run: int, group: int
) -> IndexGenerator:
    degree = generator_of(kind).least_degree(blocks_of(shape, group))
    polynomial = layer_polynomial(degree, layer, run) if degree else LAYER_POLYNOMIAL
    return generator_of(kind)(polynomial, layer_seed(polynomial, layer, run), group=group)


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
def layer_polynomial(degree: int, layer: int, run: int = 0) -> Polynomial:
    """The primitive polynomial of a layer's register where no position repeats.

    Of the `gf2.primitive_polynomials` of the degree that it needs each layer takes the next, since two
    registers of one polynomial are arcs of one cycle and overlap by anything. Further runs begin 41
    polynomials on. Where a degree has fewer than there are layers of it, they begin again, with other seeds.

    Examples
    --------
    >>> [str(layer_polynomial(degree=9, layer=layer)) for layer in (0, 1)]
    ['x^9+x^4+1', 'x^9+x^6+x^4+x^3+1']
    """
    number = (layer + _POLYNOMIALS_BETWEEN_RUNS * run) % primitive_count(degree)
    return next(primitive_polynomials(degree, start=number))
