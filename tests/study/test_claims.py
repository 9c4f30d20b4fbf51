"""The claims ledger against the arithmetic of the slides' own numbers."""

import importlib
import json
from dataclasses import replace
from typing import get_args

import pandas as pd
import pytest
import torch

from companion.paths import book_dir, repository
from companion.study import claims
from companion.study.claims import CLAIMS, EXAMPLE_MASK, EXAMPLE_WEIGHTS, GROUPS, Sign, Verdict, ledger
from companion.study.energies import energies
from companion.study.results import load_results, starting_from
from companion.study.zoo import build_model
from twofold.codes.tables import load_cell_table
from twofold.energy.index import lig_energy_j, load_lig_cells
from twofold.energy.machine import Machine
from twofold.layer import weight_layers
from twofold.masks.generator import layer_generator

RESULTS = repository() / "data" / "results"


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    """Prices runs, so in the process that runs these tests and not in each that finds them."""
    return ledger().set_index("claim")


@pytest.mark.parametrize(
    "claim, ours",
    [
        ("1 DRAM access = 1000 ADDs", 640 / 0.9),
        ("32-bit float MULT", 3.7),
        ("E11 = 20 x E00", 1.49 / 0.079),
        ("cell energies cite a 118 TOPS/W macro", 0.079e-12 * 118.44e12),
        ("0.34 becomes 0.3", 43 / 127),
        ("X^9 + X^4 + 1 as generator", 2**9 - 1),
    ],
)
def test_measured_number_of_a_claim_about_numbers(claim, ours, measured):
    assert measured.we_measure[claim] == pytest.approx(ours)


def test_difference_is_ours_over_theirs(measured):
    row = measured.loc["32-bit float MULT"]
    assert row.difference == pytest.approx(3.7 / 3.1 - 1)


def test_every_claim_has_a_sign_a_condition_a_slide_and_code_that_exists(measured):
    assert set(measured.sign) == set(get_args(Sign))
    assert measured[["condition", "slide", "finding"]].map(bool).all(axis=None)
    for measured_by in measured.measured_by:
        module, _, function = measured_by.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))


def test_claims_are_sorted_by_importance_in_tables_that_fit_a_page():
    groups = [claim.group for claim in CLAIMS]
    assert sorted(groups, key=GROUPS.index) == groups
    assert max(map(groups.count, GROUPS)) <= 8
    assert [claim.measure for claim in CLAIMS[:2]] == [claims.gain_at_ninety, claims.gain_at_ten]


def test_the_page_that_shows_a_claim_exists():
    pages = {path.stem for path in book_dir().iterdir()}
    assert {claim.chapter for claim in CLAIMS} <= pages


def test_example_of_the_slides_keeps_the_entries_that_its_mask_marks():
    kept = EXAMPLE_WEIGHTS[EXAMPLE_MASK]
    assert sorted(kept.tolist()) == pytest.approx([0.02, 1.9, 2.3, 2.8, 3.1, 3.6, 4.2])
    assert float(EXAMPLE_WEIGHTS[~EXAMPLE_MASK].max()) == pytest.approx(0.3)
    assert torch.count_nonzero(EXAMPLE_MASK) == 7


def test_gain_at_ninety_per_cent_is_that_of_the_talks_own_order(measured):
    runs = starting_from(load_results()).query("method == 'twofold' and sparsity == 0.9")
    runs = runs[runs.experiment == "joint"]  # the most accurate without what the slides do not have
    model = Machine.cells_only(load_cell_table(), "packed")
    gains = energies(runs, model).gain
    row = measured.loc["gain at 90 % sparsity"]
    assert row.we_measure == pytest.approx(gains.mean())
    assert row.sign == "holds if"
    indexed = energies(runs, replace(model, index_rule="charged")).gain.mean()
    assert indexed >= 14
    assert row.condition.startswith("only cells and index are paid")
    assert f"with the index paid {indexed:.2f}x" in row.finding
    dense = starting_from(load_results()).query("method == 'dense-8bit' and distillation == 0")
    lost = dense.test_accuracy_w8a8.mean() - runs.test_accuracy_w8a8.mean()
    assert f"costs {lost:.1f} points" in row.condition


