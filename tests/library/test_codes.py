"""Codes against torch's own quantizer, and against numbers worked out by hand."""

import jaxtyping
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twofold.codes.cells import cells_per_code, to_cells
from twofold.codes.encodings import (
    CELL_ENCODINGS,
    ENCODINGS,
    bit_planes,
    decode,
    encode,
    encoding_of,
    from_bit_planes,
    popcount,
    slice_codes,
)
from twofold.codes.quantizer import code_limit, dequantize, fake_quantize, quantize, weight_scale


def every_code(bits):
    limit = code_limit(bits)
    return torch.arange(-limit, limit + 1)


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 12, 16])
def test_codes_are_those_of_torch(bits):
    weight = torch.randn(100_000, generator=torch.Generator().manual_seed(bits)) * 0.05
    limit = code_limit(bits)
    step = float(weight.abs().max() / limit)
    theirs = torch.fake_quantize_per_tensor_affine(weight, step, 0, -limit, limit)
    assert torch.equal(fake_quantize(weight, bits), theirs)
    assert torch.equal(dequantize(quantize(weight, bits), weight_scale(weight), bits), theirs)


def test_gradient_is_torchs_where_a_given_scale_saturates():
    weight = torch.linspace(-2, 2, 4001)
    ours, theirs = (weight.clone().requires_grad_() for _ in range(2))
    fake_quantize(ours, 4, scale=1.0).square().sum().backward()
    torch.fake_quantize_per_tensor_affine(theirs, 1 / 7, 0, -7, 7).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert (ours.grad == 0).sum() > 1500


def test_gradient_is_straight_through_with_the_layers_own_scale():
    weight = torch.randn(64, 9, generator=torch.Generator().manual_seed(1)).requires_grad_()
    factor = torch.randn(64, 9, generator=torch.Generator().manual_seed(2))
    (fake_quantize(weight) * factor).sum().backward()
    assert torch.equal(weight.grad, factor)


