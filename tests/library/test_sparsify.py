"""Both sparsities on a model: what the forward pass sees, what is trained, what comes out."""

import copy
import csv
import math
from itertools import pairwise
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from companion.study.zoo import build_model
from twofold.codes.encodings import decode, from_bit_planes
from twofold.codes.quantizer import code_limit, dequantize, quantize, weight_scale
from twofold.layer import weight_layers
from twofold.masks import Rejection, lfsr_mask, magnitude_mask, random_mask
from twofold.masks.generator import GENERATORS, layer_generator, layer_polynomial, layer_seed
from twofold.sparsity.densities import layer_densities
from twofold.sparsity.parametrizations import BitPlaneWeight, SparseWeight
from twofold.sparsity.twofold import Twofold

pytestmark = pytest.mark.usefixtures("one_thread")

TABLE = Path(__file__).parents[2] / "src" / "twofold" / "tables" / "rram_2bit_cell.csv"


def digits_net(seed=0):
    torch.manual_seed(seed)
    return build_model("digits-net", 10, 1)


def images(seed=0, n=6):
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def weights(model):
    return {name: layer.weight.detach().clone() for name, layer in weight_layers(model).items()}


def slots(sparsity):
    """(name, parametrization, trained tensor) of each layer, by torch's public interface."""
    for name, layer in sparsity.layers.items():
        slot = layer.parametrizations.weight
        yield name, slot[0], slot.original


ATTACHED = {
    "rounded": {},
    "lfsr": {"density": 0.5},
    "iid": {"density": 0.3, "mask": "iid"},
    "magnitude": {"density": 0.3, "mask": "magnitude"},
    "energy": {"density": 0.5, "strength": 60.0},
    "popcount": {"density": 0.5, "strength": 0.01, "bit_term": "popcount"},
    "planes": {"strength": 0.01, "bit_term": "planes"},
    "clipped": {"density": 0.5, "strength": 60.0, "clip_ratio": 0.4},
    "signed": {"density": 0.5, "strength": 60.0, "clip_ratio": 2.0, "encoding": "sign_magnitude"},
    "4 bits": {"density": 0.5, "strength": 5.0, "bits": 4, "encoding": "sign_magnitude"},
    "12 bits": {"bits": 12, "density": {"conv1": 1.0, "conv2": 0.5, "fc1": 0.1, "fc2": 1.0}},
}
every_way = pytest.mark.parametrize("way", ATTACHED)


# ---- masks and codes in the forward pass ----


@pytest.mark.parametrize("run", [0, 3])
@pytest.mark.parametrize("density", [0.5, 0.1])
def test_masks_are_those_of_the_layers_registers(density, run):
    sparsity = Twofold(digits_net(), density=density, seed=run)
    for index, (name, weight, _) in enumerate(slots(sparsity)):
        shape = tuple(sparsity.layers[name].weight.shape)
        polynomial = layer_polynomial(weight.keep.numel().bit_length(), index, run)
        seed = layer_seed(polynomial, index, run)
        assert sparsity.generators[name] == Rejection(polynomial, seed)
        assert torch.equal(
            weight.keep, lfsr_mask(shape, density, polynomial, seed, reduction="rejection").keep
        )
        assert int(weight.keep.sum()) == round(density * weight.keep.numel())


