"""The crossbar against integer products, a plain loop over bits and slices, and the energy's own counts."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from companion.study.zoo import DigitsNet
from twofold.codes.cells import to_cells
from twofold.codes.encodings import ENCODINGS, encode, slice_codes
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import CellTable, cell_table, load_cell_table, ternary_table
from twofold.crossbar.adc import ADC_RANGES, Adc, adc_energy_j, lossless_bits
from twofold.crossbar.device import Device
from twofold.crossbar.matrix import Crossbar, ProgrammedMatrix
from twofold.crossbar.network import on_crossbars, program
from twofold.crossbar.serial import bit_patterns, column_sums, columns_of
from twofold.energy.machine import Machine
from twofold.energy.price import layer_energy
from twofold.inputs.activity import Activity, measure_activity
from twofold.inputs.scales import InputScale, activation_scales, quantize_inputs, quantized_activations
from twofold.inputs.windows import windows
from twofold.layer import StoredLayer, weight_layers
from twofold.sparsity.twofold import Twofold

SLICES = [(2, 2, 2, 2), (1, 1, 2, 2, 2), (1,) * 8, (3, 3, 3), (4, 4), (2, 3, 3)]
NO_ADC = Adc(range_rule="none")


def draw(*shape, low=-127, high=127, seed=0):
    return torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(seed))


def stored(codes, scale=1.0, **others):
    """A layer of these codes, none of them removed."""
    return StoredLayer(codes, scale, torch.ones_like(codes, dtype=torch.bool), **others)


def product(codes, inputs, signed=False, **changes):
    return ProgrammedMatrix(codes, Crossbar(**{"adc": NO_ADC, **changes})).product(inputs, signed)


# ---- slices ----


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("slices", SLICES, ids=str)
def test_slices_and_their_factors_make_up_every_code(slices, encoding):
    codes = torch.arange(-127, 128)[None]
    sliced = slice_codes(codes, 8, encoding, slices)
    factors = torch.tensor(sliced.factors)[:, None, None]
    assert torch.equal((sliced.levels * factors).sum(0) + sliced.offset, codes)
    tops = [2**bits - 1 for bits in sliced.slice_bits]
    assert sliced.levels.amax((1, 2)).tolist() <= tops


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("cell_bits, count", [(1, 8), (2, 4), (3, 3), (4, 2)])
def test_stored_slices_are_the_cells_whose_energy_is_charged(cell_bits, count, encoding):
    codes = draw(5, 9)
    sliced = slice_codes(codes, 8, encoding, (cell_bits,) * count)
    cells = to_cells(encode(codes, 8, encoding), 8, cell_bits, encoding)
    assert torch.equal(sliced.levels[: sliced.stored].movedim(0, -1), cells)


def test_only_mixed_signs_need_more_cells():
    codes = draw(3, 4)
    extra = {
        (encoding, slices): len((s := slice_codes(codes, 8, encoding, slices)).slice_bits) - s.stored
        for encoding in ENCODINGS
        for slices in ((2, 2, 2, 2), (1, 1, 2, 2, 2))
    }
    assert extra == {
        ("twos_complement", (2, 2, 2, 2)): 1,
        ("twos_complement", (1, 1, 2, 2, 2)): 0,
        ("offset_binary", (2, 2, 2, 2)): 0,
        ("offset_binary", (1, 1, 2, 2, 2)): 0,
        ("sign_magnitude", (2, 2, 2, 2)): 4,
        ("sign_magnitude", (1, 1, 2, 2, 2)): 5,
        ("differential", (2, 2, 2, 2)): 0,
        ("differential", (1, 1, 2, 2, 2)): 0,
    }


# ---- exactness ----


@settings(max_examples=120, deadline=None)
@given(
    data=st.data(),
    encoding=st.sampled_from(ENCODINGS),
    bits=st.sampled_from([2, 5, 8, 11, 16]),
    input_bits=st.sampled_from([1, 4, 8, 9, 16]),
    signed=st.booleans(),
    rule=st.sampled_from(["none", "worst_case", "active_rows"]),
)
def test_product_is_that_of_the_integers(data, encoding, bits, input_bits, signed, rule):
    widths, left = [], bits
    while left > 0:
        widths.insert(0, data.draw(st.integers(1, 4)))
        left -= widths[0]
    rows, out, positions = (data.draw(st.integers(1, n)) for n in (40, 5, 20))
    array_rows = data.draw(st.integers(1, 50))
    limit = code_limit(bits)
    low, high = (-(2 ** (input_bits - 1)), 2 ** (input_bits - 1) - 1) if signed else (0, 2**input_bits - 1)
    seed = data.draw(st.integers(0, 99))
    codes = draw(out, rows, low=-limit, high=limit, seed=seed)
    inputs = draw(rows, positions, low=low, high=high, seed=seed + 1)
    # 50 rows of 4-bit cells sum up to 750: ten bits tell them all apart, so such an ADC is lossless.
    machine = Crossbar(
        adc=Adc(range_rule=rule, bits=10),
        encoding=encoding,
        bits=bits,
        slices=tuple(widths),
        input_bits=input_bits,
        array_rows=array_rows,
    )
    found = ProgrammedMatrix(codes, machine).product(inputs, signed)
    assert torch.equal(found, (codes @ inputs).double())


@pytest.mark.parametrize("leak", ["reference", "digital"])
def test_leak_of_real_cells_is_taken_off_before_or_after_a_fine_converter(leak):
    codes, inputs = draw(6, 60), draw(60, 40, low=0, high=255)
    device = Device(
        r_hrs_ohm=50e3, leak=leak
    )  # an on/off ratio of 5: level 0 leaks three quarters of a level
    exact = (codes @ inputs).double()
    assert torch.allclose(product(codes, inputs, device=device), exact)
    if leak == "reference":
        adc = Adc(range_rule="worst_case", bits=9)
        assert torch.equal(product(codes, inputs, device=device, adc=adc), exact)
    leaking = product(codes, inputs, device=Device(r_hrs_ohm=50e3, leak="none"))
    # Each unit of input adds every slice's leak: 3/4 of a level of 2 bits, a quarter of the sign's level.
    per_unit = 0.75 * 85 - 0.25 * 256
    torch.testing.assert_close(leaking - exact, (per_unit * inputs.sum(0).double()).expand(6, -1))


def test_both_ways_through_the_processor_are_one(monkeypatch):
    codes, inputs = draw(6, 200), draw(200, 77, low=0, high=255)
    adc = Adc(range_rule="active_rows", bits=5)
    results = []
    for fast in (True, False):
        monkeypatch.setattr("twofold.crossbar.matrix.has_integer_units", lambda fast=fast: fast)
        results.append(product(codes, inputs, adc=adc))
    assert torch.equal(*results)


# ---- the converter ----


def nearest(numerator, denominator):
    """Whole numbers nearest to quotients of integers, of two the even one: by integers alone."""
    doubled = 2 * numerator + denominator
    upper, tied = doubled // (2 * denominator), doubled % (2 * denominator) == 0
    return upper - (tied & (upper % 2 == 1)).long()


def by_the_loop(codes, inputs, signed, machine, full_scale):
    """One input bit, slice and row group after another, in plain torch; `full_scale` of group and slice."""
    sliced = slice_codes(codes, machine.bits, machine.encoding, machine.slices)
    highest = 2**machine.adc.bits - 1
    total = torch.zeros(len(codes), inputs.shape[1], dtype=torch.float64)
    for bit in range(machine.input_bits):
        carried = inputs >> bit & 1
        place = -(2**bit) if signed and bit == machine.input_bits - 1 else 2**bit
        for s, (levels, factor) in enumerate(zip(sliced.levels, sliced.factors, strict=True)):
            for g, first in enumerate(range(0, codes.shape[1], machine.array_rows)):
                rows = slice(first, first + machine.array_rows)
                current = levels[:, rows].long() @ carried[rows]
                most = int(full_scale(g, s))
                number = nearest(current * highest, most) if most > highest else current
                step = max(1.0, most / highest)
                total += place * factor * step * number.clamp(0, highest).double()
    return total + sliced.offset * inputs.sum(0)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rule", ["worst_case", "active_rows", "calibrated"])
def test_converted_product_is_that_of_a_plain_loop(rule, signed, encoding):
    codes, inputs = draw(7, 90), draw(90, 30, low=-128 * signed, high=255 - 128 * signed, seed=2)
    machine = Crossbar(
        adc=Adc(range_rule=rule, bits=5, percentile=90.0),
        encoding=encoding,
        slices=(1, 1, 2, 4),
        array_rows=64,
    )
    matrix = ProgrammedMatrix(codes, machine)
    widths = slice_codes(codes, 8, encoding, machine.slices).slice_bits
    if rule == "calibrated":
        with pytest.raises(ValueError, match="has observed no calibration inputs"):
            matrix.product(inputs, signed)
        matrix.observe(inputs, signed)
        scales = matrix.full_scales()
    else:
        rows = [64, 64] if rule == "worst_case" else [64, 26]
        scales = torch.tensor([[n * (2**bits - 1) for bits in widths] for n in rows])
    assert torch.equal(matrix.full_scales(), scales.double())
    found = matrix.product(inputs, signed)
    expected = by_the_loop(codes, inputs, signed, machine, lambda g, s: float(scales[g, s]))
    # Real steps round in float32; one number of a converter more or less would be off by 1 at least.
    torch.testing.assert_close(found, expected, rtol=0, atol=0.5)
    assert not torch.equal(found, (codes @ inputs).double())


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("bits", [8, 9])
def test_a_sum_of_many_groups_is_beyond_float32_and_exact(bits, fast, monkeypatch):
    """What a group adds up fits float32; the product does not, and its last bit is lost there."""
    monkeypatch.setattr("twofold.crossbar.matrix.has_integer_units", lambda: fast)
    codes, inputs = draw(3, 700, low=120, high=127), draw(700, 20, low=230, high=255, seed=2)
    machine = Crossbar(adc=Adc(range_rule="active_rows", bits=bits))
    full = torch.tensor([min(128, 700 - first) for first in range(0, 700, 128)])
    tops = [2**width - 1 for width in slice_codes(codes, 8, machine.encoding, machine.slices).slice_bits]
    expected = by_the_loop(codes, inputs, False, machine, lambda g, s: int(full[g]) * tops[s])
    assert bool((expected > 2**24).all())
    found = ProgrammedMatrix(codes, machine).product(inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    if bits == 9:  # a number for each current, and odd sums among them
        assert bool((expected % 2 == 1).any())
        assert torch.equal(found, (codes @ inputs).double())


TIED = Crossbar(adc=NO_ADC, encoding="offset_binary", bits=2, slices=(2,), input_bits=1)
"""One slice of 2-bit cells and one input bit: a column's number is its result, but for step and offset."""


