"""A layer as a memory would hold it: codes, one scale, and where its mask comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from twofold.codes.quantizer import dequantize
from twofold.masks.draw import Mask, lfsr_mask
from twofold.masks.generator import LAYER_POLYNOMIAL, Reduction
from twofold.masks.gf2 import Polynomial
from twofold.masks.lfsr import Form
from twofold.masks.measures import cheapest_index_bits

__all__ = ["FinishedLayer", "check_unchanged", "weight_layers", "weight_of"]


WeightLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def weight_layers(model: nn.Module) -> dict[str, WeightLayer]:
    """The layers whose weights a crossbar would hold (convolutions and linear layers), by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, WeightLayer)}


@dataclass(frozen=True, eq=False)
class FinishedLayer:
    """What a memory would hold of one layer.

    Attributes
    ----------
    codes : Int[Tensor, "out *rest"], 0 where nothing is kept
    scale : float, weight = scale * code / code_limit(bits)
    keep : Bool[Tensor, "out *rest"]
    seed : int or None
        Where the LFSR that regenerates ``keep`` starts; None for masks that must be stored.
    polynomial, form, reduction
        The generator that the seed belongs to; of no meaning without a seed.
    """

    codes: Int[Tensor, "out *rest"]
    scale: float
    keep: Bool[Tensor, "out *rest"]
    seed: int | None = None
    polynomial: Polynomial | str = LAYER_POLYNOMIAL
    form: Form = "fibonacci"
    reduction: Reduction = "multiply-shift"

    @property
    def mask(self) -> Mask | None:
        """The mask that the generator makes, with its order; None without an LFSR."""
        if self.seed is None:
            return None
        density = int(self.keep.sum()) / self.keep.numel()
        return lfsr_mask(
            tuple(self.keep.shape), density, self.polynomial, self.seed, self.form, self.reduction
        )

    @property
    def clocks(self) -> int | None:
        """Clocks that the LFSR spends on this mask, repeated positions included; None without an LFSR."""
        return None if (mask := self.mask) is None else mask.clocks

    def stored_index_bits(self, code_bits: int = 8) -> int | None:
        """Bits that a memory holds to say which weights are kept, in the cheapest scheme of
        `mask_measures.index_storage_bits`; None where the LFSR says it.
        """
        return cheapest_index_bits(self.keep, code_bits) if self.seed is None else None


def weight_of(layer: FinishedLayer, bits: int, own: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
    """What the codes stand for, on the device and in the precision of a model's ``own`` weight.

    In float32 where that is of half precision.
    """
    dtype = torch.promote_types(own.dtype, torch.float32)
    return dequantize(layer.codes.to(own.device), torch.tensor(layer.scale, dtype=dtype), bits)


def check_unchanged(modules: Mapping[str, nn.Module], layers: Mapping[str, FinishedLayer], bits: int) -> None:
    """Raise ``ValueError`` where the weight of a finished module is no longer what its codes say."""
    for name, layer in layers.items():
        own = modules[name].get_parameter("weight").detach()
        if not torch.equal(own, weight_of(layer, bits, own).to(own.dtype)):
            raise ValueError(f"the weight of layer {name!r} was changed after finish(); its codes are lost")
