"""A mask: which weights are kept, and in which order; the controls that no register makes.

A mask is **True = kept**. A weight `[out, in, kh, kw]` is a crossbar matrix of `in*kh*kw` rows (inputs) and
`out` columns (outputs), `weight.flatten(1).T`: dimension 0 of every shape here counts crossbar columns.
Positions are flat indices into the weight tensor.

Masks that a register generates come from :mod:`twofold.masks.generator`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["LARGEST", "Mask", "magnitude_mask", "random_mask"]

LARGEST = 1 << 28
"""Weights that a mask may span; a number typed too long must not ask for all memory."""

_CHUNK = 1 << 22  # clocks drawn at once at most: bounds the memory of very large or very dense masks


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
class Mask:
    """Which weights are kept, and in which order their positions were generated.

    Parameters
    ----------
    keep : Bool[Tensor, "*shape"]
        True = kept.
    order : Int64[Tensor, "kept"]
        Flat positions of the kept weights in the order of first sight, the order of packed storage.
    clocks : int
        Register clocks until the last kept position was seen, repeats included; 0 where no register ran.
    indices : int
        Indices that say where the kept weights are: as many as weights, or fewer where neighboring columns
        share theirs.

    Examples
    --------
    >>> mask = random_mask((64, 16, 3, 3), density=0.25, seed=1)
    >>> mask.keep.shape, mask.matrix.shape
    (torch.Size([64, 16, 3, 3]), torch.Size([144, 64]))
    >>> mask.kept, mask.density, mask.sparsity
    (2304, 0.25, 0.75)
    """

    keep: Bool[Tensor, "*shape"]
    order: Int64[Tensor, "kept"]
    clocks: int
    indices: int

    @property
    def kept(self) -> int:
        """Number of weights kept."""
        return self.order.numel()

    @property
    def density(self) -> float:
        """Share of weights kept."""
        return self.kept / self.keep.numel()

    @property
    def sparsity(self) -> float:
        """Share of weights not kept."""
        return 1 - self.density

    @property
    def matrix(self) -> Bool[Tensor, "rows columns"]:
        """The crossbar view of a mask of two or more dimensions; rows are inputs, columns outputs."""
        return self.keep.flatten(1).T


def random_mask(shape: Sequence[int], density: float, seed: int, group: int = 1) -> Mask:
    """The i.i.d. control: `round(density * size)` positions drawn without replacement, in the order drawn.

    With a ``group`` so many neighboring columns share their positions.

    Raises
    ------
    ValueError
        For a density outside (0, 1] or one that keeps nothing, a shape without weights, or a group below 1.

    Examples
    --------
    >>> random_mask((4, 6), density=0.5, seed=1).kept
    12
    """
    blocks = blocks_of(shape, group)
    size = size_of(blocks)
    order = np.random.default_rng(seed).permutation(size)[: kept_of(size, density)]
    return spread(mask_of(order, blocks, clocks=0), shape, group)


def magnitude_mask(weight: Float[Tensor, "*shape"], density: float, group: int = 1) -> Mask:
    """The magnitude control: the `round(density * size)` largest weights, largest first, ties by position.

    With a ``group`` so many neighboring columns share their rows: those of the largest norms over the group,
    `round(density * rows)` in each, so that the crossbars of all groups have as many rows.

    Raises
    ------
    ValueError
        For a density outside (0, 1] or one that keeps nothing, weights that are NaN or infinite, a group
        below 1, or one above 1 of weights of one dimension, whose columns have a single row each.

    Examples
    --------
    >>> mask = magnitude_mask(torch.tensor([0.1, -3.0, 2.0, 4.0]), density=0.5)
    >>> mask.keep, mask.order
    (tensor([False,  True, False,  True]), tensor([3, 1]))
    >>> magnitude_mask(torch.tensor([[1.0, 0.0], [3.0, 4.0]]), density=0.5, group=2).keep
    tensor([[False,  True],
            [False,  True]])
    """
    bad = int((~torch.isfinite(weight)).sum())
    if bad:
        raise ValueError(f"weight holds {bad} NaN or infinite entries; allowed are finite weights")
    blocks, magnitude = blocks_of(weight.shape, group), weight.detach().abs()
    if group == 1:
        largest = magnitude.flatten().argsort(descending=True, stable=True)
        first = largest[: kept_of(size_of(blocks), density)]
        return mask_of(first.cpu().numpy(), weight.shape, clocks=0)
    if weight.dim() < 2:
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} has a single row to choose from in each column; "
            f"allowed with group {group} are two or more dimensions"
        )
    norms = torch.stack([columns.norm(dim=0) for columns in magnitude.flatten(1).split(group)])
    rows = norms.shape[1]
    ranking = norms.argsort(dim=1, descending=True, stable=True)[:, : kept_of(rows, density)]
    order = (ranking.cpu() + rows * torch.arange(len(ranking))[:, None]).flatten().numpy()
    return spread(mask_of(order, blocks, clocks=0), weight.shape, group)


# ---- what the masks of this package are made with ----


def first_sights(
    draw: Callable[[int, int], np.ndarray], shape: Sequence[int], kept: int, period: int, registers: str
) -> Mask:
    """The mask of the first `kept` distinct positions of a stream; `draw(start, count)` gives a part of it.

    No sort: `seen_at` holds the clock of each position's first sight, and a clock is a first sight where its
    position holds that clock. Never draws more than one period.
    """
    size = math.prod(shape)
    if kept > period:
        raise ValueError(out_of_reach(registers, period, period, size, kept))
    times = np.int32 if period < 2**31 else np.int64
    seen_at = np.full(size, np.iinfo(times).max, times)
    order, found, clock = [], 0, 0
    while True:
        count = min(expected_clocks(size, found, kept), _CHUNK, period - clock)
        positions = draw(clock, count)
        clocks = np.arange(clock, clock + count, dtype=times)
        np.minimum.at(seen_at, positions, clocks)
        first = np.flatnonzero(seen_at.take(positions) == clocks)[: kept - found]
        order.append(positions[first])
        found, clock = found + len(first), clock + count
        if found == kept:
            spent = int(clocks[first[-1]]) + 1
            return mask_of(np.concatenate(order), shape, spent, keep=seen_at < spent)
        if clock == period:
            raise ValueError(out_of_reach(registers, period, found, size, kept))


def expected_clocks(size: int, found: int, kept: int) -> int:
    """Clocks to go from `found` to `kept` distinct positions, with a margin of four standard deviations.

    A coupon collector's `size * ln((size - found) / (size - kept))`; the halves serve `kept = size`.
    """
    left = size - kept + 0.5
    return int(size * math.log((size - found + 0.5) / left) + 4 * math.sqrt(size * kept / left)) + 64


def mask_of(order: np.ndarray, shape: Sequence[int], clocks: int, keep: np.ndarray | None = None) -> Mask:
    if keep is None:
        keep = np.zeros(math.prod(shape), bool)
        keep[order] = True
    return Mask(torch.from_numpy(keep.reshape(shape)), torch.from_numpy(order), clocks, len(order))


def blocks_of(shape: Sequence[int], group: int) -> tuple[int, ...]:
    """The shape of what is chosen where so many columns share: groups of them in place of columns."""
    size_of(shape)
    return (-(-shape[0] // check_group(group)), *shape[1:])


def check_group(group: int) -> int:
    """The same number, where it can be that of columns that share; else a ``ValueError``."""
    if not hasattr(group, "__index__") or isinstance(group, bool) or group < 1:
        raise ValueError(f"group is {group!r}; allowed are whole numbers, 1 (no column shares) and above")
    return operator.index(group)


def spread(mask: Mask, shape: Sequence[int], group: int) -> Mask:
    """A mask of blocks as one of weights: each block a row of a group, its columns side by side in memory."""
    if group == 1:
        return mask
    columns, rows = shape[0], math.prod(shape[1:])
    first = mask.order // rows * group
    column = first[:, None] + torch.arange(min(group, columns))
    position = column * rows + (mask.order % rows)[:, None]
    return Mask(shared(mask.keep, group, columns), position[column < columns], mask.clocks, mask.indices)


def shared(blocks: Bool[Tensor, "groups *rest"], group: int, columns: int) -> Bool[Tensor, "columns *rest"]:
    """What each group of columns keeps, for all of its columns."""
    return blocks.repeat_interleave(min(group, columns), dim=0)[:columns].clone()


def size_of(shape: Sequence[int]) -> int:
    if not len(shape) or min(shape) < 1:
        raise ValueError(f"shape {tuple(shape)} holds no weights; allowed are one or more lengths above 0")
    if (size := math.prod(shape)) > LARGEST:
        raise ValueError(f"shape {tuple(shape)} holds {size} weights; allowed are {LARGEST} or fewer")
    return size


def kept_of(size: int, density: float) -> int:
    if not 0 < density <= 1:  # NaN fails both comparisons
        raise ValueError(f"density {density} is outside (0, 1]")
    if (kept := round(density * size)) == 0:
        raise ValueError(
            f"density {density} of {size} positions keeps {density * size:.2g}, which is none; "
            f"allowed are those above 0.5 / {size} = {0.5 / size:.3g}"
        )
    return kept


def out_of_reach(registers: str, period: int, reached: int, size: int, kept: int) -> str:
    return (
        f"{registers} reaches at most {reached} of {size} positions in one period of {period} clocks, "
        f"but {kept} are to be kept; take a higher degree or a lower density"
    )
