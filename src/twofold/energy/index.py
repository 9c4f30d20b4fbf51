"""What one index costs: the gates of the synthesized index generator (LIG) and its scratch memory, in joules.

The gates come from Yosys (`hardware/synthesize.py`), in gate equivalents of a two-input NAND. What a gate
costs comes from the table of 45 nm operations, with no other technology brought in: a 32-bit adder went
through the same synthesis, and the table has its energy, so

    energy of a gate equivalent = energy of an int ADD / gate equivalents of the adder.

Assumed: the LIG's gates switch about as often as an adder's do. Calibrated by the multiplier instead, a gate
costs more (glitches run through deep logic), and both are at hand. Flip-flops have a clock pin that switches
whatever the data do; they are charged `flip_flop_factor` times, an assumption. A generator of first sights
reads one scratch bit each clock and writes one for each index that it hands out; a memory of 32-bit words
reads the word.
"""

import math
from collections.abc import Mapping
from pathlib import Path

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
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import Form
from twofold.masks.measures import index_storage_bits

__all__ = [
    "NAND2_TRANSISTORS",
    "TRANSISTORS",
    "gate_energy_j",
    "index_read_energy",
    "lig_energy_j",
    "lig_energy_parts",
    "load_lig_cells",
    "sram_gate_equivalents",
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
    0     9.0  multiply-shift    1.0          39             687.5
    1     9.0  multiply-shift    0.0          17             384.0
    """
    path = path or tables_dir() / "lig_cells.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no table of cells at {path}; `python hardware/synthesize.py` makes one")
    frame = read_csv(path, dtype={"yosys": str})
    missing = {"block", "size", "degree", "flip_flops", "gate_equivalents", "scratch_bits"} - set(frame)
    if missing:
        raise ValueError(f"{path} is no table of cells: it has no column {', '.join(sorted(missing))}")
    return frame


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
    '3.71e-16 J, 5.92e-16 J'
    """
    operations = {"add32": "32-bit int ADD", "mult32": "32-bit int MULT"}
    if reference not in operations:
        raise ValueError(f"reference is {reference!r}, allowed are {', '.join(operations)}")
    energy_j = load_operation_energies().set_index("operation").energy_j[operations[reference]]
    cells = load_lig_cells().set_index("block").gate_equivalents
    return float(energy_j / cells[reference])


def lig_energy_parts(
    size: int = 36864,
    *,
    degree: int = 31,
    reduction: Reduction = "multiply-shift",
    form: Form = "fibonacci",
    dedup: bool = True,
    density: float = 0.5,
    gate_j: float | None = None,
    access_j: float | None = None,
    flip_flop_factor: float = 2.0,
) -> dict[str, float]:
    """Joules of one clock of the LIG, by what spends them: ``logic_j``, ``clock_j``, ``scratch_j``.

    Parameters
    ----------
    size, degree, reduction, form, dedup
        A design of the table; 36,864 is the largest layer of ResNet-20.
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
        No such design (the message lists the sizes), or a number out of range.

    Examples
    --------
    >>> {part: f"{energy:.1e}" for part, energy in lig_energy_parts().items()}
    {'logic_j': '4.4e-13', 'clock_j': '1.2e-13', 'scratch_j': '8.6e-12'}
    """
    if not isinstance(dedup, bool):  # a chapter's parameter, and any text would count as true
        raise ValueError(f"dedup is {dedup!r}, allowed are True and False")
    if not 0 < density <= 1:
        raise ValueError(f"density is {density}, allowed is 0 < density <= 1")
    for name, value in (("gate_j", gate_j), ("access_j", access_j), ("flip_flop_factor", flip_flop_factor)):
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, allowed are finite numbers >= 0")
    cells = load_lig_cells()
    own = cells[
        (cells.block == "lig")
        & (cells.degree == degree)
        & (cells.reduction == reduction)
        & (cells.form == form)
        & (cells.dedup == int(dedup))
    ]
    row = own[own["size"] == size]
    if row.empty:
        there = ", ".join(str(int(s)) for s in own["size"]) or "none"
        raise ValueError(
            f"no design of size {size} with degree {degree}, {reduction}, {form}, dedup {dedup} was "
            f"synthesized; sizes that were: {there}"
        )
    design = row.iloc[0]
    gate_j = gate_energy_j() if gate_j is None else gate_j
    if access_j is None:
        access_j = memory_word_energy_j()
    flip_flops = design.flip_flops * TRANSISTORS["DFF"] / NAND2_TRANSISTORS
    # A coupon collector's clocks: size * ln(1 / (1 - density)) for density * size first sights.
    fresh = density / -math.log1p(-density) if density < 1 else 0.0
    return {
        "logic_j": gate_j * float(design.gate_equivalents),
        "clock_j": gate_j * float(flip_flops) * (flip_flop_factor - 1),
        "scratch_j": access_j * (1 + fresh) if dedup else 0.0,
    }


def lig_energy_j(size: int = 36864, **arguments) -> float:
    """Joules of one clock of the LIG, all parts: what :class:`~twofold.energy.machine.Machine` takes.

    Arguments and errors as `lig_energy_parts`.

    Examples
    --------
    >>> f"{lig_energy_j():.2e} J, {lig_energy_j(dedup=False):.2e} J"
    '9.17e-12 J, 3.38e-13 J'
    """
    return sum(lig_energy_parts(size, **arguments).values())


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
    relative index's filler zeros are read too. Layers that keep all need no index.

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
        table = index_storage_bits(layer.keep)
        for row in table[table.scheme != "lfsr"].itertuples():
            words = memory_words(row.bits)
            for memory in MEMORIES:
                for reads, times in (("each vector", vectors[name]), ("once an image", 1)):
                    energy_j = words * times * memory_word_energy_j(memory)
                    rows.append((name, row.scheme, memory, reads, row.bits, energy_j))
    columns = ["layer", "scheme", "memory", "reads", "index_bits", "energy_j"]
    return pd.DataFrame(rows, columns=columns)
