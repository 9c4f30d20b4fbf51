"""Joules of an index: by hand from the committed cells and the table's own numbers."""

import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch

import twofold
from twofold.energy.index import (
    gate_energy_j,
    lig_energy_j,
    lig_energy_parts,
    load_lig_cells,
    sram_gate_equivalents,
    stored_index_energy_j,
    walk_energy_j,
)
from twofold.layer import StoredLayer
from twofold.masks import KernelCounter, Rejection
from twofold.masks.generator import layer_generator

CELLS = load_lig_cells()


def cell(**wanted) -> pd.Series:
    own = CELLS
    for name, value in wanted.items():
        own = own[own[name] == value]
    assert len(own) == 1
    return own.iloc[0]


@pytest.mark.parametrize("block, operation_pj", [("add32", 0.1), ("mult32", 3.1)])
def test_a_gate_costs_the_table_s_operation_over_its_gates(block, operation_pj):
    energy_j = gate_energy_j(block)
    assert energy_j * cell(block=block).gate_equivalents == pytest.approx(operation_pj * 1e-12)


def test_parts_by_hand():
    parts = lig_energy_parts(300, degree=9, gate_j=1e-15, access_j=5e-12, flip_flop_factor=3.0, density=0.5)
    own = cell(block="lig", degree=9, size=300, dedup=1, reduction="multiply-shift")
    assert parts["logic_j"] == pytest.approx(own.gate_equivalents * 1e-15)
    assert parts["clock_j"] == pytest.approx(own.flip_flops * 4 * 2 * 1e-15)
    assert parts["scratch_j"] == pytest.approx(5e-12 * (1 + 0.5 / math.log(2)))  # a read, and 0.72 writes
    assert lig_energy_j(300, degree=9) == pytest.approx(sum(lig_energy_parts(300, degree=9).values()))


def test_defaults_come_from_the_table():
    assert lig_energy_j() == lig_energy_j(36864, gate_j=gate_energy_j("add32"), access_j=5e-12)
    raw = lig_energy_parts(dedup=False)
    assert raw["scratch_j"] == 0
    assert raw["logic_j"] == pytest.approx(
        gate_energy_j() * cell(block="lig", degree=31, size=36864, dedup=0).gate_equivalents
    )


@pytest.mark.parametrize("size", [432, 640, 2304, 4608, 9216, 18432, 36864])
@pytest.mark.parametrize("dedup", [True, False])
def test_every_layer_of_resnet20_has_a_price(size, dedup):
    assert 0 < lig_energy_j(size, dedup=dedup, access_j=0.0) < 3.1e-12  # less than one 32-bit multiplication


# ---- which design stands for a layer ----


def chosen(**arguments) -> pd.Series:
    """The design whose gates are charged: of those in the table the one with that many."""
    logic_j = lig_energy_parts(**arguments, gate_j=1.0)["logic_j"]
    return CELLS[CELLS.gate_equivalents == logic_j]


@pytest.mark.parametrize(
    "asked, block, found",
    [
        ({"size": 301, "degree": 9}, "lig", {"degree": 31, "size": 432}),  # the slides' is of 300
        ({"size": 433}, "lig", {"degree": 31, "size": 640}),
        ({"size": 432, "reduction": "rejection"}, "lig_rejection", {"degree": 9, "size": 432}),
        ({"size": 433, "reduction": "rejection"}, "lig_rejection", {"degree": 9, "size": 511}),
        ({"size": 432, "degree": 12, "reduction": "rejection"}, "lig_rejection", {"degree": 12}),
        ({"size": 100_000, "reduction": "rejection"}, "lig_rejection", {"degree": 17, "size": 131071}),
        (
            {"size": 100_000, "reduction": "rejection", "form": "galois"},
            "lig_rejection",
            {"degree": 17, "form": "galois"},
        ),
        (
            {"size": 64 * 576, "columns": 64, "reduction": "column"},
            "lig_column",
            {"size": 36864, "columns": 64},
        ),
        (
            {"size": 65 * 576, "columns": 65, "reduction": "column"},
            "lig_column",
            {"degree": 10, "columns": 4096},
        ),
        ({"size": 576, "columns": 1, "reduction": "column"}, "lig_column", {"size": 576, "columns": 1}),
        ({"size": 9 * 4096, "kernel": 9, "reduction": "counter"}, "lig_counter", {"degree": 12, "kernel": 9}),
        (
            {"size": 25 * 4000, "kernel": 25, "reduction": "counter"},
            "lig_counter",
            {"degree": 12, "kernel": 49},
        ),
        ({"size": 640, "reduction": "counter"}, "lig_counter", {"degree": 10, "kernel": 1}),
    ],
)
def test_the_smallest_design_that_reaches_a_layer_stands_for_it(asked, block, found):
    own = chosen(**asked)
    assert ((own.block == block) & (own[list(found)] == pd.Series(found)).all(axis=1)).any()


