"""The index generators in Verilog against the library, clock by clock, and their committed cell counts."""

import runpy
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from companion.paths import hardware_dir
from companion.study.verilog import (
    Design,
    design_of,
    lig_model,
    lig_trace,
    model,
    simulate,
    simulate_lig,
)
from twofold.energy.index import NAND2_TRANSISTORS, TRANSISTORS, load_lig_cells
from twofold.masks import LFSR, ColumnByColumn, KernelCounter, Modulo, MultiplyShift, Polynomial, Rejection
from twofold.masks.draw import blocks_of
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.pairs import pair_mask


def needs(tool: str):
    return pytest.mark.skipif(
        shutil.which(tool) is None, reason=f"{tool} is not installed (Debian: apt install {tool})"
    )


# ---- reference walks, written from the definitions with plain integers ----


def next_state(state: int, exponents: list[int], form: str, de_bruijn: bool) -> int:
    """Fibonacci: shifts right, the XOR of the tapped bits comes in on top. Galois: times x, modulo P."""
    degree, *taps = exponents
    if form == "galois":
        state *= 2
        return state ^ sum(1 << power for power in exponents) if state >> degree else state
    incoming = sum(state >> tap for tap in taps) & 1
    if de_bruijn and state >> 1 == 0:
        incoming ^= 1
    return state >> 1 | incoming << (degree - 1)


def states_from(polynomial, seed: int, form: str = "fibonacci", de_bruijn: bool = False):
    exponents = polynomial if isinstance(polynomial, list) else Polynomial.parse(polynomial).exponents
    while True:
        yield seed
        seed = next_state(seed, exponents, form, de_bruijn)


def reference(generator, shape, kept: int) -> tuple[list[int], int]:
    """Flat positions of the groups' rows in the order handed on, and the clocks that it took."""
    columns, *rest = blocks_of(shape, generator.group)
    rows = int(np.prod(rest))
    found, clocks = [], 0
    if generator.kind == "rejection":
        for state in states_from(generator.polynomial, generator.seed, generator.form):
            clocks += 1
            if state <= columns * rows:
                found.append(state - 1)
            if len(found) == kept:
                return found, clocks
    register = states_from(generator.polynomial, generator.seed, de_bruijn=True)
    if generator.kind == "counter":
        places = int(np.prod(rest[1:]))
        while len(found) < kept:
            state = next(register)
            if state < columns * rest[0]:
                found.append(state * places + clocks % places)
            clocks += 1
        return found, clocks
    bits = generator.polynomial.degree
    outer_degree = max(bits, columns.bit_length())
    outer_seed = int(format(generator.seed, f"0{bits}b")[::-1].rjust(outer_degree, "1"), 2)
    exponents = [bits - power for power in reversed(Polynomial.parse(generator.polynomial).exponents)]
    if outer_degree > bits:
        exponents = primitive_polynomial(outer_degree).exponents
    outer = states_from(exponents, outer_seed)
    for column in range(columns):
        scramble = next(outer) % 2**bits
        own = []
        while len(own) < kept // columns:
            row = next(register) ^ scramble
            clocks += 1
            if row < rows:
                own.append(column * rows + row)
        found += own
    return found, clocks


def handed_on(frame, generator, shape) -> np.ndarray:
    """Flat positions of what the consumer took."""
    taken = frame[(frame.valid == 1) & (frame.ready == 1)]
    if generator.kind == "column":
        rows = np.prod(shape[1:])
        return (taken.column * rows + taken.row).to_numpy()
    if generator.kind == "counter":
        return (taken.pair * np.prod(shape[2:], dtype=int) + taken.place).to_numpy()
    return taken["index"].to_numpy()


# ---- generators that never repeat ----

