"""Weights become integers, and back.

A layer's weights share one scale ``s = max|W|``, or those of each output channel do, and become codes
``k = round(W / s * (2^(b-1) - 1))``. How a code is then written in ones and zeros is a second choice:
:mod:`twofold.codes.encodings`.

Source: slide "Bit Sparsity: DNN Training under Bit Representation".
"""

import math

import torch
from jaxtyping import Bool, Float, Int, Int8, Int16
from torch import Tensor

__all__ = [
    "channel_scale",
    "check_bits",
    "check_clip_ratio",
    "code_limit",
    "dequantize",
    "fake_quantize",
    "quantize",
    "round_to_grid",
    "ternary_scale",
    "weight_scale",
]


_Scale = Float[Tensor, ""] | Float[Tensor, " out"] | float


def check_bits(bits: int) -> int:
    """Return `bits`, or raise ``ValueError`` where it is not within 2..16."""
    if not hasattr(bits, "__index__") or not 2 <= bits <= 16:
        raise ValueError(f"bits is {bits!r}, allowed are 2..16 (a sign and at least one bit of magnitude)")
    return bits


def check_clip_ratio(clip_ratio: float) -> float:
    """Return `clip_ratio`, or raise ``ValueError`` where it is not in (0, 4]."""
    if not 0 < clip_ratio <= 4:  # false for NaN as well
        raise ValueError(
            f"clip_ratio is {clip_ratio!r}; it must be a multiple of the largest weight in (0, 4]"
        )
    return clip_ratio


def code_limit(bits: int) -> int:
    """Largest code, ``2^(bits-1) - 1``; the smallest is its negative.

    Examples
    --------
    >>> code_limit(8)
    127
    """
    return 2 ** (check_bits(bits) - 1) - 1


# ---- float <-> integer ----


def weight_scale(weight: Float[Tensor, "*shape"], check: bool = True) -> Float[Tensor, ""]:
    """The scale ``s = max|W|`` of a layer, detached from the graph, in float32 or better.

    A tensor of zeros gets scale 1: every scale gives it the codes 0, and this one divides by no zero.
    Without `check` no number leaves the device, and a weight that is no number gives such a scale.

    Raises
    ------
    ValueError
        The tensor is empty, or holds NaN or infinite weights (the message counts them), or its largest weight
        is so small that the quantizer's step is no normal floating-point number.

    Examples
    --------
    >>> weight_scale(torch.tensor([1.0, -2.0, 0.02]))
    tensor(2.)
    """
    if weight.numel() == 0:
        raise ValueError(f"a weight of shape {tuple(weight.shape)} is empty and has no scale")
    low, high = weight.detach().aminmax()  # both carry NaN through, so one number tells of them all
    scale = _at_least_float32(torch.maximum(-low, high))
    if not check:
        return torch.where(scale == 0, 1.0, scale)
    largest = float(scale)
    if not math.isfinite(largest):
        bad = int((~torch.isfinite(weight)).sum())
        raise ValueError(f"{bad} of {weight.numel()} weights are NaN or infinite, finite ones are needed")
    if largest >= _smallest_scale(scale.dtype):  # nearly always, and each operation on a tensor takes time
        return scale
    return _check_scale(scale) if largest else torch.ones_like(scale)


