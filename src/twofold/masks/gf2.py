"""Polynomials over GF(2): the order of x, primitivity, arithmetic modulo one of them.

A polynomial is an integer, bit i the coefficient of x^i; addition is XOR. Primitivity is decided by factoring
`2^n - 1`, not by a table of taps.

Source: Golomb, "Shift Register Sequences" (1967), for the order of x.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations, count, islice

__all__ = [
    "MAX_DEGREE",
    "Polynomial",
    "least_divisor",
    "primitive_count",
    "primitive_polynomial",
    "primitive_polynomials",
]


MAX_DEGREE = 64
"""The highest degree of a polynomial, so that a register's state fits into one 64-bit word."""


_TRIED = 1 << 16
"""Divisors below are tried one by one: what is left of a number below 2^32 is a prime then."""


_TERM = re.compile(r"[xX]\^(\d{1,4})|([xX])|1")


@dataclass(frozen=True)
class Polynomial:
    """A polynomial over GF(2) of degree 1..64.

    Parameters
    ----------
    mask : int
        Bit i is the coefficient of x^i.

    Raises
    ------
    ValueError
        The mask's degree is outside 1..64.

    Examples
    --------
    >>> polynomial = Polynomial.parse("x^9+x^4+1")
    >>> polynomial.degree, polynomial.exponents, polynomial.mask
    (9, (9, 4, 0), 529)
    >>> polynomial.is_primitive(), polynomial.order()
    (True, 511)
    >>> str(polynomial.reciprocal())
    'x^9+x^5+1'
    """

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
        TypeError
            For a number alone: it could be a degree, or the bits of all terms.
        ValueError
            For any other text, a repeated term, or a degree outside 1..64.

        Examples
        --------
        >>> Polynomial.parse("x^4+x+1") == Polynomial.parse([4, 1, 0])
        True
        """
        if isinstance(source, Polynomial):
            return source
        if not isinstance(source, Iterable):
            raise TypeError(
                f"polynomial is {source!r}; give its powers, 'x^4+x+1' or (4, 1, 0), or Polynomial(0b10011)"
            )
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

    def power_of_x(self, exponent: int) -> int:
        """`x^exponent mod P` as a mask, in O(log abs(exponent)) products.

        Raises
        ------
        ValueError
            For a negative exponent without a constant term: x then has no inverse.

        Examples
        --------
        >>> Polynomial.parse("x^4+x+1").power_of_x(4)  # x^4 = x + 1
        3
        """
        if exponent < 0 and not self.mask & 1:
            raise ValueError(f"{self} has no constant term, so x^{exponent} does not exist; add the term 1")
        return _power_of_x(exponent, self.mask)

    def product(self, a: int, b: int) -> int:
        """`a * b mod P` of two masks, of any degree; a negative one is a ``ValueError``."""
        if min(a, b) < 0:
            raise ValueError(f"masks {a} and {b} have no product; allowed are 0 and above")
        return _remainder(_product(a, b), self.mask)

    def __str__(self) -> str:
        return "+".join({0: "1", 1: "x"}.get(e, f"x^{e}") for e in self.exponents)


@lru_cache
def primitive_polynomial(degree: int) -> Polynomial:
    """The first primitive polynomial of a degree in 2..64: fewest terms, then smallest mask.

    Few terms mean few XOR gates; a small mask means low taps, and so long leaps of a register's sequences.

    Raises
    ------
    ValueError
        For a degree outside 2..64.

    Examples
    --------
    >>> str(primitive_polynomial(9)), str(primitive_polynomial(8))
    ('x^9+x^4+1', 'x^8+x^4+x^3+x^2+1')
    """
    _check_degree(degree)
    for inner_terms in (1, 3):  # an even number of terms is divisible by x+1; up to degree 64 five suffice
        inner = combinations(range(1, degree), inner_terms)
        for mask in sorted(1 << degree | sum(1 << e for e in exponents) | 1 for exponents in inner):
            if _is_primitive(mask):
                return Polynomial(mask)
    raise AssertionError(f"degree {degree} has no primitive polynomial of five terms")  # never reached


def _check_degree(degree: int) -> int:
    if not 2 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree {degree!r} is not supported; allowed are 2 to {MAX_DEGREE}")
    return degree


def primitive_count(degree: int) -> int:
    """How many primitive polynomials a degree in 2..64 has: ``totient(2^n - 1) / n``.

    Raises
    ------
    ValueError
        For another degree.

    Examples
    --------
    >>> primitive_count(9)
    48
    """
    full = 2 ** _check_degree(degree) - 1
    for prime in _prime_factors(full):
        full -= full // prime
    return full // degree


def primitive_polynomials(degree: int, start: int = 0) -> Iterator[Polynomial]:
    """All primitive polynomials of a degree in 2..64, each once, the first being `primitive_polynomial`.

    Where a is a root of that first one, the others are the minimal polynomials of a^j, one for each
    cyclotomic coset {j, 2j, 4j, ...} whose j has no divisor in common with 2^n - 1. The cosets come in the
    order of their least members 1, 3, 5, ...: below 2^(n/2) every odd j is the least of its own, so the
    first polynomials cost no search. Those before number `start`, from 0, are passed over, which takes a
    small part of what it takes to make them.

    Source: Golomb, "Shift Register Sequences" (1967), chapter 4, on decimation.

    Raises
    ------
    ValueError
        For a degree outside 2..64, when the first one is asked for.

    Examples
    --------
    >>> [str(polynomial) for polynomial in primitive_polynomials(4)]
    ['x^4+x+1', 'x^4+x^3+1']
    """
    first, full = primitive_polynomial(degree), 2**degree - 1
    leaders = (
        j
        for j in count(1, 2)
        if math.gcd(j, full) == 1 and j == min((j << i | j >> (degree - i)) & full for i in range(degree))
    )
    for j in islice(leaders, start, primitive_count(degree)):
        yield _minimal_polynomial(j, first)


def _minimal_polynomial(power: int, modulus: Polynomial) -> Polynomial:
    """The product of (x + a^(j 2^i)) over a conjugate each, in the field that a root a of `modulus` spans."""
    root, coefficients = modulus.power_of_x(power), [1]  # the highest power first
    for _ in range(modulus.degree):
        shifted = [modulus.product(root, c) for c in coefficients]
        coefficients = [a ^ b for a, b in zip([*coefficients, 0], [0, *shifted], strict=True)]
        root = modulus.product(root, root)
    return Polynomial(int("".join(map(str, coefficients)), 2))


def least_divisor(number: int, returns: Callable[[int], bool]) -> int:
    """The period of a walk, found among the divisors of a number that is a multiple of it.

    Parameters
    ----------
    number : int
        A multiple of the period, 1 or more; anything less is a ``ValueError``.
    returns : callable
        Whether the walk is back where it began after so many steps.

    Examples
    --------
    >>> least_divisor(12, lambda steps: pow(5, steps, 13) == 1)  # 5^4 = 625 = 1 mod 13
    4
    """
    if number < 1:
        raise ValueError(f"number {number} is no multiple of a period; allowed are 1 and above")
    for prime in _prime_factors(number):
        while number % prime == 0 and returns(number // prime):
            number //= prime
    return number


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
    """`x^exponent mod P` by squaring, for P with constant term 1 where the exponent is negative."""
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


def _is_one(modulus: int, exponent: int) -> bool:
    return _power_of_x(exponent, modulus) == 1


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
        orders.append(least_divisor(field_order, partial(_is_one, modulus)))
    return math.lcm(*orders) << (max(multiplicity for _, multiplicity in factors) - 1).bit_length()


@lru_cache(maxsize=1 << 12)
def _prime_factors(number: int) -> tuple[int, ...]:
    """Each prime once. Small ones are tried, which settles all numbers below 2^32."""
    found, left, divisor = [], number, 2
    while divisor * divisor <= left and divisor < _TRIED:
        if left % divisor == 0:
            found.append(divisor)
            while left % divisor == 0:
                left //= divisor
        divisor += 1 if divisor == 2 else 2
    if left == 1 or divisor * divisor > left:
        return (*found, left) if left > 1 else tuple(found)
    from sympy import factorint  # slow to import, and seldom needed

    return (*found, *factorint(left))


def _text_exponents(text: str) -> list[int]:
    exponents = []
    for term in text.replace(" ", "").split("+"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"polynomial {text!r} has a term {term!r}; allowed are sums like 'x^9+x^4+1'")
        exponents.append(int(match[1]) if match[1] else int(match[2] is not None))
    return exponents
