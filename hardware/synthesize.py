"""Synthesizes the index generators with Yosys and writes src/twofold/tables/lig_cells.csv.

    python hardware/synthesize.py

Every design goes through the same script, down to gates of two or three inputs and plain D flip-flops:
enables and resets become gates. The scratch bits stay a memory of one read and one write port, counted in
`scratch_bits` and in nothing else. Two arithmetic blocks go through it as well, a 32-bit adder and
multiplier: the table of 45 nm energies has a joule for each, so `twofold.energy.index` can say what a gate
costs in it.
"""

import json
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd

from companion.paths import hardware_dir
from companion.study.verilog import Design, design_of
from twofold._files import written_whole
from twofold.codes.tables import tables_dir
from twofold.energy.index import NAND2_TRANSISTORS, TRANSISTORS
from twofold.masks import ColumnByColumn, KernelCounter, Modulo, MultiplyShift, Polynomial, Rejection
from twofold.masks.generator import LAYER_POLYNOMIAL, layer_polynomial
from twofold.masks.gf2 import primitive_polynomial
from twofold.masks.kinds import IndexGenerator

SLIDE = Polynomial.parse("x^9+x^4+1")

RESNET20 = {
    (16, 3, 3, 3),
    (16, 16, 3, 3),
    (32, 16, 3, 3),
    (32, 32, 3, 3),
    (64, 32, 3, 3),
    (64, 64, 3, 3),
    (10, 64),
}
"""Shapes of its weights; those of MLPerf Tiny's ResNet-8 are the same and two projections."""

SHAPES = sorted(RESNET20 | {(32, 16, 1, 1), (64, 32, 1, 1)}, key=lambda shape: (math.prod(shape), shape))

GROUPS = (1, 4, 8, 16, 64)
"""Columns that share an index; 64 is all of them."""

ARITHMETIC = """
module add32(input [31:0] a, b, output [31:0] y); assign y = a + b; endmodule
module mult32(input [31:0] a, b, output [31:0] y); assign y = a * b; endmodule
"""

FLOW = r"""
proc; flatten; opt; wreduce; peepopt; opt_clean; alumacc; share; opt; memory -nomap; opt -fast -full
techmap; opt; dfflegalize -cell $_DFF_P_ x; techmap; opt_expr; opt_clean
abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX,ANDNOT,ORNOT,AOI3,OAI3; opt_clean -purge
"""

COLUMNS = ("block", "degree", "size", "columns", "kernel", "kept", "reduction", "form", "dedup")
"""What says which design it is."""


# ---- what is synthesized ----


def designs() -> Iterator[tuple[dict, Design]]:
    """What says which design it is, and the design; the slides' first."""
    yield from repeating()
    seen = set()
    for facts, design in (*of_layers(), *ladders()):
        if (key := tuple(facts.values())) not in seen:  # groups of 16 are all of 16 columns
            seen.add(key)
            yield facts, design
    yield from blocks_for_all_layers()
    for name in ("add32", "mult32"):
        yield {"block": name}, Design(name, {}, {}, {})


def repeating() -> Iterator[tuple[dict, Design]]:
    """The slides' example, the layers of ResNet-20 and two larger ones by size, and one of each variant."""
    sizes = [*sorted({math.prod(shape) for shape in RESNET20}), 128 * 64 * 9, 128 * 128 * 9]
    for polynomial, layers in (
        (SLIDE, [300]),
        (primitive_polynomial(16), [36864]),
        (LAYER_POLYNOMIAL, sizes),
    ):
        for size in layers:
            yield own(MultiplyShift(polynomial), (size,))
            yield own(MultiplyShift(polynomial), (size,), dedup=False)
    yield own(Modulo(SLIDE), (300,))
    yield own(Modulo(LAYER_POLYNOMIAL), (36864,))
    yield own(MultiplyShift(LAYER_POLYNOMIAL, form="galois"), (36864,))
    yield pair_of_registers()


