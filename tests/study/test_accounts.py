"""Energies of the committed runs, against sums made by hand from their codes."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from companion.paths import repository
from companion.study.energies import (
    code_shares,
    energies,
    headline,
    layer_energies,
    readme_table,
    sign_energy_j,
)
from companion.study.grouping import recipe_names
from companion.study.results import (
    baseline_of,
    load_epochs,
    load_literature,
    load_network,
    load_results,
    select,
    starting_from,
)
from twofold.codes.cells import to_cells
from twofold.codes.encodings import CELL_ENCODINGS, encode
from twofold.codes.slices import slice_codes
from twofold.codes.tables import load_cell_table
from twofold.energy.machine import EnergyModel
from twofold.masks.measures import index_storage_bits

TABLE = load_cell_table()
PLAIN = "twos_complement"
PACKED = EnergyModel(table=TABLE, encoding=PLAIN, dataflow="packed", adc_rule="none")
CROSSBAR = replace(PACKED, dataflow="crossbar")
CODED = load_results().query("network == 'resnet20' and method != 'dense'")
RUNS = CODED[~CODED.held_out]  # held-out runs have no control: they choose, and claim nothing
CONTROLS = {"dense": "dense-8bit", "dense-60": "dense-8bit-s"}
"""Float start -> how the controls of the runs that start there are named."""


def code_costs(codes: torch.Tensor, bits: int, encoding: str) -> torch.Tensor:
    """Joules of each code: its cells looked up one by one."""
    codes = codes.long()
    if encoding in ("signed_rows", "differential"):  # magnitudes, with no cell for a sign
        words = [codes.abs()] if encoding == "signed_rows" else [codes.clamp(min=0), (-codes).clamp(min=0)]
        levels = torch.stack([word >> shift & 3 for word in words for shift in range(0, bits - 1, 2)], -1)
    else:
        levels = to_cells(encode(codes, bits, encoding), bits, 2, encoding).long()
    return torch.tensor(TABLE.energy_j, dtype=torch.float64)[levels].sum(-1)


def by_hand(run: str, *, packed: bool, encoding: str) -> float:
    """Joules an image: each cell of each weight priced on its own, then weighed by its row's input ones."""
    network = load_network(run)
    total = 0.0
    for name, layer in network.layers.items():
        cost = code_costs(layer.codes, network.bits, encoding)
        if packed:
            cost = cost * layer.keep
        total += float((cost.flatten(1) * network.activity[name].row_ones).sum())
    return total / network.activity["fc"].reads


@pytest.mark.parametrize("run", RUNS.run)
def test_energy_of_a_run_is_the_sum_over_its_cells(run):
    row = energies(RUNS[RUNS.run == run], PACKED).iloc[0]
    packed_j = by_hand(run, packed=True, encoding=row.encoding)
    # A crossbar has no rows of one sign: there magnitudes are a pair.
    stored = PLAIN if row.encoding == PLAIN else "differential"
    crossbar_j = by_hand(run, packed=False, encoding=stored)
    assert row.energy_j == pytest.approx(packed_j)
    assert row.baseline.startswith(CONTROLS[row.init])
    assert row.gain == pytest.approx(by_hand(row.baseline, packed=True, encoding=PLAIN) / packed_j)
    assert layer_energies(run, CROSSBAR).total_j.sum() == pytest.approx(crossbar_j)


def test_codes_trained_for_an_encoding_keep_it_and_all_others_take_the_models():
    offset = replace(PACKED, encoding="offset_binary")
    for run, encoding in (("tune-twofold-50-150-signed", "sign_magnitude"), ("lfsr-50-s1", "offset_binary")):
        frame = layer_energies(run, offset)
        assert set(frame.encoding) == {encoding}
        assert frame.total_j.sum() == pytest.approx(by_hand(run, packed=True, encoding=encoding))
    crossbar = layer_energies("tune-twofold-50-150-signed", replace(offset, dataflow="crossbar"))
    assert set(crossbar.encoding) == {"differential"}


def test_signs_cost_the_cells_of_their_slice_or_a_stored_bit_each():
    network = load_network("lfsr-50-s1")
    images = network.activity["fc"].reads
    cells_j = words_j = 0.0
    for name, layer in network.layers.items():
        activity = network.activity[name]
        sliced = slice_codes(layer.codes.flatten(1), 8, PLAIN, [2, 2, 2, 2])
        cost = torch.tensor(TABLE.energy_j, dtype=torch.float64)[sliced.levels[sliced.stored].long()]
        cells_j += float((cost * layer.keep.flatten(1) * activity.row_ones).sum()) / images
        words_j += math.ceil(int(layer.keep.sum()) / 32) * 5e-12 * activity.reads / images
    for encoding, expected in ((PLAIN, cells_j), ("signed_rows", words_j), ("differential", 0.0)):
        machine = replace(PACKED, encoding=encoding)
        assert sign_energy_j("lfsr-50-s1", machine) == pytest.approx(expected)


def test_best_untrained_encoding_is_the_cheapest_of_all():
    frame = energies(RUNS[RUNS.method == "twofold"], PACKED)
    best = {
        baseline: min(by_hand(baseline, packed=True, encoding=e) for e in CELL_ENCODINGS)
        for baseline in frame.baseline.unique()
    }
    for row in frame.itertuples():
        assert row.gain_best_untrained == pytest.approx(best[row.baseline] / row.energy_j)


