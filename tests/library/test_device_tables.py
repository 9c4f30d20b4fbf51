"""Tables of the user's own: the same energies in training, in accounts and by hand; nothing made up."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from companion.book.examples import worked_example
from companion.study.config import Recipe
from companion.study.images import load_images
from companion.study.train import fit
from companion.study.zoo import build_model
from twofold.codes.cells import code_energy_table
from twofold.codes.encodings import ENCODINGS
from twofold.codes.quantizer import dequantize, quantize, ternary_scale, weight_scale
from twofold.codes.tables import CellTable, cell_table, load_cell_table, resistive_table, ternary_table
from twofold.energy.machine import Machine
from twofold.energy.price import layer_energy
from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer
from twofold.sparsity.twofold import Twofold

TERNARY = ternary_table(
    minus_energy_j=3e-15, zero_energy_j=1e-15, plus_energy_j=2e-15, adc_energy_j=1e-13, source="made up"
)


def own(cell_bits: int) -> CellTable:
    return cell_table({level: (1 + level) * 1e-15 for level in range(2**cell_bits)}, adc_energy_j=1e-13)


def test_a_dictionary_is_the_same_as_the_csv():
    slides = load_cell_table()
    words = dict(zip(("00", "01", "10", "11"), slides.energy_j, strict=True))
    made = cell_table(
        words, adc_energy_j=slides.adc_energy_j, name=slides.name, source=slides.source, doi=slides.doi
    )
    assert made == slides
    assert cell_table(dict(enumerate(slides.energy_j)), adc_energy_j=0.0).energy_j == slides.energy_j


@pytest.mark.parametrize(
    "levels, message",
    [
        ({}, "the levels are none; allowed are all of 0..1"),
        ({0: 1.0, 2: 1.0}, "the levels are 0, 2"),
        ({0: 1.0, 1: 1.0, 2: 1.0}, "the levels are 0, 1, 2"),
        (dict.fromkeys(range(32), 0.0), "0..15, for cells of 1, 2, 3 or 4 bits"),
        ({"0": 1.0, "2": 1.0}, "level '2' is not written in binary digits"),
        ({0: 1.0, "0": 1.0}, "level '0' is given twice"),
        ({0: 1.0, 1: -1.0}, "energy of 1 is -1.0"),
        ({0: 1.0, 1: math.inf}, "energy of 1 is inf"),
    ],
)
def test_bad_dictionaries_are_told_what_is_allowed(levels, message):
    with pytest.raises(ValueError) as error:
        cell_table(levels, adc_energy_j=0.0, name="mine")
    assert message in str(error.value)
    assert str(error.value).startswith("mine: ")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("cell_bits", [1, 2, 3, 4])
def test_a_table_of_any_width_drives_training_and_accounts_alike(cell_bits, encoding):
    """E(level) = 1 + level in fJ: the energy of a code is its cells plus the sum of their digits."""
    torch.manual_seed(0)
    model, table = nn.Sequential(nn.Linear(6, 5)), own(cell_bits)
    sparsity = Twofold(model, density=0.5, strength=1e3, encoding=encoding, table=table)
    assert torch.equal(sparsity.energy_table_j, code_energy_table(8, encoding, table))
    plain = sparsity.status()["cell_energy_pj"]
    sparsity.advance(1.0)
    assert sparsity.status()["cell_energy_pj"] <= plain
    layer = sparsity.codes()["0"]
    machine = replace(Machine.cells_only(table, "packed"), encoding=encoding)
    row = layer_energy(layer, Activity.all_ones(6), machine)
    assert row["cells_j"] * 1e12 == pytest.approx(15 * sparsity.status()["cell_energy_pj"])
    width = 7 if encoding == "differential" else 8  # the pair itself is the sign
    assert row["cells"] == 15 * math.ceil(width / cell_bits) * (2 if encoding == "differential" else 1)
    for code, energy_j in ((0, None), (5, None), (-7, None)):
        digits = {
            "twos_complement": [code % 2 ** (math.ceil(8 / cell_bits) * cell_bits)],
            "offset_binary": [code + 128],
            "sign_magnitude": [abs(code) + (code < 0) * 128],
            "differential": [max(code, 0), max(-code, 0)],
        }[encoding]
        cells = [word >> shift & 2**cell_bits - 1 for word in digits for shift in range(0, width, cell_bits)]
        energy_j = sum(1 + level for level in cells) * 1e-15
        assert float(sparsity.energy_table_j[code + 127]) == pytest.approx(energy_j, rel=1e-9)


# ---- resistances ----

PUBLISHED = {
    # R_on, R_off, V, t of CiMLoop's memory-cell files
    "rram_neurosim": (6e3, 9e5, 0.5, 2e-9),
    "rram_isaac": (2e3, 2e4, 0.2, 1e-9),
    "rram_neurram": (25e4, 1e6, 0.5, 2e-9),
}
OWN_CELL = (
    "parameter,value,unit,source,doi\n"
    "cell_bits,1,bit,mine,\nR_on,5,kohm,mine,\nR_off,1,Mohm,mine,\nV,100,mV,mine,\nt,10,ns,mine,x\nADC,0,J,mine,\n"
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_joules_of_a_published_cell_follow_from_its_parameters(name):
    r_on, r_off, volts, seconds = PUBLISHED[name]
    table = load_cell_table(name)
    assert table.cell_bits == 2
    for level, joules in enumerate(table.energy_j):
        siemens = 1 / r_off + (1 / r_on - 1 / r_off) * level / 3
        assert joules == pytest.approx(volts * volts * siemens * seconds, rel=1e-12)
    assert table.adc_energy_j == pytest.approx(16e-3 / (8 * 1.2e9), rel=1e-4)  # ISAAC's eight converters
    assert (table.read_v, table.read_s) == (volts, pytest.approx(seconds))
    assert "mit-emze/cimloop" in table.source
    assert "10.1109/ISCA.2016.12" in table.doi


def test_a_cell_of_ones_own_by_its_resistances(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(OWN_CELL)
    table = load_cell_table(path)
    assert (table.name, table.cell_bits, table.source, table.doi) == ("mine", 1, "mine", "x")
    assert table.energy_j == pytest.approx((1e-16, 2e-14))
    same = resistive_table(
        r_on_ohm=5e3, r_off_ohm=1e6, read_v=0.1, read_s=10e-9, adc_energy_j=0.0, cell_bits=1
    )
    assert same.energy_j == pytest.approx(table.energy_j)
    with pytest.raises(ValueError, match=r"cell_bits is 2, but .*mine.csv is a table of 1-bit cells"):
        load_cell_table(path, cell_bits=2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "R_off,1,Mohm,mine,\n",
            "",
            "parameter 'R_off' is missing, needed are cell_bits, R_on, R_off, V, t, ADC",
        ),
        ("ADC,0,J,mine,\n", "", "parameter 'ADC' is missing"),
        ("ADC", "G_on", "parameter 'ADC' is missing"),
        ("ADC,0,J,mine,", "ADC,0,J,mine,\nG_on,1,V,mine,", "parameter 'G_on' is unknown"),
        ("R_off", "R_on", "parameter 'R_on' stands there more than once"),
        ("R_on,5", "R_on,-5", "R_on is '-5', allowed are finite numbers >= 0"),
        ("R_on,5", "R_on,0", "R_on is 0 ohm, R_off 1e+06 ohm; needed are finite 0 < R_on < R_off"),
        ("R_on,5", "R_on,5000", "R_on is 5e+06 ohm, R_off 1e+06 ohm; needed are finite 0 < R_on < R_off"),
        ("V,100", "V,0", "V is 0, allowed are finite numbers > 0"),
        ("t,10", "t,0", "t is 0, allowed are finite numbers > 0"),
        ("t,10", "t,soon", "t is 'soon'"),
        ("ns", "h", "unit of t is 'h', allowed are s, ms, us, ns, ps"),
        ("kohm", "kΩ", "unit of R_on is 'kΩ', allowed are ohm, kohm, Mohm"),
        ("cell_bits,1", "cell_bits,5", "cell_bits is 5, allowed are 1..4"),
        ("cell_bits,1", "cell_bits,1.5", "cell_bits is 1.5, allowed are 1..4"),
        ("value", "energy", "no column value; there are parameter, energy, unit"),
        (OWN_CELL[32:], "", "no entries"),
    ],
)
def test_broken_cells_name_file_and_parameter(tmp_path, old, new, message):
    assert old in OWN_CELL
    path = tmp_path / "mine.csv"
    path.write_text(OWN_CELL.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_cell_table(path)
    assert message in str(error.value)
    assert "mine.csv" in str(error.value)


def test_every_cell_table_is_offered():
    with pytest.raises(FileNotFoundError) as error:
        load_cell_table("rram_3bit_cell")
    assert str(error.value).endswith("one of rram_2bit_cell, rram_isaac, rram_neurosim, rram_neurram")


@pytest.mark.parametrize("name", PUBLISHED)
def test_levels_of_resistive_cells_are_even_already(name):
    table = load_cell_table(name)
    assert table.with_even_levels().energy_j == pytest.approx(table.energy_j, rel=1e-12)


def test_even_levels_of_the_slides_cells_keep_both_ends():
    slides, even = load_cell_table(), load_cell_table().with_even_levels()
    assert (even.energy_j[0], even.energy_j[-1]) == (slides.energy_j[0], slides.energy_j[-1])
    assert even.energy_j[2] - even.energy_j[1] == pytest.approx((1.49 - 0.079) * 1e-12 / 3)
    assert even.adc_energy_j == slides.adc_energy_j


@pytest.mark.parametrize("read", [{"read_v": 0.0}, {"read_s": math.inf}, {"read_v": -0.2}])
def test_a_read_without_voltage_or_time_is_none(read):
    with pytest.raises(ValueError, match=rf"any: {next(iter(read))} is .*, allowed are finite numbers > 0"):
        CellTable("any", 1, (0.0, 1e-15), 0.0, **read)


# ---- ternary ----


def test_ternary_codes_cost_what_the_user_says():
    for encoding in ("twos_complement", "sign_magnitude"):
        assert code_energy_table(2, encoding, TERNARY).tolist() == [3e-15, 1e-15, 2e-15]
    machine = Machine.cells_only(TERNARY, "crossbar")
    codes = torch.tensor([[1, 0, -1, -1]], dtype=torch.int8)
    layer = StoredLayer(codes, 1.0, torch.ones_like(codes, dtype=torch.bool), bits=2)
    row = layer_energy(layer, Activity.all_ones(4), machine)
    assert row["cells_j"] == pytest.approx(9e-15)
    assert (row["cells"], row["sign_cells"]) == (4, 0)  # one ternary cell a weight, which is signed itself


@pytest.mark.parametrize("bits, encoding", [(2, "offset_binary"), (8, "twos_complement")])
def test_a_level_without_an_energy_is_refused(bits, encoding):
    with pytest.raises(ValueError, match=r"table ternary has no energy for level 10, which .* needs"):
        code_energy_table(bits, encoding, TERNARY)
    with pytest.raises(ValueError, match="no energy for level 10"):
        Twofold(nn.Linear(2, 2), bits=bits, encoding=encoding, table=TERNARY)
    with pytest.raises(ValueError, match="no energy for level 10"):
        worked_example(1.0, 1.0, bits, encoding, TERNARY)


def test_ternary_energies_are_never_guessed():
    with pytest.raises(TypeError, match=r"missing .*minus_energy_j"):
        ternary_table()
    with pytest.raises(ValueError, match="are all needed"):
        ternary_table(
            minus_energy_j=math.nan, zero_energy_j=0.0, plus_energy_j=0.0, adc_energy_j=0.0, name="mine"
        )


def test_ternary_scale_is_close_to_the_best_and_the_largest_weight_is_not():
    weight = torch.randn(20_000, generator=torch.Generator().manual_seed(0))

    def error(scale: float) -> float:
        return float((weight - dequantize(quantize(weight, 2, scale), scale, 2)).square().mean())

    best = min(error(scale) for scale in torch.linspace(0.8, 1.6, 41).tolist())
    assert error(float(ternary_scale(weight))) < 1.05 * best
    assert error(float(weight_scale(weight))) > 3 * best
    # The threshold of ternary weight networks, 0.7 times the mean size.
    codes = quantize(weight, 2, ternary_scale(weight))
    assert torch.equal(codes != 0, weight.abs() > 0.7 * weight.abs().mean())


def test_ternary_scale_looks_at_kept_weights_only():
    weight, keep = torch.tensor([3.0, 0.0, 1.0, 0.0]), torch.tensor([True, False, True, False])
    assert float(ternary_scale(weight, keep)) == pytest.approx(1.4 * 2)
    assert float(ternary_scale(torch.zeros(3))) == 1
    with pytest.raises(ValueError, match="1 of 2 weights are NaN"):
        ternary_scale(torch.tensor([math.nan, 1.0]))


@pytest.mark.parametrize("options", [{"bits": 8}, {"bits": 2, "strength": 1.0, "bit_term": "planes"}])
def test_ternary_scale_is_for_two_bits_and_energy_aware_codes(options):
    with pytest.raises(ValueError, match="scale 'ternary' needs bits 2"):
        Twofold(nn.Linear(2, 2), scale="ternary", **options)


def test_a_ternary_network_learns_the_digits(one_thread):
    train, test = load_images("digits")
    torch.manual_seed(1)
    model = build_model("digits-net", 10, 1)
    sparsity = Twofold(model, density=0.5, bits=2, scale="ternary", strength=1.0, table=TERNARY)
    history = fit(
        model,
        train,
        test,
        Recipe(epochs=2, batch_size=32, precision="fp32"),
        sparsity=sparsity,
        progress_bar=False,
    )
    assert history.test_accuracy.iloc[-1] > 90
    for layer in sparsity.finish().values():
        assert set(layer.codes[layer.keep].tolist()) == {-1, 0, 1}
