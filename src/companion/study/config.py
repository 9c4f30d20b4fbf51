"""The schema of a run: every value that decides its numbers, checked before any work begins.

The same fields stand in a configuration file, in the record of a finished run and in the table of results.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from companion.files import read_yaml
from companion.paths import check_run_name
from companion.study.images import DATASETS
from companion.study.zoo import NETWORKS
from twofold.codes.encodings import CELL_ENCODINGS
from twofold.codes.quantizer import check_bits, check_clip_ratio
from twofold.sparsity.choose import MaskKind
from twofold.sparsity.densities import DENSITY_RULES
from twofold.sparsity.penalties import POLARITIES
from twofold.sparsity.twofold import BIT_TERMS, CHOOSING

__all__ = ["GENERATORS", "METHODS", "Recipe", "RunConfig", "Schema"]


PRECISIONS = ("bf16", "fp32")

GENERATORS = ("multiply-shift", "rejection", "column", "counter")

SCALES = ("layer", "channel")

METHODS: dict[str, tuple[MaskKind | None, bool]] = {
    "dense": (None, False),
    "dense-8bit": (None, False),
    "rounded": (None, False),
    "lfsr": ("lfsr", False),
    "iid": ("iid", False),
    "magnitude": ("magnitude", False),
    "bits": (None, True),
    "twofold": ("lfsr", True),
    "magnitude-bits": ("magnitude", True),
}
"""Method -> its mask and whether it has a bit term. All but ``dense`` train with rounded codes; ``rounded``
does no more than that, with any number of bits, and ``dense-8bit`` the same with 8, the baseline of ratios.
"""


class Schema(BaseModel):
    """Values of the types that the fields name and no others; what does not fit is one line that says why.

    A bool is no int, an int is taken for a float, and no text is taken for a number.

    Raises
    ------
    ValueError
        An unknown, missing or mistyped field, or a value out of its range.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_in_a_line(type(self), error.errors(include_url=False))) from None


class Recipe(Schema):
    """How to train; the same for every method, so that a control has the same epochs."""

    epochs: int
    """Passes over the training images."""
    batch_size: int = 128
    """Images of a step."""
    learning_rate: float = 0.1
    """Peak of the schedule: linear rise over the first ``warmup`` of all steps, cosine fall to 0."""
    warmup: float = 0.2
    """Share of all steps, in [0, 1)."""
    restart_epoch: int = 0
    """The epoch (from 0) at which the schedule begins anew, as in training, pruning and training on: the
    network before it is then one that was trained to the end. 0: one schedule over all epochs."""
    momentum: float = 0.9
    """Of SGD, Nesterov's."""
    weight_decay: float = 5e-4
    """On tensors of two or more dimensions; norms, biases and bit planes are left alone."""
    plane_rate: float = 0.0
    """Of trainable bit planes, in units of the rate at which a gradient moves a layer's weights through them
    as far as ``learning_rate`` moves weights by themselves; 0 has them at ``learning_rate`` itself, which
    moves most layers of ResNet-20 by 2 to 30 times less."""
    distillation: float = 0.0
    """Share of the loss that is the cross entropy with a teacher's soft answers; the rest is the labels'."""
    seed: int = 1
    """Of the first weights, the masks, and the order and augmentation of the images."""
    precision: str = "bf16"
    """``"bf16"`` (autocast) or ``"fp32"``, of the training steps; accuracies are always taken in fp32, where
    8-bit codes are exact. A CPU without instructions for bf16 forms it from fp32, at a little less than its
    speed (`companion.study.bf16`). On a GPU fp32 convolutions train with factors rounded to TF32."""
    compiled: bool = False
    """Whether the training steps are made one: on a CPU ``torch.compile`` fuses them, which needs a C++
    compiler, and rounds otherwise than plain steps do (``data/determinism.csv`` has what that changes); on a
    GPU they are recorded as CUDA graphs and replayed."""

    @model_validator(mode="after")
    def _check_recipe(self) -> "Recipe":
        for name, least, most in (("epochs", 1, 10**5), ("batch_size", 1, 10**6), ("seed", 0, 2**32)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
            if value > most:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at most {most}")
        for name, most in (("learning_rate", 10), ("momentum", 1), ("weight_decay", 1), ("distillation", 1)):
            value = getattr(self, name)
            if not 0 <= value <= most:  # false for NaN as well
                raise ValueError(f"{name} is {value!r}; it must lie in [0, {most}]")
        if not 0 <= self.plane_rate <= 100:
            raise ValueError(f"plane_rate is {self.plane_rate!r}; it must lie in [0, 100]")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup!r}; it must lie in [0, 1)")
        if not 0 <= self.restart_epoch < self.epochs:
            raise ValueError(
                f"restart_epoch is {self.restart_epoch!r}; it must be a whole number in [0, {self.epochs})"
            )
        _check_among("precision", self.precision, PRECISIONS)
        return self

    def learning_rate_at(self, progress: float) -> float:
        """Learning rate after a share ``progress`` (0..1) of all steps."""
        restart = self.restart_epoch / self.epochs
        if progress < restart:
            progress = progress / restart
        elif restart:
            progress = (progress - restart) / (1 - restart)
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        return self.learning_rate * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup))) / 2


