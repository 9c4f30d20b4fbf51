"""What the parameters of each chapter may be: a schema a chapter, for `twofold run` and the chapter itself.

A chapter calls `check` in its first cell after the parameters, so that a value is refused there, too, where
papermill alone puts it in. What a parameter means stands beside its default in the chapter. What the library
or the study refuses is refused here by the function that the chapter calls later.
"""

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from torch.nn import Linear

from companion import paths
from companion.benchmarks.results import growth
from companion.book.examples import bit_truth_table, worked_example
from companion.study.config import METHODS, PRECISIONS, RunConfig
from companion.study.grouping import over_seeds
from companion.study.images import DATASETS
from companion.study.index_costs import index_prices
from companion.study.names import STARTS
from companion.study.results import load_float_weights, load_network, load_results, starting_from
from companion.study.verilog import design_of
from companion.study.zoo import NETWORKS
from twofold import Device, Twofold, load_cell_table
from twofold.codes.tables import load_operation_energies
from twofold.crossbar.adc import AdcRange
from twofold.energy.index import gate_energy_j
from twofold.energy.machine import IndexRule
from twofold.masks import Polynomial, lfsr_mask
from twofold.masks.generator import generator_of
from twofold.masks.kinds import Reduction
from twofold.masks.lfsr import Form
from twofold.sparsity.twofold import BitTerm

__all__ = ["CHAPTERS", "Parameters", "check", "checked", "checked_by_type"]


LONGEST = 1000
"""Characters of a text, or entries of a list, that a parameter may have."""


# ---- kinds of values ----


def _one_of(names: Iterable[str]) -> AfterValidator:
    names = tuple(names)

    def among(text: str) -> str:
        if text not in names:
            raise ValueError(f"it must be one of {', '.join(names)}")
        return text

    return AfterValidator(among)


def _taken_by(read: Callable[[str], object]) -> AfterValidator:
    """A text that ``read`` takes: the name of a run or of a table, say, or the path of one."""

    def taken(text: str) -> str:
        try:
            read(text)
        except OSError as error:  # pydantic hands on a ValueError only
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(taken)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it must not hold control characters")
    return text


def _number(value: object) -> object:
    """YAML takes 5e5, without point and sign, for text."""
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("it must be below 2^63")
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(_printable)]
Whole = Annotated[int, Field(gt=-(2**63), lt=2**63)]
Real = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Share = Annotated[Real, Field(gt=0, le=1)]
NotNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Bits = Annotated[int, Field(ge=2, le=16)]
Seed = Annotated[int, Field(ge=0, le=2**32)]
Rows = Annotated[int, Field(ge=1, lt=2**31)]
SignedEncoding = Literal["twos_complement", "offset_binary", "sign_magnitude", "differential"]
CellTable = Annotated[Text, _taken_by(load_cell_table)]
StoredRun = Annotated[Text, _taken_by(load_network)]


def _with_lfsr_mask(run: str) -> str:
    network = load_network(run)
    if any(layer.mask is None for layer in network.layers.values()):
        raise ValueError("no LFSR made its masks; take one of method lfsr or twofold")
    return run


LfsrRun = Annotated[StoredRun, AfterValidator(_with_lfsr_mask)]


