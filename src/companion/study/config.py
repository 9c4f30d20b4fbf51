"""How a run trains: epochs, schedule, loss and precision, every value checked before any work begins."""

import math
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from companion.files import read_yaml
from companion.paths import check_run_name
from companion.study.images import DATASETS
from companion.study.zoo import NETWORKS
from twofold.codes.encodings import CELL_ENCODINGS
from twofold.codes.quantizer import check_bits, check_clip_ratio
from twofold.sparsity.choose import MaskKind
from twofold.sparsity.densities import DENSITY_RULES
from twofold.sparsity.penalties import POLARITIES
from twofold.sparsity.twofold import BIT_TERMS

__all__ = ["METHODS", "Recipe", "RunConfig"]


PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train; the same for every method, so that a control has the same epochs.

    Attributes
    ----------
    epochs : int
    batch_size : int, images
    learning_rate : float
        Peak of the schedule: linear rise over the first ``warmup`` of all steps, cosine fall to 0.
    warmup : float in [0, 1), share of all steps
    restart_epoch : int
        The epoch (from 0) at which the schedule begins anew, as in training, pruning and training on: the
        network before it is then one that was trained to the end. 0: one schedule over all epochs.
    momentum : float, Nesterov
    weight_decay : float
        On tensors of two or more dimensions; norms and biases are left alone.
    distillation : float
        Weight of the cross entropy with a teacher's soft answers, beside 1 - weight for the labels'.
    seed : int
    precision : ``"bf16"`` (autocast) or ``"fp32"``
        Of the training steps; accuracies are always taken in fp32, where 8-bit codes are exact. A CPU
        without AMX is faster in fp32. On a GPU torch's convolutions train with fp32 factors rounded to TF32.
    compiled : bool
        Whether the training steps are made one: on a CPU ``torch.compile`` fuses them, which needs a C++
        compiler, and rounds otherwise than plain steps do (``data/determinism.csv`` has what that changes);
        on a GPU they are recorded as CUDA graphs and replayed.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup: float = 0.2
    restart_epoch: int = 0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    distillation: float = 0.0
    seed: int = 1
    precision: str = "bf16"
    compiled: bool = False

    def __post_init__(self):
        for name, low, high in (("epochs", 1, 10**5), ("batch_size", 1, 10**6), ("seed", 0, 2**32)):
            value = getattr(self, name)
            if type(value) is not int or value < low:  # a bool is an int too, and no number of epochs
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {low}")
            if value > high:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at most {high}")
        for name, high in (
            ("learning_rate", 10),
            ("momentum", 1),
            ("weight_decay", 1),
            ("distillation", 1),
        ):
            value = getattr(self, name)
            if not 0 <= value <= high:  # false for NaN as well
                raise ValueError(f"{name} is {value!r}; it must lie in [0, {high}]")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup!r}; it must lie in [0, 1)")
        if type(self.restart_epoch) is not int or not 0 <= self.restart_epoch < self.epochs:
            raise ValueError(
                f"restart_epoch is {self.restart_epoch!r}; it must be a whole number in [0, {self.epochs})"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}")

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


@dataclass(frozen=True, kw_only=True)
class RunConfig(Recipe):
    """Everything that decides a run's numbers; the fields of ``Recipe`` and these.

    Attributes
    ----------
    run : str
        Name of the run and of its folder: letters, digits, ``.``, ``-``, ``_``.
    method : str, one of ``METHODS``
    network, dataset : str, see ``models.NETWORKS`` and ``data.DATASETS``
    init : str or None
        The run whose float weights this one starts from; None starts afresh.
    bits : int
        Bits of a weight's code; not used by ``dense``.
    clip_ratio : float in (0, 4]
        As in ``sparsify.Twofold``.
    sparsity : float in [0, 1)
        Overall sparsity: share of the weights that are not kept.
    density_rule : str
        See `densities.layer_densities`.
    bit_term, strength, network_strength, polarity, prune_epoch, ramp, encoding
        As in ``sparsify.Twofold``.
    energy_table : str, see ``cells.load_cell_table``
        What the energy-aware codes are made cheap for.
    generator : ``"multiply-shift"`` or ``"rejection"``
        How the register of an LFSR's mask says its positions, see `lig.reduce_states`.
    held_out : bool
        Train without 5,000 images and evaluate on those instead of the test set.
    """

    run: str
    method: str
    network: str = "resnet20"
    dataset: str = "cifar10"
    init: str | None = None
    bits: int = 8
    clip_ratio: float = 1.0
    sparsity: float = 0.0
    density_rule: str = "uniform"
    bit_term: str = "energy"
    strength: float = 0.0
    network_strength: float = 0.0
    polarity: str = "removed"
    prune_epoch: int = 0
    ramp: float = 0.5
    encoding: str = "twos_complement"
    energy_table: str = "rram_2bit_cell"
    generator: str = "multiply-shift"
    held_out: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_run_name(self.run)
        if self.init is not None:
            check_run_name(self.init)
        allowed = {
            "method": tuple(METHODS),
            "network": tuple(NETWORKS),
            "dataset": DATASETS,
            "density_rule": DENSITY_RULES,
            "bit_term": BIT_TERMS,
            "polarity": POLARITIES,
            "encoding": CELL_ENCODINGS,
            "generator": ("multiply-shift", "rejection"),
        }
        for name, names in allowed.items():
            if getattr(self, name) not in names:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(names)}")
        for name, high in (("sparsity", 1), ("strength", math.inf), ("network_strength", math.inf)):
            if not 0 <= getattr(self, name) < high:  # false for NaN as well
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie in [0, {high})")
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp is {self.ramp!r}; it must be a share of the training in (0, 1]")
        if check_clip_ratio(self.clip_ratio) != 1 and (self.method == "dense" or self.bit_term != "energy"):
            raise ValueError(
                f"clip_ratio is {self.clip_ratio!r}, but method {self.method!r} with bit_term "
                f"{self.bit_term!r} has no scale to choose: it needs codes, and bit_term 'energy'"
            )
        check_bits(self.bits)
        if self.method == "dense-8bit" and self.bits != 8:
            raise ValueError(f"bits is {self.bits!r}, but method 'dense-8bit' has 8; take method 'rounded'")
        mask, has_bit_term = METHODS[self.method]
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
        if self.distillation and self.init is None:
            raise ValueError(f"distillation is {self.distillation!r}, but init names no run as the teacher")
        if self.network == "digits-net" and self.dataset != "digits":
            raise ValueError(f"network 'digits-net' takes images of 8x8, not those of {self.dataset!r}")

    @classmethod
    def from_yaml(cls, path: Path) -> "RunConfig":
        """Read a configuration; an unknown, missing or mistyped key is an error that names it."""
        values = read_yaml(path)
        kinds = {f.name: f.type for f in fields(cls)}
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(unknown)}; known are {', '.join(kinds)}")
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in values]
        if missing:
            raise ValueError(f"{path}: {', '.join(missing)} is missing")
        try:
            return cls(**{name: _of_kind(name, value, kinds[name]) for name, value in values.items()})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _of_kind(name: str, value: Any, kind: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value) if abs(value) < 2**53 else math.inf  # beyond any limit, and then refused as such
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        hint = "; YAML wants 1e-3 written as 1.0e-3" if kind is float and isinstance(value, str) else ""
        raise ValueError(f"{name} is {value!r}; it must be {getattr(kind, '__name__', kind)}{hint}")
    return value
