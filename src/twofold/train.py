"""One training loop for every method: dense, masked, bit-sparse or both, on CPU or CUDA.

A run is a function of its recipe and seed. Each epoch draws its shuffling and augmentation from a
generator that is seeded by (seed, epoch) alone, and the checkpoint that closes an epoch holds weights,
momentum and history in one file, written atomically: a killed run goes on from its last whole epoch
and ends bit for bit where an unbroken one ends.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from tqdm import tqdm

from twofold.data import Images, augment, normalise
from twofold.files import load_tensors, save_tensors
from twofold.parametrizations import BitPlaneWeight
from twofold.sparsify import Twofold

__all__ = ["Recipe", "evaluate", "fit", "logits"]

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
        without AMX is faster in fp32.
    compiled : bool
        Whether ``torch.compile`` fuses the training steps: it needs a C++ compiler, and rounds otherwise than
        plain steps do; ``data/determinism.csv`` has what that changes.
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


def fit(
    model: nn.Module,
    train: Images,
    test: Images,
    recipe: Recipe,
    *,
    sparsity: Twofold | None = None,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress_bar: bool = True,
) -> pd.DataFrame:
    """Train ``model`` in place.

    Parameters
    ----------
    sparsity : Twofold, optional
        Masks, penalties and codes attached to the model; None trains it dense, in float.
    teacher : Module, optional
        Gives the soft answers; needed when ``recipe.distillation`` is above 0.
    checkpoint : Path, optional
        Written after every epoch; if it is there already, training goes on from it.

    Returns
    -------
    DataFrame
        A row an epoch: ``epoch`` (from 1), ``learning_rate``, ``loss``, ``train_accuracy`` (%, on the
        augmented images), ``test_accuracy`` (%), ``seconds``, and what ``sparsity.status()`` adds.

    Raises
    ------
    ValueError
        The checkpoint is damaged or belongs to another recipe or model, a teacher is missing, or the loss
        stopped being a finite number.
    """
    if recipe.distillation and teacher is None:
        raise ValueError(f"distillation is {recipe.distillation!r}, but there is no teacher to learn from")
    layout = torch.channels_last if train.pixels.shape[-1] > 8 else torch.contiguous_format
    model.to(device).to(memory_format=layout)
    train, test = train.to(device), test.to(device)
    if teacher is not None:
        teacher.to(device).eval().requires_grad_(False)
    optimizer = torch.optim.SGD(
        _parameter_groups(model, recipe.weight_decay),
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )
    history: list[dict] = []
    if checkpoint is not None and checkpoint.exists():
        history = _restore(checkpoint, model, optimizer, recipe)
        if (
            sparsity is not None
        ):  # checkpoints of version 0.1.0 do not hold the strength that has been reached
            sparsity.advance(len(history) / recipe.epochs)
    # Two static graphs, for full batches and for an epoch's last one, instead of a slower one for any size.
    forward = torch.compile(model, dynamic=False) if recipe.compiled else model
    steps = math.ceil(len(train) / recipe.batch_size)
    for epoch in range(len(history), recipe.epochs):
        started = time.perf_counter()
        row: dict = {"epoch": epoch + 1}
        if sparsity is not None and sparsity.prune_due(epoch):
            row["accuracy_before_pruning"] = evaluate(model, test)
            sparsity.prune()
            row["accuracy_after_pruning"] = evaluate(model, test)
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
        order = torch.randperm(len(train), generator=generator).to(device)
        model.train()
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        bar = tqdm(
            range(steps),
            desc=f"epoch {epoch + 1}/{recipe.epochs}",
            leave=False,
            disable=not progress_bar,
            mininterval=1,
        )
        for step in bar:
            share = (epoch + step / steps) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(share)
            if sparsity is not None:
                sparsity.advance(share)
            batch = augment(
                train[order[step * recipe.batch_size : (step + 1) * recipe.batch_size]], generator
            )
            images = normalise(batch).contiguous(memory_format=layout)
            with torch.autocast(
                torch.device(device).type, torch.bfloat16, enabled=recipe.precision == "bf16"
            ):
                answers = forward(images)
                loss = F.cross_entropy(answers.float(), batch.labels)
                if teacher is not None and recipe.distillation:
                    with torch.no_grad():
                        soft = teacher(images).float().softmax(1)
                    soft_loss = F.cross_entropy(answers.float(), soft)
                    loss = (1 - recipe.distillation) * loss + recipe.distillation * soft_loss
            if sparsity is not None:
                loss = loss + sparsity.penalty()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach()
            correct += (answers.detach().argmax(1) == batch.labels).sum()
        row |= {
            "learning_rate": recipe.learning_rate_at((epoch + 1) / recipe.epochs),
            "loss": loss_sum.item() / steps,
            "train_accuracy": 100 * correct.item() / len(train),
        }
        if not math.isfinite(row["loss"]):
            raise ValueError(
                f"the loss is {row['loss']} after epoch {epoch + 1}; "
                f"a lower learning_rate than {recipe.learning_rate} or weaker penalties may help"
            )
        if sparsity is not None:
            sparsity.advance((epoch + 1) / recipe.epochs)
            sparsity.requantise()
            row |= sparsity.status()
        row["test_accuracy"] = evaluate(model, test)
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        if checkpoint is not None:
            _save(checkpoint, model, optimizer, recipe, history)
    return pd.DataFrame(history)


@torch.no_grad()
def logits(model: nn.Module, images: Images, batch_size: int = 250) -> Float[Tensor, "n classes"]:
    """The model's answers in evaluation mode, fp32, without augmentation."""
    model.eval()
    batches = range(0, len(images), batch_size)
    return torch.cat([model(normalise(images[i : i + batch_size])) for i in batches])


