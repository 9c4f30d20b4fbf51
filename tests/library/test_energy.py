"""Energy against a loop over every input bit and cell; activity against torch's unfold and Python's ints."""

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from companion.book.examples import bit_truth_table, encoding_control
from twofold.codes.encodings import CELL_ENCODINGS, ENCODINGS
from twofold.codes.quantizer import quantize
from twofold.codes.tables import (
    CellTable,
    load_cell_table,
    load_operation_energies,
    memory_word_energy_j,
)
from twofold.crossbar.adc import Adc
from twofold.crossbar.matrix import Crossbar, ProgrammedMatrix
from twofold.energy.index import walk_energy_j
from twofold.energy.machine import DATAFLOWS, FIGURE_OF_MERIT_J, INPUT_MEMORIES, LEFT_OUT, Machine
from twofold.energy.price import PARTS, layer_energy, network_energy, network_totals
from twofold.inputs.activity import Activity, count_ones, measure_activity
from twofold.inputs.scales import InputScale, activation_scales, quantize_inputs, quantized_activations
from twofold.layer import StoredLayer
from twofold.masks.generator import GENERATORS, layer_generator
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.kinds import MultiplyShift

SLIDES = load_cell_table()


def model(**changes):
    return replace(Machine.cells_only(SLIDES, "crossbar"), **changes)


def draw(*shape, seed=0, limit=127):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-limit, limit + 1, shape, generator=generator).to(torch.int8)


def stored(codes, keep=None, **others):
    """A layer of these codes; without a mask all are kept."""
    return StoredLayer(
        codes, 1.0, torch.ones_like(codes, dtype=torch.bool) if keep is None else keep, **others
    )


# ---- the loop: a machine built array by array, and every cell, conversion, word and clock counted ----