def all_sums(rows):
    """Three columns that add up to every sum from 1 to three levels a row, by the rows that carry a 1."""
    codes = torch.ones(3, rows, dtype=torch.long)  # level 3
    codes[1, 0], codes[2, 0] = 0, -1  # levels 2 and 1
    return codes, torch.ones(rows, rows, dtype=torch.long).triu()


def numbers(codes, inputs, machine, step):
    """What the converters gave, from the product of `TIED`."""
    matrix = ProgrammedMatrix(codes, machine)
    digital = matrix._offset
    if machine.device.leak == "digital":
        digital -= machine.device.leak_levels(2)
    found = (matrix.product(inputs) - digital * inputs.sum(0)) / step
    torch.testing.assert_close(found, found.round(), rtol=0, atol=1e-3)
    return found.round().long()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("chunk", [2**19, 64])
@pytest.mark.parametrize("rows, bits", [(12, 4), (16, 4), (16, 5), (40, 3), (128, 7), (128, 8), (50, 1)])
def test_of_two_numbers_equally_near_the_even_one_is_taken(rows, bits, chunk, fast, monkeypatch):
    monkeypatch.setattr("twofold.crossbar.matrix.has_integer_units", lambda: fast)
    monkeypatch.setattr("twofold.crossbar.serial._CHUNK", chunk)
    codes, inputs = all_sums(rows)
    full, highest = 3 * rows, 2**bits - 1
    machine = replace(TIED, adc=Adc(range_rule="active_rows", bits=bits))
    sums = (codes + 2) @ inputs
    expected = nearest(sums * highest, torch.tensor(full))
    tied = 2 * sums * highest % (2 * full) == full
    assert bool(tied.any())
    assert torch.equal(numbers(codes, inputs, machine, full / highest), expected)
    assert not bool((expected[tied] % 2).any())


