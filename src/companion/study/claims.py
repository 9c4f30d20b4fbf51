"""The claims ledger: what the slides say, what this repository measures, and who measures it.

Each claim is a small function that returns its `Verdict`; the frame that the page shows is the frame that the
tests check. No number of ours is typed here: the slides' are, as quotations.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch

from companion.study.energies import cells_only, crossbar_ceiling, energies
from companion.study.grouping import over_seeds, recipe_names
from companion.study.index_costs import index_prices, network_index_bits
from companion.study.machines import whole_machine
from companion.study.names import listed
from companion.study.results import load_results, starting_from
from companion.study.zoo import build_model
from twofold import LFSR, Polynomial, load_cell_table
from twofold.codes.tables import load_operation_energies
from twofold.energy.index import load_lig_cells
from twofold.layer import weight_layers
from twofold.masks import lfsr_mask, random_mask
from twofold.masks.generator import layer_generator
from twofold.masks.measures import numerical_rank
from twofold.sparsity import network_term

__all__ = [
    "CLAIMS",
    "EXAMPLE_MASK",
    "EXAMPLE_WEIGHTS",
    "GROUPS",
    "Claim",
    "Group",
    "Sign",
    "Verdict",
    "ledger",
]


Group = Literal["results", "method", "hardware", "slips"]
"""What a claim is about."""


GROUPS: tuple[Group, ...] = ("results", "method", "hardware", "slips")
"""Sorted by importance: first what decides whether to build on the paper, slips of the pen last."""


Sign = Literal["holds", "holds if", "does not hold", "open"]
"""Whether a claim holds; "open" where nothing that we have can decide it."""


GAIN_EXPERIMENTS = ("joint",)
"""Experiments of the plan whose recipes show the claimed gains: the talk's own order."""


ORDER_EXPERIMENTS = ("talk", "joint")
"""Experiments that train with both penalties, prune, and train on: the talk's own order."""


EXAMPLE_WEIGHTS = torch.tensor(
    [[4.2, 0.3, 0.1, 2.8], [3.1, 0.02, 0.05, 0.12], [0.06, 2.3, 0.03, 3.6], [0.1, 0.01, 1.9, 0.02]]
)
"""The weights of the slides' worked example ("Method: Twofold Sparsity")."""


EXAMPLE_MASK = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
"""Its mask M; 1 = kept."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    ours : our number, in the claim's unit; None where there is none
    sign : whether the claim holds
    condition : of "holds if", what must be so; otherwise what a reader should know beside the sign
    finding : what was measured, in a sentence or three
    """

    ours: float | None
    sign: Sign
    condition: str
    finding: str


@dataclass(frozen=True)
class Claim:
    """One claim of the slides.

    Attributes
    ----------
    says : what the slides say, in words
    group : what it is about
    where : title of the slide
    value, unit : the slides' number, if they give one, and the unit of both numbers
    chapter : page of the book that shows it, a file below ``book/``
    measure : returns the verdict
    """

    says: str
    group: Group
    where: str
    value: float | None
    unit: str
    chapter: str
    measure: Callable[[], Verdict]


def ledger() -> pd.DataFrame:
    """A row a claim, the most important first.

    Columns: ``claim``, ``group``, ``slide``, ``they_say``, ``we_measure``, ``unit``, ``difference``,
    ``sign``, ``condition``, ``chapter``, ``finding``, ``measured_by``. ``difference`` is
    (ours - theirs) / theirs; empty where either has no number.
    """
    rows = []
    for claim in CLAIMS:
        found = claim.measure()
        rows.append(
            {
                "claim": claim.says,
                "group": claim.group,
                "slide": claim.where,
                "they_say": claim.value,
                "we_measure": found.ours,
                "unit": claim.unit,
                # No ratio to a claimed 0.
                "difference": found.ours / claim.value - 1
                if found.ours is not None and claim.value
                else None,
                "sign": found.sign,
                "condition": found.condition,
                "chapter": claim.chapter,
                "finding": found.finding,
                "measured_by": f"{claim.measure.__module__}.{claim.measure.__name__}",
            }
        )
    return pd.DataFrame(rows)


# ---- the results ----


def gain_at_ten() -> Verdict:
    return _gain_at(0.1, 2.2)


def gain_at_ninety() -> Verdict:
    return _gain_at(0.9, 14.0)


