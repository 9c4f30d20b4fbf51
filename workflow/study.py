"""The runs of the study, in the order in which they are made; ``python workflow/study.py`` writes the files.

A run is one YAML file below ``workflow/configs``. By hand a hundred files would soon differ, so they come
from this list, and a test holds them equal. The first runs of this repository (`dense` and those that start
from it, without a seed in their names) are not in it: their files are their record.
"""

from pathlib import Path

import yaml

CONFIGS = Path(__file__).parent / "configs"

START = "dense-60"
"""The float network that all others start from."""
STRENGTH = 125.0
"""LSB^2/pJ of the energy-aware codes wherever only one strength is run; chosen on held-out images."""

# All fine-tuned runs, the controls too, have the same epochs, so that none is better for longer training. A
# run of more epochs has a control of its own.
FINE_TUNED = {
    "network": "resnet20",
    "dataset": "cifar10",
    "init": START,
    "epochs": 12,
    "batch_size": 128,
    "weight_decay": 5e-4,
    "precision": "fp32",  # bf16 is faster only on a CPU with AMX, and on a GPU
    "bits": 8,
    "compiled": True,  # an epoch takes a seventh less time on these cores
}


def learning_rate(sparsity: float) -> float:
    """Peak of the schedule: chosen on held-out images at 50 and 90 %, taken up to half removed and beyond."""
    return 0.05 if sparsity <= 0.5 else 0.1


def tuned(run: str, method: str, seed: int = 1, **values) -> dict:
    """One fine-tuned run."""
    rate = {"learning_rate": learning_rate(values.get("sparsity", 0.0))}
    return {"run": run, "method": method, "seed": seed} | FINE_TUNED | rate | values


def masked(method: str, percent: int, seed: int = 1, **values) -> dict:
    """One run that removes ``percent`` of the weights, with the bit term where the method has one."""
    if method in ("twofold", "magnitude-bits"):
        values = {"strength": STRENGTH, **values}
    return tuned(f"{method}-{percent}-s{seed}", method, seed, sparsity=percent / 100, **values)


SEEDS = (1, 2, 3)
FLOAT = {
    **{k: v for k, v in FINE_TUNED.items() if k not in ("init", "bits")},
    **{"run": START, "method": "dense", "seed": 1, "epochs": 60, "learning_rate": 0.2},
}
# Hyperparameters are chosen on 5,000 training images that the network has not seen, its start included.
UNSEEN = {"init": "tune-start", "epochs": 6, "held_out": True}
# The slides' own order: both penalties to the end of a schedule, then the masks become hard, then training
# goes on with a schedule of its own ("post-training").
# They give no strengths. On the digits a beta of 1 hardly moves the codes, and 10 halves their energy; on bit
# planes a lambda of 0.01 moves nothing, and one of 1 empties the weights that will be removed.
SLIDES = {
    "bit_term": "popcount",
    "strength": 10.0,
    "network_strength": 1.0,
    "prune_epoch": 6,
    "restart_epoch": 6,
}

# For the energy goals. Where magnitudes are stored the cheap codes are the small ones, and a coarser step has
# more weights take them; in two's complement it is a finer step that helps (`companion.study.rate_distortion`).
DISTILLED = {"distillation": 0.5}
SIGNED = {"encoding": "sign_magnitude", "clip_ratio": 2.0, **DISTILLED}
ROWS = {"encoding": "signed_rows", "clip_ratio": 2.0}
CLIPPED = {"clip_ratio": 0.5, **DISTILLED}
# A sign, and a magnitude that fills one cell or two. Strengths and scales by `companion.study.rate_distortion` on the
# float network and on those of the masks, before any of these runs: the least error for the energy.
ONE_CELL = {"bits": 3, "encoding": "signed_rows", "clip_ratio": 0.5}
TWO_CELLS = {"bits": 5, "encoding": "signed_rows", "clip_ratio": 0.85}