def test_ties_written_out():
    """16 rows of 2-bit cells, 48 levels on 15 steps: 8, 24 and 40 levels are 2.5, 7.5 and 12.5 steps."""
    codes, inputs = all_sums(16)
    found = numbers(codes, inputs, replace(TIED, adc=Adc(range_rule="active_rows", bits=4)), 48 / 15)
    sums = (codes + 2) @ inputs
    assert [found[sums == levels].tolist() for levels in (8, 24, 40)] == [[2], [8], [12]]


def exact_quotients(rows, bits, device):
    """Currents of `all_sums` in steps of a converter, as exact ratios, and the numbers made of them."""
    on, off = Fraction(device.r_lrs_ohm), Fraction(device.r_hrs_ohm)
    each = 3 * on / (off - on)
    assert float(device.leak_ratio(2)) == pytest.approx(float(each), rel=1e-12)
    codes, inputs = all_sums(rows)
    sums, ones = ((codes + 2) @ inputs).tolist(), inputs.sum(0).tolist()
    step = rows * (3 + each) / (2**bits - 1)
    quotients = [[(s + each * n) / step for s, n in zip(row, ones, strict=True)] for row in sums]
    machine = replace(TIED, adc=Adc(range_rule="active_rows", bits=bits), device=device)
    return quotients, numbers(codes, inputs, machine, float(step)).tolist()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("chunk", [2**19, 64])
@pytest.mark.parametrize("leak", ["digital", "none"])
@pytest.mark.parametrize("r_hrs_ohm", [50e3, 1e6, 123456.0])
@pytest.mark.parametrize("rows, bits", [(12, 4), (16, 3), (100, 5), (128, 8)])
def test_ties_with_a_leak_are_those_of_exact_ratios(rows, bits, r_hrs_ohm, leak, chunk, fast, monkeypatch):
    monkeypatch.setattr("twofold.crossbar.matrix.has_integer_units", lambda: fast)
    monkeypatch.setattr("twofold.crossbar.serial._CHUNK", chunk)
    quotients, found = exact_quotients(rows, bits, Device(r_hrs_ohm=r_hrs_ohm, leak=leak))
    assert any(quotient.denominator == 2 for row in quotients for quotient in row)
    # Python rounds an exact half to the even number.
    assert found == [[round(quotient) for quotient in row] for row in quotients]


def test_of_resistances_with_many_digits_a_float_decides_a_tie():
    """No unit makes whole numbers of their currents that a float could hold; all but ties are right."""
    device = Device(r_lrs_ohm=math.pi * 1e4, r_hrs_ohm=math.e * 1e6, leak="digital")
    for ours, exact in zip(*exact_quotients(100, 5, device)[::-1], strict=True):
        for number, quotient in zip(ours, exact, strict=True):
            assert abs(number - quotient) <= Fraction(1, 2) + Fraction(1, 10**6)


def test_calibrated_range_is_the_percentile_of_the_currents():
    codes, inputs = draw(4, 30), draw(30, 50, low=0, high=255)
    for percentile in (50.0, 99.0, 100.0):
        machine = Crossbar(adc=Adc(range_rule="calibrated", percentile=percentile), encoding="offset_binary")
        matrix = ProgrammedMatrix(codes, machine)
        for part in inputs.split(20, dim=1):
            matrix.observe(part, False)
        levels = slice_codes(codes, 8, "offset_binary", (2, 2, 2, 2)).levels
        for s in range(4):
            currents = (
                torch.cat([levels[s].long() @ (inputs >> bit & 1) for bit in range(8)])
                .flatten()
                .sort()
                .values
            )
            expected = currents[math.ceil(percentile / 100 * len(currents)) - 1]
            assert matrix.full_scales()[0, s] == expected