def test_of_several_recipes_the_most_accurate_is_taken_with_all_its_seeds():
    runs = starting_from(load_results())
    of_two = runs[(runs.method == "magnitude-bits") | (runs.method == "twofold")]
    of_two = of_two[(of_two.sparsity == 0.9) & (of_two.experiment == "masks")]
    assert set(claims._most_accurate(of_two).method) == {"magnitude-bits"}
    assert sorted(claims._most_accurate(of_two).seed) == [1, 2, 3]


@pytest.mark.parametrize(
    "before, after, expected, condition",
    [
        ((80.0, 80.0), (79.0, 79.0), "holds", "50 and 90 % are removed, in networks that end at 79.0 % and"),
        ((80.0, 70.0), (79.0, 71.0), "holds if", "50 % are removed, in networks that end at 79.0 % accuracy"),
        ((70.0, 70.0), (79.0, 71.0), "holds if", "the penalty on weights pulls more weakly than the one cho"),
    ],
)
def test_accuracy_before_post_training_is_judged_at_each_sparsity(
    before, after, expected, condition, monkeypatch
):
    runs = load_results()
    own = runs[(runs.experiment == "talk") & (runs.polarity == "removed")].sort_values("sparsity")
    own = own.assign(accuracy_before_pruning=before, test_accuracy=after)
    worse = own.iloc[[0]].assign(run="worse-s1", strength=1.0, test_accuracy=after[0] - 5)
    monkeypatch.setattr(claims, "_in_the_slides_order", lambda _: pd.concat([worse, own]))
    verdict = claims.before_post_training()
    assert isinstance(verdict, Verdict)
    assert verdict.sign == expected
    assert verdict.condition.startswith(condition)
    assert verdict.ours == pytest.approx(before[0] - after[0])


def test_bits_that_vanish_are_counted_in_joules_of_a_kept_weight(measured):
    def joules(*runs):
        found = [json.loads((RESULTS / run / "run.json").read_text())["result"] for run in runs]
        return sum(result["cell_energy_j"] / result["kept_weights"] for result in found) / len(found)

    ours = joules(*(f"twofold-r50-counts-beta100-lambda0.1-p6-s{seed}" for seed in (1, 2, 3)))
    alone = joules(*(path.name for path in RESULTS.glob("lfsr-r50-s?")))
    row = measured.loc["the loss makes bits vanish"]
    assert row.we_measure == pytest.approx(alone / ours)
    assert "popcount, β = 10: 78.1 %" in row.finding


def test_an_address_not_stored_costs_the_clocks_of_its_walk(measured):
    layer = layer_generator("rejection", (64, 64, 3, 3), 0).draw((64, 64, 3, 3), 0.5)
    expected = 1e12 * lig_energy_j(36864, reduction="rejection") * layer.clocks / layer.kept
    row = measured.loc["no index to read saves energy"]
    assert row.we_measure == pytest.approx(expected)
    assert (row.sign, row.condition[:22]) == ("holds if", "few weights are kept: ")
    assert 0.3 < row.we_measure < 0.35  # a bitmap in SRAM: 0.31 with half kept
    cells = load_lig_cells()
    example = cells[(cells.block == "lig_rejection") & (cells["size"] == 300)]
    assert measured.we_measure["easily implemented"] == example.gate_equivalents.item()


def test_no_address_is_stored_and_no_index_repeats(measured):
    assert measured.sign["no need to store addresses"] == "holds"
    degrees = [
        layer_generator("rejection", tuple(layer.weight.shape), number).register.degree
        for number, layer in enumerate(weight_layers(build_model("resnet20")).values())
    ]
    counters = [
        (layer.weight.numel()).bit_length() for layer in weight_layers(build_model("resnet20")).values()
    ]
    assert measured.we_measure["no need to store addresses"] == 2 * sum(degrees) + sum(counters)
    assert 1 < measured.we_measure["real-time address generator"] < 2
    assert measured.sign["preserves the rank"] == "holds"
