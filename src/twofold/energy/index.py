"""What one index costs in joules: the gates of the synthesized index generators (LIG), and their memories.

The gates come from Yosys (`hardware/synthesize.py`), in gate equivalents of a two-input NAND. What a gate
costs comes from the table of 45 nm operations, with no other technology brought in: a 32-bit adder went
through the same synthesis, and the table has its energy, so

    energy of a gate equivalent = energy of an int ADD / gate equivalents of the adder.

Assumed: the LIG's gates switch about as often as an adder's do. Calibrated by the multiplier instead, a gate
costs more (glitches run through deep logic), and both are at hand. Flip-flops have a clock pin that switches
whatever the data do; they are charged `flip_flop_factor` times, an assumption. A generator whose positions
repeat reads one scratch bit each clock and writes one for each index that it hands out; a memory of 32-bit
words reads the word.

Not every layer was synthesized. One rule finds the design that stands for a layer: the smallest of its kind
that reaches it, with a register as long, as many positions, and as many rows and columns or kernel places. A
layer that none reaches is an error.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from twofold._files import read_csv
from twofold.codes.tables import (
    MEMORIES,
    load_operation_energies,
    memory_word_energy_j,
    memory_words,
    tables_dir,
)
from twofold.layer import StoredLayer
from twofold.masks.draw import blocks_of
from twofold.masks.generator import LAYER_POLYNOMIAL, generator_of
from twofold.masks.kinds import Reduction, Repeating
from twofold.masks.lfsr import Form
from twofold.masks.measures import index_storage_bits

__all__ = [
    "NAND2_TRANSISTORS",
    "TRANSISTORS",
    "gate_energy_j",
    "index_read_energy",
    "lig_design",
    "lig_energy_j",
    "lig_energy_parts",
    "load_lig_cells",
    "sram_gate_equivalents",
    "stored_index_energy_j",
    "walk_energy_j",
]


NAND2_TRANSISTORS = 4
"""Transistors of the two-input NAND, the unit of gate equivalents."""


TRANSISTORS = {
    "NOT": 2,
    "NAND": 4,
    "NOR": 4,
    "AND": 6,
    "OR": 6,
    "ANDNOT": 6,
    "ORNOT": 6,
    "AOI3": 6,
    "OAI3": 6,
    "XOR": 12,
    "XNOR": 12,
    "MUX": 12,
    "DFF": 16,
}
"""Transistors of each gate in static CMOS, as Yosys' `stat -tech cmos` counts them."""


def load_lig_cells(path: Path | None = None) -> pd.DataFrame:
    """The synthesized designs, a row each; columns as in ``twofold/tables/README.md``.

    Raises
    ------
    FileNotFoundError
        There is no such table.
    ValueError
        It lacks a column.

    Examples
    --------
    >>> designs = load_lig_cells()
    >>> lig = designs[(designs.block == "lig") & (designs["size"] == 300)]
    >>> lig[["degree", "reduction", "dedup", "flip_flops", "gate_equivalents"]].head(2)
       degree       reduction  dedup  flip_flops  gate_equivalents
    0     9.0  multiply-shift    1.0          39             659.5
    1     9.0  multiply-shift    0.0          17             383.5
    """
    path = path or tables_dir() / "lig_cells.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no table of cells at {path}; `python hardware/synthesize.py` makes one")
    frame = read_csv(path, dtype={"yosys": str})
    needed = {
        "block",
        "size",
        "degree",
        "columns",
        "kernel",
        "flip_flops",
        "gate_equivalents",
        "scratch_bits",
    }
    missing = needed - set(frame)
    if missing:
        raise ValueError(f"{path} is no table of cells: it has no column {', '.join(sorted(missing))}")
    return frame


@lru_cache
def gate_energy_j(reference: str = "add32") -> float:
    """Joules of one gate equivalent in one operation, by the 45 nm table.

    Parameters
    ----------
    reference : {"add32", "mult32"}
        The block that the table's energy is divided by: int ADD (0.1 pJ) or int MULT (3.1 pJ), 32 bits each.

    Raises
    ------
    ValueError
        For another reference.

    Examples
    --------
    >>> f"{gate_energy_j():.2e} J, {gate_energy_j('mult32'):.2e} J"
    '3.72e-16 J, 5.92e-16 J'
    """
    operations = {"add32": "32-bit int ADD", "mult32": "32-bit int MULT"}
    if reference not in operations:
        raise ValueError(f"reference is {reference!r}, allowed are {', '.join(operations)}")
    energy_j = load_operation_energies().set_index("operation").energy_j[operations[reference]]
    cells = _cells().set_index("block").gate_equivalents
    return float(energy_j / cells[reference])