def evaluate(model: nn.Module, images: Images, batch_size: int = 250) -> float:
    """Accuracy in percent, in fp32."""
    return 100 * (logits(model, images, batch_size).argmax(1) == images.labels).double().mean().item()


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    # Bit planes are shares of a one, not weights: decaying them would be a second, hidden bit term.
    planes = [
        m.original
        for m in model.modules()
        if isinstance(m, ParametrizationList) and isinstance(m[0], BitPlaneWeight)
    ]
    decayed = {id(p) for p in model.parameters() if p.ndim > 1} - {id(p) for p in planes}
    return [
        {"params": [p for p in model.parameters() if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]


def _momentum(optimizer: torch.optim.SGD, model: nn.Module) -> dict[str, Tensor]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"momentum.{names[id(p)]}": state["momentum_buffer"]
        for p, state in optimizer.state.items()
        if state.get("momentum_buffer") is not None
    }


def _save(
    path: Path, model: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, history: list[dict]
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()} | _momentum(optimizer, model)
    header = {"recipe": json.dumps(asdict(recipe)), "history": json.dumps(history)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, tensors, header)


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe) -> list[dict]:
    try:
        header, tensors = load_tensors(path)
        theirs, ours, history = json.loads(header["recipe"]), asdict(recipe), json.loads(header["history"])
        epochs = [row["epoch"] for row in history]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged or no checkpoint ({error}); move it away to start afresh"
        ) from error
    if not isinstance(theirs, dict) or epochs != [*range(1, len(epochs) + 1)]:
        raise ValueError(f"{path} is no checkpoint of whole epochs; move it away to start afresh")
    if theirs != ours:
        names = sorted(theirs.keys() | ours.keys())
        differing = {k: (theirs.get(k), ours.get(k)) for k in names if theirs.get(k) != ours.get(k)}
        raise ValueError(
            f"{path} belongs to another recipe (there, here): {differing}; move it away to start afresh"
        )
    state = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} belongs to another model, move it away to start afresh: {error}") from error
    for name, parameter in model.named_parameters():
        buffer = tensors.get(f"momentum.{name}")
        if buffer is not None:
            if buffer.shape != parameter.shape:
                raise ValueError(
                    f"{path} belongs to another model, move it away to start afresh: momentum of {name}"
                )
            optimizer.state[parameter]["momentum_buffer"] = buffer.to(parameter.device)
    return history
