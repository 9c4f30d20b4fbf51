"""The packed memory of any layers: what goes in comes out, and what does not fit is refused by name."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from twofold.inputs.activity import Activity
from twofold.layer import FinishedLayer
from twofold.masks.draw import lfsr_mask, magnitude_mask, random_mask
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.lfsr import LFSR
from twofold.storage.format import (
    Packed,
    decode_layer,
    digest,
    encode_layer,
    file_parts,
    load_packed,
    read_file,
    save_packed,
)


def layer_of(mask, seed=None, bits=8, **generator) -> FinishedLayer:
    torch.manual_seed(mask.kept)
    limit = 2 ** (bits - 1) - 1
    codes = torch.randint(-limit, limit + 1, mask.keep.shape) * mask.keep
    return FinishedLayer(
        codes.to(torch.int8 if bits <= 8 else torch.int16), 0.37, mask.keep, seed, **generator
    )


GALOIS = {"polynomial": "x^9+x^4+1", "form": "galois", "reduction": "modulo"}
LAYERS = {
    "conv": layer_of(lfsr_mask((8, 3, 3, 3), 0.5, seed=77), 77),
    "own register": layer_of(lfsr_mask((20, 15), 0.1, seed=5, **GALOIS), 5, **GALOIS),
    "iid": layer_of(random_mask((5, 7), 0.3, 1)),
    "magnitude": layer_of(magnitude_mask(torch.randn(4, 9), 0.25)),
    "all": layer_of(random_mask((6, 4), 1.0, 1)),
    "a vector": layer_of(random_mask((11,), 0.5, 1)),
}
REST = {"bn.weight": torch.rand(8), "half": torch.rand(3).bfloat16(), "count": torch.tensor(4)}


def packed() -> Packed:
    activity = {"conv": Activity(torch.arange(27.0, dtype=torch.float64), 40, 8)}
    return Packed(8, LAYERS, REST, activity, {"model": "mine", "sizes": [1, 2]})


@pytest.fixture
def path(tmp_path):
    save_packed(tmp_path / "mine.safetensors", packed())
    return tmp_path / "mine.safetensors"


def rewrite(path, change):
    """The file again with `change` made to header or tensors, and the checksum made to agree."""
    header, tensors = read_file(path)
    change(header, tensors)
    header.pop("sha256")
    header["sha256"] = digest(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})


def assert_same(a: FinishedLayer, b: FinishedLayer) -> None:
    assert torch.equal(a.codes, b.codes)
    assert a.codes.dtype == b.codes.dtype
    assert torch.equal(a.keep, b.keep)
    assert (a.scale, a.seed, a.form, a.reduction) == (b.scale, b.seed, b.form, b.reduction)
    assert str(a.polynomial) == str(b.polynomial)


def test_round_trip_of_any_layers(path):
    back, before = load_packed(path), packed()
    assert back.layers.keys() == LAYERS.keys()
    for name, layer in LAYERS.items():
        assert_same(back.layers[name], layer)
    assert all(torch.equal(back.rest[k], v) and back.rest[k].dtype == v.dtype for k, v in REST.items())
    assert torch.equal(back.activity["conv"].row_ones, before.activity["conv"].row_ones)
    assert (back.bits, back.facts) == (8, before.facts)
    again = path.with_name("again.safetensors")
    save_packed(again, back)
    assert again.read_bytes() == path.read_bytes()


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_generator_round_trips(data):
    degree = data.draw(st.integers(6, 24))
    polynomial = str(primitive_polynomial(degree))
    size = data.draw(st.integers(2, 40))
    how = {
        "polynomial": polynomial,
        "seed": data.draw(st.integers(1, 2**degree - 1)),
        "form": data.draw(st.sampled_from(["fibonacci", "galois"])),
        "reduction": data.draw(st.sampled_from(["multiply-shift", "modulo"])),
    }
    mask = lfsr_mask((size,), data.draw(st.sampled_from([0.1, 0.5, 0.9])), **how)
    layer = layer_of(mask, bits=data.draw(st.sampled_from([4, 8, 12])), **how)
    entry, codes, bitmap = encode_layer(layer)
    assert bitmap is None or mask.kept == size
    assert codes.numel() == mask.kept
    assert_same(
        decode_layer(entry, codes, bitmap),
        layer if mask.kept < size else FinishedLayer(layer.codes, 0.37, layer.keep),
    )


def test_codes_lie_where_the_register_points():
    """An oracle without the mask: each state in turn, positions seen before passed over."""
    layer = LAYERS["own register"]
    entry, codes, _ = encode_layer(layer)
    seen = dict.fromkeys(int(s) % 300 for s in LFSR("x^9+x^4+1", 5, "galois").states(511))
    order = list(seen)[: entry["kept"]]
    assert codes.tolist() == layer.codes.flatten()[order].tolist()


def test_parts_of_the_file_add_up(path):
    parts = file_parts(path)
    assert sum(parts.values()) == path.stat().st_size
    assert parts["codes"] == sum(int(layer.keep.sum()) for layer in LAYERS.values())
    assert parts["bitmaps"] == 5 + 5 + 2  # 35, 36 and 11 positions, one bit each
    assert parts["rest"] == 8 * 4 + 3 * 2 + 8
    assert parts["activity"] == 27 * 8


def test_nothing_is_left_beside_the_file(path):
    save_packed(path, packed())
    assert [p.name for p in path.parent.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    "layer, told",
    [
        (
            FinishedLayer(torch.ones(4, 4, dtype=torch.int8), 1.0, LAYERS["all"].keep[:4] & False),
            "16 codes other",
        ),
        (
            FinishedLayer(*(getattr(LAYERS["conv"], n) for n in ("codes", "scale", "keep")), 78),
            "from seed 78",
        ),
        (
            FinishedLayer(torch.full((2, 2), -128, dtype=torch.int8), 1.0, torch.ones(2, 2, dtype=bool)),
            "has the code -128; 8 bits end at 127",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_before_a_file_is_there(layer, told, tmp_path):
    with pytest.raises(ValueError, match=rf"layer bad.*{told}"):
        save_packed(tmp_path / "x", Packed(8, {"bad": layer}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda h, t: h.update(version=1), "has version 1; this library reads version 2"),
        (
            lambda h, t: h["layers"]["conv"].update(seed=78),
            "layer conv .* from seed 78 walks in another order",
        ),
        (lambda h, t: h["layers"]["conv"].update(polynomial="x^31+x^2+1"), "layer conv .* not primitive"),
        (lambda h, t: h["layers"]["conv"].update(kept=107), "layer conv .* 108 codes .* 107 of 216"),
        (lambda h, t: h["layers"]["iid"].update(mask="guess"), "layer iid .* mask is 'guess'"),
        (lambda h, t: t.pop("bitmap.iid"), "layer iid .* bitmap of 5 bytes"),
        (lambda h, t: t["bitmap.iid"].fill_(0), "layer iid .* keeps 0 weights; the header says 10"),
        (lambda h, t: t.pop("codes.all"), "layer all .*codes.all"),
        (lambda h, t: h["layers"]["conv"].pop("shape"), "layer conv .*shape"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(path, change, told):
    rewrite(path, change)
    with pytest.raises(ValueError, match=rf"mine\.safetensors.*{told}"):
        load_packed(path)


def test_a_file_without_its_checksum_is_refused(path):
    header, tensors = read_file(path)
    header.pop("sha256")
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})
    with pytest.raises(ValueError, match=r"damaged: .* not None"):
        load_packed(path)


def test_an_order_that_changed_is_noticed_even_where_every_checksum_agrees(path):
    """As if the library of tomorrow drew its positions otherwise."""
    tensors = load_file(path)
    assert not [name for name in tensors if name.startswith(("order", "index"))]  # no index lies in the file
    rewrite(path, lambda h, t: h["layers"]["own register"].update(form="fibonacci"))
    with pytest.raises(ValueError, match=r"own register does not decode: .* walks in another order"):
        load_packed(path)
