"""Penalties against numbers worked out by hand, gradients by gradcheck, chosen codes against brute force."""

import math
import re

import pytest
import torch

from twofold.codes.cells import code_energy_table
from twofold.codes.encodings import ENCODINGS, bit_planes, encode
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import load_cell_table
from twofold.sparsity.chooser import CodeChooser, straight_through
from twofold.sparsity.penalties import network_term, planes_term, popcount_term
from twofold.sparsity.twofold import Twofold

# Slide "Method: Twofold Sparsity": weight matrix and mask.
W = torch.tensor(
    [[4.2, 0.3, 0.1, 2.8], [3.1, 0.02, 0.05, 0.12], [0.06, 2.3, 0.03, 3.6], [0.1, 0.01, 1.9, 0.02]],
    dtype=torch.float64,
)
M = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
SQUARES = {"removed": 0.1319, "printed": 56.9504}  # summed by hand over M = 0 and over M = 1


# ---- network term ----


@pytest.mark.parametrize("polarity", SQUARES)
def test_network_term_of_the_slides_example(polarity):
    weight = W.clone().requires_grad_()
    value = network_term([weight], [M], polarity)
    assert value.item() == pytest.approx(math.sqrt(SQUARES[polarity]), rel=1e-12)
    value.backward()
    punished = M if polarity == "printed" else ~M
    expected = torch.where(punished, W / math.sqrt(SQUARES[polarity]), 0)
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=0)


def test_network_term_sums_over_layers():
    both = network_term([W, 2 * W], [M, ~M])
    assert both.item() == pytest.approx(math.sqrt(0.1319) + 2 * math.sqrt(56.9504), rel=1e-12)


@pytest.mark.parametrize("polarity", SQUARES)
def test_network_term_gradient(polarity):
    weights = [W.clone().requires_grad_(), (W[:2] - 1).clone().requires_grad_()]
    assert torch.autograd.gradcheck(lambda a, b: network_term([a, b], [M, M[:2]], polarity), weights)


def test_network_term_has_no_gradient_at_the_origin():
    weight = torch.zeros(3, 3, requires_grad=True)
    network_term([weight], [torch.zeros(3, 3, dtype=torch.bool)]).backward()
    assert torch.equal(weight.grad, torch.zeros(3, 3))


def test_network_term_refuses_another_polarity_and_uneven_lists():
    with pytest.raises(ValueError, match="'kept'; it must be one of removed, printed"):
        network_term.__wrapped__([W], [M], "kept")
    with pytest.raises(ValueError, match="shorter"):
        network_term([W, W], [M])


# ---- bit terms ----


def planes_of(codes, bits):
    """True bit planes by Python's own integers, most significant first."""
    words = [int(code) & (2**bits - 1) for code in codes.flatten()]
    planes = [[word >> n & 1 for word in words] for n in range(bits - 1, -1, -1)]
    return torch.tensor(planes, dtype=torch.float64).view(bits, *codes.shape)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_popcount_term_is_the_norm_of_the_codes_number_of_ones(bits):
    generator = torch.Generator().manual_seed(bits)
    limit = code_limit(bits)
    layers = [
        torch.randint(-limit, limit + 1, shape, generator=generator) for shape in ((7, 5), (3, 2, 3, 3))
    ]
    total = sum(codes.numel() for codes in layers)
    expected = 0.0
    for codes in layers:
        ones = [(code & (2**bits - 1)).bit_count() for code in codes.flatten().tolist()]
        expected += codes.numel() / total * math.sqrt(sum(n * n for n in ones))
    term = popcount_term([planes_of(codes, bits) for codes in layers])
    assert term.item() == pytest.approx(expected, rel=1e-12)


def test_popcount_term_sees_the_planes_that_codes_makes():
    codes = torch.tensor([[-127, -1, 0], [1, 64, 127]], dtype=torch.int8)  # 2, 8, 0 and 1, 1, 7 ones
    planes = bit_planes(encode(codes, 8, "twos_complement"), 8).squeeze(-2).movedim(-1, 0).double()
    assert popcount_term([planes]).item() == pytest.approx(math.sqrt(4 + 64 + 0 + 1 + 1 + 49), rel=1e-12)


