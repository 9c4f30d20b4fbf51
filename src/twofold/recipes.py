"""How a run trains: epochs, schedule, loss and precision, every value checked before any work begins."""

import math
from dataclasses import dataclass

__all__ = ["Recipe"]

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
