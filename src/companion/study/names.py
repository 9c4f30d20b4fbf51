"""What a run is called, from its configuration: a name for its folder, a label for figures and tables.

A name is a row of parts joined by ``-``, and no number stands in it without its letter:

- ``tune`` for a run on held-out images; the network where it is not ResNet-20; the method; ``scratch`` for a
  ResNet-20 that starts from no other network; ``ms`` where a register draws the mask by multiply-shift, which
  may say an index twice, ``col`` where it does column by column, ``ctr`` with a counter over the kernel
- ``g8``: neighboring columns that share their rows, where some do; ``ch``: a scale for each output channel
- ``r50``: the percentage removed
- ``mu125``: the strength of the energy-aware codes, in LSB²/pJ; ``counts-beta20``, ``popcount-beta10``,
  ``planes-beta1``: of the talk's bit terms; ``lambda1``: of its network term, ``printed`` where that pulls on
  the weights that stay, and ``p6`` for the epoch before which the masks become hard; ``ramp0.5``: the share
  of the training over which penalties rise; ``planerate1``: the learning rate of bit planes
- ``b5``: bits, where they are not 8, where the encoding is not two's complement, and for a dense network
- ``rows`` (signed rows), ``signed`` (sign and magnitude), ``offset``, ``differential``: the encoding
- ``clip0.5``, ``erk``, ``distilled``, ``e24`` (epochs), ``lr0.1`` (peak learning rate), ``fp32`` or ``bf16``:
  where these are not the `usual` ones of such a run
- ``s1``: the seed; float and held-out runs are made once, and say it only where it is not 1

A label says the same in words, without the seed.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from companion.study.config import METHODS, RunConfig
from twofold.sparsity.twofold import CHOOSING

__all__ = [
    "START",
    "STARTS",
    "TUNING_START",
    "check_name",
    "label_of",
    "learning_rate",
    "listed",
    "name_of",
    "usual",
]


START = "dense-e60"
"""The float network that the runs of the study start from."""

TUNING_START = "tune-dense-e20"
"""The one that runs on held-out images start from; it has never seen those either."""

STARTS = {
    "resnet20": START,
    **{name: f"{name}-dense-e80" for name in ("resnet8", "resnet8-w2", "resnet8-w3")},
    "mobilenet": "mobilenet-dense-e40",
}
"""Network -> the float network that its fine-tuned runs start from."""

METHOD_WORDS = {
    "dense": ("dense", "dense, float"),
    "dense-8bit": ("dense", "dense, 8 bits"),
    "rounded": ("rounded", "dense, rounded"),
    "lfsr": ("lfsr", "LFSR mask"),
    "iid": ("iid", "i.i.d. mask"),
    "magnitude": ("magnitude", "magnitude mask"),
    "bits": ("bits", "bits only"),
    "twofold": ("twofold", "twofold"),
    "magnitude-bits": ("magnitude-bits", "magnitude + bits"),
}
"""Method -> its part of a name and of a label."""

GENERATOR_WORDS = {
    "rejection": ("", ""),
    "multiply-shift": ("ms", "multiply-shift"),
    "column": ("col", "column by column"),
    "counter": ("ctr", "kernel counter"),
}

ENCODING_WORDS = {
    "twos_complement": ("", ""),
    "offset_binary": ("offset", "offset binary"),
    "sign_magnitude": ("signed", "sign and magnitude"),
    "differential": ("differential", "differential pairs"),
    "signed_rows": ("rows", "signed rows"),
}

NETWORK_WORDS = {
    "resnet20": "",
    "resnet20-w2": "ResNet-20 twice as wide",
    "resnet8": "ResNet-8",
    "resnet8-w2": "ResNet-8 twice as wide",
    "resnet8-w3": "ResNet-8 three times as wide",
    "mobilenet": "MobileNet",
    "digits-net": "network of the digits",
}

_LETTERS = (
    "g",
    "r",
    "mu",
    "beta",
    "lambda",
    "p",
    "ramp",
    "planerate",
    "b",
    "clip",
    "distilled",
    "e",
    "lr",
    "fp",
    "bf",
    "s",
)
_WORDS = (
    "tune",
    "scratch",
    "ms",
    "col",
    "ctr",
    "ch",
    "counts",
    "popcount",
    "planes",
    "printed",
    "erk",
    "distilled",
)
_PARTS = {
    part
    for word in (*_WORDS, *NETWORK_WORDS, *(name for name, _ in (METHOD_WORDS | ENCODING_WORDS).values()))
    for part in word.split("-")
    if part
}


def learning_rate(sparsity: float) -> float:
    """Peak of the schedule: chosen on held-out images at 50 and 90 %, taken up to half removed and beyond."""
    return 0.05 if sparsity <= 0.5 else 0.1


def usual(config: RunConfig) -> dict[str, Any]:
    """The values that a run of this kind has unless its name or its label says otherwise.

    A kind is a network, from scratch or from another run, on held-out images or not, with its method, removed
    share, encoding and bits. Fields that its method does not use have their defaults.
    """
    of_study = config.network == "resnet20" and config.dataset == "cifar10"
    mask, has_bit_term = METHODS[config.method]
    tiny = config.network.startswith(("resnet8", "mobilenet"))
    second = tiny or config.group > 1 or (mask == "lfsr" and config.generator != "multiply-shift")
    # Magnitudes fill a cell, two or four: the scale of least error for the energy, see `rate_distortion`.
    scales = {3: 0.5, 5: 0.85, 8: 2.0} if config.encoding == "signed_rows" else {8: 2.0}
    magnitudes = config.encoding in ("signed_rows", "sign_magnitude")
    # With a phase before the masks become hard, strengths are full half the way through that phase.
    ramp = 0.5 * (config.prune_epoch or config.epochs) / config.epochs
    choosing = config.bit_term in CHOOSING
    values: dict[str, Any] = {
        "dataset": "digits" if config.network == "digits-net" else "cifar10",
        "batch_size": 128,
        "learning_rate": learning_rate(config.sparsity),
        "warmup": 0.2,
        "restart_epoch": config.prune_epoch,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "plane_rate": 0.0,
        # bf16 is faster on a GPU and on a CPU that has it, as most of the second edition's runs had; a
        # depthwise convolution is slower in it.
        "precision": "bf16" if second and config.network != "mobilenet" else "fp32",
        "compiled": of_study or tiny,  # an epoch takes a seventh less time
        "clip_ratio": scales.get(config.bits, 1.0) if magnitudes else 1.0,
        "density_rule": "uniform",
        "ramp": ramp if choosing else 0.5,
        "penalty_ramp": ramp if choosing and config.network_strength else 0.0,
        "energy_table": "rram_2bit_cell",
    }
    if config.init is None:
        values["learning_rate"] = 0.2 if of_study or tiny else 0.1
    else:
        values["epochs"] = 6 if config.held_out else 12
        values["init"] = TUNING_START if config.held_out else STARTS.get(config.network, START)
    if mask != "lfsr":
        values["generator"] = "multiply-shift"
    if not has_bit_term:
        values["bit_term"] = "energy"
    if not config.network_strength:
        values["polarity"] = "removed"
    if config.method == "dense":
        values["bits"] = 8
    return values


def name_of(config: RunConfig) -> str:
    """The name that the grammar gives a run of this configuration.

    Raises
    ------
    ValueError
        A value that is not `usual` and that no part of a name says, such as another momentum.
    """
    said, unsaid = _parts(config)
    if unsaid:
        told = ", ".join(f"{name} {getattr(config, name)!r}" for name in unsaid)
        raise ValueError(f"no part of a run's name says {told}; give the run a name of your own")
    made_once = config.held_out or config.method == "dense"
    seed = [] if made_once and config.seed == 1 else [f"s{config.seed}"]
    return "-".join([name for name, _ in said if name] + seed)


def label_of(config: RunConfig) -> str:
    """What figures and tables call the runs of this configuration, whatever their seed.

    Configurations that differ in more than seed and name have different labels: what is not `usual` is said.
    """
    said, unsaid = _parts(config)
    words = [word for _, word in said if word]
    return ", ".join(words + [f"{name} {getattr(config, name)}" for name in unsaid])


def check_name(name: str) -> str:
    """Return ``name``, or raise ``ValueError`` where a part is none of the grammar's: a bare number, say."""
    number = rf"({'|'.join(_LETTERS)})\d+(\.\d+)?"
    for part in name.split("-"):
        if part not in _PARTS and not re.fullmatch(number, part):
            words = ", ".join(sorted(_PARTS))
            raise ValueError(
                f"run {name!r} has the part {part!r}; a part is one of {words}, or a number behind one of "
                f"{', '.join(_LETTERS)}"
            )
    return name


