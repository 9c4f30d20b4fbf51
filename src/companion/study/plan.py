"""The runs of the study, by experiment, in the order in which they are made.

A run's name comes from its configuration, see `companion.study.names`. What a finished run was made with is
in its own folder; the plan says what there should be.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from companion.study.config import RunConfig
from companion.study.names import START, STARTS, TUNING_START, learning_rate, name_of

__all__ = ["EXPERIMENTS", "OWN", "PLAN", "STRENGTH", "TALKS_ORDER", "Experiment", "chosen", "experiment_of"]


@dataclass(frozen=True)
class Experiment:
    """Runs that answer a question together; their controls may belong to another experiment."""

    name: str
    question: str
    runs: tuple[RunConfig, ...]


OWN = "own"
"""What the table of results names as the experiment of a run that is not in the plan."""

STRENGTH = 125.0
"""LSB²/pJ of the energy-aware codes wherever only one strength is run; chosen on held-out images."""

SEEDS = (1, 2, 3)

# All fine-tuned runs, the controls too, have the same epochs, so that none is better for longer training. A
# run of more epochs has a control of its own.
FINE_TUNED = {"init": START, "epochs": 12, "precision": "fp32", "compiled": True}
# Hyperparameters are chosen on 5,000 training images that the network has not seen, its start included.
UNSEEN = {"init": TUNING_START, "epochs": 6, "held_out": True}
FLOAT = {"init": None, "learning_rate": 0.2}

DISTILLED = {"distillation": 0.5}
# Where magnitudes are stored the cheap codes are the small ones, and a coarser step has more weights take
# them; in two's complement it is a finer step that helps (`companion.study.rate_distortion`).
SIGNED = {"encoding": "sign_magnitude", "clip_ratio": 2.0}
ROWS = {"encoding": "signed_rows", "clip_ratio": 2.0}
CLIPPED = {"clip_ratio": 0.5}
# A sign, and a magnitude that fills one cell or two. Strengths and scales by `rate_distortion` on the float
# network and on those of the masks, before any of these runs: the least error for the energy.
ONE_CELL = {"bits": 3, "encoding": "signed_rows", "clip_ratio": 0.5}
TWO_CELLS = {"bits": 5, "encoding": "signed_rows", "clip_ratio": 0.85}
# The talk's own order: both penalties to the end of a schedule, then the masks become hard, then training
# goes on with a schedule of its own ("post-training"). It gives no strengths. On the digits a beta of 1
# hardly moves the codes, and 10 halves their energy; on bit planes a lambda of 0.01 moves nothing, and one of
# 1 empties the weights that will be removed.
TALK = {
    "bit_term": "popcount",
    "strength": 10.0,
    "network_strength": 1.0,
    "prune_epoch": 6,
    "restart_epoch": 6,
}
# A penalty at full strength from the first step tears at weights that have not yet found their places; it
# rises over as many epochs as the strength of chosen codes.
RISING = {"penalty_ramp": 0.5}
QUICK = {**RISING, "plane_rate": 1.0}
# The talk's order once more, with what a specialist would do: the number of ones is the price of a code, so
# that it has no fractions to hide in, both penalties rise over half of the first phase, and the register's
# masks never repeat.
JOINT = {"bit_term": "counts", "ramp": 0.25, "penalty_ramp": 0.25}
# The second edition's runs; held-out images show that bf16 costs nothing.
BF16 = {"precision": "bf16"}
# oneDNN's depthwise convolutions are twice as fast in fp32.
DEPTHWISE = {"network": "mobilenet", "init": STARTS["mobilenet"]}
# A register that steps over repeats says no index twice.
REJECTION = {"generator": "rejection", **BF16}
# The columns of a layer share their kept rows: all of them, or as many as cost nothing at 90 % on held-out
# images (76.0 %, where 8 have 73.3, 16 have 70.0, and no sharing 75.5).
ALL_COLUMNS = 64
SOME_COLUMNS = 4
COLUMN = {"generator": "column", **BF16}


def _run(method: str, removed: int = 0, seed: int = 1, **values: Any) -> RunConfig:
    """A fine-tuned run of ``removed`` percent, but for ``values``; its name is what the grammar says."""
    sparsity = removed / 100
    shared = {"learning_rate": learning_rate(sparsity), "sparsity": sparsity, **FINE_TUNED}
    config = RunConfig(run="unnamed", method=method, seed=seed, **shared | values)
    return config.replaced(run=name_of(config))


def _tiny(method: str, removed: int = 0, seed: int = 1, width: int = 1, **values: Any) -> RunConfig:
    """A fine-tuned run of MLPerf Tiny's ResNet-8, as wide again as ``width`` says."""
    network = "resnet8" if width == 1 else f"resnet8-w{width}"
    return _masked(method, removed, seed, network=network, init=STARTS[network], **BF16 | values)


