"""A stored layer: what it says of itself, with a generator and without, and that it walks only once."""

import copy

import jaxtyping
import pytest
import torch
from torch import nn

from twofold.codes.encodings import CELL_ENCODINGS, ENCODINGS
from twofold.codes.quantizer import dequantize
from twofold.layer import StoredLayer, check_unchanged, weight_layers
from twofold.masks import Rejection, random_mask
from twofold.masks.generator import GENERATORS
from twofold.masks.measures import index_storage_bits


def layer_of(keep, **others) -> StoredLayer:
    codes = torch.randint(-127, 128, keep.shape, generator=torch.Generator().manual_seed(0)) * keep
    return StoredLayer(codes.to(torch.int8), 0.5, keep, **others)


@pytest.fixture(params=sorted(GENERATORS))
def generated(request):
    generator = GENERATORS[request.param]("x^11+x^2+1", 77)
    mask = generator.draw((10, 4, 3, 3), 0.4)
    return layer_of(mask.keep, generator=generator), mask


# ---- its mask ----


def test_the_generator_says_order_and_clocks(generated):
    layer, mask = generated
    assert torch.equal(layer.order, mask.order)
    assert layer.clocks == mask.clocks >= layer.kept == 144
    assert torch.equal(layer.mask.keep, layer.keep)
    assert layer.index_bits == 0


def test_its_mask_is_drawn_once(generated, monkeypatch):
    layer, mask = generated
    walked = []

    def draw(generator, shape, density):
        walked.append((shape, density))
        return mask

    monkeypatch.setattr(type(layer.generator), "draw", draw)
    drawn = [layer.mask for _ in range(3)]
    assert (layer.clocks, layer.kept, layer.size) == (mask.clocks, 144, 360)
    assert layer.order is layer.order is mask.order
    assert all(own is mask for own in drawn)
    assert walked == [((10, 4, 3, 3), 0.4)]


def test_without_a_generator_order_is_that_of_the_positions_and_no_clock_runs():
    layer = layer_of(random_mask((10, 36), 0.3, 1).keep)
    assert layer.mask is None
    assert layer.clocks is None
    assert layer.order.tolist() == [i for i, keep in enumerate(layer.keep.flatten().tolist()) if keep]
    assert (layer.size, layer.kept) == (360, 108)


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("bits", [3, 8])
def test_a_chosen_mask_takes_the_bits_of_its_cheapest_index(density, bits):
    layer = layer_of(random_mask((20, 36), density, 1).keep, bits=bits)
    schemes = index_storage_bits(layer.keep, weight_bits=bits).set_index("scheme").bits.drop("lfsr")
    assert layer.index_bits == schemes.min() > 0


def test_where_all_is_kept_there_is_no_index():
    assert layer_of(torch.ones(10, 36, dtype=torch.bool)).index_bits == 0


# ---- its codes ----

IN_A_CROSSBAR = {
    "offset_binary": "offset_binary",
    "sign_magnitude": "differential",
    "differential": "differential",
    "signed_rows": "differential",
}


@pytest.mark.parametrize("plain", CELL_ENCODINGS)
def test_codes_keep_the_encoding_that_they_were_chosen_for(plain):
    keep = torch.ones(2, 3, dtype=torch.bool)
    for encoding, held in IN_A_CROSSBAR.items():
        layer = layer_of(keep, encoding=encoding)
        assert layer.encoding_in("packed", plain) == encoding
        assert layer.encoding_in("crossbar", plain) == held
        assert held in ENCODINGS  # that a crossbar can be programmed with
    for dataflow in ("packed", "crossbar"):
        assert layer_of(keep).encoding_in(dataflow, plain) == plain  # chosen for none


@pytest.mark.parametrize(
    "own, meant",
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_weights_are_those_of_the_codes_in_the_precision_of_the_model(own, meant):
    layer = layer_of(torch.ones(4, 5, dtype=torch.bool))
    weight = layer.weight_like(torch.zeros(4, 5, dtype=own))
    assert weight.dtype == meant
    assert torch.equal(weight, dequantize(layer.codes, torch.tensor(0.5, dtype=meant), 8))


def test_a_weight_that_was_changed_is_named():
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Conv1d(4, 2, 3))
    assert list(weight_layers(model)) == ["0", "2"]
    layers = {
        name: layer_of(torch.ones_like(own.weight, dtype=torch.bool))
        for name, own in weight_layers(model).items()
    }
    with torch.no_grad():
        for name, layer in layers.items():
            model.get_submodule(name).weight.copy_(layer.weight_like(model.get_submodule(name).weight))
        check_unchanged(dict(model.named_modules()), layers)
        for other in (torch.float64, torch.bfloat16):  # moved to another precision it holds the codes still
            check_unchanged(dict(copy.deepcopy(model).to(other).named_modules()), layers)
        model[2].weight[0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"the weight of layer '2' was changed after finish\(\)"):
        check_unchanged(dict(model.named_modules()), layers)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"bits": 1}, r"bits is 1, allowed are 2\.\.16"),
        ({"encoding": "gray"}, "encoding is 'gray', allowed are twos"),
    ],
)
def test_bad_facts_are_quoted(given, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        layer_of(torch.ones(2, 3, dtype=torch.bool), **given)


def test_marked_for_another_encoding_it_keeps_the_mask_that_was_drawn(generated):
    layer, _ = generated
    drawn = layer.mask
    marked = layer.chosen_for("signed_rows")
    assert (layer.encoding, marked.encoding) == ("twos_complement", "signed_rows")
    assert marked.mask is drawn
    assert marked.codes is layer.codes


@pytest.mark.parametrize(
    "change, told",
    [
        ({"codes": torch.ones(2, 3)}, "codes are torch.float32"),
        ({"codes": torch.ones(3, 2, dtype=torch.int8)}, "have the shapes"),
        ({"scale": float("nan")}, "scale is nan; allowed are finite numbers above 0"),
        ({"scale": 0.0}, "scale is 0.0"),
    ],
)
def test_what_is_no_layer_is_refused_before_it_is_priced(change, told, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    own = {"codes": torch.ones(2, 3, dtype=torch.int8), "scale": 1.0, "keep": torch.ones(2, 3).bool()}
    with pytest.raises(ValueError, match=told):
        StoredLayer(**own | change)


def test_a_generator_of_another_mask_is_refused_where_it_walks():
    generator = Rejection("x^5+x^2+1", 3)
    keep = ~generator.draw((4, 6), 0.5).keep
    layer = StoredLayer(keep.to(torch.int8), 1.0, keep, generator=generator)
    with pytest.raises(ValueError, match=r"the mask is not the one that .* from seed 3 makes"):
        _ = layer.clocks