STUDY: dict[str, list[dict]] = {
    "Chosen on held-out images: the learning rate at 50 and 90 %, and the strength": [
        {**FLOAT, "run": "tune-start", "epochs": 20, "held_out": True},
        *(
            tuned(f"tune-lfsr-{percent}-{rate}", "lfsr", sparsity=percent / 100, **UNSEEN, learning_rate=rate)
            for percent, rates in ((50, (0.02, 0.05, 0.1)), (90, (0.02, 0.05, 0.1, 0.2)))
            for rate in rates
        ),
        *(
            tuned(f"tune-twofold-50-{mu}", "twofold", sparsity=0.5, strength=float(mu), **UNSEEN)
            for mu in (125, 250)
        ),
    ],
    "Tried on held-out images for the energy goals: clipped codes, distillation, another encoding": [
        tuned("tune-twofold-50-500", "twofold", sparsity=0.5, strength=500.0, **UNSEEN),
        *(
            tuned(f"tune-twofold-50-{name}", "twofold", sparsity=0.5, **UNSEEN, **values)
            for name, values in (
                ("2000-clip", {"strength": 2000.0, "clip_ratio": 0.5}),
                ("500-distilled", {"strength": 500.0, **DISTILLED}),
                ("150-signed", {"strength": 150.0, **SIGNED}),
            )
        ),
        tuned("tune-lfsr-50-distilled", "lfsr", sparsity=0.5, **UNSEEN, **DISTILLED),
    ],
    "The float network, and 8 bits with nothing removed: the baseline of every ratio": [
        FLOAT,
        *(tuned(f"dense-8bit-s{seed}", "dense-8bit", seed) for seed in SEEDS),
    ],
    "Masks with and without cheap codes at 50 and 90 %: the register's choice beside magnitude's": [
        masked(method, percent, seed)
        for seed in SEEDS
        for percent in (50, 90)
        for method in ("lfsr", "magnitude", "twofold", "magnitude-bits")
    ],
    "For the energy goals: a stronger bit term, codes of other scale and encoding, distillation": [
        tuned("twofold-50-500-s1", "twofold", sparsity=0.5, strength=500.0),
        tuned("dense-8bit-distilled-s1", "dense-8bit", **DISTILLED),
        *(
            tuned(f"twofold-{p}-{mu:g}-rows-s{s}", "twofold", s, sparsity=p / 100, strength=mu, **ROWS)
            for s, p, mu in (
                *((1, 50, 400.0), (1, 90, 200.0)),  # far beyond the goals
                *((seed, p, mu) for seed in SEEDS for p, mu in ((50, 80.0), (90, 60.0))),
            )
        ),
        tuned("lfsr-50-distilled-s1", "lfsr", sparsity=0.5, **DISTILLED),
        tuned(
            "twofold-50-800-rows-distilled-s1", "twofold", sparsity=0.5, strength=800.0, **ROWS, **DISTILLED
        ),
        tuned("bits-1100-clip-s1", "bits", strength=1100.0, **CLIPPED),
        tuned("bits-1000-distilled-s1", "bits", strength=1000.0, **DISTILLED),
    ],
    "For the energy goal at 90 %, missed so far: twice the epochs, or distillation, the control's too": [
        tuned(f"{name}-{word}-s1", method, sparsity=0.9, **values, **change)
        for word, change in (("24epochs", {"epochs": 24}), ("distilled", DISTILLED))
        for name, method, values in (
            ("lfsr-90", "lfsr", {}),
            ("twofold-90-60-rows", "twofold", {"strength": 60.0, **ROWS}),
        )
    ],
    "Fewer bits: magnitudes in one cell or two instead of four, with a bit term and without": [
        tuned("twofold-90-1-5bit-rows-s1", "twofold", sparsity=0.9, strength=1.0, **TWO_CELLS),
        tuned("lfsr-90-5bit-rows-s1", "lfsr", sparsity=0.9, **TWO_CELLS),
        tuned("rounded-3bit-rows-s1", "rounded", **ONE_CELL),
        tuned("bits-0.8-3bit-rows-s1", "bits", strength=0.8, **ONE_CELL),
        tuned("twofold-50-0.8-3bit-rows-s1", "twofold", sparsity=0.5, strength=0.8, **ONE_CELL),
        tuned("lfsr-50-3bit-rows-s1", "lfsr", sparsity=0.5, **ONE_CELL),
        tuned("bits-2-5bit-rows-s1", "bits", strength=2.0, **TWO_CELLS),
        tuned("twofold-50-1-5bit-rows-s1", "twofold", sparsity=0.5, strength=1.0, **TWO_CELLS),
    ],
    "Bits only: accuracy against strength, for three bit terms": [
        *(tuned(f"bits-{mu}-s1", "bits", strength=float(mu)) for mu in (60, 125, 250, 500, 1000)),
        *(
            tuned(f"{term}-{beta:g}-s1", "bits", bit_term=term, strength=beta)
            for term, betas in (("popcount", (1.0, 10.0)), ("planes", (0.1, 1.0)))
            for beta in betas
        ),
    ],
    "The curve between, one seed; at 90 % also with small layers spared": [
        *(
            masked(method, percent)
            for percent in (10, 30, 70, 80, 95)
            for method in ("lfsr", "twofold", "magnitude")
        ),
        *(
            tuned(f"{method}-90-erk-s1", method, sparsity=0.9, density_rule="erk", **bits)
            for method, bits in (("lfsr", {}), ("twofold", {"strength": STRENGTH}))
        ),
    ],
    "The slides' own procedure, with the network term as meant and as printed": [
        tuned(
            f"slides-{percent}-{polarity}-s1", "twofold", sparsity=percent / 100, polarity=polarity, **SLIDES
        )
        for percent in (50, 90)
        for polarity in ("removed", "printed")
    ],
    "Is the register as good as chance? Independent masks": [
        masked("iid", percent, seed) for seed in SEEDS for percent in (50, 90)
    ],
}
"""What a group of runs is for -> the runs' configurations."""

RUNS: list[dict] = [config for group in STUDY.values() for config in group]


def yaml_of(config: dict) -> str:
    """The text of a run's file."""
    purpose = next(title for title, group in STUDY.items() if config in group)
    return f"# {purpose}.\n{yaml.safe_dump(config, sort_keys=False)}"


if __name__ == "__main__":
    for config in RUNS:
        (CONFIGS / f"{config['run']}.yml").write_text(yaml_of(config), encoding="utf-8")
    print(f"{len(RUNS)} runs in {CONFIGS}")
