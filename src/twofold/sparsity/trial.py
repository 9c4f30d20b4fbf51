"""What a module with a ``forward`` of its own computes, found out by trying it on a copy.

A subclass is not its parent: a convolution may standardize its weight before use, or pad its input. Codes and
masks of a weight mean something only where the weight itself is what is multiplied. So a layer whose class
overrides what its parent computes is run once, on numbers of no meaning, and compared with its parent.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.layer import WeightLayer

__all__ = ["obstacle_in_forward", "output_dimension"]


_KINDS: tuple[Any, ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

_OVERRIDABLE = ("forward", "_conv_forward", "__call__")

# Of the largest output: far above what the order of a sum changes (TF32 on a GPU), far below any other use.
_TOLERANCE = 2e-3

_BLOCK = 2**16 + 1  # no divisor of any usual shape, so that no two rows of a weight are the same


def obstacle_in_forward(layer: WeightLayer) -> str | None:
    """Why a layer does not compute what its torch class computes of the same weight and input, or None.

    A class that overrides nothing is not tried. Hooks are left out, the mode is that of evaluation, and every
    float parameter and buffer holds random numbers meanwhile, so that a gain of 1 is seen, too. Neither the
    layer nor torch's random numbers change.

    Examples
    --------
    >>> class Standardized(nn.Linear):
    ...     def forward(self, inputs):
    ...         return functional.linear(inputs, self.weight - self.weight.mean(), self.bias)
    >>> print(obstacle_in_forward(nn.Linear(4, 2)))
    None
    >>> obstacle_in_forward(Standardized(4, 2)).split(";")[0]
    'Standardized has a forward of its own, and computes something else than Linear of the same weight'
    """
    kind = next(kind for kind in _KINDS if isinstance(layer, kind))
    own = [
        name
        for name in _OVERRIDABLE
        if name in vars(layer) or getattr(type(layer), name, None) is not getattr(kind, name, None)
    ]
    if not own:
        return None
    named = f"{type(layer).__name__} has a {own[0]} of its own"
    try:
        same = _computes(layer, _samples(layer), lambda twin, inputs: _parent(kind, twin, inputs))
    except _Untried as error:
        return f"{named}, and it cannot be tried on its own ({error}); take {kind.__name__} itself"
    if same:
        return None
    return (
        f"{named}, and computes something else than {kind.__name__} of the same weight; take "
        f"{kind.__name__} itself and put what is done to its input or output into modules around it"
    )


def output_dimension(module: nn.Module, parameter: str) -> int | None:
    """Which dimension of a matrix is the output of a module that does nothing else but multiply by it.

    Returns
    -------
    int or None
        0 of ``inputs @ matrix.t() + bias``, 1 of ``inputs @ matrix + bias`` (as transformers' ``Conv1D`` has
        it), the bias or not; None where the module is no such module.

    Examples
    --------
    >>> output_dimension(nn.Linear(3, 3), "weight"), output_dimension(nn.Bilinear(3, 3, 3), "weight")
    (0, None)
    """
    matrix = module._parameters[parameter]
    vectors = [name for name in module._parameters if name != parameter]
    if len(module._modules) or len(vectors) > 1 or matrix is None or matrix.dim() != 2:
        return None

    def product(turned: bool) -> Callable[[nn.Module, Tensor], Tensor]:
        def compute(twin: nn.Module, inputs: Tensor) -> Tensor:
            weight = twin._parameters[parameter]
            bias = twin._parameters[vectors[0]] if vectors else None
            return functional.linear(inputs, weight.t() if turned else weight, bias)

        return compute

    bias = module._parameters[vectors[0]] if vectors else None
    for dimension in (0, 1):
        if bias is not None and bias.shape != matrix.shape[dimension : dimension + 1]:
            continue
        samples = [(2, matrix.shape[1 - dimension]), (2, 3, matrix.shape[1 - dimension])]
        try:
            if _computes(module, samples, product(dimension == 1)):
                return dimension
        except _Untried:
            continue
    return None


class _Untried(Exception):
    pass


def _samples(layer: WeightLayer) -> list[tuple[int, ...]]:
    """Shapes of inputs, the usual one first."""
    if isinstance(layer, nn.Linear):
        return [(2, layer.in_features), (2, 3, layer.in_features), (2, 3, 3, layer.in_features)]
    sizes = [
        dilation * (kernel - 1) + 1 + 3 * stride
        for dilation, kernel, stride in zip(layer.dilation, layer.kernel_size, layer.stride, strict=True)
    ]
    if not isinstance(layer.padding, str):  # reflected padding must be smaller than what it reflects
        sizes = [size + int(margin) for size, margin in zip(sizes, layer.padding, strict=True)]
    return [(2, layer.in_channels, *sizes)]


def _parent(kind: Any, layer: WeightLayer, inputs: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return functional.linear(inputs, layer.weight, layer.bias)
    return kind._conv_forward(layer, inputs, layer.weight, layer.bias)


@torch.no_grad()
def _computes(
    module: nn.Module, shapes: list[tuple[int, ...]], expected: Callable[[nn.Module, Tensor], Tensor]
) -> bool:
    """Whether a copy of the module computes what is expected of it, of the first shape that it takes."""
    device = next(module.parameters()).device
    dtype = next(module.parameters()).dtype
    numbers = torch.Generator().manual_seed(0)
    block = 10 * torch.randn(_BLOCK, generator=numbers)
    why = "it takes no input of a usual shape"
    with _random_state_kept(device):
        try:
            # Without its hooks: those may hold on to anything, the whole model say.
            none: dict[int, Any] = {
                id(hooks): OrderedDict() for hooks in (module._forward_hooks, module._forward_pre_hooks)
            }
            twin = copy.deepcopy(module, none).eval()
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise _Untried(f"it cannot be copied: {error}") from error
        for tensor in (*twin.parameters(), *twin.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(_spread(block, tensor.shape))
            elif tensor.dtype == torch.bool:
                tensor.copy_(torch.rand(tensor.shape, generator=numbers) < 0.5)
        for shape in shapes:
            inputs = (10 * torch.randn(shape, generator=numbers)).to(device, dtype)
            # First: a forward may change the very weight, as those do that bound its norm.
            wanted = expected(twin, inputs.clone())
            try:
                found = twin(inputs)
            except Exception as error:  # whatever stands in somebody's forward
                why = f"{type(error).__name__}: {error}"
                continue
            bound = _TOLERANCE * wanted.abs().max()
            return (
                isinstance(found, Tensor)
                and found.shape == wanted.shape
                and bool(((found - wanted).abs() <= bound).all())
            )
    raise _Untried(why)


def _spread(block: Tensor, shape: torch.Size) -> Tensor:
    """The block's numbers over and over: new ones for a large weight would take seconds."""
    size = shape.numel()
    return block.repeat(-(-size // len(block)))[:size].view(shape)


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