def test_rounds_half_to_even():
    weight = torch.tensor([7.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert quantize(weight, bits=4).tolist() == [7, 0, 2, 2, 0, -2, -2]


@given(bits=st.integers(2, 16), exponent=st.integers(-60, 60), data=st.data())
def test_quantizing_twice_changes_nothing(bits, exponent, data):
    limit = code_limit(bits)
    codes = data.draw(st.lists(st.integers(-limit, limit), min_size=1, max_size=20))
    codes = torch.tensor([*codes, limit])  # so that the largest weight is the scale again
    scale = torch.tensor(1.3 * 2.0**exponent)
    assert torch.equal(quantize(dequantize(codes, scale, bits), bits).long(), codes)


def test_dtypes_and_half_precision():
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert quantize(weight).dtype == torch.int8
    assert quantize(weight, 9).dtype == torch.int16
    assert torch.equal(quantize(weight), quantize(weight.float()))
    assert fake_quantize(weight).dtype == torch.bfloat16


def test_zero_weights_have_scale_one():
    assert weight_scale(torch.zeros(3, 3)) == 1
    assert torch.equal(quantize(torch.zeros(3, 3)), torch.zeros(3, 3, dtype=torch.int8))


PATTERNS_OF_4_BITS = {
    "twos_complement": {-7: ["1001"], -1: ["1111"], 0: ["0000"], 5: ["0101"]},
    "offset_binary": {-7: ["0001"], -1: ["0111"], 0: ["1000"], 5: ["1101"]},
    "sign_magnitude": {-7: ["1111"], -1: ["1001"], 0: ["0000"], 5: ["0101"]},
    "differential": {-7: ["0000", "0111"], -1: ["0000", "0001"], 0: ["0000", "0000"], 5: ["0101", "0000"]},
    "signed_rows": {-7: ["0111"], -1: ["0001"], 0: ["0000"], 5: ["0101"]},
}


@pytest.mark.parametrize("encoding", CELL_ENCODINGS)
def test_patterns_by_hand(encoding):
    for code, words in PATTERNS_OF_4_BITS[encoding].items():
        pattern = encode(torch.tensor(code), 4, encoding)
        assert [format(p, "04b") for p in pattern.tolist()] == words
        planes = ["".join(str(int(bit)) for bit in word) for word in bit_planes(pattern, 4)]
        assert planes == words
        assert popcount(torch.tensor(code), 4, encoding) == "".join(words).count("1")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [*range(2, 10), 16])
def test_every_code_comes_back(bits, encoding):
    codes = every_code(bits)
    patterns = encode(codes, bits, encoding)
    assert int(patterns.min()) >= 0
    assert int(patterns.max()) < 2**bits
    assert torch.equal(decode(patterns, bits, encoding).long(), codes)
    planes = bit_planes(patterns, bits)
    assert torch.equal(from_bit_planes(planes), patterns)
    assert torch.equal(popcount(codes, bits, encoding), planes.sum(dim=(-2, -1), dtype=torch.int32))
    assert len(torch.unique(patterns, dim=0)) == len(codes)


@pytest.mark.parametrize("bits", [5, 8])
@pytest.mark.parametrize("name", CELL_ENCODINGS)
def test_what_an_encoding_says_of_itself_is_what_it_does(name, bits):
    """Its facts, which accounts and crossbars go by, against all its patterns."""
    kind, codes = encoding_of(name), every_code(bits)
    patterns = encode(codes, bits, name)
    assert str(kind) == kind.name == name
    assert kind.words == patterns.shape[-1]
    assert kind.keeps_sign == (len(torch.unique(patterns, dim=0)) == len(codes)) == (name in ENCODINGS)
    width = bits - 1 + kind.signed_bits  # that a word needs in the cells, and no more
    assert 2 ** (width - 1) <= int(patterns.max()) < 2**width
    assert kind.passes == (1 if kind.keeps_sign else 2)  # without a sign, rows of either are read in turn
    for cell_bits in (1, 2, 3, 4):
        cells = to_cells(patterns, bits, cell_bits, name)
        assert cells.shape[-1] == cells_per_code(bits, cell_bits, name) == kind.words * -(-width // cell_bits)
    if kind.keeps_sign:
        assert torch.equal(decode(patterns, bits, name).long(), codes)
    else:
        with pytest.raises(ValueError, match=f"encoding is '{name}', allowed are twos_complement, offset_b"):
            decode(patterns, bits, name)


@pytest.mark.parametrize("bits", [5, 8])
@pytest.mark.parametrize("name", CELL_ENCODINGS)
def test_a_crossbar_holds_the_same_codes_exactly(name, bits):
    """In the encoding's own slices or, where rows drive weights of either sign, in the one that it names."""
    codes, held = every_code(bits)[None], encoding_of(name).in_crossbar
    assert encoding_of(held).in_crossbar == held
    mixed = (1, 4) if bits == 5 else (1, 1, 2, 4)
    for slices in ((2,) * -(-bits // 2), (3,) * -(-bits // 3), (1,) * bits, mixed):
        sliced = slice_codes(codes, bits, held, slices)
        factors = torch.tensor(sliced.factors)[:, None, None]
        assert torch.equal((sliced.levels * factors).sum(0) + sliced.offset, codes)
        if len(set(slices)) == 1:
            cells = to_cells(encode(codes, bits, held), bits, slices[0], held)
            assert torch.equal(sliced.levels[: sliced.stored].movedim(0, -1), cells)
    if not encoding_of(name).keeps_sign:
        with pytest.raises(ValueError, match=f"encoding is '{name}', allowed are twos_complement, offset_b"):
            slice_codes(codes, bits, name, (1,) * bits)


@pytest.mark.parametrize("bits", [5, 8, 11])
def test_popcount_is_pythons(bits):
    counted = {encoding: popcount(every_code(bits), bits, encoding).tolist() for encoding in CELL_ENCODINGS}
    for index, code in enumerate(every_code(bits).tolist()):
        assert {encoding: ones[index] for encoding, ones in counted.items()} == {
            "twos_complement": (code % 2**bits).bit_count(),
            "offset_binary": (code + 2 ** (bits - 1)).bit_count(),
            "sign_magnitude": abs(code).bit_count() + (code < 0),
            "differential": abs(code).bit_count(),
            "signed_rows": abs(code).bit_count(),
        }


def test_words_nobody_writes_keep_their_meaning():
    top = torch.tensor([8])
    assert [int(decode(top, 4, e)) for e in ENCODINGS[:3]] == [-8, 0, 0]


@pytest.mark.parametrize("bits", [-1, 0, 1, 17])
def test_bits_outside_2_to_16_are_refused(bits):
    for call in (
        lambda: quantize(torch.ones(2), bits),
        lambda: encode(torch.ones(2, dtype=torch.int8), bits, "offset_binary"),
        lambda: bit_planes(torch.ones(2, 1, dtype=torch.int32), bits),
    ):
        with pytest.raises(ValueError, match=rf"bits is {bits}, allowed are 2\.\.16"):
            call()


def test_broken_weights_are_counted():
    weight = torch.ones(4, 5)
    weight[0, 0], weight[1, 1], weight[2, 2] = float("nan"), float("inf"), float("-inf")
    for call in (weight_scale, quantize, fake_quantize, lambda w: quantize(w, scale=1.0)):
        with pytest.raises(ValueError, match="3 of 20 weights are NaN or infinite"):
            call(weight)


def test_other_bad_input_is_quoted():
    with pytest.raises(ValueError, match=r"\(0, 3\) is empty"):
        quantize(torch.ones(0, 3))
    for scale in (0.0, -2.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"scale is {scale:g}"):
            quantize(torch.ones(3), scale=scale)
    with pytest.raises(ValueError, match="scale is 1e-34"):
        quantize(torch.full((3,), 1e-34))
    with pytest.raises(ValueError, match=r"code -128 does not fit 8 bits, allowed are -127\.\.127"):
        encode(torch.tensor([3, -128], dtype=torch.int8), 8, "twos_complement")
    with pytest.raises(ValueError, match=r"patterns span 0\.\.16, allowed are 0\.\.15"):
        decode(torch.tensor([[0], [16]]), 4, "offset_binary")
    with pytest.raises(ValueError, match=r"allowed are 0\.\.7"):
        decode(torch.tensor([[0, 8]]), 4, "differential")
    with pytest.raises(ValueError, match="differential needs a last axis of 2"):
        decode(torch.tensor([[0]]), 4, "differential")


def test_an_unknown_encoding_is_quoted(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    for call in (encoding_of, lambda name: encode(torch.ones(2, dtype=torch.int8), 8, name)):
        with pytest.raises(
            ValueError, match=r"encoding is 'gray', allowed are twos_.*, differential, signed_"
        ):
            call("gray")
    with pytest.raises(ValueError, match=r"encoding is 'gray', allowed are twos_.*, differential$"):
        encoding_of("gray", with_sign=True)
