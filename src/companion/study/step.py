"""One training step: forward pass, loss, penalty, backward pass, update; plain, fused or recorded.

On a GPU a step of a small network is a thousand kernels of some microseconds, and launching them is what
takes the time. With ``recipe.compiled`` such a step is recorded once, as a CUDA graph, and then replayed
whole; on a CPU ``torch.compile`` fuses the forward and the backward pass.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.study import bf16
from companion.study.config import Recipe
from companion.study.images import Images, normalize
from twofold import Twofold

__all__ = ["TrainingStep"]


class TrainingStep:
    """Call it with a batch: the model has then learnt from it.

    Parameters
    ----------
    model, optimizer : on the device of the batches
        For a recorded step the optimizer must read its learning rate from a tensor and be fused.
    sparsity, teacher : see ``train.fit``
    layout : memory format of the images

    Attributes
    ----------
    loss_sum, correct : Float[Tensor, ""]
        Sums over the steps since `reset`: of the loss, and of the images that were told right.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        sparsity: Twofold | None,
        teacher: nn.Module | None,
        device: str,
        layout: torch.memory_format,
    ):
        self.optimizer, self.recipe, self.sparsity, self.teacher = optimizer, recipe, sparsity, teacher
        self.layout = layout
        self.device = torch.device(device)
        self.records = recipe.compiled and self.device.type == "cuda"
        # Two static graphs, for full batches and an epoch's last one, instead of a slower one for any size.
        fused = recipe.compiled and not self.records
        self.forward = torch.compile(model, dynamic=False) if fused else model
        self.loss_sum, self.correct = (torch.zeros((), device=device) for _ in range(2))
        self._recorded: dict[tuple, tuple[torch.cuda.CUDAGraph, Images] | None] = {}

    def reset(self) -> None:
        """Begin the sums anew."""
        self.loss_sum.zero_()
        self.correct.zero_()

    def __call__(self, batch: Images) -> None:
        if not self.records:
            self._take(batch)
            return
        key = (len(batch), *(() if self.sparsity is None else self.sparsity.branches))
        if key not in self._recorded:
            # The first step of a kind is a plain one: libraries set themselves up, the momentum is made.
            self._recorded[key] = None
            self._take(batch)
            return
        if (recorded := self._recorded[key]) is None:
            recorded = self._recorded[key] = self._record(batch)
        graph, held = recorded
        held.pixels.copy_(batch.pixels)
        held.labels.copy_(batch.labels)
        graph.replay()

    def _record(self, batch: Images) -> tuple[torch.cuda.CUDAGraph, Images]:
        held = Images(batch.pixels.clone(), batch.labels.clone(), batch.mean, batch.std, batch.padding)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self._take(held)
        return graph, held

    def _take(self, batch: Images) -> None:
        images = normalize(batch).contiguous(memory_format=self.layout)
        with bf16.autocast(self.device, self.recipe.precision == "bf16"):
            answers = self.forward(images)
            loss = F.cross_entropy(answers.float(), batch.labels)
            if self.teacher is not None and self.recipe.distillation:
                loss = self._distilled(images, answers, loss)
        if self.sparsity is not None:
            loss = loss + self.sparsity.penalty()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.loss_sum += loss.detach()
        self.correct += (answers.detach().argmax(1) == batch.labels).sum()

    def _distilled(self, images: Tensor, answers: Tensor, loss: Tensor) -> Tensor:
        assert self.teacher is not None
        with torch.no_grad():
            soft = self.teacher(images).float().softmax(1)
        soft_loss = F.cross_entropy(answers.float(), soft)
        return (1 - self.recipe.distillation) * loss + self.recipe.distillation * soft_loss
