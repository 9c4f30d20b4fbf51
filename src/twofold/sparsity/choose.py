"""Which layers of a model become sparse, and which weights no mask and no code can be put on.

A choice is a name, a pattern of names (``*`` also spans dots), or a layer type. A name that belongs to a
block of layers stands for all of them. Everything is checked here before the model is touched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize

from twofold.codes.quantizer import weight_scale
from twofold.layer import weight_layers
from twofold.masks.draw import magnitude_mask, random_mask
from twofold.masks.generator import LAYER_POLYNOMIAL, LAYERS_PER_RUN, generator_of, layer_generator
from twofold.masks.kinds import IndexGenerator, Reduction, Repeating

__all__ = ["MASKS", "Choice", "MaskKind", "check_layers", "choose_densities", "choose_layers", "draw_mask"]


Choice = str | type[nn.Module]
"""A layer's name, a pattern of names, or a layer type."""


MaskKind = Literal["lfsr", "iid", "magnitude"]
"""Where a mask comes from: a register, chance, or the largest weights."""


MASKS: tuple[MaskKind, ...] = get_args(MaskKind)
"""All three."""


_PERIOD = 2**LAYER_POLYNOMIAL.degree - 1

# They multiply by weights as well, so to leave them in float must be the user's word, not a silent default.
_UNABLE = (_ConvTransposeNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.MultiheadAttention)


def choose_layers(
    model: nn.Module,
    layers: Choice | Iterable[Choice] | None = None,
    *,
    exclude: Choice | Iterable[Choice] = (),
    exclude_first: bool = False,
    exclude_last: bool = False,
) -> dict[str, nn.Module]:
    """The layers to attach to, by name, in the order of ``model.named_modules()``; not yet checked.

    Parameters
    ----------
    layers
        Names, patterns, types; None: all layers that multiply by a weight.
    exclude
        Names, patterns, types that are left out of them.
    exclude_first, exclude_last : bool
        Whether the model's first and last convolution or linear layer, in that order, are left out.

    Raises
    ------
    ValueError
        A choice that fits no layer, or none is left.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 2))
    >>> list(choose_layers(model, exclude_last=True)), list(choose_layers(model, nn.Linear))
    (['0', '2'], ['2', '3'])
    """
    if isinstance(model, DistributedDataParallel):
        raise ValueError("the model is wrapped in DistributedDataParallel already; attach first, then wrap")
    able = weight_layers(model)
    known = {n: m for n, m in model.named_modules() if n in able or isinstance(m, _UNABLE)}
    if not able:
        raise ValueError(f"{type(model).__name__} has no convolution and no linear layer to attach to")
    left_out = {name for found in _fitting("exclude", exclude, known).values() for name in found}
    left_out |= {*list(able)[: bool(exclude_first)], *list(able)[len(able) - bool(exclude_last) :]}
    wanted = set(known)
    if layers is not None:
        wanted = {name for found in _fitting("layers", layers, known).values() for name in found}
    chosen = {name: layer for name, layer in known.items() if name in wanted - left_out}
    if not chosen:
        raise ValueError(f"no layer is left to attach to; the layers are {_listed(known)}")
    return chosen


def choose_densities(
    layers: Mapping[str, nn.Module], density: float | Mapping[Choice, float]
) -> dict[str, float]:
    """Share of kept weights by layer name.

    Parameters
    ----------
    density
        One for all, or by name, pattern or type. A mapping leaves out the layers that it does not name. An
        exact name goes before any pattern or type; of those, the first that fits counts.

    Raises
    ------
    ValueError
        A density outside (0, 1], or a key that fits no layer.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 2))
    >>> choose_densities(choose_layers(model), {nn.Conv2d: 0.9, "*": 0.5})
    {'0': 0.9, '2': 0.5, '3': 0.5}
    """
    named = isinstance(density, Mapping)
    densities: Mapping[Choice, float] = density if isinstance(density, Mapping) else {"*": density}
    for key, share in densities.items():
        if not 0 < share <= 1:  # NaN fails both comparisons
            raise ValueError(f"density {share}{f' of {_spelt(key)}' if named else ''} is outside (0, 1]")
    if not densities:
        raise ValueError(f"density names no layer; the layers are {_listed(layers)}")
    fitting = _fitting("density", densities, layers)
    found = {}
    for name in layers:
        keys = [key for key, names in fitting.items() if name in names]
        if keys:
            found[name] = float(densities[name if name in keys else keys[0]])
    return found


