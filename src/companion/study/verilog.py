"""The index generators clock by clock: the Verilog of `hardware/` simulated, and a model of the same clocks.

A `Design` is a module of `hardware/` with the parameters that a generator of the library gives it. Both
`simulate` and `model` say what stands on its wires at each clock, for any consumer (`ready`) and any reset.
"""

import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from companion import paths
from twofold import Polynomial
from twofold.masks.draw import blocks_of
from twofold.masks.generator import generator_of
from twofold.masks.kinds import ColumnByColumn, IndexGenerator, KernelCounter, Reduction, Rejection, Repeating
from twofold.masks.lfsr import LFSR, Form

__all__ = ["Design", "design_of", "lig_model", "lig_trace", "model", "simulate", "simulate_lig"]


@dataclass(frozen=True)
class Design:
    """A module of `hardware/` as it is used for one layer.

    Attributes
    ----------
    module
        Its name.
    parameters
        What it is built for.
    outputs
        Widths of the wires that say an index.
    shown
        Inner signals that a trace shows too, and where they are.
    inputs
        Width and value of what a block for all layers has as inputs.

    Examples
    --------
    >>> from twofold.masks import Rejection
    >>> design = design_of(Rejection("x^9+x^4+1", seed=5), (300,), kept=150)
    >>> design.module, design.parameters["M"], design.parameters["TAPS"], design.outputs
    ('lig_rejection', 300, 17, {'index': 9})
    """

    module: str
    parameters: Mapping[str, int]
    outputs: Mapping[str, int]
    shown: Mapping[str, str]
    inputs: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def signals(self) -> list[str]:
        """The columns of a trace."""
        return [*self.shown, *self.outputs, "valid", "ready", "last"]


