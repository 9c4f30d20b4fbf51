"""The tables of the figures that move, against the library functions that a reader would call instead."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.book.examples import code_tables, overlap_by_distance, register_tables, worked_example
from companion.book.glue import explorer
from twofold import LFSR, Polynomial, lfsr_mask, load_cell_table
from twofold.codes.encodings import ENCODINGS
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import primitive_polynomial

REGISTERS = register_tables()
CELLS = load_cell_table()
CODES = {bits: code_tables(CELLS, bits) for bits in (4, 8)}


def windows(bits: str, degree: int) -> list[int]:
    """The states of a cycle, as the docstring says that its text is to be read."""
    return [sum(int(bits[(t + i) % len(bits)]) << i for i in range(degree)) for t in range(len(bits))]


@pytest.mark.parametrize("degree", REGISTERS["degrees"])
def test_cycles_of_every_polynomial_part_the_nonzero_states(degree):
    for mask, cycles in REGISTERS["degrees"][degree]["cycles"].items():
        states = [state for bits in cycles for state in windows(bits, degree)]
        assert sorted(states) == list(range(1, 2**degree))
        assert (len(cycles) == 1) == Polynomial(mask).is_primitive()


@given(st.data())
def test_cycles_are_the_states_that_the_register_walks_through(data):
    degree = data.draw(st.sampled_from(list(REGISTERS["degrees"])))
    mask = data.draw(st.sampled_from(list(REGISTERS["degrees"][degree]["cycles"])))
    seed = data.draw(st.integers(1, 2**degree - 1))
    (walk,) = [
        states
        for bits in REGISTERS["degrees"][degree]["cycles"][mask]
        if seed in (states := windows(bits, degree))
    ]
    register = LFSR(Polynomial(mask), seed, require_primitive=False)
    at = walk.index(seed)
    assert register.period == len(walk)
    assert register.states(len(walk)).tolist() == walk[at:] + walk[:at]


def test_positions_are_those_of_the_index_generators():
    for size, entry in REGISTERS["sizes"].items():
        assert size % entry["columns"] == 0
        for degree, positions in entry["positions"]["multiply-shift"].items():
            states = np.arange(2**degree, dtype=np.uint32)
            assert positions == reduce_states(states, size, degree).tolist()


@given(st.data())
def test_skipped_states_are_those_of_the_walk_by_rejection(data):
    size = data.draw(st.sampled_from(list(REGISTERS["sizes"])))
    degree = data.draw(st.integers(size.bit_length(), 9))
    register = LFSR(primitive_polynomial(degree), data.draw(st.integers(1, 2**degree - 1)))
    mask = lfsr_mask((size,), 1.0, register.polynomial, register.seed, reduction="rejection")
    positions = REGISTERS["sizes"][size]["positions"]["rejection"][degree]
    walked = [positions[state] for state in register.states(mask.clocks)]
    assert [position for position in walked if position >= 0] == mask.order.tolist()


def test_layers_of_one_polynomial_have_anything_in_common():
    frame = overlap_by_distance(2304, 0.5, steps=8)
    one, each = (own.set_index("distance").overlap for _, own in frame.groupby("polynomials", sort=False))
    assert frame.polynomials.unique().tolist() == ["one for both layers", "one each"]
    assert (one[0.0], one[1.0]) == (1.0, 1.0)
    assert one.min() < 0.05
    assert each.between(0.42, 0.58).all()


def test_default_taps_are_primitive_and_the_slides_register_is_there():
    assert all(Polynomial(entry["primitive"]).is_primitive() for entry in REGISTERS["degrees"].values())
    assert str(Polynomial(REGISTERS["degrees"][9]["primitive"])) == "x^9+x^4+1"
    assert 300 in REGISTERS["sizes"]


@pytest.mark.parametrize("bits", CODES)
@given(st.data())
def test_codes_are_those_of_the_worked_example(bits, data):
    weight, code = data.draw(st.sampled_from(CODES[bits]["weights"]))
    for encoding in ENCODINGS:
        example = worked_example(weight, 1.0, bits, encoding, CELLS)
        shown = CODES[bits]["codes"][code][encoding]
        assert set(example.code) == {code}
        assert shown["cells"] == list(example.bits)
        assert shown["ones"] == "".join(example.bits).count("1")
        assert shown["energy_pj"] == pytest.approx(1e12 * example.energy_j.sum(), abs=1e-6)


def test_tables_in_a_page_cannot_end_its_script():
    html = explorer("thing", {"text": "</script><b>"}).data
    content = html.split('id="thing-tables">')[1].split("</script>")[0]
    assert json.loads(content) == {"text": "</script><b>"}