def check_layers(model: nn.Module, layers: Mapping[str, nn.Module], *, generator: Reduction | None) -> None:
    """Refuse every weight that cannot be masked and coded.

    Raises
    ------
    ValueError
        A transposed convolution, a recurrent layer or another that is not supported; a weight that is tied,
        complex, integer, of half precision, parametrized, sparse, empty, not finite or without values; with
        an index generator, more layers than a run has seeds for, or a layer larger than the period of the
        register that all layers share. The message names the layer and says what helps.
    """
    owners = defaultdict(list)
    for name, module in model.named_modules():
        for parameter, tensor in module._parameters.items():
            owners[id(tensor)].append(f"{name}.{parameter}".lstrip("."))
    if generator is not None and len(layers) > LAYERS_PER_RUN:
        raise ValueError(
            f"{len(layers)} layers are to be attached, and a run has seeds for {LAYERS_PER_RUN}; "
            "choose fewer with layers or exclude, or take mask='iid'"
        )
    for name, layer in layers.items():
        why = _obstacle(layer, owners)
        shared = generator is not None and issubclass(generator_of(generator), Repeating)
        if why is None and shared and (size := layer.weight.numel()) > _PERIOD:
            why = (
                f"it has {size} weights, and {LAYER_POLYNOMIAL} points at no more than {_PERIOD} of them; "
                "take mask='iid'"
            )
        if why is not None:
            raise ValueError(f"layer {name!r}: {why}, or leave it in float with exclude={name!r}")
    for name, layer in layers.items():
        try:
            weight_scale(layer.weight)
        except ValueError as error:
            raise ValueError(f"layer {name!r}: {error}") from error


def draw_mask(
    weight: Tensor,
    density: float,
    mask: MaskKind,
    index: int,
    seed: int,
    generator: Reduction,
    group: int = 1,
) -> tuple[Bool[Tensor, "out *rest"], IndexGenerator | None]:
    """A layer's mask, laid out in memory as its weight is, and the index generator where an LFSR makes it.

    ``index`` counts the attached layers: it and ``seed`` decide where the layer's generator starts.

    Raises
    ------
    ValueError
        As the mask: a density that keeps nothing, a kernel that the kind of generator has no walk for.

    Examples
    --------
    >>> keep, generator = draw_mask(torch.zeros(16, 8), 0.5, "lfsr", 0, 0, "rejection")
    >>> keep.shape, int(keep.sum()), generator.kind
    (torch.Size([16, 8]), 64, 'rejection')
    """
    if density == 1:
        return torch.ones_like(weight, dtype=torch.bool), None
    own = layer_generator(generator, weight.shape, index, seed, group) if mask == "lfsr" else None
    if own is not None:
        drawn = own.draw(tuple(weight.shape), density)
    elif mask == "magnitude":
        drawn = magnitude_mask(weight, density, group)
    else:
        drawn = random_mask(weight.shape, density, seed=1000 * seed + index, group=group)
    return torch.empty_like(weight, dtype=torch.bool).copy_(drawn.keep), own


def _fitting(
    what: str, choices: Choice | Iterable[Choice], layers: Mapping[str, nn.Module]
) -> dict[Choice, list[str]]:
    """The names that each choice stands for; none is an error."""
    choices = (choices,) if isinstance(choices, str | type) else tuple(choices)
    found = {choice: [n for n in layers if _fits(choice, n, layers)] for choice in choices}
    for choice, names in found.items():
        if not names:
            raise ValueError(f"{what} names {_spelt(choice)}; the layers are {_listed(layers)}")
    return found


def _fits(choice: Choice, name: str, layers: Mapping[str, nn.Module]) -> bool:
    if isinstance(choice, type):
        # A layer inside one of that type, too: attention calls its out_proj by the weight, not as a layer.
        parts = name.split(".")
        blocks = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return any(isinstance(layers.get(block), choice) for block in blocks)
    return fnmatchcase(name, choice) or fnmatchcase(name, f"{choice}.*")


def _spelt(choice: Choice) -> str:
    return choice.__name__ if isinstance(choice, type) else repr(choice)


def _listed(layers: Mapping[str, nn.Module]) -> str:
    return ", ".join(f"{name!r} ({type(layer).__name__})" for name, layer in layers.items())


def _obstacle(layer: nn.Module, owners: Mapping[int, list[str]]) -> str | None:
    """What stands in the way of this layer's weight and what helps, or None."""
    if isinstance(layer, _UNABLE):
        return (
            f"{(kind := type(layer).__name__)} is not among what can be attached (Conv1d, Conv2d, Conv3d, "
            f"Linear); build it from those, leave out the type with exclude={kind}"
        )
    if parametrize.is_parametrized(layer, "weight"):
        kind = type(layer.parametrizations.weight[0]).__name__
        return f"its weight is parametrized already ({kind}); finish or remove that first"
    weight = layer._parameters.get("weight")
    if weight is None:
        return "its weight is no parameter: prune or weight_norm, say, computes it; remove that first"
    if isinstance(weight, nn.UninitializedParameter):
        return "its weight has no shape yet (a lazy layer); run one batch through the model first"
    if len(places := owners[id(weight)]) > 1:
        return f"{' and '.join(places)} are one tensor (tied weights); give each a copy of its own"
    if weight.dtype not in (torch.float32, torch.float64):
        helps = "keep the model in float32 and use torch.autocast for speed"
        if weight.is_complex():
            helps = "make it two layers, of the real and of the imaginary parts"
        elif not weight.is_floating_point():
            helps = "start from the model before it was quantized"
        return f"its weight is {weight.dtype}, allowed are float32 and float64; {helps}"
    if weight.layout != torch.strided:
        return f"its weight is a sparse tensor ({weight.layout}); convert it with to_dense()"
    if weight.is_meta:
        return "its weight is on the meta device and has no values; load them first"
    if weight.numel() == 0:
        return f"its weight of shape {tuple(weight.shape)} is empty; take it out of the model"
    return None
