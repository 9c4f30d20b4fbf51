"""Masks by hand and by statistics, pairs of registers against a loop over the clocks, the traps of seeds."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.masks import LFSR, lfsr_mask, magnitude_mask, random_mask
from twofold.masks.generator import LAYER_POLYNOMIAL, layer_seed
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.measures import overlap
from twofold.masks.pairs import nested_mask, pair_mask

REDUCTIONS = ("multiply-shift", "modulo")
FORMS = ("fibonacci", "galois")


def reduced(state: int, size: int, degree: int, reduction: str) -> int:
    return state * size >> degree if reduction == "multiply-shift" else state % size


def first_seen(positions, kept: int) -> tuple[list[int], int]:
    """The LIG clock by clock: distinct positions in order, and the clocks spent."""
    order, seen = [], set()
    for clock, position in enumerate(positions, start=1):
        if position not in seen:
            seen.add(position)
            order.append(position)
            if len(order) == kept:
                return order, clock
    raise AssertionError("not enough positions")


def check(mask, shape, order, clocks, indices=None):
    keep = torch.zeros(math.prod(shape), dtype=torch.bool)
    keep[order] = True
    assert mask.order.tolist() == order
    assert torch.equal(mask.keep, keep.reshape(shape))
    assert mask.clocks == clocks
    assert mask.kept == len(order) == int(mask.keep.sum())
    assert mask.indices == (len(order) if indices is None else indices)
    assert mask.density == len(order) / math.prod(shape)
    assert mask.sparsity == 1 - mask.density


# one register; its walk against a loop over the clocks: test_generator


def test_example_of_the_slide():
    """P = x^9 + x^4 + 1, M = 300: 511 states reach all 300 positions, the first seven counted by hand."""
    mask = lfsr_mask((300,), 1.0, primitive_polynomial(9))
    assert sorted(mask.order.tolist()) == list(range(300))
    assert mask.clocks <= 511
    # states 1, 256, 128, 64, 32, 16, 264; times 300, over 512
    assert mask.order[:7].tolist() == [0, 150, 75, 37, 18, 9, 154]


def test_the_least_density_is_the_one_that_the_refusal_says():
    with pytest.raises(
        ValueError, match=r"keeps 0\.5, which is none; allowed are those above 0\.5 / 12 = 0\.0417"
    ):
        random_mask((12,), 0.5 / 12, seed=0)  # half a weight is rounded to the even number, none
    assert random_mask((12,), 0.5 / 12 + 1e-9, seed=0).kept == 1


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4), st.floats(0, 1, exclude_min=True), st.integers(0, 50)
)
@settings(deadline=None, max_examples=50)
def test_density_is_exact(shape, density, layer):
    size = math.prod(shape)
    draws = (
        lambda: lfsr_mask(shape, density, seed=layer_seed(LAYER_POLYNOMIAL, layer)),
        lambda: random_mask(shape, density, seed=layer),
        lambda: magnitude_mask(torch.arange(size, dtype=torch.float).reshape(shape), density),
    )
    for draw in draws:
        if round(density * size) == 0:
            with pytest.raises(ValueError, match=f"of {size} positions keeps .*, which is none"):
                draw()
            continue
        mask = draw()
        assert mask.kept == mask.indices == round(density * size) == int(mask.keep.sum())
        assert torch.equal(mask.keep.flatten().nonzero().flatten(), mask.order.sort().values)
        assert tuple(mask.keep.shape) == tuple(shape)


def test_long_draws_come_in_parts(monkeypatch):
    whole = lfsr_mask((30, 41), 0.97, seed=5)
    monkeypatch.setattr("twofold.masks.draw._CHUNK", 100)
    parts = lfsr_mask((30, 41), 0.97, seed=5)
    assert torch.equal(whole.order, parts.order)
    assert torch.equal(whole.keep, parts.keep)
    assert whole.clocks == parts.clocks


def test_clocks_are_those_of_a_coupon_collector():
    size = 36_864
    for density in (0.1, 0.5, 0.9):
        expected = size * math.log(1 / (1 - density))
        deviation = math.sqrt(size * (density / (1 - density) - math.log(1 / (1 - density))))
        assert (
            abs(lfsr_mask((size,), density, seed=layer_seed(LAYER_POLYNOMIAL, 3)).clocks - expected)
            < 6 * deviation
        )


# seeds


@pytest.mark.parametrize("form", FORMS)
def test_overlap_of_layers_and_runs_is_the_density(form):
    """276 pairs; successive LFSR positions are related, which spreads the overlap by 1.2 to 1.8 times."""
    size, kept = 2304, 1152
    masks = [
        lfsr_mask((size,), 0.5, seed=layer_seed(LAYER_POLYNOMIAL, layer, run, form), form=form)
        for run in range(3)
        for layer in range(8)
    ]
    shares = np.array([overlap(a, b) for i, a in enumerate(masks) for b in masks[:i]])
    deviation = math.sqrt(kept * 0.5 * 0.5 * (size - kept) / (size - 1)) / kept  # hypergeometric
    assert abs(shares.mean() - 0.5) < 4 * 1.8 * deviation / math.sqrt(len(shares))
    assert shares.std() < 2 * deviation
    assert abs(shares - 0.5).max() < 8 * deviation


def test_the_trap_of_neighboring_seeds():
    one, two, three = (lfsr_mask((2304,), 0.5, primitive_polynomial(12), seed) for seed in (1, 2, 3))
    assert overlap(one, three) > 0.99
    assert overlap(one, two) < 0.4


# two registers


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_pair_mask_equals_the_loop(form, reduction):
    shape, rows, columns = (6, 5, 3), 15, 6
    row, column = LFSR(primitive_polynomial(5), 7, form), LFSR(primitive_polynomial(4), 9, form)
    mask = pair_mask(shape, 0.7, row.polynomial, column.polynomial, 7, 9, form, reduction)
    states = zip(row.states(31 * 15).tolist(), column.states(31 * 15).tolist(), strict=True)
    positions = (reduced(c, columns, 4, reduction) * rows + reduced(r, rows, 5, reduction) for r, c in states)
    check(mask, shape, *first_seen(positions, round(0.7 * 90)))
    assert torch.equal(mask.matrix, mask.keep.reshape(6, 15).T)


def test_coprime_pair_covers_the_matrix():
    mask = pair_mask((8, 16), 1.0, primitive_polynomial(5), primitive_polynomial(4))
    assert mask.keep.all()
    assert mask.clocks <= 31 * 15


@pytest.mark.parametrize(
    ("row", "column", "numbers"),
    [(9, 9, ("511", "gcd 511", "lcm = 511", "1/511")), (6, 4, ("63", "15", "gcd 3", "lcm = 315", "1/3"))],
)
def test_pairs_of_common_period_are_refused(row, column, numbers):
    with pytest.raises(ValueError, match="take coprime widths") as error:
        pair_mask((64, 64), 0.1, primitive_polynomial(row), primitive_polynomial(column))
    assert all(number in str(error.value) for number in numbers)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("inner_degree", "outer_degree"), [(7, 10), (40, 20)])
@pytest.mark.parametrize(("shape", "density"), [((5, 4, 3, 3), 0.5), ((40, 11), 0.08), ((3, 30), 1.0)])
def test_nested_mask_equals_the_loop(form, reduction, inner_degree, outer_degree, shape, density):
    columns, rows = shape[0], math.prod(shape[1:])
    inner, outer = primitive_polynomial(inner_degree), primitive_polynomial(outer_degree)
    stride = 7 * outer_degree // 2
    mask = nested_mask(shape, density, inner, outer, 77, form, reduction)
    order, clocks, outer_register = [], 0, LFSR(outer, 77, form)
    for column in range(columns):
        seed = 1 + reduced(outer_register.seed, 2**inner_degree - 1, outer_degree, reduction)
        states = LFSR(inner, seed, form).states(1000).tolist()
        kept = round(density * rows)
        found, spent = first_seen((reduced(s, rows, inner_degree, reduction) for s in states), kept)
        order += [column * rows + row for row in found]
        clocks += spent + stride
        outer_register = outer_register.jump(stride)
    check(mask, shape, order, clocks)
    assert len(set(mask.matrix.sum(0).tolist())) == 1


@pytest.mark.parametrize("inner_degree", [20, 25, 28])
def test_neighboring_nested_columns_are_unrelated(inner_degree):
    """Inner and outer register share the tap x^3: seeded every n clocks, neighbors would share 56 %."""
    outer = LAYER_POLYNOMIAL
    shares = []
    for layer in range(4):
        mask = nested_mask(
            (64, 576), 0.5, primitive_polynomial(inner_degree), outer, layer_seed(outer, layer)
        )
        columns = mask.keep.double()
        shares.append(((columns[1:] * columns[:-1]).sum(1) / 288).mean().item())
    assert abs(np.mean(shares) - 0.5) < 0.015


# controls


def test_random_mask_is_seeded_and_overlaps_by_chance():
    masks = [random_mask((48, 48), 0.3, seed) for seed in range(10)]
    assert torch.equal(masks[3].order, random_mask((48, 48), 0.3, 3).order)
    shares = [overlap(a, b) for i, a in enumerate(masks) for b in masks[:i]]
    deviation = math.sqrt(0.3 * 0.7 * 0.7 / (0.3 * 2304))
    assert abs(np.array(shares) - 0.3).max() < 5 * deviation


def test_magnitude_mask_by_hand():
    weight = torch.tensor([[0.5, -2.0, 0.0], [2.0, -0.5, 1.0]])
    mask = magnitude_mask(weight, 0.5)
    assert mask.order.tolist() == [1, 3, 5]
    assert mask.keep.tolist() == [[False, True, False], [True, False, True]]
    assert magnitude_mask(weight, 0.6).order.tolist() == [1, 3, 5, 0]  # a tie goes to the first position
    assert mask.clocks == 0


GROUPS = [1, 2, 3, 4, 7, 100]  # 2 and 4 of 7 columns leave some over, 100 are more than there are


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_columns_of_an_iid_mask_share_their_rows(group, density):
    mask, groups = random_mask((7, 5, 3), density, 1, group), math.ceil(7 / group)
    assert mask.indices == round(density * groups * 15)
    drawn = np.random.default_rng(1).permutation(groups * 15)[: mask.indices].tolist()
    order = [
        column * 15 + block % 15 for block in drawn for column in range(7) if column // group == block // 15
    ]
    check(mask, (7, 5, 3), order, 0, mask.indices)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_groups_keep_the_rows_of_the_largest_norms(group, density):
    weight = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(2))
    mask, order, indices = magnitude_mask(weight, density, group), [], 0
    if group == 1:
        order = sorted(range(105), key=lambda i: -abs(weight.flatten()[i]))[: round(density * 105)]
        check(mask, (7, 5, 3), order, 0)
        return
    for first in range(0, 7, group):
        columns = range(first, min(first + group, 7))
        norms = [math.hypot(*(weight.flatten(1)[column, row] for column in columns)) for row in range(15)]
        rows = sorted(range(15), key=lambda row: -norms[row])[: round(density * 15)]
        order += [column * 15 + row for row in rows for column in columns]
        indices += len(rows)
    check(mask, (7, 5, 3), order, 0, indices)


def test_rows_of_one_norm_are_taken_in_their_order():
    weight = torch.tensor([[3.0, 0.0, 4.0, 1.0], [4.0, 5.0, 3.0, 0.0]])
    assert magnitude_mask(weight, 0.5, group=2).order.tolist() == [0, 4, 1, 5]


# bad input


@pytest.mark.parametrize("density", [0.0, -0.1, 1.0001, math.nan, math.inf])
def test_density_outside_its_range_is_refused(density):
    nine, ten = primitive_polynomial(9), primitive_polynomial(10)
    for call in (
        lambda: lfsr_mask((4, 4), density),
        lambda: pair_mask((4, 4), density, nine, ten),
        lambda: nested_mask((4, 4), density, nine, ten),
        lambda: random_mask((4, 4), density, 0),
        lambda: magnitude_mask(torch.ones(4, 4), density),
    ):
        with pytest.raises(ValueError, match=rf"density {density} is outside \(0, 1\]"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lfsr_mask((40, 40), 0.5, "x^9+x^4+1"), "511 of 1600 positions .* 511 clocks, but 800 are"),
        (lambda: lfsr_mask((4, 4), 0.5, "x^4+x^2+1"), "order 6, not 15"),
        (lambda: lfsr_mask((4, 4), 0.5, seed=0), "seed 0"),
        (lambda: lfsr_mask((), 0.5), r"shape \(\) holds no weights"),
        (lambda: lfsr_mask((3, 0), 0.5), r"shape \(3, 0\) holds no weights"),
        (lambda: lfsr_mask((4, 4), 0.5, primitive_polynomial(64)), "64-bit states by size 16 takes 69 bits"),
        (
            lambda: lfsr_mask((4, 4), 0.5, reduction="shift"),
            "'shift' is unknown; allowed are rejection, column, counter, multiply-shift, modulo",
        ),
        (lambda: lfsr_mask((4, 4), 0.5, form="F"), "form 'F' is unknown"),
        (lambda: pair_mask((16,), 0.5, "x^2+x+1", "x^3+x+1"), r"\(16,\) is no matrix"),
        (lambda: pair_mask((64, 64), 0.5, "x^2+x+1", "x^3+x+1"), "at most 21 of 4096 positions .* but 2048"),
        (lambda: pair_mask((2, 20), 0.5, "x^2+x+1", "x^7+x+1"), "at most 6 of 40 positions .* but 20"),
        (lambda: nested_mask((4, 40), 0.5, "x^4+x+1", "x^9+x^4+1"), "at most 15 of 40 positions .* but 20"),
        (lambda: nested_mask((4, 4), 0.5, "x^9+x^4+1", "x^9+x^4+1"), "both x\\^9.* two different"),
        (lambda: magnitude_mask(torch.tensor([1.0, math.nan, math.inf]), 0.5), "2 NaN or infinite"),
        (
            lambda: lfsr_mask((4, 4), 0.03),
            r"0.03 of 16 positions keeps 0.48, .*none; allowed are those above 0.5 / 16 = 0.0312",
        ),
        (
            lambda: magnitude_mask(torch.randn(7), 0.5, 3),
            r"shape \(7,\) has a single row .* allowed with group 3 are",
        ),
        (lambda: nested_mask((40, 11), 0.01, "x^7+x+1", "x^9+x^4+1"), "0.01 of 11 positions keeps 0.11"),
        (lambda: random_mask((4, 4), 0.1, 0, 4), "0.1 of 4 positions keeps 0.4, which is none"),
        (lambda: magnitude_mask(torch.ones(4, 4), 0.1, 4), "0.1 of 4 positions keeps 0.4, which is none"),
        *(
            (call, f"group is {group!r}; allowed are whole numbers, 1 .no column shares. and above")
            for group in (0, -2, "eight", 2.5, None, True)
            for call in (
                lambda group=group: random_mask((4, 4), 0.5, 0, group),
                lambda group=group: magnitude_mask(torch.ones(4, 4), 0.5, group),
            )
        ),
    ],
)
def test_bad_input_is_quoted(call, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        call()
