"""Linear feedback shift registers over GF(2): whole sequences at once, jumps, many registers together.

Convention: `P(x) = x^n + sum_{i<n} c_i x^i` is the *characteristic* polynomial of the stream,
`s[t+n] = XOR_{i<n} c_i s[t+i]`. A Fibonacci state is the window `sum_i s[t+i] 2^i` (the oldest bit, the
output, at the LSB; it shifts right). A Galois state is `x^t * seed mod P` (it shifts left; the output is the
MSB). The reciprocal polynomial gives the stream read backwards: `scipy.signal.max_len_seq` names the same
polynomial as we do, `galois.FLFSR` and `galois.GLFSR` take the *feedback* polynomial, its reciprocal.

Source: slide "LFSR Indexing Generator (LIG) Block", with `P.P. = X^9 + X^4 + 1`; Golomb, "Shift Register
Sequences" (1967), for the recurrence.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt, UInt8

from twofold.masks.gf2 import MAX_DEGREE, Polynomial, least_divisor, primitive_polynomial

__all__ = ["LFSR", "Form", "states_of_seeds"]


Form = Literal["fibonacci", "galois"]
"""How a register is wired; ``fibonacci``, the taps feed one bit, or ``galois``, one bit feeds the taps."""

_FORMS = get_args(Form)


_SHORT = 256  # states that are made faster by plain leaps than a sparse multiple is looked for

_FIRST = 2048  # states of a register's basis that are kept: four bytes for each, and for each of the n seeds

_SEARCHED = 26  # bits of a register whose sparse multiples are looked for, among 4 * 2^(n/2) states or more


@dataclass(frozen=True)
class LFSR:
    """A linear feedback shift register: whole sequences as arrays, and jumps in logarithmic time.

    Parameters
    ----------
    polynomial : Polynomial or str
        Characteristic polynomial of degree 2..64 with constant term 1; text is parsed to a Polynomial.
    seed : int
        The first state, 1 to 2^n - 1. State 0 is a fixed point, reached from no other state, and refused.
    form : {"fibonacci", "galois"}
        See the convention at the top of the module.
    require_primitive : bool
        Refuse a polynomial that does not give the full period 2^n - 1.

    Raises
    ------
    ValueError
        For a polynomial of degree 1 or without constant term, one that is not primitive although
        `require_primitive`, a seed that is no state, or an unknown form.

    Examples
    --------
    >>> register = LFSR("x^4+x+1", seed=1)
    >>> register.degree, register.period
    (4, 15)
    >>> register.states(6)
    array([ 1,  8,  4,  2,  9, 12], dtype=uint32)
    >>> register.bits(6)
    array([1, 0, 0, 0, 1, 0], dtype=uint8)
    >>> register.jump(3).seed, register.jump(10**15).seed  # any number of clocks at once
    (2, 13)
    """

    polynomial: Polynomial | str
    seed: int = 1
    form: Form = "fibonacci"
    require_primitive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "polynomial", Polynomial.parse(self.polynomial))
        if not hasattr(self.seed, "__index__"):
            raise ValueError(f"seed {self.seed!r} is no state; allowed are whole numbers")
        object.__setattr__(self, "seed", operator.index(self.seed))
        _check_register(self.polynomial, self.form)
        _check_seeds(self.polynomial, self.seed, self.seed)
        if self.require_primitive and not self.polynomial.is_primitive():
            raise ValueError(
                f"{self.polynomial} is not primitive: x has order {self.polynomial.order()}, "
                f"not {2**self.degree - 1} = 2^{self.degree}-1; take {primitive_polynomial(self.degree)} "
                "or another primitive one, or accept a shorter period by require_primitive=False"
            )

    @property
    def degree(self) -> int:
        """Number of flip-flops n."""
        return self.polynomial.degree

    @property
    def period(self) -> int:
        """Clocks until the seed comes back, 2^n - 1 where the polynomial is primitive."""
        period = self.polynomial.order()
        if not self.polynomial.is_primitive():  # this seed may lie on a shorter cycle
            period = least_divisor(period, lambda steps: self.jump(steps).seed == self.seed)
        return period

    def bits(self, count: int) -> UInt8[np.ndarray, "count"]:
        """The first `count` output bits, 0 or 1; beyond the period they repeat."""
        out = np.empty(_check_count(count), np.uint8)
        output = 0 if self.form == "fibonacci" else self.degree - 1
        first = [state >> output & 1 for state in self._first_states()]
        return _leap(out, first, self.polynomial.exponents)

    def states(self, count: int) -> UInt[np.ndarray, "count"]:
        """The first `count` state words, the seed first; uint32 up to degree 32, uint64 above."""
        out = np.empty(_check_count(count), _word_type(self.degree))
        if count <= _SHORT or not (leaps := _leaps(self.polynomial, self.form)):
            return _leap(out, self._first_states(), self.polynomial.exponents)
        basis, relation = leaps
        filled = min(basis.shape[1], count)
        seeds = [bit for bit in range(self.degree) if self.seed >> bit & 1]
        np.bitwise_xor.reduce(basis[seeds, :filled], axis=0, out=out[:filled])
        if filled < relation[0]:
            filled = len(_leap(out[: relation[0]], None, self.polynomial.exponents, filled))
        return _leap(out, None, relation, filled)

    def de_bruijn_states(self) -> UInt[np.ndarray, "states"]:
        """All ``2^degree`` states from the seed on, once 0 is spliced in between 1 and ``2^(degree-1)``.

        In hardware: the bit that comes in is inverted while all bits but the output are 0. The bits are then
        a de Bruijn sequence, in which every window of `degree` bits comes once.

        Raises
        ------
        ValueError
            For a Galois register, or a polynomial that is not primitive.

        Examples
        --------
        >>> LFSR("x^3+x+1", seed=1).de_bruijn_states()
        array([1, 0, 4, 2, 5, 6, 7, 3], dtype=uint32)
        """
        if self.form != "fibonacci" or not self.polynomial.is_primitive():
            raise ValueError(
                f"{self.polynomial} ({self.form}) has no place for state 0; needed is the Fibonacci "
                "form of a primitive polynomial"
            )
        states = self.states(2**self.degree - 1)
        return np.insert(states, int(np.flatnonzero(states == 1)[0]) + 1, 0)

    def jump(self, steps: int) -> "LFSR":
        """The register `steps` clocks later (earlier where negative), in O(log abs(steps)) products modulo P.

        With `r(x) = x^steps mod P`, a Galois state becomes `r * state mod P`, and a stream obeys
        `s[t+steps] = XOR_i r_i s[t+i]`, which gives each bit of a Fibonacci window.
        """
        if steps == 0:
            return self
        power = self.polynomial.power_of_x(operator.index(steps))
        if self.form == "galois":
            return replace(self, seed=self.polynomial.product(power, self.seed))
        stream, modulus = self.seed, self.polynomial.mask
        for i in range(self.degree - 1):  # 2n - 1 output bits in one integer; x^n meets a bit not yet there
            stream |= ((stream >> i & modulus).bit_count() & 1) << (self.degree + i)
        seed = sum(((stream >> i & power).bit_count() & 1) << i for i in range(self.degree))
        return replace(self, seed=seed)

    def _first_states(self) -> list[int]:
        return _first_states(self.polynomial, self.seed, self.form)


def states_of_seeds(
    polynomial: Polynomial, seeds: UInt[np.ndarray, "registers"], count: int, form: Form = "fibonacci"
) -> UInt[np.ndarray, "count registers"]:
    """State words of many registers with one polynomial.

    Column j is `LFSR(polynomial, seeds[j], form).states(count)`; any P is taken, primitive or not.

    Raises
    ------
    ValueError
        For a polynomial of degree 1 or without constant term, a seed that is no state, an unknown form, or a
        negative count.

    Examples
    --------
    >>> seeds = np.array([1, 2, 3], dtype=np.uint64)
    >>> states_of_seeds(Polynomial.parse("x^4+x+1"), seeds, count=4)
    array([[ 1,  2,  3],
           [ 8,  9,  1],
           [ 4, 12,  8],
           [ 2,  6,  4]], dtype=uint32)
    """
    _check_register(polynomial, form)
    if seeds.size:
        _check_seeds(polynomial, int(seeds.min()), int(seeds.max()))
    seeds = seeds.astype(_word_type(polynomial.degree), copy=False)
    out = np.empty((_check_count(count), len(seeds)), seeds.dtype)
    return _leap(out, _first_states(polynomial, seeds, form), polynomial.exponents)


def _leap(out: np.ndarray, first: list | None, exponents: Sequence[int], filled: int = 0) -> np.ndarray:
    """Fill `out` along its first axis in leaps of doubling length, from `first` or from what is `filled`.

    Over GF(2) `P(x)^(2^k) = P(x^(2^k))`, so the recurrence holds at stride 2^k as well:
    `s[t + n*2^k] = XOR_i c_i s[t + i*2^k]`. Bits obey it, and so do state words, being linear in them.
    A leap is an XOR of slices of `(n - highest tap) * 2^k` entries: long, and so few, where the taps are low.
    """
    degree, *taps = exponents
    if first is not None:
        filled = min(degree, len(out))
        out[:filled] = first[:filled]
    stride = 1
    while filled < len(out):
        while 2 * stride * degree <= filled:
            stride *= 2
        start, length = filled - stride * degree, min((degree - taps[0]) * stride, len(out) - filled)
        target = out[filled : filled + length]
        sources = [out[start + tap * stride : start + tap * stride + length] for tap in taps]
        np.bitwise_xor(sources[0], sources[1] if len(taps) > 1 else 0, target)
        for source in sources[2:]:
            np.bitwise_xor(target, source, target)
        filled += length
    return out


@lru_cache(maxsize=64)
def _leaps(polynomial: Polynomial, form: Form) -> tuple[UInt[np.ndarray, "n first"], tuple[int, ...]] | None:
    """What takes a register through many states in few leaps: its first states, and a sparse multiple of P.

    States are linear in the seed: the first ones of any seed are an XOR of those of the seeds 1, 2, 4, ...
    And whatever P divides is a recurrence of its states. Among the multiples of degree m the trinomials
    `x^m + x^a + 1` are as many as state m is state a xor state 0, and by the birthday paradox some have m of
    about 2^(n/2). That with the longest leap in proportion is taken; it has two terms where P may have ten,
    whose highest is next to its degree. None where such an m would be long, or P is not primitive.
    """
    degree, *taps = polynomial.exponents
    if degree > _SEARCHED or not polynomial.is_primitive():
        return None
    seeds = np.array([1 << bit for bit in range(degree)], _word_type(degree))
    first = min(2**degree - 1, _FIRST)
    basis = states_of_seeds(polynomial, seeds, first, form).T.copy()
    if len(taps) == 2 and 2 * taps[0] <= degree:
        return basis, polynomial.exponents
    searched = max(first, 4 << (degree + 1) // 2)
    while searched < 2**degree:
        states = np.empty(searched, basis.dtype)
        states[:first] = basis[0]
        _leap(states, None, polynomial.exponents, first)
        _, left, right = np.intersect1d(
            states[1:], states[1:] ^ states[0], assume_unique=True, return_indices=True
        )
        if len(left):
            high, low = np.maximum(left, right) + 1, np.minimum(left, right) + 1
            best = int(np.argmin(low / high))
            return basis, (int(high[best]), int(low[best]), 0)
        searched *= 2
    return basis, polynomial.exponents


def _first_states(polynomial: Polynomial, state: int | np.ndarray, form: Form) -> list:
    """The first n states by plain clocking; `state` is an integer, or an array with one register an entry."""
    degree, *taps = polynomial.exponents
    low_mask = polynomial.mask ^ 1 << degree
    states = [state]
    for _ in range(degree - 1):
        if form == "fibonacci":
            feedback = state & 0
            for tap in taps:
                feedback = feedback ^ state >> tap
            state = state >> 1 | (feedback & 1) << (degree - 1)
        else:
            carry = state >> (degree - 1)
            state = (state ^ carry << (degree - 1)) << 1 ^ carry * low_mask
        states.append(state)
    return states


def _word_type(degree: int) -> type[np.unsignedinteger]:
    return np.uint32 if degree <= 32 else np.uint64


def _check_register(polynomial: Polynomial, form: str) -> None:
    if form not in _FORMS:
        raise ValueError(f"form {form!r} is unknown; allowed are {', '.join(_FORMS)}")
    if polynomial.degree < 2:
        raise ValueError(f"{polynomial} has degree 1; a register takes degrees 2 to {MAX_DEGREE}")
    if not polynomial.mask & 1:
        raise ValueError(f"{polynomial} has no constant term, so registers lose states; add the term 1")


def _check_seeds(polynomial: Polynomial, lowest: int, highest: int) -> None:
    if lowest == 0:
        raise ValueError(f"seed 0 is a fixed point of {polynomial}: it never moves; take any other state")
    full = 2**polynomial.degree - 1
    for seed in (lowest, highest):
        if not 0 < seed <= full:
            raise ValueError(f"seed {seed} is no state of {polynomial}; allowed are 1 to {full}")


def _check_count(count: int) -> int:
    if operator.index(count) < 0:
        raise ValueError(f"count {count} is negative; allowed are 0 and above")
    return count
