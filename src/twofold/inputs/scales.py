"""Inputs of a crossbar: activations on a grid of few bits, its range per layer calibrated on training images.

The slides say nothing of activations. Here they are 8-bit integers, unsigned behind a ReLU and signed where
negative inputs occur; batch norm and all else stays digital and at full precision.
"""

import math
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int8, Int32, UInt8
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils import parametrize

from twofold.inputs.products import ProductWatch

__all__ = [
    "PART",
    "Feed",
    "InputScale",
    "activation_scales",
    "calibrate",
    "channels_last",
    "check_images",
    "quantize_inputs",
    "quantized_activations",
    "quantizer",
    "scale_of",
    "watch_inputs",
]


Feed = Callable[[nn.Module], object]
"""What runs a model on inputs of any kind, as ``lambda model: model(**batch)``. It may be called twice."""


# Between 2^23 and 2^24 floats are the integers: adding this rounds, half to even, and the low bits of the sum
# are then the code itself, without a conversion. The same number once more as float32 writes it.
_TO_INTEGER = np.float32(1.5 * 2.0**23)
_TO_INTEGER_BITS = 0x4B400000

# Evaluated here once: a function's own annotations are anew each time that it is made.
_Floats = Float32[np.ndarray, "*shape"]
_Integers = Int32[np.ndarray, "*shape"]

PART = 2**17
"""Inputs are quantized in parts of about so many, whose floats stay in the cache from pass to pass."""


class InputScale(NamedTuple):
    """The range that a layer's quantized inputs span: ``[0, scale]``, or ``[-scale, scale]`` where signed.

    Attributes
    ----------
    scale
        The largest input, in the unit of the activations.
    signed
        Whether inputs may be negative.

    Examples
    --------
    >>> InputScale(3.0, signed=False).limit(8), InputScale(3.0, signed=True).limit(8)
    (255, 127)
    """

    scale: float
    signed: bool

    def limit(self, input_bits: int) -> int:
        """The largest integer input: 255 of 8 unsigned bits, 127 of signed ones.

        Raises
        ------
        ValueError
            Bits outside 1..16 (2..16 where signed), or a scale that is not positive and finite.
        """
        if not 1 + self.signed <= input_bits <= 16:
            raise ValueError(f"input_bits is {input_bits}, allowed are {1 + self.signed}..16")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"an input's scale is {self.scale}, allowed are finite numbers above 0")
        return 2 ** (input_bits - self.signed) - 1


def quantize_inputs(
    inputs: Float[Tensor, "*shape"], scale: InputScale, input_bits: int = 8
) -> UInt8[Tensor, "*shape"] | Int8[Tensor, "*shape"] | Int32[Tensor, "*shape"]:
    """Integer inputs: ``0..2^b - 1`` of an unsigned scale, ``-(2^(b-1)-1)..2^(b-1)-1`` of a signed one.

    Rounds half to even; inputs beyond the scale saturate. uint8 or int8 up to 8 bits, int32 above. Errors are
    those of `InputScale.limit`.

    Examples
    --------
    >>> quantize_inputs(torch.tensor([1.0, -3.0]), InputScale(3.0, signed=True))
    tensor([  42, -127], dtype=torch.int8)
    """
    limit = scale.limit(input_bits)
    code = (torch.int8 if scale.signed else torch.uint8) if input_bits <= 8 else torch.int32
    if inputs.device.type != "cpu":
        grid = (inputs.float() * (limit / scale.scale)).round_()
        return grid.clamp_(-limit if scale.signed else 0, limit).to(code)
    if channels_last(inputs):
        return quantize_inputs(inputs.movedim(1, -1), scale, input_bits).movedim(-1, 1)
    codes = torch.empty(inputs.shape, dtype=code)
    given, own = inputs.detach().float().reshape(-1).numpy(), codes.view(-1).numpy()
    in_integers = quantizer(scale, input_bits)
    for start in range(0, len(given), PART):
        part = slice(start, start + PART)
        np.copyto(own[part], in_integers(given[part]), casting="unsafe")
    return codes.sub_(_TO_INTEGER_BITS) if input_bits > 8 else codes


def quantizer(
    scale: InputScale, input_bits: int, most: int = PART
) -> Callable[[Float32[np.ndarray, "*shape"]], Int32[np.ndarray, "*shape"]]:
    """What writes the codes of up to `most` inputs into the lowest bits of integers, with numpy.

    It works in one room, whose floats stay in the cache: what it returned is gone when it is called again.

    Examples
    --------
    >>> in_integers = quantizer(InputScale(3.0, signed=False), input_bits=2)
    >>> (in_integers(np.array([0.6, 3.0], np.float32)) & 3).tolist()
    [1, 3]
    """
    limit = scale.limit(input_bits)
    factor, lowest = np.float32(limit / scale.scale), -limit if scale.signed else 0
    room = np.empty(most, np.float32)
    same_room = torch.from_numpy(room)

    def in_integers(inputs: _Floats) -> _Integers:
        grid = room[: inputs.size].reshape(inputs.shape)
        np.multiply(inputs, factor, out=grid)
        same_room[: inputs.size].clamp_(lowest, limit)  # numpy's takes half as long again
        np.add(grid, _TO_INTEGER, out=grid)
        return grid.view(np.int32)

    return in_integers


