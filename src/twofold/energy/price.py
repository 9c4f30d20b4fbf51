"""Joules and cycles of layers and networks in an RRAM array that computes in memory.

The energy of the cells factorizes twice. Each cell is charged for the input bits of value 1 that its row
carried (`twofold.inputs.activity`), whatever the other rows do; and what it is charged depends on its
weight's code alone (`twofold.codes.cells`). So how often each code was read with a 1 says all of a layer, and
that histogram times a machine's table of code energies is its energy, exactly. All else follows from counts:
how many rows are summed in how many columns, inputs fetched, and clocks walked. What is priced is a
`StoredLayer` on a `Machine`, and every result says which.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from twofold.codes.cells import cell_columns
from twofold.codes.encodings import encoding_of
from twofold.codes.quantizer import code_limit
from twofold.codes.tables import memory_word_energy_j, memory_words
from twofold.energy.index import walk_energy_j
from twofold.energy.machine import Machine, input_word_energies_j
from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer

__all__ = ["PARTS", "OnesByCode", "layer_energy", "network_energy", "network_totals", "ones_by_code"]


PARTS = ("cells_j", "sign_j", "adc_j", "input_j", "index_j")
"""What a layer's joules are charged for."""


def layer_energy(layer: StoredLayer, activity: Activity, machine: Machine) -> dict[str, str | int | float]:
    """Joules and cycles of one layer over all the input vectors of `activity`, exact.

    Parameters
    ----------
    layer
        The crossbar's columns are the outputs, its rows the flattened rest. A removed weight counts as the
        code 0 where it is stored.
    activity
        Of one row for each of the crossbar's, or of g times as many for a convolution of g groups: each group
        is then a crossbar of its own, with its share of the outputs as columns and its own inputs as rows.

    Returns
    -------
    dict
        ``cells_j`` (of the codes), ``sign_j`` (cells that stand there for the sign, or the signs of signed
        rows, a bit a kept weight read from SRAM for each vector), ``adc_j`` (the sign's columns included),
        ``input_j``, ``index_j``, ``total_j``; ``arrays``, ``conversions`` and ``cycles``, all vectors one
        after the other; ``weights``, ``kept``, ``zero_codes`` (share of the kept that are 0), ``cells`` and
        ``sign_cells`` (stored), ``reads``, ``input_bits``, ``bits``, ``encoding`` (in the cells); the
        machine's own.

    Raises
    ------
    ValueError
        The activity is of another number of rows, the table has no energy for a level that is needed, or an
        array holds no column of weights.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> machine = Machine.cells_only(load_cell_table(), "crossbar")
    >>> layer = StoredLayer(torch.tensor([[0, -1]]), scale=1.0, keep=torch.tensor([[True, True]]))
    >>> energy = layer_energy(layer, Activity.all_ones(2), machine)
    >>> energy["cells"], energy["zero_codes"], round(1e12 * energy["cells_j"], 3)  # pJ
    (8, 0.5, 6.276)
    >>> energy["sign_cells"], round(1e12 * energy["sign_j"], 3)
    (2, 0.439)
    """
    crossbar, packed = machine.dataflow == "crossbar", machine.dataflow == "packed"
    encoding = layer.encoding_in("packed" if packed else "crossbar", machine.encoding)
    passes = encoding_of(encoding).passes
    columns = cell_columns(layer.bits, encoding, machine.table)
    reads = ones_by_code(layer, activity)
    cells_j, sign_j = float(reads.kept @ columns.own_j), float(reads.kept @ columns.sign_j)
    if crossbar:  # a removed weight is stored as the code 0
        zero = code_limit(layer.bits)
        cells_j += reads.removed * float(columns.own_j[zero])
        sign_j += reads.removed * float(columns.sign_j[zero])
    if not encoding_of(encoding).keeps_sign:
        sign_j += memory_words(layer.kept) * memory_word_energy_j() * activity.reads

    blocks = _blocks(layer, reads, activity, machine)
    weights = int(blocks.rows @ blocks.columns)
    conversions, conversions_j = _converters(machine, blocks, columns.own + columns.sign, passes)
    arrays, cycles = _time(layer, blocks, len(columns.own + columns.sign), passes, activity, machine)
    bits_read = activity.input_bits * activity.reads
    joules = {
        "cells_j": cells_j,
        "sign_j": sign_j,
        "adc_j": conversions_j * bits_read,
        "input_j": _inputs_j(layer, blocks, activity, machine) * activity.reads,
        "index_j": _index_j(layer, machine) * activity.reads,
    }
    return {
        **joules,
        "total_j": sum(joules.values()),
        "arrays": arrays,
        "conversions": conversions * bits_read,
        "cycles": cycles * activity.reads,
        "weights": layer.size,
        "kept": layer.kept,
        "zero_codes": reads.zero_codes / layer.kept if layer.kept else math.nan,
        "cells": len(columns.own) * weights,
        "sign_cells": len(columns.sign) * weights,
        "reads": activity.reads,
        "input_bits": activity.input_bits,
        **machine.describe(),
        "bits": layer.bits,
        "encoding": encoding,
    }


