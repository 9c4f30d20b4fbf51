"""The command `twofold`: what needs no checkout, and in a checkout everything.

Nothing heavy is imported before a command needs it, so ``--help`` answers at once.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, get_args

__all__ = ["COMMANDS", "main"]


_ELSEWHERE = (
    "All else (run, train, collect, data, ...) lives in the companion: a checkout of the repository, "
    'with pip install -c constraints.txt -e ".[book]"'
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Error: {message}; see {self.prog} --help\n")


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,9}([x,]\d{1,9})*", text):
        raise ValueError(f"shape is {text!r}; give the lengths of the weight, such as 16x3x3x3 or 64,10")
    return tuple(map(int, re.split("[x,]", text)))


def _number(kind: type[int] | type[float], name: str, text: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} is {text!r}; it must be {wanted}") from None


def _among(name: str, text: str, allowed: Sequence[str]) -> str:
    if text not in allowed:
        raise ValueError(f"{name} is {text!r}, allowed are {', '.join(allowed)}")
    return text


def _count(text: str) -> int:
    count = int(_number(int, "show", text))
    if not 0 <= count <= 10_000:
        raise ValueError(f"show is {count}; allowed are 0 to 10000")
    return count


def _listed(values: Sequence[int], total: int) -> str:
    return " ".join(map(str, values)) + (" ..." if len(values) < total else "")


# ---- report ----


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a packed file, as twofold.save writes it")
    parser.add_argument("--baseline", metavar="FILE", help="packed file of the network to compare with")
    parser.add_argument(
        "--dataflow", help="crossbar, packed or grouped (default: packed, grouped where columns share rows)"
    )
    parser.add_argument("--adc-rule", help="none, column or cell: what is converted (default: column)")
    parser.add_argument(
        "--adc-energy", help="of a conversion: table, walden, or joules (default: the table's constant)"
    )
    parser.add_argument("--input-memory", help="of the inputs: none, SRAM or register file (default: none)")
    parser.add_argument("--index-rule", help="free or charged: the index of the mask (default: free)")
    parser.add_argument(
        "--encoding", help="how cells hold codes (default: the one that they were chosen for)"
    )
    parser.add_argument(
        "--table",
        help="energies of a cell: a CSV, or the name of a table of the library (default: the slides')",
    )


def _report(options: argparse.Namespace) -> None:
    import twofold
    from twofold.codes.encodings import CELL_ENCODINGS
    from twofold.energy.machine import ADC_RULES, DATAFLOWS, INDEX_RULES, INPUT_MEMORIES

    changes: dict = {}
    for name, allowed in (
        ("dataflow", DATAFLOWS),
        ("adc_rule", ADC_RULES),
        ("encoding", CELL_ENCODINGS),
        ("input_memory", INPUT_MEMORIES),
        ("index_rule", INDEX_RULES),
    ):
        if (value := getattr(options, name)) is not None:
            changes[name] = _among(name, value, allowed)
    if (price := options.adc_energy) is not None:
        known = price in ("table", "walden")
        changes["adc_energy_j"] = price if known else float(_number(float, "adc_energy_j", price))
    if options.table is not None:
        changes["table"] = twofold.load_cell_table(options.table)
    baseline = None if options.baseline is None else twofold.load(options.baseline)
    print(twofold.report(twofold.load(options.file), baseline=baseline, **changes))


# ---- mask ----


def _mask_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shape", metavar="SHAPE", help="lengths of the weight, outputs first: 16x3x3x3")
    parser.add_argument(
        "--density", required=True, metavar="SHARE", help="share of weights kept, above 0 to 1"
    )
    parser.add_argument(
        "--generator",
        default="rejection",
        metavar="KIND",
        help="how states become positions: rejection (default), column, counter, multiply-shift or modulo",
    )
    parser.add_argument(
        "--group", default="1", metavar="COLUMNS", help="columns that share their rows (default: 1, none do)"
    )
    parser.add_argument(
        "--polynomial", help='primitive, such as "x^31+x^3+1" (default: that of a first layer)'
    )
    parser.add_argument("--seed", default="1", help="first state of the register (default: 1)")
    parser.add_argument("--show", default="12", metavar="COUNT", help="positions to print (default: 12)")
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="write the mask: .npy holds true where a weight is kept, .csv the kept positions in order",
    )


def _mask(options: argparse.Namespace) -> None:
    shape, density = _shape(options.shape), float(_number(float, "density", options.density))
    seed, show = int(_number(int, "seed", options.seed)), _count(options.show)
    save = None if options.save is None else Path(options.save)
    if save is not None and save.suffix not in (".csv", ".npy"):
        raise ValueError(f"save is {options.save!r}; its name must end in .csv or .npy")

    import numpy as np

    from twofold._files import written_whole
    from twofold.masks.generator import generator_of, layer_generator

    kind, group = generator_of(options.generator), int(_number(int, "group", options.group))
    polynomial = options.polynomial or layer_generator(kind.kind, shape, layer=0, group=group).polynomial
    generator = kind(polynomial, seed, group=group)
    mask = generator.draw(shape, density)
    print(
        f"mask: {mask.kept} of {mask.keep.numel()} weights of {options.shape}, {100 * mask.density:.2f} %\n"
        f"generator: {generator}{_groups(shape[0], group)}\n"
        f"clocks: {mask.clocks}\n"
        f"first positions: {_listed(mask.order[:show].tolist(), mask.kept)}"
    )
    if save is not None:
        with written_whole(save) as partial, partial.open("wb") as file:
            if save.suffix == ".npy":
                np.save(file, mask.keep.numpy())
            else:
                np.savetxt(file, mask.order.numpy(), fmt="%d", header="position", comments="")
        print(f"saved: {save}")


def _groups(columns: int, group: int) -> str:
    """How many groups there are, where the last of them is smaller than the others."""
    groups, last = -(-columns // group), columns % group
    if not last:
        return ""
    return f": 1 group of {last}" if groups == 1 else f": {groups} groups, the last of {last}"


# ---- register ----


def _register_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "polynomial", metavar="POLYNOMIAL", help='characteristic polynomial, such as "x^9+x^4+1"'
    )
    parser.add_argument("--seed", default="1", help="first state (default: 1)")
    parser.add_argument("--form", default="fibonacci", help="fibonacci (default) or galois")
    parser.add_argument("--show", default="12", metavar="COUNT", help="states to print (default: 12)")


def _register(options: argparse.Namespace) -> None:
    seed, show = int(_number(int, "seed", options.seed)), _count(options.show)

    from twofold.masks.lfsr import LFSR, Form

    form = _among("form", options.form, get_args(Form))
    register = LFSR(options.polynomial, seed, form, require_primitive=False)
    polynomial, period = register.polynomial, register.period
    full = 2**register.degree - 1
    told = "primitive" if polynomial.is_primitive() else f"not primitive (x has order {polynomial.order()})"
    print(
        f"register: {polynomial}, {register.degree} bits, {register.form}; {told}\n"
        f"period: {period} of {full} states, from seed {register.seed}\n"
        f"first states: {_listed(register.states(min(show, period)).tolist(), period)}"
    )


# ---- all ----


COMMANDS: dict[str, tuple[str, Callable, Callable]] = {
    "report": ("What a network in a packed file holds and costs.", _report_options, _report),
    "mask": ("Draw a mask with an index generator.", _mask_options, _mask),
    "register": ("Period and states of a shift register.", _register_options, _register),
}
"""Name -> one line about the command, its options, and the command; what works without a checkout."""


def main(words: Sequence[str] | None = None) -> None:
    """Carry out a command line, ``sys.argv`` by default; ends the process where something is wrong."""
    words = sys.argv[1:] if words is None else list(words)
    if (not words or words[0] not in COMMANDS) and _in_checkout():
        from companion.__main__ import main as everything

        everything(words, prog_name="twofold")
        return
    parser = _Parser(
        prog="twofold",
        description="Twofold sparsity: what a sparse network costs, and the masks that a register draws.",
        epilog=_ELSEWHERE,
    )
    parser.add_argument("--version", action="version", version=f"twofold, version {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (told, add_options, command) in COMMANDS.items():
        subparser = commands.add_parser(name, help=told, description=told)
        add_options(subparser)
        subparser.set_defaults(command=command)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.exit(
            2, f"Error: there is no command {words[0]!r} here, only {', '.join(COMMANDS)}. {_ELSEWHERE}\n"
        )
    options = parser.parse_args(words or ["--help"])
    try:
        options.command(options)
    except (ValueError, OSError, RuntimeError) as error:
        parser.exit(1, f"Error: {error}\n")


def _version() -> str:
    from twofold import __version__

    return __version__


def _in_checkout() -> bool:
    """Whether the companion lies beside the library, with what it needs for a command line."""
    spec = find_spec("companion")
    if spec is None or spec.origin is None or find_spec("click") is None:
        return False
    return Path(spec.origin).parents[1] == Path(__file__).parents[1]
