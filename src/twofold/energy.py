"""Joules of codes, layers and networks in an RRAM array that computes in memory.

The energy of an array factorises: (how many input bits of value 1 each row carried) . (the row's summed cell
energy), see `twofold.activity` for the first factor and `twofold.cells` for the second. Two machines are
priced, and every result says which:

- *crossbar*: all weights stored, the removed ones as the code 0; one input row drives all columns at once.
- *packed*: kept weights only, column after column in the order of the LFSR index generator (LIG), which
  gathers each column's own inputs. Columns share no rows, so this machine pays with parallelism.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from twofold.activity import Activity, measure_activity
from twofold.cells import (
    CELL_ENCODINGS,
    CellEncoding,
    CellTable,
    cells_per_code,
    code_energy,
    code_energy_table,
)
from twofold.codes import ENCODINGS, check_bits, code_limit, quantize
from twofold.inputs import InputScale, activation_scales, quantised_activations
from twofold.operations import memory_word_energy_j, memory_words

__all__ = [
    "ADC_RULES",
    "DATAFLOWS",
    "Activity",
    "AdcRule",
    "Dataflow",
    "EnergyModel",
    "InputScale",
    "activation_scales",
    "bit_truth_table",
    "encoding_control",
    "layer_energy",
    "measure_activity",
    "network_energy",
    "quantised_activations",
]

Dataflow = Literal["crossbar", "packed"]
AdcRule = Literal["none", "column", "cell"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)
ADC_RULES: tuple[AdcRule, ...] = get_args(AdcRule)


def bit_truth_table(r_lrs_ohm: float, r_hrs_ohm: float, v_read_v: float) -> pd.DataFrame:
    """Current of one 1-bit cell, I = V * G, for each input bit ``x`` and stored bit ``w``.

    A 1 is stored as the low resistance state (LRS), a 0 as the high one (HRS); an input bit of 0 applies no
    voltage (slide "Motivation: Why Compute-In-Memory (CIM)?"). Columns: ``x``, ``w``, ``resistance_ohm``,
    ``current_a``.
    """
    if not 0 < r_lrs_ohm < r_hrs_ohm < math.inf:
        raise ValueError(
            f"r_lrs_ohm is {r_lrs_ohm:g}, r_hrs_ohm {r_hrs_ohm:g}; needed is 0 < r_lrs_ohm < r_hrs_ohm"
        )
    if not 0 < v_read_v < math.inf:
        raise ValueError(f"v_read_v is {v_read_v:g}, allowed are finite voltages above 0")
    resistance_ohm = {0: r_hrs_ohm, 1: r_lrs_ohm}
    return pd.DataFrame(
        {"x": x, "w": w, "resistance_ohm": resistance_ohm[w], "current_a": x * v_read_v / resistance_ohm[w]}
        for x in (0, 1)
        for w in (0, 1)
    )


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


def layer_energy(
    codes: Int[Tensor, "out *rest"],
    keep: Bool[Tensor, "out *rest"] | None,
    activity: Activity,
    model: EnergyModel,
    clocks: int | None = None,
    stored_index_bits: int | None = None,
) -> dict[str, str | int | float]:
    """Joules of one layer over all the input vectors of `activity`, exact.

    Parameters
    ----------
    codes
        Integer weights. The crossbar's columns are the outputs, its rows the flattened rest.
    activity
        Of one row for each of the crossbar's, or of g times as many for a convolution of g groups: each group
        is then a crossbar of its own, with its share of the outputs as columns and its own inputs as rows.
    keep
        True where a weight is kept; None keeps all. A removed weight counts as the code 0, whatever its code.
    clocks
        Clocks that the LIG spends on the mask, repeated indices included; None: one per kept weight. A layer
        that keeps all needs no LIG and pays for none.
    stored_index_bits
        Bits of the index of a mask that no LIG makes, read once for each input vector; None: a LIG makes it.

    Returns
    -------
    dict
        ``array_j``, ``adc_j``, ``index_j`` (generated or read), ``total_j``; ``weights``, ``kept``,
        ``zero_codes`` (share of the kept that are 0), ``cells`` (stored), ``conversions``, ``reads``,
        ``input_bits``; the model's own.
    """
    matrix = codes.flatten(1)
    kept = torch.ones_like(matrix, dtype=torch.bool) if keep is None else keep.flatten(1)
    columns, rows = matrix.shape
    groups = activity.row_ones.numel() // rows
    if groups * rows != activity.row_ones.numel() or columns % max(groups, 1):
        raise ValueError(
            f"activity of {activity.row_ones.numel()} rows for a weight of {rows} rows per output, "
            f"{columns} outputs"
        )
    count = int(kept.sum())
    if stored_index_bits is not None and stored_index_bits < 0:
        raise ValueError(f"stored_index_bits is {stored_index_bits}, allowed are 0 or more, or None")
    if clocks is not None and clocks < count:
        raise ValueError(f"clocks is {clocks}, allowed are {count} (the kept weights) or more")

    packed = model.dataflow == "packed"
    energy_j = code_energy(matrix * kept, code_energy_table(model.bits, model.encoding, model.table))
    if packed:
        energy_j = energy_j * kept
    row_energy_j = energy_j.view(groups, columns // groups, rows).sum(dim=1).flatten()
    array_j = float(row_energy_j @ activity.row_ones.to(energy_j))

    cells = cells_per_code(model.bits, model.table.cell_bits, model.encoding)
    stored = cells * (count if packed else matrix.numel())
    summed_rows = kept.sum(dim=1) if packed else torch.full((columns,), rows)
    parts = -(-summed_rows // model.array_rows)
    turns = 2 if model.encoding == "signed_rows" else 1
    per_read = {"none": 0, "column": turns * cells * int(parts.sum()), "cell": stored}[model.adc_rule]
    conversions = per_read * activity.input_bits * activity.reads

    arguments = model.describe()
    adc_j = conversions * float(arguments["adc_energy_j"])
    index_j = 0.0
    if packed and count < matrix.numel():  # a layer that keeps all needs no index
        if stored_index_bits is None:
            per_vector_j = (count if clocks is None else clocks) * model.lig_energy_j
        else:
            per_vector_j = memory_words(stored_index_bits) * float(arguments["index_word_energy_j"])
        index_j = per_vector_j * activity.reads
    return {
        "array_j": array_j,
        "adc_j": adc_j,
        "index_j": index_j,
        "total_j": array_j + adc_j + index_j,
        "weights": matrix.numel(),
        "kept": count,
        "zero_codes": int(((matrix == 0) & kept).sum()) / count if count else math.nan,
        "cells": stored,
        "conversions": conversions,
        "reads": activity.reads,
        "input_bits": activity.input_bits,
        **arguments,
    }


def network_energy(layers: Mapping[str, tuple], model: EnergyModel) -> pd.DataFrame:
    """`layer_energy` of every layer, a row each, with its name in the column ``layer``.

    Each entry of `layers` is ``(codes, keep, activity)``, and may go on with ``clocks, stored_index_bits``.
    """
    rows = []
    for name, (codes, keep, activity, *index) in layers.items():
        try:
            rows.append({"layer": name, **layer_energy(codes, keep, activity, model, *index)})
        except ValueError as error:
            raise ValueError(f"layer {name}: {error}") from error
    return pd.DataFrame(rows)


def encoding_control(
    weights_by_layer: Mapping[str, Float[Tensor, "..."]], table: CellTable, bits: int = 8
) -> pd.DataFrame:
    """Cell energy of the same float weights under each encoding, with no training for it: the control.

    Each cell read once with an input bit of 1, no ADC. Columns: ``encoding``, ``cells_per_weight``,
    ``energy_j``, ``energy_per_weight_j``, ``ratio`` (two's complement over this one), ``table``, ``bits``.
    """
    if not weights_by_layer:
        raise ValueError("weights_by_layer is empty, one layer at least is needed")
    limit = code_limit(bits)
    # How often each code occurs decides all: 255 numbers instead of a look-up per weight and encoding.
    counts = torch.zeros(2 * limit + 1, dtype=torch.int64)
    for weight in weights_by_layer.values():
        codes = quantize(weight, bits).flatten().long()
        counts += torch.bincount(codes + limit, minlength=2 * limit + 1).cpu()
    energy_j = {
        encoding: float(counts.double() @ code_energy_table(bits, encoding, table)) for encoding in ENCODINGS
    }
    return pd.DataFrame(
        {
            "encoding": encoding,
            "cells_per_weight": cells_per_code(bits, table.cell_bits, encoding),
            "energy_j": energy,
            "energy_per_weight_j": energy / int(counts.sum()),
            "ratio": energy_j["twos_complement"] / energy if energy else math.nan,
            "table": table.name,
            "bits": bits,
        }
        for encoding, energy in energy_j.items()
    )
