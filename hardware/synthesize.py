"""Synthesizes the index generator at several widths with Yosys and writes src/twofold/tables/lig_cells.csv.

    python hardware/synthesize.py

Every design goes through the same script, down to gates of two or three inputs and plain D flip-flops:
enables and resets become gates. The scratch bits stay a memory of one read and one write port, counted in
`scratch_bits` and in nothing else. Two arithmetic blocks go through it as well, a 32-bit adder and
multiplier: the table of 45 nm energies has a joule for each, so `twofold.energy.index` can say what a gate
costs in it.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from companion.paths import hardware_dir
from twofold._files import written_whole
from twofold.codes.tables import tables_dir
from twofold.energy.index import NAND2_TRANSISTORS, TRANSISTORS
from twofold.masks.generator import LAYER_POLYNOMIAL
from twofold.masks.gf2 import Polynomial, primitive_polynomial

SLIDE = Polynomial.parse("x^9+x^4+1")
LAYER_SIZES = (432, 640, 2304, 4608, 9216, 18432, 36864)  # ResNet-20's

ARITHMETIC = """
module add32(input [31:0] a, b, output [31:0] y); assign y = a + b; endmodule
module mult32(input [31:0] a, b, output [31:0] y); assign y = a * b; endmodule
"""

FLOW = r"""
proc; flatten; opt; wreduce; peepopt; opt_clean; alumacc; share; opt; memory -nomap; opt -fast -full
techmap; opt; dfflegalize -cell $_DFF_P_ x; techmap; opt_expr; opt_clean
abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX,ANDNOT,ORNOT,AOI3,OAI3; opt_clean -purge
"""


def designs() -> list[dict]:
    """What is synthesized: the slides' example, every layer size of ResNet-20, and one of each variant."""
    lig = {"block": "lig", "reduction": "multiply-shift", "form": "fibonacci", "dedup": 1}
    rows = []
    for polynomial, sizes in (
        (SLIDE, (300,)),
        (primitive_polynomial(16), (36864,)),
        (LAYER_POLYNOMIAL, LAYER_SIZES),
    ):
        for size in sizes:
            common = lig | {"polynomial": polynomial, "size": size}
            rows += [common, common | {"dedup": 0}]
    rows += [
        lig | {"polynomial": SLIDE, "size": 300, "reduction": "modulo"},
        lig | {"polynomial": LAYER_POLYNOMIAL, "size": 36864, "reduction": "modulo"},
        lig | {"polynomial": LAYER_POLYNOMIAL, "size": 36864, "form": "galois"},
    ]
    return [*rows, {"block": "lig_pair"}, {"block": "add32"}, {"block": "mult32"}]


def synthesize(design: dict, netlist: Path | None = None) -> dict:
    """One row of the table: the design, its cells by type, its flip-flops and its gate equivalents.

    The gates themselves go to `netlist`, as Verilog, where it is given.
    """
    design, settings = dict(design), {}
    if design["block"] == "lig":
        polynomial, size = design.pop("polynomial"), design["size"]
        design |= {"degree": polynomial.degree, "kept": size // 2}
        settings = {
            "DEGREE": polynomial.degree,
            "TAPS": f"{polynomial.degree}'d{polynomial.mask - (1 << polynomial.degree)}",
            "M": size,
            "KEPT": size // 2,
            "MODULO": int(design["reduction"] == "modulo"),
            "GALOIS": int(design["form"] == "galois"),
            "DEDUP": design["dedup"],
        }
    elif design["block"] == "lig_pair":  # the largest layer of ResNet-20: 576 rows, 64 columns
        row, column = primitive_polynomial(17), primitive_polynomial(14)
        design |= {"degree": 31, "size": 36864, "kept": 18432, "dedup": 1}
        design |= {"reduction": "multiply-shift", "form": "fibonacci"}
        settings = {"ROWS": 576, "COLUMNS": 64, "KEPT": 18432}
        for name, p in (("ROW", row), ("COLUMN", column)):
            settings |= {
                f"{name}_DEGREE": p.degree,
                f"{name}_TAPS": f"{p.degree}'d{p.mask - (1 << p.degree)}",
            }
            settings |= {f"{name}_SEED": f"{p.degree}'d1"}
    with tempfile.TemporaryDirectory() as folder:
        arithmetic = Path(folder) / "arithmetic.v"
        arithmetic.write_text(ARITHMETIC)
        sources = [hardware_dir() / f"{name}.v" for name in ("first_sights", "walk_end", "lig", "lig_pair")]
        chparam = " ".join(f"-set {name} {value}" for name, value in settings.items())
        script = f"read_verilog {' '.join(map(str, sources))} {arithmetic}\n"
        script += f"chparam {chparam} {design['block']}\n" if settings else ""
        script += f"hierarchy -top {design['block']}\n{FLOW}\ntee -q -o {folder}/stat.json stat -json\n"
        script += f"write_verilog -noattr {netlist}\n" if netlist else ""
        (Path(folder) / "flow.ys").write_text(script)
        subprocess.run(["yosys", "-q", "-s", f"{folder}/flow.ys"], check=True, capture_output=True, text=True)
        stat = json.loads((Path(folder) / "stat.json").read_text())["design"]["num_cells_by_type"]
    cells = {name.strip("$_").removesuffix("_P"): count for name, count in stat.items() if name != "$mem_v2"}
    width = max(1, (design.get("size", 2) - 1).bit_length())
    scratch = (64 << 10) if design["block"] == "lig_pair" else design.get("size", 0)
    transistors = sum(TRANSISTORS[name] * count for name, count in cells.items())
    return {
        **{
            name: design.get(name)
            for name in ("block", "degree", "size", "kept", "reduction", "form", "dedup")
        },
        "index_bits": width if design["block"].startswith("lig") else None,
        "scratch_bits": scratch if "$mem_v2" in stat else 0,
        "flip_flops": cells.get("DFF", 0),
        "gate_equivalents": transistors / NAND2_TRANSISTORS,
        **{name: cells.get(name, 0) for name in TRANSISTORS},
        "yosys": yosys_version(),
    }


def yosys_version() -> str:
    """Such as 0.23."""
    said = subprocess.run(["yosys", "-V"], check=True, capture_output=True, text=True).stdout
    return re.search(r"Yosys (\S+)", said).group(1)


def main() -> None:
    """Write the table, whole or not at all."""
    if shutil.which("yosys") is None:
        raise SystemExit("Yosys is not installed (Debian: apt install yosys)")
    frame = pd.DataFrame([synthesize(design) for design in designs()])
    whole = ["degree", "size", "kept", "dedup", "index_bits"]
    frame[whole] = frame[whole].astype("Int64")
    path = tables_dir() / "lig_cells.csv"
    with written_whole(path) as partial:
        frame.to_csv(partial, index=False)
    print(f"{path}: {len(frame)} designs")


if __name__ == "__main__":
    main()