@pytest.mark.parametrize("group", [1, 5, 1000])
@pytest.mark.parametrize("kind", GENERATORS)
def test_every_kind_and_group_makes_a_networks_masks(kind, group):
    sparsity = Twofold(digits_net(), density=0.3, seed=2, generator=kind, group=group)
    for index, (name, weight, _) in enumerate(slots(sparsity)):
        shape = tuple(sparsity.layers[name].weight.shape)
        expected = layer_generator(kind, shape, index, 2, group)
        assert sparsity.generators[name] == expected
        assert torch.equal(weight.keep, expected.draw(shape, 0.3).keep)
        layer = sparsity.codes()[name]
        assert (layer.generator, layer.group, layer.groups) == (expected, group, -(-shape[0] // group))
        assert layer.kept == int(weight.keep.sum())


@pytest.mark.parametrize("group", [1, 5, 1000])
@pytest.mark.parametrize("mask", ["iid", "magnitude"])
def test_masks_that_no_register_makes_share_rows_too(mask, group):
    model = digits_net()
    floats = weights(model)
    sparsity = Twofold(model, density=0.3, mask=mask, seed=2, group=group)
    for index, (name, layer) in enumerate(sparsity.codes().items()):
        own = floats[name]
        if mask == "iid":
            expected = random_mask(own.shape, 0.3, 2000 + index, group)
        else:
            expected = magnitude_mask(own, 0.3, group)
        assert torch.equal(layer.keep, expected.keep)
        assert (layer.generator, layer.group, layer.indices) == (None, group, expected.indices)


def test_a_layer_that_keeps_all_shares_nothing():
    sparsity = Twofold(digits_net(), density={"conv1": 1.0, "fc1": 0.5}, group=4)
    assert {name: layer.group for name, layer in sparsity.codes().items()} == {"conv1": 1, "fc1": 4}
    assert sparsity.generators["conv1"] is None


def test_iid_masks_are_other_in_every_layer_and_run():
    drawn = []
    for run in (1, 2):
        sparsity = Twofold(digits_net(), density=0.5, mask="iid", seed=run)
        drawn += [weight.keep.flatten()[:144] for _, weight, _ in slots(sparsity)]
        assert not any(sparsity.generators.values())
    assert torch.equal(drawn[0], random_mask((16, 1, 3, 3), 0.5, seed=1000).keep.flatten())
    assert len({tuple(keep.tolist()) for keep in drawn}) == len(drawn)


@every_way
def test_weights_are_scale_times_code_and_zero_where_nothing_is_kept(way):
    model = digits_net()
    floats = weights(model)
    sparsity = Twofold(model, **ATTACHED[way])
    sparsity.advance(1.0)
    limit = code_limit(sparsity.bits)
    for name, finished in sparsity.codes().items():
        kept = floats[name][finished.keep]
        weight = sparsity.layers[name].weight.detach()
        assert bool((weight[~finished.keep] == 0).all())
        assert bool((finished.codes[~finished.keep] == 0).all())
        assert int(finished.codes.abs().max()) <= limit
        # Bit planes are cut before the mask is known, so their scale is that of all weights.
        planes = isinstance(model.get_submodule(name).parametrizations.weight[0], BitPlaneWeight)
        largest = (floats[name] if planes else kept).abs().max()
        assert finished.scale == float(largest * ATTACHED[way].get("clip_ratio", 1.0))
        assert torch.equal(weight, finished.codes.float() * torch.tensor(finished.scale / limit))
        if sparsity.chooser is None:
            off = (weight[finished.keep] - kept).abs().max()
            assert off <= finished.scale / limit / 2 * (1 + 1e-5)


def test_energy_aware_codes_follow_the_ramp():
    model = digits_net()
    floats = weights(model)
    sparsity = Twofold(model, strength=60.0, ramp=0.5)
    spent = []
    for progress, strength in ((0.0, 0.0), (0.25, 30.0), (0.5, 60.0), (1.0, 60.0)):
        sparsity.advance(progress)
        assert sparsity.chooser.strength == strength
        spent.append(sparsity.status()["cell_energy_pj"])
    assert spent[0] > spent[1] > spent[2] == spent[3]
    sparsity.advance(0.0)
    for name, finished in sparsity.codes().items():
        assert torch.equal(finished.codes, quantize(floats[name]))


@pytest.mark.parametrize("bit_term", ["counts", "popcount", "planes"])
def test_penalties_follow_their_ramp(bit_term):
    model = digits_net()
    terms = {"density": 0.5, "bit_term": bit_term, "strength": 2.0, "network_strength": 3.0, "prune_epoch": 1}
    full = Twofold(copy.deepcopy(model), **terms).penalty()
    assert full > 0
    rising = Twofold(model, **terms, penalty_ramp=0.5)
    for progress, share in ((0.0, 0.0), (0.125, 0.25), (0.5, 1.0), (1.0, 1.0)):
        rising.advance(progress)
        assert rising.penalty() == share * full


def test_a_penalty_that_never_rose_is_told():
    sparsity = Twofold(digits_net(), bit_term="planes", strength=1.0, penalty_ramp=0.5)
    sparsity.penalty()
    with pytest.warns(UserWarning, match="penalty_ramp is 0.5, but advance"):
        sparsity.codes()


@pytest.mark.parametrize("strength", [0.0, 60.0])
def test_clipped_codes_are_those_of_a_smaller_scale_and_saturate(strength):
    model = digits_net()
    floats = weights(model)
    sparsity = Twofold(model, strength=strength, clip_ratio=0.4)
    for name, finished in sparsity.codes().items():
        scale = 0.4 * float(weight_scale(floats[name]))
        assert finished.scale == pytest.approx(scale)
        if not strength:
            assert torch.equal(finished.codes, quantize(floats[name], scale=scale))
        beyond = floats[name] > scale
        assert beyond.any()
        assert (finished.codes[beyond] >= 0.9 * code_limit(8)).all()


@pytest.mark.parametrize("encoding, better", [("twos_complement", 0.5), ("sign_magnitude", 2.0)])
def test_the_best_scale_for_cheap_codes_is_not_the_largest_weight(encoding, better):
    # A bell-shaped layer at the price of energy that a fixed share of its variance makes.
    weight = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).view(1, -1)
    spent = {}
    for clip in (1.0, better):
        layer = nn.Linear(20_000, 1)
        layer.weight.data = weight.clone()
        lsb = clip * float(weight_scale(weight)) / code_limit(8)
        sparsity = Twofold(layer, layers="", strength=0.05 / lsb**2, clip_ratio=clip, encoding=encoding)
        sparsity.advance(1.0)
        error = (sparsity.codes()[""].codes * lsb - weight).pow(2).mean()
        spent[clip] = float(error) + 0.05 * sparsity.status()["cell_energy_pj"]
    assert spent[better] < spent[1.0]


# ---- gradients ----


def test_gradient_reaches_kept_weights_and_no_others():
    model = digits_net()
    sparsity = Twofold(model, density=0.5, strength=60.0)
    sparsity.advance(1.0)
    pull = {name: torch.randn_like(layer.weight) for name, layer in sparsity.layers.items()}
    sum((layer.weight * pull[name]).sum() for name, layer in sparsity.layers.items()).backward()
    for name, weight, original in slots(sparsity):
        assert torch.equal(original.grad, pull[name] * weight.keep)


def test_gradient_of_planes_is_the_place_value_of_each():
    model = nn.Sequential(nn.Linear(6, 5))
    sparsity = Twofold(model, density=0.5, strength=1.0, bit_term="popcount", bits=4)
    (_, weight, planes) = next(slots(sparsity))
    pull = torch.randn(5, 6)
    (model[0].weight * pull).sum().backward()
    step = weight.scale / 7
    for plane, value in enumerate((-8, 4, 2, 1)):
        torch.testing.assert_close(planes.grad[plane], value * step * pull * weight.keep)


def test_network_term_acts_until_the_weights_are_gone():
    model = digits_net()
    sparsity = Twofold(model, density=0.5, network_strength=0.1, prune_epoch=2)
    expected = 0.1 * sum(
        math.sqrt(float((original.detach().double()[~weight.keep] ** 2).sum()))
        for _, weight, original in slots(sparsity)
    )
    assert sparsity.penalty().item() == pytest.approx(expected, rel=1e-5)
    sparsity.penalty().backward()
    for _, weight, original in slots(sparsity):
        assert bool((original.grad[weight.keep] == 0).all())
        assert bool((original.grad[~weight.keep] != 0).any())
    sparsity.prune()
    assert sparsity.penalty().item() == 0


def test_network_term_ends_with_pruning_in_either_polarity():
    sparsity = Twofold(digits_net(), density=0.5, network_strength=0.1, prune_epoch=1, polarity="printed")
    assert sparsity.penalty().item() > 0
    sparsity.prune()
    assert sparsity.penalty().item() == 0


def test_bit_terms_join_the_loss_with_their_strength():
    for term in ("popcount", "planes"):
        one, five = (Twofold(digits_net(), strength=s, bit_term=term).penalty().item() for s in (1.0, 5.0))
        assert five == pytest.approx(5 * one, rel=1e-6)
        assert one > 0
    assert Twofold(digits_net(), strength=60.0).penalty().item() == 0


# ---- pruning ----


def test_nothing_is_removed_before_the_prune_epoch():
    model = digits_net()
    floats = weights(model)
    sparsity = Twofold(model, density=0.5, prune_epoch=2)
    assert not sparsity.pruned
    assert [sparsity.prune_due(epoch) for epoch in range(4)] == [False, False, True, True]
    for name, layer in sparsity.layers.items():
        assert torch.equal(layer.weight, dequantize(quantize(floats[name]), weight_scale(floats[name])))
    sparsity.prune()
    assert sparsity.pruned
    assert not sparsity.prune_due(3)
    for name, weight, _ in slots(sparsity):
        assert bool((sparsity.layers[name].weight[~weight.keep] == 0).all())


def test_magnitude_mask_looks_at_the_weights_when_they_are_pruned():
    model = digits_net()
    sparsity = Twofold(model, density=0.25, mask="magnitude", prune_epoch=1)
    before = {name: weight.keep.clone() for name, weight, _ in slots(sparsity)}
    with torch.no_grad():
        for _, _, original in slots(sparsity):
            original.copy_(torch.randn_like(original))
    now = weights(model)
    sparsity.prune()
    for name, weight, _ in slots(sparsity):
        sizes = now[name].abs()
        assert int(weight.keep.sum()) == round(0.25 * sizes.numel())
        assert sizes[weight.keep].min() >= sizes[~weight.keep].max()
        assert not torch.equal(weight.keep, before[name])


@pytest.mark.parametrize("prune_epoch", [0, 1])
@pytest.mark.parametrize("group", [1, 8])
def test_magnitude_masks_are_those_of_the_weights_that_are_loaded(group, prune_epoch):
    options = {"density": 0.25, "mask": "magnitude", "prune_epoch": prune_epoch, "group": group}
    theirs = digits_net(1)
    late, early = Twofold(digits_net(), **options), Twofold(copy.deepcopy(theirs), **options)
    late.model.load_state_dict(theirs.state_dict())
    for (name, ours, _), (_, expected, _) in zip(slots(late), slots(early), strict=True):
        assert torch.equal(ours.keep, expected.keep), name
        assert ours.active == expected.active == (prune_epoch == 0)
    bad = theirs.state_dict() | {"fc1.weight": torch.full_like(theirs.fc1.weight, math.nan)}
    with pytest.raises(RuntimeError, match=r"fc1\.weight: weight holds 10240 NaN"):
        late.model.load_state_dict(bad)


def test_groups_are_ranked_when_they_are_pruned():
    model = digits_net()
    sparsity = Twofold(model, density=0.25, mask="magnitude", prune_epoch=1, group=8)
    with torch.no_grad():
        for _, _, original in slots(sparsity):
            original.copy_(torch.randn_like(original))
    sparsity.prune()
    for name, weight, original in slots(sparsity):
        for first in range(0, len(weight.keep), 8):
            norms = original.detach()[first : first + 8].flatten(1).norm(dim=0)
            keep = weight.keep[first : first + 8].flatten(1)
            assert (keep == keep[0]).all()
            assert int(keep[0].sum()) == round(0.25 * norms.numel())
            assert norms[keep[0]].min() >= norms[~keep[0]].max()
        assert sparsity.codes()[name].groups == -(-len(weight.keep) // 8)


# ---- bit planes ----


@pytest.mark.parametrize("bits", [2, 5, 8, 16])
@pytest.mark.parametrize("shape", [(7, 5), (4, 3, 3, 3)])
def test_bit_planes_start_as_the_quantized_weights(bits, shape):
    weight = torch.randn(shape)
    planes = BitPlaneWeight(torch.ones(shape, dtype=torch.bool), bits)
    trained = planes.right_inverse(weight)
    assert trained.shape == (bits, shape[0], math.prod(shape[1:]))
    assert set(trained.unique().tolist()) <= {0.0, 1.0}
    codes, scale = planes.codes(trained)
    assert torch.equal(codes, quantize(weight, bits))
    assert scale == weight.abs().max()
    assert torch.equal(planes(trained), dequantize(quantize(weight, bits), weight_scale(weight), bits))


def test_requantize_gives_true_bits_and_keeps_the_codes():
    sparsity = Twofold(digits_net(), density=0.5, strength=0.01, bit_term="planes")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, _, planes in slots(sparsity):
            planes.copy_(torch.rand(planes.shape, generator=generator) * 1.4 - 0.2)
    sparsity.advance(0.5)
    assert all(0 <= planes.min() and planes.max() <= 1 for _, _, planes in slots(sparsity))
    before = sparsity.codes()
    sparsity.requantize()
    for name, _, planes in slots(sparsity):
        codes = before[name].codes
        assert torch.equal(planes, planes.round())
        spelt = from_bit_planes(planes.bool().movedim(0, -1).unsqueeze(-2))
        assert torch.equal(decode(spelt, 8, "twos_complement"), codes.flatten(1))
        assert torch.equal(sparsity.codes()[name].codes, codes)
        assert bool((codes != 0).any())


# ---- what is reported ----


@every_way
def test_status_equals_a_count_by_hand(way):
    """Zeros and energies of every kept code, spelt out as text: bits, cells, table."""
    sparsity = Twofold(digits_net(), **{**ATTACHED[way], "bits": 8, "encoding": "twos_complement"})
    sparsity.advance(1.0)
    with TABLE.open() as f:
        cost = {row["entry"]: float(row["energy"]) for row in csv.DictReader(f)}
    kept = [c for layer in sparsity.codes().values() for c in layer.codes[layer.keep].tolist()]
    spelt = [format(code & 255, "08b") for code in kept]
    energy = sum(cost[word[i : i + 2]] for word in spelt for i in (0, 2, 4, 6))
    status = sparsity.status()
    assert status["zero_codes"] == pytest.approx(kept.count(0) / len(kept), rel=1e-12)
    assert status["cell_energy_pj"] == pytest.approx(energy / len(kept), rel=1e-12)


@every_way
def test_finish_leaves_a_plain_network_with_the_same_answers(way):
    model = digits_net()
    plain = digits_net()
    sparsity = Twofold(model, **ATTACHED[way])
    sparsity.advance(1.0)
    model.eval()
    before = model(images())
    codes = sparsity.codes()
    finished = sparsity.finish()
    assert torch.equal(model(images()), before)
    assert model.state_dict().keys() == plain.state_dict().keys()
    for name, layer in weight_layers(model).items():
        assert type(layer) in (nn.Conv2d, nn.Linear)
        assert not parametrize.is_parametrized(layer)
        assert isinstance(layer.weight, nn.Parameter)
        assert torch.equal(finished[name].codes, codes[name].codes)
        stored = finished[name]
        assert torch.equal(dequantize(stored.codes, stored.scale, sparsity.bits), layer.weight)


# ---- saving in the middle ----


def train_a_little(sparsity, steps=4):
    """Enough to move everything: weights, batch norms, planes, masks."""
    optimizer = torch.optim.SGD(sparsity.model.parameters(), lr=0.05)
    for step in range(steps):
        sparsity.advance(step / steps)
        if step == steps // 2 and not sparsity.pruned:
            sparsity.prune()
        loss = sparsity.model(images(step)).square().mean() + sparsity.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    sparsity.advance(1.0)
    sparsity.requantize()


@pytest.mark.parametrize("prune_epoch", [0, 1])
@every_way
def test_state_dict_carries_a_training_on(way, prune_epoch):
    sparsity = Twofold(digits_net(), **ATTACHED[way], prune_epoch=prune_epoch)
    train_a_little(sparsity)
    state = copy.deepcopy(sparsity.model.state_dict())
    if ATTACHED[way].get("mask") != "magnitude":
        assert not any(name.endswith(".keep") for name in state)  # seeds make them anew

    other = Twofold(digits_net(seed=1), **ATTACHED[way], prune_epoch=prune_epoch)
    other.model.load_state_dict(state)
    other.advance(1.0)
    assert other.pruned
    assert not other.prune_due(1)
    assert other.status() == sparsity.status()
    expected = sparsity.finish()
    for name, layer in other.finish().items():
        assert torch.equal(layer.codes, expected[name].codes)
        assert torch.equal(layer.keep, expected[name].keep)
        assert layer.scale == expected[name].scale
        assert torch.equal(other.layers[name].weight, sparsity.layers[name].weight)


def test_state_dict_of_unpruned_weights_is_unpruned():
    sparsity = Twofold(digits_net(), density=0.5, prune_epoch=3)
    other = Twofold(digits_net(seed=1), density=0.5)
    other.model.load_state_dict(sparsity.model.state_dict())
    assert not other.pruned


@every_way
def test_a_deep_copy_lives_its_own_life(way):
    sparsity = Twofold(digits_net(), **ATTACHED[way])
    sparsity.advance(1.0)
    twin = copy.deepcopy(sparsity)
    original = weights(sparsity.model)
    assert all(torch.equal(w, original[name]) for name, w in weights(twin.model).items())
    train_a_little(twin)
    assert all(torch.equal(w, original[name]) for name, w in weights(sparsity.model).items())
    assert any(not torch.equal(w, original[name]) for name, w in weights(twin.model).items())
    model = copy.deepcopy(sparsity.model)
    model.eval(), sparsity.model.eval()
    assert torch.equal(model(images()), sparsity.model(images()))


# ---- densities of layers ----


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 80), min_size=2, max_size=6),
    density=st.floats(0.02, 1.0) | st.just(1.0),
)
def test_erk_keeps_what_was_asked_for(widths, density):
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))
    size = {name: layer.weight.numel() for name, layer in weight_layers(model).items()}
    found = layer_densities(model, density, "erk")
    assert found.keys() == size.keys()
    assert all(0 < d <= 1 for d in found.values())
    assert sum(found[n] * size[n] for n in size) == pytest.approx(density * sum(size.values()), rel=1e-9)
    # Below 1, density is proportional to the sum of the dimensions over their product.
    ratio = [
        found[n] * size[n] / sum(layer.weight.shape)
        for n, layer in weight_layers(model).items()
        if found[n] < 1
    ]
    assert ratio == pytest.approx([ratio[0]] * len(ratio) if ratio else [], rel=1e-9)


