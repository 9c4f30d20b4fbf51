"""Which layers of a model become sparse, and which weights no mask and no code can be put on.

A choice is a name, a pattern of names (``*`` also spans dots), or a layer type. A name that belongs to a
block of layers stands for all of them. Where a choice fits no layer, it stands for the parameters of two or
more dimensions that it fits: matrices that no convolution and no linear layer holds are attached by name.
Everything is checked here before the model is touched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from twofold.codes.quantizer import weight_scale
from twofold.layer import WeightLayer, plain_name, weight_layers
from twofold.masks.draw import LARGEST, magnitude_mask, random_mask
from twofold.masks.generator import LAYERS_PER_RUN, layer_generator
from twofold.masks.kinds import IndexGenerator, Reduction
from twofold.sparsity.parametrizations import MaskedWeight
from twofold.sparsity.trial import obstacle_in_forward, obstacle_in_kind, output_dimension

__all__ = [
    "MASKS",
    "Choice",
    "Coverage",
    "MaskKind",
    "Place",
    "check_layers",
    "choose_densities",
    "choose_layers",
    "convolution_groups",
    "coverage_of",
    "draw_mask",
    "find_module",
    "multiplying_weights",
    "places_of",
    "turned",
    "uncompiled",
]


Choice = str | type[nn.Module]
"""A layer's name, a pattern of names, or a layer type."""


MaskKind = Literal["lfsr", "iid", "magnitude"]
"""Where a mask comes from, a register, chance, or the largest weights."""


MASKS: tuple[MaskKind, ...] = get_args(MaskKind)
"""All three."""


# They multiply by weights as well, so to leave them in float must be the user's word, not a silent default.
_UNABLE = (_ConvTransposeNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.MultiheadAttention)

_LOOKED_UP = (nn.Embedding, nn.EmbeddingBag)

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

_COMPUTING = ".parametrizations."

_SCRIPT = (
    "it is TorchScript, whose operations are fixed; attach to the model that it was traced or scripted from"
)

_NAMED = 3  # matrices in float that a message names


@dataclass(frozen=True)
class Place:
    """Where a weight is in a model, and which of its dimensions is the output.

    Attributes
    ----------
    path, module, parameter
        The weight is this parameter of this module, which the model has at this path.
    transposed
        Its second dimension is the output, and so the columns of a crossbar; else its first, as torch's
        layers have it. Codes and masks have the output first in either case.
    """

    path: str
    module: nn.Module
    parameter: str = "weight"
    transposed: bool = False

    @property
    def weight(self) -> Tensor:
        """The weight as the model has it now, computed or plain."""
        return getattr(self.module, self.parameter)

    def turned(self, tensor: Tensor) -> Tensor:
        """Output first, of a tensor that lies as the weight does; and back again."""
        return turned(tensor, self.transposed)


def turned(tensor: Tensor, transposed: bool) -> Tensor:
    """Output first, of a tensor whose second dimension is the output if `transposed`; and back again.

    Examples
    --------
    >>> turned(torch.empty(2, 3), transposed=True).shape
    torch.Size([3, 2])
    """
    return tensor.transpose(0, 1) if transposed else tensor


def convolution_groups(place: Place) -> int:
    """Groups of the convolution whose weight this is, each a crossbar of its own inputs; 1 of all else.

    Examples
    --------
    >>> convolution_groups(Place("", nn.Conv1d(8, 8, 3, groups=4)))
    4
    """
    return place.module.groups if isinstance(place.module, _ConvNd) and place.parameter == "weight" else 1


