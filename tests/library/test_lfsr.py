"""Registers against exact mathematics, plain stepping, scipy and galois."""

import galois
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import max_len_seq

from twofold.masks.generator import layer_polynomial
from twofold.masks.gf2 import Polynomial, primitive_polynomial
from twofold.masks.lfsr import LFSR, states_of_seeds

FORMS = ("fibonacci", "galois")
# scipy's default taps (scipy.signal._max_len_seq), for a few widths with two and with four taps
SCIPY_TAPS = {2: [1], 3: [2], 5: [3], 8: [7, 6, 1], 9: [5], 12: [11, 10, 4], 17: [14]}


def step(state: int, polynomial: Polynomial, form: str) -> int:
    """One clock, straight from the definition of each form."""
    n, mask = polynomial.degree, polynomial.mask
    if form == "fibonacci":
        return state >> 1 | (sum(state >> i & mask >> i & 1 for i in range(n)) % 2) << (n - 1)
    return state << 1 ^ mask if state >> (n - 1) else state << 1


def stepped(register: LFSR, count: int) -> list[int]:
    states = [register.seed]
    while len(states) < count:
        states.append(step(states[-1], register.polynomial, register.form))
    return states


@st.composite
def registers(draw, max_degree: int = 64):
    degree = draw(st.integers(2, max_degree))
    inner = draw(st.integers(0, 2 ** (degree - 1) - 1))
    polynomial = Polynomial(1 << degree | inner << 1 | 1)
    seed = draw(st.integers(1, 2**degree - 1))
    return LFSR(polynomial, seed, draw(st.sampled_from(FORMS)), require_primitive=False)


# sequences


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("degree", range(2, 13))
def test_full_period_visits_every_state_but_zero_once(degree, form):
    for polynomial in (primitive_polynomial(degree), primitive_polynomial(degree).reciprocal()):
        register = LFSR(polynomial, seed=2, form=form)
        states = register.states(2**degree)
        assert register.period == 2**degree - 1
        assert np.array_equal(np.sort(states[:-1]), np.arange(1, 2**degree))
        assert states[-1] == states[0] == register.seed


@settings(deadline=None)
@given(registers(), st.integers(0, 400))
def test_states_and_bits_equal_plain_stepping(register, count):
    expected = stepped(register, max(count, 1))[:count]
    states, bits = register.states(count), register.bits(count)
    assert states.tolist() == expected
    assert states.dtype == (np.uint32 if register.degree <= 32 else np.uint64)
    output = 0 if register.form == "fibonacci" else register.degree - 1
    assert bits.tolist() == [state >> output & 1 for state in expected]
    assert bits.dtype == np.uint8


@pytest.mark.parametrize("degree", [19, 32, 33, 64])
@pytest.mark.parametrize("form", FORMS)
def test_long_sequences_obey_one_step_everywhere(degree, form):
    polynomial = primitive_polynomial(degree)
    register = LFSR(polynomial, 2**degree - 1, form)
    states = register.states(200_000)
    if form == "fibonacci":
        taps = [states >> e & 1 for e in polynomial.exponents[1:]]
        following = states >> 1 | np.bitwise_xor.reduce(taps) << (degree - 1)
    else:
        carry = states >> (degree - 1)
        following = (states & 2 ** (degree - 1) - 1) << 1 ^ carry * (polynomial.mask - 2**degree)
    assert np.array_equal(states[1:], following[:-1])


@settings(deadline=None)
@given(registers(max_degree=32), st.integers(1, 200))
def test_fibonacci_states_are_windows_of_the_bits(register, count):
    register = LFSR(register.polynomial, register.seed, require_primitive=False)
    bits = register.bits(count + register.degree - 1)
    windows = np.lib.stride_tricks.sliding_window_view(bits, register.degree)
    assert np.array_equal(windows @ (1 << np.arange(register.degree)), register.states(count))


@pytest.mark.parametrize("degree", [2, 5, 9, 12])
def test_reciprocal_polynomial_reads_backwards(degree):
    polynomial = primitive_polynomial(degree)
    backwards = LFSR(polynomial).bits(2**degree - 1)[::-1]
    seed = int(backwards[:degree] @ (1 << np.arange(degree)))
    assert np.array_equal(LFSR(polynomial.reciprocal(), seed).bits(2**degree - 1), backwards)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("degree", [7, 33])
def test_states_of_seeds_are_a_register_each(degree, form):
    polynomial = primitive_polynomial(degree)
    seeds = np.array([1, 2, 77, 2**degree - 1], np.uint64)
    columns = states_of_seeds(polynomial, seeds, 300, form)
    for column, seed in zip(columns.T, seeds.tolist(), strict=True):
        assert np.array_equal(column, LFSR(polynomial, seed, form).states(300))
    assert states_of_seeds(polynomial, seeds[:0], 5, form).shape == (5, 0)


# other libraries


@pytest.mark.parametrize(("degree", "taps"), SCIPY_TAPS.items())
def test_bits_against_scipy(degree, taps):
    """The same polynomial: scipy's taps are the inner exponents, its state holds the first bits."""
    state = np.arange(degree) % 3 == 0
    sequence, _ = max_len_seq(degree, state=state, taps=taps)
    register = LFSR(Polynomial.parse([degree, *taps, 0]), int(state @ (1 << np.arange(degree))))
    assert np.array_equal(register.bits(2**degree - 1), sequence)