def design_of(
    generator: IndexGenerator,
    shape: Sequence[int],
    kept: int = 0,
    *,
    dedup: bool = True,
    block: int | None = None,
) -> Design:
    """The module that hands out what `generator.draw` draws for a layer of `shape`.

    Parameters
    ----------
    kept : int
        Indices in one walk, after which the generator starts again from the seed; 0: no end.
    dedup : bool
        First sights only, where positions repeat.
    block : int or None
        Bits of an index in the one block for all layers, whose inputs then hold what else is a parameter;
        None: the layer's own design.

    Raises
    ------
    ValueError
        A layer of one position, indices that are no whole number a column, or a block of too few bits.

    Examples
    --------
    >>> from twofold.masks import ColumnByColumn
    >>> design = design_of(ColumnByColumn("x^5+x^2+1", group=4), (16, 3, 3, 3), kept=4 * 14)
    >>> {name: design.parameters[name] for name in ("ROWS", "COLUMNS", "KEPT", "OUTER_DEGREE")}
    {'ROWS': 27, 'COLUMNS': 4, 'KEPT': 14, 'OUTER_DEGREE': 5}
    """
    columns, *rest = blocks_of(shape, generator.group)
    size, taps, degree = columns * math.prod(rest), _taps(generator.polynomial), generator.register.degree
    if size < 2:
        raise ValueError(f"size is {size}; the generator takes 2 positions or more")
    register = {"DEGREE": degree, "TAPS": taps, "SEED": generator.seed}
    galois = {"GALOIS": int(generator.form == "galois")}
    if isinstance(generator, ColumnByColumn) and (kept < 1 or kept % columns):
        raise ValueError(f"kept is {kept}, allowed are multiples of the {columns} columns")
    if block is not None:
        return _block_for_all(generator, (columns, *rest), kept, dedup, block)
    if isinstance(generator, ColumnByColumn):
        outer = generator.scramble(columns)
        parameters = register | {"OUTER_DEGREE": outer.degree, "OUTER_TAPS": _taps(outer.polynomial)}
        parameters |= {
            "OUTER_SEED": outer.seed,
            "ROWS": size // columns,
            "COLUMNS": columns,
            "KEPT": kept // columns,
        }
        outputs = {"row": _width(size // columns), "column": _width(columns)}
        shown = {"state": "dut.register.state", "scramble": "dut.scramble"}
        return Design("lig_column", parameters, outputs, shown)
    if isinstance(generator, KernelCounter):
        places = math.prod(rest[1:])
        outputs = {"pair": _width(size // places), "place": _width(places)}
        parameters = register | {"PAIRS": size // places, "KERNEL": places, "KEPT": kept}
        return Design("lig_counter", parameters, outputs, {"state": "dut.register.state"})
    parameters, outputs = register | {"M": size, "KEPT": kept} | galois, {"index": _width(size)}
    if isinstance(generator, Rejection):
        return Design("lig_rejection", parameters, outputs, {"state": "dut.core.register.state"})
    parameters |= {"MODULO": int(generator.kind == "modulo"), "DEDUP": int(dedup)}
    return Design("lig", parameters, outputs, {"state": "dut.core.state", "raw": "dut.core.raw"})


def _block_for_all(
    generator: IndexGenerator, shape: tuple[int, ...], kept: int, dedup: bool, bits: int
) -> Design:
    """The block of the generator's kind; `shape` is that of the groups."""
    size, columns, places = math.prod(shape), shape[0], math.prod(shape[2:])
    galois, endless = {"GALOIS": int(generator.form == "galois")}, {"ENDLESS": int(kept == 0)}
    register, highest = _register_inputs(generator.register, bits), max(kept - 1, 0)
    if isinstance(generator, ColumnByColumn):
        outer = _register_inputs(generator.scramble(columns), bits)
        inputs = {"rows": (bits + 1, size // columns)} | register
        inputs |= {f"outer_{name}": held for name, held in outer.items()}
        inputs |= {"highest_row": (bits, kept // columns - 1), "highest_column": (bits, columns - 1)}
        shown = {"state": "dut.register.state", "scramble": "dut.scramble"}
        made = Design("lig_column_any", {"DEGREE": bits}, {"row": bits, "column": bits}, shown, inputs)
    elif isinstance(generator, KernelCounter):
        outputs = {"pair": bits, "place": _width(places)}
        inputs = (
            {"pairs": (bits + 1, size // places)} | register | {"highest": (sum(outputs.values()), highest)}
        )
        parameters = {"DEGREE": bits, "KERNEL": places} | endless
        made = Design("lig_counter_any", parameters, outputs, {"state": "dut.register.state"}, inputs)
    elif isinstance(generator, Rejection):
        parameters = {"DEGREE": bits, "WIDTH": bits, "COUNT": bits} | galois | endless
        inputs = {"size": (bits, size)} | register | {"highest": (bits, highest)}
        shown = {"state": "dut.core.register.state"}
        made = Design("lig_rejection_any", parameters, {"index": bits}, shown, inputs)
    else:
        degree = generator.register.degree
        parameters = {"DEGREE": degree, "WIDTH": bits, "COUNT": bits, "SCRATCH": 1 << bits} | galois | endless
        parameters |= {"MODULO": int(generator.kind == "modulo"), "DEDUP": int(dedup)}
        inputs = {"size": (bits + 1, size), "seed": (degree, generator.seed)}
        inputs |= {"taps": (degree, _taps(generator.polynomial)), "highest": (bits, highest)}
        shown = {"state": "dut.core.state", "raw": "dut.core.raw"}
        made = Design("lig_any", parameters, {"index": bits}, shown, inputs)
    for name, (width, value) in made.inputs.items():
        if value >> width:
            raise ValueError(f"block is {bits}: its input {name} has {width} bits, too few for {value}")
    return made


def _register_inputs(register: LFSR, bits: int) -> dict[str, tuple[int, int]]:
    """What makes a block's register of so many bits that of a layer."""
    held = {"seed": register.seed, "taps": _taps(register.polynomial), "top": 1 << (register.degree - 1)}
    return {name: (bits, value) for name, value in held.items()}


def _taps(polynomial: Polynomial) -> int:
    """The polynomial without its highest term, as the hardware takes it."""
    return polynomial.mask - (1 << polynomial.degree)


def _width(count: int) -> int:
    """Bits of a number below `count`, one at least."""
    return max(1, (count - 1).bit_length())


# ---- in Verilog ----


BENCH = """
`timescale 1ns / 1ps
module bench;
    reg clk = 0, rst = 1, ready = 0;
    reg [1:0] stimulus [0:{clocks} - 1];
    wire valid, last;
    {wires}
    integer t;
    {module} {parameters} dut (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .last(last){ports}
    );
    always #5 clk = !clk;
    initial begin
        $readmemb("stimulus", stimulus);
        repeat (2) @(negedge clk);
        for (t = 0; t < {clocks}; t = t + 1) begin
            {{rst, ready}} = stimulus[t];
            #1 $display("{places}", {signals});
            @(negedge clk);
        end
        $finish;
    end
endmodule
"""


def simulate(
    design: Design,
    ready: Bool[np.ndarray, " clocks"],
    rst: Bool[np.ndarray, " clocks"] | None = None,
    *,
    netlist: Path | None = None,
) -> pd.DataFrame:
    """A design in Icarus Verilog, from the second clock of its reset on.

    Parameters
    ----------
    ready
        Whether the consumer takes an index, a clock each.
    rst
        Whether it is reset, a clock each; None: never again.
    netlist
        Gates to simulate in place of the sources. Inner signals are then not shown.

    Returns
    -------
    DataFrame
        A row a clock: ``design.signals``. What the hardware does not know yet (x) is -1.

    Raises
    ------
    RuntimeError
        Icarus Verilog is not installed, or refuses.
    """
    if shutil.which("iverilog") is None:
        raise RuntimeError("Icarus Verilog is not installed (Debian: apt install iverilog)")
    shown = {} if netlist else design.shown
    parameters = ", ".join(f".{name}(64'd{value})" for name, value in design.parameters.items())
    ports = [f", .{name}({name})" for name in design.outputs]
    ports += [f", .{name}({width}'d{value})" for name, (width, value) in design.inputs.items()]
    names = [name for name in design.signals if name in shown or name not in design.shown]
    bench = BENCH.format(
        clocks=len(ready),
        module=design.module,
        parameters="" if netlist else f"#({parameters})",
        wires="\n    ".join(f"wire [{width - 1}:0] {name};" for name, width in design.outputs.items()),
        ports="".join(ports),
        places=" ".join(["%0d"] * len(names)),
        signals=", ".join(shown.get(name, name) for name in names),
    )
    resets = np.zeros_like(ready) if rst is None else rst
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench.v").write_text(bench)
        lines = (f"{reset:d}{is_ready:d}" for reset, is_ready in zip(resets, ready, strict=True))
        (Path(folder) / "stimulus").write_text("\n".join(lines))
        # Modules are found by their names: each has a file of its own.
        gates = [str(netlist)] if netlist else ["-y", str(paths.hardware_dir())]
        _run(["iverilog", "-g2005-sv", "-s", "bench", "-o", "bench", "bench.v", *gates], folder)
        printed = _run(["vvp", "-n", "bench"], folder)
    rows = [line.split() for line in printed.splitlines() if line[:1].isdigit() or line[:1] in "xX"]
    values = [[int(word) if word.isdigit() else -1 for word in row] for row in rows]
    return pd.DataFrame(values, columns=names)


def _run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


# ---- the model ----


def model(
    generator: IndexGenerator,
    shape: Sequence[int],
    ready: Bool[np.ndarray, " clocks"],
    rst: Bool[np.ndarray, " clocks"] | None = None,
    *,
    kept: int = 0,
    dedup: bool = True,
) -> pd.DataFrame:
    """The same clocks from the library's states, with sets in place of scratch bits; see `simulate`.

    Examples
    --------
    >>> from twofold.masks import Rejection
    >>> model(Rejection("x^3+x+1"), (4,), np.array([True, False, True, True]), kept=2)
       state  index  valid  ready  last
    0      1      0      1      1     0
    1      4      3      1      0     1
    2      4      3      1      1     1
    3      1      0      1      1     0
    """
    design = design_of(generator, shape, kept, dedup=dedup)
    resets = np.zeros_like(ready) if rst is None else rst
    blocks = blocks_of(shape, generator.group)
    if isinstance(generator, Repeating) and dedup:
        rows = _first_sights(generator, math.prod(blocks), kept, ready, resets)
    else:
        rows = _no_memory(generator, blocks, kept, ready, resets)
    return pd.DataFrame(rows, columns=design.signals).astype(int)


def _no_memory(
    generator: IndexGenerator, shape: tuple[int, ...], kept: int, ready: np.ndarray, rst: np.ndarray
) -> list[tuple]:
    """A walk that nobody stalls or resets is laid out once; a clock is then a place in it."""
    signals, hit = _wires(generator, shape, kept, len(ready) + 1)
    before = np.cumsum(hit) - hit  # indices handed on before this clock
    rows, t = [], 0
    for is_ready, reset in zip(ready, rst, strict=True):
        valid, last = bool(hit[t]) and not reset, kept > 0 and before[t] == kept - 1
        rows.append((*(int(wire[t]) for wire in signals), valid, is_ready, last))
        taken = valid and is_ready
        if reset or (taken and last):
            t = 0
        elif taken or not hit[t]:
            t += 1
    return rows


def _wires(
    generator: IndexGenerator, shape: tuple[int, ...], kept: int, clocks: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """What stands on the wires at each clock of a walk, and whether it is an index."""
    register, size = generator.register, math.prod(shape)
    if isinstance(generator, Repeating):
        states = register.states(clocks).astype(np.int64)
        raws = generator.positions(register.states(clocks), size, register.degree)
        return [states, raws, raws], np.ones(clocks, bool)
    if isinstance(generator, Rejection):
        states = register.states(clocks).astype(np.int64)
        return [states, (states - 1) % (1 << _width(size))], states <= size
    states = np.resize(register.de_bruijn_states(), clocks).astype(np.int64)
    if isinstance(generator, ColumnByColumn):
        return _wires_of_columns(generator, states, shape[0], size // shape[0], kept)
    places = math.prod(shape[2:])
    pairs = size // places
    return [states, states % (1 << _width(pairs)), np.arange(clocks) % places], states < pairs


def _wires_of_columns(
    generator: ColumnByColumn, states: np.ndarray, columns: int, rows: int, kept: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """`_wires` column by column: which column it is depends on how many rows were found."""
    scrambles = generator.scramble(columns).states(columns).astype(np.int64)
    column, hit = np.zeros(len(states), int), np.zeros(len(states), bool)
    handed = 0
    for t, state in enumerate(states):
        column[t] = min(handed * columns // kept, columns - 1)
        hit[t] = state ^ scrambles[column[t]] % (1 << generator.register.degree) < rows
        handed += int(hit[t])
    scrambled = (states ^ scrambles[column]) % (1 << _width(rows))
    return [states, scrambles[column], scrambled, column], hit


def _first_sights(
    generator: Repeating, size: int, kept: int, ready: np.ndarray, rst: np.ndarray
) -> list[tuple]:
    """With a memory of what was seen: an index stands on the wires a clock after its state."""
    states = generator.register.states(len(ready) + 1).astype(np.int64)
    raws = generator.positions(generator.register.states(len(ready) + 1), size, generator.register.degree)
    seen: set[int] = set()
    index, full = -1, False  # -1: nothing known stands on the wires
    step, handed, to_clear, rows = 0, 0, size, []
    for is_ready, reset in zip(ready, rst, strict=True):
        fresh = index not in seen
        valid, last = full and fresh and not reset, kept > 0 and handed == kept - 1
        rows.append((states[step], raws[step], index, valid, is_ready, last))
        if reset:
            seen, step, handed, full, to_clear = set(), 0, 0, False, size
            continue
        if to_clear:
            to_clear -= 1
            continue
        taken = valid and is_ready
        if taken:
            seen.add(index)
            handed += 1
        if taken or not valid:
            index, full, step = int(raws[step]), True, step + 1
        if taken and last:
            seen, step, handed, full = set(), 0, 0, False
    return rows


# ---- by the names of a layer's parameters ----


def lig_trace(clocks: int, **design) -> tuple[pd.DataFrame, str]:
    """`simulate_lig` where Icarus Verilog is installed, else `lig_model`; and which of the two it was."""
    if shutil.which("iverilog"):
        return simulate_lig(clocks, **design), "Icarus Verilog"
    return lig_model(clocks, **design), "the library's model"


def simulate_lig(clocks: int, **design) -> pd.DataFrame:
    """A generator of `hardware/` in Icarus Verilog, from the first clock after its scratch bits are clear.

    Parameters
    ----------
    polynomial, seed, form, reduction
        As the library's; by default those of the slides' example, multiply-shift.
    size : int
        Positions.
    columns, kernel : int
        Columns of the layer, for reduction "column", and places of its kernel, for "counter"; 1 otherwise.
    kept : int
        Indices in one walk, after which the generator starts again from the seed; 0: no end.
    dedup : bool
        First sights only, where positions repeat.
    stall : int
        The consumer is not ready at every so manyth clock, from the first on; 0: always ready.

    Returns
    -------
    DataFrame
        A row a clock: ``state``; ``raw`` (its index), where positions may repeat; what the generator offers,
        ``index`` (or ``row`` and ``column``, or ``pair`` and ``place``) and ``valid``; ``ready``, ``last``.
        What the hardware does not know yet (x) is -1.

    Raises
    ------
    ValueError
        A generator that the library refuses, or a size below 2.
    RuntimeError
        Icarus Verilog is not installed, or refuses.
    """
    made, ready, settle = _named(clocks, **design)
    frame = simulate(design_of(made["generator"], made["shape"], made["kept"], dedup=made["dedup"]), ready)
    return frame[settle:].reset_index(drop=True)


def lig_model(clocks: int, **design) -> pd.DataFrame:
    """The same clocks by `model`; see `simulate_lig`."""
    made, ready, settle = _named(clocks, **design)
    return model(**made, ready=ready)[settle:].reset_index(drop=True)


def _named(
    clocks: int,
    *,
    polynomial: Polynomial | str = "x^9+x^4+1",
    seed: int = 1,
    size: int = 300,
    columns: int = 1,
    kernel: int = 1,
    kept: int = 0,
    reduction: Reduction = "multiply-shift",
    form: Form = "fibonacci",
    dedup: bool = True,
    stall: int = 0,
) -> tuple[dict, np.ndarray, int]:
    """The generator, its shape and the rest; when the consumer is ready; clocks until the bits are clear."""
    generator = generator_of(reduction)(polynomial, seed, form)
    if size % (columns * kernel):
        raise ValueError(f"size is {size}; {columns} columns of kernels of {kernel} places do not fill it")
    shape = (columns, size // (columns * kernel), kernel)
    settle = size if isinstance(generator, Repeating) and dedup else 0
    ready = np.arange(clocks) % stall != 0 if stall else np.ones(clocks, bool)
    ready = np.concatenate([np.zeros(settle, bool), ready])
    return {"generator": generator, "shape": shape, "kept": kept, "dedup": dedup}, ready, settle
