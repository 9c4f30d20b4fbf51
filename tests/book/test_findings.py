"""Findings are the numbers of the frames that they are made from: frames by hand, and the study's own."""

import copy
import math

import pandas as pd
import pytest
import torch

from companion.book import findings
from companion.book.examples import bit_truth_table
from companion.book.figures.talk import TERMS
from companion.book.series import (
    bit_term_points,
    brief,
    by_share,
    chosen,
    families,
    mask_alone,
    scale_pairs,
)
from companion.study.grouping import over_seeds
from companion.study.names import START, TUNING_START
from companion.study.protocol import held_out_runs
from companion.study.results import load_results
from companion.study.tiny import COMPARED
from twofold import LFSR, Twofold, lfsr_mask, load_cell_table, report
from twofold.codes.tables import load_operation_energies
from twofold.masks.measures import pair_coverage
from twofold.sparsity.twofold import CHOOSING


def plain(found: dict) -> dict:
    """The same dictionary, if all of its values can stand in a sentence."""
    for name, value in found.items():
        assert type(value) in (int, float, str), name
        assert isinstance(value, str) or math.isfinite(value), name
    return found


# ---- experiments as series ----

ROWS = pd.DataFrame(
    {
        "experiment": ["masks", "signed-rows", "bits", "fewer-bits", "baseline"],
        "sparsity": [0.5, 0.9, 0.0, 0.5, 0.0],
        "strength": [125.0, 60.0, 10.0, 0.8, 0.0],
        "bit_term": ["energy", "energy", "popcount", "energy", None],
        "bits": [8, 8, 8, 3, 8],
    }
)


def test_experiments_are_chosen_by_name_or_refused():
    assert chosen(ROWS, ["bits", "masks"]).index.tolist() == [0, 2]
    for bad in (["sorcery"], []):
        with pytest.raises(ValueError, match=r"experiments are .*; the runs belong to baseline, bits, fewer"):
            chosen(ROWS, bad)


SHARED = "twofold-col-g64-r50-mu0.8-b3-rows"


FAMILY = pd.DataFrame(
    [
        ("dense-8bit", 8, None, 0.0, "baseline", "dense, 8 bits"),
        ("bits", 8, "energy", 0.0, "bits", "cheap codes"),
        ("bits", 3, "energy", 0.0, "fewer-bits", "fewer bits"),
        ("lfsr", 8, None, 0.0, "masks", "LFSR mask"),
        ("lfsr", 3, None, 0.0, "fewer-bits", "twofold"),
        ("magnitude-bits", 8, "energy", 0.0, "masks", "magnitude masks"),
        ("bits", 8, "popcount", 0.0, "bits", "trained otherwise"),
        ("lfsr", 8, None, 0.5, "distillation", "trained otherwise"),
        ("twofold", 8, "energy", 0.0, "longer", "trained otherwise"),
    ],
    columns=["method", "bits", "bit_term", "distillation", "experiment", "family"],
)


def test_families_of_networks():
    assert families(FAMILY).tolist() == FAMILY.family.tolist()


def test_curves_by_the_share_removed_begin_at_networks_that_keep_all(study):
    frame = by_share(over_seeds(study))
    first = frame.sort_values("sparsity").drop_duplicates("series").set_index("series").run
    assert first["LFSR mask"] == "dense-b8"
    assert first["twofold"] == "bits-mu125"
    assert first["3 bits, signed rows"] == "rounded-b3-rows"
    assert first["magnitude + bits, signed rows"].endswith("-rows-bf16")
    assert first["twofold, signed rows"] == "twofold-r50-mu80-b8-rows"
    assert not frame.duplicated(["series", "sparsity"]).any()
    assert set(frame[frame.series == "LFSR mask"].bits) == {8}
    signed = frame[frame.series == "twofold, signed rows"]
    assert set(signed.scale) == {"layer"}
    assert set(signed.generator) == {"rejection"}


def test_labels_can_be_shorter():
    label = "twofold, column by column, rows shared by 64 columns, 50 % removed, µ 0.8"
    labels = pd.Series([label, "LFSR mask, multiply-shift, 10 % removed"])
    short = "twofold, rows shared by all columns, 50 % removed, µ 0.8"
    assert brief(labels).tolist() == [short, labels[1]]
    assert brief(labels, "multiply-shift")[1] == "LFSR mask, 10 % removed"
    apart = pd.Series(["LFSR mask, multiply-shift", "LFSR mask", "twofold, multiply-shift"])
    assert brief(apart, "multiply-shift").tolist() == [*apart[:2], "twofold"]


