"""What masks have in common, how even they are, what they span and reach, what their indices cost to store.

A mask is **True = kept**; see :mod:`twofold.masks.draw`.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from twofold.masks.draw import Mask, random_mask
from twofold.masks.generator import LAYER_POLYNOMIAL, layer_generator, reduce_states
from twofold.masks.gf2 import Polynomial
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import LFSR

__all__ = [
    "cheapest_index_bits",
    "index_storage_bits",
    "mask_quality",
    "numerical_rank",
    "overlap",
    "pair_coverage",
]


_MAX_CLOCKS = 1 << 24  # about a second's walk


_CHUNK = 1 << 20  # clocks walked at once: bounds the memory


def overlap(a: Mask | Bool[Tensor, "*shape"], b: Mask | Bool[Tensor, "*shape"]) -> float:
    """`|A and B| / |A|`: the share of A's kept weights that B keeps too; by chance, about B's density.

    Raises
    ------
    ValueError
        For masks of two shapes, or a first mask that keeps nothing.

    Examples
    --------
    >>> overlap(torch.tensor([True, True, False]), torch.tensor([True, False, True]))
    0.5
    """
    keep_a, keep_b = (mask.keep if isinstance(mask, Mask) else mask for mask in (a, b))
    if keep_a.shape != keep_b.shape:
        raise ValueError(f"masks of shapes {tuple(keep_a.shape)} and {tuple(keep_b.shape)} have no overlap")
    kept = int(keep_a.sum())
    if kept == 0:
        raise ValueError("the first mask keeps 0 weights, so its overlap is not defined; keep at least 1")
    return int((keep_a & keep_b).sum()) / kept


def numerical_rank(matrix: Shaped[Tensor, "rows columns"]) -> int:
    """Rank in float64 at the default tolerance of `torch.linalg.matrix_rank`; a mask counts as 0 and 1.

    Examples
    --------
    >>> numerical_rank(torch.tensor([[True, False], [True, False]]))
    1
    """
    return int(torch.linalg.matrix_rank(matrix.detach().double()))


def mask_quality(
    kind: Reduction | Literal["iid"],
    shapes: Sequence[Sequence[int]],
    density: float,
    group: int = 1,
    runs: int = 3,
) -> pd.DataFrame:
    """How the masks of a network's layers compare with masks drawn by chance.

    Each layer has the generator of `layer_generator` (or an i.i.d. mask of its own) in each run. What is
    measured is what the indices say: where columns share theirs (``group``), each group of them is one
    column here. Only the rank of the weights is that of all columns.

    A spread is a root mean square deviation from what is expected, over that of masks with as many kept
    positions drawn without replacement (the hypergeometric one): 1 is chance, more is related, less is even.

    - `overlap of layers`, `overlap of runs`: the mean of `|A and B| / kept` over all pairs of two layers of
      one shape in one run, and of two runs of one layer. By chance, the density.
    - `spread of layers`, `spread of runs`: the spread of `|A and B|` over the same pairs.
    - `spread of rows`, `spread of columns`: that of the kept weights in a row or a column of a layer. A kind
      that keeps as many rows in each column has 0.
    - `corr(i, i/2)`: the correlation of whether flat positions i and floor(i / 2) are kept, i = 1, 2, ...;
      the mean over the masks. A register that shifts to the right goes from the one to the other.
    - `corr(i, i/2) in a column`: the same over the rows of each column.
    - `rank of mask`, `rank of weights`: the rank of the mask as a matrix of 0 and 1, and that of normal
      weights under it, over the most that its shape allows; the mean over the masks.
    - `clocks an index`: all clocks over all indices.

    Parameters
    ----------
    kind
        Of `layer_generator`, or "iid".
    shapes
        Of the layers, in their order.
    density
        In (0, 1); what keeps all has nothing to measure.
    runs
        1 or more.

    Returns
    -------
    DataFrame
        A row a measure: ``generator``, ``density``, ``group``, ``measure``, ``value``, in the order above.
        NaN where there is nothing to measure: no two layers of one shape, one run, one group, no register.

    Raises
    ------
    ValueError
        As the masks; a density of 1; no shape, one of a single dimension, or no run.

    Examples
    --------
    >>> frame = mask_quality("rejection", [(16, 8, 3, 3)] * 4, density=0.5)
    >>> values = frame.set_index("measure").value.round(2)
    >>> values[["overlap of layers", "spread of layers", "clocks an index"]]
    measure
    overlap of layers    0.49
    spread of layers     1.71
    clocks an index      1.77
    Name: value, dtype: float64
    """
    if not shapes or min(map(len, shapes)) < 2 or runs < 1:
        raise ValueError(
            f"{runs} runs of the shapes {list(map(tuple, shapes))} are no masks to compare; "
            "allowed are 1 run and above of shapes of two dimensions and above"
        )
    if density == 1:
        raise ValueError("density 1 keeps all, so there is nothing to measure; allowed are less than 1")
    drawn = defaultdict(list)
    for run in range(runs):
        for layer, shape in enumerate(shapes):
            if kind == "iid":
                mask = random_mask(shape, density, 1000 * run + layer, group)
            else:
                mask = layer_generator(kind, shape, layer, run, group).draw(tuple(shape), density)
            drawn[tuple(shape)].append((layer, run, mask))
    found: dict[str, list] = defaultdict(list)
    generator = torch.Generator().manual_seed(0)
    for masks in drawn.values():
        columns = torch.stack([mask.keep.flatten(1) for *_, mask in masks])
        blocks = columns[:, ::group].double()
        layers, of_run = (np.array(number) for number in list(zip(*masks, strict=True))[:2])
        _compare(found, blocks, layers, of_run)
        found["corr(i, i/2)"].append(_halves(blocks.flatten(1)))
        found["corr(i, i/2) in a column"].append(_halves(blocks))
        found["rank of mask"].append(_rank_share(blocks))
        weights = torch.randn(columns.shape, generator=generator, dtype=torch.float64)
        found["rank of weights"].append(_rank_share(weights * columns))
    every = [mask for masks in drawn.values() for *_, mask in masks]
    clocks = sum(mask.clocks for mask in every) / sum(mask.indices for mask in every)
    values = {measure: _mean(np.concatenate(parts)) for measure, parts in found.items()}
    values = {m: math.sqrt(v) if m.startswith("spread") else v for m, v in values.items()}
    values["clocks an index"] = clocks if clocks else math.nan
    table = {"measure": values.keys(), "value": values.values()}
    return pd.DataFrame({"generator": kind, "density": density, "group": group, **table})


def _compare(
    found: dict[str, list[np.ndarray]],
    blocks: Float[Tensor, "masks groups rows"],
    layers: np.ndarray,
    runs: np.ndarray,
) -> None:
    """Overlaps, and squared deviations over the hypergeometric variances, of all masks of one shape."""
    _, groups, rows = blocks.shape
    size, kept = groups * rows, int(blocks[0].sum())

    def spread(counts: np.ndarray, drawn: int) -> np.ndarray:
        """Of how many of the kept are among so many positions."""
        mean = drawn * kept / size
        variance = mean * (1 - kept / size) * (size - drawn) / (size - 1)
        return (counts - mean) ** 2 / variance if variance else counts[:0]

    flat = blocks.flatten(1)
    common = (flat @ flat.T).numpy()
    one, other = np.triu_indices(len(blocks), 1)
    pairs = {"layers": runs[one] == runs[other], "runs": layers[one] == layers[other]}
    for what, alike in pairs.items():
        found[f"overlap of {what}"].append(common[one[alike], other[alike]] / kept)
    for what, alike in pairs.items():
        found[f"spread of {what}"].append(spread(common[one[alike], other[alike]], kept))
    several = blocks if groups > 1 else blocks[:0]  # a single column has what it has
    found["spread of rows"].append(spread(several.sum(1).flatten().numpy(), groups))
    found["spread of columns"].append(spread(several.sum(2).flatten().numpy(), rows))


def _halves(keep: Float[Tensor, "masks *columns length"]) -> np.ndarray:
    """Of each mask the correlation of the entries i = 1, 2, ... and floor(i / 2) along its last axis."""
    later = torch.arange(1, keep.shape[-1])
    pairs = [keep[..., place].flatten(1).numpy() for place in (later, later // 2)]
    one, half = (values - values.mean(1, keepdims=True) for values in pairs)
    norms = np.sqrt((one**2).sum(1) * (half**2).sum(1))
    return (one * half).sum(1)[norms > 0] / norms[norms > 0]


def _rank_share(matrices: Float[Tensor, "masks columns rows"]) -> np.ndarray:
    return torch.linalg.matrix_rank(matrices).numpy() / min(matrices.shape[1:])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def pair_coverage(
    rows: int,
    columns: int,
    row_register: LFSR,
    column_register: LFSR,
    reduction: Reduction = "multiply-shift",
) -> Bool[Tensor, "rows columns"]:
    """The positions of a matrix that two registers, clocked together for ever, point at.

    The pair of states returns after the lcm of both periods, so one lcm shows everything. Two equal periods
    repeat together: the pair walks one period's worth of positions, however often it runs round. This is what
    :func:`~twofold.masks.pairs.pair_mask` refuses.

    Raises
    ------
    ValueError
        For an lcm above 2^24 clocks, or a matrix without rows or columns.

    Examples
    --------
    >>> equal = pair_coverage(6, 6, LFSR("x^3+x+1"), LFSR("x^3+x^2+1"))
    >>> coprime = pair_coverage(6, 6, LFSR("x^3+x+1"), LFSR("x^4+x+1"))
    >>> int(equal.sum()), int(coprime.sum())  # of 36 positions
    (7, 36)
    """
    if min(rows, columns) < 1:
        raise ValueError(f"a matrix of {rows} rows and {columns} columns is empty; allowed are 1 and above")
    periods = row_register.period, column_register.period
    clocks = math.lcm(*periods)
    if clocks > _MAX_CLOCKS:
        raise ValueError(
            f"periods {periods[0]} ({row_register.polynomial}) and {periods[1]} "
            f"({column_register.polynomial}) return together after {clocks} clocks; "
            f"allowed are up to 2^24 = {_MAX_CLOCKS}; take narrower registers"
        )
    visited = np.zeros((rows, columns), bool)
    for start in range(0, clocks, _CHUNK):
        row, column = (
            reduce_states(
                register.jump(start).states(min(_CHUNK, clocks - start)), size, register.degree, reduction
            )
            for register, size in ((row_register, rows), (column_register, columns))
        )
        visited[row, column] = True
    return torch.from_numpy(visited)


def index_storage_bits(
    keep: Bool[Tensor, "*shape"], polynomial: Polynomial | str = LAYER_POLYNOMIAL, weight_bits: int = 8
) -> pd.DataFrame:
    """What it costs to say where the kept weights of one layer are, in bits.

    - `lfsr`: `2 degree + ceil(log2(size + 1))`, that is taps, seed, and a counter of kept weights.
    - `bitmap`: `size`.
    - `csr`: `kept * ceil(log2(row length)) + (rows + 1) * ceil(log2(kept + 1))`, a row for each output.
    - `relative k-bit`: `k * entries`. An entry counts the zeros since the one before, 0 to 2^k - 1; a longer
      gap needs `floor(gap / 2^k)` filler zeros, each an entry of its own with a stored zero weight.

    Returns
    -------
    DataFrame
        `scheme`; `index_bits` as above; `entries`, the weights stored, fillers included; `filler_entries`;
        `filler_bits`, `weight_bits` for each filler; `bits`, the sum of `index_bits` and `filler_bits`.

    Raises
    ------
    ValueError
        For a mask without weights, or `weight_bits` below 1.

    Notes
    -----
    Relative indices: Han et al., "Deep Compression" (ICLR 2016), section 2 and figure 2, and "EIE" (ISCA
    2016), section III; here they run over the flattened layer.

    Examples
    --------
    >>> from twofold.masks import lfsr_mask
    >>> table = index_storage_bits(lfsr_mask((64, 64), density=0.1).keep)
    >>> table[["scheme", "index_bits", "entries", "bits"]]
               scheme  index_bits  entries  bits
    0            lfsr          75      410    75
    1          bitmap        4096      410  4096
    2             csr        3045      410  3045
    3  relative 4-bit        2132      533  3116
    4  relative 5-bit        2230      446  2518
    5  relative 8-bit        3280      410  3280
    """
    schemes, kept = _schemes(keep, Polynomial.parse(polynomial), weight_bits)
    table = pd.DataFrame(schemes, columns=["scheme", "index_bits", "filler_entries"])
    table.insert(2, "entries", kept + table["filler_entries"])
    table["filler_bits"] = weight_bits * table["filler_entries"]
    table["bits"] = table["index_bits"] + table["filler_bits"]
    return table


def _schemes(
    keep: Bool[Tensor, "*shape"], polynomial: Polynomial, weight_bits: int
) -> tuple[list[tuple[str, int, int]], int]:
    """Name, index bits and filler entries of each scheme, the register first; and the kept weights."""
    if keep.ndim == 0 or keep.numel() == 0:
        raise ValueError(
            f"shape {tuple(keep.shape)} holds no weights; allowed are one or more lengths above 0"
        )
    if weight_bits < 1:
        raise ValueError(f"weight_bits {weight_bits} is no width; allowed are 1 and above")
    positions = np.flatnonzero(keep.cpu().numpy())
    size, kept = keep.numel(), len(positions)
    rows = keep.shape[0] if keep.ndim > 1 else 1
    schemes = [
        ("lfsr", 2 * polynomial.degree + size.bit_length(), 0),
        ("bitmap", size, 0),
        ("csr", kept * (size // rows - 1).bit_length() + (rows + 1) * kept.bit_length(), 0),
    ]
    gaps = np.diff(positions, prepend=-1) - 1
    for bits in (4, 5, 8):
        fillers = int((gaps >> bits).sum())
        schemes.append((f"relative {bits}-bit", bits * (kept + fillers), fillers))
    return schemes, kept


def cheapest_index_bits(keep: Bool[Tensor, "*shape"], weight_bits: int = 8) -> int:
    """Bits of the cheapest index that a memory can hold, filler zeros included; 0 where all is kept.

    That is, of `index_storage_bits` all but the register, which raises the same errors.

    Examples
    --------
    >>> cheapest_index_bits(torch.eye(8, dtype=torch.bool))  # the bitmap takes 64
    32
    """
    if bool(keep.all()):
        return 0
    (_, *stored), _ = _schemes(keep, LAYER_POLYNOMIAL, weight_bits)
    return min(index_bits + weight_bits * fillers for _, index_bits, fillers in stored)
