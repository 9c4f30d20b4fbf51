"""Positions against whole numbers, and the places of the layers' seeds by enumeration."""

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.masks.generator import LAYER_POLYNOMIAL, LAYERS_PER_RUN, layer_seed, reduce_states
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.lfsr import LFSR


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


def test_layer_seeds_lie_far_apart_on_the_cycle():
    """Golden steps of a register small enough to find each seed's place by enumeration."""
    polynomial = primitive_polynomial(20)
    place = np.empty(2**20, np.int64)
    place[LFSR(polynomial).states(2**20 - 1)] = np.arange(2**20 - 1)
    seeds = [layer_seed(polynomial, layer, run) for run in range(16) for layer in range(128)]
    places = np.sort(place[seeds])
    gaps = np.diff(places, append=places[0] + 2**20 - 1)
    assert gaps.min() >= (2**20 - 1) // 2600


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_seed(LAYER_POLYNOMIAL, LAYERS_PER_RUN), "layer 1440 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, -1), "layer -1 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, 0, -2), "run -2 is negative"),
        (lambda: reduce_states(np.ones(1, np.uint32), 0, 9), "size 0"),
    ],
)
def test_bad_input_is_quoted(call, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        call()