def test_worked_example_of_the_converter():
    device = Device(r_lrs_ohm=10e3, r_hrs_ohm=1e6)
    unit_a = 0.2 * device.level_s(2)
    assert unit_a == pytest.approx(6.6e-6)
    assert 384 * unit_a == pytest.approx(2.53e-3, rel=2e-3)
    codes = draw(4, 27)
    worst = ProgrammedMatrix(codes, Crossbar(adc=Adc(range_rule="worst_case"))).full_scales()
    active = ProgrammedMatrix(codes, Crossbar(adc=Adc(range_rule="active_rows"))).full_scales()
    assert worst.tolist() == [[384, 384, 384, 384, 128]]
    assert active.tolist() == [[81, 81, 81, 81, 27]]
    assert Adc(range_rule="worst_case").step(384) * unit_a == pytest.approx(9.9e-6, rel=5e-3)
    assert Adc(range_rule="worst_case", bits=9).step(384) == 1
    assert Adc(range_rule="active_rows", bits=7).step(81) == 1
    assert Adc(range_rule="calibrated", bits=6).step(40) == 1


def test_walden_doubles_with_every_bit():
    assert adc_energy_j(8, 10e-15) == pytest.approx(2.56e-12)
    assert adc_energy_j(9, 1e-15) == 2 * adc_energy_j(8, 1e-15)


@pytest.mark.parametrize("cell_bits, slices", [(1, (1,) * 8), (2, (2,) * 4), (3, (3,) * 3), (4, (4, 4))])
@pytest.mark.parametrize("rows", [2, 5, 8, 16, 27, 64, 128])
def test_lossless_bits_are_enough_and_one_less_is_not(rows, cell_bits, slices):
    assert lossless_bits(rows, cell_bits) == math.ceil(math.log2(rows * (2**cell_bits - 1) + 1))
    # A column of cells at the top level and one of cells at level 1; each input vector opens a row more.
    top = (2**cell_bits - 1) * torch.ones(rows, dtype=torch.long)
    codes = torch.stack([top, torch.ones_like(top)]) - 128
    inputs = torch.ones(rows, rows, dtype=torch.long).triu()

    def converted(bits):
        adc = Adc(range_rule="active_rows", bits=bits)
        return product(codes, inputs, adc=adc, encoding="offset_binary", slices=slices, input_bits=1)

    exact = (codes @ inputs).double()
    enough = lossless_bits(rows, cell_bits)
    assert torch.equal(converted(enough), exact)
    assert not torch.equal(converted(enough - 1), exact)


@pytest.mark.parametrize("rows, cell_bits, message", [(0, 2, "rows are 0"), (8, 5, "cell_bits is 5")])
def test_columns_that_do_not_exist_have_no_lossless_bits(rows, cell_bits, message):
    with pytest.raises(ValueError, match=message):
        lossless_bits(rows, cell_bits)


# ---- devices ----


def test_effects_are_a_function_of_the_seed_and_the_layer():
    codes, inputs = draw(6, 50), draw(50, 20, low=0, high=255)

    def run(seed, name="a"):
        device = Device(variation=0.1, stuck_hrs=0.01, stuck_lrs=0.01, read_noise=0.02, seed=seed)
        machine = Crossbar(adc=Adc(range_rule="active_rows"), device=device)
        return ProgrammedMatrix(codes, machine, name).product(inputs)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert not torch.equal(run(0), run(0, "b"))


def test_variation_keeps_the_mean_and_has_the_spread_that_it_names():
    levels = torch.full((400_000,), 2, dtype=torch.uint8)
    device = Device(variation=0.2)
    held = device.program(levels, 2, torch.Generator().manual_seed(0)) + device.leak_levels(2)
    true = 2 + device.leak_levels(2)
    assert float(held.mean()) == pytest.approx(true, rel=2e-3)
    assert float(held.std()) == pytest.approx(0.2 * true, rel=1e-2)
    assert float(held.log().std()) == pytest.approx(math.sqrt(math.log(1.04)), rel=1e-2)


def test_stuck_cells_are_as_many_as_named():
    levels = torch.full((200_000,), 1, dtype=torch.uint8)
    held = Device(stuck_hrs=0.1, stuck_lrs=0.02).program(levels, 2, torch.Generator().manual_seed(0))
    shares = [float((held == level).double().mean()) for level in (0, 1, 3)]
    assert shares == pytest.approx([0.1, 0.88, 0.02], abs=3e-3)


def test_read_noise_of_independent_cells_adds_in_squares():
    codes = torch.full((1, 16), 1)
    inputs = torch.full((16, 20_000), 1)
    device = Device(r_hrs_ohm=math.inf, read_noise=0.1)
    machine = Crossbar(adc=NO_ADC, encoding="offset_binary", slices=(1,) * 8, input_bits=1, device=device)
    found = ProgrammedMatrix(codes, machine).product(inputs)
    # 129 = 10000001: 16 cells at place 128, 16 at place 1.
    assert float(found.mean()) == pytest.approx(16, abs=1)
    assert float(found.std()) == pytest.approx(0.1 * math.sqrt(16 * 128**2 + 16), rel=2e-2)


def test_own_levels_are_taken_as_they_are():
    device = Device(conductances_s={2: (1e-6, 30e-6, 70e-6, 100e-6)})
    held = device.program(torch.arange(4, dtype=torch.uint8), 2, torch.Generator())
    torch.testing.assert_close(held, torch.tensor([0, 29, 69, 99], dtype=torch.float64) / 33)
    codes, inputs = draw(3, 20), draw(20, 9, low=0, high=255)
    even = Device(conductances_s={2: tuple(Device().conductances(2).tolist())})
    torch.testing.assert_close(product(codes, inputs, device=even), (codes @ inputs).double())