def _masked(method: str, removed: int, seed: int = 1, **values: Any) -> RunConfig:
    """The same with the study's strength where the method has a bit term."""
    strength = {"strength": STRENGTH} if method in ("twofold", "magnitude-bits") else {}
    return _run(method, removed, seed, **strength | values)


EXPERIMENTS = (
    Experiment(
        "tuning",
        "Which learning rate, at 50 and at 90 %, and which strength of the bit term do best on images that "
        "no network has seen?",
        (
            _run("dense", **FLOAT, epochs=20, held_out=True),
            *(
                _run("lfsr", removed, **UNSEEN, learning_rate=rate)
                for removed, rates in ((50, (0.02, 0.05, 0.1)), (90, (0.02, 0.05, 0.1, 0.2)))
                for rate in rates
            ),
            *(_run("twofold", 50, **UNSEEN, strength=mu) for mu in (125.0, 250.0)),
            _run("lfsr", 50, **UNSEEN, precision="bf16"),
        ),
    ),
    Experiment(
        "levers-tuning",
        "What do more strength, a finer step, distillation and another encoding promise on held-out images?",
        (
            _run("twofold", 50, **UNSEEN, strength=500.0),
            _run("twofold", 50, **UNSEEN, strength=2000.0, **CLIPPED),
            _run("twofold", 50, **UNSEEN, strength=500.0, **DISTILLED),
            _run("twofold", 50, **UNSEEN, strength=150.0, **SIGNED, **DISTILLED),
            _run("lfsr", 50, **UNSEEN, **DISTILLED),
        ),
    ),
    Experiment(
        "baseline",
        "How good is the float network, and how good are 8 bits with nothing removed, the baseline of gains?",
        (
            _run("dense", **FLOAT, epochs=60),
            *(_run("dense-8bit", seed=seed) for seed in SEEDS),
        ),
    ),
    Experiment(
        "masks",
        "What do masks cost, with cheap codes and without: the register's choice beside magnitude's?",
        tuple(
            _masked(method, removed, seed)
            for seed in SEEDS
            for removed in (50, 90)
            for method in ("lfsr", "magnitude", "twofold", "magnitude-bits")
        ),
    ),
    Experiment(
        "levers",
        "What do a stronger bit term, and a finer step with distillation, add in two's complement?",
        (
            _run("twofold", 50, strength=500.0),
            _run("bits", strength=1100.0, **CLIPPED, **DISTILLED),
        ),
    ),
    Experiment(
        "signed-rows",
        "What do codes gain whose sign is the row's and whose cells hold the magnitude alone?",
        (
            *(_run("twofold", p, strength=mu, **ROWS) for p, mu in ((50, 400.0), (90, 200.0))),
            *(
                _run("twofold", p, seed, strength=mu, **ROWS)
                for seed in SEEDS
                for p, mu in ((50, 80.0), (90, 60.0))
            ),
        ),
    ),
    Experiment(
        "distillation",
        "Does it help to learn from the float network's answers, the controls too?",
        (
            _run("dense-8bit", **DISTILLED),
            _run("lfsr", 50, **DISTILLED),
            _run("twofold", 50, strength=800.0, **ROWS, **DISTILLED),
            _run("bits", strength=1000.0, **DISTILLED),
            _run("lfsr", 90, **DISTILLED),
            _run("twofold", 90, strength=60.0, **ROWS, **DISTILLED),
        ),
    ),
    Experiment(
        "longer",
        "Do twice the epochs close the gap at 90 %?",
        (
            _run("lfsr", 90, epochs=24),
            _run("twofold", 90, epochs=24, strength=60.0, **ROWS),
        ),
    ),
    Experiment(
        "fewer-bits",
        "Are magnitudes in one cell or two instead of four the simpler way, with a bit term and without?",
        (
            _run("twofold", 90, strength=1.0, **TWO_CELLS),
            _run("lfsr", 90, **TWO_CELLS),
            _run("rounded", **ONE_CELL),
            _run("bits", strength=0.8, **ONE_CELL),
            _run("twofold", 50, strength=0.8, **ONE_CELL),
            _run("lfsr", 50, **ONE_CELL),
            _run("bits", strength=2.0, **TWO_CELLS),
            _run("twofold", 50, strength=1.0, **TWO_CELLS),
            # What every other lever is measured against deserves more than one seed.
            *(_run("rounded", seed=seed, **ONE_CELL) for seed in SEEDS[1:]),
        ),
    ),
    Experiment(
        "bits",
        "How does accuracy fall with the strength of a bit term, for each of them, with nothing removed?",
        (
            *(_run("bits", strength=mu) for mu in (60.0, 125.0, 250.0, 500.0, 1000.0)),
            *(_run("bits", bit_term="popcount", strength=beta) for beta in (1.0, 10.0)),
            *(_run("bits", bit_term="planes", strength=beta) for beta in (0.1, 1.0)),
            *(_run("bits", bit_term="counts", strength=beta) for beta in (60.0, 20.0, 150.0)),
        ),
    ),
    Experiment(
        "curve",
        "What lies between and beyond 50 and 90 % removed?",
        tuple(
            _masked(method, removed)
            for removed in (10, 30, 70, 80, 95)
            for method in ("lfsr", "twofold", "magnitude")
        ),
    ),
    Experiment(
        "density-rule",
        "Does it help at 90 % to spare the small layers?",
        tuple(_masked(method, 90, density_rule="erk") for method in ("lfsr", "twofold")),
    ),
    Experiment(
        "talk",
        "What does the talk's own order do, with the network term as meant and as printed?",
        tuple(
            _run("twofold", removed, polarity=polarity, **TALK)
            for removed in (50, 90)
            for polarity in ("removed", "printed")
        ),
    ),
    Experiment(
        "chance",
        "Is the register as good as chance?",
        tuple(_masked("iid", removed, seed) for seed in SEEDS for removed in (50, 90)),
    ),
    Experiment(
        "generators",
        "What changes with an index generator that never repeats?",
        (
            *(
                config
                for seed in SEEDS
                for removed, mu in ((50, 80.0), (90, 60.0))
                for config in (
                    _run("lfsr", removed, seed, **REJECTION),
                    _run("twofold", removed, seed, strength=mu, **ROWS, **REJECTION),
                )
            ),
            *(
                config
                for removed, mu in ((70, 80.0), (80, 60.0))
                for config in (
                    _run("lfsr", removed, **REJECTION),
                    _run("twofold", removed, strength=mu, **ROWS, **REJECTION),
                )
            ),
            *(_run("lfsr", removed, **REJECTION) for removed in (10, 30)),
        ),
    ),
    Experiment(
        "shared-rows-tuning",
        "How many columns can share their rows at 90 % before held-out images notice?",
        tuple(
            _run("lfsr", 90, **UNSEEN | COLUMN | {"learning_rate": 0.1}, group=group) for group in (8, 4, 16)
        ),
    ),
    Experiment(
        "shared-rows",
        "What does it cost that columns share their rows, and what does it gain, beside rows chosen by norm?",
        (
            *(
                config
                for group in (ALL_COLUMNS, SOME_COLUMNS)
                for removed in (50, 90, 80)
                for config in (
                    _masked("lfsr", removed, group=group, **COLUMN),
                    _masked("twofold", removed, group=group, **COLUMN),
                )
            ),
            *(
                _run("twofold", removed, group=ALL_COLUMNS, strength=0.8, **ONE_CELL, **COLUMN)
                for removed in (50, 80)
            ),
            *(
                _masked(method, removed, group=SOME_COLUMNS, **BF16)
                for removed in (50, 90, 80)
                for method in ("magnitude-bits", "magnitude")
            ),
            *(
                config
                for seed in SEEDS[1:]
                for config in (
                    _masked("twofold", 50, seed, group=ALL_COLUMNS, **COLUMN),
                    _run("twofold", 50, seed, group=ALL_COLUMNS, strength=0.8, **ONE_CELL, **COLUMN),
                )
            ),
        ),
    ),
    Experiment(
        "bit-terms-tuning",
        "Between the strength at which nothing moves and that at which a layer dies: what does each reading "
        "of the talk's bit term reach on held-out images, and does it help that a penalty rises slowly?",
        (
            *(
                _run("twofold", 50, **UNSEEN | REJECTION, bit_term=term, strength=beta, **rising)
                for term, rising, strengths in (
                    ("counts", {}, (20.0, 60.0, 150.0, 5.0, 400.0)),
                    ("popcount", RISING, (2.5, 5.0, 1.5, 7.0, 10.0)),
                    ("planes", RISING, (0.3, 0.6, 0.15, 1.0, 2.0)),
                )
                for beta in strengths
            ),
            *(
                _run("twofold", 50, **UNSEEN | REJECTION, bit_term=term, strength=beta)
                for term, beta in (("popcount", 5.0), ("planes", 0.6))
            ),
            # At the weights' own rate planes move most layers by 0.03 to 0.5 of what weights would move.
            *(
                _run("twofold", 50, **UNSEEN | REJECTION | QUICK, bit_term=term, strength=beta)
                for term, beta in (("popcount", 0.25), ("popcount", 1.0), ("planes", 0.1))
            ),
        ),
    ),
    Experiment(
        "joint-tuning",
        "How strongly may the talk's two terms pull before the masks become hard, on held-out images?",
        tuple(
            _run(
                "twofold",
                50,
                **UNSEEN | JOINT | REJECTION,
                strength=beta,
                network_strength=lam,
                prune_epoch=3,
                restart_epoch=3,
            )
            for beta, lam in ((150.0, 0.1), (150.0, 0.03), (150.0, 0.3), (100.0, 0.1))
        ),
    ),
    # With a lambda of 0.1 the weights that the mask removes are gone before it does: 86.9 % at the end, where
    # 0.03 and 0.3 have 86.2 and 86.3, on held-out images. Count-aware codes alone cost 0.6 points with a beta
    # of 60 and 1.3 with 150.
    Experiment(
        "joint",
        "What does the talk's own order reach with its best reading and tuned strengths?",
        tuple(
            _run(
                "twofold",
                removed,
                seed,
                **JOINT | REJECTION,
                strength=100.0,
                network_strength=0.1,
                prune_epoch=6,
                restart_epoch=6,
            )
            for removed, seed in ((50, 1), (90, 1), (10, 1), (30, 1), (70, 1), (50, 2), (50, 3))
        ),
    ),
    Experiment(
        "mlperf-tiny-float",
        "How good is the benchmark's network in float, and twice as wide?",
        tuple(
            _run("dense", network=network, **FLOAT, **BF16, epochs=80)
            for network in ("resnet8", "resnet8-w2")
        ),
    ),
    Experiment(
        "mlperf-tiny",
        "How few joules clear the benchmark's bar of 85 %, and with which method?",
        (
            *(_tiny("dense-8bit", seed=seed) for seed in SEEDS),
            *(_tiny("bits", seed=seed, strength=STRENGTH) for seed in SEEDS),
            *(_tiny("rounded", seed=seed, **ONE_CELL) for seed in SEEDS),
            *(
                _tiny(method, removed, seed, **({} if method == "magnitude-bits" else REJECTION))
                for seed in SEEDS
                for removed in (50, 75, 90)
                for method in ("lfsr", "twofold", "magnitude-bits")
            ),
            # Half removed by the register end just below the bar.
            *(_tiny(method, 25, seed, **REJECTION) for seed in SEEDS for method in ("twofold", "lfsr")),
            # What gains most in ResNet-20: short codes on rows that all columns share, the register's or the
            # largest.
            *(
                _tiny(method, removed, seed, group=ALL_COLUMNS, **rows | ONE_CELL | {"strength": 0.8})
                for method, rows in (("twofold", COLUMN), ("magnitude-bits", {}))
                for seed in SEEDS
                for removed in (25, 50)
            ),
        ),
    ),
    Experiment(
        "width",
        "Does a mask that does not look at the weights want a wider network?",
        (
            _tiny("dense-8bit", width=2),
            *(_tiny(method, 75, width=2, **REJECTION) for method in ("lfsr", "twofold")),
            _tiny("magnitude-bits", 75, width=2),
        ),
    ),
    Experiment(
        "rival",
        "What does the chosen mask reach in the encoding that is best in packed cells?",
        tuple(
            _run("magnitude-bits", removed, strength=mu, **ROWS, **BF16)
            for removed, mu in ((50, 80.0), (90, 60.0))
        ),
    ),
    # Where all columns share, a stored index costs next to nothing, as a generated one does: little but the
    # choice of the rows differs from the networks that gain most.
    Experiment(
        "shared-rows-rival",
        "What do rows of the largest norm reach where all columns share them, with codes of one cell?",
        tuple(
            _run("magnitude-bits", removed, seed, group=ALL_COLUMNS, strength=0.8, **ONE_CELL, **BF16)
            for removed, seed in ((50, 1), (80, 1), (50, 2), (50, 3))
        ),
    ),
    # Each has the recipe of a run with one scale a layer. On the float network a scale for each channel
    # rounds 4 dB better at 8 bits, where nothing is missing, and at 3 bits 1.3 dB of 11, where clipping has
    # won most of it already. The channels of a depthwise layer differ most, and 4 bits leave its small ones
    # little.
    Experiment(
        "scales",
        "What does a scale for each output channel bring: at 8 bits, at 3, and in a depthwise network?",
        (
            _run("twofold", 50, strength=80.0, scale="channel", **ROWS, **REJECTION),
            _run("rounded", scale="channel", **ONE_CELL),
            _run("dense", network="mobilenet", **FLOAT, epochs=40),
            _run("dense-8bit", **DEPTHWISE),
            *(_run("rounded", bits=4, scale=scale, **DEPTHWISE) for scale in ("layer", "channel")),
        ),
    ),
)
"""In the order in which they are made."""

