"""Linear feedback shift registers over GF(2): primitive polynomials, whole sequences at once, jumps.

Convention: `P(x) = x^n + sum_{i<n} c_i x^i` is the *characteristic* polynomial of the stream,
`s[t+n] = XOR_{i<n} c_i s[t+i]`. A Fibonacci state is the window `sum_i s[t+i] 2^i` (the oldest bit, the
output, at the LSB; it shifts right). A Galois state is `x^t * seed mod P` (it shifts left; the output is the
MSB). The reciprocal polynomial gives the stream read backwards: `scipy.signal.max_len_seq` names the same
polynomial as we do, `galois.FLFSR` and `galois.GLFSR` take the *feedback* polynomial, its reciprocal.

Source: slide "LFSR Indexing Generator (LIG) Block", with `P.P. = X^9 + X^4 + 1`; Golomb, "Shift Register
Sequences" (1967), for the order of x and the recurrence.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt, UInt8

__all__ = ["LFSR", "Form", "Polynomial", "primitive_polynomial", "states_of_seeds"]

Form = Literal["fibonacci", "galois"]

MAX_DEGREE = 64
_TERM = re.compile(r"[xX]\^(\d{1,4})|([xX])|1")


@dataclass(frozen=True)
class Polynomial:
    """A polynomial over GF(2) of degree 1..64; bit i of `mask` is the coefficient of x^i."""

    mask: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", operator.index(self.mask))
        if not 2 <= self.mask < 2 << MAX_DEGREE:
            raise ValueError(f"polynomial mask {self.mask} is outside degrees 1 to {MAX_DEGREE}")

    @classmethod
    def parse(cls, source: "Polynomial | str | Iterable[int]") -> "Polynomial":
        """Read a sum of powers ("x^9+x^4+1") or the exponents of its terms (9, 4, 0); pass a polynomial on.

        Raises
        ------
        ValueError
            For any other text, a repeated term, or a degree outside 1..64.
        """
        if isinstance(source, Polynomial):
            return source
        terms = _text_exponents(source) if isinstance(source, str) else [operator.index(e) for e in source]
        if not terms or min(terms) < 0 or not 1 <= max(terms) <= MAX_DEGREE:
            raise ValueError(
                f"polynomial {source!r} has powers {terms}; allowed are degrees 1 to {MAX_DEGREE}"
            )
        if len(set(terms)) < len(terms):
            raise ValueError(f"polynomial {source!r} repeats a term, which cancels over GF(2); give it once")
        return cls(sum(1 << e for e in terms))

    @property
    def degree(self) -> int:
        """The highest exponent."""
        return self.mask.bit_length() - 1

    @property
    def exponents(self) -> tuple[int, ...]:
        """The exponents of all terms, highest first."""
        return tuple(e for e in range(self.degree, -1, -1) if self.mask >> e & 1)

    def reciprocal(self) -> "Polynomial":
        """`x^n P(1/x)`, the coefficients in reverse order: its stream is this one's, read backwards."""
        return Polynomial(sum(1 << (self.degree - e) for e in self.exponents))

    def is_primitive(self) -> bool:
        """Whether x has order 2^n - 1 modulo P; decided by mathematics, not by a table of taps."""
        return _is_primitive(self.mask)

    def order(self) -> int:
        """The least e > 0 with `x^e = 1 mod P`, the longest period of a register with this polynomial.

        Raises
        ------
        ValueError
            Without a constant term: x then has no inverse, and no power of it is 1.
        """
        if not self.mask & 1:
            raise ValueError(f"{self} has no constant term, so no power of x is 1 modulo it; add the term 1")
        return _order(self.mask)

    def __str__(self) -> str:
        return "+".join({0: "1", 1: "x"}.get(e, f"x^{e}") for e in self.exponents)