@pytest.mark.parametrize("name", ["rram_2bit_cell", "rram_neurosim", "rram_isaac", "rram_neurram"])
def test_conductances_are_those_of_the_joules(name):
    """``E = V^2 G t``: one table says what a read costs and what the array computes with."""
    table = load_cell_table(name)
    device = Device.of_table(table, variation=0.1, seed=7)
    assert (device.variation, device.seed) == (0.1, 7)
    siemens = device.conductances(2)
    joules = torch.tensor(table.energy_j, dtype=torch.float64)
    torch.testing.assert_close(siemens / siemens[3], joules / joules[3])
    assert torch.equal(device.conductances(1), siemens[:2])  # a sign's cell: levels 0 and 1
    if table.read_v is not None:
        torch.testing.assert_close(siemens * table.read_v**2 * table.read_s, joules, rtol=1e-12, atol=0)
    assert device.r_lrs_ohm == pytest.approx(1 / float(siemens[3]))
    assert device.r_hrs_ohm == pytest.approx(1 / float(siemens[0]))


def test_levels_of_the_slides_cells():
    device = Device.of_table(load_cell_table())
    held = device.program(torch.arange(4, dtype=torch.uint8), 2, torch.Generator())
    joules = (0.079, 0.36, 0.73, 1.49)
    assert held.tolist() == pytest.approx([3 * (e - joules[0]) / (joules[3] - joules[0]) for e in joules])
    assert device.leak_levels(2) == pytest.approx(3 * 0.079 / (1.49 - 0.079))
    assert device.r_hrs_ohm / device.r_lrs_ohm == pytest.approx(1.49 / 0.079)  # 18.9
    assert device.r_lrs_ohm == pytest.approx(10e3)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_uneven_levels_are_what_the_array_adds_up(encoding):
    """With the levels in the place of the digits the product is a plain one; the digits' it is not."""
    codes, inputs = draw(5, 40), draw(40, 12, low=0, high=255)
    device = Device.of_table(load_cell_table())
    slides = torch.tensor(load_cell_table().energy_j, dtype=torch.float64) - load_cell_table().energy_j[0]
    sliced = slice_codes(codes, 8, encoding, (2, 2, 2, 2))
    worth = torch.zeros(5, 40, dtype=torch.float64) + sliced.offset
    for levels, bits, factor in zip(sliced.levels, sliced.slice_bits, sliced.factors, strict=True):
        top = 2**bits - 1
        worth += factor * top * slides[levels.long()] / slides[top]
    found = product(codes, inputs, device=device, encoding=encoding)
    torch.testing.assert_close(found, worth @ inputs.double(), rtol=1e-5, atol=1.0)
    fine = product(
        codes, inputs, device=device, encoding=encoding, adc=Adc(range_rule="active_rows", bits=16)
    )
    # Half a level of rounding at most, for 40 rows at each of 8 input bits, in every slice.
    assert float((fine - found).abs().max()) <= 0.5 * 255 * sum(abs(factor) for factor in sliced.factors) + 1
    assert float((found - codes @ inputs).abs().max()) > 1000


@pytest.mark.parametrize("name", ["rram_neurosim", "rram_isaac", "rram_neurram"])
@pytest.mark.parametrize("leak", ["reference", "digital"])
def test_even_cells_of_a_table_compute_the_product(name, leak):
    codes, inputs = draw(5, 40), draw(40, 12, low=0, high=255)
    device = Device.of_table(load_cell_table(name), leak=leak)
    torch.testing.assert_close(product(codes, inputs, device=device), (codes @ inputs).double())
    assert ProgrammedMatrix(codes, Crossbar(adc=NO_ADC, device=device))._whole
    slides = Device.of_table(load_cell_table().with_even_levels(), leak=leak)
    torch.testing.assert_close(product(codes, inputs, device=slides), (codes @ inputs).double())


def test_a_narrower_slice_uses_the_lowest_levels_and_a_wider_one_is_refused():
    table = cell_table({level: (1 + level) * 1e-15 for level in range(16)}, adc_energy_j=0.0)
    device = Device.of_table(table)
    for bits in (1, 2, 3, 4):
        siemens = device.conductances(bits)
        assert (siemens / siemens[0]).tolist() == pytest.approx(list(range(1, 2**bits + 1)))
    codes = draw(2, 3)
    with pytest.raises(ValueError, match="cells of 4 bits, but conductances are those of cells of at most 2"):
        slides = Device.of_table(load_cell_table())
        ProgrammedMatrix(codes, Crossbar(adc=NO_ADC, slices=(4, 4), device=slides))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            ternary_table(minus_energy_j=3e-15, zero_energy_j=1e-15, plus_energy_j=2e-15, adc_energy_j=0.0),
            "table ternary has no energy for level 10",
        ),
        (
            CellTable("flat", 1, (1e-15, 1e-15), 0.0),
            "table flat gives the levels 1e-15, 1e-15 J; levels 1 and",
        ),
        (CellTable("dip", 2, (2.0, 1.0, 3.0, 4.0), 0.0), "levels 1 and top must take more than level 0"),
    ],
)
def test_tables_that_give_no_conductances(table, message):
    with pytest.raises(ValueError, match=message):
        Device.of_table(table)


