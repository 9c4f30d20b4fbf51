"""The claims ledger: what the slides say, what this repository measures, and who measures it.

Each claim is a small function that returns the measured number and its verdict; the frame that the page
shows is the frame that the tests check. No number of ours is typed here: the slides' are, as quotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch

from companion.study.energies import cells_only, crossbar_ceiling, energies
from companion.study.index_costs import index_prices, network_index_bits
from companion.study.machines import whole_machine
from companion.study.results import load_results
from companion.study.zoo import build_model
from twofold import Polynomial, load_cell_table
from twofold.codes.tables import load_operation_energies
from twofold.energy.index import load_lig_cells
from twofold.layer import weight_layers
from twofold.masks import lfsr_mask, random_mask
from twofold.masks.generator import layer_generator
from twofold.masks.measures import numerical_rank
from twofold.sparsity import network_term

__all__ = ["EXAMPLE_MASK", "EXAMPLE_WEIGHTS", "Claim", "easy_in_hardware", "energy_of_no_addresses", "ledger"]


EXAMPLE_WEIGHTS = torch.tensor(
    [[4.2, 0.3, 0.1, 2.8], [3.1, 0.02, 0.05, 0.12], [0.06, 2.3, 0.03, 3.6], [0.1, 0.01, 1.9, 0.02]]
)
"""The weights of the slides' worked example ("Method: Twofold Sparsity")."""


EXAMPLE_MASK = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
"""Its mask M; 1 = kept."""


@dataclass(frozen=True)
class Claim:
    """One claim of the slides.

    Attributes
    ----------
    says : what the slides say, in words
    where : title of the slide
    value, unit : the slides' number, if they give one
    measure : returns (our number or None, verdict, one sentence)
    """

    says: str
    where: str
    value: float | None
    unit: str
    measure: Callable[[], tuple[float | None, str, str]]


def ledger() -> pd.DataFrame:
    """A row a claim, in the order of the slides.

    Columns: ``claim``, ``slide``, ``they_say``, ``we_measure``, ``unit``, ``difference``, ``verdict``,
    ``finding``, ``measured_by``. ``difference`` is (ours - theirs) / theirs; empty where either has
    no number.
    """
    rows = []
    for claim in CLAIMS:
        ours, verdict, finding = claim.measure()
        rows.append(
            {
                "claim": claim.says,
                "slide": claim.where,
                "they_say": claim.value,
                "we_measure": ours,
                "unit": claim.unit,
                # No ratio to a claimed 0.
                "difference": ours / claim.value - 1 if ours is not None and claim.value else None,
                "verdict": verdict,
                "finding": finding,
                "measured_by": f"{claim.measure.__module__}.{claim.measure.__name__}",
            }
        )
    return pd.DataFrame(rows)


def dram_over_add():
    table = load_operation_energies().set_index("operation").energy_j
    ratio = float(table["32-bit DRAM memory"] / table["32-bit float ADD"])
    return (
        ratio,
        "rounded up",
        "The cited table gives this ratio to a float ADD; the thousand is a round number.",
    )


def multiply_energy():
    table = load_operation_energies().set_index("operation").energy_j * 1e12
    floating, whole = float(table["32-bit float MULT"]), float(table["32-bit int MULT"])
    return floating, "wrong", f"{whole:g} pJ is the integer MULT of the cited table."


def dearest_over_cheapest_cell():
    energy_j = load_cell_table().energy_j
    return energy_j[3] / energy_j[0], "rounded up", "The ratio of the slides' own two entries."


def printed_polarity():
    printed = network_term([EXAMPLE_WEIGHTS], [EXAMPLE_MASK], "printed") ** 2
    removed = network_term([EXAMPLE_WEIGHTS], [EXAMPLE_MASK], "removed") ** 2
    share = float(printed / (printed + removed))
    pruned = _in_the_slides_order("printed").accuracy_after_pruning
    return (
        100 * share,
        "misprint",
        "This share of the example's squared weight lies under M = 1, which the printed term would punish; "
        "the slides' own result keeps exactly those entries. We punish (1 - M) * W. Networks that were "
        f"trained as printed have {pruned.max():.1f} % accuracy at most once they are pruned.",
    )


def decimal_truncation():
    weight, limit = 0.34, 127
    rounded = round(weight * limit) / limit
    return rounded, "illustration", "Eight bits at scale 1 keep this value; cutting decimals is no quantizer."


def example_polynomial():
    polynomial = Polynomial.parse("x^9+x^4+1")
    verdict = "holds" if polynomial.is_primitive() else "wrong"
    return float(polynomial.order()), verdict, "Primitive: the register runs through all states but 0."


