"""Cells against arithmetic on Python's integers, tables against the slides and against broken files."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.book.examples import worked_example
from twofold.codes.cells import cells_per_code, code_energy, code_energy_table, from_cells, to_cells
from twofold.codes.encodings import CELL_ENCODINGS, ENCODINGS, decode, encode, encoding_of
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import CellTable, load_cell_table, read_energies

SLIDES = load_cell_table()


@settings(max_examples=100)
@given(
    bits=st.integers(2, 16),
    cell_bits=st.integers(1, 4),
    encoding=st.sampled_from(ENCODINGS),
    data=st.data(),
)
def test_codes_come_back_from_cells(bits, cell_bits, encoding, data):
    limit = code_limit(bits)
    codes = torch.tensor(data.draw(st.lists(st.integers(-limit, limit), min_size=1, max_size=12)))
    patterns = encode(codes, bits, encoding)
    cells = to_cells(patterns, bits, cell_bits, encoding)
    assert cells.shape == (len(codes), cells_per_code(bits, cell_bits, encoding))
    assert int(cells.max()) < 2**cell_bits
    back = from_cells(cells, bits, cell_bits, encoding)
    assert torch.equal(back, patterns)
    assert torch.equal(decode(back, bits, encoding).long(), codes)


@pytest.mark.parametrize("cell_bits", [1, 2, 3, 4])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [*range(2, 10), 16])
def test_cells_still_weigh_the_code(bits, encoding, cell_bits):
    """The shift-and-add after the ADCs: each level times its place, then the encoding's own rule."""
    limit = code_limit(bits)
    codes = torch.arange(-limit, limit + 1)
    cells = to_cells(encode(codes, bits, encoding), bits, cell_bits, encoding).long()
    words = cells.unflatten(-1, (encoding_of(encoding).words, -1))
    width = cell_bits * words.shape[-1]
    value = (words * torch.tensor([2 ** (width - cell_bits * (i + 1)) for i in range(words.shape[-1])])).sum(
        -1
    )
    if encoding == "twos_complement":
        value = torch.where(value[:, 0] >= 2 ** (width - 1), value[:, 0] - 2**width, value[:, 0])
    elif encoding == "offset_binary":
        value = value[:, 0] - 2 ** (bits - 1)
    elif encoding == "differential":
        value = value[:, 0] - value[:, 1]
    else:
        negative = value[:, 0] >= 2 ** (bits - 1)
        value = torch.where(negative, 2 ** (bits - 1) - value[:, 0], value[:, 0])
    assert torch.equal(value, codes)


def test_table_of_the_slides():
    assert SLIDES.cell_bits == 2
    assert SLIDES.energy_j == pytest.approx((0.079e-12, 0.36e-12, 0.73e-12, 1.49e-12), rel=1e-12)
    assert SLIDES.adc_energy_j == pytest.approx(0.208e-12, rel=1e-12)
    assert "10.1109/CICC51472.2021.9431412" in SLIDES.doi


def test_closed_form_of_a_cell():
    for level, energy in enumerate(SLIDES.energy_j):
        hi, lo = divmod(level, 2)
        assert energy == pytest.approx((0.079 + 0.281 * lo + 0.651 * hi + 0.479 * hi * lo) * 1e-12, rel=1e-12)


@pytest.mark.parametrize("encoding", CELL_ENCODINGS)
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7, 8, 11])
def test_energy_of_every_code_is_the_sum_over_its_digits(bits, encoding):
    """The oracle writes each code with Python's own formatting and looks up pairs of digits."""
    price = {"00": 0.079, "01": 0.36, "10": 0.73, "11": 1.49}
    stored = bits - (encoding in ("differential", "signed_rows"))  # magnitudes have no bit for a sign
    limit, width = code_limit(bits), stored + stored % 2
    ours = code_energy_table(bits, encoding, SLIDES)
    for k in range(-limit, limit + 1):
        words = {
            "twos_complement": [k % 2**width],
            "offset_binary": [k + 2 ** (bits - 1)],
            "sign_magnitude": [abs(k) + (k < 0) * 2 ** (bits - 1)],
            "differential": [max(k, 0), max(-k, 0)],
            "signed_rows": [abs(k)],
        }[encoding]
        digits = "".join(format(word, f"0{width}b") for word in words)
        by_hand = sum(price[digits[i : i + 2]] for i in range(0, len(digits), 2))
        assert float(ours[k + limit]) == pytest.approx(by_hand * 1e-12, rel=1e-12)


def test_dearest_and_cheapest_code():
    table = code_energy_table(8, "twos_complement", SLIDES)
    assert float(table.max()) == pytest.approx(5.96e-12)
    assert int(table.argmax()) - 127 == -1
    assert float(table.min()) == pytest.approx(0.316e-12)
    assert int(table.argmin()) - 127 == 0


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64])
def test_look_up_of_any_shape(dtype):
    codes = torch.randint(-127, 128, (5, 4, 3), generator=torch.Generator().manual_seed(3)).to(dtype)
    table = code_energy_table(8, "offset_binary", SLIDES)
    energy = code_energy(codes.transpose(0, 1), table)
    assert torch.equal(energy, table[codes.long().transpose(0, 1) + 127])
    assert code_energy(codes[:0], table).shape == (0, 4, 3)


