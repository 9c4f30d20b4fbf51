"""What a cell's level, a digital operation and a memory word cost, in joules.

A table of cells comes from a CSV (`load_cell_table`) or from plain Python (`cell_table`, `ternary_table`);
either drives training, energies and the array. The CSV tables that travel inside the package give the source
of each number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from twofold._files import read_csv

__all__ = [
    "CellTable",
    "cell_table",
    "load_cell_table",
    "load_operation_energies",
    "memory_word_energy_j",
    "memory_words",
    "read_energies",
    "tables_dir",
    "ternary_table",
]


_JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15, "aJ": 1e-18}


_ADC = "ADC"


@dataclass(frozen=True)
class CellTable:
    """What it costs to read one cell, by the level that it stores.

    Attributes
    ----------
    name
        As titles and messages call it.
    cell_bits
        Bits of a cell, 1..4.
    energy_j
        Joules of a cell read with an input bit of 1, by level; NaN: a level that is never stored.
    adc_energy_j
        Joules of one analog-to-digital conversion.
    source, doi
        Where the numbers are from.

    Raises
    ------
    ValueError
        Another number of levels than ``2^cell_bits``, or an energy that is negative or infinite.
    """

    name: str
    cell_bits: int
    energy_j: tuple[float, ...]
    adc_energy_j: float
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
    """A table of ``twofold/tables`` by its name, or any CSV by its path (which ends in ``.csv``), in joules.

    The file has the columns `key` (what an entry is called), ``energy``, ``unit``, ``source`` and ``doi``;
    the frame has ``energy_j`` in the place of the middle two, and leaves further columns out.

    Raises
    ------
    FileNotFoundError
        No such table; the message lists those there are.
    ValueError
        Column missing, entry named twice, energy not a finite number >= 0, or unit unknown; the message names
        file and entry.

    Examples
    --------
    >>> read_energies("rram_2bit_cell", key="entry")[["entry", "energy_j"]]
      entry      energy_j
    0    00  7.900000e-14
    1    01  3.600000e-13
    2    10  7.300000e-13
    3    11  1.490000e-12
    4   ADC  2.080000e-13
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
    default is the table of the slide "Motivation: 2bit/cell CIM"; of its measuring condition nothing is known
    (``twofold/tables/README.md``).

    Raises
    ------
    FileNotFoundError
        No such table; the message lists those there are.
    ValueError
        As in `read_energies`; or a level or ``ADC`` is missing, or something else stands in the file.

    Examples
    --------
    >>> table = load_cell_table("rram_2bit_cell")
    >>> table.cell_bits, [f"{1e12 * joules:.3f} pJ" for joules in table.energy_j]
    (2, ['0.079 pJ', '0.360 pJ', '0.730 pJ', '1.490 pJ'])
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


def cell_table(
    energy_j: Mapping[int | str, float],
    *,
    adc_energy_j: float,
    name: str = "own",
    source: str = "",
    doi: str = "",
) -> CellTable:
    """A table of 1- to 4-bit cells from a dictionary of levels.

    Parameters
    ----------
    energy_j
        Joules to read a cell once with an input bit of 1, by the level that it stores: an integer from 0, or
        its binary digits as in a CSV ("00" to "11" for 2-bit cells). All 2, 4, 8 or 16 levels are needed;
        NaN says that a level is never stored, and a code that would need it is refused.
    adc_energy_j
        Joules of one analog-to-digital conversion; 0 where none is charged.

    Raises
    ------
    ValueError
        A level is missing, unknown or given twice, or an energy is negative or infinite.

    Examples
    --------
    >>> mine = cell_table({"0": 20e-15, "1": 500e-15}, adc_energy_j=0.0, name="my 1-bit cells")
    >>> mine.cell_bits, mine.energy_j
    (1, (2e-14, 5e-13))
    """
    levels: dict[int, float] = {}
    for key, value in energy_j.items():
        if isinstance(key, str) and (not key or set(key) - set("01")):
            raise ValueError(f"{name}: level {key!r} is not written in binary digits")
        level = int(key, 2) if isinstance(key, str) else key
        if level in levels:
            raise ValueError(f"{name}: level {key!r} is given twice")
        levels[level] = float(value)
    cell_bits = next((bits for bits in range(1, 5) if len(levels) == 2**bits), 0)
    if not cell_bits or set(levels) != set(range(2**cell_bits)):
        raise ValueError(
            f"{name}: the levels are {', '.join(map(repr, energy_j)) or 'none'}; "
            "allowed are all of 0..1, 0..3, 0..7 or 0..15, for cells of 1, 2, 3 or 4 bits"
        )
    in_order = tuple(levels[level] for level in range(2**cell_bits))
    return CellTable(name, cell_bits, in_order, adc_energy_j, source, doi)


