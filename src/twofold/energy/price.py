"""Joules of layers and networks in an RRAM array that computes in memory.

The energy of an array factorizes: (how many input bits of value 1 each row carried) . (the row's summed cell
energy), see `twofold.inputs.activity` for the first factor and `twofold.codes.cells` for the second. What is
priced is a `StoredLayer` on a `Machine`, and every result says which.
"""

import math
from collections.abc import Mapping

import pandas as pd
import torch

from twofold.codes.cells import cells_per_code, code_energy, code_energy_table
from twofold.codes.encodings import encoding_of
from twofold.codes.tables import memory_words
from twofold.energy.machine import Machine
from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer

__all__ = ["layer_energy", "network_energy"]


def layer_energy(layer: StoredLayer, activity: Activity, machine: Machine) -> dict[str, str | int | float]:
    """Joules of one layer over all the input vectors of `activity`, exact.

    Parameters
    ----------
    layer
        The crossbar's columns are the outputs, its rows the flattened rest. A removed weight counts as the
        code 0. A generated index costs the generator's clocks, any other what reading it from memory costs;
        a layer that keeps all needs none.
    activity
        Of one row for each of the crossbar's, or of g times as many for a convolution of g groups: each group
        is then a crossbar of its own, with its share of the outputs as columns and its own inputs as rows.

    Returns
    -------
    dict
        ``array_j``, ``adc_j``, ``index_j`` (generated or read), ``total_j``; ``weights``, ``kept``,
        ``zero_codes`` (share of the kept that are 0), ``cells`` (stored), ``conversions``, ``reads``,
        ``input_bits``, ``bits``, ``encoding`` (in the cells); the machine's own.

    Raises
    ------
    ValueError
        The activity is of another number of rows, or the table has no energy for a level that is needed.
    """
    matrix, keep = layer.codes.cpu().flatten(1), layer.keep.cpu().flatten(1)
    columns, rows = matrix.shape
    groups = activity.row_ones.numel() // rows
    if groups * rows != activity.row_ones.numel() or columns % max(groups, 1):
        raise ValueError(
            f"activity of {activity.row_ones.numel()} rows for a weight of {rows} rows per output, "
            f"{columns} outputs"
        )
    packed = machine.dataflow == "packed"
    encoding = layer.encoding_in(machine.dataflow, machine.encoding)
    energy_j = code_energy(matrix * keep, code_energy_table(layer.bits, encoding, machine.table))
    if packed:
        energy_j = energy_j * keep
    row_energy_j = energy_j.view(groups, columns // groups, rows).sum(dim=1).flatten()
    array_j = float(row_energy_j @ activity.row_ones.to(energy_j))

    cells = cells_per_code(layer.bits, machine.table.cell_bits, encoding)
    stored = cells * (layer.kept if packed else layer.size)
    summed_rows = keep.sum(dim=1) if packed else torch.full((columns,), rows)
    parts = -(-summed_rows // machine.array_rows)
    per_column = encoding_of(encoding).passes * cells * int(parts.sum())
    per_read = {"none": 0, "column": per_column, "cell": stored}[machine.adc_rule]
    conversions = per_read * activity.input_bits * activity.reads

    arguments = machine.describe()
    adc_j = conversions * float(arguments["adc_energy_j"])
    index_j = _index_j(layer, machine) * activity.reads if packed and layer.kept < layer.size else 0.0
    zero = int(((matrix == 0) & keep).sum())
    return {
        "array_j": array_j,
        "adc_j": adc_j,
        "index_j": index_j,
        "total_j": array_j + adc_j + index_j,
        "weights": layer.size,
        "kept": layer.kept,
        "zero_codes": zero / layer.kept if layer.kept else math.nan,
        "cells": stored,
        "conversions": conversions,
        "reads": activity.reads,
        "input_bits": activity.input_bits,
        **arguments,
        "bits": layer.bits,
        "encoding": encoding,
    }


def _index_j(layer: StoredLayer, machine: Machine) -> float:
    """Joules of the layer's whole index, once."""
    # Where neither is charged, nobody asks for the clocks of a walk, nor for the bits of a stored index.
    if layer.generator is not None:
        return layer.clocks * machine.lig_energy_j if machine.lig_energy_j else 0.0
    word_energy_j = float(machine.describe()["index_word_energy_j"])
    return memory_words(layer.index_bits) * word_energy_j if word_energy_j else 0.0


def network_energy(
    layers: Mapping[str, StoredLayer], activity: Mapping[str, Activity], machine: Machine
) -> pd.DataFrame:
    """`layer_energy` of every layer, a row each, with its name in the column ``layer``.

    Raises
    ------
    ValueError
        As `layer_energy`, or a layer has no activity; the message names the layer.
    """
    rows = []
    for name, layer in layers.items():
        if name not in activity:
            raise ValueError(f"layer {name} has no activity; there is {', '.join(activity) or 'none'}")
        try:
            rows.append({"layer": name, **layer_energy(layer, activity[name], machine)})
        except ValueError as error:
            raise ValueError(f"layer {name}: {error}") from error
    return pd.DataFrame(rows)