# ---- chapters, on frames by hand ----


def test_motivation():
    cells, truth = load_cell_table(), bit_truth_table(5e3, 1e5, 0.2)
    names = ["twos_complement", "sign_magnitude"]
    control = pd.DataFrame({"encoding": names, "energy_per_weight_j": [3.16e-12, 1e-12]})
    found = plain(findings.motivation(load_operation_energies(), truth, cells, control))
    assert found["dram_adds"] == pytest.approx(640 / 0.9)
    assert found["lrs_over_hrs"] == pytest.approx(20)
    assert found["dearest"] == pytest.approx(1.49 / 0.079)
    assert found["cap"] == pytest.approx(3.16 / (4 * 0.079))
    assert found["cells_per_weight"] == 4


def test_bits():
    prices = pd.DataFrame({"offset_binary": [1.0, 2.0, 3.0]}, index=[-1, 0, 1])
    names = ["twos_complement", "sign_magnitude", "offset_binary", "differential"]
    control = pd.DataFrame({"encoding": names, "energy_per_weight_j": 3e-12, "ratio": [1.0, 1.5, 1.1, 1.4]})
    weights = pd.DataFrame({"ones": [0, 1, 1, 2, 2], "pj": [1.0, 2.0, 3.0, 4.0, 5.0]})
    found = plain(findings.bits(prices, control, weights, "offset_binary"))
    assert (found["minus_one"], found["zero"], found["plus_one"]) == (1.0, 2.0, 3.0)
    assert (found["widest"], found["spread"]) == (1, 1.5)
    assert found["encoding_name"] == "offset binary"


def test_crossbar():
    runs = ["dense-b8-s1", "lfsr-ms-r50-s1", "bits-mu500-s1", "twofold-ms-r50-mu500-s1"]
    loads = pd.DataFrame({"run": runs * 2, "mean": [12.0, 6.0, 3.0, 2.0] * 2, "idle": [0.0] * 4 + [0.5] * 4})
    gains = pd.DataFrame([[5.0, 4.0, 4.5, 6.0, 3.0]], index=[runs[3]])
    by_levels = pd.DataFrame({"gain, given": [4.6], "gain, even": [4.8]}, index=[runs[3]])
    measured = [
        *[("calibrated", bits, run, 0.0, 90.0 - bits) for bits in (6, 7) for run in runs],
        *[("none", math.nan, run, 0.0, 83.5) for run in runs],
        *[("none", math.nan, run, 0.05, 40.0 + at) for at, run in enumerate(runs)],
    ]
    measured = pd.DataFrame(measured, columns=["adc_range", "adc_bits", "run", "variation", "test_accuracy"])
    measured = measured.assign(encoding="twos_complement", r_hrs_ohm=1e6, levels="even")
    pair = measured[measured.adc_range == "none"].assign(encoding="differential")
    pair = pair.assign(variation=pair.variation.replace(0.05, 0.2))
    leak = pair[pair.variation == 0.2].assign(variation=0.1)
    tight = leak.assign(r_hrs_ohm=1e8, test_accuracy=45.0)
    given = measured[:1].assign(levels="rram_2bit_cell", test_accuracy=10.0)
    study = pd.concat([measured, pair, leak, tight, given]).assign(images=1000, array_rows=128, seed=0)
    study = pd.concat([study, tight.assign(images=1000, array_rows=128, seed=1, test_accuracy=99.0)])
    found = plain(
        findings.crossbar(
            loads=loads,
            gains=gains,
            measured=study,
            cells=load_cell_table(),
            by_levels=by_levels,
            network=runs[3],
            baseline=runs[0],
        )
    )
    assert [found[word] for word in ("shrink", "mask_shrink", "codes_shrink")] == [6.0, 2.0, 4.0]
    assert (found["codes_empty"], found["given_dense"]) == (25.0, 10.0)
    assert [found[f"gain_{word}"] for word in ("free", "equal", "awake", "even")] == [5.0, 4.0, 4.5, 4.8]
    assert (found["dense_bits"], found["dense_six"], found["dense_twos"]) == (6, 84.0, 40.0)
    assert (found["mask_lost"], found["twofold_lost"], found["tight_gained"]) == (42.5, 40.5, 2.0)
    assert found["even_one"] == pytest.approx(0.079 + (1.49 - 0.079) / 3)


