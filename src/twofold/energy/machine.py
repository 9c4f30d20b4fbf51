"""The machine that is priced: cells, dataflow, converters, memories of inputs and of the index, and its time.

- *crossbar*: all weights stored, the removed ones as the code 0; one input row drives all columns at once.
- *packed*: kept weights only, column after column, each with inputs of its own that are fetched for it alone.
  Columns share no rows, so this machine pays with parallelism and with its fetches.
- *grouped*: columns that share an index, one or many, are a crossbar that has their kept rows only.
  A layer that keeps all is one such group.

**Columns.** A weight takes the columns of cells that hold its code, and those that its sign asks for
(`codes.cells.cell_columns`), on every machine. Rows of one sign at a time, *signed rows*, are for packed
weights: a crossbar and a group hold them as a differential pair, see `StoredLayer.encoding_in`.

**Time.** Arrays of `array_rows` x `array_columns` cells work at once, those of one layer and those of all.
A cycle is one conversion, one input word that reaches an array, or one clock of an index generator.

- *Conversions.* Every `columns_per_adc` columns of cells have one converter, and the columns in use spread
  over all converters of their array: u columns take ``ceil(u / converters)`` conversions for each input bit
  (and for each sign, where rows of either are driven in turn), whatever the converters are charged.
- *Inputs.* `inputs_per_cycle` inputs reach an array in a cycle, while it works on the vector before. Where
  an index says which, each of them has an index generator of its own, which idles where its states name no
  row: the walk's clocks, in proportion to the rows of the array, count in place of rows. Groups that all
  inputs are broadcast to (see `Machine.input_memory`) wait for the last of them, as a crossbar of all rows
  does: each `array_rows` of them have lines of their own.
- So a vector takes the longer of both in the slowest array of the layer. A packed array works on one column
  of weights at a time, so there both are of one column, and the columns that lie in the array add up.
- Columns of weights that do not fit an array go to more arrays; a group has arrays of its own. A packed array
  holds whole columns of weights, ``floor(array_columns / columns of cells of a weight)`` of them.

A worked example, 16 outputs of 144 rows, 8 bits in 2-bit cells. Two's complement takes four columns and one
for the sign, so 80 of 128, with 16 converters: 5 conversions for each of 8 input bits are 40 cycles. The
rows are 128 in one array and 16 in another; 128 inputs arrive in 32 cycles meanwhile. Two arrays, 40 cycles a
vector. With half of the rows kept by all columns, *grouped* is one array of 72 rows: 40 cycles, while all 144
inputs pass by in 32. *Packed*
holds the 16 columns of weights in one array; each takes one conversion for an input bit, 8 cycles, but 18 to
fetch its 72 inputs, so 16 * 18 = 288 cycles.

    >>> import torch
    >>> from twofold.codes.tables import load_cell_table
    >>> from twofold.energy.price import layer_energy
    >>> from twofold.inputs.activity import Activity
    >>> from twofold.layer import StoredLayer
    >>> keep = (torch.arange(144) < 72).expand(16, 144)
    >>> layer = StoredLayer(torch.ones(16, 144).char() * keep, scale=1.0, keep=keep, group=16)
    >>> once = Activity(torch.full((144,), 4.0, dtype=torch.float64), reads=1, input_bits=8)
    >>> for dataflow in DATAFLOWS:
    ...     machine = Machine.whole(load_cell_table(), dataflow)
    ...     row = layer_energy(layer, once, machine)
    ...     print(dataflow, row["arrays"], row["cycles"])
    crossbar 2 40
    packed 1 288
    grouped 1 40

The model ignores pipelines that fill and drain, sums over parts of the rows, all digital work between layers,
and memories that several arrays ask at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

from twofold.codes.encodings import CELL_ENCODINGS, EncodingName
from twofold.codes.tables import CellTable, load_operation_energies, memory_word_energy_j
from twofold.crossbar.adc import adc_energy_j, lossless_bits

__all__ = [
    "ADC_RULES",
    "DATAFLOWS",
    "FIGURE_OF_MERIT_J",
    "INDEX_RULES",
    "INPUT_MEMORIES",
    "LEFT_OUT",
    "AdcRule",
    "Dataflow",
    "IndexRule",
    "InputMemory",
    "Machine",
    "input_word_energies_j",
]


Dataflow = Literal["crossbar", "packed", "grouped"]
"""Whether all weights are stored, the kept ones, or the kept rows of columns that share; see the module."""


AdcRule = Literal["none", "column", "cell"]
"""When a conversion is charged, see `Machine`."""


InputMemory = Literal["none", "SRAM", "register file"]
"""Where inputs are read from, see `Machine`; "none" is for nothing."""


IndexRule = Literal["free", "charged"]
"""Whether a mask's index is charged."""


DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)
"""Every dataflow."""


ADC_RULES: tuple[AdcRule, ...] = get_args(AdcRule)
"""Every rule."""


INPUT_MEMORIES: tuple[InputMemory, ...] = get_args(InputMemory)
"""Every memory of inputs."""


INDEX_RULES: tuple[IndexRule, ...] = get_args(IndexRule)
"""Both rules."""


FIGURE_OF_MERIT_J = 16e-3 / (8 * 1.2e9) / 2**8
"""Joules of a conversion step, 6.5 fJ, as eight converters of 8 bits and 1.2 GS/s take 16 mW, 1.67 pJ each.

A. Shafiee et al., "ISAAC: A convolutional neural network accelerator with in-situ analog arithmetic in
crossbars", ISCA 2016, table 1; doi 10.1109/ISCA.2016.12.
"""


LEFT_OUT: tuple[str, ...] = (
    "leakage, clock trees and control, of everything",
    "wires between arrays, converters and memories, and the network on the chip",
    "drivers of the rows, the capacitance of rows and columns, and registers that hold inputs",
    "sample and hold, and the digital sums over slices, input bits and parts of the rows",
    "the sum of the inputs that offset binary subtracts",
    "biases, batch norms, activations, pooling and shortcuts",
    "writing a layer's outputs to the memory that the next one reads, and anything outside the chip",
    "programming cells, verifying and refreshing them",
    "ports and banks of a memory that many arrays read at once",
    "in a group, picking its rows out of inputs that are broadcast to all groups",
)
"""What no machine here is charged for; `Machine.left_out` adds what one machine leaves out besides."""


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
        "crossbar", "packed" or "grouped", see the module.
    adc_rule
        What is converted, for each input vector and input bit: "none" (never charged), "column" (each column
        of cells, those for the sign too, once per part of `array_rows` rows, and with signed rows once for
        either sign), "cell" (each stored cell on its own).
    input_memory
        What inputs are read from, in words of 32 bits at the 45 nm table's price, for each input vector:

        - "none": they cost nothing.
        - "SRAM": a crossbar reads its R inputs in order, ``ceil(R * input_bits / 32)`` words of 5 pJ. Packed
          weights read a word each, for one input at any place. Groups read a word for each of their kept rows
          or, where those are more, the R inputs in order once, broadcast to all of them: with 8 bits, where
          they keep R / 4 rows or more, all groups together.
        - "register file": nothing is broadcast. Packed weights and groups gather one by one from a copy,
          1 pJ a word; first all R inputs go there in order, a word of SRAM read and one of the copy written
          for each 32 bits. Where only few are needed they come straight from SRAM, if that costs less.

        A layer that keeps all has nothing to look for: each of its columns (packed), or the layer, reads in
        order.
    index_rule
        "free", or "charged" for each input vector: one walk of the layer's own generator, or its stored index
        read once from SRAM. Layers that keep all, and crossbars, need no index.
    adc_energy_j
        Joules of one conversion; "table": the table's constant; "walden": by Walden's law,
        ``figure_of_merit_j * 2^bits``, with the bits that lose nothing for the rows summed,
        ``ceil(log2(rows * (2^c - 1) + 1))`` for cells of c bits (`crossbar.adc.lossless_bits`). The last part
        of the rows has bits of its own, and so have columns of 1-bit cells.
    figure_of_merit_j
        Joules of a conversion step, for Walden's law.
    adc_bits
        Most bits of a converter, for Walden's law: what the network needs. None: no limit.
    array_rows, array_columns
        Cells of an array. So many rows sum in one conversion; a taller matrix is split into parts.
    columns_per_adc, inputs_per_cycle
        For the time, see the module.
    lig_energy_j
        Joules of one clock of every index generator; None: what its design takes (`energy.index`).
    index_word_energy_j
        Joules to read one 32-bit word of a stored index; None: the SRAM of the 45 nm table.

    Raises
    ------
    TypeError
        The table is no `CellTable`.
    ValueError
        Anything outside what is said above, or a price of what is not charged; the message quotes it.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from twofold.codes.tables import load_cell_table
    >>> machine = Machine(
    ...     table=load_cell_table(),
    ...     encoding="twos_complement",
    ...     dataflow="grouped",
    ...     adc_rule="column",
    ...     adc_energy_j="walden",
    ...     input_memory="SRAM",
    ...     index_rule="charged",
    ... )
    >>> [f"{1e12 * machine.conversion_j(rows, cell_bits=2):.2f} pJ" for rows in (8, 64, 128)]
    ['0.21 pJ', '1.67 pJ', '3.33 pJ']
    >>> replace(machine, dataflow="crossbar", adc_bits=8).describe()["adc_bits"]
    8
    """

    table: CellTable
    encoding: EncodingName
    dataflow: Dataflow
    adc_rule: AdcRule
    input_memory: InputMemory
    index_rule: IndexRule
    adc_energy_j: float | Literal["table", "walden"] = "table"
    figure_of_merit_j: float = FIGURE_OF_MERIT_J
    adc_bits: int | None = None
    array_rows: int = 128
    array_columns: int = 128
    columns_per_adc: int = 8
    inputs_per_cycle: int = 4
    lig_energy_j: float | None = None
    index_word_energy_j: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.table, CellTable):
            raise TypeError(
                f"table is {self.table!r}, allowed is a CellTable, as load_cell_table makes of a name or file"
            )
        choices = {
            "dataflow": DATAFLOWS,
            "adc_rule": ADC_RULES,
            "encoding": CELL_ENCODINGS,
            "input_memory": INPUT_MEMORIES,
            "index_rule": INDEX_RULES,
        }
        for what, allowed in choices.items():
            if (value := getattr(self, what)) not in allowed:
                raise ValueError(f"{what} is {value!r}, allowed are {', '.join(allowed)}")
        if self.encoding == "signed_rows" and self.dataflow != "packed":
            raise ValueError(
                f"encoding 'signed_rows' needs dataflow 'packed', not {self.dataflow!r}: a crossbar's row "
                "drives weights of either sign at once"
            )
        for what in ("array_rows", "array_columns", "columns_per_adc", "inputs_per_cycle"):
            if not hasattr(value := getattr(self, what), "__index__") or not 1 <= value < 2**31:
                raise ValueError(f"{what} is {value!r}, allowed are whole numbers in [1, 2^31)")
        self._check_prices()

    def _check_prices(self) -> None:
        if isinstance(self.adc_energy_j, str):
            if self.adc_energy_j not in ("table", "walden"):
                raise ValueError(
                    f"adc_energy_j is {self.adc_energy_j!r}, allowed are joules, table and walden"
                )
        elif not 0 <= self.adc_energy_j < math.inf:
            raise ValueError(f"adc_energy_j is {self.adc_energy_j}, allowed are finite numbers >= 0")
        for what in ("figure_of_merit_j", "lig_energy_j", "index_word_energy_j"):
            if (energy_j := getattr(self, what)) is not None and not 0 <= energy_j < math.inf:
                raise ValueError(f"{what} is {energy_j}, allowed are finite numbers >= 0")
        if self.adc_bits is not None:
            if not hasattr(self.adc_bits, "__index__") or not 1 <= self.adc_bits <= 24:
                raise ValueError(f"adc_bits is {self.adc_bits!r}, allowed are whole numbers in [1, 24]")
            if self.adc_energy_j != "walden":
                raise ValueError(
                    f"adc_bits is {self.adc_bits}, but adc_energy_j is {self.adc_energy_j!r}: "
                    "bits decide the price of a conversion by 'walden' only"
                )
        for what in ("lig_energy_j", "index_word_energy_j"):
            if (energy_j := getattr(self, what)) is not None and self.index_rule == "free":
                raise ValueError(
                    f"{what} is {energy_j}, but index_rule is 'free'; it has a price if 'charged'"
                )

    @classmethod
    def cells_only(cls, table: CellTable, dataflow: Dataflow) -> "Machine":
        """Cells alone, in two's complement: converters, inputs and index cost nothing."""
        return cls(
            table=table,
            encoding="twos_complement",
            dataflow=dataflow,
            adc_rule="none",
            input_memory="none",
            index_rule="free",
        )

    @classmethod
    def whole(cls, table: CellTable, dataflow: Dataflow) -> "Machine":
        """Everything charged: lossless converters by Walden's law, inputs from SRAM, and the index."""
        return cls(
            table=table,
            encoding="twos_complement",
            dataflow=dataflow,
            adc_rule="column",
            adc_energy_j="walden",
            input_memory="SRAM",
            index_rule="charged",
        )

    @property
    def converters(self) -> int:
        """Converters of an array."""
        return -(-self.array_columns // self.columns_per_adc)

    def conversion_j(self, rows: int, cell_bits: int) -> float:
        """Joules of one conversion of the sum of so many cells of so many bits."""
        if self.adc_energy_j == "table":
            return self.table.adc_energy_j
        if self.adc_energy_j != "walden":
            return self.adc_energy_j
        bits = lossless_bits(rows, cell_bits)
        return adc_energy_j(
            bits if self.adc_bits is None else min(bits, self.adc_bits), self.figure_of_merit_j
        )

    def left_out(self) -> list[str]:
        """What this machine is not charged for, `LEFT_OUT` included: a sentence's part each.

        Examples
        --------
        >>> from twofold.codes.tables import load_cell_table
        >>> machine = Machine.cells_only(load_cell_table(), "packed")
        >>> machine.left_out()[:3]
        ['converters', 'reads of the inputs', 'the index']
        """
        own = {
            "converters": self.adc_rule == "none",
            "reads of the inputs": self.input_memory == "none",
            "the index": self.index_rule == "free" and self.dataflow != "crossbar",
        }
        return [what for what, free in own.items() if free] + list(LEFT_OUT)

    def describe(self) -> dict[str, str | int | float]:
        """The arguments, as every result row carries them; NaN where one does not apply."""
        walden = self.adc_energy_j == "walden"
        by_table = self.table.adc_energy_j if self.adc_energy_j == "table" else self.adc_energy_j
        word_j = self.index_word_energy_j
        return {
            "dataflow": self.dataflow,
            "adc_rule": self.adc_rule,
            "array_rows": self.array_rows,
            "array_columns": self.array_columns,
            "columns_per_adc": self.columns_per_adc,
            "inputs_per_cycle": self.inputs_per_cycle,
            "encoding": self.encoding,
            "table": self.table.name,
            "cell_bits": self.table.cell_bits,
            "adc_energy_j": math.nan if walden else by_table,
            "figure_of_merit_j": self.figure_of_merit_j if walden else math.nan,
            "adc_bits": math.nan if self.adc_bits is None else self.adc_bits,
            "input_memory": self.input_memory,
            "index_rule": self.index_rule,
            "lig_energy_j": math.nan if self.lig_energy_j is None else self.lig_energy_j,
            "index_word_energy_j": memory_word_energy_j() if word_j is None else word_j,
        }


@lru_cache
def input_word_energies_j() -> Mapping[str, float]:
    """Joules to read or write one 32-bit word of the memories that inputs are read from, by the 45 nm table.

    Examples
    --------
    >>> dict(input_word_energies_j())
    {'SRAM': 5e-12, 'register file': 1e-12}
    """
    energy_j = load_operation_energies().set_index("operation").energy_j
    operations = {"SRAM": "32-bit SRAM cache", "register file": "32-bit register file"}
    return MappingProxyType({memory: float(energy_j[name]) for memory, name in operations.items()})
