"""Cell tables of the user's own, from plain Python: levels and joules go in, nothing is made up.

A table from a file is `twofold.cells.load_cell_table`. Either kind drives training, energies and the array.
"""

import math
from collections.abc import Mapping

from twofold.cells import CellTable

__all__ = ["cell_table", "ternary_table"]


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
        Joules of one analogue-to-digital conversion; 0 where none is charged.

    Raises
    ------
    ValueError
        A level is missing, unknown or given twice, or an energy is negative or infinite.
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
    """
    levels: dict[int | str, float] = {"00": zero_energy_j, "01": plus_energy_j, "11": minus_energy_j}
    if any(math.isnan(value) for value in levels.values()):
        raise ValueError(f"{name}: the energies of -1, 0 and 1 are all needed, one of them is NaN")
    return cell_table(levels | {"10": math.nan}, adc_energy_j=adc_energy_j, name=name, source=source, doi=doi)
