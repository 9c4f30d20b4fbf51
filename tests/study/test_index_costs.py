"""What an index costs, against the parts that it is made of, and the account of the finished runs."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from companion.study.energies import cells_only, layer_energies
from companion.study.index_costs import (
    KINDS,
    crossovers,
    gates_by_kind,
    index_energies_of_run,
    index_prices,
    network_areas,
    network_index_bits,
    words_j,
)
from twofold.energy.index import lig_energy_j, load_lig_cells
from twofold.masks.generator import layer_generator
from twofold.masks.measures import cheapest_index_bits

SHAPE = (32, 16, 3, 3)


@pytest.fixture(scope="module")
def prices():
    return index_prices(SHAPE, densities=[0.2, 0.5, 0.8], groups=[1, 8])


@pytest.mark.parametrize("kind", ["rejection", "counter"])
@pytest.mark.parametrize("group", [1, 8])
def test_an_index_costs_its_clocks(prices, kind, group):
    mask = layer_generator(kind, SHAPE, 0, group=group).draw(SHAPE, 0.5)
    positions, kernel = SHAPE[0] // group * 144, 9 if kind == "counter" else 1
    a_clock_j = lig_energy_j(positions, reduction=kind, kernel=kernel)
    row = prices.query("way == @kind and group == @group and density == 0.5").iloc[0]
    assert row.index_j == pytest.approx(a_clock_j * mask.clocks / mask.indices)
    assert row.weight_j == pytest.approx(row.index_j / group)
    assert row.clocks == pytest.approx(mask.clocks / mask.indices)


def test_scratch_memory_is_read_each_clock_and_written_each_index():
    cheap, dear = (index_prices(SHAPE, [0.5], [1], access_j=access) for access in (0.0, 1e-12))
    difference = (dear.index_j - cheap.index_j).set_axis(dear.way)
    clocks = cheap.set_index("way").clocks["multiply-shift"]
    assert difference["multiply-shift"] == pytest.approx(1e-12 * (clocks + 1))
    assert (difference[["rejection", "column", "counter", "DRAM"]] == 0).all()


@pytest.mark.parametrize("density, bits", [(0.5, 4608), (0.8, 4608)])
def test_a_stored_index_of_many_is_a_bitmap_in_words(prices, density, bits):
    found = prices.query("group == 1 and density == @density").set_index("way").index_j
    for memory, word_j in words_j().items():
        assert found[memory] == pytest.approx(bits / 32 * word_j / round(4608 * density))


def test_an_even_kernel_has_no_counter():
    assert "counter" not in set(index_prices((8, 8, 2, 2), [0.5], [1]).way)
    assert "kernel counter" not in gates_by_kind((8, 8, 2, 2)).index


def test_crossover_is_where_the_ratio_falls_below_one_for_good():
    table = pd.DataFrame(
        {"SRAM": [4.0, 2.0, 1.0], "rejection": [1.0, 1.5, 2.0], "counter": 0.5, "column": 9.0}
    )
    frame = table.assign(density=[0.2, 0.4, 0.6], group=1).melt(["group", "density"], var_name="way")
    found = crossovers(frame.rename(columns={"value": "index_j"}), "SRAM")[1]
    assert found["rejection"] == pytest.approx(0.4 + 0.2 * (2 / 1.5 - 1) / (2 / 1.5 - 0.5))
    assert (found["counter"], found["column"]) == (1.0, 0.0)


def test_index_of_a_run_is_what_the_machine_is_charged():
    run = "twofold-r90-mu60-b8-rows-s1"
    found = index_energies_of_run(run, [1, 64])
    machine = replace(cells_only("packed"), index_rule="charged")
    charged = layer_energies(run, machine).index_j.sum()
    # Of another run's polynomials and seeds, whose arcs skip a few states more or less.
    assert found[1]["rejection"] == pytest.approx(charged, rel=0.04)
    assert (found[64] < found[1] / 10).all()
    assert list(found.index) == [*KINDS, *words_j()]


def test_bits_of_a_network_by_group():
    found = network_index_bits("resnet20", 0.5, [1, 64])
    assert found.stored[1] == 268_336  # a bit a weight
    rows = 27 + 7 * 144 + 6 * 288 + 5 * 576 + 64
    assert found.stored[64] == rows
    assert found.generated[1] < 1000
    keep = torch.ones(64, dtype=torch.bool)
    assert cheapest_index_bits(keep) == 0


def test_areas_and_gates_are_those_of_the_table():
    areas, cells = network_areas("resnet20", 0.5, overhead=1.0), load_lig_cells()
    assert areas["stored"] == pytest.approx(268_336 * 1.5)
    assert (
        areas["one block"]
        == cells.query("block == 'lig_rejection_any' and size == 65535").gate_equivalents.item()
    )
    # Where all columns share, the positions of a layer are its rows.
    fixed = cells.query("block == 'lig_rejection' and form == 'fibonacci'").set_index("size").gate_equivalents
    rows = [27, *[144] * 7, *[288] * 6, *[576] * 5, 64]
    assert areas["rejection, shared"] == fixed[rows].sum() < areas["rejection"]
    gates = gates_by_kind((64, 64, 3, 3))
    largest = cells.query("block == 'lig_rejection' and size == 36864").iloc[0]
    assert gates.gates["rejection"] == largest.gate_equivalents
    assert gates.flip_flops["rejection"] == largest.flip_flops
    assert gates.scratch_bits.tolist() == [0, 0, 0, math.prod((64, 64, 3, 3))]
    assert np.all(gates.shared_gates < gates.gates)
