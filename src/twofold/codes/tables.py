"""What a cell's level, a digital operation and a memory word cost, in joules.

A table of cells comes from a CSV (`load_cell_table`) or from plain Python (`cell_table`, `resistive_table`,
`ternary_table`); either drives training, energies and the array. The CSV tables that travel inside the
package give the source of each number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    "resistive_table",
    "tables_dir",
    "ternary_table",
]


_JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15, "aJ": 1e-18}


_ADC = "ADC"


_OHMS = {"ohm": 1.0, "kohm": 1e3, "Mohm": 1e6}


_VOLTS = {"V": 1.0, "mV": 1e-3}


_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


_PARAMETERS = {
    "cell_bits": {"bit": 1.0},
    "R_on": _OHMS,
    "R_off": _OHMS,
    "V": _VOLTS,
    "t": _SECONDS,
    _ADC: _JOULES,
}
"""What a table of resistive cells gives, and the units of each."""


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
    read_v, read_s
        Voltage and time of a read, in volts and seconds; None where the table says nothing of them.
    signed
        Whether cells add to a column's sum or take from it, so that a sign asks for no column of its own.

    Raises
    ------
    ValueError
        Another number of levels than ``2^cell_bits``, an energy that is negative or infinite, or a voltage
        or time that is not above 0.
    """

    name: str
    cell_bits: int
    energy_j: tuple[float, ...]
    adc_energy_j: float
    source: str = ""
    doi: str = ""
    read_v: float | None = None
    read_s: float | None = None
    signed: bool = False

    def __post_init__(self) -> None:
        levels = 2 ** _check_cell_bits(self.cell_bits)
        if len(self.energy_j) != levels:
            raise ValueError(f"{self.name}: {len(self.energy_j)} levels, {self.cell_bits} bits have {levels}")
        for what, value in [*enumerate(self.energy_j), (_ADC, self.adc_energy_j)]:
            if not (0 <= value < math.inf or (math.isnan(value) and what != _ADC)):
                raise ValueError(f"{self.name}: energy of {what} is {value}, allowed are finite numbers >= 0")
        for what in ("read_v", "read_s"):
            if not ((value := getattr(self, what)) is None or 0 < value < math.inf):
                raise ValueError(f"{self.name}: {what} is {value}, allowed are finite numbers > 0")

    def with_even_levels(self) -> "CellTable":
        """The same cells with their levels evenly spaced between level 0 and the top one.

        A column adds up what the levels are worth only if its cells' conductances are evenly spaced, and with
        them the joules (``E = V^2 G t``). Programming the middle levels to that grid changes what they cost.

        Examples
        --------
        >>> table = load_cell_table("rram_2bit_cell").with_even_levels()
        >>> [f"{1e12 * joules:.3f} pJ" for joules in table.energy_j]  # given are .079, .36, .73 and 1.49 pJ
        ['0.079 pJ', '0.549 pJ', '1.020 pJ', '1.490 pJ']
        """
        even = _evenly_spaced(self.energy_j[0], self.energy_j[-1], self.cell_bits)
        return replace(self, name=f"{self.name}, even levels", energy_j=even)


def _evenly_spaced(bottom: float, top: float, cell_bits: int) -> tuple[float, ...]:
    shares = [level / (2**cell_bits - 1) for level in range(2**cell_bits)]
    return tuple(bottom * (1 - share) + top * share for share in shares)


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
    path, frame = _read_table(name_or_path, (key,))
    return _energies(path, frame, key)


def _energies(path: Path, frame: pd.DataFrame, key: str) -> pd.DataFrame:
    _check_table(path, frame, key, "energy")
    energies = [
        _quantity(path, f"energy of {entry}", energy, f"unit of {entry}", unit, _JOULES)
        for entry, energy, unit in frame[[key, "energy", "unit"]].itertuples(index=False)
    ]
    return pd.DataFrame(
        {key: frame[key], "energy_j": energies, "source": frame["source"], "doi": frame["doi"]}
    )


def _read_table(name_or_path: str | Path, keys: Sequence[str]) -> tuple[Path, pd.DataFrame]:
    """Path and rows of a table; if there is none, the message lists those whose first column is of `keys`."""
    path = Path(name_or_path)
    climbs = False
    if path.suffix != ".csv":
        path = tables_dir() / f"{name_or_path}.csv"
        climbs = path.parent != tables_dir()
    if climbs or len(path.name) > 255 or not path.is_file():
        files = {p.stem: p.read_text(encoding="utf-8") for p in tables_dir().glob("*.csv")}
        known = ", ".join(sorted(stem for stem, text in files.items() if text.split(",")[0] in keys))
        raise FileNotFoundError(f"no energy table {name_or_path}: give the path of a .csv, or one of {known}")
    return path, read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)