@pytest.mark.parametrize("density", [0.5, 0.1, 1.0])
def test_erk_of_resnet20_spares_the_small_layers(density):
    model = build_model("resnet20")
    found = layer_densities(model, density, "erk")
    size = {name: layer.weight.numel() for name, layer in weight_layers(model).items()}
    kept = sum(max(1, round(found[n] * size[n])) for n in size)
    assert abs(kept - density * 268_336) <= len(size) / 2
    assert found["conv1"] >= found["blocks.0.conv1"] >= found["blocks.8.conv2"]


def test_uniform_density_is_uniform():
    assert set(layer_densities(build_model("resnet20"), 0.37).values()) == {0.37}


# ---- bad input ----


@pytest.mark.parametrize(
    "options, message",
    [
        ({"strength": -1.0}, "strength is -1.0"),
        ({"strength": math.nan}, "strength is nan"),
        ({"network_strength": math.inf}, "network_strength is inf"),
        ({"ramp": 0.0}, r"ramp is 0.0; .* \(0, 1\]"),
        ({"ramp": 1.5}, "ramp is 1.5"),
        ({"penalty_ramp": -0.5}, r"penalty_ramp is -0.5; .* \[0, 1\]"),
        ({"penalty_ramp": math.nan}, "penalty_ramp is nan"),
        ({"clip_ratio": 0.0}, r"clip_ratio is 0.0; .* \(0, 4\]"),
        ({"clip_ratio": 4.5}, "clip_ratio is 4.5"),
        ({"clip_ratio": 0.5, "scale": "ternary", "bits": 2}, "clip_ratio 0.5 needs scale 'layer'"),
        (
            {"clip_ratio": 0.5, "strength": 0.1, "bit_term": "planes"},
            "clip_ratio 0.5 .* not 'layer', 'planes'",
        ),
        (
            {"encoding": "signed_rows", "strength": 1.0, "bit_term": "popcount"},
            "'popcount' trains the bits of two's complement, .* 'signed_rows'; .* energy, counts",
        ),
        ({"bits": 1}, "bits is 1, allowed are 2..16"),
        ({"bits": 17}, "bits is 17"),
        ({"density": 0.0}, "density 0.0 is outside"),
        ({"density": 1.01}, "density 1.01 is outside"),
        ({"density": math.nan}, "density nan is outside"),
        ({"density": {"conv1": 0.5, "fc*": 0.0}}, r"density 0.0 of 'fc\*' is outside"),
        ({"prune_epoch": -1}, "prune_epoch is -1"),
        ({"network_strength": 0.1}, "network_strength 0.1 acts until prune_epoch, which is 0"),
        ({"strength": 1e40}, r"strength is 1e\+40; it must lie in \[0, .*e\+.* \(LSB\^2/pJ\)"),
        ({"group": 0}, "group is 0; allowed are whole numbers, 1 "),
        ({"density": 0.5, "group": -4}, "group is -4; allowed are whole numbers, 1 "),
        (
            {"density": {"conv1": 0.01, "fc*": 0.5}, "group": 16},  # 9 rows, and one group
            r"layer 'conv1': density 0\.01 of 9 positions keeps 0\.09, which is none; .* above 0\.5 / 9",
        ),
    ],
)
def test_bad_options_are_refused_and_leave_the_model_as_it_was(options, message):
    model = digits_net()
    with pytest.raises(ValueError, match=message):
        Twofold(model, **options)
    assert not any(parametrize.is_parametrized(layer) for layer in model.modules())
    Twofold(model)


