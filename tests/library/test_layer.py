"""A stored layer: what it says of itself, with a generator and without, and that it walks only once."""

import copy

import jaxtyping
import pytest
import torch
from torch import nn

from twofold.codes.encodings import CELL_ENCODINGS, ENCODINGS
from twofold.codes.quantizer import dequantize
from twofold.layer import StoredLayer, check_unchanged, weight_layers
from twofold.masks import Rejection, magnitude_mask, random_mask
from twofold.masks.generator import GENERATORS
from twofold.masks.measures import index_storage_bits


def layer_of(keep, **others) -> StoredLayer:
    codes = torch.randint(-127, 128, keep.shape, generator=torch.Generator().manual_seed(0)) * keep
    return StoredLayer(codes.to(torch.int8), 0.5, keep, **others)


@pytest.fixture(params=sorted(GENERATORS))
def generated(request):
    generator = GENERATORS[request.param]("x^11+x^2+1", 77)
    mask = generator.draw((10, 5, 3, 3), 0.4)
    return layer_of(mask.keep, generator=generator), mask


# ---- its mask ----


def test_the_generator_says_order_and_clocks(generated):
    layer, mask = generated
    assert torch.equal(layer.order, mask.order)
    assert layer.clocks == mask.clocks >= layer.kept == layer.indices == 180
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
    assert (layer.clocks, layer.kept, layer.size) == (mask.clocks, 180, 450)
    assert layer.order is layer.order is mask.order
    assert all(own is mask for own in drawn)
    assert walked == [((10, 5, 3, 3), 0.4)]


def test_without_a_generator_order_is_that_of_the_positions_and_no_clock_runs():
    layer = layer_of(random_mask((10, 36), 0.3, 1).keep)
    assert layer.mask is None
    assert layer.clocks is None
    assert layer.order.tolist() == [i for i, keep in enumerate(layer.keep.flatten().tolist()) if keep]
    assert (layer.size, layer.kept) == (360, 108)


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("bits", [3, 8])
def test_a_chosen_mask_takes_the_bits_of_its_cheapest_index(density, bits):
    keep = random_mask((20, 36), density, 1).keep
    layer = StoredLayer(keep.char(), 0.5, keep, bits)
    schemes = index_storage_bits(layer.keep, weight_bits=bits).set_index("scheme").bits.drop("lfsr")
    assert layer.index_bits == schemes.min() > 0