# ---- what is stored ----


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


_AT_ONCE = 1 << 18  # weights whose codes and ones lie in the cache together


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
    groups = layer.convolution_groups(activity.row_ones.numel())
    if groups is None:
        raise ValueError(
            f"activity of {activity.row_ones.numel()} rows for a weight of {rows} rows per output, "
            f"{columns} outputs"
        )
    ones = activity.row_ones.cpu().double().view(groups, rows)
    group_of = torch.arange(columns) // (columns // groups)
    counted, zeros = torch.zeros(2 * limit + 2, dtype=torch.float64), 0
    short = torch.int16 if layer.bits <= 8 else torch.int32  # half the time of torch's usual index
    # Some columns at a time, and nothing is picked out: what is not kept is counted at 0, below all codes.
    for first in range(0, columns, at_once := max(_AT_ONCE // rows, 1)):
        own, kept = matrix[first : first + at_once], keep[first : first + at_once]
        low, high = (int(code) for code in (own * kept).aminmax())
        if not -limit <= low <= high <= limit:
            raise ValueError(f"codes span {low}..{high}, {layer.bits} bits have {-limit}..{limit}")
        place = (own.to(short) + (limit + 1)).mul_(kept)
        zeros += int((place == limit + 1).count_nonzero())
        met = ones[group_of[first : first + at_once]]
        counted += torch.bincount(place.flatten(), weights=met.flatten(), minlength=2 * limit + 2)
    found = OnesByCode(
        kept=counted[1:],
        removed=float(counted[0]),
        kept_in_column=keep.sum(dim=1),
        zero_codes=zeros,
    )
    _SEEN[layer] = activity, state, found
    return found


def _changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place; one made in inference mode does not count it."""
    return -1 if tensor.is_inference() else tensor._version


class _Blocks(NamedTuple):
    """Crossbars with inputs of their own: rows and columns, of weights, of each."""

    rows: Int64[np.ndarray, "blocks"]
    columns: Int64[np.ndarray, "blocks"]


def _blocks(layer: StoredLayer, reads: OnesByCode, activity: Activity, machine: Machine) -> _Blocks:
    """One for each group of a convolution; of kept rows, one for each column or for those that share."""
    kept, columns = reads.kept_in_column.numpy(), layer.columns
    if machine.dataflow == "packed":
        return _Blocks(kept, np.ones_like(kept))
    own_inputs = columns * layer.rows // activity.row_ones.numel()  # columns of one group of a convolution
    firsts = np.arange(0, columns, own_inputs)
    if machine.dataflow == "crossbar":
        return _Blocks(np.full(len(firsts), layer.rows), np.full(len(firsts), own_inputs))
    if layer.kept < layer.size:
        firsts = np.union1d(firsts, np.arange(0, columns, layer.group))
    return _Blocks(kept[firsts], np.diff(firsts, append=columns))


# ---- converters, inputs, index ----


def _converters(machine: Machine, blocks: _Blocks, widths: tuple[int, ...], passes: int) -> tuple[int, float]:
    """Conversions for one input bit of a vector, and their joules; of cells as wide as each column's."""
    if machine.adc_rule == "none":
        return 0, 0.0
    if machine.adc_rule == "cell":
        weights = int(blocks.rows @ blocks.columns)
        return len(widths) * weights, weights * _column_j(machine, widths, 1)
    full, rest = blocks.rows // machine.array_rows, blocks.rows % machine.array_rows
    parts = {machine.array_rows: int(full @ blocks.columns)}
    columns_of = np.bincount(rest, weights=blocks.columns)  # by the rows that are left over; exact up to 2^53
    columns_of[:1] = 0
    parts |= {rows: int(columns_of[rows]) for rows in columns_of.nonzero()[0].tolist()}
    joules = sum((n * _column_j(machine, widths, rows) for rows, n in parts.items() if n), 0.0)
    return passes * len(widths) * sum(parts.values()), passes * joules


@lru_cache(maxsize=1 << 14)
def _column_j(machine: Machine, widths: tuple[int, ...], rows: int) -> float:
    """Joules of one conversion of each column of cells of a weight, over so many rows."""
    return sum(machine.conversion_j(rows, width) for width in widths)


def _inputs_j(layer: StoredLayer, blocks: _Blocks, activity: Activity, machine: Machine) -> float:
    """Joules to fetch the inputs of one vector, see `Machine`."""
    if machine.input_memory == "none":
        return 0.0
    word_j, copy_j = (input_word_energies_j()[memory] for memory in ("SRAM", "register file"))
    packed, keeps_all = machine.dataflow == "packed", layer.kept == layer.size
    in_order = memory_words(activity.row_ones.numel() * activity.input_bits)
    fetched = int(blocks.rows.sum())
    if packed and keeps_all:
        fetched = layer.columns * memory_words(layer.rows * activity.input_bits)
    elif keeps_all or machine.dataflow == "crossbar" or _broadcasts(layer, blocks, activity, machine):
        fetched = in_order
    if machine.input_memory == "register file":
        return min(fetched * word_j, in_order * (word_j + copy_j) + fetched * copy_j)
    return fetched * word_j


def _broadcasts(layer: StoredLayer, blocks: _Blocks, activity: Activity, machine: Machine) -> bool:
    """Whether groups are sent all inputs in order, since that costs no more than their own one by one."""
    grouped = machine.dataflow == "grouped" and layer.kept < layer.size
    in_order = memory_words(activity.row_ones.numel() * activity.input_bits)
    return grouped and machine.input_memory == "SRAM" and in_order <= int(blocks.rows.sum())


def _index_j(layer: StoredLayer, machine: Machine) -> float:
    """Joules of the layer's whole index, once."""
    if machine.dataflow == "crossbar" or machine.index_rule == "free" or layer.kept == layer.size:
        return 0.0
    if layer.generator is None:
        return memory_words(layer.index_bits) * float(machine.describe()["index_word_energy_j"])
    return walk_energy_j(layer) if machine.lig_energy_j is None else layer.clocks * machine.lig_energy_j


# ---- time ----


def _time(
    layer: StoredLayer, blocks: _Blocks, cells: int, passes: int, activity: Activity, machine: Machine
) -> tuple[int, int]:
    """Arrays of a layer with so many columns of cells a weight, and cycles of one vector, see `machine`."""
    clocks = layer.clocks if machine.dataflow != "crossbar" and layer.kept < layer.size else None
    pace = (1, 1) if clocks is None else (clocks, layer.indices)
    bits = passes * activity.input_bits
    tallest = np.minimum(blocks.rows, machine.array_rows)
    if machine.dataflow != "packed":
        used = cells * blocks.columns
        parts = -(-blocks.rows // machine.array_rows)
        arrays = int(parts @ -(-used // machine.array_columns))
        widest = np.minimum(used, machine.array_columns)
        cycles = int(_slower(tallest, widest, bits, pace, machine).max(initial=0))
        if _broadcasts(layer, blocks, activity, machine):  # on as many lines as the crossbar's inputs take
            cycles = max(cycles, -(-min(layer.rows, machine.array_rows) // machine.inputs_per_cycle))
        return arrays, cycles
    held = machine.array_columns // cells
    if held == 0:
        raise ValueError(
            f"array_columns is {machine.array_columns}; a packed array holds whole weights, of {cells} here"
        )
    arrays = cycles = 0
    for first in range(0, int(blocks.rows.max(initial=0)), machine.array_rows):
        rows = np.clip(blocks.rows - first, 0, machine.array_rows)
        own = _slower(rows, np.full_like(rows, cells), bits, pace, machine)[rows > 0]
        in_turn = np.add.reduceat(own, np.arange(0, len(own), held))
        arrays, cycles = arrays + len(in_turn), max(cycles, int(in_turn.max()))
    return arrays, cycles


def _slower(
    rows: np.ndarray, columns: np.ndarray, bits: int, pace: tuple[int, int], machine: Machine
) -> np.ndarray:
    """Cycles of arrays of these sizes: to convert every column once a bit, or to fetch every row's input.

    ``pace`` is a walk's clocks and the indices that they give.
    """
    clocks, indices = pace
    conversions = bits * -(-columns // machine.converters)
    fetches = -(-rows * clocks // (indices * machine.inputs_per_cycle))
    return np.where(rows > 0, np.maximum(conversions, fetches), 0)


# ---- networks ----


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
    >>> machine = Machine.cells_only(load_cell_table(), "packed")
    >>> layer = StoredLayer(torch.tensor([[0, -1]]), scale=1.0, keep=torch.tensor([[False, True]]))
    >>> frame = network_energy({"fc": layer}, {"fc": Activity.all_ones(2)}, machine)
    >>> frame[["layer", "weights", "kept", "cells", "sign_cells", "total_j"]]
      layer  weights  kept  cells  sign_cells       total_j
    0    fc        2     1      4           1  6.320000e-12
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


def network_totals(frame: pd.DataFrame, vectors: int = 1) -> pd.Series:
    """What a network spends in all, of the rows of `network_energy`.

    Parameters
    ----------
    vectors
        How often the whole network was run, images for a network of images: what is spent is divided by it.

    Returns
    -------
    Series
        Sums of the `PARTS`, ``total_j``, ``arrays``, ``conversions`` and ``cycles``: layers work one after
        the other on one image; ``slowest_cycles``, of the layer that sets the pace where each works on an
        image of its own; ``energy_delay``, joules times ``cycles``, and ``energy_pace``, joules times
        ``slowest_cycles``.

    Examples
    --------
    >>> from twofold.codes.tables import load_cell_table
    >>> keep = torch.ones(16, 144, dtype=torch.bool)
    >>> layer = StoredLayer(keep.char(), scale=1.0, keep=keep)
    >>> machine = Machine.whole(load_cell_table(), "crossbar")
    >>> once = {"a": Activity.all_ones(144), "b": Activity.all_ones(144)}
    >>> frame = network_energy({"a": layer, "b": layer}, once, machine)
    >>> network_totals(frame)[["arrays", "conversions", "cycles", "slowest_cycles"]].astype(int).to_dict()
    {'arrays': 4, 'conversions': 320, 'cycles': 64, 'slowest_cycles': 32}
    """
    spent = {name: frame[name].sum() / vectors for name in (*PARTS, "total_j", "conversions", "cycles")}
    slowest = frame.cycles.max() / vectors
    spent |= {"arrays": frame.arrays.sum(), "slowest_cycles": slowest}
    spent |= {"energy_delay": spent["total_j"] * spent["cycles"], "energy_pace": spent["total_j"] * slowest}
    return pd.Series(spent, dtype=float)
