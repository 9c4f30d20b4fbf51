"""Energy against a loop over every input bit and cell; activity against torch's unfold and Python's ints."""

import math
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
from twofold.energy.machine import ADC_RULES, DATAFLOWS, Machine
from twofold.energy.price import layer_energy, network_energy
from twofold.inputs.activity import Activity, count_ones, measure_activity
from twofold.inputs.scales import InputScale, activation_scales, quantize_inputs, quantized_activations
from twofold.layer import StoredLayer
from twofold.masks.generator import GENERATORS, MultiplyShift
from twofold.masks.gf2 import primitive_polynomial

SLIDES = load_cell_table()


def model(**changes):
    return Machine(
        **{
            "table": SLIDES,
            "encoding": "twos_complement",
            "dataflow": "crossbar",
            "adc_rule": "none",
            **changes,
        }
    )


def draw(*shape, seed=0, limit=127):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-limit, limit + 1, shape, generator=generator).to(torch.int8)


def stored(codes, keep=None, **others):
    """A layer of these codes; without a mask all are kept."""
    return StoredLayer(
        codes, 1.0, torch.ones_like(codes, dtype=torch.bool) if keep is None else keep, **others
    )


# ---- the loop ----


def digits_of(code, bits, encoding, cell_bits):
    """Levels of the cells of one code, by Python's own formatting; bits is a multiple of cell_bits."""
    stored = bits - (encoding in ("differential", "signed_rows"))  # magnitudes have no bit for a sign
    width = -(-stored // cell_bits) * cell_bits
    words = {
        "twos_complement": [code % 2**bits],
        "offset_binary": [code + 2 ** (bits - 1)],
        "sign_magnitude": [abs(code) + (code < 0) * 2 ** (bits - 1)],
        "differential": [max(code, 0), max(-code, 0)],
        "signed_rows": [abs(code)],
    }[encoding]
    digits = "".join(format(word, f"0{width}b") for word in words)
    return [int(digits[i : i + cell_bits], 2) for i in range(0, len(digits), cell_bits)]


def by_the_loop(codes, keep, vectors, input_bits, machine, bits=8, encoding=None):
    """Joules and conversions, one input bit, column, row group and cell after another."""
    encoding = encoding or machine.encoding
    array_j, conversions, cell_bits = 0.0, 0, machine.table.cell_bits
    slices = len(digits_of(0, bits, encoding, cell_bits))
    signs = (1, -1) if encoding == "signed_rows" else (0,)  # 0: rows of either sign at once
    for vector in vectors:
        for bit in range(input_bits):
            for column, kept in zip(codes, keep, strict=True):
                rows = [r for r in range(len(column)) if kept[r] or machine.dataflow == "crossbar"]
                levels = {r: digits_of(column[r] if kept[r] else 0, bits, encoding, cell_bits) for r in rows}
                for s in range(slices):
                    for first in range(0, len(rows), machine.array_rows):
                        group = rows[first : first + machine.array_rows]
                        for sign in signs:
                            for r in group:
                                driven = not sign or (column[r] < 0) == (sign < 0)
                                if driven and vector[r] % 2**input_bits >> bit & 1:
                                    array_j += machine.table.energy_j[levels[r][s]]
                            conversions += machine.adc_rule == "column"
                        conversions += len(group) * (machine.adc_rule == "cell")
    return array_j, conversions


def clocks_of_a_walk(generator, keep):
    """One state after the other, until every kept position was pointed at."""
    size, missing, clocks = keep.numel(), set(keep.flatten().nonzero().flatten().tolist()), 0
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
    # What a crossbar, and what a packed machine, holds codes in that were chosen for an encoding.
    "offset_binary": ("offset_binary", "offset_binary"),
    "sign_magnitude": ("differential", "sign_magnitude"),
    "differential": ("differential", "differential"),
    "signed_rows": ("differential", "signed_rows"),
}


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    machine_of=st.sampled_from([*product(ENCODINGS, DATAFLOWS), ("signed_rows", "packed")]),
    trained_for=st.sampled_from(CELL_ENCODINGS),
    adc_rule=st.sampled_from(ADC_RULES),
    array_rows=st.integers(1, 8),
    bits_and_cell=st.sampled_from([(8, 2), (6, 3), (4, 4), (5, 1), (4, 1)]),
    signed=st.booleans(),
    kind=st.sampled_from([None, *GENERATORS]),
)
def test_layer_energy_is_that_of_the_loop(
    data, machine_of, trained_for, adc_rule, array_rows, bits_and_cell, signed, kind
):
    plain, dataflow = machine_of
    bits, cell_bits = bits_and_cell
    limit = 2 ** (bits - 1) - 1
    columns, rows, count = (data.draw(st.integers(1, n)) for n in (5, 5, 3))
    input_bits = data.draw(st.integers(2, 8))
    low, high = (
        (-(2 ** (input_bits - 1)) + 1, 2 ** (input_bits - 1) - 1) if signed else (0, 2**input_bits - 1)
    )

    def matrix(of, height, width):
        line = st.lists(of, min_size=width, max_size=width)
        return data.draw(st.lists(line, min_size=height, max_size=height))

    codes = torch.tensor(matrix(st.integers(-limit, limit), columns, rows))
    vectors = matrix(st.integers(low, high), count, rows)
    energies = data.draw(st.lists(st.floats(0, 2), min_size=2**cell_bits, max_size=2**cell_bits))
    generator = None
    if kind is None:
        keep = torch.tensor(matrix(st.booleans(), columns, rows))
    else:
        degree = data.draw(st.integers(5, 9))  # 31 states at least for 25 positions at most
        seed = data.draw(st.integers(1, 2**degree - 1))
        generator = GENERATORS[kind](primitive_polynomial(degree), seed)
        density = data.draw(st.floats(0.01, 1 if kind == "rejection" else 0.7))
        keep = generator.draw((columns, rows), density).keep
    layer = StoredLayer(codes, 1.0, keep, bits, trained_for, generator)
    machine = Machine(
        table=CellTable("drawn", cell_bits, tuple(energies), adc_energy_j=0.3),
        encoding=plain,
        dataflow=dataflow,
        adc_rule=adc_rule,
        array_rows=array_rows,
        lig_energy_j=0.07,
        index_word_energy_j=0.05,
    )
    held = plain if trained_for == "twos_complement" else HELD[trained_for][dataflow == "packed"]
    ones = [sum((v[r] % 2**input_bits).bit_count() for v in vectors) for r in range(rows)]
    activity = Activity(torch.tensor(ones, dtype=torch.float64), count, input_bits)

    row = layer_energy(layer, activity, machine)
    array_j, conversions = by_the_loop(
        codes.tolist(), keep.tolist(), vectors, input_bits, machine, bits, held
    )
    index_j = 0.0  # where nothing is removed, positions are known without a generator
    if dataflow == "packed" and not keep.all():
        if generator is not None:
            index_j = count * 0.07 * clocks_of_a_walk(generator, keep)
        elif keep.any():  # a list of nothing takes no bits
            index_j = count * 0.05  # and a bitmap 25 at most, one word

    assert row["array_j"] == pytest.approx(array_j, rel=1e-12)
    assert row["conversions"] == conversions
    assert row["adc_j"] == pytest.approx(0.3 * conversions)
    assert row["index_j"] == pytest.approx(index_j)
    assert row["total_j"] == pytest.approx(array_j + 0.3 * conversions + index_j)
    assert (row["kept"], row["bits"], row["encoding"]) == (int(keep.sum()), bits, held)