def _gain_at(sparsity: float, claimed: float) -> Verdict:
    """The gain in packed cells of the recipe most accurate at a sparsity; with the index, with all paid."""
    runs = starting_from(load_results())
    dense = runs[(runs.method == "dense-8bit") & (runs.distillation == 0)]
    own = runs[(runs.method == "twofold") & (runs.polarity == "removed")]
    own = _most_accurate(
        own[own.experiment.isin(GAIN_EXPERIMENTS) & own.sparsity.sub(sparsity).abs().lt(1e-9)]
    )
    packed, crossbar = (energies(own, cells_only(dataflow)) for dataflow in ("packed", "crossbar"))
    indexed = energies(own, replace(cells_only("packed"), index_rule="charged")).gain.mean()
    whole = energies(own, whole_machine("slides", "crossbar"))
    gain, accuracy = float(packed.gain.mean()), own.test_accuracy_w8a8.mean()
    paid = "cells and index" if indexed >= claimed else "cells"
    lost = dense.test_accuracy_w8a8.mean() - accuracy
    return Verdict(
        gain,
        "holds if" if gain >= claimed else "does not hold",
        f"only {paid} are paid, and removed weights are not stored; it costs {lost:.1f} points of accuracy"
        if gain >= claimed
        else "not even in cells alone",
        f"{own.label.iloc[0]}: {accuracy:.1f} % with 8-bit inputs, mean over the seeds ({len(own)}); packed, "
        "cells and signs, with an index that costs nothing, over dense 8 bits; with the index paid "
        f"{indexed:.2f}x. Stored in a crossbar {crossbar.gain.mean():.2f}x; there with converters and inputs "
        f"paid, too, {whole.gain.mean():.2f}x.",
    )


