"""Index generators against a register clocked one state at a time; the layers' registers by enumeration."""

import math
from itertools import combinations

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.masks import LFSR, ColumnByColumn, KernelCounter, MultiplyShift, Polynomial, Rejection, lfsr_mask
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
from twofold.masks.gf2 import primitive_count, primitive_polynomial, primitive_polynomials
from twofold.masks.measures import pair_coverage
from twofold.masks.pairs import nested_mask, pair_mask

FORMS = ("fibonacci", "galois")
REPEATING = ("multiply-shift", "modulo")
NEVER_TWICE = ("rejection", "column", "counter")
ALLOWED = ", ".join(GENERATORS)


# ---- the walk ----


def clocked(state: int, polynomial: Polynomial, form: str, spliced: bool = False) -> int:
    """The register one clock later, straight from the definition of each form; or with 0 spliced in."""
    mask = polynomial.mask
    degree = mask.bit_length() - 1
    if form == "fibonacci":
        feedback = (state & mask & (1 << degree) - 1).bit_count() & 1
        if spliced and state >> 1 == 0:
            feedback ^= 1
        return state >> 1 | feedback << (degree - 1)
    return state << 1 ^ mask if state >> (degree - 1) else state << 1


def blocks(generator, shape) -> tuple[int, int, int]:
    """Groups of columns, rows, and places of a kernel."""
    return math.ceil(shape[0] / generator.group), math.prod(shape[1:]), math.prod(shape[2:])


def pointed_at(generator, shape, kept_of_a_column):
    """The block (group, row) of each clock, or None where the state is skipped; without an end."""
    groups, rows, places = blocks(generator, shape)
    polynomial, size = generator.polynomial, groups * rows
    degree, state, counter, column, found = polynomial.degree, generator.seed, 0, 0, 0
    outer = polynomial.reciprocal()
    if groups >= 2**degree:
        outer = primitive_polynomial(next(n for n in range(degree, 99) if groups < 2**n))
    scramble = int(format(generator.seed, f"0{degree}b")[::-1], 2)
    scramble |= (1 << outer.degree) - (1 << degree)
    while True:
        if generator.kind == "rejection":
            position = state - 1 if state <= size else None
        elif generator.kind == "multiply-shift":
            position = state * size >> degree
        elif generator.kind == "modulo":
            position = state % size
        elif generator.kind == "counter":
            position = state * places + counter if state < size // places else None
        else:
            row = state ^ scramble & (1 << degree) - 1
            position = column * rows + row if row < rows else None
        yield position
        state = clocked(state, polynomial, generator.form, generator.kind in ("column", "counter"))
        counter = (counter + 1) % places
        if generator.kind == "column" and position is not None:
            found += 1
            if found == kept_of_a_column:
                column, found, scramble = column + 1, 0, clocked(scramble, outer, "fibonacci")


def walk(generator, shape, density) -> tuple[list[int], int, int]:
    """Flat positions of the kept weights in the order of a memory, clocks, indices."""
    groups, rows, _ = blocks(generator, shape)
    kept_of_a_column = round(density * rows)
    kept = groups * kept_of_a_column if generator.kind == "column" else round(density * groups * rows)
    seen, clocks = {}, 0
    for position in pointed_at(generator, shape, kept_of_a_column):
        clocks += 1
        if position is not None:
            assert position not in seen or generator.kind in REPEATING
            seen.setdefault(position)
        if len(seen) == kept:
            break
    order = []
    for block in seen:
        for column in range(shape[0]):
            if column // generator.group == block // rows:
                order.append(column * rows + block % rows)
    return order, clocks, kept


