"""One training loop for every method: dense, masked, bit-sparse or both, on CPU or CUDA.

A run is a function of its recipe and seed. Each epoch draws its shuffling and augmentation from a
generator that is seeded by (seed, epoch) alone, and the checkpoint that closes an epoch holds weights,
momentum and history in one file, written atomically: a killed run goes on from its last whole epoch
and ends bit for bit where an unbroken one ends.
"""

import json
import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from tqdm import tqdm

from companion.study.config import Recipe
from companion.study.images import Images, augment, normalize
from companion.study.step import TrainingStep
from twofold import Twofold
from twofold._files import load_tensors, save_tensors
from twofold.sparsity.parametrizations import BitPlaneWeight

__all__ = ["evaluate", "fit", "logits"]


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
    # On a GPU the rate is a number on the device, which a recorded step reads anew each time.
    on_gpu = torch.device(device).type == "cuda"
    groups = _parameter_groups(model, recipe)
    for group in groups:
        group["lr"] = torch.zeros((), device=device) if on_gpu else 0.0
    optimizer = torch.optim.SGD(
        groups,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=on_gpu,
    )
    history: list[dict] = []
    if checkpoint is not None and checkpoint.exists():
        history = _restore(checkpoint, model, optimizer, recipe)
        if (
            sparsity is not None
        ):  # checkpoints of version 0.1.0 do not hold the strength that has been reached
            sparsity.advance(len(history) / recipe.epochs)
    take_step = TrainingStep(
        model, optimizer, recipe, sparsity=sparsity, teacher=teacher, device=device, layout=layout
    )
    steps = math.ceil(len(train) / recipe.batch_size)
    with _on_its_own_stream(device), _convolutions(tf32=True):
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
            take_step.reset()
            bar = tqdm(
                range(steps),
                desc=f"epoch {epoch + 1}/{recipe.epochs}",
                leave=False,
                disable=not progress_bar,
                mininterval=1,
            )
            for step in bar:
                share = (epoch + step / steps) / recipe.epochs
                _set_rate(optimizer, recipe.learning_rate_at(share))
                if sparsity is not None:
                    sparsity.advance(share)
                chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
                take_step(augment(train[chosen], generator))
            row |= {
                "learning_rate": recipe.learning_rate_at((epoch + 1) / recipe.epochs),
                "loss": take_step.loss_sum.item() / steps,
                "train_accuracy": 100 * take_step.correct.item() / len(train),
            }
            if not math.isfinite(row["loss"]):
                raise ValueError(
                    f"the loss is {row['loss']} after epoch {epoch + 1}; "
                    f"a lower learning_rate than {recipe.learning_rate} or weaker penalties may help"
                )
            if sparsity is not None:
                sparsity.advance((epoch + 1) / recipe.epochs)
                sparsity.requantize()
                row |= sparsity.status()
            row["test_accuracy"] = evaluate(model, test)
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            if checkpoint is not None:
                _save(checkpoint, model, optimizer, recipe, history)
    return pd.DataFrame(history)


@torch.no_grad()
def logits(model: nn.Module, images: Images, batch_size: int | None = None) -> Float[Tensor, "n classes"]:
    """The model's answers in evaluation mode, fp32, without augmentation.

    ``batch_size`` None: what suits the device, 250 images on a CPU and 2,500 on a GPU.
    """
    model.eval()
    size = batch_size or (2500 if images.pixels.is_cuda else 250)
    batches = range(0, len(images), size)
    with _convolutions(tf32=False):
        return torch.cat([model(normalize(images[i : i + size])) for i in batches])


def evaluate(model: nn.Module, images: Images, batch_size: int | None = None) -> float:
    """Accuracy in percent, in fp32."""
    return 100 * (logits(model, images, batch_size).argmax(1) == images.labels).double().mean().item()


def _convolutions(tf32: bool) -> AbstractContextManager:
    """How cuDNN convolves: always the same sums in the same order; TF32 rounds fp32 factors to 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)


def _on_its_own_stream(device: str) -> AbstractContextManager:
    """A GPU records steps on no stream but one that is not its default."""
    if torch.device(device).type != "cuda":
        return nullcontext()
    torch.cuda.synchronize(device)  # what the default stream has laid there must be there
    return torch.cuda.stream(torch.cuda.Stream(device))


def _set_rate(optimizer: torch.optim.SGD, rate: float) -> None:
    for group in optimizer.param_groups:
        own = rate * group["times"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own


def _parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict]:
    # Bit planes are shares of a one, not weights: decaying them would be a second, hidden bit term.
    planes = [
        (m.original, m[0].leverage)
        for m in model.modules()
        if isinstance(m, ParametrizationList) and isinstance(m[0], BitPlaneWeight)
    ]
    coded = {id(p) for p, _ in planes}
    others = [p for p in model.parameters() if id(p) not in coded]
    decayed = [p for p in others if p.ndim > 1], recipe.weight_decay, 1.0
    spared = [p for p in others if p.ndim <= 1], 0.0, 1.0
    own = [([p], 0.0, recipe.plane_rate / leverage if recipe.plane_rate else 1.0) for p, leverage in planes]
    return [
        {"params": params, "weight_decay": decay, "times": times}
        for params, decay, times in (decayed, spared, *own)
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
    header = {"recipe": json.dumps(recipe.model_dump()), "history": json.dumps(history)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, tensors, header)


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe) -> list[dict]:
    try:
        header, tensors = load_tensors(path)
        theirs, history = json.loads(header["recipe"]), json.loads(header["history"])
        epochs = [row["epoch"] for row in history]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged or no checkpoint ({error}); move it away to start afresh"
        ) from error
    if not isinstance(theirs, dict) or epochs != [*range(1, len(epochs) + 1)]:
        raise ValueError(f"{path} is no checkpoint of whole epochs; move it away to start afresh")
    ours = recipe.model_dump()
    if theirs != ours:
        names = sorted(theirs.keys() | ours.keys())
        differing = {k: (theirs.get(k), ours.get(k)) for k in names if theirs.get(k) != ours.get(k)}
        raise ValueError(
            f"{path} belongs to another recipe (there, here): {differing}; move it away to start afresh"
        )
    state = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        # An attached model takes the state of a plain one as its start; a training does not go on from there.
        if others := state.keys() ^ model.state_dict().keys():
            raise RuntimeError(f"only one of them has {', '.join(sorted(others))}")
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
            # Laid in memory as the parameter is: a fused update wants it so.
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer)
    return history
