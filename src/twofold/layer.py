"""A layer as a memory holds it: codes, scales, their bits and encoding, and where its mask comes from."""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from twofold.codes.encodings import EncodingName, encoding_of
from twofold.codes.quantizer import check_bits, code_limit, dequantize
from twofold.masks.draw import Mask, check_group, shared
from twofold.masks.kinds import IndexGenerator
from twofold.masks.measures import cheapest_index_bits

__all__ = ["WORD", "StoredLayer", "WeightLayer", "check_unchanged", "plain_name", "weight_layers"]

WORD = 4
"""Bytes of a seed, and of a scale."""

WeightLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
"""The layers that a crossbar would hold."""


def weight_layers(model: nn.Module) -> dict[str, WeightLayer]:
    """The layers whose weights a crossbar would hold (convolutions and linear layers), by name.

    Examples
    --------
    >>> list(weight_layers(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(4, 2))))
    ['0', '2']
    """
    named = ((plain_name(name), layer) for name, layer in model.named_modules())
    return {name: layer for name, layer in named if isinstance(layer, WeightLayer)}


def plain_name(name: str) -> str:
    """The name of a module or tensor as it is where nothing is compiled: ``torch.compile`` puts a module in.

    Examples
    --------
    >>> plain_name("blocks.0._orig_mod.conv1.weight")
    'blocks.0.conv1.weight'
    """
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """What a memory holds of one layer; energies, crossbars, reports and files all take it.

    Attributes
    ----------
    codes
        Integer codes, 0 where nothing is kept.
    scale
        What the largest code stands for: a weight is ``scale * code / code_limit(bits)``. One number, or a
        vector of one for each output.
    keep
        True where a weight is kept.
    bits
        Of a code, 2..16.
    encoding
        What the codes were chosen for, one of :data:`~twofold.codes.encodings.CELL_ENCODINGS`.
        "twos_complement", the slides', is also that of codes which were chosen for none.
    generator : IndexGenerator or None
        What regenerates ``keep``; None for masks that must be stored.
    group
        Neighboring columns that share their rows, the generator's where there is one; 1: none do. The last
        group has what is left.

    Raises
    ------
    ValueError
        Bits outside 2..16, a code that does not fit them, an unknown encoding, a group that is no number of
        columns or not the generator's, or a ``keep`` whose columns differ within a group.

    Examples
    --------
    >>> from twofold.masks import MultiplyShift
    >>> generator = MultiplyShift("x^9+x^4+1", seed=5)
    >>> keep = generator.draw((4, 6), density=0.5).keep
    >>> layer = StoredLayer(torch.full((4, 6), 3) * keep, scale=0.5, keep=keep, generator=generator)
    >>> layer
    StoredLayer(4x6, 12 of 24 kept, 8 bits, twos_complement, generator MultiplyShift)
    >>> layer.kept, layer.size, layer.clocks, layer.index_bits
    (12, 24, 16, 0)
    >>> layer.order[:4]
    tensor([ 0, 12,  6, 15])
    >>> layer.weight_like(torch.empty(4, 6)).max()  # 0.5 * 3 / 127
    tensor(0.0118)
    """

    codes: Int[Tensor, "out *rest"]
    scale: float | Float[Tensor, " out"]
    keep: Bool[Tensor, "out *rest"]
    bits: int = 8
    encoding: EncodingName = "twos_complement"
    generator: IndexGenerator | None = None
    group: int = 1

    def __post_init__(self) -> None:
        check_bits(self.bits)
        encoding_of(self.encoding)
        if self.codes.shape != self.keep.shape:
            shapes = f"{tuple(self.codes.shape)} and {tuple(self.keep.shape)}"
            raise ValueError(f"codes and keep have the shapes {shapes}; they must be equal")
        if self.codes.is_floating_point() or self.codes.is_complex() or self.keep.dtype != torch.bool:
            raise ValueError(
                f"codes are {self.codes.dtype} and keep {self.keep.dtype}; integers and bool are needed"
            )
        limit = code_limit(self.bits)
        low, high = (int(code) for code in self.codes.aminmax()) if self.codes.numel() else (0, 0)
        if not -limit <= low <= high <= limit:
            raise ValueError(f"codes span {low}..{high}, {self.bits} bits have {-limit}..{limit}")
        if isinstance(self.scale, Tensor):
            if self.scale.shape != self.codes.shape[:1]:
                raise ValueError(
                    f"scale is of shape {tuple(self.scale.shape)} for codes of {tuple(self.codes.shape)}; "
                    "allowed are one number, or a vector of one for each output"
                )
            bad = self.scale[~((self.scale > 0) & (self.scale < math.inf))].tolist()
        else:
            bad = [] if 0 < self.scale < math.inf else [self.scale]
        if bad:
            raise ValueError(f"scale is {bad[0]}; allowed are finite numbers above 0")
        walked = self.group if self.generator is None else self.generator.group
        if check_group(self.group) != walked:
            raise ValueError(f"group is {self.group} and that of its generator {walked}; they must be equal")
        if self.group > 1:
            meant = shared(self.blocks, self.group, self.columns)
            if not torch.equal(meant, self.keep.reshape(self.columns, -1)):
                raise ValueError(
                    f"keep differs between columns that are to share, {self.group} by {self.group}"
                )

    def __repr__(self) -> str:
        facts = [
            "x".join(map(str, self.codes.shape)),
            f"{self.kept:,} of {self.size:,} kept",
            f"{self.bits} bits",
            self.encoding,
            f"{self.scales} scales" if self.scales > 1 else "",
            f"groups of {self.group} columns" if self.group > 1 else "",
            f"generator {type(self.generator).__name__}" if self.generator is not None else "",
        ]
        return f"StoredLayer({', '.join(filter(None, facts))})"

    @property
    def size(self) -> int:
        """Number of weights, kept or not."""
        return self.keep.numel()

    @property
    def scales(self) -> int:
        """Number of scales that are stored, 1 or one for each output."""
        return self.scale.numel() if isinstance(self.scale, Tensor) else 1

    @property
    def columns(self) -> int:
        """Columns of the crossbar, which are outputs."""
        return self.keep.shape[0]

    @property
    def rows(self) -> int:
        """Rows of the crossbar, which are inputs of an output."""
        return self.size // self.columns

    @property
    def groups(self) -> int:
        """Groups of columns that share their rows, as many as columns where none do."""
        return -(-self.columns // self.group)

    def convolution_groups(self, rows: int) -> int | None:
        """Groups of the convolution, each of its own inputs, with so many rows in all; None if of none.

        Examples
        --------
        >>> layer = StoredLayer(torch.zeros(4, 9).char(), scale=1.0, keep=torch.ones(4, 9).bool())
        >>> layer.convolution_groups(9), layer.convolution_groups(18), layer.convolution_groups(10)
        (1, 2, None)
        """
        groups, left = divmod(rows, self.rows)
        return None if left or not groups or self.columns % groups else groups

    @property
    def blocks(self) -> Bool[Tensor, "groups rows"]:
        """The mask as its index says it, a row for each group of columns that share; 1 is one column."""
        return self.keep.reshape(self.columns, -1)[:: self.group]

    @cached_property
    def indices(self) -> int:
        """Indices that say what is kept, a row of a group each."""
        return int(self.blocks.count_nonzero())

    @cached_property
    def kept(self) -> int:
        """Number of weights kept."""
        return int(self.keep.count_nonzero())

    @cached_property
    def mask(self) -> Mask | None:
        """The mask that the generator makes, with its order and clocks, drawn once; None without one.

        Raises
        ------
        ValueError
            The generator makes another mask than ``keep``.
        """
        return self.walk()

    def walk(self) -> Mask | None:
        """`mask`, but not held on to: its order takes eight times the memory of the codes."""
        if self.generator is None or "mask" in vars(self):
            return vars(self).get("mask")
        mask = self.generator.draw(tuple(self.keep.shape), self.indices / self.blocks.numel())
        if not torch.equal(mask.keep, self.keep.cpu()):
            raise ValueError(
                f"the mask is not the one that {self.generator} makes; "
                "give generator None to store its bitmap"
            )
        return mask

    @property
    def order(self) -> Int64[Tensor, "kept"]:
        """Flat positions of the kept weights as a memory holds them, in the generator's order, or rising."""
        return self.keep.cpu().flatten().nonzero()[:, 0] if self.mask is None else self.mask.order

    @cached_property
    def clocks(self) -> int | None:
        """Clocks that the generator spends on this mask, states without a new position included."""
        mask = self.walk()
        return None if mask is None else mask.clocks

    @cached_property
    def index_bits(self) -> int:
        """Bits that a memory holds to say which weights are kept; 0 where a generator says it, or all are.

        In the cheapest scheme of `masks.measures.index_storage_bits`.
        """
        if self.generator is not None or self.kept == self.size:
            return 0
        return cheapest_index_bits(self.blocks, self.bits * min(self.group, self.columns))

    @property
    def bytes_packed(self) -> int:
        """Bytes in a packed file, of kept codes at their bits, scales, a seed and a stored mask's bitmap."""
        bitmap = 0 if self.generator is not None or self.kept == self.size else self.blocks.numel()
        return math.ceil(self.kept * self.bits / 8) + math.ceil(bitmap / 8) + WORD * (1 + self.scales)

    def chosen_for(self, encoding: EncodingName) -> "StoredLayer":
        """The same codes, marked as chosen for an encoding; a mask that was drawn stays drawn."""
        marked = copy(self)
        object.__setattr__(marked, "encoding", encoding_of(encoding).name)
        return marked

    def encoding_in(self, dataflow: str, plain: EncodingName) -> EncodingName:
        """How the cells of a machine hold the codes: in the encoding that they were chosen for, if any.

        Parameters
        ----------
        dataflow : {"crossbar", "packed"}
            A crossbar cannot give a row of weights a sign: there magnitudes are a differential pair.
        plain : str
            What a layer of plain codes (two's complement) is written in.
        """
        if self.encoding == "twos_complement":
            return plain
        return encoding_of(self.encoding).in_crossbar if dataflow == "crossbar" else self.encoding

    def weight_like(self, own: Float[Tensor, "out *rest"]) -> Float[Tensor, "out *rest"]:
        """What the codes stand for, on the device and in the precision of a model's ``own`` weight.

        In float32 where that is of half precision.
        """
        dtype = torch.promote_types(own.dtype, torch.float32)
        scale = torch.as_tensor(self.scale, dtype=dtype, device=own.device)
        return dequantize(self.codes.to(own.device), scale, self.bits)


def check_unchanged(weights: Mapping[str, Tensor], layers: Mapping[str, StoredLayer]) -> None:
    """Raise ``ValueError`` where a finished weight, output first, is no longer what its codes say."""
    for name, layer in layers.items():
        own = weights[name].detach()
        same = own.shape == layer.codes.shape
        # A model moved to another precision after finish() has rounded the product of scale and code before.
        if not same or not torch.allclose(own, layer.weight_like(own).to(own.dtype), rtol=1e-6, atol=0):
            raise ValueError(f"the weight of layer {name!r} was changed after finish(); its codes are lost")