def choose_layers(
    model: nn.Module,
    layers: Choice | Iterable[Choice] | None = None,
    *,
    exclude: Choice | Iterable[Choice] = (),
    exclude_first: bool = False,
    exclude_last: bool = False,
    also: Iterable[Choice] = (),
) -> dict[str, nn.Module]:
    """The layers to attach to, by name, in the order of ``model.named_modules()``; not yet checked.

    Parameters that are chosen follow by their own names, each with the module that holds it.

    Parameters
    ----------
    layers
        Names, patterns, types; None: all layers that multiply by a weight.
    exclude
        Names, patterns, types that are left out of them.
    exclude_first, exclude_last : bool
        Whether the model's first and last convolution or linear layer, in that order, are left out.
    also
        Where ``layers`` is None: choices whose parameters are attached beside the layers.

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
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(f"the model cannot be attached: {_SCRIPT}")
    able = weight_layers(model)
    known = {n: m for n, m in _named_modules(model) if n in able or isinstance(m, _UNABLE)}
    matrices = {n: m for n, m in _matrices(model).items() if n.rpartition(".")[0] not in able}
    if layers is not None:
        named = _fitting("layers", layers, known, matrices, model=model)
    else:
        named = _fitting("density", also, known, matrices, strict=False)
    wanted = {name for found in named.values() for name in found}
    if layers is None:
        wanted |= set(known)
    if not able and not wanted:
        kind = type(model).__name__
        helps = f"; name its matrices with layers: {_listed(matrices)}" if matrices else ""
        raise ValueError(f"{kind} has no convolution and no linear layer to attach to{helps}")
    there = known | {name: matrices[name] for name in matrices if name in wanted}
    excluded = _fitting("exclude", exclude, there, matrices, model=model)
    left_out = {name for found in excluded.values() for name in found}
    left_out |= {*list(able)[: bool(exclude_first)], *list(able)[len(able) - bool(exclude_last) :]}
    chosen = {name: layer for name, layer in {**known, **matrices}.items() if name in wanted - left_out}
    if not chosen:
        raise ValueError(f"no layer is left to attach to; the layers are {_listed({**known, **matrices})}")
    return chosen


def places_of(
    model: nn.Module,
    chosen: Mapping[str, nn.Module],
    transposed: Choice | Iterable[Choice] = (),
) -> dict[str, Place]:
    """Where the weight of each chosen layer or parameter is, and which way round.

    Parameters
    ----------
    transposed
        The parameters of which the second dimension is the output, as in ``inputs @ parameter``. Those of
        transposed convolutions, and of modules that do nothing but multiply by a matrix, need not be named.

    Raises
    ------
    ValueError
        A choice that fits none of the chosen parameters, or that a module is seen to contradict.

    Examples
    --------
    >>> class Graph(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.mix = nn.Parameter(torch.ones(4, 2))
    >>> places = places_of(graph := Graph(), choose_layers(graph, "mix"), transposed="mix")
    >>> places["mix"].parameter, places["mix"].transposed, places["mix"].turned(graph.mix).shape
    ('mix', True, torch.Size([2, 4]))
    """
    modules = dict(_named_modules(model))
    own = {name: holder for name, holder in chosen.items() if modules.get(name) is not holder}
    turned = {name for found in _fitting("transposed", transposed, own, {}).values() for name in found}
    places = {}
    for name, layer in chosen.items():
        if name not in own:
            places[name] = Place(name, layer)
            continue
        path, _, parameter = name.rpartition(".")
        seen = 1 if isinstance(layer, _ConvTransposeNd) else None
        if seen is None and parameter in layer._parameters and not isinstance(layer, _UNABLE):
            seen = output_dimension(layer, parameter)
        if seen == 0 and name in turned:
            raise ValueError(
                f"transposed names {name!r}, but {type(layer).__name__} has its output in the first dimension"
            )
        places[name] = Place(path, layer, parameter, seen == 1 or name in turned)
    return places


def multiplying_weights(model: nn.Module) -> dict[str, int]:
    """Number of weights of every matrix that a model multiplies by, by the name of its parameter.

    Counted is the weight of every convolution and linear layer, and every other parameter that is longer than
    1 in two or more dimensions, once where it is tied, and is not an embedding's or a norm's. Neither is one
    that is stretched over the inputs: position embeddings and class tokens have a first dimension of 1, and
    belong to no layer.

    Examples
    --------
    >>> layers = nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 3), nn.GRUCell(3, 2)
    >>> multiplying_weights(nn.Sequential(*layers))
    {'2.weight': 12, '3.weight_ih': 18, '3.weight_hh': 12}
    """
    sizes, seen = {}, set()
    for name, module in _matrices(model).items():
        parameter = name.rpartition(".")[2]
        # What is computed is another tensor each time; what computes it stays.
        computing = getattr(module, "parametrizations", {})
        owner = computing[parameter] if parameter in computing else getattr(module, parameter)
        if id(owner) not in seen:
            sizes[name] = _shapes(module)[parameter].numel()
        seen.add(id(owner))
    return sizes


@dataclass(frozen=True)
class Coverage:
    """What share of the weights that a model multiplies by is attached.

    Counted is what `multiplying_weights` finds. Products with an embedding's weight, a buffer or a parameter
    whose first dimension is 1 are not seen then; a report with images names them. What another Twofold has on
    the same model counts as left.

    Attributes
    ----------
    attached, left : mapping
        Number of weights by parameter: of those that are attached, and of those that stay in float.
    unasked : tuple
        The names among ``left`` that belong to no convolution and no linear layer, and were not excluded.

    Examples
    --------
    >>> print(Coverage({"fc.weight": 60}, {"mix": 30, "out.weight": 10}, ("mix",)))
    60.0 % of the weights that the model multiplies by are attached; in float are mix (30), out.weight (10)
    """

    attached: Mapping[str, int]
    left: Mapping[str, int]
    unasked: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Attached weights over all, 1 of a model that has no others."""
        attached, left = sum(self.attached.values()), sum(self.left.values())
        return attached / (attached + left) if left else 1.0

    @property
    def unasked_share(self) -> float:
        """Weights of which nobody said anything, over those and the attached ones."""
        attached, unasked = sum(self.attached.values()), sum(self.left[name] for name in self.unasked)
        return unasked / (attached + unasked) if unasked else 0.0

    def __str__(self) -> str:
        text = f"{100 * self.share:.1f} % of the weights that the model multiplies by are attached"
        if not self.left:
            return text
        largest = sorted(self.left, key=lambda name: -self.left[name])
        named = ", ".join(f"{name} ({self.left[name]:,})" for name in largest[:_NAMED])
        more = f" and {len(largest) - _NAMED} more" if len(largest) > _NAMED else ""
        return f"{text}; in float are {named}{more}"


