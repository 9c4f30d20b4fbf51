"""What each chapter found, as named numbers: one function a chapter, whose result the prose quotes.

A chapter says ``numbers(**findings.accuracy(...))``, and its sentences quote the values by name. Units are in
the names where they are not percent or ratios. Runs of the study are named in full, so that a number of the
prose can be traced to the folder that it comes from.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import pandas as pd
from torch import Tensor

from companion.book.examples import ENCODING_NAMES
from companion.book.series import MASKS
from companion.study import tiny
from companion.study.crossbar import needed_bits
from companion.study.index_costs import crossovers
from companion.study.names import listed
from companion.study.plan import TALKS_ORDER
from twofold import LFSR, CellTable, Mask
from twofold.reports import Report

__all__ = [
    "CHEAP_CODES",
    "FINISHED",
    "PULLS",
    "STEADY",
    "STRONGEST",
    "accuracy",
    "bits",
    "carry_over",
    "crossbar",
    "energy",
    "first_page",
    "held_out",
    "index_generator",
    "machine",
    "measured",
    "motivation",
    "registers",
    "speed",
    "training",
    "width",
    "your_network",
]

Findings = dict[str, float | int | str]
"""Plain numbers and names, by the words of the prose."""


STRONGEST = {"popcount": "bits-popcount-beta10-s1", "planes": "bits-planes-beta1-s1"}
"""The penalties on planes at their strongest, with nothing removed."""


STEADY = {
    "popcount": "tune-twofold-r50-popcount-beta5-lr0.05",
    "planes": "tune-twofold-r50-planes-beta0.6-lr0.05",
}
"""The penalties on planes at one strength from the first step, with half removed: runs on held-out images."""


FINISHED = {"ones": "twofold-r50-counts-beta100-lambda0.1-p6-s1", "cheapest": "twofold-ms-r50-mu500-s1"}
"""Networks of one accuracy without half of their weights: ones priced in the talk's order, and joules."""


CHEAP_CODES = tuple(f"bits-mu{strength}" for strength in (60, 125, 250, 500, 1000))
"""Networks of 8 bits in two's complement with nothing removed, by the strength of their bit term."""


PULLS = {pull: f"tune-twofold-r50-counts-beta150-lambda{pull}-p3-lr0.05" for pull in ("0.03", "0.1", "0.3")}
"""Strengths of the talk's network term that were tried on held-out images -> their runs."""


def first_page(accounts: Mapping[str, pd.DataFrame], cells: CellTable, costs: pd.DataFrame) -> Findings:
    """The numbers of the first page.

    Parameters
    ----------
    accounts : as `headline.priced`: means over seeds by what is charged, columns ``run``, ``test_accuracy``
        (%), ``gain``
    cells : the table that they were priced with
    costs : as `results.run_costs`
    """
    priced = {name: frame.set_index("run") for name, frame in accounts.items()}
    alone, whole = priced["cells"], priced["whole"]
    found: dict[str, Any] = {"dense": alone.test_accuracy["dense-b8"]}
    for word, run in {
        "low": TALKS_ORDER[10],
        "high": TALKS_ORDER[90],
        "short": "rounded-b3-rows",
        "half": TALKS_ORDER[50],
        "shared": "twofold-col-g64-r50-mu0.8-b3-rows",
        "largest": "magnitude-bits-g64-r50-mu0.8-b3-rows",
    }.items():
        found |= {
            word: alone.test_accuracy[run],
            f"{word}_cells": alone.gain[run],
            f"{word}_whole": whole.gain[run],
        }
    return _plain(
        found
        | {
            "dearest": cells.energy_j[-1] / cells.energy_j[0],
            "finished": len(costs),
            "hours": costs.minutes.sum() / 60,
        }
    )