# ---- counts ----


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    encoding=st.sampled_from(ENCODINGS),
    cell=st.sampled_from([(1, 8), (2, 4), (3, 3), (4, 2)]),
    array_rows=st.integers(1, 40),
    signed=st.booleans(),
)
def test_counts_are_those_of_the_energy(data, encoding, cell, array_rows, signed):
    cell_bits, count = cell
    out, rows, reads = (data.draw(st.integers(1, n)) for n in (6, 50, 30))
    codes = draw(out, rows)
    inputs = draw(rows, reads, low=-128 * signed, high=255 - 128 * signed)
    machine = Crossbar(adc=NO_ADC, encoding=encoding, slices=(cell_bits,) * count, array_rows=array_rows)
    matrix = ProgrammedMatrix(codes, machine)
    for part in inputs.split(7, dim=1):
        matrix.product(part, signed, count=True)
    ones = sum((inputs >> bit & 1).sum(1) for bit in range(8))
    assert torch.equal(matrix.activity.row_ones, ones.double())

    table = CellTable("any", cell_bits, (1e-12,) * 2**cell_bits, 0.0)
    model = replace(
        Machine.cells_only(table, "crossbar"), encoding=encoding, adc_rule="column", array_rows=array_rows
    )
    charged = layer_energy(stored(codes), matrix.activity, model)
    counts = matrix.counts(matrix.activity.reads)
    assert {k: counts[k] for k in ("cells", "sign_cells")} == {k: charged[k] for k in ("cells", "sign_cells")}
    assert counts["conversions"] + counts["sign_conversions"] == charged["conversions"]
    # With every cell at 1 pJ the array's energy is the number of cells that a one met.
    assert charged["cells_j"] == pytest.approx(
        1e-12 * float(ones.sum()) * out * matrix.counts(1)["cells"] / out / rows
    )


# ---- networks ----


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "padding": (0, 2), "stride": (3, 1), "dilation": (2, 1)},
    {"kernel_size": 4, "padding": "same", "dilation": (1, 2)},
    {"kernel_size": 3, "padding": "valid", "stride": 2},
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_convolution_on_crossbars_is_torchs(arguments):
    torch.manual_seed(0)
    layer = nn.Conv2d(5, 4, **arguments)
    codes, images = draw(*layer.weight.shape), torch.randn(3, 5, 11, 9)
    layer.weight.data.copy_(codes * 1.5 / 127)
    scale = InputScale(2.0, True)
    with on_crossbars(
        layer,
        {"": stored(codes, 1.5)},
        {"": scale},
        Crossbar(adc=NO_ADC),
    ):
        found = layer(images)
    inputs = quantize_inputs(images, scale).double() * 2 / 127
    bias = layer.bias.double()
    arguments = {k: v for k, v in arguments.items() if k != "kernel_size"}
    expected = functional.conv2d(inputs, codes.double() * 1.5 / 127, bias, **arguments)
    torch.testing.assert_close(found, expected.float())
    assert torch.equal(
        windows(quantize_inputs(images, scale), nn.Conv2d(5, 4, 3)).float(),
        functional.unfold(quantize_inputs(images, scale).float(), 3).transpose(0, 1).flatten(1),
    )


@pytest.fixture(scope="module")
def digits():
    torch.manual_seed(0)
    model = DigitsNet().eval()
    layers = Twofold(model).finish()
    images = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return model, layers, images, activation_scales(model, images)


def test_network_without_converter_is_w8a8(digits):
    model, layers, images, scales = digits
    with torch.no_grad():
        plain = model(images)
        with quantized_activations(model, scales):
            expected = model(images)
        for adc in (NO_ADC, Adc(range_rule="worst_case", bits=9)):
            with on_crossbars(model, layers, scales, Crossbar(adc=adc)):
                found = model(images)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(model(images), plain)


def test_counted_ones_of_a_network_are_the_energy_s(digits):
    model, layers, images, scales = digits
    machine = Crossbar(adc=Adc(range_rule="calibrated", bits=4), array_rows=64)
    matrices = program(layers, machine)
    with on_crossbars(model, layers, scales, machine, calibration=images[:20], matrices=matrices, count=True):
        activity = measure_activity(model, images, scales=scales, batch_size=16)
    for name, layer in weight_layers(model).items():
        assert torch.equal(matrices[name].activity.row_ones, activity[name].row_ones)
        reads = activity[name].reads
        assert matrices[name].activity.reads == reads
        slides = replace(Machine.cells_only(load_cell_table(), "crossbar"), adc_rule="column", array_rows=64)
        charged = layer_energy(layers[name], activity[name], slides)
        counts = matrices[name].counts(reads)
        assert counts["cells"] == charged["cells"]
        assert counts["conversions"] + counts["sign_conversions"] == charged["conversions"]
        assert counts["sign_cells"] * 4 == counts["cells"]
        assert layer.weight.requires_grad


def test_few_bits_disturb_a_network(digits):
    model, layers, images, scales = digits
    outputs = {}
    for bits in (3, 9):
        with (
            torch.no_grad(),
            on_crossbars(model, layers, scales, Crossbar(adc=Adc(range_rule="active_rows", bits=bits))),
        ):
            outputs[bits] = model(images)
    assert float((outputs[3] - outputs[9]).norm() / outputs[9].norm()) > 0.1


# ---- bad input ----


def test_columns_without_a_converter_have_no_time():
    matrix = ProgrammedMatrix(torch.ones(2, 3, dtype=torch.int8), Crossbar(adc=NO_ADC))
    with pytest.raises(ValueError, match="converters is 0, allowed are 1 or more"):
        matrix.conversion_cycles(reads=1, converters=0)