def coverage_of(
    model: nn.Module, places: Mapping[str, Place], exclude: Choice | Iterable[Choice] = ()
) -> Coverage:
    """What of a model's matrices the places cover, as the model is now."""
    excluded = (exclude,) if isinstance(exclude, str | type) else tuple(exclude)
    covered = {_full_name(place.path, place.parameter): place.module for place in places.values()}
    sizes, holders = multiplying_weights(model), _matrices(model)
    attached = {name for name in sizes if covered.get(name) is holders[name]}
    left = {name: size for name, size in sizes.items() if name not in attached}
    unasked = [
        name
        for name in left
        if not isinstance(holders[name], (WeightLayer, *_UNABLE))
        and not any(_fits(choice, name, holders) for choice in excluded)
    ]
    return Coverage({n: s for n, s in sizes.items() if n in attached}, left, tuple(unasked))


def uncompiled(model: nn.Module) -> nn.Module:
    """The model inside of what ``torch.compile`` made, or itself."""
    while "_orig_mod" in model._modules and (inside := model._modules["_orig_mod"]) is not None:
        model = inside
    return model


def find_module(model: nn.Module, path: str) -> nn.Module | None:
    """The module at a path as it is where nothing is compiled; None if there is none."""
    module = uncompiled(model)
    for part in path.split(".") if path else ():
        if part not in module._modules or module._modules[part] is None:
            return None
        module = uncompiled(module._modules[part])
    return module


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
    fitting = _fitting("density", densities, layers, {})
    found = {}
    for name in layers:
        keys = [key for key, names in fitting.items() if name in names]
        if keys:
            exact = [key for key in (name, _full_name(name)) if key in keys]
            found[name] = float(densities[[*exact, *keys][0]])
    return found