def test_code_outside_the_table_is_refused():
    table = code_energy_table(8, "twos_complement", SLIDES)
    with pytest.raises(ValueError, match=r"codes span -128\.\.0, the table has -127\.\.127"):
        code_energy(torch.tensor([0, -128], dtype=torch.int8), table)
    with pytest.raises(ValueError, match=r"codes span 0\.\.128"):
        code_energy(torch.tensor([0, 128]), table)


def test_worked_example_by_hand():
    """-0.30 at scale 0.75: -0.4 * 127 = -50.8, so -51, which is 205 = 11 00 11 01 in two's complement."""
    frame = worked_example(-0.30, 0.75, 8, "twos_complement", SLIDES)
    assert set(frame["code"]) == {-51}
    assert set(frame["pattern"]) == {"11001101"}
    assert list(frame["bits"]) == ["11", "00", "11", "01"]
    assert frame["energy_j"].sum() == pytest.approx((1.49 + 0.079 + 1.49 + 0.36) * 1e-12)
    assert frame["quantized"].iloc[0] == pytest.approx(-0.75 * 51 / 127)


def test_worked_example_of_a_pair_has_two_words():
    frame = worked_example(-0.30, 0.75, 8, "differential", SLIDES)
    assert list(frame["word"]) == [0] * 4 + [1] * 4
    assert list(frame["bits"]) == ["00"] * 4 + ["00", "11", "00", "11"]
    assert frame["energy_j"].sum() == pytest.approx((6 * 0.079 + 2 * 1.49) * 1e-12)


# ---- tables of the user's own ----

ONE_BIT = "entry,energy,unit,source,doi\n0,20,fJ,mine,\n1,0.5,pJ,mine,\nADC,0,J,mine,\n"


def write(tmp_path, text):
    path = tmp_path / "own.csv"
    path.write_text(text)
    return path


def test_own_table(tmp_path):
    table = load_cell_table(write(tmp_path, ONE_BIT))
    assert (table.name, table.cell_bits, table.source) == ("own", 1, "mine")
    assert table.energy_j == pytest.approx((2e-14, 5e-13), rel=1e-12)
    assert float(code_energy_table(8, "twos_complement", table)[127 - 1]) == pytest.approx(8 * 5e-13)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,0.5,pJ,mine,\n", "", "entry '1' is missing, needed are 0, 1, ADC"),
        ("ADC,0,J,mine,\n", "", "entry 'ADC' is missing"),
        ("1,0.5", "1,-0.5", "energy of 1 is '-0.5', allowed are finite numbers >= 0"),
        ("1,0.5", "1,nan", "energy of 1 is 'nan'"),
        ("1,0.5", "1,", "energy of 1 is ''"),
        ("1,0.5", "1,inf", "energy of 1 is 'inf'"),
        ("1,0.5", "1,half", "energy of 1 is 'half'"),
        ("pJ", "mW", "unit of 1 is 'mW', allowed are J, mJ"),
        ("1,0.5,pJ", "0,0.5,pJ", "entry '0' stands there more than once"),
        ("1,0.5,pJ,mine,", "1", "row 3 has 1 fields, the first row 5"),
        ("ADC", "DAC", "entry 'ADC' is missing"),
        ("ADC,0,J,mine,", "ADC,0,J,mine,\nnote,1,J,mine,", "entry 'note' is unknown"),
        ("1,0.5", "01,0.5", "entry '00' is missing"),
        ("1,0.5", "00001,0.5", "levels of 5 binary digits, allowed are 1..4"),
        ("0,20,fJ,mine,\n1,0.5,pJ,mine,\n", "", "levels of 0 binary digits"),
        ("unit,", "units,", "no column unit; there are entry, energy, units"),
        (ONE_BIT[29:], "", "no entries"),
        (ONE_BIT, "", "no readable CSV"),
        ("mine,\nADC", "mine,,,,,,\nADC", "no readable CSV"),
    ],
)
def test_broken_tables_name_file_and_entry(tmp_path, old, new, message):
    assert old in ONE_BIT
    path = write(tmp_path, ONE_BIT.replace(old, new))
    with pytest.raises(ValueError) as error:
        load_cell_table(path)
    assert message in str(error.value)
    assert "own.csv" in str(error.value)


def test_file_that_is_no_text(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(b"\xff\xfe\x00PNG")
    with pytest.raises(ValueError, match=r"own\.csv is no readable CSV"):
        load_cell_table(path)


def test_unknown_table_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match="rram_2bit_cell"):
        read_energies("rram_9bit_cell", "entry")


def test_a_table_made_in_python_is_checked_too():
    with pytest.raises(ValueError, match=r"cell_bits is 5, allowed are 1\.\.4"):
        CellTable("mine", 5, (0.0,) * 32, 0.0)
    with pytest.raises(ValueError, match="mine: 3 levels, 2 bits have 4"):
        CellTable("mine", 2, (0.0,) * 3, 0.0)
    with pytest.raises(ValueError, match="energy of 1 is -1"):
        CellTable("mine", 1, (0.0, -1.0), 0.0)
    with pytest.raises(ValueError, match="energy of ADC is nan"):
        CellTable("mine", 1, (0.0, 1.0), math.nan)


def test_cells_of_the_wrong_length():
    with pytest.raises(ValueError, match="offset_binary needs a last axis of 4"):
        from_cells(torch.zeros(3, 5, dtype=torch.uint8), 8, 2, "offset_binary")
