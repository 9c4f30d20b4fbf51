"""What a module with a ``forward`` of its own computes, found out by trying it on a copy.

A subclass is not its parent: a convolution may standardize its weight before use, or pad its input. Codes and
masks of a weight mean something only where the weight itself is what is multiplied. So a layer whose class
overrides what its parent computes is run on numbers of no meaning, under a watch of torch's operations, and
what it multiplies is compared with what its parent does.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.inputs.products import ProductWatch
from twofold.layer import WeightLayer

__all__ = ["obstacle_in_forward", "obstacle_in_kind", "output_dimension"]


_KINDS: tuple[Any, ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

# Their parameters are attached by name. What a subclass multiplies by is known only where it is one matrix.
_NAMED_KINDS = (
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Bilinear, nn.MultiheadAttention),
    *(nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell),
)

_CONV1D = "transformers.pytorch_utils.Conv1D"  # by its name: transformers need not be installed

_OVERRIDABLE = ("forward", "_conv_forward", "__call__", "__getattr__", "__getattribute__")

# Of the largest output: far above what the order of a sum changes, far below any other use.
_TOLERANCE = 1e-4

_MAGNITUDES = (1e-3, 1.0, 1e4)  # of inputs: a step or a bound of fixed size is seen in one of them

_BLOCK = 2**16 + 1  # no divisor of any usual shape, so that no two rows of a weight are the same


def obstacle_in_forward(layer: WeightLayer) -> str | None:
    """Why a layer does not compute what its torch class computes of the same weight and input, or None.

    A class that overrides nothing is not tried. Of the others nothing but the product may read the weight, in
    evaluation and in training; and in evaluation inputs and outputs must be its parent's, whatever their
    size and shape (in training some inputs may be dropped). Hooks are left out, and every float parameter and
    buffer holds random numbers meanwhile, so that a gain of 1 is seen, too. Neither the layer nor torch's
    random numbers change.

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
    own = _own(layer, kind)
    if own is None:
        return None
    named = f"{type(layer).__name__} has a {own} of its own"
    try:
        same = _computes(layer, "weight", _samples(layer), lambda twin, inputs: _parent(kind, twin, inputs))
    except _Untried as error:
        return f"{named}, and it cannot be tried on its own ({error}); take {kind.__name__} itself"
    if same:
        return None
    return (
        f"{named}, and computes something else than {kind.__name__} of the same weight; take "
        f"{kind.__name__} itself and put what is done to its input or output into modules around it"
    )


