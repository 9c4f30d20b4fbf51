"""Measure finished networks on crossbars: ``python -m companion.study.sweep``.

Writes ``data/results/crossbar.csv``, a row a point, and measures only points that are not in it: killed, the
same command goes on; after networks were trained anew, it measures them anew. What is cheap and what matters
most comes first. It needs the images of CIFAR-10.
"""

from collections.abc import Sequence

from companion import paths
from companion.study.crossbar import Point, sweep
from twofold.codes.encodings import ENCODINGS

__all__ = ["RUNS", "points"]


RUNS = (
    "dense-b8-s1",
    "lfsr-ms-r50-s1",
    "twofold-ms-r50-mu125-s1",
    "twofold-ms-r50-mu500-s1",
    "lfsr-ms-r90-s1",
    "twofold-ms-r90-mu125-s1",
    "bits-mu60-s1",
    "bits-mu250-s1",
    "magnitude-r50-s1",
    "magnitude-bits-r50-mu125-s1",
    "magnitude-r90-s1",
    "magnitude-bits-r90-mu125-s1",
    "lfsr-r50-s1",
    "twofold-r50-mu80-b8-rows-s1",
    "lfsr-r90-s1",
    "twofold-r90-mu60-b8-rows-s1",
)
"""What is measured, of the plan."""

PAIR = ("dense-b8-s1", "twofold-ms-r50-mu500-s1")
"""The two that chapter 9 compares first."""

ADC_BITS = (8, 7, 6, 5, 4)
VARIATIONS = (0.0, 0.05, 0.1, 0.15, 0.2)
SEEDS = (0, 1, 2)
R_HRS_OHM = (1e7, 1e8)
"""Besides 1 MΩ: cells at level 0 that leak a tenth and a hundredth as much."""

SLIDES = "rram_2bit_cell"
"""The slides' cells, whose joules are read as conductances."""

SLIDES_R_HRS_OHM = 188_608.0
"""Level 0 of the same cells where they are programmed to even levels: 1.49 pJ over .079 pJ times 10 kΩ."""


def points(runs: Sequence[str] = RUNS) -> list[Point]:
    """All points of some runs, in the order in which they are measured."""
    # Without a converter the product is linear, and a point costs seconds.
    first, *others = (
        [
            Point(run=run, adc_range="none", encoding=encoding, variation=variation, seed=seed)
            for encoding in ("twos_complement", "differential")
            for variation in VARIATIONS
            if variation or not seed
            for run in runs
        ]
        for seed in SEEDS
    )
    tighter = [
        Point(
            run=run, adc_range="none", encoding="differential", r_hrs_ohm=r_hrs_ohm, variation=0.1, seed=seed
        )
        for seed in SEEDS
        for r_hrs_ohm in R_HRS_OHM
        for run in runs
    ]
    calibrated = [Point(run=run, adc_range="calibrated", adc_bits=bits) for bits in ADC_BITS for run in runs]
    in_turn = sorted(runs, key=lambda run: run not in PAIR)  # a network at a time
    active_rows, worst_case = (
        [Point(run=run, adc_range=rule, adc_bits=bits) for run in in_turn for bits in ADC_BITS]
        for rule in ("active_rows", "worst_case")
    )
    both = [
        Point(run=run, adc_range="calibrated", adc_bits=7, encoding="differential", variation=variation)
        for variation in (0.0, 0.1)
        for run in runs
    ]
    given = [
        Point(run=run, adc_range="none", encoding=encoding, levels=SLIDES)
        for run in PAIR
        for encoding in ("twos_complement", "differential")
    ]
    same_ends = [
        Point(
            run=run,
            adc_range="none",
            encoding=encoding,
            r_hrs_ohm=SLIDES_R_HRS_OHM,
            variation=variation,
            seed=seed,
        )
        for encoding, variations in (("twos_complement", (0.0,)), ("differential", (0.0, 0.05, 0.1)))
        for variation in variations
        for seed in (SEEDS if variation else (0,))
        for run in PAIR
    ]
    encodings = [Point(run=PAIR[0], adc_range="none", encoding=e, variation=0.05) for e in ENCODINGS]
    whole = [
        Point(run=run, adc_range="calibrated", adc_bits=bits, images=10_000)
        for bits in (8, 6)
        for run in runs
    ]
    return [
        *first,
        *same_ends,
        *given,
        *calibrated,
        *others[0],
        *tighter,
        *active_rows,
        *others[1],
        *worst_case,
        *both,
        *encodings,
        *whole,
    ]


if __name__ == "__main__":
    finished = [run for run in RUNS if (paths.results_dir() / run / "codes.safetensors").is_file()]
    for row in sweep(points(finished)):
        shown = ("run", "adc_range", "adc_bits", "encoding", "variation", "seed")
        print({name: row[name] for name in shown}, end=" ")
        print(f"{row['test_accuracy']:.2f} % of {row['images']} images, {row['seconds']:.0f} s", flush=True)
