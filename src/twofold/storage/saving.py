"""Any finished network as a packed file, and back into a model that the reader builds.

The file holds the kept codes of the attached layers (see :mod:`twofold.storage.format`) and everything else
of the state dict as it is. It holds no code: the model itself comes from its own source.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer, plain_name
from twofold.sparsity.choose import convolution_groups, turned, uncompiled
from twofold.sparsity.parametrizations import MaskedWeight
from twofold.sparsity.twofold import Twofold
from twofold.storage.format import Packed, load_packed, save_packed

__all__ = ["load", "save"]


def save(path: str | Path, sparsity: Twofold, *, activity: Mapping[str, Activity] | None = None) -> None:
    """Write a network as it is now, finished or still in training: packed codes, and the rest of its state.

    Optimizers and the weights behind the codes are not in the file; to go on training later, keep the state
    dicts.

    Parameters
    ----------
    sparsity : Twofold
        It knows its model.
    activity
        Input activity of every layer by name, from :func:`~twofold.inputs.activity.measure_activity`; it
        travels along, so that energies need no images.

    Raises
    ------
    ValueError
        The masks are not active yet; a layer was exchanged after attaching, or a finished weight is no longer
        what its codes say; a weight that the state dict has under another name than its layer's; an entry of
        the state dict that is no tensor, or of a type that no file holds, or that another Twofold on the same
        model owns; activity of a layer that is not attached, of other rows than the layer's, or of only some
        of the layers. Each is named.

    Examples
    --------
    >>> import tempfile
    >>> sparsity = Twofold(nn.Sequential(nn.Linear(8, 4)), density=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/mine.safetensors", sparsity)
    ...     fresh = nn.Sequential(nn.Linear(8, 4))
    ...     packed = load(f"{folder}/mine.safetensors", fresh)
    >>> packed.bits, packed.layers["0"].kept, bool((fresh[0].weight == sparsity.model[0].weight).all())
    (8, 16, True)
    """
    if not isinstance(sparsity, Twofold):
        raise TypeError(f"save takes a path and a Twofold, not a {type(sparsity).__name__}")
    layers, model = sparsity.codes(), sparsity.model
    sparsity.check_pruned()
    if activity:
        _check_activity(activity, layers)
    state = model.state_dict()
    rest = {plain_name(key): value for key, value in state.items()}
    transposed = [name for name, place in sparsity.places.items() if place.transposed]
    for name, place in sparsity.places.items():
        own = _key(place.path, place.parameter)
        for used in _paths(model, place.module):
            computed = f"{_key(used, 'parametrizations')}.{place.parameter}."
            if f"{computed}original" in rest:  # still in training
                rest = {key: value for key, value in rest.items() if not key.startswith(computed)}
                # Under its own name its codes are saved instead, and it need not be computed.
                key = _key(used, place.parameter)
                rest[key] = None if key == own else place.weight
        if own not in rest:
            raise ValueError(
                f"the state dict has no {own!r}, the weight of layer {name!r}: a hook renames it there (that "
                "of checkpoint_wrapper does) or leaves it out; attach to a model without the hook, load this "
                "one's state dict into it before finish(), and save that"
            )
        del rest[own]
    if foreign := [key for key in _attached(model) if key in rest]:
        raise ValueError(
            f"the state dict holds {_listed(foreign)}: weights that another Twofold computes, and that no "
            "freshly built model can take; finish that first"
        )
    for key, value in rest.items():
        if (why := _unsaveable(value)) is not None:
            raise ValueError(f"the state dict holds {key!r}, which {why} and cannot be saved")
    # Copies: tied tensors share memory, which safetensors refuses.
    rest = {key: value.detach().cpu().clone() for key, value in rest.items()}
    facts = {
        "model": parametrize.type_before_parametrizations(model).__name__,
        "versions": _versions(state),
        "in_float": dict(sparsity.coverage.left),
    }
    if transposed:
        facts["transposed"] = transposed
    groups = {name: convolution_groups(place) for name, place in sparsity.places.items()}
    if several := {name: count for name, count in groups.items() if count > 1}:
        facts["groups"] = several
    save_packed(Path(path), Packed(layers, rest, activity or {}, facts))


def load(path: str | Path, model: nn.Module | None = None) -> Packed:
    """Read a packed file, and put its weights into ``model``, a freshly built one of the same kind.

    Parameters
    ----------
    model : Module, optional
        Filled in place, all or nothing. None: the file's content alone, for a report.

    Returns
    -------
    Packed
        ``layers`` (codes, scales, mask, seed), ``bits``, ``rest``, ``activity``.

    Raises
    ------
    TypeError
        The model is no ``torch.nn.Module``.
    ValueError
        Damaged or of another kind; or the model's names or shapes are others (all are listed), or it has as
        one tensor what are two of unlike values in the file; or it is attached, or on the meta device.
    FileNotFoundError
        There is no such file.
    """
    if model is not None and not isinstance(model, nn.Module):
        raise TypeError(f"model is {model!r}; a torch.nn.Module is filled, or None gives the content alone")
    packed = load_packed(Path(path))
    transposed, versions = _facts(path, packed)
    if model is None:
        return packed
    model = uncompiled(model)
    fresh: Any = model.state_dict()
    keys = {plain_name(key): key for key in fresh}
    there = {name: fresh[key] for name, key in keys.items()}
    # A layer goes by its own name, and a parameter that belongs to none by its own.
    weights = {name: name if name in there else _key(name) for name in packed.layers}
    coded = {name: turned(layer.codes, name in transposed) for name, layer in packed.layers.items()}
    shapes = {weights[name]: codes.shape for name, codes in coded.items()}
    shapes |= {key: value.shape for key, value in packed.rest.items()}
    if attached := _attached(model):
        raise ValueError(f"the model is attached ({attached[0]}); load into a freshly built one")
    if empty := [key for key, value in there.items() if isinstance(value, Tensor) and value.is_meta]:
        raise ValueError(
            f"the model is on the meta device ({empty[0]}), which holds no values; build it on another, or "
            "give it room with model.to_empty(device='cpu')"
        )
    faults = []
    if missing := [key for key in shapes if key not in there]:
        faults.append(f"the model lacks {_listed(missing)}")
    if extra := [key for key in there if key not in shapes]:
        faults.append(f"the file lacks {_listed(extra)}")
    for key, shape in shapes.items():
        own = there.get(key)
        if isinstance(own, Tensor) and not is_lazy(own) and own.shape != shape:
            faults.append(f"{key} is {tuple(shape)} in the file and {tuple(own.shape)} in the model")
    if faults:
        kind = packed.facts.get("model", "network")
        raise ValueError(
            f"{path} holds a {kind} that does not fit this {type(model).__name__}: {'; '.join(faults)}"
        )
    state: Any = OrderedDict((keys[name], value) for name, value in packed.rest.items())
    for name, layer in packed.layers.items():
        own = turned(there[weights[name]], name in transposed)
        state[keys[weights[name]]] = turned(layer.weight_like(own), name in transposed)
    _check_ties(path, model, there, {name: state[keys[name]] for name in there})
    # Modules change what they find by the version that wrote it.
    state._metadata = copy.deepcopy(fresh._metadata)
    for module, entry in state._metadata.items():
        if versions is not None:
            entry["version"] = versions.get(plain_name(module), 1)
    model.load_state_dict(state)
    return packed


def _check_ties(
    path: str | Path, model: nn.Module, there: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Raise ``ValueError`` where a model holds as one tensor what a file has two values for."""
    first: dict[tuple, str] = {}
    for name, own in there.items():
        if not isinstance(own, Tensor) or is_lazy(own) or own.layout != torch.strided or not own.numel():
            continue
        other = first.setdefault((own.device, own.data_ptr(), own.shape, own.stride()), name)
        values = (tensor.to(own.device, own.dtype) for tensor in (given[other], given[name]))
        if other != name and not torch.equal(*values):
            raise ValueError(
                f"{other!r} and {name!r} are one tensor in this {type(model).__name__} (tied weights) and "
                f"two of unlike values in {path}; give each a tensor of its own, as when it was saved"
            )


def _check_activity(activity: Mapping[str, Activity], layers: Mapping[str, StoredLayer]) -> None:
    """Raise ``ValueError`` where a file would hold activity that no report of its layers can be made with."""
    if unknown := [name for name in activity if name not in layers]:
        raise ValueError(f"activity names {_listed(unknown)}; the attached layers are {_listed(layers)}")
    if missing := [name for name in layers if name not in activity]:
        raise ValueError(
            f"activity lacks {_listed(missing)}; it is needed of every attached layer, or of none"
        )
    for name, own in activity.items():
        layer = layers[name]
        if layer.convolution_groups(own.row_ones.numel()) is None:
            raise ValueError(
                f"activity of {name!r} is of {own.row_ones.numel()} rows; the layer has {layer.rows} (a "
                "convolution as many for each of its groups)"
            )


def _key(layer: str, tensor: str = "weight") -> str:
    return f"{layer}.{tensor}" if layer else tensor


def _paths(model: nn.Module, module: nn.Module) -> list[str]:
    """All names of a module: one that is used twice has two, and a state dict holds it under both."""
    return [plain_name(path) for path, own in model.named_modules(remove_duplicate=False) if own is module]


def _attached(model: nn.Module) -> list[str]:
    """The keys of a model's state dict that belong to weights which a Twofold computes."""
    lists = {
        f"{name.rpartition('.')[0]}." for name, own in model.named_modules() if isinstance(own, MaskedWeight)
    }
    return [plain_name(key) for key in model.state_dict() if any(key.startswith(own) for own in lists)]


def _unsaveable(value: object) -> str | None:
    """Why an entry of a state dict can be in no safetensors file, or None."""
    if not isinstance(value, Tensor):
        return "is no tensor"
    if is_lazy(value):
        return "has no shape yet (a lazy module; run one batch through the model first)"
    if value.is_meta:
        return "is on the meta device, without values,"
    if value.layout != torch.strided:
        return f"is a sparse tensor ({value.layout}; convert it with to_dense())"
    try:
        to_bytes({"": torch.empty(0, dtype=value.dtype)})
    except (KeyError, RuntimeError, TypeError, ValueError, NotImplementedError):
        return f"is of the type {value.dtype} (convert it, or register it with persistent=False)"
    return None


def _versions(state: Any) -> dict[str, int | str | None]:
    """The versions of modules, as torch keeps them beside a state dict, where they are not the first."""
    versions = {plain_name(name): entry.get("version", 1) for name, entry in state._metadata.items()}
    for name, version in versions.items():
        if not isinstance(version, int | str | None):
            raise ValueError(f"module {name!r} has the version {version!r}; allowed are integers and text")
    return {name: version for name, version in versions.items() if version != 1}


def _facts(path: str | Path, packed: Packed) -> tuple[list[str], Any]:
    """Which layers are transposed in the model, and the versions of its modules; None: the file has none."""
    transposed, versions = packed.facts.get("transposed", []), packed.facts.get("versions")
    if not isinstance(transposed, list) or any(name not in packed.layers for name in transposed):
        raise ValueError(f"{path} is damaged: transposed is {transposed!r}, allowed are names of its layers")
    if any(packed.layers[name].codes.dim() < 2 for name in transposed):
        raise ValueError(f"{path} is damaged: {transposed!r} are transposed, and one of them is no matrix")
    groups = packed.facts.get("groups", {})
    if not isinstance(groups, dict) or not all(
        name in packed.layers and type(count) is int and count > 0 and not packed.layers[name].columns % count
        for name, count in groups.items()
    ):
        raise ValueError(
            f"{path} is damaged: groups is {groups!r}, allowed are divisors of a layer's outputs"
        )
    left = packed.facts.get("in_float", {})
    if not isinstance(left, dict) or not all(type(size) is int and size > 0 for size in left.values()):
        raise ValueError(f"{path} is damaged: in_float is {left!r}, allowed are sizes by name")
    simple = isinstance(versions, dict) and all(isinstance(v, int | str | None) for v in versions.values())
    if versions is not None and not simple:
        raise ValueError(
            f"{path} is damaged: versions is {versions!r}, allowed are integers and text by name"
        )
    return transposed, versions


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