def _runs() -> pd.DataFrame:
    path = paths.results_dir() / "runs.csv"
    return _table(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _table(path: Path, stamp: int) -> pd.DataFrame:
    """The table of runs, read anew where it has changed."""
    return load_results(path)


def _of_resnet20(run: str) -> str:
    if (network := _runs().set_index("run").network.get(run)) != "resnet20":
        raise ValueError(f"it is a run of network {network!r}; the chapter is about 'resnet20'")
    return run


# ---- chapters ----


class Parameters(BaseModel):
    """The parameters of a chapter, all of them, of the types that are named and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FirstPage(Parameters):
    cell_table: CellTable


class Motivation(Parameters):
    operation_table: Annotated[Text, _taken_by(load_operation_energies)]
    cell_table: CellTable
    r_lrs_ohm: Positive
    r_hrs_ohm: Positive
    v_read_v: Positive

    @model_validator(mode="after")
    def _check_together(self) -> "Motivation":
        bit_truth_table(self.r_lrs_ohm, self.r_hrs_ohm, self.v_read_v)
        return self


class Registers(Parameters):
    polynomial: Text
    form: Form
    seed: Whole
    size_m: Annotated[int, Field(ge=1, le=10**6)]
    reduction: Literal["multiply-shift", "modulo"]
    density: Annotated[Real, Field(ge=0.02, le=1)]
    rows: Annotated[int, Field(ge=1, le=2048)]
    columns: Annotated[int, Field(ge=1, le=2048)]
    run: Annotated[LfsrRun, AfterValidator(_of_resnet20)]

    @model_validator(mode="after")
    def _check_together(self) -> "Registers":
        degree = Polynomial.parse(self.polynomial).degree
        if degree > 24:
            raise ValueError(
                f"polynomial is {self.polynomial!r}, of degree {degree}; it must be of at most 24, "
                "as the chapter walks a whole period"
            )
        for reduction in ("rejection", self.reduction):
            lfsr_mask((self.size_m,), self.density, self.polynomial, self.seed, self.form, reduction)
        if round(self.density * self.rows) == 0:
            raise ValueError(f"density is {self.density}; of rows, {self.rows}, it keeps none")
        return self


class BitsAndCells(Parameters):
    bits: Bits
    cell_bits: Annotated[int, Field(ge=1, le=4)]
    encoding: SignedEncoding
    cell_table: CellTable
    weight: Real
    scale: Positive

    @model_validator(mode="after")
    def _check_together(self) -> "BitsAndCells":
        table = load_cell_table(self.cell_table, self.cell_bits)
        worked_example(self.weight, self.scale, self.bits, self.encoding, table)
        return self


class Training(Parameters):
    dataset: Annotated[str, _one_of(DATASETS)]
    network: Annotated[str, _one_of(NETWORKS)]
    init: Annotated[Text, _taken_by(lambda run: run and load_float_weights(run))]
    method: Annotated[str, _one_of(name for name in METHODS if name not in ("dense", "rounded"))]
    sparsity: Annotated[Real, Field(ge=0, lt=1)]
    strength: NotNegative
    bit_term: BitTerm
    network_strength: NotNegative
    prune_epoch: Whole
    epochs: Whole
    batch_size: Whole
    learning_rate: Real
    precision: Annotated[str, _one_of(PRECISIONS)]
    compiled: bool
    seed: Whole

    @model_validator(mode="after")
    def _check_together(self) -> "Training":
        if self.init and (trained := _runs().set_index("run").network.get(self.init)) != self.network:
            raise ValueError(f"init is {self.init!r}, a run of network {trained!r}, not {self.network!r}")
        mask, has_bits = METHODS[self.method]
        unused = {"init"}  # the chapter leaves out what a method has no use for
        unused |= set() if mask else {"sparsity", "network_strength", "prune_epoch"}
        unused |= set() if has_bits else {"strength", "bit_term"}
        unused |= set() if self.prune_epoch else {"network_strength"}
        RunConfig(run="live", init=self.init or None, **self.model_dump(exclude=unused))
        return self


class Accuracy(Parameters):
    activations: Literal["float", "8 bits"]
    rivals: Annotated[list[Literal["magnitude", "magnitude-bits", "iid"]], Field(max_length=3)]


class Energy(Parameters):
    cell_table: CellTable
    encoding: SignedEncoding


class WholeMachine(Energy):
    converters: Literal["lossless", "table", "free"]
    array_rows: Rows
    input_memory: Literal["SRAM", "register file"]
    index_rule: IndexRule
    networks: Annotated[list[StoredRun], Field(min_length=1, max_length=LONGEST)]


def _of_two_bits(name: str) -> str:
    if (bits := load_cell_table(name).cell_bits) != 2:
        raise ValueError(f"its cells are of {bits} bits; this chapter cuts codes into cells of 2")
    Device.of_table(load_cell_table(name))
    return name


class OnCrossbars(Parameters):
    network: Annotated[StoredRun, AfterValidator(_of_resnet20)]
    baseline: Annotated[StoredRun, AfterValidator(_of_resnet20)]
    cell_table: Annotated[CellTable, AfterValidator(_of_two_bits)]
    even_levels: bool
    adc_bits: Annotated[int, Field(ge=1, le=16)]
    adc_range: AdcRange
    array_rows: Rows
    variation: NotNegative
    figure_of_merit_fj: NotNegative


class IndexGenerator(Parameters):
    polynomial: Text
    seed: Whole
    size_m: Annotated[int, Field(ge=2, le=10**4)]
    columns: Annotated[int, Field(ge=1, le=10**4)]
    kernel: Annotated[int, Field(ge=1, le=10**4)]
    kept: Annotated[int, Field(ge=0, le=10**4)]
    reduction: Reduction
    form: Form
    dedup: bool
    stall: Annotated[int, Field(ge=0, le=10**4)]
    clocks: Annotated[int, Field(ge=1, le=40)]
    layer_shape: Annotated[
        list[Annotated[int, Field(ge=1, le=10**6)]], Field(min_length=2, max_length=LONGEST)
    ]
    group: Annotated[int, Field(ge=2, le=63)]
    density: Annotated[Real, Field(ge=0.05, le=0.95)]
    gate_reference: Annotated[Text, _taken_by(gate_energy_j)]
    access_pj: Positive  # 0 has no place on the figure's logarithmic axis
    sram_overhead: Annotated[Real, Field(ge=1)]  # an SRAM is no smaller than its bits
    run: LfsrRun
    shared_run: LfsrRun

    @model_validator(mode="after")
    def _check_together(self) -> "IndexGenerator":
        if self.kept > self.size_m:
            raise ValueError(f"kept is {self.kept}; there are {self.size_m} positions, size_m")
        columns = self.columns if self.reduction == "column" else 1
        kernel = self.kernel if self.reduction == "counter" else 1
        generator = generator_of(self.reduction)(self.polynomial, self.seed, self.form)
        if self.size_m % (columns * kernel):
            raise ValueError(f"size_m is {self.size_m}; it must be a multiple of {columns * kernel}")
        shape = (columns, self.size_m // (columns * kernel), kernel)
        design_of(generator, shape, self.kept, dedup=self.dedup)
        generator.draw(shape, max(self.kept, columns) / self.size_m)
        weights = math.prod(self.layer_shape)
        if weights > 10**6 or math.prod(self.layer_shape[2:]) % 2 == 0:
            raise ValueError(
                f"layer_shape is {self.layer_shape}; it must have at most 1000000 weights and a kernel of an "
                "odd number of places"
            )
        try:
            outputs = self.layer_shape[0]
            index_prices(self.layer_shape, [0.05], {1, min(self.group, outputs), outputs})
        except ValueError as error:
            raise ValueError(f"layer_shape is {self.layer_shape}: {error}") from None
        return self


def _reached_by_resnet8(bar: float) -> float:
    highest = over_seeds(starting_from(_runs(), STARTS["resnet8"])).test_accuracy_w8a8.max()
    if not 0 < bar <= highest:
        raise ValueError(f"it must lie in (0, {highest:.2f}], which the best ResNet-8 reaches")
    return bar


class CarryOver(Parameters):
    bar: Annotated[Real, AfterValidator(_reached_by_resnet8)]
    cell_table: CellTable


class YourNetwork(Parameters):
    density: Annotated[Real, Field(ge=0.1, le=1)]  # below, nothing is left of nine rows
    group: Rows
    strength: NotNegative
    bits: Bits
    scale: Literal["layer", "channel"]
    steps: Annotated[int, Field(ge=1, le=10**6)]
    seed: Seed

    @model_validator(mode="after")
    def _check_together(self) -> "YourNetwork":
        Twofold(Linear(9, 16), **self.model_dump(exclude={"steps", "seed"}))
        return self


class Claims(Parameters):
    digits: Annotated[int, Field(ge=1, le=15)]


def _part_of_a_run(text: str) -> str:
    if not any(text in run for run in _runs().run):
        raise ValueError(f"no run's name contains it; there are {', '.join(_runs().run)}")
    return text


class HowMeasured(Parameters):
    runs_like: Annotated[Text, AfterValidator(_part_of_a_run)]


class Speed(Parameters):
    works: Annotated[
        list[Annotated[Text, _taken_by(lambda work: growth([work]))]], Field(min_length=1, max_length=LONGEST)
    ]


CHAPTERS: dict[str, type[Parameters]] = {
    "index": FirstPage,
    "01-motivation": Motivation,
    "02-lfsr": Registers,
    "03-bits": BitsAndCells,
    "04-training": Training,
    "05-accuracy": Accuracy,
    "06-energy": Energy,
    "07-machine": WholeMachine,
    "08-lig": IndexGenerator,
    "09-cells": OnCrossbars,
    "10-carry-over": CarryOver,
    "11-your-network": YourNetwork,
    "claims": Claims,
    "measured": HowMeasured,
    "speed": Speed,
}
"""Chapter -> its parameters; the fields are those of its parameter cell, in that order."""


# ---- checking ----


def check(chapter: str, values: Mapping[str, object]) -> None:
    """Refuse what a chapter cannot run with, before it does anything.

    Parameters
    ----------
    chapter
        A key of `CHAPTERS`.
    values
        The chapter's ``globals()``; other names than its parameters' do not matter, unless papermill has just
        put them in.

    Raises
    ------
    ValueError
        A parameter is missing, of another type or not allowed; the message quotes it and says what is. Or the
        chapter has no parameter of a name that papermill was given.
    """
    schema = CHAPTERS[chapter]
    unknown = sorted(_injected(values.get("In")) - set(schema.model_fields))
    if unknown:
        told = ", ".join(map(repr, unknown))
        raise ValueError(f"{chapter} has no parameter {told}; it has {', '.join(schema.model_fields)}")
    checked(schema, {name: values[name] for name in schema.model_fields if name in values})


def _injected(cells: object) -> set[str]:
    """Names that papermill's own cell sets, where it was the one before this: IPython's ``In`` has all."""
    before = cells[-2] if isinstance(cells, list) and len(cells) > 1 else ""
    if not str(before).startswith("# Parameters\n"):
        return set()
    assigned = (line.targets for line in ast.parse(before).body if isinstance(line, ast.Assign))
    return {target.id for targets in assigned for target in targets if isinstance(target, ast.Name)}


def checked(schema: type[Parameters], values: Mapping[str, object]) -> dict[str, object]:
    """All values of a chapter, a whole number where a real one is asked for made one; errors as `check`."""
    try:
        return schema(**values).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(_in_a_line(first, "".join(map(str, first["loc"][:1])), first["loc"][1:])) from None


def checked_by_type(defaults: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """The same for a notebook without a schema: a value is of its default's type, or anything for ``...``.

    Raises
    ------
    ValueError
        A value of another type, or none that a notebook could be given (NaN, control characters, endless).
    """
    done = {}
    for name, value in values.items():
        adapter: TypeAdapter = TypeAdapter(_kind(defaults[name]), config=ConfigDict(strict=True))
        try:
            done[name] = adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(_in_a_line(first, name, first["loc"])) from None
    return done


def _kind(default: object) -> Any:
    """The type of values that may stand for a default; None and ``...`` stand for anything."""
    if isinstance(default, list):
        kind = _kind(default[0]) if default else Text
        return Annotated[list[kind], Field(max_length=LONGEST)]  # type: ignore[valid-type]
    return {bool: bool, int: Whole, float: Real, str: Text}.get(type(default), Any)


_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text; one that looks like a number needs quotes of its own, as in '\"90\"'",
    "list_type": "a list, such as '[a, b]' (papermill: -y, not -p)",
}
"""What pydantic calls valid, in the words of one who writes YAML."""


def _in_a_line(error: ErrorDetails, name: str, within: tuple[int | str, ...]) -> str:
    """What is wrong, as one who gave the value would say it."""
    if error["type"] == "missing":
        return f"{name} is missing"
    told = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    if told.startswith(name):  # words of the chapter's own functions; a rule about several values has no name
        return told
    if error["type"] in _WANTED:
        told = f"it must be {_WANTED[error['type']]}"
    told = re.sub(r"^(Input|String|List) should", "it must", told).replace(" after validation", "")
    told = told.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    what = f"an entry of {name}" if within else name
    return f"{what} is {_shown(error['input'])}{'; ' if told.startswith('it must') else ': '}{told}"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out thousands of digits
        return "a number beyond all use"
    return text if len(text) <= 100 else f"{text[:100]}..."
