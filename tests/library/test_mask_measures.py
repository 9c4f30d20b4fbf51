"""Overlap, rank, coverage and index storage by hand, by loops and by an explicit encoder."""

import math
from itertools import combinations

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twofold.masks import random_mask
from twofold.masks.generator import GENERATORS, LAYER_POLYNOMIAL, layer_generator, layer_seed, lfsr_mask
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.lfsr import LFSR
from twofold.masks.measures import (
    index_storage_bits,
    mask_quality,
    numerical_rank,
    overlap,
    pair_coverage,
)


def test_overlap_by_hand():
    a, b = torch.tensor([True, True, False, True]), torch.tensor([True, False, True, False])
    assert overlap(a, b) == 1 / 3
    assert overlap(b, a) == 1 / 2
    assert overlap(a, a) == 1


def test_numerical_rank():
    columns = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 1.0]])
    assert numerical_rank(columns) == 2
    assert numerical_rank(torch.eye(7, dtype=torch.bool)) == 7
    assert numerical_rank(torch.ones(4, 9, dtype=torch.bool)) == 1
    mask = lfsr_mask((64, 64), 0.5, seed=layer_seed(LAYER_POLYNOMIAL, 0))
    # prime moduli bound the rank from below without any tolerance
    rank = _rank_modulo(mask.keep.long().numpy(), 1_000_003)
    assert numerical_rank(mask.matrix) == rank


def _rank_modulo(matrix: np.ndarray, prime: int) -> int:
    matrix, rank = matrix % prime, 0
    for column in range(matrix.shape[1]):
        pivots = np.flatnonzero(matrix[rank:, column])
        if len(pivots) == 0:
            continue
        matrix[[rank, rank + pivots[0]]] = matrix[[rank + pivots[0], rank]]
        matrix[rank] = matrix[rank] * pow(int(matrix[rank, column]), -1, prime) % prime
        below = matrix[rank + 1 :]
        below -= np.outer(below[:, column], matrix[rank])
        below %= prime
        rank += 1
        if rank == len(matrix):
            break
    return rank


# the quality of a network's masks

NETWORK = [(4, 3, 3, 3), (6, 8), (4, 3, 3, 3), (4, 3, 3, 3), (6, 8), (5, 7)]


def spread(squares):
    return math.sqrt(sum(squares) / len(squares)) if squares else math.nan


def deviation(count, drawn, kept, size):
    """Squared, over the variance of how many of the kept lie among so many drawn without replacement."""
    mean = drawn * kept / size
    return (count - mean) ** 2 / (mean * (1 - kept / size) * (size - drawn) / (size - 1))