def clocks_of_an_index():
    size, polynomial = 300, "x^9+x^4+1"
    by_rejection, repeating, nearly_all = (
        lfsr_mask((size,), density, polynomial, reduction=reduction)
        for reduction, density in (("rejection", 0.5), ("multiply-shift", 0.5), ("multiply-shift", 0.9))
    )
    return (
        by_rejection.clocks / by_rejection.kept,
        "holds within two clocks",
        f"M = {size}: by rejection, position = state - 1, no index repeats, and about as many clocks "
        f"an index go by at any density. By multiply-shift indices repeat: "
        f"{repeating.clocks / repeating.kept:.2f} clocks with half of them kept, "
        f"{nearly_all.clocks / nearly_all.kept:.2f} with 90 %, and a memory that recognizes them.",
    )


def rank_of_masks():
    worst = 1.0
    for index, layer in enumerate(weight_layers(build_model("resnet20")).values()):
        shape = tuple(layer.weight.shape)
        ours = numerical_rank(layer_generator("rejection", shape, index).draw(shape, 0.5).matrix)
        chance = numerical_rank(random_mask(shape, 0.5, seed=index).matrix)
        worst = min(worst, ours / chance)
    verdict = "holds, as for any random mask" if worst >= 0.99 else "does not hold"
    return worst, verdict, "Lowest ratio of a layer's LFSR mask to an i.i.d. mask's rank, ResNet-20 at 50 %."


def address_storage():
    bits = network_index_bits("resnet20", 0.5, [1, 64])
    alone, shared = bits.iloc[0], bits.iloc[1]
    return (
        float(alone.generated),
        "holds",
        "Bits of taps, seeds and counters for all of ResNet-20 at 50 %, each layer with a register of its "
        f"own; rejection needs nothing else. The cheapest stored index ({alone.scheme}) takes "
        f"{alone.stored:,}, and {shared.stored:,} where all columns of a layer share their rows.",
    )


def zero_cells_cap_the_gain():
    return (
        crossbar_ceiling(cells_only("crossbar"), "dense-b8-s1"),
        "omitted",
        "The dense 8-bit net over a crossbar of nothing but zeros with the same inputs, signs included: with "
        "pruned weights stored as 00 cells, no network of 8 bits with those inputs can save more.",
    )


def macro_energy():
    cheapest_j = load_cell_table().energy_j[0]
    macro_j = 1 / 118.44e12
    return (
        cheapest_j / macro_j,
        "unexplained",
        "Cheapest table entry over the cited macro's energy for one operation at its peak of 118.44 TOPS/W.",
    )


def gain_at_ninety():
    return _gain_at(0.9, 14.0)


def gain_at_ten():
    return _gain_at(0.1, 2.2)


def gain_of_the_paper():
    return (
        None,
        "open",
        "The abstract does not name its baselines, so there is nothing to reproduce yet.",
    )


def before_post_training():
    # As meant: the term as printed empties the weights that stay, and says nothing of post-training.
    meant = _in_the_slides_order("removed").set_index("sparsity")
    change = meant.accuracy_before_pruning - meant.test_accuracy
    verdict = "holds" if (change > 0).all() else "does not hold" if (change <= 0).all() else "not always"
    told = " and ".join(f"{points:+.1f} with {100 * share:.0f} % removed" for share, points in change.items())
    # A mean of both would hide that they have different signs.
    return (
        float(change.iloc[0]),
        verdict,
        f"Accuracy before pruning less the accuracy at the end, in points, with half removed; {told}.",
    )


def venue():
    return None, "superseded", "The paper appeared later, in IEEE Access (2024); see the bibliography."


def _in_the_slides_order(polarity: str) -> pd.DataFrame:
    """The runs that trained with both penalties, pruned and trained on, by sparsity."""
    runs = load_results()
    return runs[(runs.experiment == "talk") & (runs.polarity == polarity)].sort_values("sparsity")


def _gain_at(sparsity: float, claimed: float) -> tuple[float, str, str]:
    """The gain of the study's plain twofold recipe in packed cells, a mean over its seeds; and all paid."""
    runs = load_results()
    plain = runs.experiment.isin(["masks", "curve"]) & (runs.method == "twofold")
    own = runs[plain & (runs.sparsity.sub(sparsity).abs() < 1e-9)]
    packed, crossbar = (energies(own, cells_only(dataflow)) for dataflow in ("packed", "crossbar"))
    whole = energies(own, whole_machine("slides", "crossbar"))
    return (
        float(packed.gain.mean()),
        "in cells alone" if packed.gain.mean() >= claimed else "does not hold",
        f"{own.label.iloc[0]}: {own.test_accuracy.mean():.2f} %, mean over the seeds ({len(own)}); packed, "
        "cells and signs, with an index that costs nothing, over dense 8 bits. Stored in a crossbar "
        f"{crossbar.gain.mean():.2f}x; there with converters and inputs paid, too, {whole.gain.mean():.2f}x.",
    )


