"""Joules of an index: by hand from the committed cells and the table's own numbers."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import twofold
from twofold.energy.index import (
    gate_energy_j,
    lig_energy_j,
    lig_energy_parts,
    load_lig_cells,
    sram_gate_equivalents,
)

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


def test_sram_gate_equivalents():
    assert sram_gate_equivalents(1000, transistors=6, overhead=1.0) == 1500


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: lig_energy_j(301), "no design of size 301 with degree 31.* 432, 640"),
        (lambda: lig_energy_j(300, degree=8), "were: none"),
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
    with pytest.raises(ValueError, match="no column degree, flip_flops"):
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
    lig_energy_j=lig_energy_j(),
)
print(machine.describe()["lig_energy_j"], machine.describe()["index_word_energy_j"])
"""


def test_an_index_has_its_price_without_a_checkout(tmp_path):
    shutil.copytree(Path(twofold.__file__).parent, tmp_path / "library" / "twofold")
    own = {name: value for name, value in os.environ.items() if not name.startswith("TWOFOLD_")}
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(
        command, cwd=tmp_path, env=own | {"PYTHONPATH": "library"}, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert [float(word) for word in done.stdout.split()] == pytest.approx([lig_energy_j(), 5e-12])