@pytest.mark.parametrize("group", ["all", 2.5, None, True])
def test_a_group_that_is_no_number_is_refused(group, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    model = digits_net()
    with pytest.raises(ValueError, match=f"group is {group!r}; allowed are whole numbers, 1 "):
        Twofold(model, density=0.5, group=group)
    Twofold(model, density=0.5)


def test_an_even_kernel_has_no_counter_and_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 2))
    with pytest.raises(ValueError, match=r"layer '1': a kernel of 4 places .* take 'rejection' or 'column'"):
        Twofold(model, density=0.5, generator="counter")
    assert not any(parametrize.is_parametrized(layer) for layer in model.modules())
    Twofold(model, density={"0": 0.5}, generator="counter")


@pytest.mark.parametrize("name", ["mask", "bit_term", "polarity", "generator"])
def test_unknown_names_are_refused(name):
    # Past the types, which refuse it first in these tests and not at all in a reader's chapter.
    with pytest.raises(ValueError, match=f"{name} is 'mystery'; it must be one of "):
        Twofold.__init__.__wrapped__(Twofold.__new__(Twofold), digits_net(), **{name: "mystery"})


def test_a_model_without_weights_to_store_is_refused():
    with pytest.raises(ValueError, match="Sequential has no convolution and no linear layer"):
        Twofold(nn.Sequential(nn.ReLU()))