def channel_scale(
    weight: Float[Tensor, "*shape"], output: int = 0, check: bool = True
) -> Float[Tensor, "*#shape"]:
    """The scales ``s = max|W|`` of each output channel, laid out to be multiplied by the weight.

    Detached from the graph, in float32 or better. A channel of zeros, or of weights too small for a step that
    is a normal floating-point number (dead channels decay to such), gets scale 1, and so the codes 0.

    Parameters
    ----------
    output
        The weight's dimension that counts its outputs.
    check
        As in `weight_scale`.

    Raises
    ------
    ValueError
        The tensor is empty, or holds NaN or infinite weights (the message counts them).

    Examples
    --------
    >>> channel_scale(torch.tensor([[1.0, -2.0], [0.0, 0.02]]))
    tensor([[2.0000],
            [0.0200]])
    >>> quantize(torch.tensor([[1.0, -2.0], [0.0, 0.02]]), scale=torch.tensor([2.0, 0.02]))
    tensor([[  64, -127],
            [   0,  127]], dtype=torch.int8)
    """
    if weight.numel() == 0:
        raise ValueError(f"a weight of shape {tuple(weight.shape)} is empty and has no scale")
    rest = [dim for dim in range(weight.dim()) if dim != output]
    sizes = _at_least_float32(weight.detach()).abs()
    scale = sizes.amax(rest, keepdim=True) if rest else sizes
    if check and not bool(torch.isfinite(scale).all()):
        bad = int((~torch.isfinite(weight)).sum())
        raise ValueError(f"{bad} of {weight.numel()} weights are NaN or infinite, finite ones are needed")
    return torch.where(scale < _smallest_scale(scale.dtype), 1.0, scale)


def ternary_scale(
    weight: Float[Tensor, "*shape"], keep: Bool[Tensor, "*shape"] | None = None, check: bool = True
) -> Float[Tensor, ""]:
    """A scale for the codes -1, 0, 1: ``s = 1.4 mean|W|``, so that they part at ``0.7 mean|W|``.

    With ``s = max|W|`` every weight below half of the largest becomes 0, which is nearly all of a bell-shaped
    layer. The threshold is that of ternary weight networks (Li et al. 2016, arXiv 1605.04711); their level is
    the mean of what lies beyond it (1.18 standard deviations of a normal distribution), here it is twice the
    threshold (1.12), so that one scale says both.

    Parameters
    ----------
    keep
        True where a weight is kept; the mean is taken over those. None: over all.
    check
        As in `weight_scale`, whose errors are raised here, too.

    Examples
    --------
    >>> weight = torch.tensor([1.0, -0.5, 0.3, 0.1])
    >>> quantize(weight, bits=2), quantize(weight, bits=2, scale=ternary_scale(weight))
    (tensor([1, 0, 0, 0], dtype=torch.int8), tensor([ 1, -1,  0,  0], dtype=torch.int8))
    """
    weight_scale(weight, check)  # refuses NaN, infinite and empty weights
    sizes = _at_least_float32(weight.detach()).abs()
    mean = sizes.mean() if keep is None else (sizes * keep).sum() / keep.sum()
    scale = torch.where(mean > 0, 1.4 * mean, torch.ones_like(mean))
    return _check_scale(scale) if check else scale


def quantize(
    weight: Float[Tensor, "*shape"], bits: int = 8, scale: _Scale | None = None
) -> Int8[Tensor, "*shape"] | Int16[Tensor, "*shape"]:
    """Integer codes ``k = round(W / s * (2^(bits-1) - 1))`` in ``[-code_limit, code_limit]``.

    Rounds half to even. Weights beyond a given `scale` saturate. int8 up to 8 bits, int16 above.

    Parameters
    ----------
    bits
        Of a code, 2..16.
    scale
        What the largest code stands for, in the unit of the weights: one number, or a vector of one for each
        output, the weight's first dimension. None: that of `weight_scale`.

    Raises
    ------
    ValueError
        Bits outside 2..16, a scale that is not positive and finite, another number of scales than of outputs,
        or weights that have none.

    Examples
    --------
    >>> quantize(torch.tensor([1.0, -0.4, 0.02]))
    tensor([127, -51,   3], dtype=torch.int8)
    >>> quantize(torch.tensor([1.0, -0.4, 0.02]), bits=4, scale=0.5)
    tensor([ 7, -6,  0], dtype=torch.int8)
    """
    step = _step(weight, bits, scale)
    return round_to_grid(weight.detach(), step, bits).to(torch.int8 if bits <= 8 else torch.int16)