@pytest.mark.parametrize("run", CODED.run)
def test_row_of_a_run_follows_from_its_codes(run):
    row = CODED.set_index("run").loc[run]
    layers = load_network(run).layers.values()
    kept = torch.cat([layer.codes[layer.keep] for layer in layers])
    assert row.kept_weights == len(kept)
    assert row.sparsity == pytest.approx(1 - len(kept) / 268_336, abs=1e-3)
    assert row.zero_codes == pytest.approx((kept == 0).double().mean().item(), rel=1e-5)
    assert row.cell_energy_j == pytest.approx(
        code_costs(kept, int(row.bits), row.encoding).sum().item(), rel=1e-5
    )


def test_lig_is_charged_for_every_clock_of_every_input_vector_and_never_without_a_mask():
    charged = replace(PACKED, lig_energy_j=1e-12)
    run = next(iter(RUNS[RUNS.method == "lfsr"].run))
    network = load_network(run)
    images = network.activity["fc"].reads
    clocks = sum(layer.clocks * network.activity[n].reads for n, layer in network.layers.items())
    assert layer_energies(run, charged).index_j.sum() == pytest.approx(1e-12 * clocks / images)
    assert layer_energies("dense-8bit", charged).index_j.sum() == 0


def test_a_chosen_mask_pays_for_a_stored_index_instead():
    run = next(iter(RUNS[RUNS.method == "magnitude"].run))
    charged = replace(PACKED, lig_energy_j=1e-12)
    frame, free = layer_energies(run, charged), layer_energies(run, PACKED)
    network = load_network(run)
    images = network.activity["fc"].reads
    # By hand, the cheapest scheme: so many words of 32 bits, 5 pJ each, for every input vector.
    by_layer = []
    for name, layer in network.layers.items():
        bits = index_storage_bits(layer.keep).set_index("scheme").bits.drop("lfsr").min()
        by_layer.append(math.ceil(bits / 32) * 5e-12 * network.activity[name].reads / images)
    assert frame.index_j.tolist() == pytest.approx(by_layer)
    assert frame.total_j.sum() == pytest.approx(free.total_j.sum() + frame.index_j.sum())
    assert free.index_j.sum() == layer_energies(run, replace(charged, dataflow="crossbar")).index_j.sum() == 0


def test_headline_has_a_row_a_recipe_and_the_baseline_gains_nothing():
    runs = starting_from(load_results(), "dense-60")
    table = headline(runs, {"crossbar": CROSSBAR, "packed": PACKED})
    assert set(table.index) == set(recipe_names(runs))
    assert table.seeds.sum() == len(runs)
    gains = ["gain, crossbar", "gain, packed"]
    assert (table.loc["dense-8bit", gains] == 1).all()  # each seed is measured against its own
    priced = energies(runs, PACKED).assign(recipe=recipe_names(runs))
    for recipe, own in priced.groupby("recipe"):
        assert table["gain, packed"][recipe] == pytest.approx(own.gain.mean())
        assert table["W8 (%)"][recipe] == pytest.approx(own.test_accuracy.mean())
    assert (table["packed, best encoding"] < table["gain, packed"]).all()


def test_a_run_is_measured_against_the_control_of_its_own_seed_or_the_first():
    control, run = (RUNS[RUNS.run == name].iloc[0] for name in ("dense-8bit-s1", "lfsr-50-s1"))
    second = pd.DataFrame([{**control, "run": "dense-8bit-s2", "seed": 2}])
    pool = pd.concat([second, RUNS[RUNS.seed == 1]])
    for seed, baseline in ((1, "dense-8bit-s1"), (2, "dense-8bit-s2"), (3, "dense-8bit-s1")):
        assert baseline_of(pd.Series({**run, "seed": seed}), pool) == baseline
    # A distilled control is one for losses, and never what energies are measured by.
    assert "dense-8bit-distilled-s1" in set(RUNS.run)
    assert set(energies(RUNS[RUNS.seed == 1], PACKED).baseline) == {"dense-8bit", "dense-8bit-s1"}


def test_float_runs_alone_have_no_energy():
    dense = load_results().query("method == 'dense'")
    with pytest.raises(ValueError, match=f"none of {len(dense)} runs has codes to price"):
        energies(dense, PACKED)


def test_code_shares_sum_to_one_for_each_network():
    shares = code_shares(list(RUNS.run[:2]))
    assert shares.groupby("network").share.sum().to_list() == pytest.approx([1.0, 1.0])


def test_last_epoch_of_each_run_is_the_accuracy_that_is_reported():
    last = load_epochs().sort_values("epoch").groupby("run").test_accuracy.last()
    reported = load_results().set_index("run").test_accuracy
    assert (last.sort_index() - reported.sort_index()).abs().max() < 1e-3


def test_select_names_what_there_is():
    assert set(select(load_results(), "cifar10", ["resnet20"], ["dense"]).method) == {"dense"}
    with pytest.raises(ValueError, match=r"no method 'sorcery' in the results; there are .*dense-8bit"):
        select(load_results(), "cifar10", ["resnet20"], ["sorcery"])
    with pytest.raises(ValueError, match="no dataset 'mnist'"):
        select(load_results(), "mnist", [], [])
    # What `papermill -p methods '["lfsr"]'` passes: beartype would take it for the sequence that a text is.
    with pytest.raises(ValueError, match=r"methods is the text '\[\"lfsr\"\]'; it must be a list"):
        select(load_results(), "cifar10", ["resnet20"], '["lfsr"]')


def test_every_published_figure_has_a_source():
    frame = load_literature()
    assert frame.source.str.len().gt(10).all()
    assert frame.sparsity.between(0, 1).all()


def test_readme_shows_the_table_that_the_library_makes():
    assert readme_table() in (repository() / "README.md").read_text(encoding="utf-8")
