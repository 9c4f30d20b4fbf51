"""The packed memory of any layers: what goes in comes out, and what does not fit is refused by name."""

import json
from dataclasses import replace

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from twofold.codes.encodings import CELL_ENCODINGS
from twofold.inputs import Activity
from twofold.layer import StoredLayer
from twofold.masks import (
    LFSR,
    ColumnByColumn,
    KernelCounter,
    MultiplyShift,
    Rejection,
    magnitude_mask,
    random_mask,
)
from twofold.masks.generator import GENERATORS, Modulo
from twofold.masks.gf2 import primitive_polynomial
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


def layer_of(mask, generator=None, bits=8, encoding="twos_complement", group=1) -> StoredLayer:
    torch.manual_seed(mask.kept)
    limit = 2 ** (bits - 1) - 1
    codes = torch.randint(-limit, limit + 1, mask.keep.shape) * mask.keep
    dtype = torch.int8 if bits <= 8 else torch.int16
    return StoredLayer(codes.to(dtype), 0.37, mask.keep, bits, encoding, generator, group)


def changed_to(code) -> StoredLayer:
    """A layer whose codes were changed in place since it was made."""
    layer = StoredLayer(torch.zeros(2, 2, dtype=torch.int8), 1.0, torch.ones(2, 2, dtype=torch.bool))
    layer.codes.fill_(code)
    return layer


def drawn(shape, density, generator, **others) -> StoredLayer:
    return layer_of(generator.draw(shape, density), generator, group=generator.group, **others)


KINDS = ", ".join(GENERATORS)
LAYERS = {
    "conv": drawn((8, 3, 3, 3), 0.5, MultiplyShift("x^31+x^3+1", 77)),
    "own register": drawn((20, 15), 0.1, Modulo("x^9+x^4+1", 5, "galois")),
    "rejection": drawn((20, 15), 0.4, Rejection("x^9+x^4+1", 9), encoding="signed_rows"),
    "iid": layer_of(random_mask((5, 7), 0.3, 1), encoding="sign_magnitude"),
    "magnitude": layer_of(magnitude_mask(torch.randn(4, 9), 0.25)),
    "all": layer_of(random_mask((6, 4), 1.0, 1), encoding="differential"),
    "a vector": layer_of(random_mask((11,), 0.5, 1)),
    "column": drawn((20, 15), 0.4, ColumnByColumn("x^4+x+1", 9)),
    "counter": drawn((8, 3, 3, 3), 0.4, KernelCounter("x^5+x^2+1", 9, group=3)),
    "shared": drawn((20, 15), 0.4, Rejection("x^9+x^4+1", 9, group=8), encoding="signed_rows"),
    "shared iid": layer_of(random_mask((10, 7), 0.3, 1, 4), group=4),
    "shared magnitude": layer_of(magnitude_mask(torch.randn(5, 9), 0.25, 16), group=16),
    "all shared": layer_of(random_mask((6, 4), 1.0, 1, 4), group=4),
}
REST = {"bn.weight": torch.rand(8), "half": torch.rand(3).bfloat16(), "count": torch.tensor(4)}


def packed() -> Packed:
    activity = {"conv": Activity(torch.arange(27.0, dtype=torch.float64), 40, 8)}
    return Packed(LAYERS, REST, activity, {"model": "mine", "sizes": [1, 2]})


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


def assert_same(a: StoredLayer, b: StoredLayer) -> None:
    assert torch.equal(a.codes, b.codes)
    assert a.codes.dtype == b.codes.dtype
    assert torch.equal(a.keep, b.keep)
    assert (a.scale, a.bits, a.encoding, a.generator) == (b.scale, b.bits, b.encoding, b.generator)
    assert (a.group, a.indices) == (b.group, b.indices)
    assert torch.equal(a.order, b.order)
    assert a.clocks == b.clocks


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
    degree = data.draw(st.integers(9, 20))
    kind = data.draw(st.sampled_from(sorted(GENERATORS)))
    form = (
        "fibonacci" if kind in ("column", "counter") else data.draw(st.sampled_from(["fibonacci", "galois"]))
    )
    seed, group = data.draw(st.integers(1, 2**degree - 1)), data.draw(st.integers(1, 12))
    generator = GENERATORS[kind](primitive_polynomial(degree), seed, form, group)
    bits = data.draw(st.sampled_from([4, 8, 12]))
    encoding = data.draw(st.sampled_from(CELL_ENCODINGS))
    shape = data.draw(st.sampled_from([(10, 7), (2, 3, 3, 3), (9, 12, 1)]))
    layer = drawn(shape, data.draw(st.sampled_from([0.1, 0.5, 1.0])), generator, bits=bits, encoding=encoding)
    entry, codes, bitmap = encode_layer(layer)
    assert bitmap is None
    assert codes.numel() == layer.kept
    back = decode_layer(entry, bits, codes, bitmap)
    assert_same(back, layer if layer.kept < layer.size else replace(layer, generator=None))


def test_what_was_walked_while_reading_is_not_walked_again(path, monkeypatch):
    layer = load_packed(path).layers["rejection"]
    monkeypatch.setattr(Rejection, "draw", lambda *_: pytest.fail("drawn again"))
    assert torch.equal(layer.order, LAYERS["rejection"].order)
    assert layer.mask is layer.mask