def of_layers() -> Iterator[tuple[dict, Design]]:
    """Where nothing repeats: every layer of the two networks, with every group of columns, and one column."""
    yield own(Rejection(SLIDE), (300,))
    for shape in SHAPES:
        for group in GROUPS:
            blocks = (-(-shape[0] // group), *shape[1:])
            for kind in (Rejection, ColumnByColumn, KernelCounter):
                yield own(kind(typical(kind.least_degree(blocks))), blocks)


def ladders() -> Iterator[tuple[dict, Design]]:
    """Powers of two, for the layers of other networks."""
    for form in ("fibonacci", "galois"):
        for bits in range(3, 25):
            yield own(Rejection(typical(bits), form=form), ((1 << bits) - 1,))
    for bits in range(3, 15):
        yield own(ColumnByColumn(typical(bits)), (1 << 12, 1 << bits))
    for places in (1, 9, 49):
        for bits in range(3, 19):
            yield own(KernelCounter(typical(bits)), (1, 1 << bits, places))


def blocks_for_all_layers() -> Iterator[tuple[dict, Design]]:
    """Size, seed and taps as inputs: for one column's rows, ResNet-20's layers, and larger ones.

    By column and by counter for the rows and the pairs of ResNet-20's layers.
    """
    for bits in (10, 16, 24):
        size = (1 << bits) - 1
        yield own(Rejection(typical(bits)), (size,), block=bits)
    for dedup in (False, True):
        yield own(MultiplyShift(LAYER_POLYNOMIAL), (1 << 16,), dedup=dedup, block=16)
    yield own(ColumnByColumn(typical(10)), ((1 << 10) - 1, 1 << 10), block=10)
    yield own(KernelCounter(typical(12)), (1, 1 << 12, 9), block=12)


def own(generator: IndexGenerator, shape: tuple[int, ...], *, dedup: bool = True, block: int | None = None):
    """A layer's design, half of its positions kept, and what says which it is."""
    size, columns, kernel = math.prod(shape), None, None
    kept = size // 2
    if isinstance(generator, ColumnByColumn):
        columns = shape[0]
        kept = columns * max(1, size // columns // 2)
    if isinstance(generator, KernelCounter):
        kernel = math.prod(shape[2:])
    design = design_of(generator, shape, kept, dedup=dedup, block=block)
    repeats = isinstance(generator, MultiplyShift | Modulo)
    facts = (
        design.module,
        generator.register.degree,
        size,
        columns,
        kernel,
        kept,
        generator.kind,
        generator.form,
    )
    return dict(zip(COLUMNS, (*facts, int(dedup) if repeats else None), strict=True)), design


def pair_of_registers() -> tuple[dict, Design]:
    """`lig_pair.v` for the largest layer of ResNet-20: 576 rows, 64 columns."""
    parameters = {"ROWS": 576, "COLUMNS": 64, "KEPT": 18432}
    for name, degree in (("ROW", 17), ("COLUMN", 14)):
        taps = primitive_polynomial(degree).mask - (1 << degree)
        parameters |= {f"{name}_DEGREE": degree, f"{name}_TAPS": taps, f"{name}_SEED": 1}
    facts = ("lig_pair", 31, 36864, 64, None, 18432, "multiply-shift", "fibonacci", 1)
    return dict(zip(COLUMNS, facts, strict=True)), Design(
        "lig_pair", parameters, {"row": 10, "column": 6}, {}
    )


@lru_cache
def typical(degree: int) -> Polynomial:
    """Of the polynomials that a network's first 20 layers of this degree get, one with as many terms as most.

    The polynomial of fewest terms, which tables print, has up to a half fewer gates in its feedback.
    """
    polynomials = sorted(
        (layer_polynomial(degree, layer) for layer in range(20)), key=lambda p: len(p.exponents)
    )
    return polynomials[10]


# ---- how ----


def synthesize(facts: dict, design: Design, netlist: Path | None = None) -> dict:
    """One row of the table: the design, its cells by type, its flip-flops and its gate equivalents.

    The gates themselves go to `netlist`, as Verilog, where it is given.
    """
    with tempfile.TemporaryDirectory() as folder:
        arithmetic = Path(folder) / "arithmetic.v"
        arithmetic.write_text(ARITHMETIC)
        chparam = " ".join(f"-set {name} 64'd{value}" for name, value in design.parameters.items())
        source = arithmetic if not chparam else hardware_dir() / f"{design.module}.v"
        script = f"read_verilog {source}\n"
        script += f"chparam {chparam} {design.module}\n" if chparam else ""
        # Modules are found by their names: each has a file of its own.
        script += f"hierarchy -check -libdir {hardware_dir()} -top {design.module}\n{FLOW}\n"
        script += f"tee -q -o {folder}/stat.json stat -json\n"
        script += f"write_verilog -noattr {netlist}\n" if netlist else ""
        (Path(folder) / "flow.ys").write_text(script)
        subprocess.run(["yosys", "-q", "-s", f"{folder}/flow.ys"], check=True, capture_output=True, text=True)
        stat = json.loads((Path(folder) / "stat.json").read_text())["design"]
    cells = {name.strip("$_").removesuffix("_P"): count for name, count in stat["num_cells_by_type"].items()}
    memory = cells.pop("mem_v2", 0)
    transistors = sum(TRANSISTORS[name] * count for name, count in cells.items())
    return {
        **{name: facts.get(name) for name in COLUMNS},
        "index_bits": sum(design.outputs.values()) or None,
        "scratch_bits": scratch_bits(design) if memory else 0,
        "flip_flops": cells.get("DFF", 0),
        "gate_equivalents": transistors / NAND2_TRANSISTORS,
        **{name: cells.get(name, 0) for name in TRANSISTORS},
        "yosys": yosys_version(),
    }


def scratch_bits(design: Design) -> int:
    """Bits of the memory that recognizes repeats: one for each position that the index can name."""
    if design.module == "lig_pair":
        return design.parameters["COLUMNS"] << design.outputs["row"]
    return design.parameters.get("SCRATCH", design.parameters.get("M", 0))


@lru_cache
def yosys_version() -> str:
    """Such as 0.23."""
    said = subprocess.run(["yosys", "-V"], check=True, capture_output=True, text=True).stdout
    return re.search(r"Yosys (\S+)", said).group(1)


def main() -> None:
    """Write the table, whole or not at all."""
    if shutil.which("yosys") is None:
        raise SystemExit("Yosys is not installed (Debian: apt install yosys)")
    frame = pd.DataFrame([synthesize(facts, design) for facts, design in designs()])
    whole = ["degree", "size", "columns", "kernel", "kept", "dedup", "index_bits"]
    frame[whole] = frame[whole].astype("Int64")
    path = tables_dir() / "lig_cells.csv"
    with written_whole(path) as partial:
        frame.to_csv(partial, index=False)
    print(f"{path}: {len(frame)} designs")


if __name__ == "__main__":
    main()