def test_a_longer_walk_takes_no_smaller_design():
    """What a generator that never repeats costs a clock grows with the layer, but for Yosys' noise."""
    for reduction in ("rejection", "column", "counter"):
        clocks_j = [lig_energy_j(1 << bits, reduction=reduction) for bits in range(4, 15)]
        assert all(b > 0.97 * a for a, b in pairwise(clocks_j))
        assert clocks_j[-1] > 1.5 * clocks_j[0]


# ---- a walk ----


def stored(generator, shape, density) -> StoredLayer:
    keep = generator.draw(shape, density).keep
    return StoredLayer(keep.char(), 1.0, keep, generator=generator, group=generator.group)


def test_a_walk_by_hand():
    layer = stored(Rejection("x^9+x^4+1", 5), (16, 3, 3, 3), 0.25)
    own = cell(block="lig_rejection", size=432)
    gates = own.gate_equivalents + own.flip_flops * 4 * 2
    assert layer.clocks > layer.indices == 108
    assert walk_energy_j(layer, gate_j=1e-15, flip_flop_factor=3.0) == pytest.approx(
        layer.clocks * gates * 1e-15
    )
    assert walk_energy_j(layer) == pytest.approx(layer.clocks * lig_energy_j(432, reduction="rejection"))


@pytest.mark.parametrize("kind", ["multiply-shift", "modulo"])
def test_a_walk_with_repeats_reads_at_each_clock_and_writes_each_index(kind):
    layer = stored(layer_generator(kind, (16, 3, 3, 3), layer=3), (16, 3, 3, 3), 0.5)
    scratch_j = walk_energy_j(layer, access_j=7e-12) - walk_energy_j(layer, access_j=0.0)
    assert scratch_j == pytest.approx(7e-12 * (layer.clocks + 216))
    # The price of a clock takes a mean number of repeats; this walk has its own.
    assert walk_energy_j(layer) == pytest.approx(layer.clocks * lig_energy_j(432, reduction=kind), rel=0.05)


@pytest.mark.parametrize("kind", ["rejection", "column", "counter"])
@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (64, 32, 3, 3), (10, 64)])
def test_columns_that_share_their_indices_share_the_walk(kind, shape):
    walks = [
        (
            layer := stored(layer_generator(kind, shape, layer=3, group=group), shape, 0.5),
            walk_energy_j(layer),
        )
        for group in (1, 4, 16, 64)
    ]
    for (fewer, more_j), (_, less_j) in pairwise(walks):
        assert 0 < less_j < more_j or fewer.group >= shape[0]
    alone = walks[-1][0]
    assert alone.indices == math.prod(shape[1:]) // 2 + (shape == (16, 3, 3, 3))  # 13.5 rows are 14
    assert walks[-1][1] / alone.indices < 1e-12


def test_a_walk_of_a_generator_that_was_not_synthesized_is_refused():
    layer = stored(KernelCounter("x^20+x^3+1", 5), (16, 3, 3, 3), 0.25)
    with pytest.raises(ValueError, match=r"kind counter, fibonacci reaches degree 20, pairs 48, places 9"):
        walk_energy_j(layer)
    with pytest.raises(ValueError, match="no generator to walk; stored_index_energy_j"):
        walk_energy_j(StoredLayer(layer.codes, 1.0, layer.keep))