# generator, shape, indices of a walk
EVERY = [
    (Rejection("x^9+x^4+1", 77), (300,), 300),
    (Rejection("x^9+x^5+1", 5, "galois"), (300,), 150),
    (Rejection("x^9+x^4+1"), (511,), 511),  # no state is skipped
    (Rejection("x^9+x^4+1"), (256,), 256),  # of all registers this one skips most
    (Rejection("x^2+x+1"), (2,), 1),
    (Rejection(primitive_polynomial(12), 3), (16, 16, 3, 3), 1152),
    (Rejection("x^8+x^4+x^3+x^2+1", 3, group=8), (16, 9, 3, 3), 80),  # two groups
    (ColumnByColumn("x^5+x^2+1", 3), (16, 27), 16 * 14),
    (ColumnByColumn("x^5+x^3+1", 31), (5, 32), 5 * 32),  # all rows, none skipped
    (ColumnByColumn("x^5+x^2+1", 4), (70, 17), 70),  # one row a column, and an outer register that is wider
    (ColumnByColumn("x^2+x+1"), (1, 3), 3),
    (ColumnByColumn(primitive_polynomial(8), 200, group=4), (18, 16, 3, 3), 5 * 100),  # the last group has 2
    (KernelCounter("x^8+x^4+x^3+x^2+1", 3), (16, 13, 3, 3), 13 * 16 * 9),
    (KernelCounter("x^6+x+1", 9), (8, 8, 3, 3), 288),  # none skipped
    (KernelCounter("x^6+x+1", 9), (8, 7), 56),  # a linear layer: no counter
    (KernelCounter("x^2+x+1", 2), (1, 3, 5, 5), 75),
    (KernelCounter("x^5+x^2+1", 8, group=4), (16, 8, 3, 3), 144),
]
NAMES = [f"{g.kind} {shape} {kept}" for g, shape, kept in EVERY]


@needs("iverilog")
@pytest.mark.parametrize("generator, shape, kept", EVERY, ids=NAMES)
def test_walks_are_the_library_s_and_the_definition_s(generator, shape, kept):
    """Three walks, one after the other; the consumer is always ready, so that clocks count too."""
    blocks = blocks_of(shape, generator.group)
    positions, clocks = reference(generator, shape, kept)
    mask = generator.draw(shape, kept / np.prod(blocks))
    assert (mask.indices, mask.clocks) == (kept, clocks)
    frame = simulate(design_of(generator, shape, kept), np.ones(3 * clocks, bool))
    np.testing.assert_array_equal(handed_on(frame, generator, blocks), 3 * positions)
    np.testing.assert_array_equal(np.flatnonzero(frame["last"] & frame.valid) + 1, clocks * np.arange(1, 4))
    first = mask.order.numpy()[:: generator.group] if shape[0] % generator.group == 0 else None
    if first is not None:  # of each group the first column
        column, row = np.divmod(np.array(positions), np.prod(shape[1:], dtype=int))
        np.testing.assert_array_equal(first, column * generator.group * np.prod(shape[1:], dtype=int) + row)


