"""What the committed codes say of columns and converters, with no image at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch

from twofold.bit_slices import slice_codes
from twofold.cells import CellTable
from twofold.codes import ENCODINGS
from twofold.crossbar import Crossbar, ProgrammedMatrix
from twofold.crossbar_network import program
from twofold.energy import EnergyModel, network_energy
from twofold.results import load_network

__all__ = ["column_loads", "converter_energies", "needed_bits", "range_table", "sign_costs"]


def sign_costs(machines: Mapping[str, tuple[int, ...]], bits: int = 8) -> pd.DataFrame:
    """Cells that hold one code, and those that its sign asks for beside them, by encoding and slices."""
    code = torch.ones(1, 1, dtype=torch.int8)
    rows = []
    for name, slices in machines.items():
        for encoding in ENCODINGS:
            sliced = slice_codes(code, bits, encoding, slices)
            extra = len(sliced.slice_bits) - sliced.stored
            rows.append({"slices": name, "encoding": encoding, "cells": sliced.stored, "for the sign": extra})
    return pd.DataFrame(rows)


def range_table(run: str, layer: str, machine: Crossbar, v_read_v: float = 0.2) -> pd.DataFrame:
    """Full scale and step of a layer's converters by range rule, in levels and as currents; first row group.

    ``bits that lose nothing`` tell all whole numbers of levels up to the full scale apart. The rule
    ``calibrated`` needs images and is left out; ``stored`` is what it could reach at best without looking at
    inputs: the largest sum that any column holds, all rows carrying a 1.
    """
    codes = load_network(run).layers[layer].codes
    unit_a = machine.device.level_s(machine.slices[-1]) * v_read_v
    rows = []
    for rule in ("worst_case", "active_rows", "stored"):
        adc = replace(machine.adc, range_rule="worst_case" if rule == "stored" else rule)
        matrix = ProgrammedMatrix(codes, replace(machine, adc=adc), layer)
        scale = matrix.full_scales()[0, : len(machine.slices)].max().item()
        if rule == "stored":
            scale = matrix.cells[: len(machine.slices), :, : machine.array_rows].sum(2).max().item()
        step = adc.step(scale)
        rows.append(
            {
                "range": rule,
                "full scale (levels)": scale,
                "full scale (mA)": 1e3 * scale * unit_a,
                "step (levels)": step,
                "step (µA)": 1e6 * step * unit_a,
                "bits that lose nothing": int(scale).bit_length(),
            }
        )
    return pd.DataFrame(rows)


def column_loads(runs: Sequence[str], machine: Crossbar) -> pd.DataFrame:
    """What the columns of each slice carry, in the networks' own codes and with their own inputs.

    Returns
    -------
    DataFrame
        A row a run and slice (0 the most significant): ``worst_case``, the full scale of an array's column;
        ``largest``, the most that any column could carry, all its rows at 1; ``mean``, what a column carries
        on average with the inputs that the run measured, all in levels; ``idle``, the share of columns that
        hold level 0 only.
    """
    rows = []
    for run in runs:
        network = load_network(run)
        matrices = program(network.layers, replace(machine, bits=network.bits))
        for index, width in enumerate(machine.slices):
            largest, means, idle, columns = 0.0, 0.0, 0, 0
            for name, matrix in matrices.items():
                activity = network.activity[name]
                share = activity.row_ones / (activity.reads * activity.input_bits)
                for levels, own in zip(
                    matrix.cells[index].split(machine.array_rows, 1),
                    share.split(machine.array_rows),
                    strict=True,
                ):
                    largest = max(largest, levels.sum(1).max().item())
                    means += (levels @ own).sum().item()
                    idle += int((levels == 0).all(1).sum())
                    columns += len(levels)
            rows.append(
                {
                    "run": run,
                    "slice": index,
                    "worst_case": machine.array_rows * (2**width - 1),
                    "largest": largest,
                    "mean": means / columns,
                    "idle": idle / columns,
                }
            )
    return pd.DataFrame(rows)


def converter_energies(
    runs: Sequence[str],
    machine: Crossbar,
    table: CellTable,
    adc_energies_j: Mapping[str, float],
    skip_idle: bool = False,
) -> pd.DataFrame:
    """Joules of one image in the crossbar dataflow, cells and converters, for each price of a conversion.

    Conversions are all that the machine makes, those of columns that stand there for the sign included; with
    `skip_idle` without those of columns that hold level 0 only, whose result is known.

    Returns
    -------
    DataFrame
        A row a run and price: ``run``, ``converter``, ``array_j``, ``conversions``, ``adc_j``, ``total_j``.

    Raises
    ------
    ValueError
        The slices are no cells of the table.
    """
    if set(machine.slices) != {table.cell_bits}:
        raise ValueError(
            f"slices are {list(machine.slices)}, the table {table.name} has {table.cell_bits}-bit cells"
        )
    rows = []
    for run in runs:
        network = load_network(run)
        own = replace(machine, bits=network.bits)
        priced = EnergyModel(
            table=table,
            encoding=own.encoding,
            bits=own.bits,
            dataflow="crossbar",
            adc_rule="none",
            array_rows=own.array_rows,
        )
        layers = {n: (layer.codes, layer.keep, network.activity[n]) for n, layer in network.layers.items()}
        images = list(network.activity.values())[-1].reads  # the last layer reads once an image
        array_j = network_energy(layers, priced).array_j.sum() / images
        counts = [m.counts(network.activity[n].reads) for n, m in program(network.layers, own).items()]
        conversions = sum(c["conversions"] + c["sign_conversions"] for c in counts) / images
        if skip_idle:
            conversions -= sum(c["idle_conversions"] for c in counts) / images
        for name, energy_j in adc_energies_j.items():
            row = {"run": run, "converter": name, "array_j": array_j, "conversions": conversions}
            rows.append(row | {"adc_j": conversions * energy_j, "total_j": array_j + conversions * energy_j})
    return pd.DataFrame(rows)


def needed_bits(measured: pd.DataFrame, points: float = 1.0) -> pd.DataFrame:
    """The fewest bits of the converter that cost at most `points` of accuracy against none, by run and range.

    Parameters
    ----------
    measured
        Rows of `crossbar_study.load_crossbar` that differ in nothing but run, range rule and bits.

    Returns
    -------
    DataFrame
        Runs by range rules; missing where no measured resolution is enough, or none was measured.
    """
    free = measured[measured.adc_range == "none"].set_index("run").test_accuracy
    converted = measured[measured.adc_range != "none"]
    enough = converted[converted.test_accuracy >= converted.run.map(free) - points]
    return enough.pivot_table(index="run", columns="adc_range", values="adc_bits", aggfunc="min")