def obstacle_in_kind(module: nn.Module, parameter: str) -> str | None:
    """Why a parameter that is named may not be what a module of a known kind multiplies by, or None.

    Known are torch's transposed convolutions, recurrent layers, bilinear ones and attention, and the
    ``Conv1D`` of transformers. A module of another kind is taken at the word of whoever names its parameter.

    Examples
    --------
    >>> class Doubled(nn.LSTM):
    ...     def forward(self, inputs):
    ...         return super().forward(2 * inputs)
    >>> print(obstacle_in_kind(nn.LSTM(4, 2), "weight_hh_l0"))
    None
    >>> obstacle_in_kind(Doubled(4, 2), "weight_hh_l0")
    'Doubled has a forward of its own, so that what it multiplies by is not known; take LSTM itself'
    """
    for kind in type(module).__mro__:
        if kind in _NAMED_KINDS or f"{kind.__module__}.{kind.__qualname__}" == _CONV1D:
            break
    else:
        return None
    own = _own(module, kind)
    if own is None or output_dimension(module, parameter) is not None:
        return None
    return (
        f"{type(module).__name__} has a {own} of its own, so that what it multiplies by is not known; "
        f"take {kind.__name__} itself"
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
            if _computes(module, parameter, samples, product(dimension == 1)):
                return dimension
        except _Untried:
            continue
    return None


class _Untried(Exception):
    pass


def _own(module: nn.Module, kind: Any) -> str | None:
    """What a module overrides of all that decides what its kind computes, the first of it, or None."""
    for name in _OVERRIDABLE:
        if name in vars(module) or getattr(type(module), name, None) is not getattr(kind, name, None):
            return name
    return None


def _samples(layer: WeightLayer) -> list[tuple[int, ...]]:
    """Shapes of inputs: each number of dimensions that the layer's kind takes, even and odd sizes."""
    if isinstance(layer, nn.Linear):
        return [(*before, layer.in_features) for before in ((2,), (2, 3), (2, 3, 3), ())]
    sizes = [
        dilation * (kernel - 1) + 1 + 3 * stride
        for dilation, kernel, stride in zip(layer.dilation, layer.kernel_size, layer.stride, strict=True)
    ]
    if not isinstance(layer.padding, str):  # reflected padding must be smaller than what it reflects
        sizes = [size + int(margin) for size, margin in zip(sizes, layer.padding, strict=True)]
    larger = [size + more for more, size in enumerate(sizes, 1)]
    return [(2, layer.in_channels, *sizes), (1, layer.in_channels, *larger), (layer.in_channels, *larger)]


def _parent(kind: Any, layer: WeightLayer, inputs: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return functional.linear(inputs, layer.weight, layer.bias)
    return kind._conv_forward(layer, inputs, layer.weight, layer.bias)


@torch.no_grad()
def _computes(
    module: nn.Module,
    parameter: str,
    shapes: list[tuple[int, ...]],
    expected: Callable[[nn.Module, Tensor], Tensor],
) -> bool:
    """Whether a copy of the module multiplies by the parameter as expected, and does nothing else.

    Shapes that it does not take are passed over: an error is seen by whoever uses it so.
    """
    device = next(module.parameters()).device
    dtype = next(module.parameters()).dtype
    numbers = torch.Generator().manual_seed(0)
    with _random_state_kept(device), torch.autocast(device.type, enabled=False):
        twin = _twin(module, numbers)
        for training in (False, True):
            twin.train(training)
            tried, why = False, ""
            for shape in shapes:
                for magnitude in (1.0,) if training or tried else _MAGNITUDES:
                    inputs = (magnitude * torch.randn(shape, generator=numbers)).to(device, dtype)
                    weight = twin._parameters[parameter]
                    # First: a forward may change the very weight, as those do that bound its norm.
                    wanted = None if training else _watched(partial(expected, twin), inputs.clone(), weight)
                    try:
                        found = _watched(twin, inputs, weight)
                    except Exception as error:  # whatever stands in somebody's forward
                        why = f"{type(error).__name__}: {error}"
                        break
                    tried = True
                    if not (found.inputs if wanted is None else _alike(found, wanted)):
                        return False
            if not tried:
                raise _Untried(why)
    return True


def _twin(module: nn.Module, numbers: torch.Generator) -> nn.Module:
    """A copy that holds random numbers."""
    try:
        # Without its hooks: those may hold on to anything, the whole model say.
        none: dict[int, Any] = {
            id(hooks): OrderedDict() for hooks in (module._forward_hooks, module._forward_pre_hooks)
        }
        twin = copy.deepcopy(module, none)
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        raise _Untried(f"it cannot be copied: {error}") from error
    block = torch.randn(_BLOCK, generator=numbers)
    for tensor in (*twin.parameters(), *twin.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(_spread(block, tensor.shape))
        elif tensor.dtype == torch.bool:
            tensor.copy_(torch.rand(tensor.shape, generator=numbers) < 0.5)
    return twin


class _Seen(NamedTuple):
    """What came out, and the inputs of each product with the weight: none where anything else reads it."""

    output: Any
    inputs: list[Tensor]


def _watched(compute: Callable[[Tensor], Any], inputs: Tensor, weight: Tensor | None) -> _Seen:
    given: list[Tensor] = []
    weights = {} if weight is None else {"weight": weight}
    with ProductWatch(weights, lambda _name, _layer, factor: given.append(factor)) as watch:
        output = compute(inputs)
    return _Seen(output, [] if watch.otherwise or watch.uncounted else given)


def _alike(found: _Seen, wanted: _Seen) -> bool:
    if not isinstance(found.output, Tensor) or found.output.shape != wanted.output.shape:
        return False
    bound = _TOLERANCE * wanted.output.abs().max()
    return (
        len(found.inputs) == len(wanted.inputs) == 1
        and torch.equal(found.inputs[0], wanted.inputs[0])
        and bool(((found.output - wanted.output).abs() <= bound).all())
    )


def _spread(block: Tensor, shape: torch.Size) -> Tensor:
    """The block's numbers over and over: new ones for a large weight would take seconds."""
    size = shape.numel()
    return block.repeat(-(-size // len(block)))[:size].view(shape)


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