PLAN: dict[str, RunConfig] = {config.run: config for experiment in EXPERIMENTS for config in experiment.runs}
"""Name -> configuration of every run, in the same order."""

TALKS_ORDER: dict[int, str] = {
    round(100 * config.sparsity): config.run.removesuffix("-s1")
    for experiment in EXPERIMENTS
    if experiment.name == "joint"
    for config in experiment.runs
    if config.seed == 1
}
"""Percent removed -> the recipe in the talk's own order, with the strengths that were chosen."""

_EXPERIMENT = {config.run: experiment.name for experiment in EXPERIMENTS for config in experiment.runs}


def experiment_of(run: RunConfig) -> str:
    """The name of the experiment that a run belongs to; `OWN` for one that is not in the plan."""
    return _EXPERIMENT[run.run] if PLAN.get(run.run) == run else OWN


def chosen(word: str) -> RunConfig:
    """The run that a word of a command line means: a name of the plan, or a YAML file of your own.

    Raises
    ------
    ValueError
        Neither of the two, or a file that is no configuration.
    """
    if word in PLAN:
        return PLAN[word]
    path = Path(word)
    if path.is_file():
        return RunConfig.from_yaml(path)
    near = get_close_matches(word, PLAN, n=3, cutoff=0.0)
    raise ValueError(
        f"{word!r} is no file, and the plan has no run of that name; it has {', '.join(near)}, ..."
    )