def test_index_generator():
    ways = {"rejection": 0.4, "counter": 0.2, "multiply-shift": 10.0, "SRAM": 0.3, "register file": 0.15}
    prices = pd.DataFrame(
        [
            (group, kept, way, 1e-12 * pj / (kept if way in ("SRAM", "register file") else group), 1.5)
            for group in (1, 2)
            for kept in (0.5, 1.0)
            for way, pj in ways.items()
        ],
        columns=["group", "density", "way", "index_j", "clocks"],
    )
    charged = pd.DataFrame(
        {
            "label": ["a", "a", "b", "b"],
            "cells_j": [3e-6, 4e-6, 8e-6, 9e-6],
            "index_j": [1e-6, 1e-6, 2e-6, 1e-6],
            "gain_free": [8.0, 6.0, 4.0, 3.0],
            "gain": [6.0, 5.0, 3.0, 2.5],
        }
    )
    found = plain(
        findings.index_generator(
            prices=prices,
            density=0.5,
            gates=pd.DataFrame({"gates": [375.5, 1203.0]}, index=["rejection", "multiply-shift"]),
            area=pd.Series(
                {
                    "stored": 600.0,
                    "stored, shared": 12.0,
                    "rejection": 6.0,
                    "rejection, shared": 4.0,
                    "one block": 5.0,
                }
            ),
            charged=charged,
            half=pd.Series({"multiply-shift": 48e-6, "rejection": 2e-6}),
            half_dense=charged.iloc[:1],
        )
    )
    assert (found["rejection_pj"], found["scratch_pj"]) == (0.4, 10.0)
    assert found["sram_pj"] == pytest.approx(0.6)
    assert found["cross_percent"] == pytest.approx(50 + 50 * (1.5 - 1) / (1.5 - 0.75))
    assert found["file_percent"] == pytest.approx(found["cross_percent"])  # half the prices, where two share
    assert (found["gates"], found["block_gates"]) == (375.5, 5.0)
    assert (found["area_ratio"], found["shared_ratio"]) == (100.0, 3.0)
    assert (found["index_share"], found["shared_share"]) == (pytest.approx(25.0), pytest.approx(10.0))
    assert (found["gain_free"], found["half_gain"]) == (8.0, 6.0)
    assert (found["half_scratch"], found["half_over"]) == (pytest.approx(48.0), pytest.approx(2.0))


def test_your_network():
    right = torch.tensor([True, True, True, False])
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    made = report(Twofold(copy.deepcopy(model), layers="0", density=0.5), baseline=model)
    found = plain(
        findings.your_network(
            right=right,
            report=made,
            sizes={".safetensors": 8000, ".pt": 45_000},
            same=right,
            theirs=torch.tensor([1.0, 4.0]),
            ours=torch.tensor([1.0, 5.0]),
            vit_right=~right,
            vit_report=made,
        )
    )
    assert (found["accuracy"], found["vit_accuracy"], found["same"]) == (75.0, 25.0, 75.0)
    assert found["onnx_error"] == pytest.approx(0.2)
    assert (found["file_kb"], found["pt_kb"]) == (8.0, 45.0)
    assert found["coverage"] == pytest.approx(100 * 16 / 24)
    assert found["gain"] == found["vit_gain"] == pytest.approx(made.total.gain)


def test_measured():
    costs = pd.DataFrame(
        {"run": ["a", "b"], "minutes": [60.0, 30.0], "epochs": [12, 60], "seconds_an_epoch": [9.0, 8.0]}
    ).assign(device="one", seed=[1, 2], commit="c")
    apart = pd.DataFrame(
        {"codes_differing": [0.0, 0.1], "accuracy_change": [0.0, 0.5]}, index=["one thread, again", "two"]
    )
    found = plain(findings.measured(costs, apart))
    assert (found["hours"], found["longest"], found["longest_epochs"]) == (1.5, "a", 12)
    assert (found["seeds"], found["most_apart"]) == (2, 10.0)


