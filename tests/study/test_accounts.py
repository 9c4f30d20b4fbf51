"""Energies of the committed runs, against sums made by hand from their codes."""

import math
from dataclasses import replace
from functools import cache

import pandas as pd
import pytest
import torch

from companion.study.crossbar import converter_energies
from companion.study.energies import crossbar_ceiling, energies, layer_energies
from companion.study.results import (
    baseline_of,
    load_epochs,
    load_literature,
    load_network,
    load_results,
)
from twofold import report
from twofold.codes.cells import to_cells
from twofold.codes.encodings import CELL_ENCODINGS, encode, slice_codes
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import load_cell_table
from twofold.crossbar import Adc, Crossbar
from twofold.crossbar.network import program
from twofold.energy import Machine
from twofold.masks.measures import index_storage_bits

TABLE = load_cell_table()
PLAIN = "twos_complement"
PACKED = Machine.cells_only(TABLE, "packed")
CROSSBAR = replace(PACKED, dataflow="crossbar")
RESULTS = load_results()
# Held-out runs have no control: they choose, and claim nothing. Nor have they left codes.
RUNS = RESULTS[(RESULTS.network == "resnet20") & (RESULTS.method != "dense") & ~RESULTS.held_out]
KINDS = RUNS.drop_duplicates(["method", "bits", "encoding", "generator", "bit_term", "density_rule"])
"""A run of every kind of codes and masks: seeds and strengths take no other way through an account."""
SAMPLE = RUNS[RUNS.run.isin(KINDS.run) | (RUNS.seed != 1) & (RUNS.method == "lfsr")]
"""And one of every other seed, each measured against its own control."""
SIGNED_ROWS = "twofold-ms-r50-mu400-b8-rows-s1"


@cache
def prices(bits: int, encoding: str) -> torch.Tensor:
    """Joules of every code: its cells looked up one by one."""
    return code_costs(torch.arange(-code_limit(bits), code_limit(bits) + 1), bits, encoding)


def code_costs(codes: torch.Tensor, bits: int, encoding: str) -> torch.Tensor:
    if encoding in ("signed_rows", "differential"):  # magnitudes, with no cell for a sign
        words = [codes.abs()] if encoding == "signed_rows" else [codes.clamp(min=0), (-codes).clamp(min=0)]
        levels = torch.stack([word >> shift & 3 for word in words for shift in range(0, bits - 1, 2)], -1)
    else:
        levels = to_cells(encode(codes, bits, encoding), bits, 2, encoding).long()
    return torch.tensor(TABLE.energy_j, dtype=torch.float64)[levels].sum(-1)


@cache
def by_hand(run: str, *, packed: bool, encoding: str) -> float:
    """Joules an image: each weight and its sign priced by hand, then weighed by its row's input ones."""
    network = load_network(run)
    total = 0.0
    for name, layer in network.layers.items():
        activity = network.activity[name]
        cost = prices(layer.bits, encoding)[layer.codes.long() + code_limit(layer.bits)]
        cost = cost + sign_costs(layer.codes, layer.bits, encoding)
        if packed:
            cost = cost * layer.keep
        total += float((cost.flatten(1) * activity.row_ones).sum())
        if encoding == "signed_rows":  # drivers are told, a bit a weight and vector
            total += math.ceil(int(layer.keep.sum()) / 32) * 5e-12 * activity.reads
    return total / network.activity["fc"].reads


def sign_costs(codes: torch.Tensor, bits: int, encoding: str) -> torch.Tensor:
    """Joules of the cells that stand there for the sign: a slice of signs, or the negative weights again."""
    per_level_j = torch.tensor(TABLE.energy_j, dtype=torch.float64)
    if encoding == "twos_complement":
        return per_level_j[(codes < 0).long()]
    if encoding == "sign_magnitude":
        again = (codes < 0) * (2 ** (bits - 2) + codes.long().abs())
        return sum(per_level_j[again >> shift & 3] for shift in range(0, bits, 2))
    return torch.zeros(codes.shape, dtype=torch.float64)


@pytest.fixture(scope="module")
def priced() -> pd.DataFrame:
    return energies(SAMPLE, PACKED).set_index("run")


