"""A finished network of the study on disk: packed memory, safe to load, and the network built from it.

`twofold.storage.format` holds the format; here stands what belongs to the registered networks: which one it
is, and how to build it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from companion.study.zoo import NETWORKS, build_model
from twofold import Activity, StoredLayer, dequantize
from twofold.codes.encodings import EncodingName
from twofold.storage.format import Packed, load_packed, save_packed

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
    """Read what `save_codes` wrote, masks regenerated.

    Raises
    ------
    ValueError
        Damaged, of another kind or version, or of a model that is not of the study.
    FileNotFoundError
        There is no such file.
    """
    packed = load_packed(path)
    sizes = _sizes(path, packed.facts)
    return FinishedNetwork(*sizes, packed.layers, packed.rest, packed.activity)


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