def test_speed():
    rows = [("a", True, "one"), ("b", False, "one"), ("a", False, "two")]
    table = pd.DataFrame(rows, columns=["work", "reached", "machine"]).assign(threads=1)
    grown = pd.DataFrame(
        {"work": ["a", "copy"] * 2, "weights": [10, 10, 1000, 1000], "seconds": [1.0, 1.0, 6.0, 2.0]}
    ).assign(peak_mb=500.0, device="f")
    found = plain(findings.speed(table, grown, "copy"))
    assert (found["grown_on"], found["slowest"]) == ("f", "a")
    assert found["reached"] == "1 of 2 on one and 0 of 1 on two"
    assert (found["missed"], found["waiting"]) == ("Reached on none of the machines: b", "none")
    table["reached"] = True
    assert plain(findings.speed(table, grown, "copy"))["missed"].startswith("Each goal is reached on one of")
    assert (found["from_memory"], found["largest_gb"]) == (3.0, 0.5)


def test_training():
    at_error = pd.DataFrame(
        [[4.0, 3.0], [2.0, 2.0], [3.2, 2.0]],
        index=["twos_complement", "signed_rows", "differential"],
        columns=[0.1, 0.2],
    )
    rows = [
        ("bits-popcount-beta10-s1", 82.0, 7e-13),
        ("bits-planes-beta1-s1", 84.0, 9e-13),
        ("tune-twofold-r50-popcount-beta7-ramp0.5-lr0.05", 86.0, 2.1e-12),
        ("tune-twofold-r50-popcount-beta10-ramp0.5-lr0.05", 78.0, 1e-12),
        ("tune-twofold-r50-popcount-beta5-ramp0.5-lr0.05", 87.3, 2.6e-12),
        ("tune-twofold-r50-popcount-beta0.25-ramp0.5-planerate1-lr0.05", 87.4, 2.5e-12),
        ("tune-twofold-r50-popcount-beta1-ramp0.5-planerate1-lr0.05", 79.0, 1.75e-12),
        ("tune-twofold-r50-planes-beta0.1-ramp0.5-planerate1-lr0.05", 81.0, 2.2e-12),
        ("bits-counts-beta150-s1", 91.2, 8e-13),
        ("bits-mu250-s1", 91.1, 7e-13),
    ]
    terms = pd.DataFrame(rows, columns=["run", "test_accuracy", "energy_j"])
    emptied = {"bits-popcount-beta10-s1": 6, "bits-planes-beta1-s1": 5}
    live = {"method": "twofold", "cell_energy_j": 2.0, "test_accuracy": 97.0}
    control = live | {"cell_energy_j": 8.0, "test_accuracy": 98.0}
    surviving = {0.0: 255, 60.0: 48, 250.0: 29}
    runs = [*findings.STEADY.values(), *findings.FINISHED.values()]
    named = pd.DataFrame({"run": runs, "test_accuracy": [85.0, 82.0, 89.0, 88.9]})
    found = plain(
        findings.training(
            surviving=surviving,
            at_error=at_error,
            terms=terms,
            named=named.assign(cell_energy_j=[3e-12, 3e-12, 2e-12, 1e-12], kept_weights=2),
            emptied=emptied,
            control=control,
            live=live,
        )
    )
    assert (found["least_saved"], found["most_saved"], found["hull_60"]) == (1.5, 2.0, 48)
    assert found["popcount_emptied"] == 6
    assert (found["counts_all_accuracy"], found["joules_all_pj"]) == (91.2, pytest.approx(0.7))
    assert (found["mild_pj"], found["strong_accuracy"]) == (pytest.approx(2.1), 78.0)
    assert (found["own_planes_accuracy"], found["own_planes_pj"]) == (81.0, pytest.approx(2.2))
    assert (found["steady_planes"], found["steady_popcount_pj"]) == (82.0, 1.5)
    assert (found["finished_ones_pj"], found["finished_cheapest_pj"]) == (1.0, 0.5)
    assert (found["live_gain"], found["live_change"]) == (4.0, -1.0)


KINDS, SPREADS = ("rejection", "column", "counter", "multiply-shift"), (1.5, 1.0, 2.0, 3.0)