@pytest.mark.parametrize("run", KINDS.run)
def test_energy_of_a_run_is_the_sum_over_its_cells(run, priced):
    row = priced.loc[run]
    packed_j = by_hand(run, packed=True, encoding=row.encoding)
    # A crossbar has no rows of one sign: there magnitudes are a pair.
    stored = PLAIN if row.encoding == PLAIN else "differential"
    crossbar_j = by_hand(run, packed=False, encoding=stored)
    assert row.energy_j == pytest.approx(packed_j)
    assert row.baseline == f"dense-b8-s{row.seed}"
    assert row.gain == pytest.approx(by_hand(row.baseline, packed=True, encoding=PLAIN) / packed_j)
    assert layer_energies(run, CROSSBAR).total_j.sum() == pytest.approx(crossbar_j)


def test_codes_trained_for_an_encoding_keep_it_and_all_others_take_the_models():
    offset = replace(PACKED, encoding="offset_binary")
    for run, packed, crossbar in (
        (SIGNED_ROWS, "signed_rows", "differential"),
        ("lfsr-ms-r50-s1", "offset_binary", "offset_binary"),
    ):
        for machine, encoding in ((offset, packed), (replace(offset, dataflow="crossbar"), crossbar)):
            frame = layer_energies(run, machine)
            assert set(frame.encoding) == {encoding}
            expected = by_hand(run, packed=machine.dataflow == "packed", encoding=encoding)
            assert frame.total_j.sum() == pytest.approx(expected)


