"""Chosen codes against a search over all of them, and what a frontier is."""

import pandas as pd
import pytest
import torch

from companion.study.rate_distortion import energy_at_error, frontier, rate_distortion
from twofold.codes.cells import code_energy_table
from twofold.codes.encodings import CELL_ENCODINGS
from twofold.codes.tables import load_cell_table

LAYERS = [torch.randn(n, generator=torch.Generator().manual_seed(n)).view(1, -1) for n in (400, 900)]
STRENGTHS = (0.0, 10.0, 100.0, 1000.0)
FRAME = rate_distortion(LAYERS, STRENGTHS, clip_ratios=(0.5, 1.0, 2.0))


@pytest.mark.parametrize("encoding", CELL_ENCODINGS)
@pytest.mark.parametrize("ratio", [0.5, 2.0])
@pytest.mark.parametrize("bits", [5, 8])
def test_each_weight_takes_the_best_of_all_codes(bits, ratio, encoding):
    energy_pj = code_energy_table(bits, encoding, load_cell_table()) * 1e12
    limit = 2 ** (bits - 1) - 1
    codes = torch.arange(-limit, limit + 1).double()
    spent = error = zero = 0.0
    for layer in LAYERS:
        step = layer.abs().max().double() * ratio / limit
        weights, meant = layer.double().view(-1, 1), codes * step
        inside = weights.clamp(-limit * step, limit * step)
        price = (
            100 * (layer.abs().max().double() / 127) ** 2
        )  # 100 LSB^2/pJ of 8 bits, in units of the weights
        best = ((inside - meant) ** 2 + price * energy_pj).argmin(1)
        spent += energy_pj[best].sum().item()
        error += ((weights.flatten() - meant[best]) ** 2).sum().item() / layer.pow(2).mean().item()
        zero += (codes[best] == 0).sum().item()
    row = rate_distortion(LAYERS, [100.0], bits=bits, encodings=[encoding], clip_ratios=[ratio]).iloc[0]
    found = [row.energy_pj, row.error, row.zero_codes]
    assert found == pytest.approx([spent / 1300, error / 1300, zero / 1300], rel=1e-5)


def test_a_higher_price_costs_accuracy_and_saves_energy():
    for _, own in FRAME.groupby(["encoding", "clip_ratio"]):
        assert own.energy_pj.is_monotonic_decreasing
        assert own.error.is_monotonic_increasing


def test_a_frontier_holds_just_what_no_other_row_beats():
    kept = frontier(FRAME)
    for row in FRAME.itertuples():
        others = FRAME[(FRAME.encoding == row.encoding) & (FRAME.index != row.Index)]
        beaten = ((others.energy_pj <= row.energy_pj) & (others.error <= row.error)).any()
        is_kept = (kept[["encoding", "clip_ratio", "strength"]] == list(row[1:4])).all(axis=1).any()
        assert is_kept != beaten


def test_energy_at_an_error_lies_on_the_line_between_two_rows():
    ends = pd.DataFrame({"encoding": "differential", "energy_pj": [1.0, 3.0, 2.0], "error": [0.3, 0.1, 0.5]})
    table = energy_at_error(ends, [0.2, 0.3, 0.05, 0.4])
    assert table.loc["differential"].tolist()[:2] == pytest.approx([2.0, 1.0])
    assert table.loc["differential"].isna().tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "layers, given, message",
    [
        ([], {}, "there are no weights"),
        (LAYERS, {"clip_ratios": (1.0, 5.0)}, r"clip_ratio is 5.0; .* \(0, 4\]"),
        ([torch.full((3,), float("nan"))], {}, "3 of 3 weights are NaN"),
    ],
)
def test_what_cannot_be_chosen_is_refused(layers, given, message):
    with pytest.raises(ValueError, match=message):
        rate_distortion(layers, [10.0], **given)


def test_a_layer_of_zeros_has_no_error():
    row = rate_distortion([torch.zeros(8)], [10.0], encodings=("twos_complement",)).iloc[0]
    assert (row.error, row.zero_codes) == (0.0, 1.0)


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match=r"strength is -1.0"):
        rate_distortion(LAYERS, [-1.0])
