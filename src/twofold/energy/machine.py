"""The machine that is priced: cells, dataflow, converters, and what an index costs.

- *crossbar*: all weights stored, the removed ones as the code 0; one input row drives all columns at once.
- *packed*: kept weights only, column after column in the order of their index generator, which gathers each
  column's own inputs. Columns share no rows, so this machine pays with parallelism.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from twofold.codes.encodings import CELL_ENCODINGS, EncodingName
from twofold.codes.tables import CellTable, memory_word_energy_j

__all__ = ["ADC_RULES", "DATAFLOWS", "AdcRule", "Dataflow", "Machine"]


Dataflow = Literal["crossbar", "packed"]
"""What is stored: all weights, or the kept ones; see the module."""


AdcRule = Literal["none", "column", "cell"]
"""When a conversion is charged, see `Machine`."""


DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)
"""Both dataflows."""


ADC_RULES: tuple[AdcRule, ...] = get_args(AdcRule)
"""Every rule."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that is priced. What decides a ratio has no default.

    Attributes
    ----------
    table
        Cost of a cell by its level.
    encoding
        How the cells hold codes that were chosen for no other encoding than the slides' two's complement: one
        of `codes.encodings.CELL_ENCODINGS`, "signed_rows" if packed only. A layer whose codes were chosen for
        another keeps that one, see `StoredLayer.encoding_in`.
    dataflow
        "crossbar" or "packed", see the module.
    adc_rule
        What is converted, for each input vector and input bit: "none" (never charged), "column" (each column
        of cells, once per group of `array_rows` rows, and with signed rows once for either sign), "cell"
        (each stored cell on its own).
    array_rows
        Rows whose currents sum in one conversion; a taller matrix is split into groups.
    adc_energy_j
        Joules of one conversion; None: the table's.
    lig_energy_j
        Joules for the LIG to generate one index (packed only).
    index_word_energy_j
        Joules to read one 32-bit word of a stored index, which a mask needs that no LIG makes (packed only).
        None: where a LIG is charged, the SRAM of the 45 nm table, else nothing.

    Raises
    ------
    ValueError
        Anything outside what is said above; the message quotes it.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> machine = Machine(
    ...     table=load_cell_table(), encoding="twos_complement", dataflow="packed", adc_rule="none"
    ... )
    >>> machine.describe()["cell_bits"], machine.describe()["index_word_energy_j"]
    (2, 0.0)
    """

    table: CellTable
    encoding: EncodingName
    dataflow: Dataflow
    adc_rule: AdcRule
    array_rows: int = 128
    adc_energy_j: float | None = None
    lig_energy_j: float = 0.0
    index_word_energy_j: float | None = None

    def __post_init__(self) -> None:
        own = {"dataflow": DATAFLOWS, "adc_rule": ADC_RULES, "encoding": CELL_ENCODINGS}
        for what, allowed in own.items():
            if (value := getattr(self, what)) not in allowed:
                raise ValueError(f"{what} is {value!r}, allowed are {', '.join(allowed)}")
        if self.encoding == "signed_rows" and self.dataflow != "packed":
            raise ValueError(
                f"encoding 'signed_rows' needs dataflow 'packed', not {self.dataflow!r}: a crossbar's row "
                "drives weights of either sign at once"
            )
        if not hasattr(self.array_rows, "__index__") or not 1 <= self.array_rows < 2**31:
            raise ValueError(f"array_rows is {self.array_rows!r}, allowed are whole numbers in [1, 2^31)")
        for what in ("adc_energy_j", "lig_energy_j", "index_word_energy_j"):
            if (energy_j := getattr(self, what)) is not None and not 0 <= energy_j < math.inf:
                raise ValueError(f"{what} is {energy_j}, allowed are finite numbers >= 0")

    def _word_energy_j(self) -> float:
        if self.index_word_energy_j is not None:
            return self.index_word_energy_j
        return memory_word_energy_j() if self.lig_energy_j > 0 else 0.0

    def describe(self) -> dict[str, str | int | float]:
        """The arguments, as every result row carries them."""
        adc_energy_j = self.table.adc_energy_j if self.adc_energy_j is None else self.adc_energy_j
        return {
            "dataflow": self.dataflow,
            "adc_rule": self.adc_rule,
            "array_rows": self.array_rows,
            "encoding": self.encoding,
            "table": self.table.name,
            "cell_bits": self.table.cell_bits,
            "adc_energy_j": adc_energy_j,
            "lig_energy_j": self.lig_energy_j,
            "index_word_energy_j": self._word_energy_j(),
        }