def _check_table(path: Path, frame: pd.DataFrame, key: str, value: str) -> None:
    missing = [column for column in (key, value, "unit", "source", "doi") if column not in frame]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    if frame.empty:
        raise ValueError(f"{path}: no entries")
    twice = frame[key][frame[key].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: {key} {twice.iloc[0]!r} stands there more than once")


def _quantity(
    path: Path, what: str, text: str, unit_of_what: str, unit: str, units: Mapping[str, float]
) -> float:
    """A number >= 0 in the base unit of `units`."""
    if unit not in units:
        raise ValueError(f"{path}: {unit_of_what} is {unit!r}, allowed are {', '.join(units)}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{path}: {what} is {text!r}, allowed are finite numbers >= 0")
    return value * units[unit]


def load_cell_table(name_or_path: str | Path = "rram_2bit_cell", cell_bits: int | None = None) -> CellTable:
    """A cell table from a CSV of either kind: joules, or the resistances that they follow from.

    A table of *joules* has an entry a level, written in binary, and the entry ``ADC``; the number of binary
    digits tells the bits of a cell. A table of *resistances* has the parameters of `resistive_table`:
    ``cell_bits``, ``R_on``, ``R_off``, ``V``, ``t`` and ``ADC``. The default is the table of the slide
    "Motivation: 2bit/cell CIM"; of its measuring condition nothing is known. Beside it stand
    ``rram_neurosim``, ``rram_isaac`` and ``rram_neurram``, from modelers' parameters. What is known of each,
    and what is not, says ``twofold/tables/README.md``.

    Parameters
    ----------
    cell_bits
        If given, the table must be one of such cells.

    Raises
    ------
    FileNotFoundError
        No such table; the message lists those there are.
    ValueError
        As in `read_energies` and `resistive_table`; or a level, a parameter or ``ADC`` is missing, or
        something else stands in the file.

    Examples
    --------
    >>> for name in ("rram_2bit_cell", "rram_neurosim", "rram_isaac", "rram_neurram"):
    ...     table = load_cell_table(name)
    ...     print(table.cell_bits, [f"{1e15 * joules:.2f} fJ" for joules in table.energy_j])
    2 ['79.00 fJ', '360.00 fJ', '730.00 fJ', '1490.00 fJ']
    2 ['0.56 fJ', '28.15 fJ', '55.74 fJ', '83.33 fJ']
    2 ['2.00 fJ', '8.00 fJ', '14.00 fJ', '20.00 fJ']
    2 ['0.50 fJ', '1.00 fJ', '1.50 fJ', '2.00 fJ']
    """
    path, frame = _read_table(name_or_path, ("entry", "parameter"))
    table = (_resistive_from if "parameter" in frame else _joules_from)(path, frame)
    if cell_bits not in (None, table.cell_bits):
        raise ValueError(
            f"cell_bits is {cell_bits}, but {name_or_path} is a table of {table.cell_bits}-bit cells"
        )
    return table


def _joules_from(path: Path, frame: pd.DataFrame) -> CellTable:
    energies = _energies(path, frame, "entry")
    energy_j = dict(zip(energies["entry"], energies["energy_j"], strict=True))
    levels = [entry for entry in energy_j if entry and not set(entry) - set("01")]
    digits = max(map(len, levels), default=0)
    if not 1 <= digits <= 4:
        raise ValueError(f"{path}: levels of {digits} binary digits, allowed are 1..4")
    needed = [format(level, f"0{digits}b") for level in range(2**digits)] + [_ADC]
    _check_names(path, "entry", list(energy_j), needed)
    return CellTable(
        name=path.stem,
        cell_bits=digits,
        energy_j=tuple(energy_j[entry] for entry in needed[:-1]),
        adc_energy_j=energy_j[_ADC],
        source=_each_once(frame["source"]),
        doi=_each_once(frame["doi"]),
    )


def _resistive_from(path: Path, frame: pd.DataFrame) -> CellTable:
    _check_table(path, frame, "parameter", "value")
    _check_names(path, "parameter", list(frame["parameter"]), list(_PARAMETERS))
    given = {
        name: _quantity(path, name, text, f"unit of {name}", unit, _PARAMETERS[name])
        for name, text, unit in frame[["parameter", "value", "unit"]].itertuples(index=False)
    }
    if given["cell_bits"] not in range(1, 5):
        raise ValueError(f"{path}: cell_bits is {given['cell_bits']:g}, allowed are 1..4")
    try:
        return resistive_table(
            r_on_ohm=given["R_on"],
            r_off_ohm=given["R_off"],
            read_v=given["V"],
            read_s=given["t"],
            adc_energy_j=given[_ADC],
            cell_bits=int(given["cell_bits"]),
            name=path.stem,
            source=_each_once(frame["source"]),
            doi=_each_once(frame["doi"]),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_names(path: Path, kind: str, found: Sequence[str], needed: Sequence[str]) -> None:
    for name in [*needed, *found]:
        if name not in found or name not in needed:
            what = "missing" if name in needed else "unknown"
            raise ValueError(f"{path}: {kind} {name!r} is {what}, needed are {', '.join(needed)}")


def _each_once(texts: pd.Series) -> str:
    return "; ".join(text for text in texts.unique() if text)


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
    TypeError
        ``energy_j`` is no mapping.
    ValueError
        A level is missing, unknown or given twice, or an energy is negative or infinite.

    Examples
    --------
    >>> mine = cell_table({"0": 20e-15, "1": 500e-15}, adc_energy_j=0.0, name="my 1-bit cells")
    >>> mine.cell_bits, mine.energy_j
    (1, (2e-14, 5e-13))
    """
    if not isinstance(energy_j, Mapping):
        raise TypeError(
            f"energy_j is a {type(energy_j).__name__}; a mapping of levels to joules is needed, such as "
            "{0: 20e-15, 1: 500e-15}"
        )
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


def resistive_table(
    *,
    r_on_ohm: float,
    r_off_ohm: float,
    read_v: float,
    read_s: float,
    adc_energy_j: float,
    cell_bits: int = 2,
    name: str = "own",
    source: str = "",
    doi: str = "",
) -> CellTable:
    """A table of resistive cells from their resistances and their read: ``E(level) = V^2 G(level) t``.

    The conductances G are evenly spaced from ``1 / r_off_ohm`` at level 0 to ``1 / r_on_ohm`` at the top.
    That is the heat in the cell alone: access transistors, wires, drivers and the charge of the lines are
    left out.

    Parameters
    ----------
    r_on_ohm, r_off_ohm
        Resistance of the top level and of level 0.
    read_v, read_s
        Voltage across a cell whose input bit is 1, in volts, and how long it lies there, in seconds.
    adc_energy_j
        Joules of one analog-to-digital conversion; 0 where none is charged.

    Raises
    ------
    ValueError
        Resistances that are not ``0 < r_on_ohm < r_off_ohm``, a voltage or time that is not above 0, or what
        `CellTable` refuses.

    Examples
    --------
    >>> cells = {"r_on_ohm": 10e3, "r_off_ohm": 1e6, "read_v": 0.2, "read_s": 10e-9}
    >>> table = resistive_table(**cells, adc_energy_j=0.0)
    >>> [f"{1e15 * joules:.1f} fJ" for joules in table.energy_j]
    ['0.4 fJ', '13.6 fJ', '26.8 fJ', '40.0 fJ']
    """
    if not 0 < r_on_ohm < r_off_ohm < math.inf:
        raise ValueError(
            f"{name}: R_on is {r_on_ohm:g} ohm, R_off {r_off_ohm:g} ohm; needed are finite 0 < R_on < R_off"
        )
    for what, value in (("V", read_v), ("t", read_s)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: {what} is {value:g}, allowed are finite numbers > 0")
    conductances_s = _evenly_spaced(1 / r_off_ohm, 1 / r_on_ohm, _check_cell_bits(cell_bits))
    energy_j = tuple(read_v**2 * siemens * read_s for siemens in conductances_s)
    return CellTable(name, cell_bits, energy_j, adc_energy_j, source, doi, read_v, read_s)


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
    table = cell_table(
        levels | {"10": math.nan}, adc_energy_j=adc_energy_j, name=name, source=source, doi=doi
    )
    return replace(table, signed=True)


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