def _parts(config: RunConfig) -> tuple[list[tuple[str, str]], list[str]]:
    """Parts of the name with their words, either of them perhaps empty; and the fields that no part says."""
    mask, has_bit_term = METHODS[config.method]
    normal = usual(config)
    new = [name for name, value in normal.items() if getattr(config, name) != value]
    cases: list[tuple[object, str, str]] = []  # is it said, and how
    say = cases.append
    say((config.held_out, "tune", ""))
    say((config.network != "resnet20", config.network, NETWORK_WORDS[config.network]))
    say((True, *METHOD_WORDS[config.method]))
    from_scratch = config.init is None and config.method != "dense" and config.network == "resnet20"
    say((from_scratch, "scratch", "from scratch"))
    say((mask == "lfsr", *GENERATOR_WORDS[config.generator]))
    say((config.group > 1, f"g{config.group}", f"rows shared by {config.group} columns"))
    say((config.scale == "channel", "ch", "scale a channel"))
    removed = _number(100 * config.sparsity)
    say((config.sparsity, f"r{removed}", f"{removed} % removed"))
    strength = _number(config.strength)
    if config.bit_term == "energy":
        say((has_bit_term, f"mu{strength}", f"µ {strength}"))
    else:
        say((has_bit_term, f"{config.bit_term}-beta{strength}", f"{config.bit_term}, β {strength}"))
    pull, printed = _number(config.network_strength), config.polarity == "printed"
    say((pull != "0", f"lambda{pull}{'-printed' * printed}", f"λ {pull}{', as printed' * printed}"))
    say((config.prune_epoch, f"p{config.prune_epoch}", f"masks from epoch {config.prune_epoch}"))
    rise = _number(config.penalty_ramp)
    say(("penalty_ramp" in new, f"ramp{rise}", f"penalties rise over {rise} of the training"))
    own_rate = _number(config.plane_rate)
    say(("plane_rate" in new, f"planerate{own_rate}", f"planes' rate x{own_rate}"))
    encoded = config.encoding != "twos_complement"
    if config.method != "dense":
        short = f"{config.bits} bits" if config.bits != 8 else ""
        say((short or encoded or config.method == "dense-8bit", f"b{config.bits}", short))
    say((encoded, *ENCODING_WORDS[config.encoding]))
    scale = _number(config.clip_ratio)
    say(("clip_ratio" in new, f"clip{scale}", f"scale x{scale}"))
    say(("density_rule" in new, config.density_rule, "small layers spared"))
    share = "" if config.distillation == 0.5 else _number(config.distillation)
    say((config.distillation, f"distilled{share}", f"distilled {share}".strip()))
    say((config.epochs != normal.get("epochs"), f"e{config.epochs}", f"{config.epochs} epochs"))
    tried = config.held_out and config.init is not None  # a choice among rates, so all of them say theirs
    rate = _number(config.learning_rate)
    say((tried or "learning_rate" in new, f"lr{rate}", f"rate {rate}"))
    say(("precision" in new, config.precision, config.precision))
    say((config.held_out, "", "held-out images"))
    said = {
        "clip_ratio",
        "density_rule",
        "epochs",
        "learning_rate",
        "penalty_ramp",
        "plane_rate",
        "precision",
    }
    parts = [(name, word) for condition, name, word in cases if condition]
    return parts, [name for name in new if name not in said]


def _number(value: float) -> str:
    """All digits that differ and no exponent, whose sign would part a name: 29 for 100 x 0.29."""
    return np.format_float_positional(float(f"{value:.12g}"), trim="-")


def listed(words: Iterable[str]) -> str:
    """Nothing, ``a``, ``a and b``, ``a, b and c``."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
