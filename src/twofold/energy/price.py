"""Joules of layers and networks in an RRAM array that computes in memory.

The energy of an array factorizes twice. Each cell is charged for the input bits of value 1 that its row
carried (`twofold.inputs.activity`), whatever the other rows do; and what it is charged depends on its
weight's code alone (`twofold.codes.cells`). So how often each code was read with a 1 says all of a layer, and
that histogram times a machine's table of code energies is its energy, exactly. What is priced is a
`StoredLayer` on a `Machine`, and every result says which.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from twofold.codes.cells import cells_per_code, code_energy_table
from twofold.codes.encodings import EncodingName, encoding_of
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import CellTable, memory_words
from twofold.energy.machine import Machine
from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer

__all__ = ["OnesByCode", "layer_energy", "network_energy", "ones_by_code"]


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

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> machine = Machine(
    ...     table=load_cell_table(), encoding="twos_complement", dataflow="crossbar", adc_rule="none"
    ... )
    >>> layer = StoredLayer(torch.tensor([[0, -1]]), scale=1.0, keep=torch.tensor([[True, True]]))
    >>> energy = layer_energy(layer, Activity.all_ones(2), machine)
    >>> energy["cells"], energy["zero_codes"], round(1e12 * energy["array_j"], 3)  # pJ
    (8, 0.5, 6.276)
    """
    packed = machine.dataflow == "packed"
    encoding = layer.encoding_in(machine.dataflow, machine.encoding)
    energy_j = _code_energies_j(layer.bits, encoding, machine.table)
    reads = ones_by_code(layer, activity)
    array_j = float(reads.kept @ energy_j)
    if not packed:  # a removed weight is stored as the code 0
        array_j += reads.removed * float(energy_j[code_limit(layer.bits)])

    cells = cells_per_code(layer.bits, machine.table.cell_bits, encoding)
    stored = cells * (layer.kept if packed else layer.size)
    rows = layer.codes[0].numel()
    summed_rows = reads.kept_in_column if packed else torch.full_like(reads.kept_in_column, rows)
    parts = -(-summed_rows // machine.array_rows)
    per_column = encoding_of(encoding).passes * cells * int(parts.sum())
    per_read = {"none": 0, "column": per_column, "cell": stored}[machine.adc_rule]
    conversions = per_read * activity.input_bits * activity.reads

    arguments = machine.describe()
    adc_j = conversions * float(arguments["adc_energy_j"])
    index_j = _index_j(layer, machine) * activity.reads if packed and layer.kept < layer.size else 0.0
    return {
        "array_j": array_j,
        "adc_j": adc_j,
        "index_j": index_j,
        "total_j": array_j + adc_j + index_j,
        "weights": layer.size,
        "kept": layer.kept,
        "zero_codes": reads.zero_codes / layer.kept if layer.kept else math.nan,
        "cells": stored,
        "conversions": conversions,
        "reads": activity.reads,
        "input_bits": activity.input_bits,
        **arguments,
        "bits": layer.bits,
        "encoding": encoding,
    }


class OnesByCode(NamedTuple):
    """A layer as its price sees it: how many input bits of value 1 the weights of each code met.

    Attributes
    ----------
    kept
        Of the kept weights, code ``k`` at ``k + code_limit(bits)``, summed over all columns.
    removed
        Of all other weights together.
    kept_in_column
        Kept weights of each column.
    zero_codes
        Kept weights whose code is 0.
    """

    kept: Float64[Tensor, " codes"]
    removed: float
    kept_in_column: Int64[Tensor, " columns"]
    zero_codes: int


# A layer is priced on many machines; its histogram is the same on all, and goes when the layer goes.
_SEEN: WeakKeyDictionary[StoredLayer, tuple[Activity, tuple, OnesByCode]] = WeakKeyDictionary()


def ones_by_code(layer: StoredLayer, activity: Activity) -> OnesByCode:
    """The histogram of a layer's codes, each weight counted for the ones that its row carried.

    Raises
    ------
    ValueError
        A code does not fit the layer's bits.

    Examples
    --------
    >>> layer = StoredLayer(torch.tensor([[1, -1, 0]]), 1.0, torch.tensor([[True, True, False]]), bits=2)
    >>> activity = Activity(torch.tensor([4, 2, 7], dtype=torch.float64), reads=1, input_bits=8)
    >>> ones = ones_by_code(layer, activity)
    >>> ones.kept, ones.removed  # of -1, 0 and 1; and of the weight that is not kept
    (tensor([2., 0., 4.], dtype=torch.float64), 7.0)
    """
    state = tuple(_changes(tensor) for tensor in (layer.codes, layer.keep, activity.row_ones))
    if layer in _SEEN and _SEEN[layer][0] is activity and _SEEN[layer][1] == state:
        return _SEEN[layer][2]
    matrix, keep, limit = layer.codes.cpu().flatten(1), layer.keep.cpu().flatten(1), code_limit(layer.bits)
    columns, rows = matrix.shape
    groups = activity.row_ones.numel() // rows
    if groups * rows != activity.row_ones.numel() or columns % max(groups, 1):
        raise ValueError(
            f"activity of {activity.row_ones.numel()} rows for a weight of {rows} rows per output, "
            f"{columns} outputs"
        )
    codes = matrix[keep].long() + limit
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) <= 2 * limit:
        low, high = matrix[keep].aminmax()
        raise ValueError(f"codes span {int(low)}..{int(high)}, {layer.bits} bits have {-limit}..{limit}")
    ones = activity.row_ones.cpu().double().view(groups, 1, rows)
    ones = ones.expand(groups, columns // groups, rows).reshape(columns, rows)
    found = OnesByCode(
        # Of no codes at all bincount makes whole numbers, whatever the weights are.
        kept=torch.bincount(codes, weights=ones[keep], minlength=2 * limit + 1).double(),
        removed=float(ones[~keep].sum()),
        kept_in_column=keep.sum(dim=1),
        zero_codes=int((codes == limit).sum()),
    )
    _SEEN[layer] = activity, state, found
    return found


def _changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place; one made in inference mode does not count it."""
    return -1 if tensor.is_inference() else tensor._version


@lru_cache(maxsize=256)
def _code_energies_j(bits: int, encoding: EncodingName, table: CellTable) -> Float64[Tensor, " codes"]:
    return code_energy_table(bits, encoding, table)


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

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> machine = Machine(
    ...     table=load_cell_table(), encoding="twos_complement", dataflow="packed", adc_rule="none"
    ... )
    >>> layer = StoredLayer(torch.tensor([[0, -1]]), scale=1.0, keep=torch.tensor([[False, True]]))
    >>> frame = network_energy({"fc": layer}, {"fc": Activity.all_ones(2)}, machine)
    >>> frame[["layer", "weights", "kept", "cells", "total_j"]]
      layer  weights  kept  cells       total_j
    0    fc        2     1      4  5.960000e-12
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
