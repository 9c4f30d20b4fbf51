"""Training in bf16, also on a CPU that cannot multiply it.

Without AVX-512 torch convolves bf16 in plain loops, seven times as long as fp32 takes. Nothing calls for
them: a product of two bf16 numbers is exact in fp32, and the units that have bf16 sum such products in fp32.
So the factors, once rounded, are convolved in fp32 and the result is rounded: the same arithmetic, and a run
in bf16 may be made on either kind of CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["autocast", "convolution"]


@contextmanager
def autocast(device: torch.device, enabled: bool) -> Iterator[None]:
    """Torch's autocast to bf16; where the CPU is without bf16, `convolution` takes the place of torch's."""
    capability = torch.backends.cpu.get_cpu_capability()
    without = device.type == "cpu" and not capability.startswith(("AVX512", "SVE"))
    convolutions = _Convolutions() if enabled and without else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=enabled), convolutions:
        yield


class _Convolutions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (convolution if func is torch.conv2d else func)(*args, **(kwargs or {}))


def convolution(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, stride=1, padding=0, dilation=1, groups=1
) -> Tensor:
    """`torch.conv2d` of factors rounded to bf16, summed in fp32 and rounded; its gradients alike."""
    images, weight = images.bfloat16(), weight.bfloat16()
    bias = None if bias is None else bias.bfloat16()
    sizes = [[size, size] if isinstance(size, int) else [*size] for size in (stride, padding, dilation)]
    return _convolve(images, weight, bias, *sizes, groups)


# Operators of their own, with bf16 on both sides: what fuses a step would drop a rounding between two steps
# in fp32.
@torch.library.custom_op("companion::convolve_bf16", mutates_args=())
def _convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    bias = None if bias is None else bias.float()
    # Torch's own name for it, which neither autocast nor the mode above catches.
    return torch.ops.aten.convolution(
        images.float(), weight.float(), bias, stride, padding, dilation, False, [0, 0], groups
    ).bfloat16()


@_convolve.register_fake
def _(images, weight, bias, *sizes):
    return torch.conv2d(images, weight, bias, *sizes)


@torch.library.custom_op("companion::convolve_bf16_backward", mutates_args=())
def _convolve_backward(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    needed: list[bool],
) -> list[Tensor]:
    gradients = torch.ops.aten.convolution_backward(
        gradient.float(), images.float(), weight.float(), [len(weight)],
        stride, padding, dilation, False, [0, 0], groups, needed,
    )  # fmt: skip
    ours = _unfilled(images, weight, needed)
    return [own if given is None else own.copy_(given) for own, given in zip(ours, gradients, strict=True)]


@_convolve_backward.register_fake
def _(gradient, images, weight, stride, padding, dilation, groups, needed):
    return _unfilled(images, weight, needed)


def _unfilled(images: Tensor, weight: Tensor, needed: list[bool]) -> list[Tensor]:
    """Gradients yet to be filled in; each lies in memory as what it is of, whatever torch itself chooses."""
    whole = torch.empty_like(images), torch.empty_like(weight), weight.new_empty(len(weight))
    return [like if need else images.new_empty(0) for like, need in zip(whole, needed, strict=True)]


def _keep(ctx, inputs, output) -> None:
    images, weight, _, *ctx.sizes = inputs
    ctx.save_for_backward(images, weight)


def _gradients(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
    needed = [*ctx.needs_input_grad[:3]]
    given = _convolve_backward(gradient, *ctx.saved_tensors, *ctx.sizes, needed)
    return *(grad if need else None for grad, need in zip(given, needed, strict=True)), None, None, None, None


_convolve.register_autograd(_gradients, setup_context=_keep)