def test_planes_term_by_hand():
    # Two weights and one: shares 2/3 and 1/3. Of the three planes of each, two hold something.
    first = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    second = torch.tensor([[1.0], [0.5], [0.0]], dtype=torch.float64)
    expected = 2 / 3 * 2 * (math.sqrt(2) + 1) + 1 / 3 * 2 * (1 + 0.5)
    assert planes_term([first, second]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("term", [popcount_term, planes_term])
def test_bit_term_gradients(term):
    generator = torch.Generator().manual_seed(1)
    shapes = ((4, 3, 2), (4, 2, 2, 3))
    planes = [
        (0.1 + 0.8 * torch.rand(s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes
    ]
    assert torch.autograd.gradcheck(lambda *p: term(p), planes)


def test_popcount_gradient_pushes_all_planes_of_a_weight_alike():
    planes = planes_of(torch.tensor([7, 1, 0]), 4).requires_grad_()
    popcount_term([planes]).backward()
    expected = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64) / math.sqrt(10)
    torch.testing.assert_close(planes.grad, expected.expand(4, 3), rtol=1e-12, atol=0)


@pytest.mark.parametrize("term", [popcount_term, planes_term])
def test_empty_planes_cost_nothing_and_pull_nowhere(term):
    planes = torch.zeros(4, 5, 2, requires_grad=True)
    value = term([planes])
    value.backward()
    assert value.item() == 0
    assert torch.equal(planes.grad, torch.zeros_like(planes))


# ---- straight through ----


def test_straight_through_hands_on_the_value_and_the_gradient():
    weight = torch.randn(4, 3, requires_grad=True)
    value = torch.randn(4, 3, requires_grad=True)
    out = straight_through(weight, value)
    assert torch.equal(out, value)
    gradient = torch.randn(4, 3)
    out.backward(gradient)
    assert torch.equal(weight.grad, gradient)
    assert value.grad is None


# ---- energy-aware codes ----

STRENGTHS = (0.0, 0.5, 10.0, 60.0, 250.0, 1000.0, 20_000.0)


def energies_pj(bits, encoding):
    return code_energy_table(bits, encoding, load_cell_table()) * 1e12


def places(limit, count=1000):
    """Everywhere between and beyond the codes, and at the codes themselves."""
    generator = torch.Generator().manual_seed(limit)
    spread = (torch.rand(count, generator=generator) * 2 - 1) * 1.2 * limit
    return torch.cat([spread, torch.arange(-limit, limit + 1).float(), torch.tensor([-1e6, 1e6])])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", range(2, 9))
def test_chosen_codes_are_the_best_of_all(bits, encoding):
    limit, energy = code_limit(bits), energies_pj(bits, encoding)
    chooser = CodeChooser(bits, energy)
    place, codes = places(limit), torch.arange(-limit, limit + 1, dtype=torch.float64)
    for strength in STRENGTHS:
        chooser.set_strength(strength)
        chosen = chooser(place)
        cost = (place.double()[:, None] - codes) ** 2 + strength * energy
        best, index = cost.topk(2, dim=1, largest=False)
        # float32 places and breakpoints: near a tie, to the last digits of these costs, either code will do.
        slack = 1e-6 * (1 + best[:, 0] + strength)
        clear = best[:, 1] - best[:, 0] > slack
        assert clear.double().mean() > 0.9
        assert torch.equal(chosen[clear].double(), codes[index[clear, 0]])
        paid = cost.gather(1, (chosen.long() + limit)[:, None]).squeeze(1)
        assert bool((paid - best[:, 0] <= slack).all())


def test_chosen_codes_of_16_bits():
    limit, energy = code_limit(16), energies_pj(16, "twos_complement")
    chooser = CodeChooser(16, energy)
    chooser.set_strength(1e5)
    place = places(limit, 60)[:60].round(decimals=1)
    codes = torch.arange(-limit, limit + 1, dtype=torch.float64)
    cost = (place.double()[:, None] - codes) ** 2 + 1e5 * energy
    paid = cost.gather(1, (chooser(place).long() + limit)[:, None]).squeeze(1)
    torch.testing.assert_close(paid, cost.amin(1), rtol=1e-6, atol=1)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [2, 5, 8, 11])
def test_the_grid_finds_what_a_binary_search_finds(bits, encoding):
    """Bit for bit, also at the breakpoints themselves, beside them and far out."""
    chooser = CodeChooser(bits, energies_pj(bits, encoding))
    for strength in (*STRENGTHS, 33.3, 111.0):
        chooser.set_strength(strength)
        at = chooser.breaks[chooser.breaks.isfinite()]
        beside = [torch.nextafter(at, torch.full_like(at, way)) for way in (-math.inf, math.inf)]
        place = torch.cat([places(code_limit(bits)), at, *beside, torch.tensor([math.inf, -math.inf])])
        assert torch.equal(chooser(place), chooser.values[torch.bucketize(place, chooser.breaks)])


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_strength_0_rounds(bits):
    limit = code_limit(bits)
    place = places(limit)
    place = place[(place - place.floor() - 0.5).abs() > 1e-3]  # away from ties
    chooser = CodeChooser(bits, energies_pj(bits, "twos_complement"))
    assert torch.equal(chooser(place), place.round().clamp(-limit, limit))
    assert chooser.surviving == list(range(-limit, limit + 1))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_stronger_means_fewer_cheaper_codes(encoding):
    energy = energies_pj(8, encoding)
    chooser = CodeChooser(8, energy)
    place, before, spent = places(127), set(range(-127, 128)), math.inf
    for strength in STRENGTHS:
        chooser.set_strength(strength)
        now = set(chooser.surviving)
        assert now <= before  # a code that is gone stays gone
        cost = energy[chooser(place).long() + 127].sum().item()
        assert cost <= spent
        before, spent = now, cost
    assert len(before) < 30
    assert min(energy[code + 127] for code in before) == energy.min()
    assert {-127, 127} <= before  # far enough out, the error alone decides


def test_codes_rise_with_their_weights():
    chooser = CodeChooser(8, energies_pj(8, "twos_complement"))
    for strength in STRENGTHS:
        chooser.set_strength(strength)
        assert bool((chooser(places(127).sort().values).diff() >= 0).all())


def test_shape_and_layout_of_the_places_do_not_matter():
    chooser = CodeChooser(8, energies_pj(8, "twos_complement"))
    chooser.set_strength(60.0)
    place = places(127)[:288].view(8, 4, 3, 3)
    chosen = chooser(place)
    assert chosen.shape == place.shape
    assert torch.equal(chooser(place.to(memory_format=torch.channels_last)), chosen)
    assert torch.equal(chooser(place.flatten()), chosen.flatten())


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf, 1e40])
def test_bad_strengths_are_refused(strength):
    chooser = CodeChooser(4, energies_pj(4, "twos_complement"))
    with pytest.raises(ValueError, match=re.escape(f"strength is {strength!r}")):
        chooser.set_strength(strength)
    assert chooser.strength == 0


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_the_largest_strength_leaves_only_the_cheapest_code(bits):
    energy_pj = energies_pj(bits, "twos_complement")
    chooser = CodeChooser(bits, energy_pj)
    chooser.set_strength(1e30 / float(energy_pj.max()))
    place = torch.linspace(-code_limit(bits), code_limit(bits), 999)
    assert bool((chooser(place) == int(energy_pj.argmin()) - code_limit(bits)).all())


def test_every_code_needs_one_energy():
    with pytest.raises(ValueError, match="15 energies for 8 bits; 255 codes need one each"):
        CodeChooser(8, energies_pj(4, "twos_complement"))
    with pytest.raises(ValueError, match="bits is 17"):
        CodeChooser(17, torch.ones(3))


@pytest.mark.parametrize("beta", [0.5, 20.0, 300.0])
def test_count_aware_codes_weigh_squared_error_against_the_ones_of_the_pattern(beta):
    layer = torch.nn.Linear(40, 6, bias=False)
    sparsity = Twofold(layer, bits=6, bit_term="counts", strength=beta, ramp=0.1)
    place = layer.parametrizations.weight.original.detach().double()
    place = place / place.abs().max() * 31
    sparsity.advance(1.0)
    (stored,) = sparsity.finish().values()
    codes = torch.arange(-31, 32)
    ones = torch.tensor([f"{int(code) & 63:b}".count("1") for code in codes])
    cost = (place[..., None] - codes) ** 2 + beta * ones
    chosen = torch.gather(cost, 2, stored.codes[..., None].long() + 31)[..., 0]
    torch.testing.assert_close(chosen, cost.min(2).values, rtol=1e-5, atol=1e-3)