def round_to_grid(
    weight: Float[Tensor, "*shape"], step: Float[Tensor, ""] | Float[Tensor, "*#shape"], bits: int
) -> Float[Tensor, "*shape"]:
    """Codes as floats, in the step's precision: ``round(W / step)``, saturated at the largest; no checks."""
    # Times the reciprocal of the step, not divided by it: torch's quantizers do so, and agreement in the last
    # bit decides which way a weight on the border of two codes falls.
    limit = code_limit(bits)
    return (weight.to(step.dtype) * step.reciprocal()).round_().clamp_(-limit, limit)


def dequantize(codes: Int[Tensor, "*shape"], scale: _Scale, bits: int = 8) -> Float[Tensor, "*shape"]:
    """The weights ``s * k / (2^(bits-1) - 1)`` that the codes stand for, in the scale's precision.

    Parameters
    ----------
    scale
        As in `quantize`: one number, or a vector of one for each output.

    Raises
    ------
    ValueError
        Bits outside 2..16, a scale that is not positive and finite, or another number of scales than of
        outputs.

    Examples
    --------
    >>> dequantize(torch.tensor([127, -51, 3]), scale=1.0)
    tensor([ 1.0000, -0.4016,  0.0236])
    """
    own = _by_output(torch.as_tensor(scale, device=codes.device), codes)
    step = _check_scale(own) / code_limit(bits)
    return codes.to(step.dtype) * step


def fake_quantize(
    weight: Float[Tensor, "*shape"], bits: int = 8, scale: _Scale | None = None
) -> Float[Tensor, "*shape"]:
    """``dequantize(quantize(weight))`` with a straight-through gradient.

    The gradient is 1 for weights within ``[-s, s]`` and 0 for those that saturate at a given `scale`
    (Bengio et al. 2013, arXiv 1308.3432, clipped as torch clips it); the scale itself is taken as a constant.
    Arguments and errors are those of `quantize`.

    Examples
    --------
    >>> weight = torch.tensor([1.0, -0.4, 0.02], requires_grad=True)
    >>> fake_quantize(weight, bits=4, scale=0.5).sum().backward()
    >>> weight.grad
    tensor([0., 1., 1.])
    """
    return _StraightThrough.apply(weight, _step(weight, bits, scale), bits)


class _StraightThrough(torch.autograd.Function):
    # A Function and not ``w + (q - w).detach()``: that sum rounds, and leaves the grid by a last bit.
    @staticmethod
    def forward(ctx, weight: Tensor, step: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(weight, step)
        ctx.bits = bits
        return (round_to_grid(weight, step, bits) * step).to(weight.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight, step = ctx.saved_tensors
        inside = (weight.to(step.dtype) * step.reciprocal()).round_().abs_() <= code_limit(ctx.bits)
        return gradient * inside, None, None


def _at_least_float32(tensor: Tensor) -> Tensor:
    # Half precision holds neither 16-bit codes nor an exact step, so the grid lives above it.
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _smallest_scale(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).tiny * 2**17  # room for the finest step, s / 32767, and its reciprocal


def _check_scale(scale: Tensor) -> Tensor:
    scale = _at_least_float32(scale.detach())
    smallest = _smallest_scale(scale.dtype)
    bad = ~((scale >= smallest) & (scale < math.inf))  # NaN too
    if bool(bad.any()):
        raise ValueError(
            f"scale is {float(scale[bad][0]):g}, allowed are finite numbers of at least {smallest:.3g}"
        )
    return scale


def _by_output(scale: Tensor, weight: Tensor) -> Tensor:
    """A vector of scales as a factor of the weight, whose first dimension counts the outputs."""
    if scale.dim() == 0:
        return scale
    if scale.shape != weight.shape[:1]:
        raise ValueError(
            f"{scale.numel()} scales for {len(weight)} outputs; one number is needed, or one for each output"
        )
    return scale.view(-1, *(1 for _ in weight.shape[1:]))


def _step(weight: Tensor, bits: int, scale: Tensor | float | None) -> Tensor:
    own = weight_scale(weight)  # also with a given scale: a NaN must not become a code
    given = own if scale is None else torch.as_tensor(scale, dtype=own.dtype, device=weight.device)
    return _check_scale(_by_output(given, weight)) / code_limit(bits)