@pytest.mark.slow  # galois compiles its registers anew in every process
@pytest.mark.parametrize("degree", [3, 8, 9, 16, 24])
def test_against_galois(degree):
    """The reciprocal: galois takes the feedback polynomial; its FLFSR shifts the last entry out."""
    polynomial = primitive_polynomial(degree)
    feedback = galois.Poly.Int(polynomial.reciprocal().mask)
    state = [int(i % 3 == 0) for i in range(degree)]
    fibonacci, galois_form = galois.FLFSR(feedback, state=state), galois.GLFSR(feedback, state=state)
    assert int(fibonacci.characteristic_poly) == polynomial.mask
    ascending = sum(bit << i for i, bit in enumerate(state))
    descending = sum(bit << i for i, bit in enumerate(reversed(state)))
    assert np.array_equal(LFSR(polynomial, descending).bits(500), fibonacci.step(500))
    register = LFSR(polynomial, ascending, "galois")
    assert np.array_equal(register.bits(500), galois_form.step(500))
    assert register.jump(500).seed == sum(int(bit) << i for i, bit in enumerate(galois_form.state))


# jumps


@settings(deadline=None)
@given(registers(), st.integers(0, 300))
def test_jump_equals_stepping(register, steps):
    assert register.jump(steps).seed == stepped(register, steps + 1)[-1]
    assert register.jump(steps).jump(-steps) == register


@settings(deadline=None)
@given(registers(), st.integers(-(2**200), 2**200), st.integers(-(2**200), 2**200))
def test_jumps_add_up(register, a, b):
    assert register.jump(a).jump(b) == register.jump(a + b)


@pytest.mark.parametrize("degree", [5, 9, 31, 64])
@pytest.mark.parametrize("form", FORMS)
def test_jump_equals_a_power_of_the_companion_matrix(degree, form):
    polynomial, steps = primitive_polynomial(degree), 2**70 + 12345
    columns = [step(1 << i, polynomial, form) for i in range(degree)]
    companion = galois.GF2([[column >> row & 1 for column in columns] for row in range(degree)])
    register = LFSR(polynomial, 0b10011 % 2**degree, form)
    state = galois.GF2([register.seed >> i & 1 for i in range(degree)])
    expected = np.linalg.matrix_power(companion, steps) @ state
    assert register.jump(steps).seed == sum(int(bit) << i for i, bit in enumerate(expected))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mask", [0b10101, 0b10001, 0b11111, 0b1111111, 0b101010101, 0b111111])
def test_period_of_each_cycle_of_a_non_primitive_polynomial(mask, form):
    polynomial = Polynomial(mask)
    for seed in range(1, 2**polynomial.degree):
        register = LFSR(polynomial, seed, form, require_primitive=False)
        state, period = step(seed, polynomial, form), 1
        while state != seed:
            state, period = step(state, polynomial, form), period + 1
        assert register.period == period


@pytest.mark.parametrize("text", ["x^4+x^2+1", "x^64+1", "x^63+x^7+1", "x^64+x^3+x+1"])
def test_jump_by_the_order_returns(text):
    register = LFSR(text, require_primitive=False)
    assert register.jump(register.polynomial.order()) == register


# bad input


def test_non_primitive_polynomial_names_its_order():
    with pytest.raises(ValueError, match=r"x\^4\+x\^2\+1 is not primitive: x has order 6, not 15 = 2\^4-1"):
        LFSR("x^4+x^2+1")
    assert LFSR("x^4+x^2+1", require_primitive=False).period == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": 0}, "seed 0 is a fixed point"),
        ({"seed": 512}, "seed 512 .* 1 to 511"),
        ({"seed": 1.5}, "seed 1.5 is no state; allowed are whole numbers"),
        ({"seed": -1}, "seed -1 .* 1 to 511"),
        ({"polynomial": "x+1"}, r"x\+1 has degree 1.* 2 to 64"),
        ({"polynomial": "x^4+x", "require_primitive": False}, r"x\^4\+x has no constant term"),
        ({"form": "Galois"}, "form 'Galois' is unknown; allowed are fibonacci, galois"),
    ],
)
def test_bad_registers_are_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        LFSR(**{"polynomial": "x^9+x^4+1"} | arguments)


def test_other_bad_input():
    register = LFSR("x^9+x^4+1")
    for sequence in (register.bits, register.states):
        with pytest.raises(ValueError, match="count -1 is negative"):
            sequence(-1)
    with pytest.raises(ValueError, match="seed 512 is no state"):
        states_of_seeds(register.polynomial, np.array([1, 512], np.uint64), 3)
    with pytest.raises(ValueError, match="seed 0"):
        states_of_seeds(register.polynomial, np.array([1, 0], np.uint64), 3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("degree", [9, 12, 16, 17, 20, 22])
def test_leaps_by_a_sparse_multiple_give_the_states_of_single_steps(degree, form):
    register = LFSR(layer_polynomial(degree, layer=16), seed=2**degree - 5, form=form)
    states = register.states(30_000)
    for start in (0, 255, 2047, 2048, 2049, 9_999, 29_000):  # around the ends of what is made in one way
        assert list(states[start : start + 9]) == [register.jump(start + i).seed for i in range(9)]
