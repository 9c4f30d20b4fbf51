"""Products with a weight that happen outside of its layer, found among all of torch's operations.

A model may hand the weight of a layer to a function (attention does, and Swin), or multiply by a parameter
that belongs to no layer. No hook sees either. But every operation passes by here, and a product is one that
reads the memory of a weight.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode_temporarily

__all__ = ["ProductWatch"]


_CONVOLUTION = torch.ops.aten.convolution.default

# Where the factors that may be a weight are among a product's arguments.
_FACTORS: dict[Any, tuple[int, ...]] = {
    _CONVOLUTION: (1,),
    torch.ops.aten.mm.default: (0, 1),
    torch.ops.aten.addmm.default: (1, 2),
    torch.ops.aten.bmm.default: (0, 1),
    torch.ops.aten.baddbmm.default: (1, 2),
    torch.ops.aten.mv.default: (0, 1),
    torch.ops.aten.addmv.default: (1, 2),
}


class ProductWatch(TorchDispatchMode):
    """Within the context ``see`` is shown the inputs of every product with one of the weights.

    Parameters
    ----------
    weights
        The tensors to watch by name. They must stay the same ones.
    see
        Called with a weight's name, a module that stands for what is computed (a linear layer, or a
        convolution with its strides and margins), and the inputs.
    inside
        Names that are left out while they are in there: their layer is at work, and told already.
    others
        Tensors by name of which only a product is noted.

    Attributes
    ----------
    otherwise : dict
        What else, by name, reads a weight as a whole or in part; views do not count.
    uncounted : dict
        Which products, by name, with a weight have no inputs that ``see`` could be shown.
    outputs : dict
        Which dimensions, by name, of a weight the products that were shown had as their outputs, as a matrix;
        -1 where that is not one of its first two alone.
    beside : set
        Names of those others that a product was seen with.
    used : bool
        Whether anything came by, a product or other, with a weight.

    Examples
    --------
    >>> weight, inputs = torch.ones(3, 2), torch.ones(4, 2)
    >>> def see(name, layer, inputs):
    ...     print(name, layer, tuple(inputs.shape))
    >>> with ProductWatch({"mix": weight}, see) as products:
    ...     _ = inputs @ weight.t()
    ...     _ = weight.sum()
    mix Linear(in_features=2, out_features=3, bias=False) (4, 2)
    >>> products.otherwise
    {'mix': 'aten.sum'}
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        see: Callable[[str, nn.Module, Tensor], None],
        inside: Collection[str] = (),
        others: Mapping[str, Tensor] = MappingProxyType({}),
    ):
        super().__init__()
        self.see = see
        self.inside = inside
        self.otherwise: dict[str, str] = {}
        self.uncounted: dict[str, str] = {}
        self.outputs: dict[str, set[int]] = {}
        self.beside: set[str] = set()
        self.used = False
        self.on = False
        self.weights = weights
        self.tensors = {**others, **weights}
        self.names: dict[int, list[str]] = {}
        for name, weight in self.tensors.items():
            if (address := _address(weight)) is not None:
                self.names.setdefault(address, []).append(name)

    def __enter__(self) -> "ProductWatch":
        self.on = True
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.on = False
        super().__exit__(*error)

    def paused(self) -> AbstractContextManager[Any]:
        """Within it nothing is watched: what only looks at inputs takes half the time then."""
        return _pop_mode_temporarily() if self.on else nullcontext()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        found = operation(*args, **(kwargs or {}))
        for factor in _tensors([*args, *(kwargs or {}).values()]):
            for name in self.names.get(_address(factor), ()):
                if name in self.inside or not _overlap(factor, self.tensors[name]):
                    continue
                viewed = isinstance(found, Tensor) and _address(found) == _address(factor)
                if viewed and not operation._schema.is_mutable:  # which would write to the weight itself
                    continue
                product = any(args[place] is factor for place in _FACTORS.get(operation, ()))
                if name not in self.weights:
                    if product:
                        self.beside.add(name)
                    continue
                self.used = True
                told = str(operation).removesuffix(".default")
                if not product:
                    self.otherwise[name] = told
                elif why := _uncountable(operation, args, factor, self.weights[name]):
                    self.uncounted[name] = f"{why} ({told})"
                else:
                    self._see(name, operation, args, factor)
        return found

    def _see(self, name: str, operation: Any, args: tuple, factor: Tensor) -> None:
        """Show the inputs of a product with the weight."""
        if operation is _CONVOLUTION:
            self._note_outputs(name, factor.shape[0], factor.stride(0))
            self.see(name, _convolution(factor, args[3], args[4], args[5], args[8]), args[0])
            return
        left, right = (args[position] for position in _FACTORS[operation])
        if factor is right:
            inputs, outputs = left.flatten(0, -2), factor.stride(-1)
        else:
            inputs = right[:, None].t() if right.dim() == 1 else right.transpose(-1, -2).flatten(0, -2)
            outputs = factor.stride(-2)
        rows = inputs.shape[1]
        columns = _once(factor).numel() // rows
        self._note_outputs(name, columns, outputs)
        self.see(name, nn.Linear(rows, columns, bias=False, device="meta"), inputs)

    def _note_outputs(self, name: str, columns: int, stride: int) -> None:
        """Which dimension of the weight has so many outputs, so far apart in memory."""
        weight = self.weights[name]
        if sum(length > 1 for length in weight.shape) > 1:
            lengths = [*zip(weight.shape, weight.stride(), strict=True)][:2]
            fitting = [dim for dim, own in enumerate(lengths) if own == (columns, stride)]
            self.outputs.setdefault(name, set()).add(fitting[0] if fitting else -1)


def _uncountable(operation: Any, args: tuple, factor: Tensor, weight: Tensor) -> str | None:
    """What stands in the way of showing the inputs of a product with this factor, or None."""
    if factor.data_ptr() != weight.data_ptr() or _once(factor).numel() != weight.numel():
        return "a part of its weight"
    if operation is _CONVOLUTION:
        return "its weight in a transposed convolution" if args[6] else None
    if factor.dim() == 3 and factor.shape[0] > 1 and factor.stride(0):
        return "a matrix for each member of the batch"
    return None


def _convolution(
    weight: Tensor, stride: list[int], padding: list[int], dilation: list[int], groups: int
) -> nn.Module:
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[weight.dim() - 2]
    outputs, inputs, *kernel = weight.shape
    sizes = inputs * groups, outputs, tuple(kernel), tuple(stride), tuple(padding), tuple(dilation)
    return kind(*sizes, groups=groups, bias=False, device="meta")


def _once(factor: Tensor) -> Tensor:
    """A tensor without the dimensions along which it only repeats itself."""
    lengths = zip(factor.shape, factor.stride(), strict=True)
    return factor[tuple(0 if length > 1 and not step else slice(None) for length, step in lengths)]


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _address(tensor: Tensor) -> int | None:
    """Where the memory of a tensor begins, None where it has none of its own."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return None
    return tensor.untyped_storage().data_ptr() or None


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Whether two dense tensors in one memory share a part of it."""
    (a_start, a_end), (b_start, b_end) = (
        (start, start + tensor.numel() * tensor.element_size())
        for tensor in (a, b)
        for start in (tensor.data_ptr(),)
    )
    return a_start < b_end and b_start < a_end
