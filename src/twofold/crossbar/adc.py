"""The converter at the foot of a column: its range, its step, and what a conversion costs.

Currents are counted in *levels*: one level is the current that one more level of one cell adds to a column,
``V_read * (G_LRS - G_HRS) / (2^c - 1)`` for a cell of ``c`` bits.

A worked example. Cells of 2 bits, ``R_LRS`` = 10 kOhm, ``R_HRS`` = 1 MOhm, read at 0.2 V: one level is
0.2 V * 99 uS / 3 = 6.6 uA. In an array of 128 rows a column carries at most 128 * 3 = 384 levels, 2.53 mA
above the leak of its cells. An 8-bit converter with that range (``worst_case``) tells 256 currents apart,
384 / 255 = 1.51 levels or 9.9 uA from one to the next; 9 bits would tell all 385 sums apart. A layer of 27
rows in the same array can carry only 81 levels: with the range set to that (``active_rows``), 7 bits lose
nothing. And a layer whose columns never exceed 40 levels on training images needs 6 (``calibrated``).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["ADC_RANGES", "Adc", "AdcRange", "adc_energy_j", "lossless_bits"]


AdcRange = Literal["none", "worst_case", "active_rows", "calibrated"]
"""What sets a converter's full scale, see `Adc`."""


ADC_RANGES: tuple[AdcRange, ...] = get_args(AdcRange)
"""Every range rule."""


@dataclass(frozen=True, kw_only=True)
class Adc:
    """A uniform converter from zero current to a full scale; what lies beyond saturates.

    Attributes
    ----------
    range_rule
        What the full scale is:

        - ``none``: no converter, sums are taken as they are.
        - ``worst_case``: every row of the array carries a 1 and every cell of the column is at R_LRS.
        - ``active_rows``: the same of the rows that the layer's weights occupy in that array.
        - ``calibrated``: a percentile of the column currents seen on calibration inputs, for each row group
          and slice.
    bits
        Resolution, 1..16: ``2^bits`` codes.
    percentile
        Of ``calibrated``, within (0, 100]; 100 is the largest current seen.

    Raises
    ------
    ValueError
        Bits, percentile or rule outside what is said above.

    Examples
    --------
    >>> adc = Adc(range_rule="worst_case", bits=8)
    >>> adc.step(full_scale=510), adc.step(full_scale=81)  # in levels
    (2.0, 1.0)
    """

    range_rule: AdcRange
    bits: int = 8
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.range_rule not in ADC_RANGES:
            raise ValueError(f"range_rule is {self.range_rule!r}, allowed are {', '.join(ADC_RANGES)}")
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits of the ADC are {self.bits}, allowed are 1..16")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}, allowed is (0, 100]")

    def step(self, full_scale: int | float) -> float:
        """Levels from one output code to the next, for a range of `full_scale` levels.

        Never below one level: sums are whole numbers of levels, and a finer step would tell nothing more.
        """
        return max(1.0, full_scale / (2**self.bits - 1))


def adc_energy_j(bits: int | float, figure_of_merit_j: float) -> float:
    """Joules of one conversion by Walden's law, ``figure_of_merit * 2^bits``.

    Walden's figure of merit is the energy per conversion step; every bit doubles the energy (R. H. Walden,
    "Analog-to-digital converter survey and analysis", IEEE JSAC 17(4), 1999). Murmann's survey lists it for
    the converters published since 1997. `bits` are effective ones: a real converter's nominal bits are more.

    Raises
    ------
    ValueError
        Bits outside 1..24, or a figure of merit that is negative or not finite.

    Examples
    --------
    >>> adc_energy_j(8, figure_of_merit_j=1e-15)
    2.56e-13
    """
    if not 1 <= bits <= 24:
        raise ValueError(f"bits of the ADC are {bits}, allowed are 1..24")
    if not 0 <= figure_of_merit_j < math.inf:
        raise ValueError(f"figure_of_merit_j is {figure_of_merit_j}, allowed are finite numbers >= 0")
    return figure_of_merit_j * 2**bits


def lossless_bits(rows: int, cell_bits: int) -> int:
    """Fewest bits of a converter that tell all sums of a column apart, ``ceil(log2(rows * (2^c - 1) + 1))``.

    `rows` cells of `cell_bits` (c) bits add up to a whole number of levels from 0 to ``rows * (2^c - 1)``. An
    `Adc` of so many bits whose range is that of its rows has a step of one level.

    Raises
    ------
    ValueError
        No row, or cells of other than 1 to 4 bits.

    Examples
    --------
    >>> [lossless_bits(rows, cell_bits=2) for rows in (8, 16, 128)]
    [5, 6, 9]
    """
    if rows < 1:
        raise ValueError(f"rows are {rows}, allowed are 1 or more")
    if not 1 <= cell_bits <= 4:
        raise ValueError(f"cell_bits is {cell_bits}, allowed are 1..4")
    return (rows * (2**cell_bits - 1)).bit_length()