def test_registers():
    register, pair = LFSR("x^9+x^4+1", 1), LFSR("x^3+x+1", 1)
    walk = lfsr_mask((300,), 0.5, "x^9+x^4+1", 1, reduction="rejection")
    schemes = {
        "packed LFSR": 10,
        "packed LFSR + deflate": 5,
        "int8 + deflate": 8,
        "float32": 99,
        "bitmap": 20,
    }
    quality = pd.DataFrame(
        [
            *((kind, 0.5, "spread of layers", spread) for kind, spread in zip(KINDS, SPREADS, strict=True)),
            *((kind, 0.5, "corr(i, i/2)", 0.2) for kind in KINDS),
            *((kind, 0.1, "corr(i, i/2)", 0.4) for kind in KINDS),
        ],
        columns=["generator", "density", "measure", "value"],
    )
    bits = {"generated": [80, 40], "stored": [16_000, 800], "scheme": ["bitmap", "csr"]}
    found = plain(
        findings.registers(
            register=register,
            walk=walk,
            picture=pair_coverage(6, 6, pair, LFSR("x^3+x^2+1")),
            quality=quality,
            index_bits=pd.DataFrame(bits, index=[1, 64]),
            own_bytes=pd.Series(schemes),
            rival_bytes=pd.Series(schemes).drop(["packed LFSR", "packed LFSR + deflate"]),
        )
    )
    assert (found["degree"], found["period"], found["spread_counter"]) == (9, 511, 2.0)
    assert (found["corr_rejection"], found["corr_repeating"]) == (0.2, 0.4)
    assert (found["lig_kept"], found["lig_m"], found["walk_clocks"]) == (150, 300, walk.clocks)
    assert found["pair_share"] == pytest.approx(100 * 7 / 36)
    assert (found["best_direct"], found["direct_bytes"]) == ("bitmap", 20)
    assert (found["lfsr_bytes"], found["stored_kb"], found["shared_bytes"]) == (10.0, 2.0, 100.0)


# ---- chapters, on the study's own rows ----


MADE_UP = {"edp_gain": 1.5, "gain_best_untrained": 0.5, "energy_j": 1e-6, "cells_j": 6e-7, "adc_j": 1e-7}
"""A finding only looks up what it is given."""


@pytest.fixture(scope="module")
def recipes(few):
    frame = over_seeds(few).assign(**MADE_UP, input_j=2e-7, index_j=1e-7, arrays=100.0)
    return frame.assign(gain=2.0 + frame.index)


def test_first_page(recipes):
    costs = pd.DataFrame({"minutes": [30.0, 90.0]})
    shares = {"cells": 1.0, "index": 0.7, "whole": 0.5}
    accounts = {name: recipes.assign(gain=share * recipes.gain) for name, share in shares.items()}
    found = plain(findings.first_page(accounts, load_cell_table(), costs))
    gains = recipes.set_index("run").gain
    assert found["half_cells"] == gains["twofold-r50-counts-beta100-lambda0.1-p6"]
    assert found["half_whole"] == pytest.approx(0.5 * found["half_cells"])
    assert (found["finished"], found["hours"]) == (2, 2.0)


def test_bit_term_points():
    frame, bare = bit_term_points(load_results(), START, TUNING_START)
    assert set(frame.panel) == set(bare.index)
    by_run = load_results().set_index("run").loc[frame.run]
    assert set(by_run.bit_term) == {"energy", "counts", "popcount", "planes"}
    own = ["-own" * (rate > 0) for rate in by_run.plane_rate.tolist()]
    assert frame.bit_term.tolist() == [
        term + ending for term, ending in zip(by_run.bit_term, own, strict=True)
    ]
    assert set(frame.bit_term) <= set(TERMS)
    assert (by_run.cell_energy_j / by_run.kept_weights).tolist() == pytest.approx(frame.energy_j.tolist())
    held_out = frame.panel.str.contains("held-out")
    penalties = by_run[held_out.to_numpy() & ~by_run.bit_term.isin(CHOOSING)]
    assert (penalties.penalty_ramp > 0).all()
    assert by_run.held_out.tolist() == held_out.tolist()
    assert by_run.sparsity.tolist() == (0.5 * held_out).tolist()