def test_a_file_that_names_no_encoding_holds_twos_complement(path):
    """As all files did before networks kept the encoding that they were trained for."""
    rewrite(path, lambda h, t: [entry.pop("encoding", None) for entry in h["layers"].values()])
    back = load_packed(path)
    for name, layer in LAYERS.items():
        assert_same(back.layers[name], replace(layer, encoding="twos_complement"))
    plain = path.with_name("plain.safetensors")
    save_packed(plain, back)
    assert plain.read_bytes() == path.read_bytes()  # and what holds it names none


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
    # One bit each: 35, 36 and 11 positions; where columns share, 3 groups of 7 rows and one of 9.
    assert parts["bitmaps"] == 5 + 5 + 2 + 3 + 2
    assert parts["rest"] == 8 * 4 + 3 * 2 + 8
    assert parts["activity"] == 27 * 8


def test_nothing_is_left_beside_the_file(path):
    save_packed(path, packed())
    assert [p.name for p in path.parent.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    "layer, told",
    [
        (
            StoredLayer(torch.ones(4, 4, dtype=torch.int8), 1.0, torch.zeros(4, 4, dtype=torch.bool)),
            "16 codes other",
        ),
        (
            replace(LAYERS["conv"], generator=MultiplyShift("x^31+x^3+1", 78)),
            "from seed 78",
        ),
        (
            changed_to(-128),
            "has the code -128; 8 bits end at 127",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_before_a_file_is_there(layer, told, tmp_path):
    with pytest.raises(ValueError, match=rf"layer bad.*{told}"):
        save_packed(tmp_path / "x", Packed({"bad": layer}))
    assert not list(tmp_path.iterdir())


def test_layers_of_two_widths_are_no_file(tmp_path):
    narrow = replace(LAYERS["all"], codes=LAYERS["all"].codes // 16, bits=5)
    layers = {name: LAYERS[name] for name in ("conv", "iid")} | {"narrow": narrow}
    with pytest.raises(ValueError, match=r"layers have codes of \[5, 8\] bits; one width is needed"):
        save_packed(tmp_path / "x", Packed(layers))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda h, t: h.update(version=1), "has version 1; this library reads versions 2 and 3"),
        (
            lambda h, t: h["layers"]["conv"].update(seed=78),
            "layer conv .* from seed 78 walks in another order",
        ),
        (lambda h, t: h["layers"]["conv"].update(polynomial="x^31+x^2+1"), "layer conv .* not primitive"),
        (
            lambda h, t: h["layers"]["conv"].update(reduction="guess"),
            f"layer conv .* reduction 'guess' is unknown; allowed are {KINDS}",
        ),
        (  # an older file, of a time when there was one kind
            lambda h, t: h["layers"]["conv"].pop("reduction"),
            rf"layer conv .* names no kind of index generator \('reduction'\); known are {KINDS}",
        ),
        (
            lambda h, t: h["layers"]["column"].update(form="galois"),
            "layer column .* form 'galois' has no column",
        ),
        (
            lambda h, t: h["layers"]["column"].update(polynomial="x^3+x+1", seed=1),
            "layer column .* has 8 states, too few for 15 rows",
        ),
        (
            lambda h, t: h["layers"]["conv"].update(reduction="counter"),
            r"layer conv .* has 2\^31 states, and nearly all would be skipped; degree 5 reaches",
        ),
        *(
            (
                lambda h, t, g=g: h["layers"]["shared"].update(group=g),
                f"layer shared .* group is {g!r}; allowed are whole numbers, 1 ",
            )
            for g in (0, -3, "all", 2.5, None)
        ),
        (lambda h, t: h["layers"]["shared"].update(indices=17), "layer shared .* in another order"),
        (lambda h, t: h["layers"]["shared"].update(indices="17"), "layer shared .* indices is '17'; allowed"),
        (lambda h, t: h["layers"]["shared"].pop("group"), "layer shared .* in another order"),
        (lambda h, t: h["layers"]["shared iid"].update(indices=7), "mask has 6 indices; the header says 7"),
        (lambda h, t: h["layers"]["shared iid"].update(group=3), "layer shared iid .* a bitmap of 4 bytes"),
        (lambda h, t: h["layers"]["all shared"].update(indices=3), "mask has 8 indices; the header says 3"),
        (
            lambda h, t: h["layers"]["rejection"].update(polynomial="x^8+x^4+x^3+x^2+1"),
            "layer rejection .* has 255 states, too few for 300 positions",
        ),
        (
            lambda h, t: h["layers"]["conv"].update(encoding="gray"),
            "layer conv .* encoding is 'gray', allowed",
        ),
        (lambda h, t: h["layers"]["conv"].update(encoding=[]), r"layer conv .* encoding is \[\], allowed"),
        (lambda h, t: h["layers"]["conv"].update(kept=107), "layer conv .* 108 codes .* 107 of 216"),
        (lambda h, t: h["layers"]["iid"].update(mask="guess"), "layer iid .* mask is 'guess'"),
        (lambda h, t: t.pop("bitmap.iid"), "layer iid .* bitmap of 5 bytes"),
        (lambda h, t: t["bitmap.iid"].fill_(0), "layer iid .* keeps 0 weights; the header says 10"),
        (lambda h, t: t.pop("codes.all"), "layer all .*codes.all"),
        (lambda h, t: h["layers"]["conv"].pop("shape"), "layer conv .*shape"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(path, change, told, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
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