def test_a_stored_index_is_read_in_whole_words():
    keep = torch.zeros(8, 100, dtype=torch.bool)
    keep[:, ::2] = True
    layer = StoredLayer(keep.char(), 1.0, keep)
    assert layer.index_bits == 800  # a bitmap
    assert stored_index_energy_j(layer) == 25 * 5e-12
    assert stored_index_energy_j(layer, "DRAM") == 25 * 640e-12
    shared = StoredLayer(keep.char(), 1.0, keep, group=8)
    assert stored_index_energy_j(shared) == -(-shared.index_bits // 32) * 5e-12 < 25 * 5e-12 / 6
    made = stored(Rejection("x^9+x^4+1", 5), (16, 3, 3, 3), 0.25)
    assert stored_index_energy_j(made) == 0


def test_sram_gate_equivalents():
    assert sram_gate_equivalents(1000, transistors=6, overhead=1.0) == 1500


@pytest.mark.parametrize(
    "call, told",
    [
        (
            lambda: lig_energy_j(147457),
            "kind multiply-shift, .* reaches degree 31, positions 147457;",
        ),
        (lambda: lig_energy_j(147457), r"were \(degree x positions\): 9 x 300; 31 x 432; .* 31 x 147456$"),
        (
            lambda: lig_energy_j(2**25, reduction="rejection"),
            "degree 26, positions 33554432; .* 16777215$",
        ),
        (lambda: lig_energy_j(300, degree=32), "reaches degree 32, positions 300"),
        (
            lambda: lig_energy_j(4096 * 4096, reduction="rejection"),
            r"positions 16777216; degree d reaches 2\^d - 1 .*, which kind 'column' needs .*; 24 x 16777215$",
        ),
        (
            lambda: lig_energy_j(27 * 5000, reduction="column", columns=5000),
            "rows 27, columns 5000; .*14 x 16384 x 4",
        ),
        (lambda: lig_energy_j(16 * 81, reduction="counter", kernel=81), "pairs 16, places 81"),
        (lambda: lig_energy_j(300, reduction="column", columns=7), "size is 300; 7 columns of"),
        (lambda: lig_energy_j(0), "size is 0"),
        (lambda: lig_energy_j(access_j=-1.0), "access_j is -1.0"),
        (lambda: lig_energy_j(density=0.0), "density is 0.0"),
        (lambda: lig_energy_j(gate_j=-1.0), "gate_j is -1.0"),
        (lambda: lig_energy_j(flip_flop_factor=math.inf), "flip_flop_factor is inf"),
        (lambda: gate_energy_j("div32"), "reference is 'div32'"),
    ],
)
def test_bad_input_is_quoted(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_a_missing_and_a_foreign_table_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"synthesize\.py"):
        load_lig_cells(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_text("block,size\nlig,300\n")
    with pytest.raises(ValueError, match="no column columns, degree, flip_flops"):
        load_lig_cells(tmp_path / "x.csv")


ALONE = """
import sys
from pathlib import Path
sys.modules["companion"] = None  # no checkout, so no companion either
import twofold
from twofold.energy.index import lig_energy_j
assert Path(twofold.__file__).parent == Path("library/twofold").resolve(), twofold.__file__
machine = twofold.Machine(
    table=twofold.load_cell_table(), encoding="twos_complement", dataflow="packed", adc_rule="column",
    input_memory="none", index_rule="charged", lig_energy_j=lig_energy_j(),
)
print(machine.describe()["lig_energy_j"], machine.describe()["index_word_energy_j"])
"""


@pytest.mark.slow  # a process of its own; the wheel is tried beside it (tests/test_packaging.py)
def test_an_index_has_its_price_without_a_checkout(tmp_path):
    shutil.copytree(Path(twofold.__file__).parent, tmp_path / "library" / "twofold")
    own = {name: value for name, value in os.environ.items() if not name.startswith("TWOFOLD_")}
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(
        command, cwd=tmp_path, env=own | {"PYTHONPATH": "library"}, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert [float(word) for word in done.stdout.split()] == pytest.approx([lig_energy_j(), 5e-12])