def test_attaching_twice_is_refused():
    model = digits_net()
    sparsity = Twofold(model)
    with pytest.raises(ValueError, match="parametrized already"):
        Twofold(model, density=0.5)
    sparsity.finish()
    Twofold(model, density=0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("way", ["rounded", "energy", "popcount"])
def test_weights_that_are_no_numbers_are_refused(way, bad):
    model = digits_net()
    with torch.no_grad():
        model.fc1.weight[3, 4] = bad
    with pytest.raises(ValueError, match="1 of 10240 weights are NaN or infinite"):
        Twofold(model, **ATTACHED[way])
        model(images())


@pytest.mark.parametrize("scale, bits", [("layer", 8), ("channel", 8), ("ternary", 2)])
def test_a_weight_that_turns_nan_in_training_is_refused_with_its_layer(scale, bits):
    model = digits_net()
    sparsity = Twofold(model, scale=scale, bits=bits)
    with torch.no_grad():
        model.fc1.parametrizations.weight.original[3, 4] = math.nan
    for call in (lambda: model(images()), sparsity.codes):
        with pytest.raises(ValueError, match="layer 'fc1': 1 of 10240 weights are NaN or infinite"):
            call()


@pytest.mark.parametrize("density", [0.0, -0.1, 1.1, math.nan])
def test_layer_densities_out_of_range_are_refused(density):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        layer_densities(digits_net(), density)


def test_unknown_density_rule_is_refused():
    with pytest.raises(ValueError, match="density rule is 'random'; it must be one of uniform, erk"):
        layer_densities.__wrapped__(digits_net(), 0.5, "random")


def test_sparse_weight_of_all_zeros_is_all_zeros():
    weight = SparseWeight(torch.ones(3, 4, dtype=torch.bool), 8, None)
    assert torch.equal(weight(torch.zeros(3, 4)), torch.zeros(3, 4))
