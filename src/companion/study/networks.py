"""A finished network of the study on disk: packed memory, safe to load, and the network built from it.

`twofold.storage.format` holds the format; here stands what belongs to the registered networks: which one it
is, and how to build it. Files of version 1, which hold every layer whole, zeros at the removed places, stay
readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from companion.study.zoo import NETWORKS, build_model
from twofold import Activity, MultiplyShift, StoredLayer, dequantize
from twofold.codes.encodings import EncodingName
from twofold.masks.generator import LAYER_POLYNOMIAL
from twofold.storage.format import READABLE, Packed, check_header, digest, packed_of, read_file, save_packed

__all__ = ["FinishedNetwork", "load_codes", "save_codes"]


SIZES = ("network", "classes", "channels_in")


LARGEST_SIZE = 100_000
"""Classes and input channels that a network may have."""


@dataclass(frozen=True, eq=False)
class FinishedNetwork:
    """Everything that inference and energy need.

    Attributes
    ----------
    network : str, see ``models.NETWORKS``
    classes, channels_in : int
    layers : codes, scale and mask by layer name
    rest : all other tensors of the state dict (batch norms, biases), float32
    activity : input activity by layer name; empty where it was not measured
    """

    network: str
    classes: int
    channels_in: int
    layers: Mapping[str, StoredLayer]
    rest: Mapping[str, Tensor]
    activity: Mapping[str, Activity] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """Width of every code."""
        return next(iter(self.layers.values())).bits

    @property
    def images(self) -> int:
        """How many images the activity was measured on: the last layer reads once an image."""
        return list(self.activity.values())[-1].reads

    def trained_for(self, encoding: EncodingName) -> "FinishedNetwork":
        """The same network with its codes marked as chosen for an encoding, which older files do not say."""
        layers = {name: layer.chosen_for(encoding) for name, layer in self.layers.items()}
        return replace(self, layers=layers)

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        layers: Mapping[str, StoredLayer],
        *,
        network: str,
        classes: int,
        channels_in: int,
        activity: Mapping[str, Activity] | None = None,
    ) -> "FinishedNetwork":
        """Take the codes of ``layers`` and everything else from the finished model's state."""
        weights = {f"{name}.weight" for name in layers}
        rest = {k: v.detach().cpu() for k, v in model.state_dict().items() if k not in weights}
        return cls(network, classes, channels_in, layers, rest, activity or {})

    def build(self) -> nn.Module:
        """The network with its weights in float, in evaluation mode."""
        model = build_model(self.network, self.classes, self.channels_in)
        state = dict(self.rest)
        for name, layer in self.layers.items():
            state[f"{name}.weight"] = dequantize(layer.codes, layer.scale, layer.bits)
        model.load_state_dict(state)
        return model.eval()


def save_codes(path: Path, finished: FinishedNetwork) -> None:
    """Write a finished network as packed memory; the file appears whole or not at all.

    Raises
    ------
    ValueError
        A layer that cannot be packed, see `memory.save_packed`.
    """
    facts = {name: getattr(finished, name) for name in SIZES}
    save_packed(path, Packed(finished.layers, finished.rest, finished.activity, facts))


def load_codes(path: Path) -> FinishedNetwork:
    """Read what `save_codes` wrote, of this version or of version 1, masks regenerated.

    Raises
    ------
    ValueError
        Damaged, of another kind or version, of a model that is not of the study, or (version 1) codes that
        stand where the mask keeps nothing.
    FileNotFoundError
        There is no such file.
    """
    header, tensors = read_file(path)
    if header.get("version") == 1:
        return _version_1(path, header, tensors)
    if header.get("version") not in READABLE:
        readable = ", ".join(map(str, (1, *READABLE)))
        raise ValueError(
            f"{path} has version {header.get('version')}; this library reads versions {readable}"
        )
    packed = packed_of(path, header, tensors)
    sizes = _sizes(path, packed.facts)
    return FinishedNetwork(*sizes, packed.layers, packed.rest, packed.activity)


def _version_1(path: Path, header: dict, tensors: Mapping[str, Tensor]) -> FinishedNetwork:
    """Dense codes with zeros at the removed places, and one polynomial for all layers."""
    if header.get("polynomial") != str(LAYER_POLYNOMIAL):
        raise ValueError(
            f"{path} has polynomial {header.get('polynomial')}; in version 1 it is {LAYER_POLYNOMIAL}"
        )
    # Files from before the checksum have none, and are read without it.
    claimed = header.pop("sha256", None)
    if claimed is not None and claimed != (found := digest(header, tensors)):
        raise ValueError(f"{path} is damaged: its content has the SHA-256 {found}, not {claimed}")
    check_header(path, header, tensors)
    layers, activity = {}, {}
    for name, entry in header["layers"].items():
        codes = tensors[f"codes.{name}"]
        try:
            keep = _mask(codes, entry, tensors.get(f"keep.{name}"))
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path}: layer {name} does not decode: {error}") from error
        if bool((codes[~keep] != 0).any()) or int(keep.sum()) != entry["kept"]:
            raise ValueError(f"{path}: the codes of {name} do not fit their mask (seed {entry.get('seed')})")
        seed = entry.get("seed")
        generator = None if seed is None else MultiplyShift(LAYER_POLYNOMIAL, seed)
        layers[name] = StoredLayer(codes, entry["scale"], keep, header["bits"], generator=generator)
        if "reads" in entry:
            activity[name] = Activity(tensors[f"row_ones.{name}"], entry["reads"], entry["input_bits"])
    rest = {k.removeprefix("rest."): v for k, v in tensors.items() if k.startswith("rest.")}
    return FinishedNetwork(*_sizes(path, header), layers, rest, activity)


def _sizes(path: Path, facts: Mapping) -> tuple[str, int, int]:
    """Which of the study's networks a file names, or a ``ValueError``."""
    missing = [name for name in SIZES if name not in facts]
    if missing:
        raise ValueError(f"{path} holds no network of the study: its header names no {', '.join(missing)}")
    network, classes, channels_in = (facts[name] for name in SIZES)
    sizes = (classes, channels_in)
    if network not in tuple(NETWORKS) or not all(type(n) is int and 0 < n <= LARGEST_SIZE for n in sizes):
        raise ValueError(
            f"{path} names the network {network!r} of {classes!r} classes, {channels_in!r} channels"
        )
    return network, classes, channels_in


def _mask(codes: Tensor, entry: dict, stored: Tensor | None) -> Tensor:
    if entry["kept"] == codes.numel():
        return torch.ones_like(codes, dtype=torch.bool)
    if stored is not None:
        bits = np.unpackbits(stored.numpy(), count=codes.numel()).astype(bool)
        return torch.from_numpy(bits).view(codes.shape)
    return (
        MultiplyShift(LAYER_POLYNOMIAL, entry["seed"])
        .draw(tuple(codes.shape), entry["kept"] / codes.numel())
        .keep
    )