def check_layers(model: nn.Module, layers: Mapping[str, nn.Module], *, generator: Reduction | None) -> None:
    """Refuse every weight that cannot be masked and coded, of layers as `choose_layers` gives them.

    Raises
    ------
    ValueError
        A transposed convolution, a recurrent layer or another that is not supported; a class whose forward
        computes something else than torch's own, or leaves unknown what its named parameters are for; the
        weight of a transposed convolution of several groups; one that is tied, complex, integer, of half
        precision, parametrized, sparse, empty, not finite or without values; a layer of more weights than a
        mask is drawn for; with an index generator, more layers than a run has seeds for. The message names
        the layer and says what helps.
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
    modules = dict(_named_modules(model))
    places = {}
    for name, holder in layers.items():
        path, _, parameter = name.rpartition(".")
        whole = modules.get(name) is holder
        places[name] = Place(name, holder) if whole else Place(path, holder, parameter)
    for name, place in places.items():
        why = _obstacle(place, place.path == name, owners)
        if why is None and (size := place.weight.numel()) > LARGEST:
            why = f"it has {size} weights, allowed are {LARGEST} or fewer; make it several layers"
        if why is not None:
            raise ValueError(f"layer {name!r}: {why}, or leave it in float with exclude={name!r}")
    for name, place in places.items():
        try:
            weight_scale(place.weight)
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
) -> tuple[Bool[Tensor, "out *rest"], IndexGenerator | None, int]:
    """A layer's mask, laid out in memory as its weight is; its index generator, if any, and its clocks.

    ``index`` counts the attached layers: it and ``seed`` decide where the layer's generator starts.

    Raises
    ------
    ValueError
        As the mask: a density that keeps nothing, a kernel that the kind of generator has no walk for.

    Examples
    --------
    >>> keep, generator, clocks = draw_mask(torch.zeros(16, 8), 0.5, "lfsr", 0, 0, "rejection")
    >>> keep.shape, int(keep.sum()), generator.kind, clocks
    (torch.Size([16, 8]), 64, 'rejection', 123)
    """
    if density == 1:
        return torch.ones_like(weight, dtype=torch.bool), None, 0
    own = layer_generator(generator, weight.shape, index, seed, group) if mask == "lfsr" else None
    if own is not None:
        drawn = own.draw(tuple(weight.shape), density)
    elif mask == "magnitude":
        drawn = magnitude_mask(weight, density, group)
    else:
        drawn = random_mask(weight.shape, density, seed=1000 * seed + index, group=group)
    return torch.empty_like(weight, dtype=torch.bool).copy_(drawn.keep), own, drawn.clocks


def _named_modules(model: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Modules by the names that they have where nothing is compiled."""
    return ((plain_name(name), module) for name, module in model.named_modules())


def _matrices(model: nn.Module) -> dict[str, nn.Module]:
    """The modules whose parameters may be multiplied by, by the names of these parameters."""
    found = {}
    for path, module in _named_modules(model):
        if isinstance(module, (*_LOOKED_UP, *_NORMS)) or _COMPUTING in f".{path}.":
            continue
        for name, shape in _shapes(module).items():
            stretched = shape[:1] == (1,) and not isinstance(module, (WeightLayer, *_UNABLE))
            layers_own = name == "weight" and isinstance(module, WeightLayer)  # of a single output, say
            if layers_own or (not stretched and sum(length > 1 for length in shape) > 1):
                found[_full_name(path, name)] = module
    return found


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    """The shapes of a module's parameters, of those that are computed as well."""
    shapes = {}
    for name, slot in getattr(module, "parametrizations", {}).items():
        ours = isinstance(slot[0], MaskedWeight)  # whose weight need not be computed for it
        shapes[name] = slot[0].keep.shape if ours else getattr(module, name).shape
    plain = ((n, p) for n, p in module._parameters.items() if p is not None and not is_lazy(p))
    return shapes | {name: parameter.shape for name, parameter in plain}