def channels_last(inputs: Tensor) -> bool:
    """Whether these are maps that have their channels side by side in memory."""
    return inputs.dim() == 4 and not inputs.is_contiguous() and inputs.movedim(1, -1).is_contiguous()


def activation_scales(
    model: nn.Module,
    images: Float[Tensor, "images ..."] | Feed,
    percentile: float | None = None,
    batch_size: int = 128,
    layers: Collection[str] | None = None,
) -> dict[str, InputScale]:
    """Range of the inputs of each convolution and linear layer, to be calibrated on training images.

    A layer that never sees a negative input, such as one behind a ReLU, is unsigned; the first layer of a
    network for normalized images is signed. Inputs that are all zero get scale 1, and so the codes 0.

    Parameters
    ----------
    images
        One tensor; or, for a model of other inputs, a callable that runs it on them.
    percentile
        None: the scale is the largest magnitude seen. Else, within (0, 100], this percentile of all
        magnitudes, the mean over the batches; fewer levels are then wasted on outliers.
    layers
        Names of those that count; None: all.

    Raises
    ------
    ValueError
        A percentile outside (0, 100], a layer's input that is NaN or infinite (the message names the layer);
        and as `watch_inputs`.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> scales = activation_scales(model, torch.tensor([[1.0, -3.0], [2.0, 0.5]]))
    >>> scales["0"], scales["2"].signed  # behind a ReLU there is no sign
    (InputScale(scale=3.0, signed=True), False)
    """
    return calibrate(model, images, percentile, batch_size, layers)[0]


def calibrate(
    model: nn.Module,
    images: Float[Tensor, "images ..."] | Feed,
    percentile: float | None = None,
    batch_size: int = 128,
    layers: Collection[str] | None = None,
) -> tuple[dict[str, InputScale], ProductWatch]:
    """What `activation_scales` returns, and what was seen of products outside of the layers.

    Examples
    --------
    >>> found, products = calibrate(nn.Linear(2, 1), torch.ones(3, 2))
    >>> found, products.outputs
    ({'': InputScale(scale=1.0, signed=False)}, {})
    """
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(f"percentile is {percentile}, allowed are None or (0, 100]")
    lowest: dict[str, float] = {}
    spans: dict[str, list[float]] = {}

    def see(name: str, _layer: nn.Module, inputs: Tensor) -> None:
        sizes = inputs.abs().flatten()
        span = sizes.max().item()  # NaN where any is, so one number tells of them all
        if not math.isfinite(span):
            bad = int((~torch.isfinite(sizes)).sum())
            raise ValueError(f"{bad} of {sizes.numel()} inputs of layer {name} are NaN or infinite")
        if percentile is not None:
            span = sizes.kthvalue(math.ceil(percentile / 100 * sizes.numel())).values.item()
        spans.setdefault(name, []).append(span)
        lowest[name] = min(lowest.get(name, 0.0), inputs.min().item())

    products = watch_inputs(model, images, batch_size, see, layers)
    pick = max if percentile is None else fmean
    return {n: InputScale(pick(values) or 1.0, lowest[n] < 0) for n, values in spans.items()}, products


@contextmanager
def quantized_activations(
    model: nn.Module,
    scales: Mapping[str, InputScale],
    input_bits: int = 8,
    layers: Collection[str] | None = None,
) -> Iterator[nn.Module]:
    """Within the context every convolution and linear layer sees inputs rounded to `input_bits` (W8A8).

    `layers` names those that do; None: all. Weights stay as they are.

    Raises
    ------
    ValueError
        A layer has no scale (the message names it), or is a transposed convolution.

    Warns
    -----
    UserWarning
        At the end, where the model was called and weights that have a scale were not used by calls of their
        layers: what a function multiplies them by was not rounded.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.ones_(model.weight)
    >>> with quantized_activations(model, {"": InputScale(1.0, signed=False)}, input_bits=2):
    ...     model(torch.tensor([[0.3, 0.8]])).detach()  # 1/3 + 2/3
    tensor([[1.]])
    """

    called: set[str] = set()

    def replace(name: str, _layer: nn.Module, inputs: Tensor) -> Tensor:
        called.add(name)
        scale = scale_of(name, scales)
        codes = quantize_inputs(inputs, scale, input_bits)
        return (codes * (scale.scale / scale.limit(input_bits))).to(inputs.dtype)

    with _hooked(model, replace, layers):
        yield model
    passed = [name for name in scales if name not in called and (layers is None or name in layers)]
    if called and passed:
        warnings.warn(
            f"the inputs of {', '.join(passed)} were not rounded: no call of these layers came by, and what "
            "a function multiplies by their weights cannot be replaced",
            stacklevel=3,
        )