def unchecked(kind, **changes):
    """An object of its defaults and `changes`: in tests beartype would be first to refuse a wrong Literal."""
    made = object.__new__(kind)
    base = Adc(range_rule="none") if kind is Adc else kind(adc=NO_ADC) if kind is Crossbar else kind()
    for name, value in {**vars(base), **changes}.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            Adc,
            {"range_rule": "0"},
            "range_rule is '0', allowed are none, worst_case, active_rows, calibrated",
        ),
        (Adc, {"bits": 0}, "bits of the ADC are 0"),
        (Adc, {"percentile": 0.0}, "percentile is 0.0"),
        (Device, {"r_hrs_ohm": 1e3}, "r_lrs_ohm is 10000, r_hrs_ohm 1000"),
        (Device, {"leak": "some"}, "leak is 'some', allowed are none, reference, digital"),
        (Device, {"variation": -0.1}, "variation is -0.1"),
        (Device, {"read_noise": math.inf}, "read_noise is inf"),
        (Device, {"stuck_hrs": 0.7, "stuck_lrs": 0.4}, "stuck_hrs is 0.7, stuck_lrs 0.4"),
        (Device, {"seed": -1}, "seed is -1"),
        (Device, {"conductances_s": {2: (1.0, 2.0)}}, "conductances of 2-bit cells"),
        (Crossbar, {"slices": (2, 2, 2)}, r"slices are \[2, 2, 2\], 6 bits; needed are 8"),
        (Crossbar, {"slices": (8,)}, r"slices are \[8\], allowed are 1\.\.4 bits each"),
        (Crossbar, {"slices": ()}, r"slices are \[\]"),
        (Crossbar, {"encoding": "gray"}, "encoding is 'gray'"),
        (Crossbar, {"input_bits": 17}, "input_bits is 17"),
        (Crossbar, {"array_rows": 0}, "array_rows is 0"),
        (Crossbar, {"array_columns": 0}, "array_columns is 0"),
    ],
)
def test_machines_that_do_not_exist(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        kind.__post_init__(unchecked(kind, **changes))


@pytest.mark.parametrize("part", ["adc", "device"])
def test_a_crossbar_without_a_part_is_refused(part):
    with pytest.raises(TypeError, match=f"{part} is None, allowed is a {part.title()}"):
        Crossbar.__post_init__(unchecked(Crossbar, **{part: None}))


def test_inputs_and_networks_that_do_not_fit(digits):
    model, layers, _, scales = digits
    matrix = ProgrammedMatrix(draw(3, 4), Crossbar(adc=NO_ADC))
    with pytest.raises(ValueError, match="inputs of 5 rows for a matrix of 4 rows"):
        matrix.product(draw(5, 2))
    with pytest.raises(ValueError, match=r"inputs span 0\.\.256, allowed are 0\.\.255"):
        matrix.product(torch.tensor([[256], [0], [0], [0]]))
    with pytest.raises(ValueError, match=r"inputs span -129\.\.0, allowed are -128\.\.127"):
        matrix.product(torch.tensor([[-129], [0], [0], [0]]), signed=True)
    with pytest.raises(ValueError, match="fill no cell"):
        ProgrammedMatrix(torch.zeros(0, 4, dtype=torch.int8), Crossbar(adc=NO_ADC))
    for given_layers, given_scales, machine, message in (
        ({}, scales, Crossbar(adc=NO_ADC), "no codes of conv1, conv2, fc1, fc2"),
        (layers, {}, Crossbar(adc=NO_ADC), "layer conv1 has no scale"),
        (layers, scales, Crossbar(adc=Adc(range_rule="calibrated")), "give calibration images"),
    ):
        with (
            pytest.raises(ValueError, match=message),
            on_crossbars(model, given_layers, given_scales, machine),
        ):
            pass
    assert "forward" not in vars(model.conv1)
    grouped = nn.Conv2d(4, 4, 3, groups=2)
    with (
        pytest.raises(ValueError, match="allowed are Conv2d with groups=1"),
        on_crossbars(
            grouped,
            {"": stored(torch.ones(4, 2, 3, 3, dtype=torch.int8))},
            {"": InputScale(1.0, False)},
            Crossbar(adc=NO_ADC),
        ),
    ):
        pass
    with pytest.raises(ValueError, match=r"bits of the ADC are 0"):
        adc_energy_j(0, 1e-15)
    with pytest.raises(ValueError, match="figure_of_merit_j is -1"):
        adc_energy_j(8, -1.0)
    assert set(ADC_RANGES) == {"none", "worst_case", "active_rows", "calibrated"}


def test_planes_above_the_highest_bit_are_left_out_where_asked():
    patterns = bit_patterns(torch.tensor([[1, 4], [2, 0]]), 8, signed=False)
    columns = columns_of(torch.ones(1, 2), [slice(0, 2)], torch.float32, whole=False)
    ((_, _, short),) = column_sums(patterns, 8, columns, skip=True)
    assert short[:, :, 0].tolist() == [[1, 0], [1, 0], [0, 1]]
    ((_, _, whole),) = column_sums(patterns, 8, columns, skip=False)
    assert len(whole) == 8
    assert not whole[3:].any()
    assert Activity.all_ones(1).reads == 1


@pytest.mark.parametrize("cell_bits", [1, 2, 3, 4])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cells_of_a_users_own_table_make_the_array_that_the_energy_is_of(cell_bits, encoding):
    """One table of 1 to 4 bits a cell decides slices, product and cells alike."""
    table = cell_table({level: 1e-15 * (1 + level) for level in range(2**cell_bits)}, adc_energy_j=1e-13)
    slices = (cell_bits,) * -(-8 // cell_bits)
    machine = Crossbar(adc=Adc(range_rule="none"), encoding=encoding, slices=slices)
    generator = torch.Generator().manual_seed(cell_bits)
    codes = torch.randint(-127, 128, (5, 70), generator=generator, dtype=torch.int8)
    inputs = torch.randint(0, 256, (70, 9), generator=generator, dtype=torch.uint8)
    matrix = ProgrammedMatrix(codes, machine)
    product = matrix.product(inputs, count=True)
    assert torch.equal(product, codes.double() @ inputs.double())
    model = replace(Machine.cells_only(table, "crossbar"), encoding=encoding, adc_rule="column")
    row = layer_energy(stored(codes), matrix.activity, model)
    assert matrix.counts(9)["cells"] == row["cells"]
    # the levels in the array, each read as often as its row carried a 1, at the table's price
    joules = torch.tensor(table.energy_j, dtype=torch.float64)[matrix.cells[: matrix._stored].long()]
    assert float((joules.sum((0, 1)) * matrix.activity.row_ones).sum()) == pytest.approx(row["cells_j"])


def test_codes_of_other_bits_than_the_machines_are_refused():
    """They would be read as another fraction of the scale, and the outputs be wrong without a word."""
    model = nn.Sequential(nn.Linear(6, 3))
    layers, inputs = Twofold(model, bits=4).finish(), torch.rand(3, 6)
    scales = activation_scales(model, inputs)
    with pytest.raises(ValueError, match="layer 0 has codes of 4 bits, the machine of 8"):
        with on_crossbars(model, layers, scales, Crossbar(adc=NO_ADC)):
            pass
    machine = Crossbar(adc=NO_ADC, bits=4, slices=(2, 2))
    expected = model(inputs).detach()
    with on_crossbars(model, layers, scales, machine) as analog:
        assert float((analog(inputs) - expected).abs().max()) < 0.01
    with torch.no_grad():
        model[0].weight *= 1.01
    with pytest.raises(ValueError, match="the weight of layer 0 is not what its codes mean as 4 bits"):
        with on_crossbars(model, layers, scales, machine):
            pass


class Handed(nn.Module):
    """One layer is called; of another the weight is handed to a function, and so is a bare parameter."""

    def __init__(self):
        super().__init__()
        self.called, self.handed = nn.Linear(6, 6), nn.Linear(6, 6)
        self.bare = nn.Parameter(torch.randn(6, 6))

    def forward(self, inputs):
        return functional.linear(self.called(inputs), self.handed.weight, self.handed.bias) @ self.bare


def test_no_image_at_all_gives_no_output():
    """As of an expert whom no token was sent."""
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)), torch.rand(2, 1, 4, 4)
    layers = Twofold(model, density=0.5).finish()
    scales = activation_scales(model, images)
    with on_crossbars(model, layers, scales, Crossbar(adc=NO_ADC)):
        assert model(images[:0]).shape == (0, 3)