def correlation(pairs):
    one, other = zip(*pairs, strict=True)
    return math.nan if len(set(one)) == 1 or len(set(other)) == 1 else np.corrcoef(one, other)[0, 1]


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("kind", ["iid", *GENERATORS])
def test_the_quality_of_masks_by_loops(kind, group):
    density, runs = 0.4, 3
    masks = {}
    for run in range(runs):
        for layer, shape in enumerate(NETWORK):
            if kind == "iid":
                masks[layer, run] = random_mask(shape, density, 1000 * run + layer, group)
            else:
                masks[layer, run] = layer_generator(kind, shape, layer, run, group).draw(shape, density)
    said = {place: mask.keep.flatten(1)[::group].int().numpy() for place, mask in masks.items()}
    shares, far = {"layers": [], "runs": []}, {"layers": [], "runs": []}
    for (one, other), what in (
        (pair, what) for pair in combinations(masks, 2) for what in ("layers", "runs")
    ):
        if what == "runs" and (one[0] != other[0] or one[1] == other[1]):
            continue
        if what == "layers" and (one[1] != other[1] or NETWORK[one[0]] != NETWORK[other[0]]):
            continue
        common, kept = int((said[one] * said[other]).sum()), int(said[one].sum())
        shares[what].append(common / kept)
        far[what].append(deviation(common, kept, kept, said[one].size))
    rows, columns, halves, inside, ranks, of_weights = [], [], [], [], [], []
    for place, keep in said.items():
        (groups, length), size, kept = keep.shape, keep.size, int(keep.sum())
        if groups > 1:
            rows += [deviation(int(row.sum()), groups, kept, size) for row in keep.T]
            columns += [deviation(int(column.sum()), length, kept, size) for column in keep]
        flat = keep.flatten().tolist()
        halves.append(correlation([(flat[i], flat[i // 2]) for i in range(1, size)]))
        pairs = [(column[i], column[i // 2]) for column in keep for i in range(1, length)]
        inside.append(correlation(pairs))
        ranks.append(np.linalg.matrix_rank(keep) / min(keep.shape))
        weights = masks[place].keep.flatten(1).numpy() * np.random.default_rng(1).normal(
            size=masks[place].keep.flatten(1).shape
        )
        of_weights.append(np.linalg.matrix_rank(weights) / min(weights.shape))
    expected = {
        "overlap of layers": np.mean(shares["layers"]),
        "overlap of runs": np.mean(shares["runs"]),
        "spread of layers": spread(far["layers"]),
        "spread of runs": spread(far["runs"]),
        "spread of rows": spread(rows),
        "spread of columns": spread(columns),
        "corr(i, i/2)": np.nanmean(halves),
        "corr(i, i/2) in a column": np.nanmean(inside),
        "rank of mask": np.mean(ranks),
        "rank of weights": np.mean(of_weights),
        "clocks an index": sum(m.clocks for m in masks.values()) / sum(m.indices for m in masks.values()),
    }
    expected["clocks an index"] = expected["clocks an index"] or math.nan
    frame = mask_quality(kind, NETWORK, density, group, runs)
    assert frame.measure.tolist() == list(expected)
    assert frame.columns.tolist() == ["generator", "density", "group", "measure", "value"]
    assert set(zip(frame.generator, frame.density, frame.group, strict=True)) == {(kind, density, group)}
    assert frame.value.tolist() == pytest.approx(list(expected.values()), rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("kind", "related"), [("rejection", 2.5), ("column", 2), ("counter", 5)])
def test_the_masks_of_layers_and_runs_are_not_far_from_chance(kind, related, one_thread):
    """Columns scrambled alike in every layer have a spread of 6; columns that are arcs of one cycle, too."""
    frame = mask_quality(kind, [(32, 32, 3, 3)] * 6, 0.5, runs=2).set_index("measure").value
    for pairs in ("layers", "runs"):
        assert abs(frame[f"overlap of {pairs}"] - 0.5) < 0.02
        assert frame[f"spread of {pairs}"] < related
    assert 0.8 < frame["spread of rows"] < 1.2
    assert frame["spread of columns"] < 1.2
    assert abs(frame["corr(i, i/2) in a column"]) < 0.05
    assert frame["rank of mask"] == frame["rank of weights"] == 1
    assert frame["clocks an index"] < 2


def test_what_there_is_no_pair_of_is_not_measured():
    frame = mask_quality("rejection", [(4, 5), (4, 6)], 0.5, group=4, runs=1).set_index("measure").value
    alone = frame.index.str.startswith(("overlap", "spread"))
    assert frame[alone].isna().all()
    assert frame[~alone].notna().all()


# coverage of two registers


@pytest.mark.parametrize("reduction", ["multiply-shift", "modulo"])
@pytest.mark.parametrize(("row_degree", "column_degree"), [(5, 4), (6, 4), (5, 5)])
def test_coverage_equals_the_loop(row_degree, column_degree, reduction):
    row, column = LFSR(primitive_polynomial(row_degree), 3), LFSR(primitive_polynomial(column_degree), 9)
    clocks = math.lcm(row.period, column.period)
    visited = pair_coverage(11, 7, row, column, reduction)
    expected = torch.zeros(11, 7, dtype=torch.bool)
    for r, c in zip(row.states(clocks).tolist(), column.states(clocks).tolist(), strict=True):
        if reduction == "modulo":
            expected[r % 11, c % 7] = True
        else:
            expected[r * 11 >> row_degree, c * 7 >> column_degree] = True
    assert torch.equal(visited, expected)


@pytest.mark.parametrize("steps", [0, 1, 77])
def test_equal_periods_visit_at_most_one_period_of_positions(steps):
    register = LFSR(primitive_polynomial(8))
    visited = pair_coverage(64, 64, register, register.jump(steps))
    assert visited.sum() <= register.period < 64 * 64
    if steps == 0:
        assert torch.equal(visited, torch.eye(64, dtype=torch.bool))


def test_coprime_widths_visit_the_whole_matrix():
    rows, columns = LFSR(primitive_polynomial(8), 5), LFSR(primitive_polynomial(7), 9)
    assert pair_coverage(64, 64, rows, columns).all()


def test_long_walks_come_in_parts(monkeypatch):
    rows, columns = LFSR(primitive_polynomial(6), 5), LFSR(primitive_polynomial(4), 9)
    whole = pair_coverage(64, 16, rows, columns)
    assert not whole.all()  # gcd 3: a third of the pairs
    monkeypatch.setattr("twofold.masks.measures._CHUNK", 100)
    assert torch.equal(pair_coverage(64, 16, rows, columns), whole)


# storage


def storage(keep: torch.Tensor, **arguments) -> dict[str, tuple[int, ...]]:
    table = index_storage_bits(keep, **arguments)
    assert table.columns.tolist() == [
        "scheme", "index_bits", "entries", "filler_entries", "filler_bits", "bits"
    ]  # fmt: skip
    return {row[0]: tuple(row[1:]) for row in table.itertuples(index=False)}


def test_storage_of_a_small_matrix_by_hand():
    keep = torch.tensor([[True, False, False, False, True], [False, False, True, False, False]])
    assert storage(keep) == {
        "lfsr": (31 + 31 + 4, 3, 0, 0, 66),  # the counter holds 0 to 10
        "bitmap": (10, 3, 0, 0, 10),
        "csr": (3 * 3 + 3 * 2, 3, 0, 0, 15),  # columns 0 to 4 in 3 bits, three row pointers 0 to 3 in 2
        "relative 4-bit": (12, 3, 0, 0, 12),
        "relative 5-bit": (15, 3, 0, 0, 15),
        "relative 8-bit": (24, 3, 0, 0, 24),
    }


def test_fillers_of_the_example_in_eie():
    """EIE, section III: [0,0,1,2, eighteen zeros, 3] is v = [1,2,0,3], z = [2,0,15,2] with 4-bit indices."""
    keep = torch.zeros(23, dtype=torch.bool)
    keep[[2, 3, 22]] = True
    schemes = storage(keep, weight_bits=6, polynomial="x^9+x^4+1")
    assert schemes["relative 4-bit"] == (16, 4, 1, 6, 22)
    assert schemes["relative 5-bit"] == (15, 3, 0, 0, 15)
    assert schemes["lfsr"] == (9 + 9 + 5, 3, 0, 0, 23)


@pytest.mark.parametrize(("gap", "fillers"), [(0, 0), (15, 0), (16, 1), (31, 1), (32, 2), (300, 18)])
def test_fillers_at_the_limits_of_a_gap(gap, fillers):
    keep = torch.zeros(gap + 50, dtype=torch.bool)
    keep[gap] = True
    assert storage(keep)["relative 4-bit"] == (
        4 * (1 + fillers),
        1 + fillers,
        fillers,
        8 * fillers,
        4 + 12 * fillers,
    )


@given(st.lists(st.booleans(), min_size=1, max_size=400))
def test_relative_indices_decode_to_the_mask(keep):
    positions = np.flatnonzero(keep).tolist()
    codes, place = [], -1  # an explicit encoder: one code after the other
    for position in positions:
        while position - place - 1 > 15:
            codes.append(15)
            place += 16
        codes.append(position - place - 1)
        place = position
    bits, entries, fillers, *_ = storage(torch.tensor(keep))["relative 4-bit"]
    assert (bits, entries, fillers) == (4 * len(codes), len(codes), len(codes) - len(positions))


# bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: overlap(torch.ones(2, dtype=torch.bool), torch.ones(3, dtype=torch.bool)),
            r"\(2,\) and \(3,\)",
        ),
        (
            lambda: overlap(torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)),
            "keeps 0 weights",
        ),
        (lambda: mask_quality("iid", [(4, 4)], 1.0), "density 1 keeps all, .* allowed are less than 1"),
        (lambda: mask_quality("iid", [(4, 4)], 0.0), r"density 0.0 is outside \(0, 1\]"),
        (lambda: mask_quality("iid", [(4, 4)], 0.01), "density 0.01 of 16 positions keeps 0.16"),
        (lambda: mask_quality("iid", [], 0.5), r"3 runs of the shapes \[\] are no masks"),
        (lambda: mask_quality("iid", [(4, 4), (9,)], 0.5), r"shapes \[\(4, 4\), \(9,\)\] are no masks"),
        (lambda: mask_quality("iid", [(4, 4)], 0.5, runs=0), "0 runs of the shapes"),
        (lambda: mask_quality("iid", [(4, 4)], 0.5, 0), "group is 0; allowed are whole numbers"),
        (
            lambda: mask_quality("chance", [(4, 4)], 0.5),
            "'chance' is unknown; allowed are rejection,",
        ),
        (lambda: index_storage_bits(torch.ones(2, dtype=torch.bool), weight_bits=0), "weight_bits 0"),
        (lambda: index_storage_bits(torch.ones(0, 3, dtype=torch.bool)), r"shape \(0, 3\) holds no weights"),
        (lambda: index_storage_bits(torch.tensor(True)), r"shape \(\) holds no weights"),
        (
            lambda: pair_coverage(4, 4, LFSR("x^13+x^4+x^3+x+1"), LFSR("x^12+x^6+x^4+x+1")),
            r"8191 .* 4095 .* after 33542145 clocks; allowed are up to 2\^24 = 16777216",
        ),
        (lambda: pair_coverage(0, 4, LFSR("x^3+x+1"), LFSR("x^3+x+1")), "0 rows and 4 columns"),
        (lambda: pair_coverage(4, -1, LFSR("x^3+x+1"), LFSR("x^3+x+1")), "4 rows and -1 columns"),
    ],
)
def test_bad_input_is_quoted(call, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(ValueError, match=message):
        call()