def test_removed_weights_cost_what_a_zero_costs_or_nothing():
    codes, keep = draw(4, 3, 3, 3), torch.zeros(4, 3, 3, 3, dtype=torch.bool)
    keep[0, 0, 0, 0] = True
    codes[0, 0, 0, 0] = -1
    once = Activity.all_ones(27)
    layer = stored(codes, keep)
    crossbar = layer_energy(layer, once, model())
    packed = layer_energy(layer, once, model(dataflow="packed"))
    assert crossbar["array_j"] == pytest.approx((5.96 + 107 * 0.316) * 1e-12)
    assert packed["array_j"] == pytest.approx(5.96e-12)
    assert (crossbar["cells"], packed["cells"]) == (4 * 108, 4)
    assert crossbar["zero_codes"] == packed["zero_codes"] == 0


def test_every_row_carries_the_arguments():
    generator = MultiplyShift("x^31+x^3+1", 5)
    mask = generator.draw((10, 64), 0.5)
    layers = {
        "conv": stored(draw(4, 3, 3, 3)),
        "fc": stored(draw(10, 64) * mask.keep, mask.keep, generator=generator),
    }
    activity = {"conv": Activity.all_ones(27), "fc": Activity.all_ones(64)}
    machine = model(dataflow="packed", adc_rule="column", array_rows=64, lig_energy_j=1e-15)
    frame = network_energy(layers, activity, machine)
    assert list(frame["layer"]) == ["conv", "fc"]
    assert list(frame["conversions"]) == [4 * 4, 4 * 10]
    assert mask.clocks > 320
    assert list(frame["index_j"]) == pytest.approx([0.0, mask.clocks * 1e-15])
    expected = {
        "dataflow": "packed",
        "adc_rule": "column",
        "array_rows": 64,
        "encoding": "twos_complement",
        "table": "rram_2bit_cell",
        "input_bits": 1,
        "bits": 8,
        "lig_energy_j": 1e-15,
    }
    for column, value in expected.items():
        assert set(frame[column]) == {value}
    assert frame["adc_energy_j"].iloc[0] == pytest.approx(0.208e-12)
    own = network_energy(layers, activity, model(adc_rule="cell", adc_energy_j=2e-12))
    assert set(own["adc_energy_j"]) == {2e-12}
    assert list(own["adc_j"]) == pytest.approx([4 * 108 * 2e-12, 4 * 640 * 2e-12])
    assert set(own["index_j"]) == {0.0}


