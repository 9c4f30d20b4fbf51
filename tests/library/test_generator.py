"""Index generators against a register clocked one state at a time; the layers' registers by enumeration."""

import math
from itertools import combinations

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.masks import LFSR, MultiplyShift, Polynomial, Rejection, lfsr_mask
from twofold.masks.generator import (
    GENERATORS,
    LAYER_POLYNOMIAL,
    LAYERS_PER_RUN,
    Modulo,
    generator_of,
    layer_generator,
    layer_polynomial,
    layer_seed,
    reduce_states,
)
from twofold.masks.gf2 import primitive_count, primitive_polynomial
from twofold.masks.measures import pair_coverage
from twofold.masks.pairs import nested_mask, pair_mask

FORMS = ("fibonacci", "galois")


# ---- the walk ----


def clocked(state: int, polynomial: Polynomial, form: str) -> int:
    """The register one clock later, straight from the definition of each form."""
    degree, mask = polynomial.degree, polynomial.mask
    if form == "fibonacci":
        return state >> 1 | ((state & mask & (1 << degree) - 1).bit_count() & 1) << (degree - 1)
    return state << 1 ^ mask if state >> (degree - 1) else state << 1


POSITION = {
    "multiply-shift": lambda state, size, degree: state * size >> degree,
    "modulo": lambda state, size, degree: state % size,
    "rejection": lambda state, size, degree: state - 1 if state <= size else None,
}


def walk(generator, size: int, kept: int) -> tuple[list[int], int]:
    """Distinct positions in the order of their first sight, and the clocks that it took."""
    state, clocks, seen = generator.seed, 0, {}
    while len(seen) < kept:
        clocks += 1
        position = POSITION[generator.kind](state, size, generator.polynomial.degree)
        if position is not None:
            seen.setdefault(position)
        state = clocked(state, generator.polynomial, generator.form)
        assert clocks < 2**generator.polynomial.degree
    return list(seen), clocks


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(GENERATORS)),
    form=st.sampled_from(FORMS),
    degree=st.integers(2, 12),
    shape=st.sampled_from([(1,), (3,), (7, 5), (4, 3, 3, 3), (300,)]),
    density=st.floats(0.001, 1),
    data=st.data(),
)
def test_every_kind_draws_what_its_register_points_at(kind, form, degree, shape, density, data):
    size, period = math.prod(shape), 2**degree - 1
    kept = max(1, round(density * size))
    generator = GENERATORS[kind](primitive_polynomial(degree), data.draw(st.integers(1, period)), form)
    if (size if kind == "rejection" else kept) > period:
        told = f"too few for {size} positions" if kind == "rejection" else f"but {kept} are to be kept"
        with pytest.raises(ValueError, match=f"{period} .*{told}"):
            generator.draw(shape, density)
        return
    order, clocks = walk(generator, size, kept)
    mask = generator.draw(shape, density)
    assert mask.order.tolist() == order
    assert mask.keep.flatten().nonzero().flatten().tolist() == sorted(order)
    assert tuple(mask.keep.shape) == shape
    assert mask.clocks == clocks
    if kind == "rejection":
        # A clock each, and one for each state above the size: fewer than half where the degree is the least.
        assert clocks <= kept + period - size
    again = lfsr_mask(shape, density, generator.polynomial, generator.seed, form, kind)
    assert torch.equal(again.order, mask.order)


@given(st.integers(2, 64), st.data())
def test_reduce_states_equals_whole_numbers(degree, data):
    states = data.draw(st.lists(st.integers(0, 2**degree - 1), max_size=5))
    array = np.array(states, np.uint32 if degree <= 32 else np.uint64)
    size = data.draw(st.integers(1, 2**40))
    assert reduce_states(array, size, degree, "modulo").tolist() == [state % size for state in states]
    if degree + size.bit_length() <= 64:
        assert reduce_states(array, size, degree).tolist() == [state * size >> degree for state in states]
    else:
        with pytest.raises(ValueError, match=f"{degree}-bit states by size {size} .* 'modulo'"):
            reduce_states(array, size, degree)


def test_a_generator_is_its_register_and_its_kind():
    text, parsed = (Rejection(polynomial, 7) for polynomial in ("x^9+x^4+1", Polynomial.parse("x^9+x^4+1")))
    assert text == parsed
    assert len({text, parsed, Rejection("x^9+x^4+1", 7, "galois"), Modulo("x^9+x^4+1", 7)}) == 3
    assert text != MultiplyShift("x^9+x^4+1", 7)
    assert text.register == LFSR("x^9+x^4+1", 7)
    assert str(text) == "x^9+x^4+1 (fibonacci, rejection) from seed 7"
    assert {kind: generator_of(kind).kind for kind in GENERATORS} == {kind: kind for kind in GENERATORS}


# ---- a layer's own register ----


