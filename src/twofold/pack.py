"""A finished network on disk: codes, scales and seeds, safe to load.

One safetensors file: int8 codes, the batch norms and biases in float32, and a JSON header with the
scale, seed and kept count of each layer. A mask that an LFSR made is regenerated from its seed; any
other mask is stored as a bitmap. With the codes travels the measured input activity of each layer, so
energies can be computed without the images.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from twofold.codes import dequantize
from twofold.energy import Activity
from twofold.lig import LAYER_POLYNOMIAL
from twofold.masks import lfsr_mask
from twofold.models import build_model
from twofold.sparsify import FinishedLayer

__all__ = ["FinishedNetwork", "load_codes", "save_codes"]

FORMAT = "twofold-codes"
VERSION = 1


@dataclass(frozen=True, eq=False)
class FinishedNetwork:
    """Everything that inference and energy need.

    Attributes
    ----------
    network : str, see ``models.NETWORKS``
    classes, channels_in : int
    bits : int
    layers : codes, scale and mask by layer name
    rest : all other tensors of the state dict (batch norms, biases), float32
    activity : input activity by layer name; empty where it was not measured
    """

    network: str
    classes: int
    channels_in: int
    bits: int
    layers: Mapping[str, FinishedLayer]
    rest: Mapping[str, Tensor]
    activity: Mapping[str, Activity] = field(default_factory=dict)

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        layers: Mapping[str, FinishedLayer],
        *,
        network: str,
        classes: int,
        channels_in: int,
        bits: int,
        activity: Mapping[str, Activity] | None = None,
    ) -> "FinishedNetwork":
        """Take the codes of ``layers`` and everything else from the finished model's state."""
        weights = {f"{name}.weight" for name in layers}
        rest = {k: v.detach().cpu() for k, v in model.state_dict().items() if k not in weights}
        return cls(network, classes, channels_in, bits, layers, rest, activity or {})

    def build(self) -> nn.Module:
        """The network with its weights in float, in evaluation mode."""
        model = build_model(self.network, self.classes, self.channels_in)
        state = dict(self.rest)
        for name, layer in self.layers.items():
            state[f"{name}.weight"] = dequantize(layer.codes, layer.scale, self.bits)
        model.load_state_dict(state)
        return model.eval()


def save_codes(path: Path, finished: FinishedNetwork) -> None:
    """Write a finished network; the file appears whole or not at all."""
    tensors: dict[str, Tensor] = {f"rest.{k}": v.contiguous() for k, v in finished.rest.items()}
    layers = {}
    for name, layer in finished.layers.items():
        tensors[f"codes.{name}"] = layer.codes.cpu().contiguous()
        kept = int(layer.keep.sum())
        stored = layer.seed is None and kept < layer.keep.numel()
        if stored:
            tensors[f"keep.{name}"] = torch.from_numpy(np.packbits(layer.keep.cpu().numpy()))
        header: dict = {"scale": layer.scale, "seed": layer.seed, "kept": kept}
        if name in finished.activity:
            activity = finished.activity[name]
            tensors[f"row_ones.{name}"] = activity.row_ones.cpu().to(torch.float64)
            header |= {"reads": activity.reads, "input_bits": activity.input_bits}
        layers[name] = header
    header = {
        "format": FORMAT,
        "version": VERSION,
        "network": finished.network,
        "classes": finished.classes,
        "channels_in": finished.channels_in,
        "bits": finished.bits,
        "polynomial": str(LAYER_POLYNOMIAL),
        "layers": layers,
    }
    header["sha256"] = _digest(header, tensors)
    partial = path.with_suffix(".partial")
    # One key only: safetensors writes several in any order, and equal networks are to be equal files.
    save_file(tensors, partial, metadata={"twofold": json.dumps(header)})
    partial.replace(path)


def load_codes(path: Path) -> FinishedNetwork:
    """Read what `save_codes` wrote, masks regenerated.

    Raises
    ------
    ValueError
        Damaged, of another kind or version, or codes that stand where the mask keeps nothing.
    FileNotFoundError
        There is no such file.
    """
    try:
        with safe_open(path, "pt") as f:
            header = json.loads((f.metadata() or {}).get("twofold", "null"))
            tensors = {k: f.get_tensor(k) for k in f.keys()}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a {FORMAT} file")
    if (header.get("version"), header.get("polynomial")) != (VERSION, str(LAYER_POLYNOMIAL)):
        raise ValueError(
            f"{path} has version {header.get('version')} and polynomial {header.get('polynomial')}; "
            f"this library reads version {VERSION} with {LAYER_POLYNOMIAL}"
        )
    # Files from before the checksum have none, and are read without it.
    claimed = header.pop("sha256", None)
    if claimed is not None and claimed != (digest := _digest(header, tensors)):
        raise ValueError(f"{path} is damaged: its content has the SHA-256 {digest}, not {claimed}")
    layers, activity = {}, {}
    for name, entry in header["layers"].items():
        codes = tensors[f"codes.{name}"]
        keep = _mask(codes, entry, tensors.get(f"keep.{name}"))
        if bool((codes[~keep] != 0).any()) or int(keep.sum()) != entry["kept"]:
            raise ValueError(f"{path}: the codes of {name} do not fit their mask (seed {entry['seed']})")
        layers[name] = FinishedLayer(codes, entry["scale"], keep, entry["seed"])
        if "reads" in entry:
            activity[name] = Activity(tensors[f"row_ones.{name}"], entry["reads"], entry["input_bits"])
    rest = {k.removeprefix("rest."): v for k, v in tensors.items() if k.startswith("rest.")}
    sizes = (header[k] for k in ("network", "classes", "channels_in", "bits"))
    return FinishedNetwork(*sizes, layers, rest, activity)


def _digest(header: dict, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _mask(codes: Tensor, entry: dict, stored: Tensor | None) -> Tensor:
    if entry["kept"] == codes.numel():
        return torch.ones_like(codes, dtype=torch.bool)
    if stored is not None:
        bits = np.unpackbits(stored.numpy(), count=codes.numel()).astype(bool)
        return torch.from_numpy(bits).view(codes.shape)
    return lfsr_mask(tuple(codes.shape), entry["kept"] / codes.numel(), seed=entry["seed"]).keep
