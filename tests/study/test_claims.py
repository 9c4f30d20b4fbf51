"""The claims ledger against the arithmetic of the slides' own numbers."""

import importlib

import pandas as pd
import pytest
import torch

from companion.study.claims import EXAMPLE_MASK, EXAMPLE_WEIGHTS, ledger
from companion.study.energies import energies
from companion.study.results import load_results, starting_from
from companion.study.zoo import build_model
from twofold.codes.tables import load_cell_table
from twofold.energy.index import lig_energy_j, load_lig_cells
from twofold.energy.machine import Machine
from twofold.layer import weight_layers
from twofold.masks.generator import layer_generator


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
        ("table of a 118 TOPS/W macro", 0.079e-12 * 118.44e12),
        ("0.34 becomes 0.3", 43 / 127),
        ("X^9 + X^4 + 1 as generator", 2**9 - 1),
    ],
)
def test_measured_number_of_a_claim_about_numbers(claim, ours, measured):
    assert measured.we_measure[claim] == pytest.approx(ours)


def test_difference_is_ours_over_theirs(measured):
    row = measured.loc["32-bit float MULT"]
    assert row.difference == pytest.approx(3.7 / 3.1 - 1)


def test_every_claim_has_a_verdict_a_slide_and_code_that_exists(measured):
    assert measured[["verdict", "slide", "finding"]].map(bool).all(axis=None)
    for measured_by in measured.measured_by:
        module, _, function = measured_by.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))


def test_open_claims_have_no_number(measured):
    assert measured.we_measure[measured.verdict == "open"].isna().all()


def test_example_of_the_slides_keeps_the_entries_that_its_mask_marks():
    kept = EXAMPLE_WEIGHTS[EXAMPLE_MASK]
    assert sorted(kept.tolist()) == pytest.approx([0.02, 1.9, 2.3, 2.8, 3.1, 3.6, 4.2])
    assert float(EXAMPLE_WEIGHTS[~EXAMPLE_MASK].max()) == pytest.approx(0.3)
    assert torch.count_nonzero(EXAMPLE_MASK) == 7


def test_gain_at_ninety_per_cent_is_the_mean_over_the_seeds_of_the_plain_recipe(measured):
    runs = starting_from(load_results()).query("method == 'twofold' and sparsity == 0.9")
    runs = runs[runs.experiment == "masks"]  # no encoding or loss that the slides do not have
    model = Machine.cells_only(load_cell_table(), "packed")
    gains = energies(runs, model).gain
    assert len(gains) == 3
    assert measured.we_measure["gain at 90 % sparsity"] == pytest.approx(gains.mean())


def test_an_address_not_stored_costs_the_clocks_of_its_walk(measured):
    layer = layer_generator("rejection", (64, 64, 3, 3), 0).draw((64, 64, 3, 3), 0.5)
    expected = 1e12 * lig_energy_j(36864, reduction="rejection") * layer.clocks / layer.kept
    row = measured.loc["an address not stored"]
    assert row.we_measure == pytest.approx(expected)
    assert row.verdict == "holds where few are kept"
    assert 0.3 < row.we_measure < 0.35  # a bitmap in SRAM: 0.31 with half kept
    cells = load_lig_cells()
    example = cells[(cells.block == "lig_rejection") & (cells["size"] == 300)]
    assert measured.we_measure["easily implemented"] == example.gate_equivalents.item()


def test_no_address_is_stored_and_no_index_repeats(measured):
    assert measured.verdict["no need to store addresses"] == "holds"
    degrees = [
        layer_generator("rejection", tuple(layer.weight.shape), number).register.degree
        for number, layer in enumerate(weight_layers(build_model("resnet20")).values())
    ]
    counters = [
        (layer.weight.numel()).bit_length() for layer in weight_layers(build_model("resnet20")).values()
    ]
    assert measured.we_measure["no need to store addresses"] == 2 * sum(degrees) + sum(counters)
    assert 1 < measured.we_measure["real-time address generator"] < 2
    assert measured.verdict["preserves the rank"].startswith("holds")