def _most_accurate(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, a row a seed, of the recipe with the highest mean accuracy."""
    means = over_seeds(runs)
    return runs[recipe_names(runs) == means.run[means.test_accuracy.idxmax()]]


def zero_cells_cap_the_gain() -> Verdict:
    ceiling = crossbar_ceiling(cells_only("crossbar"), "dense-b8-s1")
    return Verdict(
        ceiling,
        "holds if",
        f"they are not stored: as cells of 00 they end any gain of 8 bits at {ceiling:.1f}x",
        "The dense 8-bit net over a crossbar of nothing but zeros with the same inputs, signs included: with "
        "pruned weights stored as 00 cells, no network of 8 bits with those inputs can save more.",
    )


def before_post_training() -> Verdict:
    # As meant: the term as printed empties the weights that stay, and says nothing of post-training.
    runs = load_results()
    tried = runs[(runs.experiment == "joint-tuning") & (runs.procedure == "joint")]
    weaker = tried[tried.accuracy_before_pruning > tried.test_accuracy]
    meant = _in_the_slides_order("removed")
    best = pd.concat([_most_accurate(own) for _, own in meant.groupby("sparsity")])
    best = best.assign(change=best.accuracy_before_pruning - best.test_accuracy)
    change = best.groupby("sparsity").change.mean()
    higher = change > 0
    told = listed([f"{points:+.1f} with {100 * share:.0f} % removed" for share, points in change.items()])
    at = listed([f"{100 * share:.0f}" for share in change.index[higher]])
    accuracy = best.groupby("sparsity").test_accuracy.mean().map("{:.1f} %".format)
    if higher.any():
        condition = f"{at} % are removed, in networks that end at {listed(accuracy[higher])} accuracy"
    elif len(weaker):
        pulls = listed([f"{pull:g}" for pull in sorted(weaker.network_strength.unique())])
        condition = (
            f"the penalty on weights pulls more weakly than the one chosen: λ = {pulls} (held-out images). "
            "As chosen, nothing is lost by pruning, and the end is higher"
        )
    else:
        condition = f"in networks that end at {listed(accuracy)} accuracy"
    # A mean over the shares would hide that they can have different signs.
    return Verdict(
        float(change.get(0.5, change.iloc[0])),
        "holds" if higher.all() else "holds if" if higher.any() or len(weaker) else "does not hold",
        condition,
        f"Accuracy before pruning less the accuracy at the end, in points: {told}; the ledger shows that of "
        "half removed, or else the first. Of the networks that were trained with both penalties, pruned and "
        f"trained on, the most accurate: {'; '.join(best.label.unique())}. Before pruning they had half of "
        "their epochs, so a part of what they win is longer training. "
        + " ".join(
            f"On held-out images with λ = {run.network_strength:g}: {run.accuracy_before_pruning:.1f} % "
            f"before, {run.accuracy_after_pruning:.1f} % after pruning, {run.test_accuracy:.1f} % at the end."
            for run in weaker.itertuples()
        ),
    )


def _in_the_slides_order(polarity: str) -> pd.DataFrame:
    """The runs that trained with both penalties, pruned and trained on."""
    runs = starting_from(load_results())
    joint = runs.experiment.isin(ORDER_EXPERIMENTS) & (runs.procedure == "joint")
    return runs[joint & (runs.method == "twofold") & (runs.polarity == polarity)]


def gain_of_the_paper() -> Verdict:
    return Verdict(
        None,
        "open",
        "the abstract does not name its baselines",
        "Without its baselines there is nothing to reproduce, and we had no access to the full text.",
    )


# ---- the method ----


def address_storage() -> Verdict:
    bits = network_index_bits("resnet20", 0.5, [1, 64])
    alone, shared = bits.iloc[0], bits.iloc[1]
    return Verdict(
        float(alone.generated),
        "holds",
        f"taps, seeds and counters; stored, the index takes {alone.stored:,} bits",
        "Bits of taps, seeds and counters for all of ResNet-20 at 50 %, each layer with a register of its "
        f"own; rejection needs nothing else. The cheapest stored index ({alone.scheme}) takes "
        f"{alone.stored:,}, and {shared.stored:,} where all columns of a layer share their rows.",
    )


def rank_of_masks() -> Verdict:
    worst = 1.0
    for index, layer in enumerate(weight_layers(build_model("resnet20")).values()):
        shape = tuple(layer.weight.shape)
        ours = numerical_rank(layer_generator("rejection", shape, index).draw(shape, 0.5).matrix)
        chance = numerical_rank(random_mask(shape, 0.5, seed=index).matrix)
        worst = min(worst, ours / chance)
    preserved = worst >= 0.99
    return Verdict(
        worst,
        "holds" if preserved else "does not hold",
        "as it does for any random mask" if preserved else "a random mask has the higher rank",
        "Lowest ratio of a layer's LFSR mask to the rank of an independently drawn one, ResNet-20 at 50 %.",
    )


def printed_polarity() -> Verdict:
    printed = network_term([EXAMPLE_WEIGHTS], [EXAMPLE_MASK], "printed") ** 2
    removed = network_term([EXAMPLE_WEIGHTS], [EXAMPLE_MASK], "removed") ** 2
    share = float(printed / (printed + removed))
    pruned = _in_the_slides_order("printed").accuracy_after_pruning
    return Verdict(
        100 * share,
        "does not hold",
        f"as printed it empties the weights that stay ({pruned.max():.1f} % accuracy once pruned); "
        "(1 - M) * W is meant",
        "This share of the example's squared weight lies under M = 1, which the printed term would punish; "
        "the slides' own result keeps exactly those entries. We punish (1 - M) * W. Networks that were "
        f"trained as printed have {pruned.max():.1f} % accuracy at most once they are pruned.",
    )


def bits_vanish() -> Verdict:
    runs = load_results()
    per_weight = runs.cell_energy_j / runs.kept_weights
    ours = (runs.experiment == "joint") & (runs.sparsity == 0.5)
    alike = (runs.network == "resnet20") & (runs.sparsity == 0.5) & (runs.group == 1) & ~runs.held_out
    alone = alike & (runs.method == "lfsr") & (runs.generator == "rejection")
    saved = per_weight[alone].mean() / per_weight[ours].mean()
    tried = runs[(runs.experiment == "bit-terms-tuning") & (runs.penalty_ramp > 0)]
    told = "; ".join(
        f"{run.bit_term}, β = {run.strength:g}{', their own rate' * (run.plane_rate > 0)}: "
        f"{run.test_accuracy:.1f} % at "
        f"{1e12 * per_weight[run.Index]:.2f} pJ"
        for run in tried.sort_values(["bit_term", "strength"]).itertuples()
    )
    return Verdict(
        float(saved),
        "holds if",
        "each weight chooses its code by error and number of ones together; as a penalty on planes that are "
        "trained, mild strengths move little and strong ones empty layers",
        "Cell energy of a kept weight under the mask alone over that in the talk's own order with counted "
        f"ones, half of the weights removed, {runs[ours].test_accuracy.mean():.1f} % of the test images "
        f"where the mask alone has {runs[alone].test_accuracy.mean():.1f}. As penalties, on held-out images "
        f"(accuracy at the cells' energy of a weight): {told}.",
    )


def example_polynomial() -> Verdict:
    polynomial = Polynomial.parse("x^9+x^4+1")
    primitive = polynomial.is_primitive()
    return Verdict(
        float(polynomial.order()),
        "holds" if primitive else "does not hold",
        "primitive" if primitive else "not primitive",
        "The register runs through all states but 0 before it repeats."
        if primitive
        else "The register repeats before it has run through its states.",
    )


# ---- the hardware ----


def energy_of_no_addresses() -> Verdict:
    """Joules of one index, generated, beside what the cheapest stored one costs to read."""
    pj = 1e12 * index_prices(LARGEST, [0.1, 0.5], [1]).pivot(index="way", columns="density", values="index_j")
    generated, stored, far = pj.loc["rejection"], pj.loc["SRAM"], pj.loc["DRAM"]
    cheaper = generated < stored
    beside = f"{stored[0.1]:.2f} pJ stored in SRAM with 10 % kept, {stored[0.5]:.2f} with 50 %"
    sign, condition = (
        ("holds", beside)
        if cheaper.all()
        else ("holds if", f"few weights are kept: {beside}")
        if cheaper[0.1]
        else ("holds if", f"the stored index lies in DRAM: {beside}")
        if (generated < far).all()
        else ("does not hold", beside)
    )
    return Verdict(
        float(generated[0.5]),
        sign,
        condition,
        f"One index of the largest layer by rejection, at any density ({pj[0.5]['counter']:.2f} by the "
        f"kernel counter, {pj[0.5]['multiply-shift']:.1f} with a memory that recognizes repeats). Reading a "
        f"stored one from SRAM takes {stored[0.5]:.2f} pJ with half of the weights kept, {stored[0.1]:.2f} "
        f"with 10 %; from DRAM {far[0.5]:.0f} and {far[0.1]:.0f}.",
    )


LARGEST = (64, 64, 3, 3)
"""The largest layer of ResNet-20."""


def easy_in_hardware() -> Verdict:
    """Gate equivalents of the slides' example; "1. LFSRs can be easily be implemented in hardware"."""
    cells = load_lig_cells()
    example = cells[(cells.degree == 9) & (cells["size"] == 300)]
    ours = example[example.block == "lig_rejection"].iloc[0]
    repeats = example[(example.reduction == "multiply-shift") & (example.dedup == 1)].iloc[0]
    return Verdict(
        float(ours.gate_equivalents),
        "holds",
        f"by rejection; where positions repeat, {repeats.gate_equivalents:.0f} gates and "
        f"{repeats.scratch_bits:.0f} bits of memory",
        "Gate equivalents (NAND2) of the slides' example, by Yosys, by rejection; where positions repeat, "
        f"{repeats.gate_equivalents:.0f} and {repeats.scratch_bits:.0f} bits of scratch memory.",
    )


def clocks_of_an_index() -> Verdict:
    size, polynomial = 300, "x^9+x^4+1"
    by_rejection, repeating, nearly_all = (
        lfsr_mask((size,), density, polynomial, reduction=reduction)
        for reduction, density in (("rejection", 0.5), ("multiply-shift", 0.5), ("multiply-shift", 0.9))
    )
    register = LFSR(polynomial, 1)
    handed = np.flatnonzero(register.states(register.period) <= size)
    return Verdict(
        by_rejection.clocks / by_rejection.kept,
        "holds if",
        f"the array can wait: under two clocks an index on average, up to {np.diff(handed).max()} for one",
        f"M = {size}: by rejection, position = state - 1, no position repeats, and about as many clocks "
        f"an index go by at any density. By multiply-shift positions repeat: "
        f"{repeating.clocks / repeating.kept:.2f} clocks with half of them kept, "
        f"{nearly_all.clocks / nearly_all.kept:.2f} with 90 %, and a memory that recognizes them.",
    )


def macro_energy() -> Verdict:
    cheapest_j = load_cell_table().energy_j[0]
    macro_j = 1 / 118.44e12
    return Verdict(
        cheapest_j / macro_j,
        "open",
        "the slides do not say how their table was measured",
        "Cheapest table entry over the cited macro's energy for one operation at its peak of 118.44 TOPS/W.",
    )


# ---- slips of the pen ----


def multiply_energy() -> Verdict:
    table = load_operation_energies().set_index("operation").energy_j * 1e12
    floating, whole = float(table["32-bit float MULT"]), float(table["32-bit int MULT"])
    return Verdict(
        floating,
        "does not hold",
        f"{whole:g} pJ is the integer product",
        f"The cited table has {whole:g} pJ for the integer MULT, and {floating:g} pJ for the float one.",
    )


def memory_over_add() -> Verdict:
    table = load_operation_energies().set_index("operation").energy_j
    ratio = float(table["32-bit DRAM memory"] / table["32-bit float ADD"])
    return Verdict(
        ratio,
        "holds if",
        "it is read as an order of magnitude",
        "The cited table gives this ratio to a float ADD; the thousand is a round number.",
    )


def most_expensive_over_cheapest_cell() -> Verdict:
    energy_j = load_cell_table().energy_j
    return Verdict(
        energy_j[3] / energy_j[0],
        "holds if",
        "it is read as rounded",
        "The ratio of the slides' own two entries.",
    )


def decimal_truncation() -> Verdict:
    weight, limit = 0.34, 127
    return Verdict(
        round(weight * limit) / limit,
        "does not hold",
        "an illustration; cutting decimals is no quantizer",
        "Eight bits at scale 1 keep this value.",
    )


def venue() -> Verdict:
    return Verdict(
        None,
        "does not hold",
        "it appeared in IEEE Access, in 2024",
        "The slides are older than the paper; the bibliography has the reference.",
    )


_LIG = "LFSR Indexing Generator (LIG) Block"
_METHOD = "Method: Twofold Sparsity"
_EDGE = "AI at the Edge: Challenges"
_CELLS = "Motivation: 2bit/cell CIM"

CLAIMS = (
    Claim("gain at 90 % sparsity", "results", "abstract of the talk", 14.0, "x", "06-energy", gain_at_ninety),
    Claim("gain at 10 % sparsity", "results", "abstract of the talk", 2.2, "x", "06-energy", gain_at_ten),
    Claim(
        "pruned weights save energy",
        "results",
        "Result: Energy",
        None,
        "x at most",
        "06-energy",
        zero_cells_cap_the_gain,
    ),
    Claim(
        "accuracy before post training is slightly higher",
        "results",
        "Result: Accuracy",
        None,
        "points",
        "05-accuracy",
        before_post_training,
    ),
    Claim(
        'gain "compared to baselines", up to',
        "results",
        "abstract of the paper",
        4.35,
        "x",
        "bibliography",
        gain_of_the_paper,
    ),
    Claim("no need to store addresses", "method", _LIG, 0.0, "bits", "02-lfsr", address_storage),
    Claim("preserves the rank", "method", _LIG, 1.0, "x", "02-lfsr", rank_of_masks),
    Claim("the loss makes bits vanish", "method", _METHOD, None, "x a weight", "04-training", bits_vanish),
    Claim("penalize W * M", "method", _METHOD, None, "% on kept weights", "04-training", printed_polarity),
    Claim("X^9 + X^4 + 1 as generator", "method", _LIG, 511.0, "states", "02-lfsr", example_polynomial),
    Claim(
        "no index to read saves energy",
        "hardware",
        _LIG,
        None,
        "pJ an index",
        "08-lig",
        energy_of_no_addresses,
    ),
    Claim("easily implemented", "hardware", _LIG, None, "gates", "08-lig", easy_in_hardware),
    Claim(
        "real-time address generator", "hardware", _LIG, None, "clocks an index", "08-lig", clocks_of_an_index
    ),
    Claim(
        "cell energies cite a 118 TOPS/W macro",
        "hardware",
        _CELLS,
        None,
        "x the macro's energy an operation",
        "01-motivation",
        macro_energy,
    ),
    Claim("32-bit float MULT", "slips", _EDGE, 3.1, "pJ", "01-motivation", multiply_energy),
    Claim("1 DRAM access = 1000 ADDs", "slips", _EDGE, 1000.0, "x", "01-motivation", memory_over_add),
    Claim("E11 = 20 x E00", "slips", _CELLS, 20.0, "x", "01-motivation", most_expensive_over_cheapest_cell),
    Claim("0.34 becomes 0.3", "slips", _METHOD, 0.3, "", "03-bits", decimal_truncation),
    Claim(
        "published in IEEE TCAS-I",
        "slips",
        "DNN compression: Bit and Network-level Sparsity",
        None,
        "",
        "bibliography",
        venue,
    ),
)
"""Sorted by importance, group by group."""