def test_what_a_function_multiplies_digitally_is_told():
    torch.manual_seed(0)
    model, inputs = Handed(), torch.rand(3, 6)
    layers = Twofold(model, layers=["called", "handed", "bare"], transposed="bare").finish()
    scales = activation_scales(model, inputs)
    with (
        pytest.warns(UserWarning, match="nothing of handed, bare was computed on crossbars: no call") as told,
        on_crossbars(
            model, layers, scales, Crossbar(adc=Adc(range_rule="calibrated", bits=4)), calibration=inputs
        ),
    ):
        model(inputs)
    assert len(told) == 1  # not of the calibration as well

    attention, words = nn.MultiheadAttention(4, 1, batch_first=True).eval(), torch.rand(2, 3, 4)
    layers = Twofold(attention, layers=["in_proj_weight", "out_proj"]).finish()
    scales = {"out_proj": InputScale(1.0, True)}
    with (
        pytest.warns(UserWarning, match="nothing of out_proj, in_proj_weight was computed on crossbars"),
        on_crossbars(attention, layers, scales, Crossbar(adc=NO_ADC)),
    ):
        attention(words, words, words)


@pytest.mark.filterwarnings("ignore:nothing of self_attn.out_proj was computed")
def test_linear_layers_of_an_encoder_compute_on_crossbars_whatever_torch_does_faster():
    torch.manual_seed(0)
    model, words = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), torch.rand(2, 3, 8)
    layers = Twofold(model, layers=["self_attn.out_proj", "linear*"]).finish()
    scales = {name: InputScale(3.0, True) for name in layers}
    found = {}
    for bits in (1, 9):
        machine = Crossbar(adc=Adc(range_rule="worst_case", bits=bits))
        with torch.no_grad(), on_crossbars(model, layers, scales, machine):
            found[bits] = model(words)
    assert not torch.equal(found[1], found[9])


IN_A_CROSSBAR = {
    "twos_complement": "offset_binary",  # chosen for none: the machine's
    "offset_binary": "offset_binary",
    "sign_magnitude": "differential",
    "differential": "differential",
    "signed_rows": "differential",
}


@pytest.mark.parametrize("trained_for", IN_A_CROSSBAR)
def test_a_programmed_layer_keeps_the_encoding_that_its_codes_were_chosen_for(trained_for):
    """The same cells as the energies charge, whatever encoding the machine names."""
    layer = stored(draw(6, 40), encoding=trained_for)
    held = IN_A_CROSSBAR[trained_for]
    matrix = program({"a": layer}, Crossbar(adc=NO_ADC, encoding="offset_binary"))["a"]
    assert torch.equal(matrix.cells, ProgrammedMatrix(layer.codes, Crossbar(adc=NO_ADC, encoding=held)).cells)
    inputs = draw(40, 9, low=0, high=255)
    assert torch.equal(matrix.product(inputs, count=True), (layer.codes @ inputs).double())

    table = load_cell_table()
    model = replace(Machine.cells_only(table, "crossbar"), encoding="offset_binary")
    row = layer_energy(layer, matrix.activity, model)
    joules = torch.tensor(table.energy_j, dtype=torch.float64)[matrix.cells[: matrix._stored].long()]
    assert float((joules.sum((0, 1)) * matrix.activity.row_ones).sum()) == pytest.approx(row["cells_j"])
    assert row["encoding"] == held