def test_layer_seeds_lie_far_apart_on_the_cycle():
    """Golden steps of a register small enough to find each seed's place by enumeration."""
    polynomial = primitive_polynomial(20)
    place = np.empty(2**20, np.int64)
    place[LFSR(polynomial).states(2**20 - 1)] = np.arange(2**20 - 1)
    seeds = [layer_seed(polynomial, layer, run) for run in range(16) for layer in range(128)]
    places = np.sort(place[seeds])
    gaps = np.diff(places, append=places[0] + 2**20 - 1)
    assert gaps.min() >= (2**20 - 1) // 2600


@pytest.mark.parametrize("kind", ["multiply-shift", "modulo"])
def test_layers_that_may_see_a_position_twice_share_one_register(kind):
    own = [layer_generator(kind, size, layer, 3) for layer, size in enumerate((1, 640, 36_864))]
    assert own == [
        GENERATORS[kind](LAYER_POLYNOMIAL, layer_seed(LAYER_POLYNOMIAL, layer, 3)) for layer in range(3)
    ]


@pytest.mark.parametrize(
    "size, degree", [(1, 2), (3, 2), (4, 3), (432, 9), (511, 9), (512, 10), (36_864, 16)]
)
def test_by_rejection_a_layer_has_the_shortest_register_that_reaches_it(size, degree):
    generator = layer_generator("rejection", size, 2, 1)
    assert generator.polynomial.degree == degree
    assert generator.seed == layer_seed(generator.polynomial, 2, 1)
    assert generator.draw((size,), 1.0).clocks <= 2**degree - 1


def test_by_rejection_no_two_layers_or_runs_share_a_polynomial_while_there_are_others():
    there = primitive_count(9)
    assert len({layer_polynomial(432, layer) for layer in range(there)}) == there == 48
    assert layer_polynomial(432, there) == layer_polynomial(432, 0)  # then they begin again,
    assert len({layer_generator("rejection", 432, layer) for layer in range(2 * there)}) == 2 * there
    runs = [{layer_polynomial(36_864, layer, run) for layer in range(20)} for run in range(3)]
    assert all(len(own) == 20 for own in runs)
    assert all(one.isdisjoint(other) for one, other in combinations(runs, 2))


# ---- bad input ----


@pytest.mark.parametrize("kind", sorted(GENERATORS))
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x^4+x^2+1",), r"x\^4\+x\^2\+1 is not primitive: x has order 6, not 15"),
        (("x+1",), r"x\+1 has degree 1.* 2 to 64"),
        (("nine",), "'nine'"),
        (("x^9+x^4+1", 0), "seed 0"),
        (("x^9+x^4+1", 512), "seed 512 .* 1 to 511"),
        (("x^9+x^4+1", 1, "F"), "form 'F' is unknown; allowed are fibonacci, galois"),
    ],
)
def test_registers_that_cannot_be_are_refused_at_once(kind, arguments, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        GENERATORS[kind](*arguments)


PASSED_OVER = "reduction 'rejection' passes states over; each has a position in multiply-shift, modulo"
UNKNOWN = "reduction 'shift' is unknown; allowed are multiply-shift, modulo, rejection"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_seed(LAYER_POLYNOMIAL, LAYERS_PER_RUN), "layer 1440 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, -1), "layer -1 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, 0, -2), "run -2 is negative"),
        (lambda: layer_generator("rejection", 9, 0, -2), "run -2 is negative"),
        (lambda: reduce_states(np.ones(1, np.uint32), 0, 9), "size 0"),
        (lambda: generator_of("shift"), UNKNOWN),
        (lambda: layer_generator("shift", 9, 0), UNKNOWN),
        (lambda: reduce_states(np.ones(1, np.uint32), 3, 9, "shift"), UNKNOWN),
        (lambda: reduce_states(np.ones(1, np.uint32), 3, 9, "rejection"), PASSED_OVER),
        (lambda: pair_mask((7, 3), 0.5, "x^5+x^2+1", "x^4+x+1", reduction="rejection"), PASSED_OVER),
        (lambda: nested_mask((7, 3), 0.5, "x^5+x^2+1", "x^4+x+1", reduction="rejection"), PASSED_OVER),
        (lambda: pair_coverage(7, 3, LFSR("x^3+x+1"), LFSR("x^2+x+1"), "rejection"), PASSED_OVER),
        (
            lambda: Rejection("x^9+x^4+1").draw((512,), 0.5),
            r"x\^9\+x\^4\+1 has 511 states, too few for 512 positions; .* degree 10 or more",
        ),
        (
            lambda: MultiplyShift("x^9+x^4+1").draw((40, 40), 0.5),
            "511 of 1600 positions .* 511 clocks, but 800 are to be kept; take a higher degree",
        ),
        (lambda: Modulo("x^9+x^4+1").draw((3, 0), 0.5), r"shape \(3, 0\) holds no weights"),
        *(
            (lambda g=g: g("x^9+x^4+1").draw((9,), 1.5), r"density 1.5 .*\(0, 1\]")
            for g in GENERATORS.values()
        ),
    ],
)
def test_bad_input_is_quoted(call, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        call()
