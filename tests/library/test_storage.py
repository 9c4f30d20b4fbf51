"""Bytes and index energies against counts made by hand."""

import math
import zlib

import pytest
import torch

from twofold.energy.index import index_read_energy
from twofold.layer import StoredLayer
from twofold.masks import MultiplyShift, random_mask
from twofold.masks.generator import LAYER_POLYNOMIAL
from twofold.storage.format import Packed, file_parts, save_packed
from twofold.storage.sizes import magnitude_pruned, storage_bytes

GENERATOR = MultiplyShift(LAYER_POLYNOMIAL, 99)
MASK = GENERATOR.draw((16, 27), 0.25)
CODES = (torch.arange(432).reshape(16, 27) % 120 + 1).to(torch.int8) * MASK.keep
LFSR_LAYER = StoredLayer(CODES, 0.5, MASK.keep, generator=GENERATOR)
IID = random_mask((16, 27), 0.25, 3)
IID_LAYER = StoredLayer(CODES * IID.keep, 0.5, IID.keep)


def test_bytes_by_hand():
    frame = storage_bytes({"a": LFSR_LAYER}).set_index("scheme")
    deflated = len(zlib.compress(CODES.numpy().tobytes(), 9))
    expected = {
        "float32": (4 * 432, 0),
        "int8 dense": (432 + 4, 0),
        "int8 + deflate": (deflated + 4, 0),
        "int8 + bitmap": (108 + 4, 54),
        "int8 + CSR": (108 + 4, math.ceil((108 * 5 + 17 * 7) / 8)),
        "packed LFSR": (108 + 4, 9),  # 31 taps, 31 bits of seed, 9 of a counter to 432
    }
    for scheme, (weights, index) in expected.items():
        row = frame.loc[scheme]
        assert (row.weight_bytes, row.index_bytes, row.bytes) == (weights, index, weights + index)
    assert {f"int8 + relative {bits}-bit" for bits in (4, 5, 8)} < set(frame.index)
    assert frame.bytes.drop("packed LFSR + deflate").idxmin() == "packed LFSR"
    in_order = zlib.compress(CODES.flatten()[MASK.order].numpy().tobytes(), 9)
    assert frame.weight_bytes["packed LFSR + deflate"] == len(in_order) + 4


def test_packed_bytes_are_those_on_disk(tmp_path):
    save_packed(tmp_path / "x", Packed({"a": LFSR_LAYER}))
    packed = storage_bytes({"a": LFSR_LAYER}).set_index("scheme").loc["packed LFSR"]
    assert file_parts(tmp_path / "x")["codes"] == packed.weight_bytes - 4


def test_no_lfsr_no_packed_row():
    assert "packed LFSR" not in set(storage_bytes({"a": IID_LAYER}).scheme)


def test_codes_wider_than_a_byte_are_refused():
    wide = StoredLayer(CODES.to(torch.int16), 0.5, MASK.keep, generator=GENERATOR)
    with pytest.raises(ValueError, match=r"layer a has codes of torch\.int16"):
        storage_bytes({"a": wide})


def test_magnitude_pruned_keeps_the_largest():
    codes = torch.tensor([[1, -9, 3], [0, 5, -2]], dtype=torch.int8)
    whole = StoredLayer(codes, 1.0, torch.ones(2, 3, dtype=bool), 5, "signed_rows", GENERATOR)
    layer = magnitude_pruned({"a": whole}, 0.5)["a"]
    assert layer.codes.tolist() == [[0, -9, 3], [0, 5, 0]]
    assert layer.codes.dtype == torch.int8
    assert layer.keep.tolist() == [[False, True, True], [False, True, False]]
    assert (layer.generator, layer.bits, layer.encoding) == (None, 5, "signed_rows")


def test_index_energy_by_hand():
    frame = index_read_energy({"a": IID_LAYER}, {"a": 100}).set_index(["scheme", "memory", "reads"])
    words = math.ceil(432 / 32)
    assert frame.energy_j["bitmap", "SRAM", "each vector"] == pytest.approx(words * 100 * 5e-12)
    assert frame.energy_j["bitmap", "DRAM", "once an image"] == pytest.approx(words * 640e-12)
    assert len(frame) == 5 * 2 * 2
    assert "lfsr" not in frame.index.get_level_values("scheme")


def test_layers_that_keep_all_read_no_index():
    whole = StoredLayer(CODES, 0.5, torch.ones_like(MASK.keep))
    assert index_read_energy({"a": whole}, {"a": 100}).empty


def test_a_layer_without_vectors_is_named():
    with pytest.raises(ValueError, match="vectors names b; missing is a"):
        index_read_energy({"a": IID_LAYER}, {"b": 1})
