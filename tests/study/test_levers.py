"""Which levers pay: looked up in tables by hand, and priced against the accounts."""

import numpy as np
import pandas as pd
import pytest

from companion.study.energies import energies, layer_energies
from companion.study.levers import LEVERS, accounts, best_machine, levers, on_front, shared_rows
from companion.study.machines import whole_machines
from companion.study.plan import PLAN
from companion.study.results import load_network, load_results
from twofold import load_cell_table

MACHINES = whole_machines(load_cell_table())
RUNS = load_results()


def test_every_lever_is_a_recipe_of_the_plan():
    assert all(f"{run}-s1" in PLAN for run in LEVERS.values())


def test_levers_stand_on_their_best_machine_or_have_not_finished():
    run = LEVERS["3 bits"]
    rows = [
        (run, table, machine, 90.0, gain, 2 * gain)
        for table, factor in (("slides", 2.0), ("isaac", 1.0))
        for machine, gain in (("crossbar", factor), ("packed", 3 * factor))
    ]
    names = ["run", "table", "machine", "accuracy", "gain", "edp_gain"]
    frame = levers(pd.DataFrame(rows, columns=names))
    assert frame.lever.tolist() == [lever for lever in LEVERS for _ in range(2)]
    own = frame[frame.lever == "3 bits"]
    assert own[["table", "machine", "gain", "edp_gain"]].to_numpy().tolist() == [
        ["slides", "packed", 6.0, 12.0],
        ["isaac", "packed", 3.0, 6.0],
    ]
    assert frame[frame.lever != "3 bits"].gain.isna().all()


def test_front_is_what_no_other_exceeds_in_both():
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(generator.random((60, 2)), columns=["gain", "accuracy"]).assign(
        kind=["a", "b", "c"] * 20
    )
    found = on_front(frame, "gain", "accuracy", ["kind"])
    for row, front in zip(frame.itertuples(), found, strict=True):
        own = frame[frame.kind == row.kind]
        exceeded = ((own.gain > row.gain) & (own.accuracy > row.accuracy)).any()
        assert front == (not exceeded)


def test_accounts_are_those_of_each_machine_and_whole_networks_stand_on_one():
    runs = RUNS[RUNS.run.isin(["dense-b8-s1", "lfsr-r50-s1"])].sort_values("run", ascending=False)
    frame = accounts(runs, MACHINES, "crossbar")
    assert frame[["run", "machine"]].to_numpy().tolist() == [
        *(["lfsr-r50-s1", machine] for machine in MACHINES),
        ["dense-b8-s1", "crossbar"],
    ]
    dense_j = layer_energies("dense-b8-s1", MACHINES["crossbar"]).total_j.sum()
    assert frame.gain.to_numpy() == pytest.approx((dense_j / frame.energy_j).to_numpy())
    own = frame.set_index(["run", "machine"]).energy_j["lfsr-r50-s1", "packed"]
    assert own == pytest.approx(layer_energies("lfsr-r50-s1", MACHINES["packed"]).total_j.sum())


def test_best_machine_is_that_of_the_largest_gain():
    runs = RUNS[RUNS.run.isin(["lfsr-r50-s1", "lfsr-ms-r50-s1"])]
    priced = {
        name: energies(runs, machine, baseline_model=MACHINES["crossbar"])
        for name, machine in MACHINES.items()
    }
    best = best_machine(priced).set_index("run")
    # The scratch memory of the first generator costs more than a crossbar that stores zeros.
    assert best.machine.to_dict() == {"lfsr-r50-s1": "grouped", "lfsr-ms-r50-s1": "crossbar"}
    for run, row in best.iterrows():
        assert row.gain == max(frame.set_index("run").gain[run] for frame in priced.values())


def test_shared_rows_keep_what_they_say_and_pay_the_index_once_a_group():
    frame = shared_rows("dense-b8-s1", [1.0, 0.5], [1, 64], MACHINES["grouped"], MACHINES["crossbar"])
    whole = frame[frame.density == 1.0]
    assert whole.gain.tolist() == pytest.approx([1.0, 1.0])
    assert whole.index_j.tolist() == [0.0, 0.0]
    single, shared = (row for row in frame[frame.density == 0.5].itertuples())
    assert shared.index_j < single.index_j / 10
    assert shared.arrays < single.arrays / 10
    # Half of the rows of every layer are half of the cells, more or less.
    codes = load_network("dense-b8-s1")
    assert len(codes.layers) == 20
    dense = layer_energies("dense-b8-s1", MACHINES["crossbar"])
    for row in (single, shared):
        assert row.cells_j == pytest.approx(dense.cells_j.sum() / 2, rel=0.1)
        assert row.adc_j < 0.55 * dense.adc_j.sum()