def ternary_table(
    *,
    minus_energy_j: float,
    zero_energy_j: float,
    plus_energy_j: float,
    adc_energy_j: float,
    name: str = "ternary",
    source: str = "",
    doi: str = "",
) -> CellTable:
    """A table for memories whose weights are -1, 0 and 1, such as the macro that the slides cite.

    For ``bits=2``, whose codes are exactly these, in two's complement or sign and magnitude: 1 is stored as
    level 01, 0 as 00, -1 as 11, and level 10 never occurs. One cell of this table is one ternary weight,
    be it a cell of three levels or a pair of two; so its energies are those of the whole weight. There is no
    default: the slides give no energies of such a cell, and those of their 2-bit table are of another one.

    Parameters
    ----------
    minus_energy_j, zero_energy_j, plus_energy_j
        Joules to read a weight of -1, 0 or 1 once with an input bit of 1.
    adc_energy_j
        Joules of one analog-to-digital conversion; 0 where none is charged.

    Raises
    ------
    ValueError
        An energy is NaN, negative or infinite.

    Examples
    --------
    >>> energies = {"minus_energy_j": 3e-15, "zero_energy_j": 1e-15, "plus_energy_j": 2e-15}
    >>> ternary_table(**energies, adc_energy_j=0.0).energy_j  # levels 00, 01, 10, 11
    (1e-15, 2e-15, nan, 3e-15)
    """
    levels: dict[int | str, float] = {"00": zero_energy_j, "01": plus_energy_j, "11": minus_energy_j}
    if any(math.isnan(value) for value in levels.values()):
        raise ValueError(f"{name}: the energies of -1, 0 and 1 are all needed, one of them is NaN")
    return cell_table(levels | {"10": math.nan}, adc_energy_j=adc_energy_j, name=name, source=source, doi=doi)


MEMORY_WORD_BITS = 32


MEMORIES = {"SRAM": "32-bit SRAM cache", "DRAM": "32-bit DRAM memory"}
"""Where a stored index may lie -> its operation in the 45 nm table."""


def load_operation_energies(name_or_path: str | Path = "energy_ops_45nm") -> pd.DataFrame:
    """Energy of digital operations: columns ``operation``, ``energy_j``, ``source``, ``doi``.

    The default is figure 1 of Han et al. 2015 (arXiv 1506.02626), for 45 nm, after M. Horowitz, ISSCC 2014.
    Errors are those of `read_energies`.

    Examples
    --------
    >>> energies = load_operation_energies().set_index("operation").energy_j
    >>> float(energies["32-bit SRAM cache"])
    5e-12
    """
    return read_energies(name_or_path, "operation")


@lru_cache
def memory_word_energy_j(memory: str = "SRAM") -> float:
    """Joules to read one 32-bit word of a memory, "SRAM" or "DRAM"; from `load_operation_energies`.

    Raises
    ------
    ValueError
        For any other memory.

    Examples
    --------
    >>> memory_word_energy_j("SRAM"), memory_word_energy_j("DRAM")
    (5e-12, 6.4e-10)
    """
    if memory not in MEMORIES:
        raise ValueError(f"memory is {memory!r}, allowed are {', '.join(MEMORIES)}")
    return float(load_operation_energies().set_index("operation").energy_j[MEMORIES[memory]])


def memory_words(bits: int) -> int:
    """Words of 32 bits that so many bits fill, the last one perhaps in part.

    Examples
    --------
    >>> memory_words(33)
    2
    """
    return -(-bits // MEMORY_WORD_BITS)


def tables_dir() -> Path:
    """The energy tables that travel inside the package."""
    return Path(__file__).resolve().parents[1] / "tables"