def motivation(
    operations: pd.DataFrame, truth: pd.DataFrame, cells: CellTable, control: pd.DataFrame
) -> Findings:
    """Chapter 1: memory against arithmetic, and what a cell costs by what it holds.

    Parameters
    ----------
    operations : columns ``operation``, ``energy_j``
    truth : as `examples.bit_truth_table`
    cells : energies of one cell read, by what it stores
    control : as `examples.encoding_control`, with the same cells
    """
    energy_j = operations.set_index("operation").energy_j
    dram_adds = energy_j["32-bit DRAM memory"] / energy_j["32-bit float ADD"]
    current_a = truth.set_index(["x", "w"]).current_a
    dearest = cells.energy_j[-1] / cells.energy_j[0]
    per_weight = -(-8 // cells.cell_bits)
    average_j = control.set_index("encoding").energy_per_weight_j["twos_complement"]
    return _plain(
        {
            "dram_adds": dram_adds,
            "float_mult_pj": 1e12 * energy_j["32-bit float MULT"],
            "lrs_over_hrs": current_a[1, 1] / current_a[1, 0],
            "dearest": dearest,
            "cells_per_weight": per_weight,
            "cap": average_j / (per_weight * cells.energy_j[0]),
        }
    )


def registers(
    *,
    register: LFSR,
    walk: Mask,
    picture: Tensor,
    quality: pd.DataFrame,
    index_bits: pd.DataFrame,
    own_bytes: pd.Series,
    rival_bytes: pd.Series,
) -> Findings:
    """Chapter 2: a register, its masks, and the bytes of an index that nobody stores.

    Parameters
    ----------
    register : the register of the page
    walk : a mask drawn from it by rejection
    picture : the positions that two registers of equal period visit together
    quality : as `masks.measures.mask_quality`, of several generators at several densities, 0.5 among them
    index_bits : as `index_costs.network_index_bits`, from one column an index to all columns
    own_bytes, rival_bytes : bytes by scheme, as `storage.sizes.storage_bytes`: of a finished network's
        weights, of the dense network's, as many of them kept by magnitude
    """
    in_place = rival_bytes.dropna().drop(["int8 + deflate", "float32"])
    half = quality[quality.density == 0.5].pivot(index="measure", columns="generator", values="value")
    spread, halves = half.loc["spread of layers"], quality[quality.measure == "corr(i, i/2)"]
    alone, shared = index_bits.iloc[0], index_bits.iloc[-1]
    return _plain(
        {
            "degree": register.degree,
            "period": register.period,
            "lig_m": walk.keep.numel(),
            "lig_kept": walk.kept,
            "walk_clocks": walk.clocks,
            "walk_per_index": walk.clocks / walk.kept,
            "pair_share": 100 * float(picture.double().mean()),
            "spread_rejection": spread["rejection"],
            "spread_column": spread["column"],
            "spread_counter": spread["counter"],
            "corr_rejection": half.loc["corr(i, i/2)", "rejection"],
            "corr_repeating": halves[halves.generator == "multiply-shift"].value.max(),
            "lfsr_bytes": alone.generated / 8,
            "stored_kb": alone.stored / 8e3,
            "shared_bytes": shared.stored / 8,
            "packed_bytes": own_bytes["packed LFSR"],
            "best_direct": str(in_place.idxmin()),
            "direct_bytes": in_place.min(),
        }
    )


def bits(prices_pj: pd.DataFrame, control: pd.DataFrame, weights: pd.DataFrame, encoding: str) -> Findings:
    """Chapter 3: what codes cost in an encoding, and how far ones are joules.

    Parameters
    ----------
    prices_pj : index code, a column an encoding
    control : as `examples.encoding_control`
    weights : columns ``ones`` and ``pj``, a row a weight of the network
    encoding : the one that the page speaks of
    """
    by_encoding = control.set_index("encoding")
    spread = weights.groupby("ones").pj.agg(lambda pj: pj.max() / pj.min())
    return _plain(
        {
            "encoding_name": ENCODING_NAMES[encoding],
            "minus_one": prices_pj[encoding][-1],
            "zero": prices_pj[encoding][0],
            "plus_one": prices_pj[encoding][1],
            "sign_ratio": by_encoding.ratio["sign_magnitude"],
            "offset_ratio": by_encoding.ratio["offset_binary"],
            "pair_ratio": by_encoding.ratio["differential"],
            "correlation": weights.ones.corr(weights.pj),
            "widest": int(spread.idxmax()),
            "spread": spread.max(),
        }
    )


def training(
    *,
    surviving: Mapping[float, int],
    at_error: pd.DataFrame,
    terms: pd.DataFrame,
    named: pd.DataFrame,
    emptied: Mapping[str, int],
    control: Mapping[str, Any],
    live: Mapping[str, Any],
) -> Findings:
    """Chapter 4: codes that survive, bit terms side by side, encodings at equal error, the live run.

    Parameters
    ----------
    surviving : by strength, the codes that are ever chosen
    at_error : as `rate_distortion.energy_at_error`
    terms : as `series.bit_term_points`
    named : results of the runs of `STEADY` and `FINISHED`
    emptied : by run, layers of which nothing but zeros is left
    control, live : rows of the two runs of the page
    """
    ratio = at_error.loc["twos_complement"] / at_error.loc["signed_rows"]
    found: dict[str, Any] = {f"hull_{mu:.0f}": codes for mu, codes in surviving.items()}
    points = terms.set_index("run")
    for word, run in STRONGEST.items():
        found |= {f"{word}_accuracy": points.test_accuracy[run], f"{word}_emptied": int(emptied[run])}
    rows = named.set_index("run")
    joules = 1e12 * rows.cell_energy_j / rows.kept_weights
    for word, run in STEADY.items():
        found |= {f"steady_{word}": rows.test_accuracy[run], f"steady_{word}_pj": joules[run]}
    for word, run in FINISHED.items():
        found |= {f"finished_{word}": rows.test_accuracy[run], f"finished_{word}_pj": joules[run]}
    for word, run in (
        ("mild", "tune-twofold-r50-popcount-beta7-ramp0.5-lr0.05"),
        ("strong", "tune-twofold-r50-popcount-beta10-ramp0.5-lr0.05"),
        ("slow", "tune-twofold-r50-popcount-beta5-ramp0.5-lr0.05"),
        ("own_mild", "tune-twofold-r50-popcount-beta0.25-ramp0.5-planerate1-lr0.05"),
        ("own_strong", "tune-twofold-r50-popcount-beta1-ramp0.5-planerate1-lr0.05"),
        ("own_planes", "tune-twofold-r50-planes-beta0.1-ramp0.5-planerate1-lr0.05"),
        ("counts_all", "bits-counts-beta150-s1"),
        ("joules_all", "bits-mu250-s1"),
    ):
        found |= {f"{word}_accuracy": points.test_accuracy[run], f"{word}_pj": 1e12 * points.energy_j[run]}
    found |= {
        "least_saved": ratio.min(),
        "most_saved": ratio.max(),
        "live_method": live["method"],
        "live_gain": control["cell_energy_j"] / live["cell_energy_j"],
        "live_change": live["test_accuracy"] - control["test_accuracy"],
    }
    return _plain(found)


def accuracy(
    means: pd.DataFrame, joint: pd.DataFrame, mask: pd.DataFrame, printed: pd.DataFrame, tried: pd.DataFrame
) -> Findings:
    """Chapter 5: the talk's order in its steps; what removal, not looking and cheap bits cost, in points.

    Parameters
    ----------
    means : of the study, a row a recipe: columns of `grouping.over_seeds`
    joint : the experiment ``joint``, in the talk's order: means over seeds
    mask : as `series.mask_alone`
    printed : the talk's order with the network term as printed: means over seeds
    tried : as `protocol.held_out_runs`
    """
    accuracy = means.set_index("run").test_accuracy
    by_method = means[means.experiment.isin(MASKS)].pivot(
        index="sparsity", columns="method", values="test_accuracy"
    )
    control = accuracy["dense-b8"]
    found: dict[str, Any] = {"control": control}
    in_steps, alone = joint.set_index("sparsity"), mask.set_index("sparsity").test_accuracy
    for word, percent in (("half", 50), ("ninety", 90)):
        at, steps = by_method.loc[percent / 100], in_steps.loc[percent / 100]
        found |= {
            f"removal_{word}": control - at.lfsr,
            f"magnitude_{word}": control - at.magnitude,
            f"bit_term_{word}": at.lfsr - at.twofold,
            f"rejection_{word}": accuracy[f"lfsr-r{percent}"],
            f"repeating_{word}": accuracy[f"lfsr-ms-r{percent}"],
            f"distilled_{word}": accuracy[f"lfsr-ms-r{percent}-distilled"] - accuracy[f"lfsr-ms-r{percent}"],
            f"joint_{word}": steps.test_accuracy,
            f"joint_{word}_before": steps.accuracy_before_pruning,
            f"joint_{word}_lost": alone[percent / 100] - steps.test_accuracy,
            f"joint_{word}_lost_repeating": accuracy[f"lfsr-ms-r{percent}"] - steps.test_accuracy,
            f"joint_{word}_won": steps.test_accuracy - steps.accuracy_before_pruning,
        }
    literal, known = printed.set_index("sparsity").loc[0.5], tried.set_index("run")
    weak, tuned = (known.loc[PULLS[pull]] for pull in ("0.03", "0.1"))
    found |= {
        "joint_strength": joint.strength.iloc[0],
        "joint_lambda": joint.network_strength.iloc[0],
        "weak_before": weak.accuracy_before_pruning,
        "weak_after": weak.accuracy_after_pruning,
        "weak_end": weak.held_out_accuracy,
        "tuned_end": tuned.held_out_accuracy,
        "four_chosen": accuracy["magnitude-r90"] - accuracy["magnitude-g4-r90"],
        **{
            f"all_lost_{word}": accuracy[f"lfsr-r{percent}"] - accuracy[f"lfsr-col-g64-r{percent}"]
            for word, percent in (("half", 50), ("eighty", 80), ("ninety", 90))
        },
        "alike_lfsr": accuracy["lfsr-ms-r90"],
        "spared_lfsr": accuracy["lfsr-ms-r90-erk"],
        "longer": accuracy["lfsr-ms-r90-e24"] - accuracy["lfsr-ms-r90"],
        "printed_before": literal.accuracy_before_pruning,
        "printed_after": literal.accuracy_after_pruning,
        "printed_end": literal.test_accuracy,
    }
    return _plain(found)


def held_out(tried: pd.DataFrame) -> Findings:
    """How this was measured: what levers brought on held-out images, by runs that differ in one of them.

    Parameters
    ----------
    tried : as `protocol.held_out_runs`
    """
    rows = tried.set_index("run")
    known, joules = rows.held_out_accuracy, rows.cell_energy_j
    weak, plain, taught, clipped, signed = (
        f"tune-twofold-ms-r50-{name}-lr0.05"
        for name in ("mu250", "mu500", "mu500-distilled", "mu2000-clip0.5", "mu150-b8-signed-distilled")
    )
    return _plain(
        {
            "tried_epochs": int(tried.epochs.max()),
            "in_fp32": known["tune-lfsr-ms-r50-lr0.05"],
            "in_bf16": known["tune-lfsr-ms-r50-lr0.05-bf16"],
            "strength_saves": 100 * (1 - joules[plain] / joules[weak]),
            "strength_costs": known[weak] - known[plain],
            "taught": known[taught] - known[plain],
            "clip_saves": 100 * (1 - joules[clipped] / joules[plain]),
            "clip_costs": known[plain] - known[clipped],
            "sign_saves": 100 * (1 - joules[signed] / joules[taught]),
            "sign_costs": known[taught] - known[signed],
            "pull_chosen": known[PULLS["0.1"]],
            "pull_weaker": known[PULLS["0.03"]],
            "pull_stronger": known[PULLS["0.3"]],
            "pull_study": known["tune-twofold-r50-counts-beta100-lambda0.1-p3-lr0.05"],
        }
    )


def energy(
    alone: Mapping[str, pd.DataFrame], *, converted: Mapping[str, pd.DataFrame], ceiling: float
) -> Findings:
    """Chapter 6: gains in cells alone, with the slides' price of a conversion, and with the index.

    Parameters
    ----------
    alone : cells and signs only, on "packed" and "crossbar": means over seeds, columns of `energies.energies`
    converted : the same on "packed", of the talk's order at least, with one thing more charged: conversions
        at the table's price, for each "column" or for each "cell", or the "index"
    ceiling : as `energies.crossbar_ceiling`
    """
    packed, stored = (alone[machine].set_index("run") for machine in ("packed", "crossbar"))
    plain = stored[
        ~stored.experiment.isin(["talk", "joint"])
        & (stored.bits == 8)
        & (stored.encoding == "twos_complement")
    ]
    dense, short = packed.loc["dense-b8"], packed.loc["rounded-b3-rows"]
    found: dict[str, Any] = {
        "ceiling": ceiling,
        "rewritten": 1 / dense.gain_best_untrained,
        "dense_accuracy": dense.test_accuracy,
        "short_lost": dense.test_accuracy - short.test_accuracy,
    }
    of_runs = {
        "low": packed.loc["twofold-ms-r10-mu125"],
        "high": packed.loc["twofold-ms-r90-mu125"],
        "low_bits": packed.loc["bits-mu125"],
        "low_counts": packed.loc["bits-counts-beta150"],
        "most_packed": packed.loc[packed.gain.idxmax()],
        "most_crossbar": plain.loc[plain.gain.idxmax()],
        "half_alone": packed.loc["twofold-r50-mu80-b8-rows"],
        "ninety_alone": packed.loc["twofold-r90-mu60-b8-rows"],
        "half_rival": packed.loc["magnitude-bits-r50-mu80-b8-rows-bf16"],
        "ninety_rival": packed.loc["magnitude-bits-r90-mu60-b8-rows-bf16"],
        "short_alone": short,
        "spared": packed.loc["twofold-ms-r90-mu125-erk"],
        "eighty": packed.loc["twofold-ms-r80-mu125"],
    }
    joint = packed[packed.experiment == "joint"].set_index("sparsity")
    shares = {"low": 0.1, "high": 0.9}
    of_runs |= {f"joint_{word}": joint.loc[share] for word, share in shares.items()}
    for word, row in of_runs.items():
        found |= {f"{word}_gain": row.gain, f"{word}_accuracy": row.test_accuracy}
    for rule, frame in converted.items():
        gain = frame[frame.experiment == "joint"].set_index("sparsity").gain
        found |= {f"joint_{word}_by_{rule}": gain[share] for word, share in shares.items()}
    found["half_lost"] = found["dense_accuracy"] - found["half_alone_accuracy"]
    for word in ("half", "ninety"):
        found[f"{word}_apart"] = found[f"{word}_rival_accuracy"] - found[f"{word}_alone_accuracy"]
    return _plain(found)


def machine(account: Mapping[str, pd.DataFrame], *, gathered: pd.DataFrame, tables: pd.DataFrame) -> Findings:
    """Chapter 7: gains with everything charged, and on other cells.

    Parameters
    ----------
    account : everything charged, on "crossbar", "packed" and "grouped": means over seeds, columns of
        `energies.energies`
    gathered : as "grouped", but that each array gathers its own inputs from a register file
    tables : as `machines.load_machines`
    """
    whole = {name: frame.set_index("run") for name, frame in account.items()}
    dense = whole["crossbar"].loc["dense-b8"]
    half, ninety, chosen = TALKS_ORDER[50], TALKS_ORDER[90], "magnitude-bits-r{}-mu125"
    shared = "twofold-col-g64-r50-mu0.8-b3-rows"
    found: dict[str, Any] = {
        "dense_uj": 1e6 * dense.energy_j,
        "dense_cells": 1e6 * dense.cells_j,
        "dense_adc": 1e6 * dense.adc_j,
    }
    of_runs = {
        "codes": whole["crossbar"].loc["bits-mu500"],
        "short": whole["crossbar"].loc["rounded-b3-rows"],
        "half": whole["grouped"].loc[half],
        "half_packed": whole["packed"].loc[half],
        "ninety": whole["grouped"].loc[ninety],
        "shared": whole["grouped"].loc[shared],
        "shared_most": whole["grouped"].loc["twofold-col-g64-r80-mu0.8-b3-rows"],
        "largest": whole["grouped"].loc["magnitude-bits-g64-r50-mu0.8-b3-rows"],
        "largest_most": whole["grouped"].loc["magnitude-bits-g64-r80-mu0.8-b3-rows"],
        "scratch": whole["packed"].loc["twofold-ms-r50-mu125"],
        "rival_ninety": whole["grouped"].loc[chosen.format(90)],
    }
    for word, row in of_runs.items():
        found |= {
            f"{word}_gain": row.gain,
            f"{word}_edp": row.edp_gain,
            f"{word}_accuracy": row.test_accuracy,
        }
    alone = gathered.set_index("run").gain
    found |= {f"{word}_gathered": alone[run] for word, run in (("half", half), ("shared", shared))}
    index_j = whole["packed"].index_j
    for word in ("shared", "largest"):
        found[f"{word}_percent"] = 100 * of_runs[word].index_j / of_runs[word].energy_j
    found |= {
        "index_uj": 1e6 * index_j[half],
        "index_percent": 100 * index_j[half] / whole["grouped"].energy_j[half],
        "stored_uj": 1e6 * index_j[chosen.format(50)],
        "scratch_uj": 1e6 * index_j["twofold-ms-r50-mu125"],
        "dense_arrays": dense.arrays,
        "column_arrays": whole["grouped"].arrays["lfsr-r50"],
        "shared_arrays": whole["grouped"].arrays[shared],
    }
    return _plain(found | _on_other_cells(tables))


def _on_other_cells(tables: pd.DataFrame) -> Findings:
    """What cells other than the slides' take, and the least and the most that levers gain with them.

    Each lever on its best machine.
    """
    dense = tables[(tables.run == "dense-b8") & (tables.machine == "crossbar")].set_index("table")
    slides, others = dense.cells_j["slides"], dense.drop("slides")
    less, share = slides / others.cells_j, 100 * others.cells_j / others.total_j
    found = {"cells_less": less.min(), "cells_least_of_all": less.max()}
    found |= {"cells_least": share.min(), "cells_most": share.max()}
    tables = tables[tables.table != "slides"]
    best = tables.groupby(["run", "table"]).gain.max()
    codes = tables[tables.run.isin(CHEAP_CODES)].groupby("table").gain.max()
    found |= {"codes_least": codes.min(), "codes_most": codes.max()}
    for word, run in {
        "short": "rounded-b3-rows",
        "mask": "lfsr-r50",
        "mask_ninety": "lfsr-r90",
        "shared": "twofold-col-g64-r50-mu0.8-b3-rows",
    }.items():
        found |= {f"{word}_least": best[run].min(), f"{word}_most": best[run].max()}
    return found


def crossbar(
    *,
    loads: pd.DataFrame,
    gains: pd.DataFrame,
    measured: pd.DataFrame,
    cells: CellTable,
    by_levels: pd.DataFrame,
    network: str,
    baseline: str,
) -> Findings:
    """Chapter 9: what columns carry, and what converters and cells that vary leave of gain and accuracy.

    Parameters
    ----------
    loads : as `study.crossbar.column_loads`, of three networks of the study at least
    gains : a row a network; columns, in the order of the page: cells alone, equal bits, no empty columns
    measured : as `study.crossbar.load_crossbar`
    cells : the slides' table of 2-bit cells
    by_levels : as `study.crossbar.gains_by_levels`, of ``network`` over ``baseline``
    network, baseline : runs of the page
    """
    of_runs = loads.groupby("run")[["mean", "idle"]].mean()
    means, codes = of_runs["mean"], "bits-mu500-s1"
    free, equal, awake = gains.loc[network].iloc[:3]
    even = cells.with_even_levels()
    found = {
        "shrink": means[baseline] / means[network],
        "mask_shrink": means["dense-b8-s1"] / means["lfsr-ms-r50-s1"],
        "codes_shrink": means["dense-b8-s1"] / means[codes],
        "codes_empty": 100 * of_runs.idle[codes],
        "gain_free": free,
        "gain_equal": equal,
        "gain_awake": awake,
        "gain_given": by_levels["gain, given"][network],
        "gain_even": by_levels["gain, even"][network],
        "given_one": 1e12 * cells.energy_j[1],
        "even_one": 1e12 * even.energy_j[1],
    }
    return _plain(found | _of_sweep(measured, cells.name))


def _of_sweep(measured: pd.DataFrame, given: str) -> dict[str, Any]:
    """Accuracies (%) of a dense network, with a mask, and twofold: two's complement, then in pairs.

    ``given`` names the table whose levels were measured as they stand.
    """
    alike = measured[(measured.images == 1000) & (measured.array_rows == 128)]
    as_given = alike[(alike.levels == given) & (alike.encoding == "twos_complement")]
    even = alike[alike.levels == "even"]
    usual = even[even.r_hrs_ohm == 1e6]
    twos, pair = (usual[usual.encoding == name] for name in ("twos_complement", "differential"))
    plain, paired = (
        frame[frame.adc_range == "none"].groupby(["variation", "run"]).test_accuracy.mean()
        for frame in (twos, pair)
    )
    six = twos[(twos.adc_range == "calibrated") & (twos.adc_bits == 6)].set_index("run").test_accuracy
    needed = needed_bits(twos[twos.variation == 0]).calibrated
    found: dict[str, Any] = {"given_dense": as_given.set_index("run").test_accuracy["dense-b8-s1"]}
    runs = {"dense": "dense-b8-s1", "mask": "lfsr-ms-r50-s1", "twofold": "twofold-ms-r50-mu500-s1"}
    for word, run in runs.items():
        found |= {
            f"{word}_bits": int(needed[run]),
            f"{word}_six": six[run],
            f"{word}_twos": plain[0.05, run],
            f"{word}_lost": paired[0.0, run] - paired[0.2, run],
        }
    leaks = even[(even.encoding == "differential") & (even.run == runs["twofold"])]
    leaks = leaks[(leaks.variation == 0.1) & leaks.r_hrs_ohm.isin([1e6, 1e8])]
    # The same draws of the cells: one draw differs from the next by more than the leak does.
    by_draw = leaks.pivot_table(index="seed", columns="r_hrs_ohm", values="test_accuracy").dropna()
    by_leak = by_draw.mean()
    return found | {"tight_gained": by_leak[1e8] - by_leak[1e6]}


def index_generator(
    *,
    prices: pd.DataFrame,
    density: float,
    gates: pd.DataFrame,
    area: pd.Series,
    charged: pd.DataFrame,
    half: pd.Series,
    half_dense: pd.DataFrame,
) -> Findings:
    """Chapter 8: area and energy of an index that is generated, beside one that is stored.

    Parameters
    ----------
    prices : of an index of the layer that is priced, as `index_costs.index_prices`
    density : the one that the page speaks of
    gates : of the kinds for that layer, as `index_costs.gates_by_kind`
    area : as `index_costs.network_areas`
    charged : as `index_costs.charged_runs`: a run, then one whose columns share, each packed and grouped
    half : joules an image of the indices of a network with half of its weights removed, by way
    half_dense : as ``charged``, of that network, packed
    """
    own = prices[(prices.group == 1) & (prices.density == density)].set_index("way")
    index_pj, removed = 1e12 * own.index_j, half_dense.iloc[0]
    packed, shared = charged.iloc[0], charged.iloc[-1]
    return _plain(
        {
            "rejection_pj": index_pj["rejection"],
            "counter_pj": index_pj["counter"],
            "scratch_pj": index_pj["multiply-shift"],
            "sram_pj": index_pj["SRAM"],
            "cross_percent": 100 * crossovers(prices, "SRAM")[1]["rejection"],
            "file_percent": 100 * crossovers(prices, "register file")[prices.group.max()]["rejection"],
            "gates": gates.gates.iloc[0],
            "block_gates": area["one block"],
            "area_ratio": area["stored"] / area["rejection"],
            "shared_ratio": area["stored, shared"] / area["rejection, shared"],
            "charged_run": packed.label,
            "index_share": 100 * packed.index_j / (packed.cells_j + packed.index_j),
            "gain_free": packed.gain_free,
            "shared_label": shared.label,
            "shared_share": 100 * shared.index_j / (shared.cells_j + shared.index_j),
            "half_label": removed.label,
            "half_scratch": 1e6 * half["multiply-shift"],
            "half_over": half["multiply-shift"] / (removed.gain_free * removed.cells_j),
            "half_rejection": 1e6 * half["rejection"],
            "half_gain": removed.gain,
        }
    )


def carry_over(
    *, start: pd.Series, recipes: pd.DataFrame, best: pd.DataFrame, lost: pd.DataFrame
) -> Findings:
    """Chapter 10: MLPerf Tiny's network, its bar, and what recipes lose there and in ResNet-20.

    Parameters
    ----------
    start : row of the float run in `results.load_results`
    recipes : as `tiny.priced_on_best`
    best : as `tiny.cheapest_above`, one kind at least
    lost : as `tiny.lost_by_network`
    """
    dense, first = recipes[recipes.method == "dense-8bit"].iloc[0], best.iloc[0]
    found: dict[str, Any] = {
        "official": tiny.BAR,
        "weights": int(start.kept_weights),
        "float": start.test_accuracy,
        "dense": dense.test_accuracy,
        "dense_uj": 1e6 * dense.energy_j * dense.gain,
        "best_label": first.label.removeprefix("ResNet-8, "),
        "best_accuracy": first.test_accuracy,
        "best_uj": 1e6 * first.energy_j,
        "best_gain": first.gain,
    }
    reached = recipes.set_index("run").test_accuracy
    for word, run in {
        "half_alone": "resnet8-lfsr-r50",
        "half_cheap": "resnet8-twofold-r50-mu125",
        "quarter_alone": "resnet8-lfsr-r25",
        "quarter_cheap": "resnet8-twofold-r25-mu125",
        "quarter_shared": "resnet8-twofold-col-g64-r25-mu0.8-b3-rows",
        "quarter_largest": "resnet8-magnitude-bits-g64-r25-mu0.8-b3-rows",
    }.items():
        found[word] = reached[run]
    points = lost.set_index(["recipe", "network"]).lost
    for word, recipe in {
        "short": "3 bits",
        "shared": "3 bits, shared rows, 50 %",
        "largest": "3 bits, largest rows, 50 %",
        "mask": "LFSR mask, 50 %",
        "chosen": "magnitude + bits, 50 %",
        "mask_ninety": "LFSR mask, 90 %",
    }.items():
        found |= {f"{word}_20": points[recipe, "resnet20"], f"{word}_8": points[recipe, "resnet8"]}
    return _plain(found)


def width(frame: pd.DataFrame) -> Findings:
    """Chapter 10: networks of twice the width, three quarters removed, beside narrow ones.

    Parameters
    ----------
    frame : as `tiny.priced_on_best`, of all of `tiny.WIDTHS`, in the column ``width``
    """
    narrow, wide = frame[frame.width == 1], frame[frame.width == 2].set_index("run")
    found = {"wide": wide.test_accuracy["resnet8-w2-dense-b8"]}
    for word, recipe in {
        "mask": "resnet8-w2-lfsr-r75",
        "both": "resnet8-w2-twofold-r75-mu125",
        "chosen": "resnet8-w2-magnitude-bits-r75-mu125",
    }.items():
        own = wide.loc[recipe]
        found |= {
            f"wide_{word}": own.test_accuracy,
            f"wide_{word}_uj": 1e6 * own.energy_j,
            # The most accurate of the narrow networks that take no more joules.
            f"beside_{word}": narrow.test_accuracy[narrow.energy_j <= own.energy_j].max(),
        }
    return _plain(found)


def your_network(
    *,
    right: Tensor,
    report: Report,
    sizes: Mapping[str, int],
    same: Tensor,
    theirs: Tensor,
    ours: Tensor,
    vit_right: Tensor,
    vit_report: Report,
) -> Findings:
    """Chapter 11: what the attached, saved and exported networks do.

    Parameters
    ----------
    right, vit_right : which test images the convolutional network and the transformer read correctly
    report, vit_report : with a baseline
    sizes : bytes of the packed file, ".safetensors", and of torch's, ".pt"
    same : which outputs of the saved and of the loaded network are equal
    theirs, ours : outputs of ONNX Runtime and of torch
    """
    coverage = vit_report.coverage
    return _plain(
        {
            "accuracy": 100 * right.double().mean(),
            "gain": report.total.gain,
            "file_kb": sizes[".safetensors"] / 1e3,
            "pt_kb": sizes[".pt"] / 1e3,
            "same": 100 * same.double().mean(),
            "onnx_error": (theirs - ours).abs().max() / ours.abs().max(),
            "vit_accuracy": 100 * vit_right.double().mean(),
            "vit_gain": vit_report.total.gain,
            "coverage": 100 * (1.0 if coverage is None else coverage.share),
        }
    )


def measured(costs: pd.DataFrame, apart: pd.DataFrame) -> Findings:
    """How the runs were measured.

    Parameters
    ----------
    costs : as `results.run_costs`
    apart : by setting, the largest differences of `results.load_determinism`
    """
    longest = costs.loc[costs.minutes.idxmax()]
    return _plain(
        {
            "count": len(costs),
            "hours": costs.minutes.sum() / 60,
            "middle": costs.minutes.median(),
            "longest": longest.run,
            "longest_minutes": longest.minutes,
            "longest_epochs": longest.epochs,
            "fastest": costs.seconds_an_epoch.min(),
            "slowest": costs.seconds_an_epoch.max(),
            "seeds": costs.seed.nunique(),
            "commits": costs.commit.nunique(),
            "again_apart": 100 * apart.codes_differing["one thread, again"],
            "most_apart": 100 * apart.codes_differing.max(),
            "accuracy_apart": apart.accuracy_change.max(),
        }
    )


def speed(table: pd.DataFrame, grown: pd.DataFrame, floor: str, waiting: Sequence[str] = ()) -> Findings:
    """What our code costs beside its peers', and at the largest size.

    Parameters
    ----------
    table, grown : as `benchmarks.results.benchmarks` and `benchmarks.results.growth`
    floor : the work that no pass over the weights can beat
    waiting : comparisons that were not measured yet, in words
    """
    largest = grown[grown.weights == grown.weights.max()].set_index("work")
    somewhere = table.groupby("work", sort=False).reached.any()
    missed = list(somewhere.index[~somewhere])
    return _plain(
        {
            "reached": listed(
                f"{rows.reached.sum()} of {len(rows)} on {machine}"
                for machine, rows in table.groupby("machine", sort=False)
            ),
            "missed": f"Reached on none of the machines: {listed(missed)}"
            if missed
            else "Each goal is reached on one of the machines at least",
            "waiting": "; ".join(waiting) or "none",
            "threads": table.threads.iloc[0],
            "grown_on": grown.device.iloc[0],
            "most_million": grown.weights.max() / 1e6,
            "slowest": str(largest.seconds.idxmax()),
            "slowest_s": largest.seconds.max(),
            "largest_gb": largest.peak_mb.max() / 1e3,
            "copy_gb_s": 8e-9 * grown.weights.max() / largest.seconds[floor],
            "from_memory": largest.seconds.max() / largest.seconds[floor],
        }
    )


def _plain(found: Mapping[str, Any]) -> Findings:
    """NumPy's and torch's scalars as plain numbers: the prose formats their printed form."""
    return {
        name: value if isinstance(value, str) else int(value) if isinstance(value, Integral) else float(value)
        for name, value in found.items()
    }