def _fitting(
    what: str,
    choices: Choice | Iterable[Choice],
    layers: Mapping[str, nn.Module],
    matrices: Mapping[str, nn.Module],
    strict: bool = True,
    model: nn.Module | None = None,
) -> dict[Choice, list[str]]:
    """The names that each choice stands for: layers, else parameters. None is an error, if `strict`.

    Of the `model` the error knows the second names of modules that are there twice.
    """
    choices = (choices,) if isinstance(choices, str | type) else tuple(choices)
    found = {}
    for choice in choices:
        found[choice] = [n for n in layers if _fits(choice, n, layers)]
        found[choice] = found[choice] or [n for n in matrices if _fits(choice, n, matrices)]
        if strict and not found[choice]:
            if model is not None and (first := _first_names(model).get(choice, choice)) != choice:
                raise ValueError(f"{what} names {choice!r}, which is the same module as {first!r}; name that")
            others = f"; the matrices of other modules are {_listed(matrices)}" if matrices else ""
            raise ValueError(f"{what} names {_spelt(choice)}; the layers are {_listed(layers)}{others}")
    return found


def _first_names(model: nn.Module) -> dict[Choice, str]:
    """By each name of each module the name that it goes by, the first of its names."""
    first: dict[int, str] = {}
    modules = model.named_modules(remove_duplicate=False)
    return {(own := plain_name(name)): first.setdefault(id(module), own) for name, module in modules}


def _fits(choice: Choice, name: str, layers: Mapping[str, nn.Module]) -> bool:
    if isinstance(choice, type):
        # A layer inside one of that type, too: attention calls its out_proj by the weight, not as a layer.
        parts = name.split(".")
        blocks = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return any(isinstance(layers.get(block), choice) for block in blocks)
    by_weight = choice == _full_name(name) and isinstance(layers[name], WeightLayer)
    literal = f"{name}.".startswith(f"{choice}.")  # a name may hold brackets, which a pattern reads otherwise
    return by_weight or literal or fnmatchcase(name, choice) or fnmatchcase(name, f"{choice}.*")


def _full_name(path: str, parameter: str = "weight") -> str:
    return f"{path}.{parameter}" if path else parameter


def _spelt(choice: Choice) -> str:
    return choice.__name__ if isinstance(choice, type) else repr(choice)


def _listed(layers: Mapping[str, nn.Module]) -> str:
    return ", ".join(f"{name!r} ({type(layer).__name__})" for name, layer in layers.items()) or "none"


def _obstacle(place: Place, whole: bool, owners: Mapping[int, list[str]]) -> str | None:
    """What stands in the way of this weight and what helps, or None; `whole`: the layer was named, not it."""
    layer, parameter = place.module, place.parameter
    if isinstance(layer, torch.jit.ScriptModule):
        return _SCRIPT
    if isinstance(layer, _ConvTransposeNd) and layer.groups > 1:
        return (
            f"it is a transposed convolution of {layer.groups} groups: two dimensions of its weight hold "
            "outputs, and neither counts a crossbar's columns; allowed are groups=1"
        )
    if whole and isinstance(layer, _UNABLE):
        matrices = " and ".join(sorted(n for n in _matrices(layer) if n in layer._parameters))
        helps = f"name what it multiplies by ({matrices}) in layers, " if matrices else ""
        return (
            f"{(kind := type(layer).__name__)} is not among what can be attached (Conv1d, Conv2d, Conv3d, "
            f"Linear); {helps}build it from those, leave out the type with exclude={kind}"
        )
    if parametrize.is_parametrized(layer, parameter):
        kind = type(layer.parametrizations[parameter][0]).__name__
        return f"its weight is parametrized already ({kind}); finish or remove that first"
    weight = layer._parameters.get(parameter)
    if weight is None:
        return "its weight is no parameter: prune or weight_norm, say, computes it; remove that first"
    if is_lazy(weight):
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
    return obstacle_in_forward(layer) if whole else obstacle_in_kind(layer, parameter)
