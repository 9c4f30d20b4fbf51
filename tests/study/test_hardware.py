"""The LIG in Verilog against the library, clock by clock over full periods, and its committed cell counts."""

import runpy
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from companion.paths import hardware_dir
from companion.study.verilog import _simulate, lig_model, lig_trace, simulate_lig
from twofold.energy.index import NAND2_TRANSISTORS, TRANSISTORS, load_lig_cells
from twofold.masks import LFSR, Polynomial, lfsr_mask
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.pairs import pair_mask

SOURCES = [hardware_dir() / f"{name}.v" for name in ("first_sights", "walk_end", "lig", "lig_pair")]


def needs(tool: str):
    return pytest.mark.skipif(
        shutil.which(tool) is None, reason=f"{tool} is not installed (Debian: apt install {tool})"
    )


CASES = [
    ("x^9+x^4+1", 1, 300, "multiply-shift", "fibonacci"),
    ("x^9+x^4+1", 77, 300, "modulo", "fibonacci"),
    ("x^9+x^5+1", 5, 144, "multiply-shift", "galois"),
    ("x^9+x^4+1", 200, 511, "modulo", "galois"),
    ("x^5+x^2+1", 3, 33, "modulo", "fibonacci"),  # more positions than states
    (str(primitive_polynomial(12)), 3, 2304, "multiply-shift", "fibonacci"),
]


@needs("iverilog")
@pytest.mark.parametrize("polynomial, seed, size, reduction, form", CASES)
@pytest.mark.parametrize("dedup", [True, False], ids=["first sights", "raw"])
def test_lig_walks_as_the_library_does_over_a_full_period(polynomial, seed, size, reduction, form, dedup):
    register = LFSR(polynomial, seed, form)
    clocks = register.period + 1
    frame = simulate_lig(
        clocks, polynomial=polynomial, seed=seed, size=size, reduction=reduction, form=form, dedup=dedup
    )
    states = register.states(clocks)
    positions = reduce_states(states, size, register.degree, reduction)
    np.testing.assert_array_equal(frame.state, states)
    np.testing.assert_array_equal(frame.raw, positions)
    handed = frame["index"][frame.valid == 1].to_numpy()
    if not dedup:
        np.testing.assert_array_equal(handed, positions)
    else:
        order = lfsr_mask((size,), len(handed) / size, polynomial, seed, form, reduction).order.numpy()
        np.testing.assert_array_equal(handed, order)


@needs("iverilog")
def test_lig_waits_for_a_slow_consumer_and_loses_nothing():
    frame = simulate_lig(900, stall=3)
    taken = frame["index"][(frame.valid == 1) & (frame.ready == 1)].to_numpy()
    order = lfsr_mask((300,), 0.5, "x^9+x^4+1").order.numpy()
    np.testing.assert_array_equal(taken[:150], order)
    waiting = ((frame.valid == 1) & (frame.ready == 0)).to_numpy()[:-1]
    np.testing.assert_array_equal(frame["index"][1:][waiting], frame["index"][:-1][waiting])