GROUPS = [1, 2, 4, 10, 16]  # 4 of 10 columns leave two over; 16 are more than there are


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_shared_rows_are_counted_once_a_group(kind, group):
    generator = GENERATORS[kind]("x^11+x^2+1", 77, group=group)
    mask = generator.draw((10, 5, 3, 3), 0.4)
    layer = layer_of(mask.keep, generator=generator, group=group)
    matrix = layer.keep.flatten(1).tolist()
    groups = [matrix[first : first + group] for first in range(0, 10, group)]
    assert layer.blocks.tolist() == [columns[0] for columns in groups]
    assert layer.indices == mask.indices == sum(sum(columns[0]) for columns in groups)
    assert layer.kept == sum(map(sum, matrix)) == sum(sum(c[0]) * len(c) for c in groups)
    assert (layer.rows, layer.columns, layer.groups) == (45, 10, len(groups))
    assert (layer.clocks, layer.index_bits) == (mask.clocks, 0)
    # In memory index by index, the columns of a group side by side.
    places, seen = [divmod(position, 45) for position in layer.order.tolist()], []
    while places:
        column, row = places[0]
        side = [(other, row) for other in range(10) if other // group == column // group]
        assert places[: len(side)] == side
        seen, places = [*seen, *side], places[len(side) :]
    assert sorted(seen) == [(c, r) for c in range(10) for r in range(45) if matrix[c][r]]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("draw", ["iid", "magnitude"])
def test_a_stored_index_is_that_of_the_groups(group, draw):
    weight = torch.randn(10, 45, generator=torch.Generator().manual_seed(3))
    if draw == "iid":
        mask = random_mask((10, 45), 0.4, 1, group)
    else:
        mask = magnitude_mask(weight, 0.4, group)
    layer = layer_of(mask.keep, group=group)
    assert (
        layer.indices
        == mask.indices
        == sum(
            any(mask.keep[first : first + group, row]) for first in range(0, 10, group) for row in range(45)
        )
    )
    assert layer.order.tolist() == [i for i, keep in enumerate(layer.keep.flatten().tolist()) if keep]
    # A filler zero stands for the weights of all columns of its group.
    blocks, bits = layer.keep[::group], 8 * min(group, 10)
    schemes = index_storage_bits(blocks, weight_bits=bits).set_index("scheme").bits.drop("lfsr")
    assert layer.index_bits == schemes.min() <= blocks.numel()


def test_a_vector_is_a_row_of_columns():
    keep = torch.tensor([True, True, False, False, True, True])
    layer = layer_of(keep, group=2)
    assert (layer.rows, layer.columns, layer.indices, layer.kept) == (1, 6, 2, 4)
    assert layer.blocks.tolist() == [[True], [False], [True]]
    assert layer_of(keep).index_bits == 6


def test_where_all_is_kept_there_is_no_index():
    assert layer_of(torch.ones(10, 36, dtype=torch.bool)).index_bits == 0
    assert layer_of(torch.ones(10, 36, dtype=torch.bool), group=4).index_bits == 0


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

    def weights(model):
        return {name: layer.weight for name, layer in weight_layers(model).items()}

    layers = {
        name: layer_of(torch.ones_like(own.weight, dtype=torch.bool))
        for name, own in weight_layers(model).items()
    }
    with torch.no_grad():
        for name, layer in layers.items():
            model.get_submodule(name).weight.copy_(layer.weight_like(model.get_submodule(name).weight))
        check_unchanged(weights(model), layers)
        for other in (torch.float64, torch.bfloat16):  # moved to another precision it holds the codes still
            check_unchanged(weights(copy.deepcopy(model).to(other)), layers)
        model[2].weight[0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"the weight of layer '2' was changed after finish\(\)"):
        check_unchanged(weights(model), layers)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"bits": 1}, r"bits is 1, allowed are 2\.\.16"),
        ({"encoding": "gray"}, "encoding is 'gray', allowed are twos"),
        *(
            ({"group": group}, f"group is {group!r}; allowed are whole numbers, 1 ")
            for group in (0, -1, "all", 1.5, None)
        ),
        (
            {"group": 2, "generator": Rejection("x^5+x^2+1", group=3)},
            "group is 2 and that of its generator 3; they must be equal",
        ),
        ({"generator": Rejection("x^5+x^2+1", group=3)}, "group is 1 and that of its generator 3"),
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
        ({"codes": torch.full((2, 3), 100).char(), "bits": 4}, r"codes span 100\.\.100, 4 bits have -7\.\.7"),
        ({"codes": torch.full((2, 3), -128).char()}, r"codes span -128\.\.-128, 8 bits have -127\.\.127"),
        ({"scale": float("nan")}, "scale is nan; allowed are finite numbers above 0"),
        ({"scale": 0.0}, "scale is 0.0"),
    ],
)
def test_what_is_no_layer_is_refused_before_it_is_priced(change, told, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    own = {"codes": torch.ones(2, 3, dtype=torch.int8), "scale": 1.0, "keep": torch.ones(2, 3).bool()}
    with pytest.raises(ValueError, match=told):
        StoredLayer(**own | change)


@pytest.mark.parametrize("last", [0, 2, 4])
def test_columns_that_differ_share_no_rows(last):
    keep = torch.ones(5, 3, dtype=torch.bool)
    layer_of(keep, group=2)
    keep[last, 1] = False
    if last == 4:  # alone in its group
        assert layer_of(keep, group=2).indices == 8
        return
    with pytest.raises(ValueError, match="keep differs between columns that are to share, 2 by 2"):
        layer_of(keep, group=2)


def test_a_generator_of_another_mask_is_refused_where_it_walks():
    generator = Rejection("x^5+x^2+1", 3)
    keep = ~generator.draw((4, 6), 0.5).keep
    layer = StoredLayer(keep.to(torch.int8), 1.0, keep, generator=generator)
    with pytest.raises(ValueError, match=r"the mask is not the one that .* from seed 3 makes"):
        _ = layer.clocks
