"""Joules of codes, layers and networks in an RRAM array that computes in memory.

The energy of an array factorizes: (how many input bits of value 1 each row carried) . (the row's summed cell
energy), see `twofold.inputs.activity` for the first factor and `twofold.codes.cells` for the second. Two machines are
priced, and every result says which:

- *crossbar*: all weights stored, the removed ones as the code 0; one input row drives all columns at once.
- *packed*: kept weights only, column after column in the order of the LFSR index generator (LIG), which
  gathers each column's own inputs. Columns share no rows, so this machine pays with parallelism.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from twofold.codes.encodings import CELL_ENCODINGS, CellEncoding
from twofold.codes.quantizer import check_bits
from twofold.codes.tables import CellTable, memory_word_energy_j

__all__ = ["ADC_RULES", "DATAFLOWS", "AdcRule", "Dataflow", "EnergyModel"]


Dataflow = Literal["crossbar", "packed"]


AdcRule = Literal["none", "column", "cell"]


DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)


ADC_RULES: tuple[AdcRule, ...] = get_args(AdcRule)


@dataclass(frozen=True, kw_only=True)
class EnergyModel:
    """The machine that is priced. What decides a ratio has no default.

    Attributes
    ----------
    table
        Cost of a cell by its level.
    encoding, bits
        How a code is written: one of `cells.CELL_ENCODINGS`, "signed_rows" if packed only.
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
    """

    table: CellTable
    encoding: CellEncoding
    dataflow: Dataflow
    adc_rule: AdcRule
    bits: int = 8
    array_rows: int = 128
    adc_energy_j: float | None = None
    lig_energy_j: float = 0.0
    index_word_energy_j: float | None = None

    def __post_init__(self) -> None:
        check_bits(self.bits)
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

    def _index_word_energy_j(self) -> float:
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
            "bits": self.bits,
            "table": self.table.name,
            "cell_bits": self.table.cell_bits,
            "adc_energy_j": adc_energy_j,
            "lig_energy_j": self.lig_energy_j,
            "index_word_energy_j": self._index_word_energy_j(),
        }