def test_a_stored_index_is_read_word_by_word_for_each_vector():
    def index_j(shape=(3, 11), keep=None, **arguments):
        codes = draw(*shape)
        if keep is None:
            keep = (torch.arange(codes.numel()) % 2 == 0).view(shape)  # a bitmap is cheapest: a bit a weight
        layer = stored(codes, keep)
        assert layer.index_bits == (0 if keep.all() else codes.numel())
        activity = Activity(torch.ones(shape[1], dtype=torch.float64), reads=7, input_bits=8)
        row = layer_energy(layer, activity, model(**{"dataflow": "packed", **arguments}))
        assert row["total_j"] == row["array_j"] + row["adc_j"] + row["index_j"]
        return row["index_j"]

    assert index_j(index_word_energy_j=2e-12) == pytest.approx(2 * 7 * 2e-12)  # 33 bits are two words
    assert index_j((4, 8), index_word_energy_j=2e-12) == pytest.approx(7 * 2e-12)
    assert index_j(lig_energy_j=1e-15) == pytest.approx(2 * 7 * 5e-12)  # the 45 nm table's SRAM
    assert index_j(lig_energy_j=1e-15, index_word_energy_j=0.0) == 0
    assert index_j() == index_j(dataflow="crossbar", lig_energy_j=1e-15) == 0
    assert index_j(keep=torch.ones(3, 11, dtype=torch.bool), lig_energy_j=1e-15) == 0
    with pytest.raises(ValueError, match="memory is 'flash', allowed are SRAM, DRAM"):
        memory_word_energy_j("flash")


# ---- activity ----


@settings(deadline=None)
@given(data=st.data(), input_bits=st.integers(1, 16))
def test_ones_are_those_that_python_counts(data, input_bits):
    shape = data.draw(st.tuples(st.integers(1, 31), st.integers(1, 21)))
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
    machine = model(adc_rule="column", array_rows=7)
    columns = len(weights) // layer.groups
    array_j = conversions = reads = 0
    for group in range(layer.groups):
        own = slice(group * columns, (group + 1) * columns)
        vectors = seen[:, group].long().tolist()
        spent = by_the_loop(
            weights[own].flatten(1).tolist(), keep[own].flatten(1).tolist(), vectors, 8, machine
        )
        array_j, conversions, reads = array_j + spent[0], conversions + spent[1], len(vectors)
    row = layer_energy(stored(weights, keep), found, machine)
    assert row["array_j"] == pytest.approx(array_j, rel=1e-9)
    assert (row["conversions"], row["reads"]) == (conversions, reads)


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
        array_j, conversions = by_the_loop(matrix, keep, vectors, input_bits, machine)
        assert row["array_j"] == pytest.approx(array_j, rel=1e-9)
        assert row["conversions"] == conversions
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
        assert frame.loc[encoding, "energy_j"] == pytest.approx(rows["array_j"].sum())
    per_weight = frame["energy_j"] / (64 * 9 + 200)
    pd.testing.assert_series_equal(frame["energy_per_weight_j"], per_weight, check_names=False)
    assert frame.loc["twos_complement", "ratio"] == 1
    assert 1.2 < frame.loc["sign_magnitude", "ratio"] < 1.6
    assert list(frame["cells_per_weight"]) == [4, 4, 4, 8]


# ---- bad input ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataflow": "systolic"}, "dataflow is 'systolic', allowed are crossbar, packed"),
        ({"adc_rule": "0"}, "adc_rule is '0', allowed are none, column, cell"),
        ({"array_rows": 0}, "array_rows is 0"),
        ({"encoding": "gray"}, "encoding is 'gray'"),
        ({"encoding": "signed_rows", "dataflow": "crossbar"}, "'signed_rows' needs dataflow 'packed', not"),
        ({"adc_energy_j": -1.0}, "adc_energy_j is -1.0"),
        ({"lig_energy_j": math.nan}, "lig_energy_j is nan"),
    ],
)
def test_machines_that_do_not_exist(changes, message):
    with pytest.raises(ValueError, match=message):
        # By the class's own checks: in tests beartype would be first to refuse a wrong Literal.
        Machine.__post_init__(unchecked(**changes))


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
    with pytest.raises(ValueError, match="32 vectors at once, allowed are 31"):
        count_ones(torch.zeros(32, 8, dtype=torch.uint8), 8)


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
    before = layer_energy(layer, once, model())["array_j"]
    codes.zero_()
    assert layer_energy(layer, once, model())["array_j"] == pytest.approx(108 * 0.316e-12) != before