@needs("iverilog")
@pytest.mark.parametrize("generator, shape, kept", EVERY, ids=NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_and_resets_in_mid_walk_lose_nothing(generator, shape, kept, seed):
    random = np.random.default_rng(seed)
    clocks = 4 * generator.draw(shape, kept / np.prod(blocks_of(shape, generator.group))).clocks + 60
    ready, rst = random.random(clocks) < random.uniform(0.2, 0.9), random.random(clocks) < 2.5 / clocks
    rst[-40:-38] = True  # one at the least, two clocks long
    frame = simulate(design_of(generator, shape, kept), ready, rst)
    assert_frame_equal(frame, model(generator, shape, ready, rst, kept=kept), check_dtype=False)
    assert not frame.valid[rst].any()
    positions, _ = reference(generator, shape, kept)
    blocks = blocks_of(shape, generator.group)
    for part in np.split(np.arange(clocks), np.flatnonzero(rst)):  # each starts again from the seed
        walked = handed_on(frame.loc[part], generator, blocks)
        np.testing.assert_array_equal(walked, np.resize(positions, len(walked)))
    waits = ((frame.valid == 1) & (frame.ready == 0)).to_numpy()[:-1] & ~rst[1:]
    offered = frame.drop(columns="ready").to_numpy()
    np.testing.assert_array_equal(offered[1:][waits], offered[:-1][waits])  # what is offered stays


@needs("iverilog")
@pytest.mark.parametrize(
    "generator, shape",
    [
        (Rejection("x^9+x^4+1", 5), (300,)),
        (Rejection("x^9+x^4+1", 5, "galois"), (400,)),
        (KernelCounter("x^5+x^2+1", 9), (5, 5, 3, 3)),
    ],
)
def test_without_an_end_the_period_comes_again(generator, shape):
    size = np.prod(shape)
    period = generator.register.period if generator.kind == "rejection" else 9 * 32
    frame = simulate(design_of(generator, shape), np.ones(2 * period, bool))
    walked = handed_on(frame, generator, shape).reshape(2, size)
    assert (walked[0] == walked[1]).all() and sorted(walked[0]) == list(range(size))
    assert not frame["last"].any()


# ---- one block for all layers ----

LAYERS = [
    (Rejection("x^9+x^4+1", 77), (300,), 150),
    (Rejection("x^5+x^2+1", 3), (31,), 31),
    (Rejection("x^2+x+1", 2), (3,), 2),
    (Rejection("x^10+x^3+1", 512), (1000,), 1),
    (Rejection("x^10+x^3+1", 99), (1023,), 1000),
]


@needs("iverilog")
@pytest.mark.parametrize("generator, shape, kept", LAYERS)
def test_the_block_for_all_layers_does_what_each_layer_s_own_does(generator, shape, kept):
    random = np.random.default_rng(kept)
    ready, rst = random.random(2500) < 0.7, random.random(2500) < 0.001
    block = simulate(design_of(generator, shape, kept, block=10), ready, rst)
    own = simulate(design_of(generator, shape, kept), ready, rst)
    hit = own.valid == 1  # where nothing is offered, the wider wires say something else
    assert_frame_equal(block.drop(columns="index"), own.drop(columns="index"))
    assert (block["index"][hit] == own["index"][hit]).all()


@needs("iverilog")
@pytest.mark.parametrize("generator, shape, kept", EVERY, ids=NAMES)
def test_the_block_walks_as_the_library_does_under_stalls_and_resets(generator, shape, kept):
    """Registers of 2 to 12 bits in one of 12; walks of all positions are among them."""
    random = np.random.default_rng(kept)
    clocks = 4 * generator.draw(shape, kept / np.prod(blocks_of(shape, generator.group))).clocks + 60
    ready, rst = random.random(clocks) < 0.7, random.random(clocks) < 2.5 / clocks
    rst[-40:-38] = True
    design = design_of(generator, shape, kept, block=12)
    block = simulate(with_error(design), ready, rst)
    expected = model(generator, shape, ready, rst, kept=kept)
    outputs, hit = list(design.outputs), expected.valid == 1
    assert_frame_equal(
        block.drop(columns=[*outputs, "error"]), expected.drop(columns=outputs), check_dtype=False
    )
    assert_frame_equal(block[outputs][hit], expected[outputs][hit], check_dtype=False)
    assert not block.error.any()


def with_error(design: Design, **inputs: int) -> Design:
    """A block whose trace shows `error`, and some of whose inputs are other ones."""
    held = {name: (design.inputs[name][0], value) for name, value in inputs.items()}
    return replace(design, shown={**design.shown, "error": "dut.error"}, inputs={**design.inputs, **held})


BLOCKS = {
    "repeating": design_of(MultiplyShift("x^4+x+1", 9), (10,), 10, block=5),
    "few states": design_of(MultiplyShift("x^4+x+1", 9), (20,), 15, block=5),
    "modulo": design_of(Modulo("x^4+x+1", 9), (10,), 10, block=4),
    "raw": design_of(MultiplyShift("x^4+x+1", 9), (10,), 16, block=5, dedup=False),
    "rejection": design_of(Rejection("x^4+x+1", 9), (10,), 10, block=5),
    "column": design_of(ColumnByColumn("x^4+x+1", 9), (15, 10), 150, block=5),
    "counter": design_of(KernelCounter("x^4+x+1", 9), (2, 5, 3, 3), 90, block=5),
}

# block, inputs beyond the last ones that are right
OUT_OF_RANGE = [
    ("repeating", {"highest": 10}),
    ("repeating", {"seed": 0}),
    ("repeating", {"taps": 2}),
    ("repeating", {"size": 0, "highest": 0}),
    ("repeating", {"size": 1, "highest": 0}),
    ("repeating", {"size": 33}),
    ("few states", {"highest": 15}),
    ("modulo", {"size": 0, "highest": 0}),
    ("modulo", {"size": 17}),
    ("raw", {"seed": 0}),
    ("rejection", {"highest": 10}),
    ("rejection", {"highest": 14}),
    ("rejection", {"seed": 0}),
    ("rejection", {"seed": 16}),
    ("rejection", {"taps": 2}),
    ("rejection", {"taps": 17}),
    ("rejection", {"top": 0}),
    ("rejection", {"top": 1, "seed": 1, "taps": 1}),
    ("rejection", {"top": 10}),
    ("rejection", {"size": 16}),
    ("rejection", {"size": 1, "highest": 0}),
    ("column", {"highest_row": 10}),
    ("column", {"highest_column": 15}),
    ("column", {"seed": 0}),
    ("column", {"outer_seed": 0}),
    ("column", {"outer_seed": 16}),
    ("column", {"outer_top": 4, "outer_seed": 1, "outer_taps": 3, "highest_column": 0}),
    ("column", {"rows": 17}),
    ("column", {"rows": 1, "highest_row": 0}),
    ("counter", {"highest": 90}),
    ("counter", {"seed": 0}),
    ("counter", {"taps": 16}),
    ("counter", {"pairs": 17}),
    ("counter", {"pairs": 1, "highest": 8}),
]


@needs("iverilog")
@pytest.mark.parametrize("name, inputs", OUT_OF_RANGE)
def test_an_input_out_of_range_is_an_error_and_no_index_comes(name, inputs):
    frame = simulate(with_error(BLOCKS[name], **inputs), np.ones(200, bool), np.arange(200) % 90 < 2)
    assert (frame.error == 1).all()
    assert (frame.valid == 0).all()


@needs("iverilog")
@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_just_within_range_is_no_error_and_ends(name):
    frame = simulate(with_error(BLOCKS[name]), np.ones(400, bool))
    assert (frame.error == 0).all()
    assert (frame["last"] & frame.valid).any()


@needs("iverilog")
def test_an_index_that_a_narrower_wire_would_cut_is_an_error():
    design = design_of(Rejection("x^4+x+1"), (9,), 2, block=4)
    narrow = replace(design, parameters={**design.parameters, "WIDTH": 3})
    assert (simulate(with_error(narrow), np.ones(9, bool)).error == 1).all()
    assert (simulate(with_error(narrow, size=8), np.ones(9, bool)).error == 0).all()


@needs("iverilog")
@pytest.mark.parametrize("form", ["fibonacci", "galois"])
@pytest.mark.parametrize("kind", [MultiplyShift, Rejection])
def test_the_block_takes_either_form(kind, form):
    generator, ready = kind("x^9+x^4+1", 300, form), np.random.default_rng(3).random(1500) < 0.6
    block = simulate(design_of(generator, (300,), 120, dedup=False, block=9), ready)
    assert_frame_equal(block, simulate(design_of(generator, (300,), 120, dedup=False), ready))


@needs("iverilog")
def test_the_block_recognizes_repeats_after_it_has_cleared_all_its_scratch_bits():
    generator = MultiplyShift("x^9+x^4+1", 9)
    frame = simulate(design_of(generator, (300,), 150, block=9), np.ones(1500, bool))
    assert not frame.valid[:512].any()
    mask = generator.draw((300,), 0.5)
    np.testing.assert_array_equal(handed_on(frame, generator, (300,))[:300], np.tile(mask.order.numpy(), 2))


@pytest.mark.parametrize(
    "generator, shape, told",
    [
        (Rejection("x^9+x^4+1"), (300,), "block is 8: its input size has 8 bits, too few for 300"),
        (MultiplyShift("x^31+x^3+1"), (600,), "block is 8: its input size has 9 bits, too few for 600"),
        (
            ColumnByColumn("x^5+x^2+1"),
            (256, 27),
            "block is 8: its input outer_seed has 8 bits, too few for 496",
        ),
        (
            KernelCounter("x^9+x^4+1", 256),
            (200, 1, 3, 3),
            "block is 8: its input seed has 8 bits, too few for 256",
        ),
    ],
)
def test_a_layer_that_is_too_large_for_the_block_is_refused(generator, shape, told):
    with pytest.raises(ValueError, match=told):
        design_of(generator, shape, shape[0], block=8)


# ---- multiply-shift and modulo: positions repeat ----

CASES = [
    ("x^9+x^4+1", 1, 300, "multiply-shift", "fibonacci"),
    ("x^9+x^4+1", 77, 300, "modulo", "fibonacci"),
    ("x^9+x^5+1", 5, 144, "multiply-shift", "galois"),
    ("x^9+x^4+1", 200, 511, "modulo", "galois"),
    ("x^5+x^2+1", 3, 33, "modulo", "fibonacci"),  # more positions than states
    (str(primitive_polynomial(12)), 3, 2304, "multiply-shift", "fibonacci"),
]


@needs("iverilog")
@pytest.mark.parametrize("polynomial, seed, size, reduction, form", CASES)
@pytest.mark.parametrize("dedup", [True, False], ids=["first sights", "raw"])
def test_lig_walks_as_the_library_does_over_a_full_period(polynomial, seed, size, reduction, form, dedup):
    register = LFSR(polynomial, seed, form)
    clocks = register.period + 1
    frame = simulate_lig(
        clocks, polynomial=polynomial, seed=seed, size=size, reduction=reduction, form=form, dedup=dedup
    )
    states = register.states(clocks)
    positions = reduce_states(states, size, register.degree, reduction)
    np.testing.assert_array_equal(frame.state, states)
    np.testing.assert_array_equal(frame.raw, positions)
    handed = frame["index"][frame.valid == 1].to_numpy()
    if not dedup:
        np.testing.assert_array_equal(handed, positions)
    else:
        generator = {"modulo": Modulo, "multiply-shift": MultiplyShift}[reduction](polynomial, seed, form)
        order = generator.draw((size,), len(handed) / size).order.numpy()
        np.testing.assert_array_equal(handed, order)


@needs("iverilog")
def test_lig_waits_for_a_slow_consumer_and_loses_nothing():
    frame = simulate_lig(900, stall=3)
    taken = frame["index"][(frame.valid == 1) & (frame.ready == 1)].to_numpy()
    order = MultiplyShift("x^9+x^4+1").draw((300,), 0.5).order.numpy()
    np.testing.assert_array_equal(taken[:150], order)
    waiting = ((frame.valid == 1) & (frame.ready == 0)).to_numpy()[:-1]
    np.testing.assert_array_equal(frame["index"][1:][waiting], frame["index"][:-1][waiting])


@needs("iverilog")
@pytest.mark.parametrize("kept", [1, 150, 240])
def test_every_walk_is_the_first_one_again_though_nothing_is_cleared(kept):
    """The scratch bits flip their meaning from walk to walk; the mask and its clocks stay the library's."""
    mask = MultiplyShift("x^9+x^4+1", 9).draw((300,), kept / 300)
    frame = simulate_lig(7 * (mask.clocks + 2), seed=9, kept=kept)
    taken = frame["index"][frame.valid == 1].to_numpy()
    walks = taken[: len(taken) // kept * kept].reshape(-1, kept)
    assert len(walks) >= 6
    assert (walks == mask.order.numpy()).all()
    ends = np.flatnonzero(frame["last"] & frame.valid)
    assert set(np.diff(ends)) == {mask.clocks + 1}  # one clock more: a bubble between two walks


DESIGNS = [
    {},
    {"kept": 40, "stall": 3},
    {"dedup": False, "kept": 50, "stall": 4},
    {"form": "galois", "reduction": "modulo", "kept": 250, "stall": 2, "seed": 300},
    {"size": 3, "kept": 2},  # nearly every index repeats the one before
    {"size": 2, "kept": 1},
    {"reduction": "rejection", "kept": 50, "stall": 4},
    {"reduction": "column", "columns": 3, "kept": 120, "stall": 4},
    {"reduction": "counter", "size": 459, "kernel": 9, "kept": 120, "stall": 4},
]


@needs("iverilog")
@pytest.mark.parametrize("design", DESIGNS)
def test_the_model_is_the_hardware_in_every_signal(design):
    assert_frame_equal(simulate_lig(1100, **design), lig_model(1100, **design), check_dtype=False)


@needs("iverilog")
@pytest.mark.parametrize("kind, form", [(MultiplyShift, "fibonacci"), (Modulo, "galois")])
@pytest.mark.parametrize("dedup", [True, False], ids=["first sights", "raw"])
@pytest.mark.parametrize("kept", [0, 1, 30])
def test_repeating_generators_are_stalled_and_reset(kind, form, dedup, kept):
    random = np.random.default_rng(kept)
    ready, rst = random.random(3000) < 0.6, random.random(3000) < 0.004
    generator = kind("x^9+x^4+1", 77, form)
    frame = simulate(design_of(generator, (60,), kept, dedup=dedup), ready, rst)
    expected = model(generator, (60,), ready, rst, kept=kept, dedup=dedup)
    assert_frame_equal(frame, expected, check_dtype=False)
    assert not frame.valid[rst].any() and frame.valid.sum() > 100


def test_the_trace_says_where_it_comes_from(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    frame, source = lig_trace(30, kept=5)
    assert source == "the library's model"
    assert_frame_equal(frame, lig_model(30, kept=5))
    with pytest.raises(RuntimeError, match="not installed"):
        simulate_lig(10)


@pytest.mark.parametrize(
    "design, told",
    [
        ({"size": 1}, "size is 1"),
        ({"seed": 0}, "seed 0"),
        ({"polynomial": "x^4+x^2+1"}, "not prim"),
        ({"reduction": "column", "columns": 7}, "size is 300; 7 columns"),
        (
            {"reduction": "column", "columns": 3, "kept": 100},
            "kept is 100, allowed are multiples of the 3",
        ),
        ({"reduction": "column", "columns": 3}, "kept is 0"),
    ],
)
def test_what_is_no_generator_is_refused(design, told):
    for trace in (simulate_lig, lig_model):
        with pytest.raises(ValueError, match=told):
            trace(10, **design)


# ---- the pair ----


def pair_of(rows: int, columns: int, **parameters) -> Design:
    """`lig_pair.v` with the registers that it has by default."""
    outputs = {"row": (rows - 1).bit_length(), "column": (columns - 1).bit_length()}
    shown = {"row_state": "dut.rows.core.state", "column_state": "dut.columns.core.state"}
    return Design("lig_pair", {"ROWS": rows, "COLUMNS": columns} | parameters, outputs, shown)


@needs("iverilog")
@pytest.mark.parametrize(
    "rows, columns, how",
    [(27, 16, {}), (20, 10, {"form": "galois"}), (32, 30, {"reduction": "modulo", "row_seed": 9})],
)
def test_the_pair_hands_out_the_library_s_pairs_over_the_full_period(rows, columns, how):
    row_polynomial, column_polynomial = Polynomial.parse("x^7+x+1"), Polynomial.parse("x^5+x^2+1")
    clocks = 127 * 31 + 1
    form, row_seed = how.get("form", "fibonacci"), how.get("row_seed", 1)
    parameters = {"ROW_SEED": row_seed, "GALOIS": int(form == "galois")}
    parameters["MODULO"] = int(how.get("reduction") == "modulo")
    settle = columns << (rows - 1).bit_length()
    frame = simulate(pair_of(rows, columns, **parameters), np.arange(settle + clocks) >= settle)[settle:]
    for name, polynomial, seed in (("row", row_polynomial, row_seed), ("column", column_polynomial, 1)):
        np.testing.assert_array_equal(frame[f"{name}_state"], LFSR(polynomial, seed, form).states(clocks))
    handed = frame[frame.valid == 1]
    flat = (handed.column * rows + handed.row).to_numpy()
    mask = pair_mask((columns, rows), len(flat) / (rows * columns), row_polynomial, column_polynomial, **how)
    np.testing.assert_array_equal(flat, mask.order.numpy())


@needs("iverilog")
def test_the_pair_starts_again_after_its_last_index_and_after_a_reset():
    mask = pair_mask((16, 27), 100 / 432, "x^7+x+1", "x^5+x^2+1")
    random = np.random.default_rng(1)
    ready, rst = random.random(6000) < 0.8, np.zeros(6000, bool)
    rst[3000] = True
    frame = simulate(pair_of(27, 16, KEPT=100), ready, rst)
    assert not frame.valid[3000]
    for part in (frame[:3000], frame[3000:]):
        taken = part[(part.valid == 1) & (part.ready == 1)]
        flat = (taken.column * 27 + taken.row).to_numpy()
        assert len(flat) > 300
        np.testing.assert_array_equal(flat, np.resize(mask.order.numpy(), len(flat)))


# ---- what the tools say ----

TOPS = {
    "lig": ["-GKEPT=40", "-GMODULO=1", "-GGALOIS=1", "-GDEDUP=0"],
    "lig_any": ["-GMODULO=1", "-GGALOIS=1", "-GDEDUP=0", "-GENDLESS=1"],
    "lig_rejection": ["-GKEPT=511", "-GM=511", "-GGALOIS=1"],
    "lig_rejection_any": ["-GGALOIS=1", "-GENDLESS=1", "-GWIDTH=12", "-GCOUNT=20"],
    "lig_column_any": ["-GDEGREE=7", "-GOUTER_DEGREE=12"],
    "lig_counter_any": ["-GKERNEL=1", "-GENDLESS=1", "-GCOUNT=20"],
    "lig_column": ["-GROWS=32", "-GCOLUMNS=1", "-GKEPT=1", "-GOUTER_DEGREE=9", "-GOUTER_TAPS=64'd17"],
    "lig_counter": ["-GKEPT=100", "-GKERNEL=1", "-GPAIRS=200"],
    "lig_pair": ["-GKEPT=40", "-GMODULO=1", "-GGALOIS=1"],
}


@needs("verilator")
@pytest.mark.slow  # a program a case
@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("changed", [False, True], ids=["default", "others"])
def test_verilator_finds_nothing_to_warn_of(top, changed):
    settings = TOPS[top] if changed else []
    command = ["verilator", "--lint-only", "-Wall", "-y", hardware_dir(), "--top-module", top, *settings]
    done = subprocess.run([*command, hardware_dir() / f"{top}.v"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


TOOLS = ("iverilog", "verilator", "yosys")

# top, parameters, the missing module that says why
REFUSED = [
    ("lig", {"DEGREE": 8}, "TAPS_must"),  # and no TAPS
    ("lig", {"DEGREE": 12, "TAPS": 0b110}, "TAPS_must"),
    ("lig", {"TAPS": 0b1000010001}, "TAPS_must"),  # with x^9, which is not written
    ("lig", {"SEED": 0}, "SEED_must"),
    ("lig", {"SEED": 512}, "SEED_must"),
    ("lig", {"DEGREE": 65, "TAPS": 3}, "DEGREE_must"),
    ("lig", {"M": 1}, "M_must"),
    ("lig", {"KEPT": 301}, "KEPT_is_beyond"),
    ("lig", {"M": 600, "KEPT": 512}, "KEPT_is_beyond"),  # 511 states
    ("lig_rejection", {"DEGREE": 12}, "TAPS_must"),
    ("lig_rejection", {"M": 512}, "M_must"),
    ("lig_rejection", {"KEPT": 301}, "KEPT_is_beyond"),
    ("lig_rejection", {"DEGREE": 32, "TAPS": 3}, "DEGREE_must"),
    ("lig_column", {"DEGREE": 6, "OUTER_DEGREE": 6, "OUTER_TAPS": 3}, "TAPS_must"),
    ("lig_column", {"OUTER_DEGREE": 8}, "TAPS_must"),
    ("lig_column", {"OUTER_DEGREE": 8, "COLUMNS": 1}, "TAPS_must"),
    ("lig_column", {"OUTER_SEED": 32}, "SEED_must"),
    ("lig_column", {"ROWS": 33}, "ROWS_must"),
    ("lig_column", {"COLUMNS": 32}, "OUTER_DEGREE_must"),
    ("lig_column", {"OUTER_DEGREE": 3, "OUTER_TAPS": 3, "COLUMNS": 4}, "OUTER_DEGREE_must"),
    ("lig_column", {"KEPT": 28}, "KEPT_must"),
    ("lig_column", {"KEPT": 0}, "KEPT_must"),
    ("lig_counter", {"DEGREE": 10}, "TAPS_must"),
    ("lig_counter", {"PAIRS": 257}, "PAIRS_must"),
    ("lig_counter", {"KERNEL": 4}, "KERNEL_must_be_odd"),
    ("lig_counter", {"KEPT": 2305}, "KEPT_is_beyond"),
    ("lig_column_any", {"OUTER_DEGREE": 9}, "OUTER_DEGREE_must"),
    ("lig_counter_any", {"KERNEL": 4}, "KERNEL_must_be_odd"),
    ("lig_pair", {"ROW_DEGREE": 9}, "TAPS_must"),
    ("lig_pair", {"COLUMN_DEGREE": 14, "COLUMN_TAPS": 43}, "coprime"),
    ("lig_pair", {"KEPT": 433}, "KEPT_is_beyond"),
    ("lig_pair", {"ROWS": 200, "KEPT": 127 * 16 + 1}, "KEPT_is_beyond"),  # 127 states
]


@pytest.mark.slow  # a program a case
@pytest.mark.parametrize("top, parameters, told", REFUSED)
@pytest.mark.parametrize(
    "tool", [pytest.param(t, marks=needs(t)) for t in ("iverilog", "verilator", "yosys")]
)
def test_what_is_no_design_is_refused_when_it_is_elaborated(top, parameters, told, tool, tmp_path):
    folder = hardware_dir()
    if tool == "iverilog":
        chosen = [f"-P{top}.{name}={value}" for name, value in parameters.items()]
        command = ["iverilog", "-g2005-sv", "-y", folder, "-s", top, "-o", tmp_path / "x", *chosen]
    elif tool == "verilator":
        chosen = [f"-G{name}={value}" for name, value in parameters.items()]
        command = ["verilator", "--lint-only", "-y", folder, "--top-module", top, *chosen]
    else:
        chosen = " ".join(f"-set {name} {value}" for name, value in parameters.items())
        check = f"hierarchy -check -libdir {folder} -top {top}"
        command = ["yosys", "-q", "-p", f"read_verilog {folder}/{top}.v; chparam {chosen} {top}; {check}"]
    command += [] if tool == "yosys" else [folder / f"{top}.v"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert told in done.stderr


# ---- cells ----


@cache
def script() -> dict:
    return runpy.run_path(str(hardware_dir() / "synthesize.py"))


@cache
def designs() -> list[tuple[dict, Design]]:
    return list(script()["designs"]())


def test_committed_cells_add_up():
    cells = load_lig_cells()
    transistors = sum(cells[name] * count for name, count in TRANSISTORS.items())
    assert (transistors / NAND2_TRANSISTORS == cells.gate_equivalents).all()
    assert (cells.flip_flops == cells.DFF).all()


def bits(count):
    """Flip-flops that count so many things, one at least."""
    return np.maximum(1, np.ceil(np.log2(count)))


def test_every_flip_flop_is_accounted_for():
    cells = load_lig_cells()
    lig = cells[cells.block == "lig"]
    # The state and the counter of kept weights; for first sights also the index, the counter that clears (one
    # bit more), and the flags full, again, phase. The bit that was read belongs to the memory's port.
    index, first = lig.index_bits, lig.dedup == 1
    assert (lig.flip_flops == lig.degree + bits(lig.kept) + first * (2 * index + 1 + 3)).all()
    assert (lig.scratch_bits == lig["size"] * lig.dedup).all()
    # Where nothing repeats, the register and what is counted.
    rejection = cells[cells.block == "lig_rejection"]
    assert (rejection.flip_flops == rejection.degree + bits(rejection.kept)).all()
    counter = cells[cells.block == "lig_counter"]
    place = bits(counter.kernel) * (counter.kernel > 1)
    assert (counter.flip_flops == counter.degree + place + bits(counter.kept)).all()
    column = cells[cells.block == "lig_column"]
    outer = np.maximum(column.degree, np.floor(np.log2(column["columns"])) + 1)
    between = (outer + bits(column["columns"])) * (column["columns"] > 1)
    assert (column.flip_flops == column.degree + bits(column.kept / column["columns"]) + between).all()
    assert (cells[~cells.block.isin(["lig", "lig_pair", "lig_any"])].scratch_bits == 0).all()


def test_the_table_is_of_the_designs_that_the_script_names():
    cells, columns = load_lig_cells(), list(script()["COLUMNS"])
    named = [[facts.get(name) for name in columns] for facts, _ in designs()]
    committed = cells[columns].astype(object).where(cells[columns].notna(), None).to_numpy().tolist()
    assert committed == named


NETLISTS = [  # block, and which of its designs
    ("lig", {"size": 300, "dedup": 1, "reduction": "multiply-shift"}),
    ("lig", {"size": 300, "dedup": 0, "reduction": "multiply-shift"}),
    ("lig_rejection", {"size": 300}),
    ("lig_rejection", {"degree": 6, "form": "galois"}),
    ("lig_column", {"size": 108, "columns": 4}),
    ("lig_column", {"size": 27, "columns": 1}),
    ("lig_counter", {"size": 432, "columns": None, "kernel": 9}),
    ("lig_counter", {"size": 64, "kernel": 1}),
    ("lig_rejection_any", {"degree": 10}),
    ("lig_column_any", {"degree": 10}),
    ("lig_counter_any", {"degree": 12}),
]


@needs("yosys")
@needs("iverilog")
@pytest.mark.slow  # a program a case
@pytest.mark.parametrize("block, which", NETLISTS)
def test_the_gates_that_are_counted_do_what_the_design_does(block, which, tmp_path):
    """The committed count is repeated, and its netlist simulated with stalls and resets beside the source."""
    at, (facts, design) = next(
        (at, (facts, design))
        for at, (facts, design) in enumerate(designs())
        if facts["block"] == block and all(facts[name] == value for name, value in which.items())
    )
    row, committed = script()["synthesize"](facts, design, tmp_path / "gates.v"), load_lig_cells().iloc[at]
    assert row["flip_flops"] == committed.flip_flops
    if row["yosys"] == committed.yosys:
        assert all(row[name] == committed[name] for name in (*TRANSISTORS, "scratch_bits"))
    else:  # another Yosys maps a little otherwise
        assert row["gate_equivalents"] == pytest.approx(committed.gate_equivalents, rel=0.2)
    random = np.random.default_rng(at)
    ready, rst = random.random(3000) < 0.7, random.random(3000) < 0.001
    source = simulate(design, ready, rst).drop(columns=list(design.shown))
    assert_frame_equal(simulate(design, ready, rst, netlist=tmp_path / "gates.v"), source)
