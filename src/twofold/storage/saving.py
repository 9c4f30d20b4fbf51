"""Any finished network as a packed file, and back into a model that the reader builds.

The file holds the kept codes of the attached layers (see :mod:`twofold.storage.format`) and everything else
of the state dict as it is. It holds no code: the model itself comes from its own source.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from twofold.inputs.activity import Activity
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
        Input activity by layer name, from :func:`~twofold.inputs.activity.measure_activity`; it travels
        along, so that energies need no images.

    Raises
    ------
    ValueError
        The masks are not active yet; a finished weight is no longer what its codes say; an entry of the state
        dict that is no tensor, or that another Twofold on the same model owns; activity of a layer that is
        not attached. Each is named.

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
    if unknown := [name for name in activity or {} if name not in layers]:
        raise ValueError(f"activity names {_listed(unknown)}; the attached layers are {_listed(layers)}")
    rest = dict(model.state_dict())
    for name in layers:
        if sparsity.finished is None:
            for key in [key for key in rest if key.startswith(f"{_key(name, 'parametrizations.weight')}.")]:
                del rest[key]
        else:
            del rest[_key(name)]
    if foreign := _computed(rest):
        raise ValueError(
            f"the state dict holds {_listed(foreign)}: weights that another Twofold or parametrization "
            "computes, and that no freshly built model can take; finish or remove that first"
        )
    if odd := [key for key, value in rest.items() if not isinstance(value, Tensor)]:
        raise ValueError(f"the state dict holds {_listed(odd)}, which is no tensor and cannot be saved")
    # Copies: tied tensors share memory, which safetensors refuses.
    rest = {key: value.detach().cpu().clone() for key, value in rest.items()}
    save_packed(Path(path), Packed(layers, rest, activity or {}, {"model": type(model).__name__}))


def load(path: str | Path, model: nn.Module | None = None) -> Packed:
    """Read a packed file, and put its weights into ``model``, a freshly built one of the same kind.

    Parameters
    ----------
    model : Module, optional
        Filled in place, all or nothing. None: the file's content alone, for a report.

    Returns
    -------
    Packed
        ``layers`` (codes, scale, mask, seed), ``bits``, ``rest``, ``activity``.

    Raises
    ------
    ValueError
        Damaged or of another kind; or the model's names or shapes are others (all are listed).
    FileNotFoundError
        There is no such file.
    """
    packed = load_packed(Path(path))
    if model is None:
        return packed
    there = model.state_dict()
    weights = {_key(name): layer.codes.shape for name, layer in packed.layers.items()}
    shapes = weights | {key: value.shape for key, value in packed.rest.items()}
    if attached := _computed(there):
        raise ValueError(f"the model is parametrized ({attached[0]}); load into a freshly built one")
    faults = []
    if missing := [key for key in shapes if key not in there]:
        faults.append(f"the model lacks {_listed(missing)}")
    if extra := [key for key in there if key not in shapes]:
        faults.append(f"the file lacks {_listed(extra)}")
    for key, shape in shapes.items():
        if key in there and not is_lazy(there[key]) and there[key].shape != shape:
            faults.append(f"{key} is {tuple(shape)} in the file and {tuple(there[key].shape)} in the model")
    if faults:
        kind = packed.facts.get("model", "network")
        raise ValueError(
            f"{path} holds a {kind} that does not fit this {type(model).__name__}: {'; '.join(faults)}"
        )
    state = dict(packed.rest)
    for name, layer in packed.layers.items():
        state[_key(name)] = layer.weight_like(model.get_submodule(name).weight)
    model.load_state_dict(state)
    return packed


def _key(layer: str, tensor: str = "weight") -> str:
    return f"{layer}.{tensor}" if layer else tensor


def _computed(state: Mapping[str, object]) -> list[str]:
    """The keys of a state dict that belong to weights which a parametrization computes."""
    return [key for key in state if ".parametrizations." in f".{key}"]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