@pytest.mark.parametrize("run", [SIGNED_ROWS, "twofold-ms-r50-mu1-b5-rows-s1"])
def test_a_network_on_a_crossbar_has_one_account(run):
    """In energies, with converters, in a report and in the very cells that are programmed."""
    network = load_network(run)
    slices = (2,) * -(-network.bits // 2)
    machine = Crossbar(adc=Adc(range_rule="none"), slices=slices, bits=network.bits)
    cells_j = 0.0
    for name, matrix in program(network.layers, machine).items():
        levels = matrix.cells.round().long()  # a pair has no cells beside its own
        assert matrix.counts(1)["sign_cells"] == 0
        joules = torch.tensor(TABLE.energy_j, dtype=torch.float64)[levels].sum((0, 1))
        cells_j += float(joules @ network.activity[name].row_ones) / network.images
    converters = converter_energies([run], machine, TABLE, {"free": 0.0})
    reported = report(network, dataflow="crossbar", adc_rule="none").total
    accounts = {
        "cells": cells_j,
        "energies": layer_energies(run, CROSSBAR).cells_j.sum(),
        "converters": converters.cells_j[0],
        "report": reported.cells_j,
    }
    by_cell = by_hand(run, packed=False, encoding="differential")
    assert accounts == {name: pytest.approx(by_cell, rel=1e-9) for name in accounts}


def test_signs_cost_the_cells_of_their_slice_or_a_stored_bit_each():
    run = "lfsr-ms-r50-s1"
    network = load_network(run)
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
        assert layer_energies(run, machine).sign_j.sum() == pytest.approx(expected)


def test_best_untrained_encoding_is_the_cheapest_of_all(priced):
    frame = priced[priced.method == "twofold"]
    best = {
        baseline: min(by_hand(baseline, packed=True, encoding=e) for e in CELL_ENCODINGS)
        for baseline in frame.baseline.unique()
    }
    for row in frame.itertuples():
        assert row.gain_best_untrained == pytest.approx(best[row.baseline] / row.energy_j)


@pytest.mark.parametrize("runs", [KINDS, pytest.param(RUNS, marks=pytest.mark.slow)], ids=["kinds", "all"])
def test_rows_of_runs_follow_from_their_codes(runs):
    for row in runs.itertuples():
        layers = load_network(row.run).layers.values()
        kept = torch.cat([layer.codes[layer.keep] for layer in layers])
        assert row.kept_weights == len(kept), row.run
        assert row.sparsity == pytest.approx(1 - len(kept) / 268_336, abs=1e-3), row.run
        assert row.zero_codes == pytest.approx((kept == 0).double().mean().item(), rel=1e-5), row.run
        cell_j = prices(row.bits, row.encoding)[kept.long() + code_limit(row.bits)].sum().item()
        assert row.cell_energy_j == pytest.approx(cell_j, rel=1e-5), row.run


def test_masks_of_the_runs_come_from_the_generators_that_they_name():
    for row in KINDS.itertuples():
        for layer in load_network(row.run).layers.values():
            if row.method in ("lfsr", "twofold") and layer.kept < layer.size:
                assert layer.generator.kind == row.generator
            else:
                assert layer.generator is None


def test_lig_is_charged_for_every_clock_of_every_input_vector_and_never_without_a_mask():
    charged = replace(PACKED, index_rule="charged", lig_energy_j=1e-12)
    run = next(iter(RUNS[RUNS.method == "lfsr"].run))
    network = load_network(run)
    images = network.activity["fc"].reads
    clocks = sum(layer.clocks * network.activity[n].reads for n, layer in network.layers.items())
    assert layer_energies(run, charged).index_j.sum() == pytest.approx(1e-12 * clocks / images)
    assert layer_energies("dense-b8-s1", charged).index_j.sum() == 0


def test_a_chosen_mask_pays_for_a_stored_index_instead():
    run = next(iter(RUNS[(RUNS.method == "magnitude") & (RUNS.group == 1)].run))
    charged = replace(PACKED, index_rule="charged")
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


def test_a_run_is_measured_against_the_control_of_its_own_seed_or_the_first(priced):
    control, run = (RUNS[RUNS.run == name].iloc[0] for name in ("dense-b8-s1", "lfsr-ms-r50-s1"))
    second = pd.DataFrame([{**control, "run": "dense-b8-s2", "seed": 2}])
    pool = pd.concat([second, RUNS[RUNS.seed == 1]])
    for seed, baseline in ((1, "dense-b8-s1"), (2, "dense-b8-s2"), (3, "dense-b8-s1")):
        assert baseline_of(pd.Series({**run, "seed": seed}), pool) == baseline
    # A distilled control is one for losses, and never what energies are measured by.
    assert "dense-b8-distilled-s1" in priced.index
    assert set(priced.baseline) == {"dense-b8-s1", "dense-b8-s2", "dense-b8-s3"}


def test_a_baseline_may_stand_on_another_machine():
    runs = RUNS[RUNS.run.isin(["lfsr-ms-r50-s1", "dense-b8-s1"])]
    same, other = energies(runs, PACKED), energies(runs, PACKED, baseline_model=CROSSBAR)
    assert other.gain.to_numpy() == pytest.approx(same.gain.to_numpy())  # dense cells cost the same on both
    charged = replace(CROSSBAR, input_memory="SRAM")
    dense_j = layer_energies("dense-b8-s1", charged).total_j.sum()
    other = energies(runs, PACKED, baseline_model=charged)
    assert other.gain.to_numpy() == pytest.approx((dense_j / same.energy_j).to_numpy())


def test_nothing_but_zeros_is_the_most_that_a_crossbar_gains():
    machine = replace(CROSSBAR, encoding="offset_binary")
    assert crossbar_ceiling(CROSSBAR, "dense-b8-s1") > 5
    assert 0 < crossbar_ceiling(machine, "dense-b8-s1") < 3  # there a zero is no cheap code


def test_float_runs_alone_have_no_energy():
    dense = RESULTS.query("method == 'dense'")
    with pytest.raises(ValueError, match=f"none of {len(dense)} runs has codes to price"):
        energies(dense, PACKED)


def test_last_epoch_of_each_run_is_the_accuracy_that_is_reported():
    last = load_epochs().sort_values("epoch").groupby("run").test_accuracy.last()
    reported = load_results().set_index("run").test_accuracy
    assert (last.sort_index() - reported.sort_index()).abs().max() < 1e-3


def test_every_published_figure_has_a_source():
    frame = load_literature()
    assert frame.source.str.len().gt(10).all()
    assert frame.sparsity.between(0, 1).all()