def watch_inputs(
    model: nn.Module,
    images: Float[Tensor, "images ..."] | Feed,
    batch_size: int,
    see: Callable[[str, nn.Module, Tensor], None],
    layers: Collection[str] | None = None,
) -> ProductWatch:
    """Run `images` through `model` in evaluation mode and show `see` each layer's name, module and input.

    A callable in their place is given the model, and runs it as it likes.

    A weight that a function multiplies by, past its layer or as a parameter of any module, counts as well:
    its module is then a stand-in of the same sizes. `layers` names such parameters, too. What is not used in
    evaluation mode is not shown. Returned is what was seen of such products, also of those with parameters
    and buffers that are not among the weights, in the first batch at least. Afterwards the model is as it
    was: modules go into evaluation mode and back by their own ``train``, which may do more than set the mode.

    Raises
    ------
    TypeError
        The images are no tensor, and no callable.
    ValueError
        An image holds NaN or infinite values, a convolution is transposed, or its input has no axis that
        counts the images, a weight is multiplied by in a way that shows no inputs to count (a part of it, or
        in a transposed convolution), or one among `layers` is only used by operations that have none, or what
        its codes are made of is multiplied by, past them (the message names the layer).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> def see(name, layer, inputs):
    ...     print(name, tuple(inputs.shape))
    >>> _ = watch_inputs(model, torch.rand(5, 2), batch_size=3, see=see)
    0 (3, 2)
    2 (3, 4)
    0 (2, 2)
    2 (2, 4)
    """
    if isinstance(images, Tensor) or not callable(images):
        check_images(images)
    # One that is not finite makes the sum so, which is read off in a single pass.
    if isinstance(images, Tensor) and not bool(torch.isfinite(images.sum())):
        bad = int((~torch.isfinite(images)).sum())
        if bad:
            raise ValueError(f"{bad} values of the images are NaN or infinite")

    seen: set[str] = set()
    inside: set[str] = set()

    def look(name: str, layer: nn.Module, inputs: Tensor) -> None:
        if isinstance(layer, nn.modules.conv._ConvNd) and inputs.dim() != len(layer.kernel_size) + 2:
            raise ValueError(
                f"layer {name}, a convolution, got an input of shape {tuple(inputs.shape)}; "
                "the images need a first axis that counts them, also where there is only one"
            )
        inside.add(name)
        with products.paused():
            show(name, layer, inputs)

    def show(name: str, layer: nn.Module, inputs: Tensor) -> None:
        seen.add(name)
        if inputs.numel():  # an expert whom no token was sent is called as well
            see(name, layer, inputs)

    modes = {layer: layer.training for layer in model.modules()}
    with ExitStack() as stack:
        # Last each mode itself; before it what else a module does with it, merged adapters say.
        for layer, mode in reversed(modes.items()):
            stack.callback(setattr, layer, "training", mode)
        for layer, mode in reversed(modes.items()):
            stack.callback(layer.train, mode)
        model.eval()  # batch norm must neither use nor move its statistics by these images
        stack.enter_context(torch.no_grad())
        stack.enter_context(_hooked(model, look, layers, inside.discard))
        stack.enter_context(parametrize.cached())  # a computed weight is one tensor throughout
        weights = _watched_weights(model, layers)
        stack.enter_context(_taken_apart(weights))
        watched = {name: weight for name, (_, weight) in weights.items()}
        trained = _trained(weights)
        products = ProductWatch(watched, show, inside, _others(model, watched) | dict(trained.values()))
        if not isinstance(images, Tensor):
            with products:
                images(model)
        # Watching every operation costs time; the first batch tells whether it is needed: not where all
        # layers are called.
        for index, batch in enumerate(images.split(batch_size) if isinstance(images, Tensor) else ()):
            if index == 0 or products.used or not seen.issuperset(watched):
                with products:
                    model(batch)
            else:
                model(batch)
    for name, (parameter, _) in trained.items():
        if parameter in products.beside:
            raise ValueError(
                f"layer {name} is not all that is multiplied by: a product takes {parameter}, which its "
                "weight is computed from; the model holds on to the parameter itself (in a list, say), and "
                "must look it up in its module at each pass"
            )
    for name, why in products.uncounted.items():
        raise ValueError(
            f"layer {name} is used by a product with {why}, whose inputs cannot be counted; leave it out "
            "of layers, with exclude when attaching, or report it without images"
        )
    if layers is not None:
        for name, operation in products.otherwise.items():
            if name not in seen:
                autocast = "measure without autocast, or " if operation == "aten._to_copy" else ""
                raise ValueError(
                    f"layer {name} is not called, and its weight is used by {operation}, which has no inputs "
                    f"that can be counted; {autocast}leave it out, with exclude when attaching"
                )
    return products