def test_scale_pairs():
    rows = [
        ("a-b4-s1", "layer", 80.0, 4.0),
        ("b-s1", "layer", 1.0, 1.0),
        ("a-ch-b4-s1", "channel", 84.0, 3.0),
    ]
    runs = pd.DataFrame(rows, columns=["run", "scale", "test_accuracy_w8a8", "cell_energy_j"])
    own = runs.iloc[[2]].assign(run="mine", experiment="own", label="mine")
    runs = pd.concat([runs.assign(experiment="scales", label=runs.run), own])
    assert scale_pairs(runs).T.to_dict() == {"a-b4-s1": {"layer": 80.0, "channel": 84.0, "energy": 0.75}}


def test_mask_alone(study):
    frame = mask_alone(over_seeds(study)).set_index("sparsity")
    assert frame.index.is_unique
    assert set(frame.method) == {"lfsr"}
    assert (frame.run[0.5], frame.run[0.1]) == ("lfsr-r50", "lfsr-ms-r10")  # never repeats; or the older one


def test_accuracy(study):
    recipes = over_seeds(study)
    joint, talk = (over_seeds(chosen(study, [name])) for name in ("joint", "talk"))
    mask = mask_alone(recipes)
    found = plain(findings.accuracy(recipes, joint, mask, talk[talk.polarity == "printed"], held_out_runs()))
    half = joint[joint.sparsity == 0.5].iloc[0]
    assert found["joint_half_won"] == half.test_accuracy - half.accuracy_before_pruning
    alone = mask[mask.sparsity == 0.5].test_accuracy.item()
    assert found["joint_half_lost"] == pytest.approx(alone - half.test_accuracy)
    rows = recipes.set_index("run").test_accuracy
    assert found["removal_ninety"] == pytest.approx(rows["dense-b8"] - rows["lfsr-ms-r90"])
    assert found["magnitude_half"] == pytest.approx(rows["dense-b8"] - rows["magnitude-r50"])
    assert found["longer"] == pytest.approx(rows["lfsr-ms-r90-e24"] - rows["lfsr-ms-r90"])


def test_held_out():
    found = plain(findings.held_out(held_out_runs()))
    known = held_out_runs().set_index("run").held_out_accuracy
    weak, strong = (f"tune-twofold-ms-r50-mu{mu}-lr0.05" for mu in (250, 500))
    assert found["strength_costs"] == pytest.approx(known[weak] - known[strong])
    assert abs(found["in_bf16"] - found["in_fp32"]) < 1.0  # the study took bf16 to cost nothing


def test_energy(recipes):
    alone = {machine: recipes for machine in ("packed", "crossbar")}
    converted = {"column": recipes.assign(gain=0.9 * recipes.gain), "cell": recipes}
    found = plain(findings.energy(alone, converted=converted, ceiling=9.0))
    gains = recipes.set_index("run").gain
    assert found["joint_low_by_column"] == pytest.approx(0.9 * found["joint_low_gain"])
    assert found["joint_high_by_cell"] == found["joint_high_gain"]
    assert found["low_gain"] == gains["twofold-ms-r10-mu125"]
    assert found["half_alone_gain"] == gains["twofold-r50-mu80-b8-rows"]
    assert found["most_packed_gain"] == gains.max()
    assert found["most_crossbar_accuracy"] > 60  # not a network that the talk's order ruined


