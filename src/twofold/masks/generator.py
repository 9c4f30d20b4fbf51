"""The LFSR index generator (LIG): from a register's state to a position, and where each layer starts.

Source: slide "LFSR Indexing Generator (LIG) Block", example `P.P. = X^9 + X^4 + 1; M = 300`.
"""

import operator
from functools import lru_cache
from itertools import islice
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64, UInt

from twofold.masks.gf2 import Polynomial, primitive_count, primitive_polynomials
from twofold.masks.lfsr import LFSR, Form

__all__ = [
    "LAYERS_PER_RUN",
    "LAYER_POLYNOMIAL",
    "Reduction",
    "layer_polynomial",
    "layer_seed",
    "reduce_states",
]


Reduction = Literal["multiply-shift", "modulo", "rejection"]


LAYER_POLYNOMIAL = Polynomial.parse("x^31+x^3+1")
"""The register of the layers: one XOR gate, and a period, 2^31 - 1, that is prime."""


LAYERS_PER_RUN = 1440
"""Seeds set aside for one run: with this number 128 layers of 16 runs lie at least 1/2600 of the period
apart, close to the 1/2048 that is possible; with the round 1024 it would be 1/9400."""


_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 (sqrt(5) - 1) / 2


def reduce_states(
    states: UInt[np.ndarray, "*shape"], size: int, degree: int, reduction: Reduction = "multiply-shift"
) -> Int64[np.ndarray, "*shape"]:
    """Map the states of a register of `degree` bits to positions in [0, size).

    "rejection" is `state - 1`, and states above the size are left out, so that no position comes twice
    within a period. The others map every state and repeat positions: "multiply-shift" is
    `(state * size) >> degree`, a multiplier and no divider; "modulo" is `state % size`.

    Raises
    ------
    ValueError
        Where `state * size` would not fit into 64 bits, for an unknown reduction, or for a size below 1.
    """
    if not 0 < size < 2**63:
        raise ValueError(f"size {size} cannot be indexed; allowed are 1 to 2^63-1")
    if reduction == "rejection":
        return states[states <= size].astype(np.int64) - 1
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

    Neighbors on the cycle give nearly the same mask, so seeds must not be counted 1, 2, 3. Seed number
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


_POLYNOMIALS_BETWEEN_RUNS = 41


@lru_cache(maxsize=1 << 12)
def layer_polynomial(size: int, layer: int, run: int = 0) -> Polynomial:
    """The register of a layer whose positions are found by rejection: the shortest that reaches them all.

    Its degree is `ceil(log2(size + 1))`, and of the `gf2.primitive_polynomials` of that degree each layer
    takes the next, since two registers of one polynomial are arcs of one cycle and overlap by anything.
    Further runs begin 41 polynomials on. Where a degree has fewer than there are layers of it, they begin
    again, with other seeds.
    """
    degree = max(2, size.bit_length())
    number = (layer + _POLYNOMIALS_BETWEEN_RUNS * run) % primitive_count(degree)
    return next(islice(primitive_polynomials(degree), number, None))