@lru_cache
def primitive_polynomial(degree: int) -> Polynomial:
    """The first primitive polynomial of a degree in 2..64: fewest terms, then smallest mask.

    Few terms mean few XOR gates; a small mask means low taps, and so long leaps in :class:`LFSR`.
    """
    if not 2 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree {degree!r} is not supported; allowed are 2 to {MAX_DEGREE}")
    for inner_terms in (1, 3):  # an even number of terms is divisible by x+1; up to degree 64 five suffice
        inner = combinations(range(1, degree), inner_terms)
        for mask in sorted(1 << degree | sum(1 << e for e in exponents) | 1 for exponents in inner):
            if _is_primitive(mask):
                return Polynomial(mask)
    raise AssertionError(f"degree {degree} has no primitive polynomial of five terms")  # never reached


@dataclass(frozen=True)
class LFSR:
    """A linear feedback shift register: whole sequences as arrays, and jumps in logarithmic time.

    Parameters
    ----------
    polynomial : Polynomial or str
        Characteristic polynomial of degree 2..64 with constant term 1; text is parsed to a Polynomial.
    seed : int
        The first state, 1 to 2^n - 1. State 0 is a fixed point, reached from no other state, and refused.
    form : "fibonacci" or "galois"
        See the convention at the top of the module.
    require_primitive : bool
        Refuse a polynomial that does not give the full period 2^n - 1.
    """

    polynomial: Polynomial | str
    seed: int = 1
    form: Form = "fibonacci"
    require_primitive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "polynomial", Polynomial.parse(self.polynomial))
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
        """Clocks until the seed comes back: 2^n - 1 where the polynomial is primitive."""
        period = self.polynomial.order()
        if not self.polynomial.is_primitive():  # this seed may lie on a shorter cycle
            period = _least_divisor(period, lambda steps: self.jump(steps).seed == self.seed)
        return period

    def bits(self, count: int) -> UInt8[np.ndarray, "count"]:
        """The first `count` output bits, 0 or 1; beyond the period they repeat."""
        out = np.empty(_check_count(count), np.uint8)
        output = 0 if self.form == "fibonacci" else self.degree - 1
        return _leap(out, [state >> output & 1 for state in self._first_states()], self.polynomial)

    def states(self, count: int) -> UInt[np.ndarray, "count"]:
        """The first `count` state words, the seed first; uint32 up to degree 32, uint64 above."""
        out = np.empty(_check_count(count), _word_type(self.degree))
        return _leap(out, self._first_states(), self.polynomial)

    def jump(self, steps: int) -> "LFSR":
        """The register `steps` clocks later (earlier where negative), in O(log abs(steps)) products modulo P.

        With `r(x) = x^steps mod P`, a Galois state becomes `r * state mod P`, and a stream obeys
        `s[t+steps] = XOR_i r_i s[t+i]`, which gives each bit of a Fibonacci window.
        """
        if steps == 0:
            return self
        modulus = self.polynomial.mask
        power = _power_of_x(operator.index(steps), modulus)
        if self.form == "galois":
            return replace(self, seed=_remainder(_product(power, self.seed), modulus))
        stream = self.seed
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
    """
    _check_register(polynomial, form)
    if seeds.size:
        _check_seeds(polynomial, int(seeds.min()), int(seeds.max()))
    seeds = seeds.astype(_word_type(polynomial.degree), copy=False)
    out = np.empty((_check_count(count), len(seeds)), seeds.dtype)
    return _leap(out, _first_states(polynomial, seeds, form), polynomial)


def _leap(out: np.ndarray, first: list, polynomial: Polynomial) -> np.ndarray:
    """Fill `out` along its first axis from its first n entries, in leaps of doubling length.

    Over GF(2) `P(x)^(2^k) = P(x^(2^k))`, so the recurrence holds at stride 2^k as well:
    `s[t + n*2^k] = XOR_i c_i s[t + i*2^k]`. Bits obey it, and so do state words, being linear in them.
    A leap is an XOR of slices of `(n - highest tap) * 2^k` entries: long, and so few, where the taps are low.
    """
    degree, *taps = polynomial.exponents
    filled, stride = min(degree, len(out)), 1
    out[:filled] = first[:filled]
    while filled < len(out):
        while 2 * stride * degree <= filled:
            stride *= 2
        start, length = filled - stride * degree, min((degree - taps[0]) * stride, len(out) - filled)
        target = out[filled : filled + length]
        sources = [out[start + tap * stride :][:length] for tap in taps]
        np.bitwise_xor(sources[0], sources[1] if len(taps) > 1 else 0, out=target)
        for source in sources[2:]:
            np.bitwise_xor(target, source, out=target)
        filled += length
    return out


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


def _product(a: int, b: int) -> int:
    """Carry-less product of two polynomials as integers, one shift for each term of `b`."""
    result = 0
    while b:
        result ^= a * (b & -b)
        b &= b - 1
    return result


def _remainder(value: int, modulus: int) -> int:
    """`value mod P`: the part from degree n up folds down, all at once, because `x^n = P - x^n mod P`."""
    degree = modulus.bit_length() - 1
    low_mask = modulus ^ 1 << degree
    while high := value >> degree:
        value ^= high << degree ^ _product(high, low_mask)
    return value


def _power_of_x(exponent: int, modulus: int) -> int:
    """`x^exponent mod P` by squaring, for P with constant term 1."""
    base = 2 if exponent >= 0 else modulus >> 1  # x * (P >> 1) = P - 1 = 1 mod P: the inverse of x
    result = 1
    for bit in f"{abs(exponent):b}":
        result = _remainder(int(f"{result:b}", 4), modulus)  # a square over GF(2): the same digits, in base 4
        if bit == "1":
            result = _remainder(_product(result, base), modulus)
    return result


@lru_cache(maxsize=1 << 12)
def _is_primitive(mask: int) -> bool:
    full = 2 ** (mask.bit_length() - 1) - 1
    # Order 2^n - 1 makes every nonzero residue a power of x, hence invertible: such a P is irreducible.
    return (
        mask & 1 == 1
        and _power_of_x(full, mask) == 1
        and all(_power_of_x(full // prime, mask) != 1 for prime in _prime_factors(full))
    )


@lru_cache(maxsize=1 << 12)
def _order(mask: int) -> int:
    """lcm of the irreducible factors' orders, times the least power of two not below their multiplicities."""
    if _is_primitive(mask):
        return 2 ** (mask.bit_length() - 1) - 1
    from sympy import Poly, Symbol  # slow to import, and seldom needed

    _, factors = Poly([int(c) for c in f"{mask:b}"], Symbol("x"), modulus=2).factor_list()
    orders = []
    for factor, _ in factors:
        modulus = int("".join(str(c % 2) for c in factor.all_coeffs()), 2)
        field_order = 2 ** factor.degree() - 1
        orders.append(_least_divisor(field_order, lambda e, modulus=modulus: _power_of_x(e, modulus) == 1))
    return math.lcm(*orders) << (max(multiplicity for _, multiplicity in factors) - 1).bit_length()


def _least_divisor(number: int, returns: Callable[[int], bool]) -> int:
    """The least divisor of `number`, itself a multiple of the period sought, after which a walk returns."""
    for prime in _prime_factors(number):
        while number % prime == 0 and returns(number // prime):
            number //= prime
    return number


@lru_cache(maxsize=1 << 12)
def _prime_factors(number: int) -> tuple[int, ...]:
    from sympy import factorint  # slow to import

    return tuple(factorint(number))


def _text_exponents(text: str) -> list[int]:
    exponents = []
    for term in text.replace(" ", "").split("+"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"polynomial {text!r} has a term {term!r}; allowed are sums like 'x^9+x^4+1'")
        exponents.append(int(match[1]) if match[1] else int(match[2] is not None))
    return exponents


def _check_register(polynomial: Polynomial, form: str) -> None:
    if form not in get_args(Form):
        raise ValueError(f"form {form!r} is unknown; allowed are {', '.join(get_args(Form))}")
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
