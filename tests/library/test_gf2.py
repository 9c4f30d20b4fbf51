"""Polynomials against galois, and against multiplying by x until 1 comes back."""

import galois
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import totient

from twofold.masks.gf2 import (
    Polynomial,
    least_divisor,
    primitive_count,
    primitive_polynomial,
    primitive_polynomials,
)

# polynomials


@given(st.integers(2, 2**65 - 1))
def test_text_and_exponents_round_trip(mask):
    polynomial = Polynomial(mask)
    assert Polynomial.parse(str(polynomial)) == polynomial
    assert Polynomial.parse(polynomial.exponents) == polynomial
    assert Polynomial.parse(polynomial) is polynomial


def test_text_of_the_slide():
    polynomial = Polynomial.parse("X^9 + X^4 + 1")
    assert (polynomial.mask, polynomial.exponents, str(polynomial)) == (0b1000010001, (9, 4, 0), "x^9+x^4+1")
    assert str(polynomial.reciprocal()) == "x^9+x^5+1"
    assert polynomial.reciprocal().reciprocal() == polynomial
    assert str(Polynomial.parse([3, 1, 0])) == "x^3+x+1"


@pytest.mark.parametrize("degree", range(1, 10))
def test_primitivity_agrees_with_galois_for_every_polynomial(degree):
    ours = {mask for mask in range(1 << degree, 2 << degree) if Polynomial(mask).is_primitive()}
    assert ours == {int(p) for p in galois.primitive_polys(2, degree)}


@pytest.mark.parametrize("degree", [*range(2, 25), 31, 32, 33, 48, 63, 64])
def test_primitive_polynomial_of_a_degree(degree):
    polynomial = primitive_polynomial(degree)
    assert galois.Poly.Int(polynomial.mask).is_primitive()
    assert polynomial.reciprocal().is_primitive()
    assert polynomial.order() == 2**degree - 1
    assert len(polynomial.exponents) in (3, 5)


@pytest.mark.parametrize("degree", range(2, 11))
def test_primitive_polynomial_is_the_first_of_its_degree(degree):
    primitive = [Polynomial(int(p)) for p in galois.primitive_polys(2, degree)]
    assert primitive_polynomial(degree) == min(primitive, key=lambda p: (len(p.exponents), p.mask))


def test_named_polynomials():
    assert str(primitive_polynomial(9)) == "x^9+x^4+1"
    assert str(primitive_polynomial(31)) == "x^31+x^3+1"


@pytest.mark.parametrize("mask", range(0b11, 1 << 9, 2))
def test_order_by_multiplying_until_one(mask):
    polynomial, power, order = Polynomial(mask), 1, 0
    while power != 1 or order == 0:
        power, order = power << 1, order + 1
        if power >> polynomial.degree:
            power ^= mask
    assert polynomial.order() == order


@pytest.mark.parametrize(
    ("text", "order"),
    [("x^4+x^2+1", 6), ("x^64+1", 64), ("x^63+x^7+1", 511), ("x^64+x^3+x+1", 153720521656098270)],
)
def test_order_of_non_primitive_polynomials(text, order):
    polynomial = Polynomial.parse(text)
    assert not polynomial.is_primitive()
    assert polynomial.order() == order
    assert polynomial.power_of_x(order) == 1


# arithmetic modulo P


@given(st.integers(2, 2**33 - 1), st.integers(0, 2**40), st.integers(0, 2**40))
def test_product_against_galois(mask, a, b):
    expected = galois.Poly.Int(a) * galois.Poly.Int(b) % galois.Poly.Int(mask)
    assert Polynomial(mask).product(a, b) == int(expected)


@given(st.integers(1, 2**32 - 1), st.integers(-(2**80), 2**80), st.integers(-(2**80), 2**80))
def test_powers_of_x_multiply_by_adding_exponents(half, a, b):
    polynomial = Polynomial(2 * half + 1)
    product = polynomial.product(polynomial.power_of_x(a), polynomial.power_of_x(b))
    assert polynomial.power_of_x(a + b) == product
    assert polynomial.power_of_x(1) == polynomial.product(0b10, 1)


@pytest.mark.parametrize(("number", "least"), [(1, 1), (12, 4), (360, 8), (2**61 - 1, 2**61 - 1)])
def test_least_divisor_of_walks_that_return_after_it(number, least):
    assert least_divisor(number, lambda steps: steps % least == 0) == least


# bad input


@pytest.mark.parametrize(
    "source",
    ["", "x^9+", "9,4,0", "x^9-x^4", "y^3+1", "2x+1", "x^-1+1", "x^9+x^4+x^4", "1", "x^65+1", "x^3+1+1"],
)
def test_bad_text_is_quoted(source):
    with pytest.raises(ValueError, match=r"allowed are|once") as error:
        Polynomial.parse(source)
    assert repr(source) in str(error.value)


@pytest.mark.parametrize("exponents", [[], [0], [3, 3, 0], [65, 0], [4, -1]])
def test_bad_exponents_are_refused(exponents):
    with pytest.raises(ValueError, match="polynomial"):
        Polynomial.parse(exponents)


@pytest.mark.parametrize("mask", [-3, 0, 1, 2**65])
def test_bad_mask_is_refused(mask):
    with pytest.raises(ValueError, match=rf"{mask} .*degrees 1 to 64"):
        Polynomial(mask)


@pytest.mark.parametrize("degree", [-1, 0, 1, 65])
def test_primitive_polynomials_of_other_degrees_are_refused(degree):
    for ask in (primitive_polynomial, primitive_count, lambda n: next(primitive_polynomials(n))):
        with pytest.raises(ValueError, match=rf"degree {degree} .*2 to 64"):
            ask(degree)


def test_without_a_constant_term_x_has_no_inverse():
    polynomial = Polynomial.parse("x^4+x")
    with pytest.raises(ValueError, match="no constant term"):
        polynomial.order()
    with pytest.raises(ValueError, match=r"x\^4\+x has no constant term, so x\^-3"):
        polynomial.power_of_x(-3)
    assert polynomial.power_of_x(4) == 0b10


def test_numbers_that_are_no_masks_and_no_periods_are_refused():
    with pytest.raises(ValueError, match="masks 3 and -1"):
        Polynomial(0b111).product(3, -1)
    with pytest.raises(ValueError, match="number 0 "):
        least_divisor(0, bool)


@pytest.mark.parametrize("degree", range(2, 65))
def test_the_count_of_primitive_polynomials_is_that_of_eulers_totient(degree):
    assert primitive_count(degree) == totient(2**degree - 1) // degree


@pytest.mark.parametrize("degree", range(11, 21))
def test_primitive_polynomials_of_longer_degrees_are_so_for_galois(degree):
    there = primitive_count(degree)
    found = [next(primitive_polynomials(degree, start)) for start in (1, 41, there // 7)]
    assert len(set(found)) == 3
    assert all(p.degree == degree and galois.Poly.Int(p.mask).is_primitive() for p in found)


@pytest.mark.parametrize("degree", range(2, 11))
def test_primitive_polynomials_are_all_of_them_and_each_once(degree):
    found = list(primitive_polynomials(degree))
    assert len(found) == len(set(found)) == totient(2**degree - 1) // degree == primitive_count(degree)
    assert all(p.degree == degree and p.is_primitive() for p in found)
    assert {p.mask for p in found} == {int(p) for p in galois.primitive_polys(2, degree)}
    assert found[0] == primitive_polynomial(degree)
    for start in (len(found) // 2, len(found) - 1, len(found)):
        assert list(primitive_polynomials(degree, start)) == found[start:]
