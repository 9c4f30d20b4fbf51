"""Joules of codes, layers and networks in an RRAM array that computes in memory.

The energy of an array factorizes: (how many input bits of value 1 each row carried) . (the row's summed cell
energy), see `twofold.inputs.activity` for the first factor and `twofold.codes.cells` for the second. Two machines are
priced, and every result says which:

- *crossbar*: all weights stored, the removed ones as the code 0; one input row drives all columns at once.
- *packed*: kept weights only, column after column in the order of the LFSR index generator (LIG), which
  gathers each column's own inputs. Columns share no rows, so this machine pays with parallelism.
"""

import math
from collections.abc import Mapping

import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from twofold.codes.cells import cells_per_code, code_energy, code_energy_table
from twofold.codes.tables import memory_words
from twofold.energy.machine import EnergyModel
from twofold.inputs.activity import Activity

__all__ = ["layer_energy", "network_energy"]


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