@lru_cache
def _cells() -> pd.DataFrame:
    """The table, read once."""
    return load_lig_cells()


_BLOCKS = {"rejection": "lig_rejection", "column": "lig_column", "counter": "lig_counter"}
"""Kind -> its module in `hardware/`; the two kinds that repeat are in `lig`."""


@lru_cache(maxsize=1 << 12)
def _design(
    kind: Reduction, form: Form, degree: int, size: int, columns: int, kernel: int, dedup: bool
) -> pd.Series:
    """The smallest design of its kind that reaches a layer: a row of the table.

    Smallest by positions, then by the register, then by gates.
    """
    cells = _cells()
    block = _BLOCKS.get(kind, "lig")
    own = cells[(cells.block == block) & (cells.reduction == kind) & (cells.form == form)]
    if block == "lig":
        own = own[own.dedup == int(dedup)]
    # What a layer has, and what the design is built for; only the first two count for most kinds.
    wanted = {"degree": degree, "positions": size}
    built = {"degree": own.degree, "positions": own["size"]}
    if kind == "column":
        wanted = {"degree": degree, "rows": size // columns, "columns": columns}
        built = {"degree": own.degree, "rows": own["size"] / own["columns"], "columns": own["columns"]}
    elif kind == "counter":
        wanted = {"degree": degree, "pairs": size // kernel, "places": kernel}
        built = {"degree": own.degree, "pairs": own["size"] / own.kernel, "places": own.kernel}
    reaches = own[np.logical_and.reduce([built[name] >= wanted[name] for name in wanted])]
    if reaches.empty:
        asked = ", ".join(f"{name} {number}" for name, number in wanted.items())
        there = pd.DataFrame(built).astype(int).drop_duplicates().sort_values(list(built)[::-1])
        listed = "; ".join(" x ".join(map(str, row)) for row in there.to_numpy()) or "none"
        repeats = f", dedup {dedup}" if block == "lig" else ""
        helps = ""
        if kind == "rejection":  # of a layer of 4096 x 4096, one position is too many for 24 bits
            helps = "; degree d reaches 2^d - 1 positions, which kind 'column' needs for one column only"
        raise ValueError(
            f"no design of kind {kind}, {form}{repeats} reaches {asked}{helps}; synthesized were "
            f"({' x '.join(wanted)}): {listed}"
        )
    return reaches.sort_values(["size", "degree", "gate_equivalents"], kind="stable").iloc[0]


def lig_energy_parts(
    size: int = 36864,
    *,
    degree: int | None = None,
    reduction: Reduction = "multiply-shift",
    form: Form = "fibonacci",
    columns: int = 1,
    kernel: int = 1,
    dedup: bool = True,
    density: float = 0.5,
    gate_j: float | None = None,
    access_j: float | None = None,
    flip_flop_factor: float = 2.0,
) -> dict[str, float]:
    """Joules of one clock of a generator, by what spends them: ``logic_j``, ``clock_j``, ``scratch_j``.

    Parameters
    ----------
    size
        Positions of the layer; 36,864 is the largest of ResNet-20.
    degree
        Of the register; None: the shortest that reaches them all, and where positions repeat that of all
        layers, 31.
    reduction, form
        The kind of the generator.
    columns, kernel
        Columns of the layer (groups of them, where they share an index), for "column", and places of its
        kernel, for "counter"; 1 otherwise.
    dedup
        First sights only, where positions repeat.
    density
        Share of the positions that a walk hands out; repeats write no scratch bit.
    gate_j
        One gate equivalent, one clock; None: `gate_energy_j()`.
    access_j
        One read or write of the scratch memory; None: the table's 32-bit SRAM word.
    flip_flop_factor
        What a flip-flop costs over as many gates as it has.

    Raises
    ------
    ValueError
        No design reaches it (the message lists what was synthesized), or a number out of range.

    Examples
    --------
    >>> {part: f"{energy:.1e}" for part, energy in lig_energy_parts().items()}
    {'logic_j': '4.5e-13', 'clock_j': '1.2e-13', 'scratch_j': '8.6e-12'}
    >>> {part: f"{energy:.1e}" for part, energy in lig_energy_parts(reduction="rejection").items()}
    {'logic_j': '1.4e-13', 'clock_j': '4.6e-14', 'scratch_j': '0.0e+00'}
    """
    if not isinstance(dedup, bool):  # a chapter's parameter, and any text would count as true
        raise ValueError(f"dedup is {dedup!r}, allowed are True and False")
    if not 0 < density <= 1:
        raise ValueError(f"density is {density}, allowed is 0 < density <= 1")
    if min(size, columns, kernel) < 1 or size % (columns * kernel):
        raise ValueError(f"size is {size}; {columns} columns of kernels of {kernel} places do not fill it")
    kind = generator_of(reduction)
    repeats = issubclass(kind, Repeating)
    if degree is None:
        degree = kind.least_degree((columns, size // columns // kernel, kernel)) or LAYER_POLYNOMIAL.degree
    design = _design(reduction, form, degree, size, columns, kernel, dedup)
    logic_j, clock_j = _gates_j(design, gate_j, flip_flop_factor)
    # A coupon collector's clocks: size * ln(1 / (1 - density)) for density * size first sights.
    fresh = density / -math.log1p(-density) if density < 1 else 0.0
    scratch_j = _access_j(access_j) * (1 + fresh) if repeats and dedup else 0.0
    return {"logic_j": logic_j, "clock_j": clock_j, "scratch_j": scratch_j}


def _gates_j(design: pd.Series, gate_j: float | None, flip_flop_factor: float) -> tuple[float, float]:
    """Joules of one clock of a design: its gates, and what its flip-flops cost beyond."""
    for name, value in (("gate_j", gate_j), ("flip_flop_factor", flip_flop_factor)):
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, allowed are finite numbers >= 0")
    gate_j = gate_energy_j() if gate_j is None else gate_j
    flip_flops = float(design.flip_flops) * TRANSISTORS["DFF"] / NAND2_TRANSISTORS
    return gate_j * float(design.gate_equivalents), gate_j * flip_flops * (flip_flop_factor - 1)


def _access_j(access_j: float | None) -> float:
    """Joules of one read or write of a scratch memory."""
    if access_j is None:
        return memory_word_energy_j()
    if not 0 <= access_j < math.inf:
        raise ValueError(f"access_j is {access_j}, allowed are finite numbers >= 0")
    return access_j


def lig_energy_j(size: int = 36864, **arguments) -> float:
    """Joules of one clock of the LIG, all parts: what :class:`~twofold.energy.machine.Machine` takes.

    Arguments and errors as `lig_energy_parts`.

    Examples
    --------
    >>> f"{lig_energy_j():.2e} J, {lig_energy_j(dedup=False):.2e} J"
    '9.18e-12 J, 3.48e-13 J'
    >>> f"{lig_energy_j(reduction='rejection'):.2e} J"
    '1.86e-13 J'
    """
    return sum(lig_energy_parts(size, **arguments).values())


def lig_design(layer: StoredLayer) -> pd.Series:
    """The synthesized design that stands for a layer's generator: a row of `load_lig_cells`.

    The smallest of its kind that reaches the layer, with a scratch memory where positions repeat.

    Raises
    ------
    ValueError
        The layer has no generator, or one that no design reaches (the message lists what was synthesized).

    Examples
    --------
    >>> from twofold.masks.generator import layer_generator
    >>> generator = layer_generator("rejection", (64, 64, 3, 3), layer=0)
    >>> keep = generator.draw((64, 64, 3, 3), density=0.5).keep
    >>> design = lig_design(StoredLayer(keep.char(), 1.0, keep, generator=generator))
    >>> design.block, int(design.flip_flops)
    ('lig_rejection', 31)
    """
    generator = layer.generator
    if generator is None:
        raise ValueError("the layer has no generator, so no design stands for it")
    shape = blocks_of(tuple(layer.keep.shape), generator.group)
    return _design(
        generator.kind,
        generator.form,
        generator.register.degree,
        math.prod(shape),
        shape[0] if generator.kind == "column" else 1,
        math.prod(shape[2:]) if generator.kind == "counter" else 1,
        True,
    )


def walk_energy_j(
    layer: StoredLayer,
    *,
    gate_j: float | None = None,
    access_j: float | None = None,
    flip_flop_factor: float = 2.0,
) -> float:
    """Joules of one walk of a layer's index generator: all its indices, as each input vector needs them.

    All clocks of the walk are charged, those that hand out no index too; where positions repeat, a scratch
    bit is read at each and written for each index. Columns that share their indices share the walk.

    Parameters
    ----------
    gate_j, access_j, flip_flop_factor
        As in `lig_energy_parts`.

    Raises
    ------
    ValueError
        The layer has no generator, or one that no design reaches (the message lists what was synthesized).

    Examples
    --------
    >>> import torch
    >>> from twofold.masks.generator import layer_generator
    >>> for group in (1, 8):  # columns that share an index
    ...     generator = layer_generator("rejection", (64, 64, 3, 3), layer=0, group=group)
    ...     keep = generator.draw((64, 64, 3, 3), density=0.5).keep
    ...     layer = StoredLayer(keep.char(), 1.0, keep, generator=generator, group=group)
    ...     print(layer.kept, layer.indices, f"{walk_energy_j(layer):.1e} J")
    18432 18432 6.1e-09 J
    18432 2304 6.1e-10 J
    """
    generator, mask = layer.generator, layer.mask
    if generator is None or mask is None:
        raise ValueError(
            "the layer has no generator to walk; stored_index_energy_j prices an index that is read"
        )
    a_clock_j = sum(_gates_j(lig_design(layer), gate_j, flip_flop_factor))
    repeats = isinstance(generator, Repeating)
    return mask.clocks * a_clock_j + repeats * _access_j(access_j) * (mask.clocks + mask.indices)


def stored_index_energy_j(layer: StoredLayer, memory: str = "SRAM") -> float:
    """Joules to read a layer's stored index once, in words of 32 bits of the 45 nm table.

    0 where a generator says it, or all weights are kept.

    Parameters
    ----------
    memory : {"SRAM", "DRAM"}

    Examples
    --------
    >>> import torch
    >>> keep = torch.eye(64, dtype=torch.bool)
    >>> layer = StoredLayer(keep.to(torch.int8), scale=1.0, keep=keep)
    >>> layer.index_bits, stored_index_energy_j(layer)  # 16 words of 5 pJ
    (512, 8e-11)
    """
    return memory_words(layer.index_bits) * memory_word_energy_j(memory)


def sram_gate_equivalents(bits: int | float, transistors: int = 6, overhead: float = 1.5) -> float:
    """Gate equivalents of an SRAM: six transistors a bit, times a factor for decoders and sense amplifiers.

    The factor is an assumption (an array that fills two thirds of its macro).

    Examples
    --------
    >>> sram_gate_equivalents(8)
    18.0
    """
    return bits * transistors * overhead / NAND2_TRANSISTORS


def index_read_energy(layers: Mapping[str, StoredLayer], vectors: Mapping[str, int | float]) -> pd.DataFrame:
    """Joules to read the stored indices of a network for one image, from SRAM and from DRAM.

    By the 45 nm table, a 32-bit word at a time. An index is needed for each input vector, as the LIG
    generates it for each (``reads`` = "each vector"); a chip that holds a layer's places for all vectors of
    an image reads them once ("once an image"), and then pays for that buffer, which is not in here. A
    relative index's filler zeros are read too, in all columns that share the index. Layers that keep all need
    no index.

    Parameters
    ----------
    layers
        The network; only the masks matter.
    vectors
        Input vectors of each layer for one image.

    Returns
    -------
    DataFrame
        ``layer``, ``scheme``, ``memory``, ``reads``, ``index_bits`` (fillers included), ``energy_j``, a row
        for each combination.

    Raises
    ------
    ValueError
        A layer without a number of vectors.

    Examples
    --------
    >>> import torch
    >>> keep = torch.eye(8, dtype=torch.bool)
    >>> layer = StoredLayer(keep.to(torch.int8), scale=1.0, keep=keep)
    >>> frame = index_read_energy({"fc": layer}, vectors={"fc": 16})
    >>> frame[["scheme", "memory", "reads", "energy_j"]].head(4)
      scheme memory          reads      energy_j
    0  bitmap   SRAM    each vector  1.600000e-10
    1  bitmap   SRAM  once an image  1.000000e-11
    2  bitmap   DRAM    each vector  2.048000e-08
    3  bitmap   DRAM  once an image  1.280000e-09
    """
    missing = [name for name in layers if name not in vectors]
    if missing:
        raise ValueError(f"vectors names {', '.join(vectors) or 'no layer'}; missing is {', '.join(missing)}")
    rows = []
    for name, layer in layers.items():
        if bool(layer.keep.all()):
            continue
        table = index_storage_bits(layer.blocks, weight_bits=layer.bits * min(layer.group, layer.columns))
        for row in table[table.scheme != "lfsr"].itertuples():
            words = memory_words(row.bits)
            for memory in MEMORIES:
                for reads, times in (("each vector", vectors[name]), ("once an image", 1)):
                    energy_j = words * times * memory_word_energy_j(memory)
                    rows.append((name, row.scheme, memory, reads, row.bits, energy_j))
    columns = ["layer", "scheme", "memory", "reads", "index_bits", "energy_j"]
    return pd.DataFrame(rows, columns=columns)