LARGEST = (64, 64, 3, 3)
"""The largest layer of ResNet-20."""


def easy_in_hardware() -> tuple[float, str, str]:
    """Gate equivalents of the slides' example; "1. LFSRs can be easily be implemented in hardware"."""
    cells = load_lig_cells()
    example = cells[(cells.degree == 9) & (cells["size"] == 300)]
    ours = example[example.block == "lig_rejection"].iloc[0]
    repeats = example[(example.reduction == "multiply-shift") & (example.dedup == 1)].iloc[0]
    return (
        float(ours.gate_equivalents),
        "holds",
        "Gate equivalents (NAND2) of the slides' example, by Yosys, by rejection; where indices repeat, "
        f"{repeats.gate_equivalents:.0f} and {repeats.scratch_bits:.0f} scratch bits.",
    )


def energy_of_no_addresses() -> tuple[float, str, str]:
    """Joules of one index, generated, beside what the cheapest stored one costs to read."""
    pj = 1e12 * index_prices(LARGEST, [0.1, 0.5], [1]).pivot(index="way", columns="density", values="index_j")
    generated, stored = pj.loc["rejection"], pj.loc["SRAM"]
    cheaper = generated < stored
    verdict = (
        "holds"
        if cheaper.all()
        else "holds where few are kept"
        if cheaper[0.1]
        else "holds against DRAM only"
        if (generated < pj.loc["DRAM"]).all()
        else "does not hold"
    )
    return (
        float(generated[0.5]),
        verdict,
        f"One index of the largest layer by rejection, at any density ({pj[0.5]['counter']:.2f} by the "
        f"kernel counter, {pj[0.5]['multiply-shift']:.1f} with a memory that recognizes repeats). Reading a "
        f"stored one from SRAM takes {stored[0.5]:.2f} pJ with half of the weights kept, {stored[0.1]:.2f} "
        f"with 10 %; from DRAM {pj[0.5]['DRAM']:.0f} and {pj[0.1]['DRAM']:.0f}.",
    )


CLAIMS = (
    Claim("1 DRAM access = 1000 ADDs", "AI at the Edge: Challenges", 1000.0, "x", dram_over_add),
    Claim("32-bit float MULT", "AI at the Edge: Challenges", 3.1, "pJ", multiply_energy),
    Claim("E11 = 20 x E00", "Motivation: 2bit/cell CIM", 20.0, "x", dearest_over_cheapest_cell),
    Claim("table of a 118 TOPS/W macro", "Motivation: 2bit/cell CIM", None, "x", macro_energy),
    Claim("penalize W * M", "Method: Twofold Sparsity", None, "%", printed_polarity),
    Claim("0.34 becomes 0.3", "Method: Twofold Sparsity", 0.3, "", decimal_truncation),
    Claim(
        "X^9 + X^4 + 1 as generator",
        "LFSR Indexing Generator (LIG) Block",
        511.0,
        "states",
        example_polynomial,
    ),
    Claim(
        "real-time address generator",
        "LFSR Indexing Generator (LIG) Block",
        None,
        "clocks per index",
        clocks_of_an_index,
    ),
    Claim("preserves the rank", "LFSR Indexing Generator (LIG) Block", 1.0, "x", rank_of_masks),
    Claim("no need to store addresses", "LFSR Indexing Generator (LIG) Block", 0.0, "bit", address_storage),
    Claim("an address not stored", "LFSR Indexing Generator (LIG) Block", None, "pJ", energy_of_no_addresses),
    Claim("easily implemented", "LFSR Indexing Generator (LIG) Block", None, "gates", easy_in_hardware),
    Claim(
        "accuracy before post training is slightly higher",
        "Result: Accuracy",
        None,
        "points",
        before_post_training,
    ),
    Claim("pruned weights save energy", "Result: Energy", None, "x at most", zero_cells_cap_the_gain),
    Claim("gain at 10 % sparsity", "abstract of the talk", 2.2, "x", gain_at_ten),
    Claim("gain at 90 % sparsity", "abstract of the talk", 14.0, "x", gain_at_ninety),
    Claim('gain "compared to baselines", up to', "abstract of the paper", 4.35, "x", gain_of_the_paper),
    Claim("published in IEEE TCAS-I", "DNN compression: Bit and Network-level Sparsity", None, "", venue),
)