def refusals(generator, shape, density) -> list[str]:
    """What a draw may be refused for, from the definitions."""
    (groups, rows, places), states = blocks(generator, shape), 2**generator.polynomial.degree
    size, told = groups * rows, []
    kept = round(density * (rows if generator.kind == "column" else size))
    if kept == 0:
        told.append("which is none; allowed are")
    if generator.kind == "counter" and places % 2 == 0:
        told.append(f"a kernel of {places} places")
    reach = {
        "rejection": (states - 1, size),
        "column": (states, rows),
        "counter": (states, size // places),
    }.get(generator.kind)
    if reach and reach[0] < reach[1]:
        told.append(f"{generator.polynomial} has {reach[0]} states, too few for {reach[1]} ")
    if generator.kind in REPEATING and kept > states - 1:
        told.append(f"but {kept} are to be kept")
    return told


SHAPES = [(1,), (3,), (300,), (7, 5), (9, 1), (4, 3, 3, 3), (5, 4, 3), (3, 2, 2, 2), (6, 16, 1, 1)]


@settings(max_examples=250)
@given(
    kind=st.sampled_from(sorted(GENERATORS)),
    degree=st.integers(2, 12),
    shape=st.sampled_from(SHAPES),
    density=st.floats(0.001, 1) | st.sampled_from([0.1, 0.5, 1.0]),
    group=st.integers(1, 11),
    data=st.data(),
)
def test_every_kind_draws_what_its_register_points_at(kind, degree, shape, density, group, data):
    """Some groups divide the columns and some do not, and some are larger than all of them."""
    form = "fibonacci" if kind in ("column", "counter") else data.draw(st.sampled_from(FORMS))
    seed = data.draw(st.integers(1, 2**degree - 1))
    number = data.draw(st.integers(0, primitive_count(degree) - 1))
    generator = GENERATORS[kind](next(primitive_polynomials(degree, number)), seed, form, group)
    if told := refusals(generator, shape, density):
        with pytest.raises(ValueError) as refused:
            generator.draw(shape, density)
        assert any(why in str(refused.value) for why in told)
        return
    order, clocks, indices = walk(generator, shape, density)
    mask = generator.draw(shape, density)
    assert mask.order.tolist() == order
    assert (mask.clocks, mask.indices) == (clocks, indices)
    assert mask.keep.flatten().nonzero().flatten().tolist() == sorted(order)
    assert tuple(mask.keep.shape) == shape
    if group == 1:
        again = lfsr_mask(shape, density, generator.polynomial, seed, form, kind)
        assert torch.equal(again.order, mask.order)


def shortest(kind, shape, group=1) -> int:
    groups, rows, places = -(-shape[0] // group), math.prod(shape[1:]), math.prod(shape[2:])
    return max(2, {
        "rejection": math.ceil(math.log2(groups * rows + 1)),
        "column": math.ceil(math.log2(rows)),
        "counter": math.ceil(math.log2(groups * rows / places)),
    }[kind])  # fmt: skip


@pytest.mark.parametrize("kind", NEVER_TWICE)
@pytest.mark.parametrize("shape", [(1,), (3, 1), (2, 7), (3, 8), (5, 3, 1, 1), (4, 1, 3), (3, 5, 3)])
def test_over_a_full_period_every_position_comes_once_from_any_seed_by_any_polynomial(kind, shape):
    size, degree = math.prod(shape), shortest(kind, shape)
    period = {"rejection": 2**degree - 1, "column": shape[0] * 2**degree}.get(
        kind, math.prod(shape[2:]) * 2**degree
    )
    for polynomial in primitive_polynomials(degree):
        for seed in range(1, 2**degree):
            generator = GENERATORS[kind](polynomial, seed)
            mask = generator.draw(shape, 1.0)
            assert mask.order.sort().values.tolist() == list(range(size))
            assert size <= mask.clocks <= period
            if seed % 5 == 1:
                assert (mask.order.tolist(), mask.clocks, mask.indices) == walk(generator, shape, 1.0)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(sorted(GENERATORS)),
    shape=st.tuples(
        st.integers(1, 70), st.integers(1, 30), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3])
    ),
    density=st.floats(0.02, 1),
    group=st.sampled_from([1, 2, 3, 8, 16, 64, 100]),
    layer=st.integers(0, 30),
    run=st.integers(0, 3),
)
def test_a_layers_mask_is_exact_shared_and_never_twice(kind, shape, density, group, layer, run):
    generator = layer_generator(kind, shape, layer, run, group)
    groups, rows = -(-shape[0] // group), math.prod(shape[1:])
    per_group = round(density * rows) if kind == "column" else None
    indices = groups * per_group if kind == "column" else round(density * groups * rows)
    if indices == 0:
        with pytest.raises(ValueError, match=r"keeps .*, which is none; allowed are those above "):
            generator.draw(shape, density)
        return
    mask = generator.draw(shape, density)
    order = mask.order.tolist()
    assert len(set(order)) == len(order) == mask.kept == int(mask.keep.sum())
    assert mask.keep.flatten().nonzero().flatten().tolist() == sorted(order)
    columns = mask.keep.reshape(shape[0], rows)
    for first in range(0, shape[0], group):
        shared = columns[first : first + group]
        assert (shared == shared[0]).all()
        assert per_group in (None, int(shared[0].sum()))
    assert int(columns[::group].sum()) == mask.indices == indices
    if kind in NEVER_TWICE:
        assert generator.polynomial.degree == shortest(kind, shape, group)
        # A clock each, and one for each state beyond the last position.
        period = 2**generator.polynomial.degree
        skipped = {
            "rejection": period - 1 - groups * rows,
            "column": groups * (period - rows),
            "counter": (period * shape[2] * shape[3]) - groups * rows,
        }
        assert indices <= mask.clocks <= indices + skipped[kind]


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_columns_that_share_are_those_of_the_narrower_layer(kind):
    """The group's walk is that of a layer with a column for each group."""
    alone = GENERATORS[kind]("x^9+x^4+1", 77).draw((3, 4, 3, 3), 0.4)
    shared = GENERATORS[kind]("x^9+x^4+1", 77, group=4).draw((10, 4, 3, 3), 0.4)
    assert torch.equal(shared.keep[::4], alone.keep)
    assert (shared.clocks, shared.indices) == (alone.clocks, alone.kept)
    assert torch.equal(shared.order.unique(), shared.keep.flatten().nonzero()[:, 0])
    all_share = GENERATORS[kind]("x^9+x^4+1", 77, group=10).draw((10, 4, 3, 3), 0.4)
    more = GENERATORS[kind]("x^9+x^4+1", 77, group=64).draw((10, 4, 3, 3), 0.4)
    assert torch.equal(all_share.order, more.order)


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
    assert str(Rejection("x^9+x^4+1", 7, group=8)).endswith("from seed 7, 8 columns an index")
    assert Rejection("x^9+x^4+1", 7, group=8) != text
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


@pytest.mark.parametrize("kind", REPEATING)
def test_layers_that_may_see_a_position_twice_share_one_register(kind):
    shapes = ((1,), (16, 40), (64, 64, 3, 3))
    own = [layer_generator(kind, shape, layer, 3, group=2) for layer, shape in enumerate(shapes)]
    assert own == [
        GENERATORS[kind](LAYER_POLYNOMIAL, layer_seed(LAYER_POLYNOMIAL, layer, 3), group=2)
        for layer in range(3)
    ]


@pytest.mark.parametrize(
    "kind, shape, group, degree",
    [
        *(
            ("rejection", (size,), 1, degree)
            for size, degree in ((1, 2), (3, 2), (4, 3), (511, 9), (512, 10))
        ),
        ("rejection", (16, 3, 3, 3), 1, 9),
        ("rejection", (64, 64, 3, 3), 1, 16),
        ("rejection", (64, 64, 3, 3), 8, 13),  # 8 groups of 576 rows
        ("rejection", (64, 64, 3, 3), 64, 10),
        ("rejection", (65, 64, 3, 3), 64, 11),  # and one column is left
        ("column", (16, 3, 3, 3), 1, 5),
        ("column", (64, 64, 3, 3), 1, 10),
        ("column", (64, 64, 3, 3), 8, 10),
        ("column", (10, 64), 1, 6),  # every one of 2^6 states a row
        ("column", (10, 65), 1, 7),
        ("column", (10, 1), 1, 2),
        ("counter", (64, 64, 3, 3), 1, 12),
        ("counter", (64, 64, 3, 3), 16, 8),
        ("counter", (10, 64), 1, 10),  # a kernel of one place
        ("counter", (1, 1, 5, 5), 1, 2),
    ],
)
def test_a_layer_has_the_shortest_register_that_reaches_it(kind, shape, group, degree):
    generator = layer_generator(kind, shape, 2, 1, group)
    assert generator.polynomial == layer_polynomial(degree, 2, 1)
    assert generator.polynomial.degree == degree
    assert generator.seed == layer_seed(generator.polynomial, 2, 1)
    assert generator.draw(shape, 1.0).indices == -(-shape[0] // group) * math.prod(shape[1:])
    if degree > 2:
        with pytest.raises(ValueError, match=rf"too few for .*; take a .* of degree {degree} or more"):
            GENERATORS[kind](primitive_polynomial(degree - 1), group=group).draw(shape, 1.0)


def test_no_two_layers_or_runs_share_a_polynomial_while_there_are_others():
    there = primitive_count(9)
    assert len({layer_polynomial(9, layer) for layer in range(there)}) == there == 48
    assert layer_polynomial(9, there) == layer_polynomial(9, 0)  # then they begin again,
    shape = (16, 3, 3, 3)
    assert len({layer_generator("rejection", shape, layer) for layer in range(2 * there)}) == 2 * there
    runs = [{layer_polynomial(16, layer, run) for layer in range(20)} for run in range(3)]
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
        (("x^9+x^4+1", 1, "fibonacci", 0), "group is 0; allowed are whole numbers, 1"),
        (("x^9+x^4+1", 1, "fibonacci", -8), "group is -8; allowed"),
        (("x^9+x^4+1", 1, "fibonacci", "all"), "group is 'all'; allowed"),
        (("x^9+x^4+1", 1, "fibonacci", 1.5), "group is 1.5; allowed"),
        (("x^9+x^4+1", 1, "fibonacci", True), "group is True; allowed"),
    ],
)
def test_registers_that_cannot_be_are_refused_at_once(kind, arguments, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        GENERATORS[kind](*arguments)


PASSED_OVER = "reduction 'rejection' passes states over; each has a position in multiply-shift, modulo"
UNKNOWN = f"reduction 'shift' is unknown; allowed are {ALLOWED}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_seed(LAYER_POLYNOMIAL, LAYERS_PER_RUN), "layer 1440 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, -1), "layer -1 .* 0 to 1439"),
        (lambda: layer_seed(LAYER_POLYNOMIAL, 0, -2), "run -2 is negative"),
        (lambda: layer_generator("rejection", (9,), 0, -2), "run -2 is negative"),
        (lambda: layer_generator("rejection", (9, 4), 0, 0, 0), "group is 0; allowed"),
        (lambda: layer_generator("column", (9, 0), 0), r"shape \(9, 0\) holds no weights"),
        (lambda: layer_polynomial(1, 0), "degree 1 is not supported; allowed are 2 to 64"),
        (lambda: layer_polynomial(432, 0), "degree 432 is not supported; allowed are 2 to 64"),
        (lambda: reduce_states(np.ones(1, np.uint32), 0, 9), "size 0"),
        (lambda: generator_of("shift"), UNKNOWN),
        (lambda: layer_generator("shift", (9,), 0), UNKNOWN),
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
        (
            lambda: ColumnByColumn("x^4+x+1").draw((40, 17), 0.5),
            r"x\^4\+x\+1 has 16 states, too few for 17 rows of a column; .* degree 5 or more",
        ),
        (
            lambda: KernelCounter("x^4+x+1").draw((17, 1, 3, 3), 0.5),
            r"x\^4\+x\+1 has 16 states, too few for 17 pairs of input and output; .* degree 5 or more",
        ),
        (
            lambda: KernelCounter("x^9+x^4+1").draw((4, 4, 2, 3), 0.5),
            "a kernel of 6 places .* kind 'counter' needs an odd number, as 3x3 is; take 'rejection' or",
        ),
        *(
            (
                lambda g=g: g("x^9+x^4+1", 1, "galois"),
                f"form 'galois' has no {g.kind} .*; allowed is fibonacci",
            )
            for g in (ColumnByColumn, KernelCounter)
        ),
        (
            lambda: ColumnByColumn("x^9+x^4+1").draw((50, 9), 0.05),  # of 450 positions 22, of 9 rows none
            "density 0.05 of 9 positions keeps 0.45, which is none; allowed are those above 0.5 / 9 = 0.0556",
        ),
        (
            lambda: Rejection("x^9+x^4+1", group=50).draw((50, 9), 0.05),  # all columns share 9 rows
            "density 0.05 of 9 positions keeps 0.45, which is none",
        ),
        *(
            (
                lambda g=g: g(primitive_polynomial(40)).draw((4, 3, 3, 3), 0.5),
                "has 2.40 states, and nearly all would be skipped; degree . reaches .* allowed are up to 24",
            )
            for g in (Rejection, ColumnByColumn, KernelCounter)
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