@needs("iverilog")
@pytest.mark.parametrize("kept", [1, 150, 240])
def test_every_walk_is_the_first_one_again_though_nothing_is_cleared(kept):
    """The scratch bits flip their meaning from walk to walk; the mask and its clocks stay the library's."""
    mask = lfsr_mask((300,), kept / 300, "x^9+x^4+1", 9)
    frame = simulate_lig(7 * (mask.clocks + 2), seed=9, kept=kept)
    taken = frame["index"][frame.valid == 1].to_numpy()
    walks = taken[: len(taken) // kept * kept].reshape(-1, kept)
    assert len(walks) >= 6
    assert (walks == mask.order.numpy()).all()
    ends = np.flatnonzero(frame["last"] & frame.valid)
    assert set(np.diff(ends)) == {mask.clocks + 1}  # one clock more: a bubble between two walks


DESIGNS = [
    {},
    {"kept": 40, "stall": 3},
    {"dedup": False, "kept": 50, "stall": 4},
    {"form": "galois", "reduction": "modulo", "kept": 250, "stall": 2, "seed": 300},
    {"size": 3, "kept": 2},  # nearly every index repeats the one before
    {"size": 2, "kept": 1},
]


@needs("iverilog")
@pytest.mark.parametrize("design", DESIGNS)
def test_the_model_is_the_hardware_in_every_signal(design):
    assert_frame_equal(simulate_lig(1100, **design), lig_model(1100, **design), check_dtype=False)


def test_the_trace_says_where_it_comes_from(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    frame, source = lig_trace(30, kept=5)
    assert source == "the library's model"
    assert_frame_equal(frame, lig_model(30, kept=5))


@pytest.mark.parametrize(
    "design, told",
    [
        ({"size": 1}, "size is 1"),
        ({"seed": 0}, "seed 0"),
        ({"polynomial": "x^4+x^2+1"}, "not prim"),
        ({"reduction": "rejection"}, "reduction is 'rejection'; hardware/lig.v has multiply-shift and"),
    ],
)
def test_what_is_no_generator_is_refused(design, told):
    for trace in (simulate_lig, lig_model):
        with pytest.raises(ValueError, match=told):
            trace(10, **design)


@needs("iverilog")
@pytest.mark.parametrize(
    "rows, columns, how",
    [(27, 16, {}), (20, 10, {"form": "galois"}), (32, 30, {"reduction": "modulo", "row_seed": 9})],
)
def test_the_pair_hands_out_the_library_s_pairs_over_the_full_period(rows, columns, how):
    row_polynomial, column_polynomial = Polynomial.parse("x^7+x+1"), Polynomial.parse("x^5+x^2+1")
    clocks = 127 * 31 + 1
    settings = {
        "ROWS": rows,
        "COLUMNS": columns,
        "ROW_SEED": how.get("row_seed", 1),
        "GALOIS": int(how.get("form") == "galois"),
        "MODULO": int(how.get("reduction") == "modulo"),
        "CLOCKS": clocks,
    }
    names = ["row_state", "column_state", "row", "column", "valid", "ready", "last"]
    frame = pd.DataFrame(_simulate("lig_pair_tb", settings), columns=names)
    form = how.get("form", "fibonacci")
    for name, polynomial, seed in (
        ("row", row_polynomial, settings["ROW_SEED"]),
        ("column", column_polynomial, 1),
    ):
        np.testing.assert_array_equal(frame[f"{name}_state"], LFSR(polynomial, seed, form).states(clocks))
    handed = frame[frame.valid == 1]
    flat = (handed.column * rows + handed.row).to_numpy()
    mask = pair_mask((columns, rows), len(flat) / (rows * columns), row_polynomial, column_polynomial, **how)
    np.testing.assert_array_equal(flat, mask.order.numpy())


@needs("iverilog")
def test_the_pair_starts_again_after_its_last_index():
    mask = pair_mask((16, 27), 100 / 432, "x^7+x+1", "x^5+x^2+1")
    frame = np.array(_simulate("lig_pair_tb", {"KEPT": 100, "CLOCKS": 5 * mask.clocks, "STALL": 5}))
    taken = frame[(frame[:, 4] == 1) & (frame[:, 5] == 1)]
    flat = (taken[:, 3] * 27 + taken[:, 2])[:300].reshape(3, 100)
    assert (flat == mask.order.numpy()).all()


@needs("verilator")
@pytest.mark.parametrize("top", ["lig", "lig_pair"])
@pytest.mark.parametrize(
    "settings", [[], ["-GKEPT=40", "-GMODULO=1", "-GGALOIS=1"]], ids=["default", "others"]
)
def test_verilator_finds_nothing_to_warn_of(top, settings):
    command = ["verilator", "--lint-only", "-Wall", "-Wno-DECLFILENAME", "--top-module", top, *settings]
    done = subprocess.run([*command, *SOURCES], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ---- cells ----


def test_committed_cells_add_up():
    cells = load_lig_cells()
    transistors = sum(cells[name] * count for name, count in TRANSISTORS.items())
    assert (transistors / NAND2_TRANSISTORS == cells.gate_equivalents).all()
    lig = cells[cells.block == "lig"]
    assert (lig.flip_flops == lig.DFF).all()
    # The state and the counter of kept weights; for first sights also the index, the counter that clears (one
    # bit more), and the flags full, again, phase. The bit that was read belongs to the memory's port.
    index, first = lig.index_bits, lig.dedup == 1
    counter = np.ceil(np.log2(lig.kept))
    assert (lig.flip_flops == lig.degree + counter + first * (2 * index + 1 + 3)).all()
    assert (lig.scratch_bits == lig["size"] * lig.dedup).all()


@needs("yosys")
@needs("iverilog")
@pytest.mark.parametrize("variant", [0, 1], ids=["first sights", "raw"])
def test_the_gates_that_are_counted_do_what_the_library_says(variant, tmp_path):
    """The committed count is repeated, and its netlist simulated over a walk and a half."""
    script = runpy.run_path(str(hardware_dir() / "synthesize.py"))
    design = script["designs"]()[variant]
    row = script["synthesize"](design, tmp_path / "gates.v")
    cells = load_lig_cells()
    committed = cells[(cells.degree == 9) & (cells.dedup == design["dedup"])].iloc[0]
    assert row["flip_flops"] == committed.flip_flops
    if row["yosys"] == committed.yosys:
        assert all(row[name] == committed[name] for name in (*TRANSISTORS, "scratch_bits"))
    else:  # another Yosys maps a little otherwise
        assert row["gate_equivalents"] == pytest.approx(committed.gate_equivalents, rel=0.2)

    (tmp_path / "bench.v").write_text(BENCH.replace("CLEAR", str(300 * design["dedup"])))
    command = ["iverilog", "-g2005-sv", "-o", "bench", "bench.v", "gates.v"]
    subprocess.run(command, check=True, cwd=tmp_path)
    printed = subprocess.run(["vvp", "-n", "bench"], check=True, cwd=tmp_path, capture_output=True, text=True)
    lines = [line.split() for line in printed.stdout.splitlines() if line[:1] in "0123456789x"]
    values = [[int(word) if word.isdigit() else -1 for word in line] for line in lines]
    expected = lig_model(len(values), kept=150, dedup=bool(design["dedup"]), stall=5)
    assert len(values) == 400
    np.testing.assert_array_equal(values, expected[["index", "valid", "ready", "last"]])


BENCH = """
`timescale 1ns / 1ps
module bench;
    reg clk = 0, rst = 1, ready = 0;
    wire valid, last;
    wire [8:0] index;
    integer t;
    lig dut (.clk(clk), .rst(rst), .ready(ready), .valid(valid), .index(index), .last(last));
    always #5 clk = !clk;
    initial begin
        @(negedge clk);
        @(negedge clk) rst = 0;
        repeat (CLEAR) @(negedge clk);
        for (t = 0; t < 400; t = t + 1) begin
            ready = t % 5 != 0;
            #1 $display("%0d %0d %0d %0d", index, valid, ready, last);
            @(negedge clk);
        end
        $finish;
    end
endmodule
"""
