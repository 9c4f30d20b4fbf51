"""Measure the committed networks on crossbars: ``python workflow/crossbar_sweep.py``.

Writes ``data/results/crossbar.csv``, a row a point, and measures only points that are not in it: killed, the
same command goes on; after networks were trained anew, it measures them anew. What is cheap and what matters
most comes first. It needs the images of CIFAR-10.
"""

from companion.study.crossbar import Point, sweep
from twofold.codes.encodings import ENCODINGS

RUNS = [
    "dense-8bit",
    "bits-60",
    "bits-250",
    "lfsr-50",
    "twofold-50-60",
    "twofold-50-250",
    "lfsr-90",
    "twofold-90-60",
    "twofold-90-250",
    "magnitude-50",
    "magnitude-bits-50-60",
    "magnitude-90",
    "magnitude-bits-90-60",
    "plain-cnn-dense-8bit",
    "plain-cnn-twofold-50-60",
    "dense-8bit-s1",
    "lfsr-50-s1",
    "twofold-50-500-s1",
]
PAIR = ("dense-8bit", "twofold-50-250")
ADC_BITS = [8, 7, 6, 5, 4]
VARIATIONS = [0.0, 0.05, 0.1, 0.15, 0.2]
SEEDS = [0, 1, 2]
R_HRS_OHM = [1e7, 1e8]
"""Besides 1 MΩ: cells at level 0 that leak a tenth and a hundredth as much."""


def points() -> list[Point]:
    """All points, in the order in which they are measured."""
    # Without a converter the product is linear, and a point costs seconds.
    first, *others = (
        [
            Point(run=run, adc_range="none", encoding=encoding, variation=variation, seed=seed)
            for encoding in ("twos_complement", "differential")
            for variation in VARIATIONS
            if variation or not seed
            for run in RUNS
        ]
        for seed in SEEDS
    )
    tighter = [
        Point(
            run=run, adc_range="none", encoding="differential", r_hrs_ohm=r_hrs_ohm, variation=0.1, seed=seed
        )
        for seed in SEEDS
        for r_hrs_ohm in R_HRS_OHM
        for run in RUNS
    ]
    calibrated = [Point(run=run, adc_range="calibrated", adc_bits=bits) for bits in ADC_BITS for run in RUNS]
    # A network at a time, the two that chapter 7 compares first.
    in_turn = sorted(RUNS, key=lambda run: run not in PAIR)
    active_rows, worst_case = (
        [Point(run=run, adc_range=rule, adc_bits=bits) for run in in_turn for bits in ADC_BITS]
        for rule in ("active_rows", "worst_case")
    )
    both = [
        Point(run=run, adc_range="calibrated", adc_bits=7, encoding="differential", variation=v)
        for v in (0.0, 0.1)
        for run in RUNS
    ]
    encodings = [Point(run="dense-8bit", adc_range="none", encoding=e, variation=0.05) for e in ENCODINGS]
    chosen = [
        Point(run=run, adc_range="calibrated", adc_bits=bits, images=10_000)
        for bits in (8, 6)
        for run in RUNS
    ]
    return [
        *first,
        *calibrated,
        *others[0],
        *tighter,
        *active_rows,
        *others[1],
        *worst_case,
        *both,
        *encodings,
        *chosen,
    ]


if __name__ == "__main__":
    for row in sweep(points()):
        print(
            {name: row[name] for name in ("run", "adc_range", "adc_bits", "encoding", "variation", "seed")},
            end=" ",
        )
        print(f"{row['test_accuracy']:.2f} % of {row['images']} images, {row['seconds']:.0f} s", flush=True)
