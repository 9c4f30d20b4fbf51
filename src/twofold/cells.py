"""Bit patterns become multi-level cells, and cells joules.

A code's pattern is cut into cells of 1 to 4 bits; each cell, read with an input bit of 1, costs what a table
says of the level that it stores (slide "Motivation: 2bit/cell CIM"). An input bit of 0 costs nothing.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Float64, Int, Int32, UInt8
from torch import Tensor

from twofold.codes import ENCODINGS, Encoding, check_bits, code_limit, encode, quantize, words_per_code
from twofold.files import read_csv
from twofold.paths import tables_dir

__all__ = [
    "CELL_ENCODINGS",
    "CellEncoding",
    "CellTable",
    "cells_per_code",
    "code_energy",
    "code_energy_table",
    "from_cells",
    "load_cell_table",
    "read_energies",
    "to_cells",
    "worked_example",
]

CellEncoding = Literal[Encoding, "signed_rows"]
CELL_ENCODINGS: tuple[CellEncoding, ...] = (*ENCODINGS, "signed_rows")
"""What cells can hold of a code: its pattern in one of `codes.ENCODINGS`; or, with *signed rows*, the
magnitude alone, where the sign belongs to the driver of the cell's row. Only a machine whose rows each serve
one weight has such rows: the packed one. It drives those of positive weights first, the others next, and
subtracts.
"""

_JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15, "aJ": 1e-18}
_ADC = "ADC"


@dataclass(frozen=True)
class CellTable:
    """What it costs to read one cell, by the level that it stores."""

    name: str
    cell_bits: int  # 1..4
    energy_j: tuple[float, ...]  # a cell read with an input bit of 1, by level; NaN: level never stored
    adc_energy_j: float  # one analogue-to-digital conversion
    source: str = ""
    doi: str = ""

    def __post_init__(self) -> None:
        levels = 2 ** _check_cell_bits(self.cell_bits)
        if len(self.energy_j) != levels:
            raise ValueError(f"{self.name}: {len(self.energy_j)} levels, {self.cell_bits} bits have {levels}")
        for what, value in [*enumerate(self.energy_j), (_ADC, self.adc_energy_j)]:
            if not (0 <= value < math.inf or (math.isnan(value) and what != _ADC)):
                raise ValueError(f"{self.name}: energy of {what} is {value}, allowed are finite numbers >= 0")


# ---- tables ----


def read_energies(name_or_path: str | Path, key: str) -> pd.DataFrame:
    """A table of ``data/tables`` by its name, or any CSV by its path (which ends in ``.csv``), in joules.

    The file has the columns `key` (what an entry is called), ``energy``, ``unit``, ``source`` and ``doi``;
    the frame has ``energy_j`` in the place of the middle two, and leaves further columns out.

    Raises
    ------
    FileNotFoundError
        No such table; the message lists those there are.
    ValueError
        Column missing, entry named twice, energy not a finite number >= 0, or unit unknown; the message names
        file and entry.
    """
    path = Path(name_or_path)
    climbs = False
    if path.suffix != ".csv":
        path = tables_dir() / f"{name_or_path}.csv"
        climbs = path.parent != tables_dir()
    if climbs or len(path.name) > 255 or not path.is_file():
        files = {p.stem: p.read_text(encoding="utf-8") for p in tables_dir().glob("*.csv")}
        known = ", ".join(sorted(stem for stem, text in files.items() if text.startswith(f"{key},")))
        raise FileNotFoundError(f"no energy table {name_or_path}: give the path of a .csv, or one of {known}")
    frame = read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    missing = [column for column in (key, "energy", "unit", "source", "doi") if column not in frame]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    if frame.empty:
        raise ValueError(f"{path}: no entries")
    twice = frame[key][frame[key].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: entry {twice.iloc[0]!r} stands there more than once")
    energies = [_joules(path, *row) for row in frame[[key, "energy", "unit"]].itertuples(index=False)]
    return pd.DataFrame(
        {key: frame[key], "energy_j": energies, "source": frame["source"], "doi": frame["doi"]}
    )


def _joules(path: Path, entry: str, energy: str, unit: str) -> float:
    if unit not in _JOULES:
        raise ValueError(f"{path}: unit of {entry} is {unit!r}, allowed are {', '.join(_JOULES)}")
    try:
        value = float(energy)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{path}: energy of {entry} is {energy!r}, allowed are finite numbers >= 0")
    return value * _JOULES[unit]


def load_cell_table(name_or_path: str | Path = "rram_2bit_cell", cell_bits: int | None = None) -> CellTable:
    """A cell table from a CSV: one entry a level, written in binary, and the entry ``ADC``.

    The number of binary digits tells the bits of a cell; `cell_bits`, if given, must agree with it. The
    default is the table of the slides; of its measuring condition nothing is known
    (``data/tables/README.md``). Raises as `read_energies` does, and
    ``ValueError`` where a level or ``ADC`` is missing or something else stands in the file.
    """
    path = Path(name_or_path)
    frame = read_energies(name_or_path, "entry")
    energy_j = dict(zip(frame["entry"], frame["energy_j"], strict=True))
    levels = [entry for entry in energy_j if entry and not set(entry) - set("01")]
    digits = max(map(len, levels), default=0)
    if not 1 <= digits <= 4:
        raise ValueError(f"{name_or_path}: levels of {digits} binary digits, allowed are 1..4")
    if cell_bits not in (None, digits):
        raise ValueError(f"cell_bits is {cell_bits}, but {name_or_path} is a table of {digits}-bit cells")
    needed = [format(level, f"0{digits}b") for level in range(2**digits)] + [_ADC]
    for entry in [*needed, *energy_j]:
        if entry not in energy_j or entry not in needed:
            what = "missing" if entry in needed else "unknown"
            raise ValueError(f"{name_or_path}: entry {entry!r} is {what}, needed are {', '.join(needed)}")
    return CellTable(
        name=path.stem,
        cell_bits=digits,
        energy_j=tuple(energy_j[entry] for entry in needed[:-1]),
        adc_energy_j=energy_j[_ADC],
        source="; ".join(frame["source"].unique()),
        doi="; ".join(frame["doi"].unique()),
    )


# ---- bits <-> cells ----


def _check_cell_bits(cell_bits: int) -> int:
    if not 1 <= cell_bits <= 4:
        raise ValueError(f"cell_bits is {cell_bits}, allowed are 1..4")
    return cell_bits


def cells_per_code(bits: int, cell_bits: int, encoding: CellEncoding) -> int:
    """Cells that hold one code: 4 for 8 bits in 2-bit cells, 8 for a differential pair of them.

    Where magnitudes alone are stored, in a pair or on signed rows, there is no cell for a sign: 5 bits are
    two 2-bit cells, where two's complement needs three.
    """
    magnitudes = encoding in ("differential", "signed_rows")
    words = 1 if encoding == "signed_rows" else words_per_code(encoding)
    return words * math.ceil((check_bits(bits) - magnitudes) / _check_cell_bits(cell_bits))


def to_cells(
    patterns: Int[Tensor, "*shape words"], bits: int, cell_bits: int, encoding: Encoding
) -> UInt8[Tensor, "*shape cells"]:
    """Cut patterns into the levels of cells, the most significant cell first, word after word.

    Where `cell_bits` does not divide `bits`, the top cell is filled up: with the sign in two's complement, so
    that its bits still weigh what two's complement says, otherwise with zeros.
    """
    count = cells_per_code(bits, cell_bits, encoding) // words_per_code(encoding)
    words = patterns.to(torch.int32)
    if encoding == "twos_complement":
        half = 2 ** (bits - 1)
        words = (words ^ half) - half  # a signed integer, whose shifts to the right repeat its sign
    shifts = cell_bits * torch.arange(count - 1, -1, -1, dtype=torch.int32, device=words.device)
    levels = words.unsqueeze(-1) >> shifts & (2**cell_bits - 1)
    return levels.to(torch.uint8).flatten(-2)


def from_cells(
    cells: UInt8[Tensor, "*shape cells"], bits: int, cell_bits: int, encoding: Encoding
) -> Int32[Tensor, "*shape words"]:
    """Patterns that lie in the cells, the inverse of `to_cells`; what fills up the top cell is not looked at.

    Raises
    ------
    ValueError
        The last axis is not `cells_per_code` long.
    """
    words, count = words_per_code(encoding), cells_per_code(bits, cell_bits, encoding)
    if cells.shape[-1:] != (count,):
        raise ValueError(f"cells of shape {tuple(cells.shape)}: {encoding} needs a last axis of {count}")
    levels = cells.unflatten(-1, (words, count // words)).to(torch.int32)
    shifts = cell_bits * torch.arange(count // words - 1, -1, -1, dtype=torch.int32, device=cells.device)
    return (levels << shifts).sum(dim=-1, dtype=torch.int32) & (2**bits - 1)


# ---- cells -> joules ----


def code_energy_table(bits: int, encoding: CellEncoding, table: CellTable) -> Float64[Tensor, "codes"]:
    """Joules to read each code once with an input bit of 1; code ``k`` stands at ``k + code_limit(bits)``.

    With the table of the slides, 8 bits and two's complement, 0 costs 0.316 pJ and -1 costs 5.96 pJ.

    Raises
    ------
    ValueError
        Unknown encoding, or a code needs a level that the table has no energy for.
    TypeError
        The table is none.
    """
    if encoding not in CELL_ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}, allowed are {', '.join(CELL_ENCODINGS)}")
    if not isinstance(table, CellTable):
        raise TypeError(f"table is {table!r}, no CellTable; load_cell_table(name or path) gives one")
    limit = code_limit(bits)
    codes = torch.arange(-limit, limit + 1)
    if encoding == "signed_rows":  # the first word of a pair that holds the magnitude
        levels = to_cells(encode(codes.abs(), bits, "differential"), bits, table.cell_bits, "differential")
        levels = levels[:, : cells_per_code(bits, table.cell_bits, encoding)]
    else:
        levels = to_cells(encode(codes, bits, encoding), bits, table.cell_bits, encoding)
    energy_j = torch.tensor(table.energy_j, dtype=torch.float64)[levels.long()]
    unpriced = energy_j.isnan()
    if bool(unpriced.any()):
        level, code = int(levels[unpriced][0]), int(unpriced.any(dim=-1).nonzero()[0]) - limit
        raise ValueError(
            f"table {table.name} has no energy for level {level:0{table.cell_bits}b}, which {encoding} needs "
            f"for the code {code} of {bits} bits; take another encoding or number of bits"
        )
    return energy_j.sum(dim=-1)


def code_energy(
    codes: Int[Tensor, "*shape"], energy_table_j: Float64[Tensor, "codes"]
) -> Float64[Tensor, "*shape"]:
    """Joules to read each code once with an input bit of 1, looked up in a `code_energy_table`.

    Raises
    ------
    ValueError
        A code lies outside the table.
    """
    limit = (energy_table_j.numel() - 1) // 2
    if codes.numel():
        low, high = codes.aminmax()
        if int(low) < -limit or int(high) > limit:
            raise ValueError(f"codes span {int(low)}..{int(high)}, the table has {-limit}..{limit}")
    # index_select with int32: three times the speed of energy_table_j[codes.long() + limit] on a CPU.
    index = codes.flatten().to(torch.int32).add_(limit)
    return energy_table_j.to(codes.device).index_select(0, index).view(codes.shape)


def worked_example(
    weight_value: float, scale: float, bits: int, encoding: Encoding, table: CellTable
) -> pd.DataFrame:
    """One weight all the way from a float to joules, a row for each of its cells.

    Columns: ``weight``, ``scale``, ``code``, ``quantised`` (the value that the code stands for),
    ``encoding``, ``pattern`` (all bits of the cell's word), ``word``, ``cell``, ``bits`` (those in the cell),
    ``level``, ``energy_j``. The last column's sum is the weight's energy, read once with an input bit of 1.
    """
    code_energy_table(bits, encoding, table)  # refuses what it cannot price
    code = quantize(torch.tensor([weight_value], dtype=torch.float64), bits, scale)
    patterns = encode(code, bits, encoding)[0]
    levels = to_cells(patterns, bits, table.cell_bits, encoding).unflatten(0, (patterns.numel(), -1))
    return pd.DataFrame(
        {
            "weight": weight_value,
            "scale": scale,
            "code": int(code),
            "quantised": int(code) * scale / code_limit(bits),
            "encoding": encoding,
            "pattern": format(pattern, f"0{bits}b"),
            "word": word,
            "cell": cell,
            "bits": format(level, f"0{table.cell_bits}b"),
            "level": level,
            "energy_j": table.energy_j[level],
        }
        for word, pattern in enumerate(patterns.tolist())
        for cell, level in enumerate(levels[word].tolist())
    )
