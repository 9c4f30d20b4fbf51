"""The weights of a layer, computed anew in each forward pass: masked, rounded, straight-through.

Both classes are parametrizations in the sense of ``torch.nn.utils.parametrize``. `SparseWeight` trains the
float weight itself; `BitPlaneWeight` trains the bits of its code.
"""

import traceback
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize

from twofold.codes.encodings import bit_planes, encode
from twofold.codes.quantizer import channel_scale, code_limit, round_to_grid, ternary_scale, weight_scale
from twofold.sparsity.chooser import CodeChooser, straight_through, transformed

__all__ = [
    "BitPlaneWeight",
    "MaskedWeight",
    "SparseWeight",
    "attach_weight",
    "choose_before_passes",
    "choose_no_more",
    "detach_weight",
    "leave_to_each_process",
]


_KINDS = ("layer", "channel", "ternary")


def _in_onnx_export() -> bool:
    return torch.onnx.is_in_onnx_export()


# Called where the exporter goes by torch's compiler, too, which else takes the answer for no. The mark is
# that of torch.compiler.assume_constant_result, which itself would import the compiler, for seconds.
_in_onnx_export._dynamo_marked_constant = True  # type: ignore[attr-defined]


class MaskedWeight(nn.Module):
    """What both parametrizations share: a mask that is ``active`` or not yet, and its place in a state dict.

    The mask is regenerated from its seed, so neither it nor any index is part of a state dict; only a mask
    that comes from the weights themselves is `stored` there. What the dict does hold is whether the mask is
    active, the strength that the codes have reached, and a checksum that tells whether the mask is the same.
    """

    keep: Tensor
    output: int | None = None
    ternary: bool = False
    clip_ratio: float = 1.0
    layer: str = ""
    """Name of the layer, for messages."""
    drawn: tuple[str, str, int, int] | None = None
    """Kind, generator, group and seed that its mask was drawn with, if it was drawn."""
    trained: str = ""
    """Name of what is trained in its place, among the model's parameters."""
    flattened: bool = False
    """Whether torch lays out anew what is handed out on a GPU, in place, as a recurrent layer's."""
    largest: Callable[[Tensor], Tensor] | None = None
    """What a magnitude mask keeps of given weights."""
    restored: bool = False
    """Whether a state dict of an attached model has been loaded."""

    def __init__(
        self,
        keep: Bool[Tensor, "out *rest"],
        bits: int,
        chooser: CodeChooser | None = None,
        stored: bool = False,
    ):
        super().__init__()
        self.register_buffer("keep", keep, persistent=stored)
        self.active = False
        self.bits = bits
        self.chooser = chooser
        self.order: tuple[str, ...] = ()
        self._handed_out: list[tuple[weakref.ref[Tensor], Tensor, int]] = []
        self.checksum = 0 if stored else zlib.crc32(np.packbits(keep.cpu().numpy()).data)

    def masked(self, weight: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
        """The weight, without what is not kept once the mask is active."""
        if weight.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"the weights are {weight.dtype}, their codes need float32 or float64; keep the model in "
                "float32 and use torch.autocast for speed, or finish() it first"
            )
        return weight * self.keep if self.active else weight

    def hand_out(self, weight: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
        """The computed weight, remembered, so that a change of it in place is seen at the next look."""
        traced = torch.jit.is_tracing() or torch.compiler.is_compiling()
        if traced and _in_onnx_export():  # which takes long to say so
            raise ValueError(
                f"layer {self.layer!r} computes its weight anew in each pass, which is no network for ONNX; "
                "call finish() first"
            )
        if traced or transformed() or type(weight) is not Tensor:
            return weight
        if weight.is_inference() or (self.flattened and weight.is_cuda):  # torch counts no change, or its own
            return weight
        self.check_untouched()
        # Of the weight only its count of changes, which a detached tensor shares, whatever data it is given.
        counting = weight.detach()
        counting.data = weight.new_empty(0)
        there = [own for own in self._handed_out if own[0]() is not None]
        # Past nn.Module's own way to set an attribute, which takes longer than all else here.
        vars(self)["_handed_out"] = [*there, (weakref.ref(weight), counting, counting._version)]
        return weight

    def check_untouched(self) -> None:
        """Raise ``ValueError`` where a handed-out weight, the last or one still held, was changed since."""
        if any(counting._version != changes for _, counting, changes in self._handed_out):
            self._handed_out = []
            raise ValueError(
                f"the weight of layer {self.layer!r} was changed in place (by nn.init or copy_, say), which "
                "is lost: it is computed anew from the trained one; initialize before attaching, or assign "
                "a tensor, layer.weight = tensor"
            )

    def check_assigned(self, weight: Float[Tensor, "..."]) -> None:
        """Raise ``ValueError`` for a weight that what is trained must not become."""
        if weight.shape != self.keep.shape:
            raise ValueError(
                f"a weight of shape {tuple(weight.shape)} was assigned to layer {self.layer!r}, whose own "
                f"has {tuple(self.keep.shape)}"
            )
        # What it puts back afterwards is the computed weight: codes, and the trained weight would be lost.
        # It assigns as anybody does, so that only the caller tells.
        callers = (frame.f_globals.get("__name__") for frame, _ in traceback.walk_stack(None))
        if "torch.nn.utils._named_member_accessor" in callers:
            raise ValueError(
                f"functional_call cannot exchange the computed weight of layer {self.layer!r}; name what it "
                f"is computed from, {self.trained!r}"
            )

    def coded(self, original: Float[Tensor, "..."]) -> int:
        """Number of kept weights whose code is not 0 by plain rounding; original: what is trained."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handed_out": []}  # a copy's tensors count their own changes

    def __prepare_scriptable__(self) -> None:
        """What ``torch.jit.script`` calls before it compiles a module."""
        raise ValueError(
            f"layer {self.layer!r} computes its weight anew in each pass, which TorchScript cannot compile; "
            "call finish() first"
        )

    def get_extra_state(self) -> Float[Tensor, "7"]:
        strength = 0.0 if self.chooser is None else self.chooser.strength
        state = [self.active, strength, self.bits, self.checksum, *self._coding()]
        return torch.tensor(state, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        if not state.numel():  # of a plain weight
            return
        if not state.dim():  # checkpoints of version 0.1.0 hold `active` alone
            self.active = self.restored = bool(state)
            return
        active, strength, bits, checksum, *coding = state.tolist()
        if (bits, checksum) != (self.bits, self.checksum):
            raise ValueError(
                f"the state was saved with {bits:.0f} bits and a mask of checksum {checksum:.0f}, here are "
                f"{self.bits} and {self.checksum}; attach with the same bits, density, mask and seed as then"
            )
        if coding:  # older checkpoints end before it
            self._check_coding(strength, *coding)
        self.active = bool(active)
        self.restored = True
        if self.chooser is not None:
            self.chooser.set_strength(strength)

    def _coding(self) -> tuple[int, float, int]:
        """What decides the codes beside bits and mask: kind of scale, clip ratio, checksum of the prices."""
        kind = 2 if self.ternary else int(self.output is not None)
        return kind, self.clip_ratio, 0 if self.chooser is None else self.chooser.checksum

    def _check_coding(self, strength: float, kind: float, clip_ratio: float, prices: float) -> None:
        own_kind, own_ratio, own_prices = self._coding()
        saved = f"the state of layer {self.layer!r} was saved with"
        if (kind, clip_ratio) != (own_kind, own_ratio):
            raise ValueError(
                f"{saved} scale {_KINDS[int(kind)]!r} and clip_ratio {clip_ratio:g}, here are "
                f"{_KINDS[own_kind]!r} and {own_ratio:g}; attach with the same as then"
            )
        if strength and prices != own_prices:  # at no strength the prices decide nothing
            raise ValueError(
                f"{saved} codes chosen at strength {strength:g}, by prices that are others here, or none; "
                "attach with the same bit_term, encoding and table as then, and a strength"
            )


class SparseWeight(MaskedWeight):
    """Parametrization: masked once `active`, rounded to codes, straight-through.

    The codes' scale is `clip_ratio` times the largest kept weight, beyond which weights saturate, or with
    `ternary` that of :func:`~twofold.codes.quantizer.ternary_scale`. Where `output` names the dimension of
    the outputs, each of them has a scale of its own, by its own largest weight.

    Examples
    --------
    >>> sparse = SparseWeight(torch.tensor([[True, False]]), bits=8, chooser=None)
    >>> weight = torch.tensor([[1.0, 0.5]])
    >>> sparse(weight)
    tensor([[1.0000, 0.5039]])
    >>> sparse.active = True
    >>> sparse(weight)
    tensor([[1., 0.]])
    """

    def __init__(
        self,
        keep: Bool[Tensor, "out *rest"],
        bits: int,
        chooser: CodeChooser | None,
        stored: bool = False,
        ternary: bool = False,
        clip_ratio: float = 1.0,
        output: int | None = None,
    ):
        super().__init__(keep, bits, chooser, stored)
        self.output = output
        self.ternary = ternary
        self.clip_ratio = clip_ratio
        self._chosen_ahead: tuple[Tensor, tuple, Tensor] | None = None

    def right_inverse(self, weight: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
        self.check_assigned(weight)
        return weight  # what is assigned is trained on, and rounded and masked from then on

    def codes(
        self, original: Float[Tensor, "out *rest"]
    ) -> tuple[Int[Tensor, "out *rest"], Float[Tensor, "..."]]:
        """The integer codes and their scale, or scales, laid out to be multiplied by the codes."""
        self.check_untouched()
        codes, scale = self._choose(original, check=True)
        return codes.to(torch.int8 if self.bits <= 8 else torch.int16), scale

    def forward(self, original: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
        value = self._taken(original)
        if value is None:
            value = self._value(original)
        return self.hand_out(straight_through(original, value, self.keep if self.active else None))

    def choose_ahead(self, original: Float[Tensor, "out *rest"]) -> None:
        """Choose the codes for the next pass now; it takes them if nothing has changed by then."""
        vars(self)["_chosen_ahead"] = original, self._state(original), self._value(original)

    def _taken(self, original: Tensor) -> Tensor | None:
        """What was chosen ahead, handed out once, if nothing that it depends on has changed."""
        chosen = self._chosen_ahead
        if chosen is None or torch.compiler.is_compiling():
            return None
        vars(self)["_chosen_ahead"] = None
        ahead, state, value = chosen
        same = not transformed() and ahead is original and state == self._state(original)
        return value if same else None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_chosen_ahead": None}

    def _state(self, original: Tensor) -> tuple:
        """What the codes depend on, beside settings that stay."""
        return original._version, self.active, None if self.chooser is None else self.chooser.strength

    @torch.no_grad()
    def _value(self, original: Tensor) -> Tensor:
        # A graph or a GPU would stop at every layer for a look at its numbers; there NaN goes on to the loss.
        check = not (torch.compiler.is_compiling() or original.is_cuda or transformed())
        codes, scale = self._choose(original, check)
        return codes.to(scale.dtype).mul_(scale / code_limit(self.bits))

    def _choose(self, original: Tensor, check: bool) -> tuple[Tensor, Tensor]:
        """Codes as floats, new ones, and their scale."""
        weight = self.masked(original.detach())
        scale, limit = self._scales(weight, check), code_limit(self.bits)
        if self.chooser is None or self.chooser.rounds:
            return round_to_grid(weight, scale / limit, self.bits), scale
        codes = self.chooser(weight.to(scale.dtype) * (limit / scale))
        return codes.mul_(self.keep) if self.active else codes, scale

    def _scales(self, weight: Tensor, check: bool) -> Tensor:
        try:
            if self.ternary:
                return ternary_scale(weight, self.keep if self.active else None, check)
            scale = _scale(weight, self.output, check)
            return scale if self.clip_ratio == 1 else scale * self.clip_ratio
        except ValueError as error:
            raise ValueError(f"layer {self.layer!r}: {error}") from error

    def coded(self, original: Float[Tensor, "out *rest"]) -> int:
        weight = self.masked(original.detach())
        half_step = self._scales(weight, check=True) / (2 * code_limit(self.bits))
        return int(((weight.abs() > half_step) & self.keep).count_nonzero())  # half a step itself rounds to 0


class BitPlaneWeight(MaskedWeight):
    """Parametrization whose trainable tensor is the two's-complement bit planes of the codes, in [0, 1].

    code = round(-2^(b-1) p_(b-1) + sum_n 2^n p_n), straight-through; scales are those of the weight at
    attaching, one or one for each `output`, as in `SparseWeight`. A fraction in a high plane is the
    cheapest way to any code, so a penalty on fractions does not shrink the codes' true ones: `requantize`
    puts the planes back to true bits, and only codes are ever reported.

    Examples
    --------
    >>> planes = BitPlaneWeight(torch.tensor([[True, True]]), bits=3)
    >>> planes.right_inverse(torch.tensor([[1.0, -0.4]])).flatten(1)  # codes 3 and -1, the sign's plane first
    tensor([[0., 1.],
            [1., 1.],
            [1., 1.]])
    """

    scale: Tensor
    powers: Tensor

    def __init__(
        self, keep: Bool[Tensor, "out *rest"], bits: int, stored: bool = False, output: int | None = None
    ):
        super().__init__(keep, bits, stored=stored)
        self.output = output
        shape = () if output is None else [n if dim == output else 1 for dim, n in enumerate(keep.shape)]
        self.register_buffer("scale", torch.ones(shape))
        powers = 2.0 ** torch.arange(bits - 1, -1, -1)
        powers[0] = -powers[0]
        self.register_buffer("powers", powers, persistent=False)

    def right_inverse(self, weight: Float[Tensor, "out *rest"]) -> Float[Tensor, "bits out rows"]:
        self.check_assigned(weight)
        # As the buffer has it: a checkpoint may be of another precision, or on another device.
        self.scale = _scale(weight, self.output).to(self.scale)
        codes = round_to_grid(weight.detach().to(self.scale), self.scale / code_limit(self.bits), self.bits)
        return self._true_bits(codes.to(torch.int16)).to(weight.dtype)

    def codes(
        self, planes: Float[Tensor, "bits out rows"]
    ) -> tuple[Int[Tensor, "out *rest"], Float[Tensor, "..."]]:
        """The integer codes and their scale, or scales, laid out to be multiplied by the codes."""
        self.check_untouched()
        codes = self._place(planes.detach()).round().to(torch.int8 if self.bits <= 8 else torch.int16)
        return codes, self.scale

    def forward(self, planes: Float[Tensor, "bits out rows"]) -> Float[Tensor, "out *rest"]:
        step = self.scale / code_limit(self.bits)
        place = self._place(planes)
        return self.hand_out(straight_through(place * step, place.detach().round() * step))

    def coded(self, planes: Float[Tensor, "bits out rows"]) -> int:
        return int(((self.codes(planes)[0] != 0) & self.keep).count_nonzero())

    @property
    def leverage(self) -> float:
        """How far a gradient moves a weight through its planes, over how far it moves a weight by itself.

        ``sum_n (2^n step)^2``: each plane moves by its share of the gradient, and moves the weight by that
        share again. In the layers of a trained ResNet-20, whose largest weights are well below 1, it is 0.03
        to 0.5, but about 1 in the first and the last. The weights' rate, divided by it, moves a layer through
        its planes as far. Where each output has a step, the mean.
        """
        step = self.scale / code_limit(self.bits)
        return float(self.powers.square().sum() * step.square().mean())

    @torch.no_grad()
    def requantize(self, planes: Float[Tensor, "bits out rows"]) -> None:
        """Overwrite the planes with the true bits of their codes."""
        planes.copy_(self._true_bits(self.codes(planes)[0]))

    def _true_bits(self, codes: Tensor) -> Tensor:
        # As matrices: a kernel's planes would have five dimensions, and `model.to(memory_format=...)` fail.
        bits = bit_planes(encode(codes.flatten(1), self.bits, "twos_complement"), self.bits)
        return bits.squeeze(-2).movedim(-1, 0).contiguous()

    def _place(self, planes: Tensor) -> Tensor:
        limit = code_limit(self.bits)
        with torch.autocast(planes.device.type, enabled=False):  # it would sum the planes in half precision
            place = torch.tensordot(self.powers, planes, dims=1).view(self.keep.shape)
        # Straight through as well: torch's clamp has no gradient at its very bounds, and a layer's largest
        # weight starts on one of them.
        place = straight_through(place, place.detach().clamp(-limit, limit))
        return self.masked(place)


def _scale(weight: Tensor, output: int | None, check: bool = True) -> Tensor:
    return weight_scale(weight, check) if output is None else channel_scale(weight, output, check)


def attach_weight(layer: nn.Module, weight: MaskedWeight, parameter: str = "weight") -> None:
    """Have a parameter of the layer computed by ``weight`` from now on.

    A plain value of it in a state dict, as of a model that is not attached, becomes what is trained.
    """
    others = [slot[0] for slot in getattr(layer, "parametrizations", {}).values()]
    ours = [other for other in others if isinstance(other, MaskedWeight)]
    weight.order = ours[0].order if ours else tuple(layer._parameters)
    parametrize.register_parametrization(layer, parameter, weight, unsafe=True)
    if not ours:
        own: Any = type(layer)  # not shared: torch made it for the property that computes the weight
        own.register_parameter = _register_parameter
        layer.register_load_state_dict_pre_hook(_take_plain_weights)
        if isinstance(layer, nn.RNNBase):
            layer.register_forward_hook(_forget_flat_weights)
    weight.flattened = isinstance(layer, nn.RNNBase)


def _register_parameter(layer: nn.Module, name: str, parameter: Tensor | None) -> None:
    """A Parameter that is assigned to a computed weight is trained on, as any tensor is; torch refuses it."""
    own = name.removesuffix("_orig")  # torch.nn.utils.prune keeps a weight under such a name
    if own != name and parametrize.is_parametrized(layer, own) and not isinstance(parameter, nn.Parameter):
        of = getattr(layer.parametrizations[own][0], "layer", type(layer).__name__)
        raise ValueError(
            f"torch.nn.utils.prune masks trained weights, but {own!r} of layer {of!r} is computed; take "
            "mask='magnitude' for its l1_unstructured, 'iid' for its random_unstructured, or finish() first"
        )
    if parameter is not None and parametrize.is_parametrized(layer, name):
        setattr(layer, name, parameter.detach())
    else:
        nn.Module.register_parameter(layer, name, parameter)


def choose_before_passes(model: nn.Module) -> None:
    """Have the codes of all layers chosen together when a pass of the training begins.

    Between two convolutions a layer finds the caches full of activations, and its choice takes several times
    as long. What is computed is the same.
    """
    if _choose_ahead not in model._forward_pre_hooks.values():
        model.register_forward_pre_hook(_choose_ahead)


def _choose_ahead(model: nn.Module, *_: Any) -> None:
    if not model.training or torch.compiler.is_compiling() or transformed():
        return
    for weight, original in _sparse_weights(model):
        if not original.is_cuda:
            weight.choose_ahead(original)


def _sparse_weights(model: nn.Module) -> Iterator[tuple[SparseWeight, Tensor]]:
    for module in model.modules():
        if "parametrizations" in module._modules:
            for slot in module.parametrizations.values():
                weight, *_ = slot
                if isinstance(weight, SparseWeight):
                    yield weight, slot.original


def choose_no_more(model: nn.Module) -> None:
    """Undo `choose_before_passes`, once no layer of the model is attached."""
    if next(_sparse_weights(model), None) is None:
        _remove(model._forward_pre_hooks, (_choose_ahead,))


def detach_weight(layer: nn.Module, parameter: str = "weight") -> None:
    """Leave the layer with a plain weight, the value that its parametrization has now, in its old place.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> sparse = SparseWeight(torch.tensor([[True, False]]), bits=8, chooser=None)
    >>> attach_weight(layer, sparse)
    >>> detach_weight(layer)
    >>> parametrize.is_parametrized(layer), list(layer._parameters)
    (False, ['weight', 'bias'])
    """
    order = layer.parametrizations[parameter][0].order
    # torch deletes a property of the layer's class, and a deep copy shares that class: so a class of its own.
    shared = type(layer)
    own = {k: v for k, v in vars(shared).items() if k not in ("__dict__", "__weakref__")}
    layer.__class__ = type(shared.__name__, shared.__bases__, own)
    parametrize.remove_parametrizations(layer, parameter, leave_parametrized=True)
    # Optimizers number parameters by their order, so it is as before.
    held = layer._parameters
    for name in [*(n for n in order if n in held), *(n for n in held if n not in order)]:
        held[name] = held.pop(name)
    left = getattr(layer, "parametrizations", {}).values()
    if not any(isinstance(slot[0], MaskedWeight) for slot in left):
        for hooks in (layer._load_state_dict_pre_hooks, layer._forward_hooks):
            _remove(hooks, _HOOKS)
        if isinstance(layer, nn.RNNBase):
            layer._init_flat_weights()


def _remove(hooks: dict[int, Any], ours: tuple[Callable, ...]) -> None:
    """Take hooks off a module; torch holds some in a wrapper of its own."""
    for key in [key for key, hook in hooks.items() if getattr(hook, "hook", hook) in ours]:
        del hooks[key]


def _take_plain_weights(layer: nn.Module, state: dict, prefix: str, *others: Any) -> None:
    """Before a state dict is loaded: what it holds as a plain weight, as the state of its parametrization."""
    errors = others[-1]
    for parameter, slot in layer.parametrizations.items():
        weight, key = slot[0], f"{prefix}{parameter}"
        if not isinstance(weight, MaskedWeight) or key not in state:
            continue
        plain = state.pop(key)
        if plain.shape != weight.keep.shape:
            errors.append(f"{key} is {tuple(plain.shape)}, the attached weight {tuple(weight.keep.shape)}")
            continue
        own = f"{prefix}parametrizations.{parameter}."
        state[f"{own}original"] = weight.right_inverse(plain)
        # All else stays as it is here, but for a mask of the weights; named as well, for a strict load.
        for name, value in slot.state_dict(prefix=own).items():
            state.setdefault(name, value)
        state[f"{own}0._extra_state"] = torch.empty(0)
        if weight.largest is not None:
            try:
                state[f"{own}0.keep"] = weight.largest(plain)
            except ValueError as error:
                errors.append(f"{key}: {error}")


def _forget_flat_weights(layer: nn.RNNBase, *_: Any) -> None:
    """After a pass: torch's list of its weights holds on to the computed ones, and could not be copied."""
    names = layer._flat_weights_names
    layer._flat_weights = [None for _ in names]
    layer._flat_weight_refs = [_gone for _ in names]  # type: ignore[misc]  # so that the next pass lists them anew


def _gone() -> None:
    pass


_HOOKS = (_take_plain_weights, _forget_flat_weights)


def leave_to_each_process(model: nn.Module) -> None:
    """Keep DistributedDataParallel from sending around what every process has by itself.

    Those are the masks that a seed makes and the tables of the codes: just what no state dict holds. A mask
    or a scale that comes from the weights is sent from the first process, as the weights are.
    """
    own = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, MaskedWeight | CodeChooser)
        for name in module._non_persistent_buffers_set
    }
    others = getattr(model, "_ddp_params_and_buffers_to_ignore", [])
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, sorted(own.union(others)))
