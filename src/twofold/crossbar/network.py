"""A finished network on crossbars, attached in one call: weights in cells, inputs bit by bit.

Convolutions are cut into their windows, one input vector a window, its rows in the order ``(channel, i, j)``
of the codes. Biases, batch norms and everything else stay digital and at full precision.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold.codes.quantizer import code_limit
from twofold.crossbar.matrix import Crossbar, ProgrammedMatrix
from twofold.inputs.scales import InputScale, quantize_inputs, scale_of, watch_inputs
from twofold.inputs.windows import check_convolution, window_view, windows
from twofold.layer import StoredLayer, WeightLayer, weight_layers

__all__ = ["on_crossbars", "program"]


# Bytes of a convolution's windows at once.
_WINDOW_BYTES = 2**22


def program(layers: Mapping[str, StoredLayer], machine: Crossbar) -> dict[str, ProgrammedMatrix]:
    """The codes of every layer in the cells of its own arrays, in the encoding that they were chosen for.

    Raises
    ------
    ValueError
        The machine's codes have other bits than a layer's (named).

    Examples
    --------
    >>> from twofold.crossbar.adc import Adc
    >>> layer = StoredLayer(torch.tensor([[5, -3]]), 1.0, torch.tensor([[True, True]]))
    >>> program({"fc": layer}, Crossbar(adc=Adc(range_rule="none")))["fc"].cells.shape
    torch.Size([5, 1, 2])
    """
    found = {}
    for name, layer in layers.items():
        if layer.bits != machine.bits:
            raise ValueError(f"layer {name} has codes of {layer.bits} bits, the machine of {machine.bits}")
        encoding = layer.encoding_in("crossbar", machine.encoding)
        found[name] = ProgrammedMatrix(layer.codes, replace(machine, encoding=encoding), name)
    return found


@contextmanager
def on_crossbars(
    model: nn.Module,
    layers: Mapping[str, StoredLayer],
    scales: Mapping[str, InputScale],
    machine: Crossbar,
    *,
    calibration: Float[Tensor, "images ..."] | None = None,
    matrices: Mapping[str, ProgrammedMatrix] | None = None,
    count: bool = False,
) -> Iterator[nn.Module]:
    """Within the context the convolutions and linear layers of `model` compute on crossbars.

    Parameters
    ----------
    model
        The finished network. Its biases are used; its weights must be what the codes say.
    layers
        Codes and weight scales of every convolution and linear layer; scales are applied after the converter.
    scales
        Input range of every layer, from :func:`~twofold.inputs.scales.activation_scales` on training images.
    calibration
        Training images that set the range of ``calibrated`` converters; they pass without a converter.
    matrices
        Layers already programmed for `machine`, from `program`; None programs them anew.
    count
        Count the ones that each layer's rows carry, in the `activity` of its matrix.

    Raises
    ------
    ValueError
        A layer without codes or scale, one whose weight is not what its codes mean with the machine's bits, a
        convolution that is no single crossbar, or calibrated converters without calibration images.

    Warns
    -----
    UserWarning
        At the end, where the model was called and weights that have codes were not used by calls of their
        layers: what a function multiplies them by (attention does) was computed digitally.

    Examples
    --------
    A layer in 1-bit cells, once exactly, and once through converters of 3 bits:

    >>> from twofold.codes.quantizer import quantize
    >>> from twofold.crossbar.adc import Adc
    >>> model, images = nn.Linear(16, 2, bias=False), torch.linspace(0, 1, 16)[None]
    >>> codes = quantize(torch.linspace(-1, 1, 32).view(2, 16))
    >>> layers = {"": StoredLayer(codes, scale=1.0, keep=torch.ones_like(codes, dtype=torch.bool))}
    >>> _ = model.weight.data.copy_(layers[""].weight_like(model.weight))
    >>> scales = {"": InputScale(1.0, signed=False)}
    >>> for adc in (Adc(range_rule="none"), Adc(range_rule="active_rows", bits=3)):
    ...     with on_crossbars(model, layers, scales, Crossbar(adc=adc, slices=(1,) * 8)):
    ...         model(images).detach()
    tensor([[-2.6609,  5.5911]])
    tensor([[-3.0968,  6.3808]])
    """
    found = weight_layers(model)
    if missing := [name for name in found if name not in layers]:
        raise ValueError(f"no codes of {', '.join(missing)}; there are codes of {', '.join(layers)}")
    calibrated = machine.adc.range_rule == "calibrated"
    if inside := [name for name, layer in found.items() if "forward" in vars(layer)]:
        raise ValueError(
            f"layer {inside[0]} has a forward of its own, of another crossbar say; leave that first"
        )
    if matrices is None:
        matrices = program({name: layers[name] for name in found}, machine)
    for name in found:
        own = replace(machine, encoding=layers[name].encoding_in("crossbar", machine.encoding))
        if name not in matrices or matrices[name].machine != own:
            raise ValueError(f"matrices hold no layer {name!r} that was programmed for this machine")
    bits = machine.input_bits
    steps = {}
    for name in found:
        if not isinstance(found[name], nn.Linear):
            check_convolution(name, found[name])
        weight = found[name].weight.detach()
        meant = layers[name].weight_like(weight).to(weight.dtype)
        if not torch.allclose(weight, meant, rtol=1e-3, atol=0):
            raise ValueError(
                f"the weight of layer {name} is not what its codes mean as {layers[name].bits} bits; give a "
                "model that holds its weights"
            )
        scale, own_scale = scale_of(name, scales), layers[name].scale
        if isinstance(own_scale, Tensor):
            own_scale = own_scale.detach().cpu().double()[:, None]
        steps[name] = own_scale / code_limit(layers[name].bits) * scale.scale / scale.limit(bits)
    if calibrated and calibration is None:
        raise ValueError("the ADC is calibrated: give calibration images")

    called: set[str] = set()

    def forward(own: Mapping[str, ProgrammedMatrix], name: str, layer: nn.Module, inputs: Tensor) -> Tensor:
        called.add(name)
        if not inputs.numel():  # no vector is read: an expert whom no token was sent
            return type(layer).forward(layer, inputs)
        scale, matrix = scales[name], own[name]
        parts = [
            matrix.product(vectors, scale.signed, count) for vectors in _vectors(layer, inputs, scale, bits)
        ]
        outputs = (torch.cat(parts, 1) * steps[name]).to(inputs.dtype)
        if layer.bias is not None:
            outputs += layer.bias.detach()[:, None]
        if isinstance(layer, nn.Linear):
            return outputs.t().reshape(*inputs.shape[:-1], -1)
        images = inputs.reshape(-1, *inputs.shape[-3:])
        size = window_view(images[:1, :1], layer).shape[-2:]
        shaped = outputs.view(matrix.outputs, len(images), *size).transpose(0, 1)
        return shaped.reshape(*inputs.shape[:-3], *shaped.shape[1:])

    if calibrated:
        ideal = replace(
            machine,
            adc=replace(machine.adc, range_rule="none"),
            device=replace(machine.device, read_noise=0.0),
        )

        def see(name: str, layer: nn.Module, inputs: Tensor) -> None:
            for vectors in _vectors(layer, inputs, scales[name], bits):
                matrices[name].observe(vectors, scales[name].signed)

        with _computing(found, partial(forward, program({name: layers[name] for name in found}, ideal))):
            watch_inputs(model, calibration, 16, see)
        called.clear()

    ran: set[nn.Module] = set()
    watch = model.register_forward_pre_hook(lambda module, _: ran.add(module))
    try:
        with _computing(found, partial(forward, matrices)):
            yield model
    finally:
        watch.remove()
    passed = [name for name in layers if name not in called]
    if (ran or called) and passed:
        warnings.warn(
            f"nothing of {', '.join(passed)} was computed on crossbars: no call of these layers came by, and "
            "what a function multiplies by their weights cannot be replaced",
            stacklevel=3,
        )


@contextmanager
def _computing(layers: Mapping[str, WeightLayer], forward: Callable[..., Tensor]) -> Iterator[None]:
    """Within the context the layers compute by `forward`, which is given name, layer and inputs."""
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # an encoder would multiply past its linear layers
        for name, layer in layers.items():
            layer.forward = partial(forward, name, layer)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for layer in layers.values():
            layer.__dict__.pop("forward", None)


def _vectors(layer: nn.Module, inputs: Tensor, scale: InputScale, input_bits: int) -> Iterator[Tensor]:
    """Quantized inputs of a layer as columns, some images at a time."""
    if isinstance(layer, nn.Linear):
        yield quantize_inputs(inputs.reshape(-1, layer.in_features), scale, input_bits).t()
        return
    images = inputs.reshape(-1, *inputs.shape[-3:])
    bytes_each = layer.weight[0].numel() * images[0, 0].numel()
    for part in images.split(max(_WINDOW_BYTES // bytes_each, 1)):
        yield windows(quantize_inputs(part, scale, input_bits), layer)