class RunConfig(Recipe):
    """One run: how it trains, and what.

    Each field means what the argument of that name means in `twofold.Twofold`, where there is one.
    """

    run: str
    """Name of the run and of its folder: letters, digits, ``.``, ``-``, ``_``; `companion.study.names` has
    the grammar of the study's own."""
    method: str
    """One of `METHODS`."""
    network: str = "resnet20"
    """One of `companion.study.zoo.NETWORKS`."""
    dataset: str = "cifar10"
    """One of `companion.study.images.DATASETS`."""
    init: str | None = None
    """The run whose float weights this one starts from, and its teacher; None starts afresh."""
    bits: int = 8
    """Of a weight's code; not used by ``dense``."""
    scale: str = "layer"
    """What the codes share a scale in, one of `SCALES`: a layer, or each of its output channels."""
    clip_ratio: float = 1.0
    """Share of a layer's, or channel's, largest weight that the largest code stands for, in (0, 4]."""
    sparsity: float = 0.0
    """Share of the weights that are not kept, overall; in [0, 1)."""
    density_rule: str = "uniform"
    """How the kept weights are spread over the layers, see `twofold.sparsity.densities`."""
    bit_term: str = "energy"
    """What makes codes cheap: ``"energy"`` and ``"counts"`` choose them, the others are penalties."""
    strength: float = 0.0
    """Of the bit term: µ in LSB²/pJ for ``"energy"``, LSB² a one for ``"counts"``, the talk's beta else."""
    network_strength: float = 0.0
    """The talk's lambda, of its penalty on weights."""
    polarity: str = "removed"
    """Which weights that penalty pulls on: those that will be removed, or, as printed, those that stay."""
    prune_epoch: int = 0
    """The epoch (from 0) before which the masks become hard."""
    ramp: float = 0.5
    """Share of the training, in (0, 1], over which the strength of chosen codes rises from 0."""
    penalty_ramp: float = 0.0
    """The same of the penalties, on weights and on bit planes; 0 has them at full strength at once."""
    encoding: str = "twos_complement"
    """How codes lie in cells, which decides what is cheap."""
    energy_table: str = "rram_2bit_cell"
    """The cells that codes are made cheap for and priced with, see `twofold.codes.tables.load_cell_table`."""
    generator: str = "multiply-shift"
    """How the register of an LFSR's mask says its indices, one of `GENERATORS`; the default is what the first
    runs, whose files name none, were made with."""
    group: int = 1
    """Neighboring columns of a layer that share their kept rows; 1: none do. A group of more columns than a
    layer has is all of them: 64 is, in every layer of ResNet-20."""
    held_out: bool = False
    """Train without 5,000 images and evaluate on those instead of the test set."""

    @model_validator(mode="after")
    def _check_run(self) -> "RunConfig":
        check_run_name(self.run)
        if self.init is not None:
            check_run_name(self.init)
        for name, allowed in (
            ("method", METHODS),
            ("network", NETWORKS),
            ("dataset", DATASETS),
            ("scale", SCALES),
            ("density_rule", DENSITY_RULES),
            ("bit_term", BIT_TERMS),
            ("polarity", POLARITIES),
            ("encoding", CELL_ENCODINGS),
            ("generator", GENERATORS),
        ):
            _check_among(name, getattr(self, name), allowed)
        for name, high in (("sparsity", 1), ("strength", math.inf), ("network_strength", math.inf)):
            if not 0 <= getattr(self, name) < high:  # false for NaN as well
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie in [0, {high})")
        if not 1 <= self.group <= 2**16:
            raise ValueError(f"group is {self.group!r}; it must be a whole number in [1, {2**16}]")
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp is {self.ramp!r}; it must be a share of the training in (0, 1]")
        if not 0 <= self.penalty_ramp <= 1:
            raise ValueError(
                f"penalty_ramp is {self.penalty_ramp!r}; it must be a share of the training in [0, 1]"
            )
        if self.plane_rate and (self.bit_term in CHOOSING or not METHODS[self.method][1]):
            raise ValueError(
                f"plane_rate is {self.plane_rate!r}, but method {self.method!r} with bit_term "
                f"{self.bit_term!r} trains no bit planes"
            )
        if check_clip_ratio(self.clip_ratio) != 1 and (
            self.method == "dense" or self.bit_term not in CHOOSING
        ):
            raise ValueError(
                f"clip_ratio is {self.clip_ratio!r}, but method {self.method!r} with bit_term "
                f"{self.bit_term!r} has no scale to choose: it needs codes, and one of {', '.join(CHOOSING)}"
            )
        if self.scale != "layer" and self.method == "dense":
            raise ValueError(f"scale is {self.scale!r}, but method 'dense' has no codes")
        check_bits(self.bits)
        if self.method == "dense-8bit" and self.bits != 8:
            raise ValueError(f"bits is {self.bits!r}, but method 'dense-8bit' has 8; take method 'rounded'")
        mask, has_bit_term = METHODS[self.method]
        if self.group > 1 and mask is None:
            raise ValueError(f"group is {self.group!r}, but method {self.method!r} has no mask to share")
        for name, wanted in (("sparsity", mask is not None), ("strength", has_bit_term)):
            if (getattr(self, name) > 0) != wanted:
                needs = "needs one above 0" if wanted else "takes none"
                raise ValueError(f"{name} is {getattr(self, name)!r}, but method {self.method!r} {needs}")
        if not 0 <= self.prune_epoch < self.epochs:
            raise ValueError(f"prune_epoch is {self.prune_epoch!r}; it must lie in [0, {self.epochs})")
        if self.network_strength and (mask is None or not self.prune_epoch):
            raise ValueError(
                f"network_strength is {self.network_strength!r}, but it acts on the weights that a mask will "
                f"remove: it needs a method with a mask (here {self.method!r}) and a prune_epoch above 0 "
                f"(here {self.prune_epoch})"
            )
        if self.penalty_ramp and not self.network_strength and self.bit_term in CHOOSING:
            raise ValueError(
                f"penalty_ramp is {self.penalty_ramp!r}, but there is no penalty to rise: it needs a "
                f"network_strength, or a bit_term other than {', '.join(CHOOSING)}"
            )
        if self.distillation and self.init is None:
            raise ValueError(f"distillation is {self.distillation!r}, but init names no run as the teacher")
        if self.network == "digits-net" and self.dataset != "digits":
            raise ValueError(f"network 'digits-net' takes images of 8x8, not those of {self.dataset!r}")
        return self

    def replaced(self, **changes: Any) -> "RunConfig":
        """The same with other values, checked anew."""
        return RunConfig(**self.model_dump() | changes)

    @classmethod
    def from_yaml(cls, path: Path) -> "RunConfig":
        """Read a configuration; an unknown, missing or mistyped key is an error that names file and key."""
        values = read_yaml(path)
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_yaml(self) -> str:
        """The text of a configuration file, with every field; `from_yaml` reads it."""
        return yaml.safe_dump({"run": self.run} | self.model_dump(), sort_keys=False)


def _check_among(name: str, value: str, allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")


def _in_a_line(schema: type[BaseModel], errors: list[ErrorDetails]) -> str:
    """The first thing that is wrong, as a reader of the file would say it."""
    unknown = sorted(str(e["loc"][0]) for e in errors if e["type"] == "extra_forbidden")
    if unknown:
        return f"unknown {', '.join(unknown)}; known are {', '.join(schema.model_fields)}"
    missing = [str(e["loc"][0]) for e in errors if e["type"] == "missing"]
    if missing:
        return f"{', '.join(missing)} is missing"
    first = errors[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name, value = str(first["loc"][0]), first["input"]
    kind = schema.model_fields[name].annotation
    hint = "; YAML wants 1e-3 written as 1.0e-3" if kind is float and isinstance(value, str) else ""
    shown = repr(value) if len(repr(value)) <= 100 else f"{repr(value)[:100]}..."
    return f"{name} is {shown}; it must be {getattr(kind, '__name__', kind)}{hint}"