def test_machine(recipes):
    rows = [
        (run, table, machine, gain, 1.0, 4.0)
        for run in (
            "dense-b8",
            "bits-mu500",
            "bits-mu1000",
            "rounded-b3-rows",
            "lfsr-r50",
            "lfsr-r90",
            SHARED,
        )
        for table, gain in (("slides", 9.0), ("isaac", 2.0), ("neurram", 1.0))
        for machine, gain in (("crossbar", gain), ("grouped", 3 * gain))
    ]
    tables = pd.DataFrame(rows, columns=["run", "table", "machine", "gain", "cells_j", "total_j"])
    whole = {"crossbar": 0.2, "packed": 0.3, "grouped": 0.4}
    account = {machine: recipes.assign(gain=share * recipes.gain) for machine, share in whole.items()}
    tables.loc[tables.run.eq("bits-mu1000") & tables.table.eq("isaac"), "gain"] = 7.0
    tables.loc[tables.table == "isaac", "cells_j"] = 0.25
    gathered = account["grouped"].assign(gain=0.1 * recipes.gain)
    found = plain(findings.machine(account, gathered=gathered, tables=tables))
    gains = recipes.set_index("run").gain
    assert found["half_gain"] == pytest.approx(0.4 * gains["twofold-r50-counts-beta100-lambda0.1-p6"])
    assert found["half_packed_gain"] == pytest.approx(0.3 * gains["twofold-r50-counts-beta100-lambda0.1-p6"])
    assert found["codes_gain"] == pytest.approx(0.2 * gains["bits-mu500"])
    assert found["scratch_uj"] == pytest.approx(0.1)
    # On other cells than the slides', each on its best machine.
    assert (found["short_least"], found["short_most"]) == (3.0, 6.0)
    assert (found["cells_least"], found["cells_most"]) == (6.25, 25.0)
    assert (found["cells_less"], found["cells_least_of_all"]) == (1.0, 4.0)
    assert (found["codes_least"], found["codes_most"]) == (3.0, 7.0)
    assert found["shared_gathered"] == pytest.approx(0.1 * gains[SHARED])


def test_width():
    frame = pd.DataFrame(
        [
            ("resnet8-dense-b8", 1, 88.0, 4e-6, 77_360),
            ("resnet8-rounded-b3-rows", 1, 86.0, 1e-6, 77_360),
            ("resnet8-w2-dense-b8", 2, 90.0, 9e-6, 300_000),
            ("resnet8-w2-lfsr-r75", 2, 87.0, 5e-6, 75_000),
            ("resnet8-w2-twofold-r75-mu125", 2, 85.0, 3e-6, 75_000),
            ("resnet8-w2-magnitude-bits-r75-mu125", 2, 89.0, 1e-6, 75_000),
        ],
        columns=["run", "width", "test_accuracy", "energy_j", "kept_weights"],
    )
    found = plain(findings.width(frame))
    assert (found["wide"], found["wide_mask"], found["wide_both_uj"]) == (90.0, 87.0, pytest.approx(3.0))
    assert (found["beside_mask"], found["beside_both"], found["beside_chosen"]) == (88.0, 86.0, 86.0)


def test_carry_over():
    start = pd.Series({"kept_weights": 77_360, "test_accuracy": 88.0})
    recipes = pd.DataFrame(
        [
            ("resnet8-bits-mu125", "bits", "ResNet-8, bits only, µ 125", 86.0, 2e-6, 5.0),
            ("resnet8-dense-b8", "dense-8bit", "ResNet-8, dense, 8 bits", 88.0, 1e-5, 1.0),
            ("resnet8-lfsr-r25", "lfsr", "", 87.0, 8e-6, 1.25),
            ("resnet8-twofold-r25-mu125", "twofold", "", 86.5, 4e-6, 2.5),
            ("resnet8-lfsr-r50", "lfsr", "", 85.0, 5e-6, 2.0),
            ("resnet8-twofold-r50-mu125", "twofold", "", 84.0, 2e-6, 5.0),
            ("resnet8-twofold-col-g64-r25-mu0.8-b3-rows", "twofold", "", 83.0, 1e-6, 10.0),
            ("resnet8-magnitude-bits-g64-r25-mu0.8-b3-rows", "magnitude-bits", "", 83.5, 1e-6, 9.0),
        ],
        columns=["run", "method", "label", "test_accuracy", "energy_j", "gain"],
    )
    lost = pd.DataFrame(
        [(recipe, network, 1.0) for recipe in COMPARED for network in ("resnet20", "resnet8")],
        columns=["recipe", "network", "lost"],
    )
    found = plain(findings.carry_over(start=start, recipes=recipes, best=recipes.iloc[[0]], lost=lost))
    assert (found["dense_uj"], found["dense"], found["float"]) == (pytest.approx(10.0), 88.0, 88.0)
    assert (found["best_label"], found["best_gain"]) == ("bits only, µ 125", 5.0)
    assert (found["half_alone"], found["half_cheap"], found["quarter_shared"]) == (85.0, 84.0, 83.0)
    assert (found["quarter_alone"], found["quarter_cheap"]) == (87.0, 86.5)
    assert found["quarter_largest"] == 83.5
    assert found["mask_ninety_8"] == found["short_20"] == 1.0