def check_images(images: object) -> None:
    """Raise ``TypeError`` where the images are no tensor, ``ValueError`` where they hold no values."""
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images is a {type(images).__name__}; one tensor is needed, its first axis the images: "
            "torch.from_numpy makes one of an array, and a model of several inputs is run by a callable, "
            "lambda model: model(**batch); report takes them as inputs=(args, kwargs)"
        )
    if images.is_meta:
        raise ValueError("images is on the meta device, which holds no values; make it on another")
    if not images.numel():
        raise ValueError(f"images is of shape {tuple(images.shape)}; its first axis must count the images")


def _watched_weights(model: nn.Module, layers: Collection[str] | None) -> dict[str, tuple[nn.Module, Tensor]]:
    """Module and weight of each layer, and of each parameter that is named."""
    modules = {_plain(name): module for name, module in model.named_modules()}
    if layers is None:
        layers = [n for n, m in modules.items() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)]
    found = {}
    for name in layers:
        path, _, parameter = name.rpartition(".")
        holder, own = (modules[name], "weight") if name in modules else (modules.get(path), parameter)
        weight = getattr(holder, own, None)
        if holder is not None and isinstance(weight, Tensor):
            found[name] = holder, weight
    return found


def _others(model: nn.Module, watched: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All parameters and buffers that are none of these and compute none, tied ones by each name."""
    known = {id(tensor) for tensor in watched.values()}
    named = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    return {
        _plain(name): tensor
        for name, tensor in named
        if id(tensor) not in known and ".parametrizations." not in f".{name}"
    }


def _trained(weights: Mapping[str, tuple[nn.Module, Tensor]]) -> dict[str, tuple[str, Tensor]]:
    """What the weight of each layer is computed from, with its name, where it is a tensor of its shape."""
    found = {}
    for name, (holder, weight) in weights.items():
        for parameter, slot in getattr(holder, "parametrizations", {}).items():
            own = getattr(slot, "original", None)
            if getattr(holder, parameter) is weight and own is not None and own.shape == weight.shape:
                path = name if parameter == "weight" else name.rpartition(".")[0]
                found[name] = f"{path}.parametrizations.{parameter}.original".lstrip("."), own
    return found


@contextmanager
def _taken_apart(weights: Mapping[str, tuple[nn.Module, Tensor]]) -> Iterator[None]:
    """Within the context torch computes attention, and recurrent layers that are watched, step by step."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        if any(isinstance(holder, nn.RNNBase) for holder, _ in weights.values()):
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def scale_of(name: str, scales: Mapping[str, InputScale]) -> InputScale:
    """The layer's scale, or a ``ValueError`` that names the layer."""
    if name not in scales:
        raise ValueError(f"layer {name} has no scale, there are scales for {', '.join(scales)}")
    return scales[name]


@contextmanager
def _hooked(
    model: nn.Module,
    hook: Callable[[str, nn.Module, Tensor], Tensor | None],
    layers: Collection[str] | None,
    leave: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Within the context the input of each layer goes through `hook`; `leave` is told when it is done."""

    def enter(name: str, layer: nn.Module, inputs: tuple, options: dict[str, Any]) -> tuple | None:
        if inputs:
            given = hook(name, layer, inputs[0])
            return None if given is None else ((given, *inputs[1:]), options)
        (key, value), *others = options.items()  # called as layer(input=...)
        given = hook(name, layer, value)
        return None if given is None else ((), {key: given, **dict(others)})

    def done(name: str, *_: Any) -> None:
        if leave is not None:
            leave(name)

    handles = []
    try:
        for path, layer in model.named_modules():
            name = _plain(path)
            if layers is not None and name not in layers:
                continue
            if isinstance(layer, _ConvTransposeNd):
                raise ValueError(
                    f"layer {name} is {layer}, allowed are Conv1d, Conv2d, Conv3d and Linear; "
                    "name those that count with layers"
                )
            if not isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
                continue
            handles.append(layer.register_forward_pre_hook(partial(enter, name), with_kwargs=True))
            handles.append(layer.register_forward_hook(partial(done, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _plain(name: str) -> str:
    """The name of a module where nothing is compiled: ``torch.compile`` puts a module of its own in."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")