def cells_of(code, bits, encoding, cell_bits):
    """Cells of one code by Python's own formatting: (level, bits, is it there for the sign) of each."""
    pattern = bits - (encoding in ("differential", "signed_rows"))  # magnitudes have no bit for a sign
    width = -(-pattern // cell_bits) * cell_bits

    def cut(word, sign):
        digits = format(word, f"0{width}b")
        places = range(0, width, cell_bits)
        return [(int(digits[place : place + cell_bits], 2), cell_bits, sign) for place in places]

    match encoding:
        case "twos_complement":  # the sign bit, by itself in a column, is one that is subtracted
            own_column = width - (bits - 1) == 1
            return cut(code % 2**width, False) + (
                [] if own_column and cell_bits == 1 else [(code < 0, 1, True)]
            )
        case "offset_binary":
            return cut(code + 2 ** (bits - 1), False)
        case "sign_magnitude":
            pattern = abs(code) + (code < 0) * 2 ** (bits - 1)
            return cut(pattern, False) + cut((code < 0) * (2 ** (bits - 2) + abs(code)), True)
        case "differential":
            return cut(max(code, 0), False) + cut(max(-code, 0), False)
        case "signed_rows":
            return cut(abs(code), False)


def crossbars_of(keep, group, inputs_of, machine):
    """(rows, columns) of every crossbar that has inputs of its own; a row is an input, counted over all."""
    columns, rows = range(len(keep)), range(len(keep[0]))
    if machine.dataflow == "packed":
        return [([r for r in rows if keep[c][r]], [c]) for c in columns]
    found = {}
    everything = all(map(all, keep))
    for c in columns:
        index = 0 if everything or machine.dataflow == "crossbar" else c // group
        found.setdefault((inputs_of(c), index), []).append(c)
    stored = [
        ([r for r in rows if machine.dataflow == "crossbar" or keep[own[0]][r]], own)
        for own in found.values()
    ]
    for rows, own in stored:
        assert machine.dataflow == "crossbar" or all(
            keep[c][r] == (r in rows) for c in own for r in range(len(keep[0]))
        )
    return stored


def arrays_of(crossbars, cells, machine):
    """Every array as what it works on in turn: (rows, [(column, cell of a weight)])."""
    found, rows_at_once = [], machine.array_rows
    if machine.dataflow != "packed":
        for rows, columns in crossbars:
            used = [(c, cell) for c in columns for cell in range(cells)]
            for first in range(0, len(rows), rows_at_once):
                for left in range(0, len(used), machine.array_columns):
                    own = used[left : left + machine.array_columns]
                    found.append([(rows[first : first + rows_at_once], own)])
        return found
    part = 0
    while waiting := [(rows[part : part + rows_at_once], c) for rows, (c,) in crossbars if len(rows) > part]:
        while waiting:
            turns = []
            while waiting and (len(turns) + 1) * cells <= machine.array_columns:
                rows, c = waiting.pop(0)
                turns.append((rows, [(c, cell) for cell in range(cells)]))
            found.append(turns)
        part += rows_at_once
    return found


def price_of_a_conversion(machine, rows, cell_bits):
    if machine.adc_energy_j != "walden":
        return machine.table.adc_energy_j if machine.adc_energy_j == "table" else machine.adc_energy_j
    bits = 0
    while 2**bits < rows * (2**cell_bits - 1) + 1:  # as many numbers as the column has sums
        bits += 1
    return machine.figure_of_merit_j * 2 ** min(bits, machine.adc_bits or bits)


def by_the_loop(
    codes, keep, vectors, input_bits, machine, *, bits=8, encoding=None, group=1, pace=Fraction(1), groups=1
):
    """Joules, counts and cycles of a layer, one array, vector, input bit, cell and conversion after another.

    `vectors` hold the inputs of all `groups` of a convolution; `pace`: clocks of an index.
    """
    encoding = encoding or machine.encoding
    table, rows_of_a_group = machine.table, len(codes[0])
    everything = all(map(all, keep))

    @cache
    def cells_at(c, r):
        return cells_of(codes[c][r] if keep[c][r] else 0, bits, encoding, table.cell_bits)

    def inputs_of(c):
        return c // (len(codes) // groups)

    cells = len(cells_of(0, bits, encoding, table.cell_bits))
    crossbars = crossbars_of(keep, group, inputs_of, machine)
    arrays = arrays_of(crossbars, cells, machine)
    passes = (1, -1) if encoding == "signed_rows" else (0,)  # 0: rows of either sign at once
    found = Counter(arrays=len(arrays), cycles=0, conversions=0, cells=0, sign_cells=0)
    joules = dict.fromkeys(("cells_j", "sign_j", "adc_j", "input_j"), 0.0)

    for array in arrays:
        for rows, used in array:
            for c, cell in used:
                for r in rows:
                    found["sign_cells" if cells_at(c, r)[cell][2] else "cells"] += 1

    for vector in vectors:
        for array, bit in product(arrays, range(input_bits)):
            for rows, used in array:
                for (c, cell), sign in product(used, passes):
                    first_row = inputs_of(c) * rows_of_a_group
                    for r in rows:
                        driven = not sign or (codes[c][r] < 0) == (sign < 0)
                        if driven and vector[first_row + r] % 2**input_bits >> bit & 1:
                            level, _, for_sign = cells_at(c, r)[cell]
                            joules["sign_j" if for_sign else "cells_j"] += table.energy_j[level]
                    if machine.adc_rule == "column":
                        found["conversions"] += 1
                        width = cells_at(c, rows[0])[cell][1]
                        joules["adc_j"] += price_of_a_conversion(machine, len(rows), width)
                if machine.adc_rule == "cell":
                    for (c, cell), r in product(used, rows):
                        found["conversions"] += 1
                        joules["adc_j"] += price_of_a_conversion(machine, 1, cells_at(c, r)[cell][1])

        # The time of this vector: the slowest array's, one turn after the other.
        slowest = 0
        for array in arrays:
            own = 0
            for rows, used in array:
                converters = [0] * math.ceil(machine.array_columns / machine.columns_per_adc)
                for number, _ in enumerate(used):
                    converters[number % len(converters)] += len(passes) * input_bits
                clocks = len(rows) if everything or machine.dataflow == "crossbar" else len(rows) * pace
                own += max(max(converters), math.ceil(clocks / machine.inputs_per_cycle))
            slowest = max(slowest, own)

        in_order = math.ceil(len(vector) * input_bits / 32)
        fetched = sum(len(rows) for rows, _ in crossbars)
        picked = machine.dataflow == "grouped" and not everything
        if picked and machine.input_memory == "SRAM" and in_order <= fetched:  # all of them pass by
            for first in range(0, rows_of_a_group, machine.array_rows):
                passing = len(range(rows_of_a_group)[first : first + machine.array_rows])
                slowest = max(slowest, math.ceil(passing / machine.inputs_per_cycle))
        found["cycles"] += slowest

        if encoding == "signed_rows":
            joules["sign_j"] += math.ceil(sum(map(sum, keep)) / 32) * 5e-12
        if everything and machine.dataflow == "packed":
            fetched = len(codes) * math.ceil(rows_of_a_group * input_bits / 32)
        ways = [fetched * 5e-12]  # each on its own, from SRAM
        if machine.dataflow == "crossbar" or (everything and machine.dataflow == "grouped"):
            ways = [in_order * 5e-12]
        elif machine.input_memory == "register file":
            ways.append(in_order * (5e-12 + 1e-12) + fetched * 1e-12)
        elif machine.dataflow == "grouped":
            ways.append(in_order * 5e-12)
        joules["input_j"] += 0.0 if machine.input_memory == "none" else min(ways)
    return joules | found


def agree(row, expected):
    for name, value in expected.items():
        assert row[name] == (value if isinstance(value, int) else pytest.approx(value, rel=1e-9)), name


def clocks_of_a_walk(generator, blocks):
    """One state after the other, until every kept position was pointed at."""
    size, missing, clocks = blocks.numel(), set(blocks.flatten().nonzero().flatten().tolist()), 0
    for state in generator.register.states(generator.register.period).tolist():
        if not missing:
            break
        clocks += 1
        position = {
            "multiply-shift": state * size >> generator.register.degree,
            "modulo": state % size,
            "rejection": state - 1,
        }[generator.kind]
        missing.discard(position)
    assert not missing
    return clocks


HELD = {
    # What a crossbar or a group, and what a packed machine, holds codes in that were chosen for an encoding.
    "offset_binary": ("offset_binary", "offset_binary"),
    "sign_magnitude": ("differential", "sign_magnitude"),
    "differential": ("differential", "differential"),
    "signed_rows": ("differential", "signed_rows"),
}
WALKED = ("rejection", "multiply-shift", "modulo")


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    machine_of=st.sampled_from([*product(ENCODINGS, DATAFLOWS), ("signed_rows", "packed")]),
    trained_for=st.sampled_from(CELL_ENCODINGS),
    adc=st.sampled_from(
        [
            {"adc_rule": "none"},
            *({"adc_rule": rule} for rule in ("column", "cell")),
            *({"adc_rule": rule, "adc_energy_j": 0.4} for rule in ("column", "cell")),
            *({"adc_rule": rule, "adc_energy_j": "walden"} for rule in ("column", "cell")),
            {"adc_rule": "column", "adc_energy_j": "walden", "figure_of_merit_j": 2e-3, "adc_bits": 2},
        ]
    ),
    array=st.tuples(st.integers(1, 6), st.integers(10, 30), st.integers(1, 9), st.integers(1, 4)),
    bits_and_cell=st.sampled_from([(8, 2), (6, 3), (4, 4), (5, 1), (4, 1), (5, 2), (3, 2), (2, 2), (2, 1)]),
    input_memory=st.sampled_from(INPUT_MEMORIES),
    signed=st.booleans(),
    kind=st.sampled_from([None, *WALKED]),
    groups=st.sampled_from([1, 1, 2]),
    group=st.integers(1, 6),
)
def test_layer_energy_is_that_of_the_loop(
    data, machine_of, trained_for, adc, array, bits_and_cell, input_memory, signed, kind, groups, group
):
    plain, dataflow = machine_of
    bits, cell_bits = bits_and_cell
    limit = 2 ** (bits - 1) - 1
    columns, rows, count = (
        groups * data.draw(st.integers(1, 3)),
        *(data.draw(st.integers(1, n)) for n in (6, 2)),
    )
    input_bits = data.draw(st.integers(2, 8))
    low, high = (
        (-(2 ** (input_bits - 1)) + 1, 2 ** (input_bits - 1) - 1) if signed else (0, 2**input_bits - 1)
    )

    def matrix(of, height, width):
        line = st.lists(of, min_size=width, max_size=width)
        return data.draw(st.lists(line, min_size=height, max_size=height))

    codes = torch.tensor(matrix(st.integers(-limit, limit), columns, rows))
    vectors = matrix(st.integers(low, high), count, groups * rows)
    energies = data.draw(st.lists(st.floats(0, 2), min_size=2**cell_bits, max_size=2**cell_bits))
    blocks = math.ceil(columns / group)
    generator, pace = None, Fraction(1)
    if kind is None:
        keep = torch.tensor(matrix(st.booleans(), blocks, rows)).repeat_interleave(group, 0)[:columns]
    else:
        degree = data.draw(st.integers(6, 9))  # 63 states at least for 36 positions at most
        seed = data.draw(st.integers(1, 2**degree - 1))
        generator = GENERATORS[kind](primitive_polynomial(degree), seed, group=group)
        wanted = data.draw(st.integers(1, max(1, blocks * rows * (10 if kind == "rejection" else 7) // 10)))
        keep = generator.draw((columns, rows), wanted / (blocks * rows)).keep
        clocks = clocks_of_a_walk(generator, keep[::group])
        pace = Fraction(clocks, wanted)
    layer = StoredLayer(codes, 1.0, keep, bits, trained_for, generator, group)
    array_rows, array_columns, columns_per_adc, inputs_per_cycle = array
    machine = Machine(
        table=CellTable("drawn", cell_bits, tuple(energies), adc_energy_j=0.3),
        encoding=plain,
        dataflow=dataflow,
        input_memory=input_memory,
        index_rule="charged",
        array_rows=array_rows,
        array_columns=array_columns,
        columns_per_adc=columns_per_adc,
        inputs_per_cycle=inputs_per_cycle,
        lig_energy_j=0.07,
        index_word_energy_j=0.05,
        **adc,
    )
    held = plain if trained_for == "twos_complement" else HELD[trained_for][dataflow == "packed"]
    ones = [sum((v[r] % 2**input_bits).bit_count() for v in vectors) for r in range(groups * rows)]
    activity = Activity(torch.tensor(ones, dtype=torch.float64), count, input_bits)

    row = layer_energy(layer, activity, machine)
    expected = by_the_loop(
        codes.tolist(),
        keep.tolist(),
        vectors,
        input_bits,
        machine,
        bits=bits,
        encoding=held,
        group=group,
        pace=pace,
        groups=groups,
    )
    agree(row, expected)
    index_j = 0.0  # where nothing is removed, positions are known without a generator
    if dataflow != "crossbar" and not keep.all():
        if generator is not None:
            index_j = count * 0.07 * clocks
        elif keep.any():  # a list of nothing takes no bits
            index_j = count * 0.05 * math.ceil(layer.index_bits / 32)
    assert row["index_j"] == pytest.approx(index_j)
    assert row["total_j"] == pytest.approx(sum(row[part] for part in PARTS))
    assert (row["kept"], row["bits"], row["encoding"]) == (int(keep.sum()), bits, held)


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    group=st.sampled_from([1, 3, 8, 20]),
    cell_bits=st.integers(1, 4),
    array=st.tuples(st.integers(1, 40), st.integers(1, 60)),
    columns_per_adc=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_counts_are_those_of_the_crossbars_that_are_programmed(
    encoding, group, cell_bits, array, columns_per_adc, seed
):
    """A crossbar's, and for groups those of each group's kept rows, in a crossbar of its own."""
    codes, reads = draw(13, 50, seed=seed), 3
    blocks = torch.rand(math.ceil(13 / group), 50, generator=torch.Generator().manual_seed(seed)) < 0.4
    keep = blocks.repeat_interleave(group, 0)[:13]
    machine = Crossbar(
        adc=Adc(range_rule="none"),
        encoding=encoding,
        slices=(cell_bits,) * -(-8 // cell_bits),
        array_rows=array[0],
        array_columns=array[1],
    )
    table = CellTable("any", cell_bits, (1e-12,) * 2**cell_bits, 0.0)
    activity = Activity(torch.zeros(50, dtype=torch.float64), reads, 8)
    for dataflow in ("crossbar", "grouped"):
        programmed = (
            [codes]
            if dataflow == "crossbar"
            else [codes[first : first + group][:, keep[first]] for first in range(0, 13, group)]
        )
        counts, cycles = Counter(), 0
        for own in programmed:
            if own.numel():
                matrix = ProgrammedMatrix(own, machine)
                counts.update(matrix.counts(reads))
                converters = -(-array[1] // columns_per_adc)
                cycles = max(cycles, matrix.conversion_cycles(reads, converters))
        priced = Machine(
            table=table,
            encoding=encoding,
            dataflow=dataflow,
            adc_rule="column",
            input_memory="none",
            index_rule="free",
            array_rows=array[0],
            array_columns=array[1],
            columns_per_adc=columns_per_adc,
            inputs_per_cycle=10**6,
        )
        row = layer_energy(stored(codes, keep, group=group), activity, priced)
        for name in ("cells", "sign_cells", "arrays"):
            assert row[name] == counts[name], (dataflow, name)
        assert row["cycles"] == cycles, dataflow
        assert row["conversions"] == counts["conversions"] + counts["sign_conversions"]


def test_removed_weights_cost_what_a_zero_costs_or_nothing():
    codes, keep = draw(4, 3, 3, 3), torch.zeros(4, 3, 3, 3, dtype=torch.bool)
    keep[0, 0, 0, 0] = True
    codes[0, 0, 0, 0] = -1
    once = Activity.all_ones(27)
    layer = stored(codes, keep)
    crossbar = layer_energy(layer, once, model())
    assert crossbar["cells_j"] == pytest.approx((5.96 + 107 * 0.316) * 1e-12)
    assert crossbar["sign_j"] == pytest.approx((0.36 + 107 * 0.079) * 1e-12)
    assert (crossbar["cells"], crossbar["sign_cells"]) == (4 * 108, 108)
    for dataflow in ("packed", "grouped"):
        row = layer_energy(layer, once, model(dataflow=dataflow))
        assert (row["cells_j"], row["sign_j"]) == pytest.approx((5.96e-12, 0.36e-12))
        assert (row["cells"], row["sign_cells"], row["arrays"]) == (4, 1, 1)
        assert crossbar["zero_codes"] == row["zero_codes"] == 0


def test_every_row_carries_the_arguments():
    generator = MultiplyShift("x^31+x^3+1", 5)
    mask = generator.draw((10, 64), 0.5)
    layers = {
        "conv": stored(draw(4, 3, 3, 3)),
        "fc": stored(draw(10, 64) * mask.keep, mask.keep, generator=generator),
    }
    activity = {"conv": Activity.all_ones(27), "fc": Activity.all_ones(64)}
    arguments = {"dataflow": "packed", "adc_rule": "column", "array_rows": 64, "index_rule": "charged"}
    machine = model(**arguments, lig_energy_j=1e-15)
    frame = network_energy(layers, activity, machine)
    assert list(frame["layer"]) == ["conv", "fc"]
    assert list(frame["conversions"]) == [5 * 4, 5 * 10]
    assert mask.clocks > 320
    assert list(frame["index_j"]) == pytest.approx([0.0, mask.clocks * 1e-15])
    expected = {
        **arguments,
        "encoding": "twos_complement",
        "table": "rram_2bit_cell",
        "input_memory": "none",
        "input_bits": 1,
        "bits": 8,
        "lig_energy_j": 1e-15,
        "index_word_energy_j": 5e-12,
    }
    for column, value in expected.items():
        assert set(frame[column]) == {value}
    assert frame["adc_energy_j"].iloc[0] == pytest.approx(0.208e-12)
    assert frame[["figure_of_merit_j", "adc_bits"]].isna().all(axis=None)
    own = network_energy(layers, activity, model(adc_rule="cell", adc_energy_j=2e-12))
    assert set(own["adc_energy_j"]) == {2e-12}
    assert list(own["adc_j"]) == pytest.approx([5 * 108 * 2e-12, 5 * 640 * 2e-12])
    assert set(own["index_j"]) == {0.0}
    law = network_energy(layers, activity, model(adc_rule="column", adc_energy_j="walden", adc_bits=5))
    assert law["adc_energy_j"].isna().all()
    assert (set(law["figure_of_merit_j"]), set(law["adc_bits"])) == ({FIGURE_OF_MERIT_J}, {5})


def test_a_stored_index_is_read_word_by_word_for_each_vector():
    def index_j(shape=(3, 11), keep=None, **arguments):
        codes = draw(*shape)
        if keep is None:
            keep = (torch.arange(codes.numel()) % 2 == 0).view(shape)  # a bitmap is cheapest: a bit a weight
        layer = stored(codes, keep)
        assert layer.index_bits == (0 if keep.all() else codes.numel())
        activity = Activity(torch.ones(shape[1], dtype=torch.float64), reads=7, input_bits=8)
        return layer_energy(layer, activity, model(**{"dataflow": "packed", **arguments}))["index_j"]

    charged = {"index_rule": "charged"}
    assert index_j(**charged) == pytest.approx(2 * 7 * 5e-12)  # 33 bits are two words, the 45 nm table's SRAM
    assert index_j((4, 8), **charged, index_word_energy_j=2e-12) == pytest.approx(7 * 2e-12)
    assert (
        index_j(**charged, dataflow="grouped") == index_j(**charged, lig_energy_j=1e-15) == index_j(**charged)
    )
    assert index_j(**charged, index_word_energy_j=0.0) == 0
    assert index_j() == index_j(dataflow="crossbar", **charged) == 0
    assert index_j(keep=torch.ones(3, 11, dtype=torch.bool), **charged) == 0
    with pytest.raises(ValueError, match="memory is 'flash', allowed are SRAM, DRAM"):
        memory_word_energy_j("flash")


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("group", [1, 4])
def test_a_generated_index_is_a_walk_of_the_layer_s_own_generator_for_each_vector(kind, group):
    shape = (16, 16, 3, 3)
    generator = layer_generator(kind, shape, layer=0, group=group)
    keep = generator.draw(shape, 0.5).keep
    layer = stored(draw(*shape), keep, generator=generator, group=group)
    activity = Activity(torch.ones(144, dtype=torch.float64), 7, 8)
    for dataflow, walks in (("crossbar", 0), ("packed", 7), ("grouped", 7)):
        charged = model(dataflow=dataflow, index_rule="charged")
        row = layer_energy(layer, activity, charged)
        assert row["index_j"] == pytest.approx(walks * walk_energy_j(layer))
        per_clock = layer_energy(layer, activity, replace(charged, lig_energy_j=1e-15))
        assert per_clock["index_j"] == pytest.approx(walks * layer.clocks * 1e-15)
        assert layer_energy(layer, activity, replace(charged, index_rule="free"))["index_j"] == 0


def test_inputs_are_read_in_order_gathered_or_broadcast():
    """12 columns of 40 rows, 8 bits: 10 words in order; half kept."""
    once = Activity.all_ones(40)
    eight = Activity(once.row_ones, 1, 8)

    def words(dataflow, memory, group=1, kept=20, columns=12):
        keep = (torch.arange(40) < kept).expand(columns, 40)
        layer = stored(draw(columns, 40), keep, group=group)
        row = layer_energy(layer, eight, model(dataflow=dataflow, input_memory=memory))
        return row["input_j"] / 1e-12

    assert words("crossbar", "SRAM") == words("crossbar", "register file") == pytest.approx(10 * 5)
    assert words("packed", "SRAM") == pytest.approx(12 * 20 * 5)
    assert words("packed", "register file") == pytest.approx(10 * (5 + 1) + 12 * 20)
    assert words("packed", "register file", columns=1, kept=14) == pytest.approx(14 * 5)  # no copy for so few
    assert words("packed", "SRAM", kept=40) == pytest.approx(12 * 10 * 5)  # nothing to look for: in order
    assert words("grouped", "SRAM", group=4) == pytest.approx(10 * 5)  # 3 * 20 words would be more
    assert words("grouped", "SRAM", group=12, kept=9) == pytest.approx(9 * 5)
    assert words("grouped", "register file", group=4) == pytest.approx(10 * (5 + 1) + 3 * 20)
    assert words("grouped", "register file", group=12, kept=9) == pytest.approx(9 * 5)
    assert (
        words("grouped", "register file", kept=40)
        == words("grouped", "SRAM", kept=40)
        == pytest.approx(10 * 5)
    )
    assert words("packed", "none") == 0


def test_a_converter_has_the_bits_of_the_rows_that_it_sums():
    """Two's complement in 2-bit cells, all columns sharing: 128 rows and 22, four columns and a sign's."""
    keep = (torch.arange(300) < 150).expand(10, 300)
    layer = stored(draw(10, 300), keep, group=10)
    once = Activity(torch.zeros(300, dtype=torch.float64), 2, 4)
    machine = model(dataflow="grouped", adc_rule="column", adc_energy_j="walden", figure_of_merit_j=1e-15)
    steps = 10 * (4 * 2**9 + 2**8 + 4 * 2**7 + 2**5)  # 385, 129, 67 and 23 sums
    assert layer_energy(layer, once, machine)["adc_j"] == pytest.approx(8 * steps * 1e-15)
    capped = 10 * (4 * 2**6 + 2**6 + 4 * 2**6 + 2**5)
    row = layer_energy(layer, once, replace(machine, adc_bits=6))
    assert row["adc_j"] == pytest.approx(8 * capped * 1e-15)
    assert 1e12 * FIGURE_OF_MERIT_J * 2**8 == pytest.approx(1.67, abs=0.01)  # ISAAC's 8 bits


@settings(deadline=None)
@given(
    group=st.integers(1, 12),
    kept=st.integers(1, 60),
    seed=st.integers(0, 99),
    table=st.sampled_from(["table", "walden"]),
)
def test_sharing_never_costs_more_where_all_columns_keep_as_many_rows(group, kept, seed, table):
    """A larger group has as many cells, and no more arrays, conversions, fetches, and joules."""
    columns, rows = 12, 60
    generator = torch.Generator().manual_seed(seed)
    codes = torch.zeros(
        columns, rows, dtype=torch.int8
    )  # so that cells cost the same whichever rows are kept
    activity = Activity(torch.ones(rows, dtype=torch.float64), 1, 8)
    machine = model(
        dataflow="grouped",
        adc_rule="column",
        adc_energy_j=table,
        input_memory="SRAM",
        index_rule="charged",
        array_rows=16,
        array_columns=20,
    )

    def priced(g):
        first = torch.rand(-(-columns // g), rows, generator=generator).argsort(1).argsort(1) < kept
        return layer_energy(
            stored(codes, first.repeat_interleave(g, 0)[:columns], group=g), activity, machine
        )

    alone, shared = priced(1), priced(group)
    assert (shared["cells"], shared["sign_cells"]) == (alone["cells"], alone["sign_cells"])
    assert (shared["conversions"], shared["adc_j"]) == pytest.approx((alone["conversions"], alone["adc_j"]))
    assert shared["arrays"] <= alone["arrays"]
    assert shared["input_j"] <= alone["input_j"]
    everything = layer_energy(stored(codes), activity, replace(machine, dataflow="crossbar"))
    assert shared["cells"] <= everything["cells"]
    assert shared["conversions"] <= everything["conversions"]


def test_a_layer_that_keeps_all_is_one_crossbar_whatever_its_group():
    codes, activity = draw(12, 60), Activity(torch.ones(60, dtype=torch.float64), 3, 8)
    machine = replace(Machine.whole(SLIDES, "crossbar"), array_rows=16, array_columns=20)
    crossbar = layer_energy(stored(codes), activity, machine)
    for group in (1, 5, 12):
        row = layer_energy(stored(codes, group=group), activity, replace(machine, dataflow="grouped"))
        differ = {name for name in row if row[name] != crossbar[name] and not row[name] != row[name]}
        assert differ == {"dataflow"}


@pytest.mark.parametrize("rows, passing", [(128, 128), (60, 60), (300, 128)])
def test_groups_wait_for_all_inputs_that_are_broadcast_to_them(rows, passing):
    """Sixteen columns keep 16 rows each: 8 conversions, 4 cycles of inputs, and all that pass them by."""
    keep = (torch.arange(rows) < 16).expand(16, rows)
    layer, activity = stored(draw(16, rows) * keep, keep), Activity.all_ones(rows)
    activity = replace(activity, input_bits=8)
    machine = Machine.whole(SLIDES, "grouped")
    cycles = {
        memory: layer_energy(layer, activity, replace(machine, input_memory=memory))["cycles"]
        for memory in ("SRAM", "register file")
    }
    assert cycles == {"SRAM": math.ceil(passing / 4), "register file": 8}
    few = stored(layer.codes[:1], keep[:1])  # 16 words of its own cost less than all in order, if they do
    own = layer_energy(few, activity, machine)
    assert own["cycles"] == (8 if rows > 4 * 16 else math.ceil(passing / 4))


def test_totals_are_sums_and_the_slowest_layer():
    layers = {name: stored(draw(4, rows)) for name, rows in (("a", 27), ("b", 200))}
    activity = {"a": Activity(torch.ones(27, dtype=torch.float64), 10, 8), "b": Activity.all_ones(200)}
    frame = network_energy(layers, activity, Machine.whole(SLIDES, "crossbar"))
    total = network_totals(frame, vectors=2)
    for column in (*PARTS, "total_j", "conversions", "cycles"):
        assert total[column] == pytest.approx(frame[column].sum() / 2)
    assert total.arrays == frame.arrays.sum() == 3
    # 20 columns of cells over 16 converters, 8 bits of 10 vectors; 128 inputs of one, four at a time.
    assert frame.cycles.tolist() == [10 * 2 * 8, 32]
    assert total.slowest_cycles == 80
    assert total.energy_delay == pytest.approx(total.total_j * 96)
    assert total.energy_pace == pytest.approx(total.total_j * 80)


def test_what_is_left_out_is_listed():
    assert Machine.whole(SLIDES, "packed").left_out() == list(LEFT_OUT)
    free = model(dataflow="grouped").left_out()
    assert free == ["converters", "reads of the inputs", "the index", *LEFT_OUT]
    assert "the index" not in model().left_out()  # a crossbar has none


# ---- activity ----


@settings(deadline=None)
@given(data=st.data(), input_bits=st.integers(1, 16))
def test_ones_are_those_that_python_counts(data, input_bits):
    shape = data.draw(st.tuples(st.integers(1, 300), st.integers(1, 21)))
    signed = data.draw(st.booleans())
    dtype = torch.int32 if input_bits > 8 else torch.int8 if signed else torch.uint8
    half = 2 ** (input_bits - 1)
    low, high = (-half, half) if signed else (0, 2 * half)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    codes = torch.randint(low, high, shape, generator=generator)
    ones = count_ones(codes.to(dtype), input_bits)
    assert ones.tolist() == [
        sum((k % 2**input_bits).bit_count() for k in position) for position in codes.T.tolist()
    ]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("input_bits", [2, 7, 8, 9, 16])
def test_quantized_inputs_are_torchs(input_bits, signed):
    inputs = 1.2 * torch.randn(50_000, generator=torch.Generator().manual_seed(5))
    limit = 2 ** (input_bits - signed) - 1
    scale = InputScale(2.5, signed)
    theirs = torch.fake_quantize_per_tensor_affine(inputs, 2.5 / limit, 0, -limit if signed else 0, limit)
    ours = quantize_inputs(inputs, scale, input_bits)
    assert torch.equal(ours.long(), (theirs * (limit / 2.5)).round().long())


def bits_of(codes, input_bits):
    """Number of ones of each code, plane by plane."""
    return sum(codes.long() >> i & 1 for i in range(input_bits)).double()


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": (2, 3), "padding": (0, 2), "stride": (3, 1), "dilation": (2, 1)},
    {"kernel_size": 5, "padding": 3, "dilation": 2, "stride": 2},
    {"kernel_size": 1},
    {"kernel_size": 4, "padding": "same", "dilation": (1, 2)},
    {"kernel_size": 3, "padding": "valid"},
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's word on its own speed
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_convolution_windows_are_those_of_unfold(arguments, signed, memory_format):
    layer = nn.Conv2d(5, 2, **arguments)
    images = torch.randn(7, 5, 11, 9, generator=torch.Generator().manual_seed(1))
    images = (images if signed else images.abs()).to(memory_format=memory_format)
    scales = activation_scales(layer, images)
    assert scales[""] == InputScale(float(images.abs().max()), signed)
    found = measure_activity(layer, images, scales=scales, batch_size=4)[""]

    ones = bits_of(quantize_inputs(images, scales[""]), 8).contiguous()
    if layer.padding == "same":
        down, right = (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        ones = functional.pad(ones, (right // 2, right - right // 2, down // 2, down - down // 2))
    padding = 0 if isinstance(layer.padding, str) else layer.padding
    windows = functional.unfold(ones, layer.kernel_size, layer.dilation, padding, layer.stride)
    assert torch.equal(found.row_ones, windows.sum(dim=(0, 2)))
    assert found.reads == 7 * windows.shape[2]
    assert found.reads == layer(images).flatten(2).shape[2] * 7


GROUPED = {
    "grouped": (nn.Conv2d(6, 4, 3, groups=2, padding=1), (6, 5, 7)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4, stride=2), (4, 7, 6)),
    "depthwise, two each": (nn.Conv2d(3, 6, (2, 3), groups=3, dilation=(1, 2)), (3, 6, 8)),
    "1d": (nn.Conv1d(4, 3, 5, stride=2, padding=2, dilation=2), (4, 19)),
    "1d, grouped": (nn.Conv1d(4, 6, 3, groups=2, padding="same"), (4, 9)),
    "3d": (nn.Conv3d(2, 3, (2, 3, 1), padding=(1, 0, 2), stride=(2, 1, 1)), (2, 4, 5, 3)),
    "3d, depthwise": (nn.Conv3d(2, 4, 2, groups=2), (2, 3, 4, 3)),
    "circular": (nn.Conv2d(2, 3, 3, padding=2, padding_mode="circular"), (2, 5, 5)),
    "1d, reflect": (nn.Conv1d(2, 2, 3, padding=1, groups=2, padding_mode="reflect"), (2, 6)),
    "3d, replicate": (nn.Conv3d(1, 2, 2, padding=(1, 0, 1), padding_mode="replicate"), (1, 3, 3, 4)),
}


@pytest.mark.parametrize("case", GROUPED)
def test_any_convolution_is_the_loop_over_its_groups_and_windows(case):
    """Vectors of each group gathered by the layer's own geometry, each group a crossbar of its own."""
    layer, shape = GROUPED[case]
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    scales = activation_scales(layer, images)
    found = measure_activity(layer, images, 8, scales=scales, batch_size=1)[""]

    # A convolution with one kernel that is 1 at one row and 0 elsewhere copies what that row sees.
    codes = quantize_inputs(images, scales[""]).double()
    channels, rows = layer.in_channels // layer.groups, layer.weight[0].numel()
    eye = torch.eye(rows, dtype=torch.float64).view(rows, channels, *layer.kernel_size)
    probe = type(layer)(
        layer.in_channels,
        rows * layer.groups,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        bias=False,
        padding_mode=layer.padding_mode,
    ).double()
    with torch.no_grad():
        probe.weight.copy_(eye.repeat(layer.groups, *[1] * (eye.dim() - 1)))
        seen = probe(codes).flatten(2).transpose(1, 2).reshape(-1, layer.groups, rows)

    weights = quantize(layer.weight)
    keep = torch.rand(weights.shape, generator=torch.Generator().manual_seed(2)) < 0.6
    for dataflow in DATAFLOWS:
        machine = model(dataflow=dataflow, adc_rule="column", array_rows=7, input_memory="SRAM")
        row = layer_energy(stored(weights, keep), found, machine)
        vectors = seen.flatten(1).long().tolist()
        matrix, kept = weights.flatten(1).tolist(), keep.flatten(1).tolist()
        agree(row, by_the_loop(matrix, kept, vectors, 8, machine, groups=layer.groups))
        assert row["reads"] == len(vectors)


class Two(nn.Module):
    """A convolution and, behind a ReLU, a linear layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(6, 6)

    def forward(self, images):
        hidden = self.fc(torch.relu(self.norm(self.conv(images))))
        return self.fc(torch.relu(hidden))


@pytest.mark.parametrize("input_bits", [4, 8, 10])
def test_network_from_images_to_joules_is_the_loops(input_bits):
    torch.manual_seed(3)
    network = Two().train()
    network.norm.eval()
    images = torch.randn(2, 3, 4, 6)
    scales = activation_scales(network, images)
    assert {name: scale.signed for name, scale in scales.items()} == {"conv": True, "fc": False}
    activity = measure_activity(network, images, input_bits, scales=scales)
    assert network.training
    assert not network.norm.training
    assert torch.equal(network.norm.running_mean, torch.zeros(4))

    with torch.no_grad():
        hidden = torch.relu(network.norm(network.conv(images)))
        inputs = {
            "conv": functional.unfold(images, 3, padding=1).transpose(1, 2).reshape(-1, 27),
            "fc": torch.cat([hidden, torch.relu(network.fc(hidden))]).reshape(-1, 6),
        }
    machine = model(adc_rule="column", array_rows=10)
    weights = {"conv": network.conv.weight, "fc": network.fc.weight}
    codes = {name: quantize(weight) for name, weight in weights.items()}
    frame = network_energy({n: stored(own) for n, own in codes.items()}, activity, machine)
    for name, row in frame.set_index("layer").iterrows():
        vectors = quantize_inputs(inputs[name], scales[name], input_bits).tolist()
        matrix = codes[name].flatten(1).tolist()
        keep = [[True] * len(column) for column in matrix]
        agree(row, by_the_loop(matrix, keep, vectors, input_bits, machine))
        assert row["reads"] == len(vectors)


def test_percentile_of_one_batch_is_numpys():
    images = torch.randn(10, 20, generator=torch.Generator().manual_seed(4))
    layer = nn.Linear(20, 2)
    scale = activation_scales(layer, images, percentile=90.0)[""]
    assert scale.scale == float(images.abs().flatten().sort().values[179])
    assert activation_scales(layer, images, percentile=100.0) == activation_scales(layer, images)
    halves = [activation_scales(layer, half, percentile=90.0)[""].scale for half in images.split(5)]
    both = activation_scales(layer, images, percentile=90.0, batch_size=5)[""].scale
    assert both == pytest.approx(sum(halves) / 2)


def test_dead_inputs_carry_no_ones():
    layer = nn.Linear(20, 2)
    zeros = torch.zeros(3, 20)
    scales = activation_scales(layer, zeros)
    assert scales[""] == InputScale(1.0, False)
    assert measure_activity(layer, zeros, scales=scales)[""].row_ones.sum() == 0


def test_quantized_activations_hold_within_the_context_only():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    images = torch.randn(40, 6)
    scales = activation_scales(network, images)
    plain = network(images)
    with quantized_activations(network, scales, input_bits=3):
        rounded = network(images)
    first = torch.fake_quantize_per_tensor_affine(images, scales["0"].scale / 3, 0, -3, 3)
    second = torch.relu(network[0](first))
    second = torch.fake_quantize_per_tensor_affine(second, scales["2"].scale / 7, 0, 0, 7)
    torch.testing.assert_close(rounded, network[2](second))
    assert torch.equal(network(images), plain)
    assert not torch.allclose(rounded, plain)


# ---- tables and controls ----


def test_operations_of_han_et_al():
    frame = load_operation_energies().set_index("operation")
    picojoules = {
        "32-bit int ADD": 0.1,
        "32-bit float ADD": 0.9,
        "32-bit register file": 1,
        "32-bit int MULT": 3.1,
        "32-bit float MULT": 3.7,
        "32-bit SRAM cache": 5,
        "32-bit DRAM memory": 640,
    }
    assert (frame["energy_j"] * 1e12).to_dict() == pytest.approx(picojoules)
    assert set(frame["doi"]) == {"10.48550/arXiv.1506.02626"}


def test_truth_table_is_ohms_law():
    frame = bit_truth_table(r_lrs_ohm=10e3, r_hrs_ohm=1e6, v_read_v=0.2)
    current = {(x, w): i for x, w, i in frame[["x", "w", "current_a"]].itertuples(index=False)}
    assert current == pytest.approx({(0, 0): 0, (0, 1): 0, (1, 0): 0.2e-6, (1, 1): 20e-6})


def test_encoding_control_is_the_sum_over_the_layers():
    torch.manual_seed(0)
    weights = {"a": torch.randn(64, 9), "b": torch.randn(10, 20) * 3}
    frame = encoding_control(weights, SLIDES).set_index("encoding")
    for encoding in ENCODINGS:
        rows = network_energy(
            {n: stored(quantize(w)) for n, w in weights.items()},
            {n: Activity.all_ones(w.shape[1]) for n, w in weights.items()},
            model(encoding=encoding),
        )
        assert frame.loc[encoding, "energy_j"] == pytest.approx(rows["cells_j"].sum())
    per_weight = frame["energy_j"] / (64 * 9 + 200)
    pd.testing.assert_series_equal(frame["energy_per_weight_j"], per_weight, check_names=False)
    assert frame.loc["twos_complement", "ratio"] == 1
    assert 1.2 < frame.loc["sign_magnitude", "ratio"] < 1.6
    assert list(frame["cells_per_weight"]) == [4, 4, 4, 8]


# ---- bad input ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataflow": "systolic"}, "dataflow is 'systolic', allowed are crossbar, packed, grouped"),
        ({"adc_rule": "0"}, "adc_rule is '0', allowed are none, column, cell"),
        ({"input_memory": "DRAM"}, "input_memory is 'DRAM', allowed are none, SRAM, register file"),
        ({"index_rule": "dear"}, "index_rule is 'dear', allowed are free, charged"),
        ({"array_rows": 0}, "array_rows is 0"),
        ({"array_columns": 0.5}, "array_columns is 0.5, allowed are whole numbers"),
        ({"columns_per_adc": 0}, "columns_per_adc is 0"),
        ({"inputs_per_cycle": -4}, "inputs_per_cycle is -4"),
        ({"encoding": "gray"}, "encoding is 'gray'"),
        ({"encoding": "signed_rows", "dataflow": "crossbar"}, "'signed_rows' needs dataflow 'packed', not"),
        ({"encoding": "signed_rows", "dataflow": "grouped"}, "'packed', not 'grouped'"),
        ({"adc_energy_j": -1.0}, "adc_energy_j is -1.0"),
        ({"adc_energy_j": "murmann"}, "adc_energy_j is 'murmann', allowed are joules, table and walden"),
        ({"adc_energy_j": "walden", "figure_of_merit_j": math.inf}, "figure_of_merit_j is inf"),
        ({"adc_energy_j": "walden", "adc_bits": 0}, r"adc_bits is 0, allowed are whole numbers in \[1, 24\]"),
        ({"adc_bits": 6}, "adc_bits is 6, but adc_energy_j is 'table': bits decide .* by 'walden' only"),
        ({"index_rule": "charged", "lig_energy_j": math.nan}, "lig_energy_j is nan"),
        ({"lig_energy_j": 1e-12}, "lig_energy_j is 1e-12, but index_rule is 'free'"),
        ({"index_word_energy_j": 0.0}, "index_word_energy_j is 0.0, but index_rule is 'free'"),
    ],
)
def test_machines_that_do_not_exist(changes, message):
    with pytest.raises(ValueError, match=message):
        # By the class's own checks: in tests beartype would be first to refuse a wrong Literal.
        Machine.__post_init__(unchecked(**changes))


def test_the_name_of_a_table_is_no_table():
    with pytest.raises(TypeError, match="table is 'rram_isaac', allowed is a CellTable, as load_cell"):
        Machine.__post_init__(unchecked(table="rram_isaac"))


def test_an_array_too_narrow_for_a_packed_weight_is_refused():
    machine = model(dataflow="packed", array_columns=4)
    with pytest.raises(ValueError, match="array_columns is 4; a packed array holds whole weights, of 5 here"):
        layer_energy(stored(draw(4, 27)), Activity.all_ones(27), machine)


def unchecked(**changes):
    machine = object.__new__(Machine)
    for name, value in {**vars(model()), **changes}.items():
        object.__setattr__(machine, name, value)
    return machine


def test_layers_that_do_not_fit():
    layer = stored(draw(4, 27))
    with pytest.raises(ValueError, match="activity of 26 rows for a weight of 27"):
        layer_energy(layer, Activity.all_ones(26), model())
    with pytest.raises(ValueError, match="activity of 81 rows for a weight of 27 rows per output, 4 outputs"):
        layer_energy(layer, Activity.all_ones(81), model())  # three groups cannot share four outputs
    with pytest.raises(ValueError, match="layer conv1: activity of 26 rows"):
        network_energy({"conv1": layer}, {"conv1": Activity.all_ones(26)}, model())
    with pytest.raises(ValueError, match="layer conv1 has no activity; there is fc"):
        network_energy({"conv1": layer}, {"fc": Activity.all_ones(27)}, model())
    with pytest.raises(ValueError, match="layer conv1 has no activity; there is none"):
        network_energy({"conv1": layer}, {}, model())
    with pytest.raises(ValueError, match=r"codes span -?\d+\.\.\d+, .*-7\.\.7"):
        layer_energy(stored(draw(4, 27), bits=4), Activity.all_ones(27), model())


def test_activities_that_cannot_be():
    one = torch.ones(3, dtype=torch.float64)
    for row_ones, reads, input_bits, message in (
        (one * 17, 2, 8, r"row_ones span 17\.\.17, allowed are 0\.\.reads \* input_bits = 16"),
        (-one, 2, 8, r"row_ones span -1\.\.-1"),
        (one * math.nan, 2, 8, "row_ones span nan"),
        (one, 0, 8, "reads is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Activity(row_ones, reads, input_bits)
    with pytest.raises(ValueError, match="1 and 8 input bits"):
        Activity.all_ones(3) + Activity(one, 1, 8)


def test_transposed_convolutions_are_named_and_may_be_left_out():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ConvTranspose2d(4, 4, 3))
    images = torch.ones(1, 4, 8, 8)
    with pytest.raises(
        ValueError, match=r"layer 1 is ConvT.*, allowed are Conv1d, Conv2d, Conv3d and Linear; "
    ):
        activation_scales(network, images)
    assert not network[0]._forward_pre_hooks
    scales = activation_scales(network, images, layers=["0"])
    assert scales.keys() == measure_activity(network, images, scales=scales, layers=["0"]).keys() == {"0"}
    with quantized_activations(network, scales, layers=["0"]):
        assert not network[1]._forward_pre_hooks


def test_images_and_scales_that_cannot_be():
    layer = nn.Linear(3, 2)
    images = torch.ones(4, 3)
    scales = {"": InputScale(1.0, False)}
    broken = images.clone()
    broken[0, 0] = math.nan
    with pytest.raises(ValueError, match="1 values of the images are NaN or infinite"):
        measure_activity(layer, broken, scales=scales)
    with pytest.raises(ValueError, match="layer  has no scale, there are scales for fc"):
        measure_activity(layer, images, scales={"fc": InputScale(1.0, False)})
    assert not layer._forward_pre_hooks
    for bits in (0, 17):
        with pytest.raises(ValueError, match=rf"input_bits is {bits}, allowed are 1\.\.16"):
            measure_activity(layer, images, bits, scales=scales)
    for scale in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"an input's scale is {scale}"):
            quantize_inputs(images, InputScale(scale, True))
    for percentile in (0.0, 101.0, math.nan):
        with pytest.raises(ValueError, match=f"percentile is {percentile}"):
            activation_scales(layer, images, percentile)


@pytest.mark.parametrize("percentile", [None, 50.0])
def test_a_layer_whose_inputs_are_not_finite_is_named_in_any_batch(percentile):
    class Logarithm(nn.Sequential):
        def forward(self, images):
            return self[1](self[0](images).log())

    network = Logarithm(nn.Linear(2, 2, bias=False), nn.Linear(2, 1))
    nn.init.eye_(network[0].weight)
    good = torch.ones(4, 2)
    for bad in (-good, 0 * good):
        for images in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match="8 of 8 inputs of layer 1 are NaN or infinite"):
                activation_scales(network, torch.cat(images), percentile, batch_size=4)


@pytest.mark.parametrize(
    ("lrs", "hrs", "volt", "message"),
    [
        (1e6, 1e4, 0.2, r"r_lrs_ohm is 1e\+06, r_hrs_ohm 10000"),
        (0.0, 1e4, 0.2, "r_lrs_ohm is 0"),
        (1e4, 1e6, -0.2, "v_read_v is -0.2"),
        (1e4, math.nan, 0.2, "r_hrs_ohm nan"),
    ],
)
def test_devices_that_cannot_be(lrs, hrs, volt, message):
    with pytest.raises(ValueError, match=message):
        bit_truth_table(lrs, hrs, volt)


def test_control_of_nothing():
    with pytest.raises(ValueError, match="weights_by_layer is empty"):
        encoding_control({}, SLIDES)


def test_a_layer_that_was_changed_in_place_is_priced_anew():
    codes = draw(4, 27)
    layer = StoredLayer(codes, 1.0, torch.ones_like(codes, dtype=torch.bool))
    once = Activity.all_ones(27)
    before = layer_energy(layer, once, model())["cells_j"]
    codes.zero_()
    assert layer_energy(layer, once, model())["cells_j"] == pytest.approx(108 * 0.316e-12) != before
