"""A bit-sliced, bit-serial matrix-vector product on arrays of resistive cells, a converter at each column.

The inputs enter bit by bit. For every input bit, slice and group of rows that share a column the array adds
up the conductances of the cells whose row carries a 1; the converter makes a number of the sum; and all that
follows is digital: the number counts at the place of its input bit and of its slice, groups are added. Signed
inputs are in two's complement, so their top bit counts negatively.

With no converter and ideal cells the product is that of the integers, exactly, for every encoding and list of
slices. Wires have no resistance here, and the sum is linear in the cells.

A converter gives the number nearest to a current, and of two that are equally near the even one. Currents of
ideal cells are whole numbers of a small unit, and are compared as such: no rounding decides such a tie.

It models the crossbar dataflow of `twofold.energy`, and the crossbar of a group in the grouped one:
`ProgrammedMatrix.counts` gives the numbers that are charged there, those that an encoding's sign asks for
(see `twofold.codes.encodings`) apart, and `ProgrammedMatrix.conversion_cycles` how long the conversions take.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from twofold.codes.encodings import EncodingName, encoding_of, slice_codes
from twofold.codes.slices import check_slices
from twofold.crossbar.adc import Adc
from twofold.crossbar.device import Device
from twofold.crossbar.serial import Columns, bit_patterns, column_sums, columns_of, has_integer_units
from twofold.inputs.activity import Activity

__all__ = ["Crossbar", "ProgrammedMatrix"]


@dataclass(frozen=True, kw_only=True)
class Crossbar:
    """The machine: how codes and inputs are cut up, the size of an array, its converter and its cells.

    Attributes
    ----------
    adc
        Converter at the foot of every column.
    encoding, bits
        How a code is written.
    slices
        Bits of each slice, the most significant first, such as ``(2, 2, 2, 2)`` or ``(1, 1, 2, 2, 2)``.
    input_bits
        Bits of an input, entering one after the other.
    array_rows, array_columns
        Size of one array; a taller matrix is split into groups of rows, whose sums are added digitally.
    device
        The cells.

    Raises
    ------
    TypeError
        A converter or a device that is none.
    ValueError
        Slices that do not hold the bits, an encoding whose patterns keep no sign, or a number out of range.

    Examples
    --------
    >>> ideal = Crossbar(adc=Adc(range_rule="none"))
    >>> real = Crossbar(adc=Adc(range_rule="active_rows", bits=6), device=Device(variation=0.1))
    """

    adc: Adc
    encoding: EncodingName = "twos_complement"
    bits: int = 8
    slices: tuple[int, ...] = (2, 2, 2, 2)
    input_bits: int = 8
    array_rows: int = 128
    array_columns: int = 128
    device: Device = field(default_factory=Device)

    def __post_init__(self) -> None:
        for name, kind in (("adc", Adc), ("device", Device)):
            if not isinstance(value := getattr(self, name), kind):
                raise TypeError(f"{name} is {value!r}, allowed is a {kind.__name__}")
        encoding_of(self.encoding, with_sign=True)
        check_slices(self.slices, self.bits)
        if not 1 <= self.input_bits <= 16:
            raise ValueError(f"input_bits is {self.input_bits}, allowed are 1..16")
        for name in ("array_rows", "array_columns"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}, allowed are 1 or more")


@dataclass(frozen=True, eq=False)
class _Converter:
    """From a current, in its units, to the converter's number: by row group and slice.

    Attributes
    ----------
    times, over
        The number is the current times the first, over the second, rounded; of each row group, by column.
    steps
        Levels from one number to the next, ``(groups, slices)``.
    unchanged, divides
        Whether the current is the number already, and whether any divisor is not 1.
    """

    times: list[Tensor]
    over: list[Tensor]
    steps: Tensor
    unchanged: bool
    divides: bool


class ProgrammedMatrix:
    """Integer weights in the cells of a crossbar.

    Parameters
    ----------
    codes
        Integer weights; columns are the outputs, rows the flattened rest.
    machine
    name
        Of the layer: each draws its own device effects from the machine's seed.

    Attributes
    ----------
    cells
        Conductance of every cell above an ideal level 0, in levels.
    activity : Activity or None
        What the rows have carried so far, summed over the products with ``count=True``; None before.

    Raises
    ------
    ValueError
        A code does not fit the machine's bits, or there are no codes.

    Examples
    --------
    >>> codes = torch.tensor([[2, -3], [1, 100]], dtype=torch.int8)
    >>> matrix = ProgrammedMatrix(codes, Crossbar(adc=Adc(range_rule="none")))
    >>> matrix.cells.shape, matrix.counts(reads=1)["cells"]
    (torch.Size([5, 2, 2]), 16)
    >>> matrix.product(torch.tensor([[10], [1]]))  # 2 * 10 - 3 * 1, 1 * 10 + 100 * 1
    tensor([[ 17.],
            [110.]], dtype=torch.float64)
    """

    def __init__(self, codes: Int[Tensor, "out *rest"], machine: Crossbar, name: str = ""):
        self.machine = machine
        self.name = name
        device = machine.device
        sliced = slice_codes(codes.flatten(1), machine.bits, machine.encoding, machine.slices)
        self.outputs, self.rows = sliced.levels.shape[1:]
        if not self.outputs * self.rows:
            raise ValueError(f"codes of shape {tuple(codes.shape)} fill no cell")
        self._stored, self._offset, self._widths = sliced.stored, sliced.offset, sliced.slice_bits
        self._generator = torch.Generator().manual_seed(crc32(f"{device.seed} {name}".encode()))
        programmed = zip(sliced.levels, self._widths, strict=True)
        self.cells = torch.stack(
            [device.program(levels, bits, self._generator) for levels, bits in programmed]
        )
        self.activity: Activity | None = None
        self._factors = torch.tensor(sliced.factors, dtype=torch.float64)
        self._leak = torch.tensor([device.leak_levels(bits) for bits in self._widths], dtype=torch.float64)
        self._groups = [
            slice(first, min(first + machine.array_rows, self.rows))
            for first in range(0, self.rows, machine.array_rows)
        ]
        # What a column's current holds beyond the levels: nothing, where a reference takes the leak off.
        self._read = self.cells if device.leak == "reference" else self.cells + self._leak[:, None, None]
        found = self._whole_units()
        self._whole = found is not None
        units, most, number = found or ([1] * len(self._widths), 0, math.inf)
        self._per_level = torch.tensor(units, dtype=torch.float64)
        # Whole numbers below 2^24 are exact in float32, and twice as fast; for their quotients see `_scales`.
        largest = float((self._factors.abs()[:, None, None] * self._read).sum((0, 2)).max())
        planes = 2**machine.input_bits - 1
        self._result_dtype = torch.float32 if largest * planes < 2**24 and most < 2**23 else torch.float64
        # What one row group adds up over the input bits is far less than the result.
        short = number * planes < 2**24 and most < 2**23
        self._dtype = torch.float32 if short else self._result_dtype
        read = self._read
        if self._whole:
            read = (read * self._per_level[:, None, None]).round()
        small = self._whole and float(read.max()) < 128 and machine.array_rows <= 100_000
        self._columns = self._grouped(read, whole=small and has_integer_units())
        self._squares: list[Columns] = []
        if device.read_noise:
            self._squares = self._grouped((self.cells + self._leak[:, None, None]).square(), whole=False)
        self._seen: Tensor | None = None
        self._converter = None if machine.adc.range_rule == "calibrated" else self._scales()

    def _grouped(self, cells: Tensor, *, whole: bool) -> list[Columns]:
        return columns_of(cells.flatten(0, 1), self._groups, self._dtype, whole=whole)

    def _whole_units(self) -> tuple[list[int], int, int] | None:
        """Units of current per level of each slice, such that all cells add whole numbers of them.

        Without a leak a level is a unit; with 1/33 of a level, as of an on/off ratio of 100, it is 33. The
        second number bounds the product of such a current and a converter's highest number, the third what
        a converter makes of a current. None where currents are no whole numbers: cells that vary or are
        uneven, noise, or ratios of too many digits.
        """
        device, adc = self.machine.device, self.machine.adc
        if device.read_noise or not bool((self.cells == self.cells.round()).all()):
            return None
        units = [1] * len(self._widths)
        if device.leak != "reference":
            units = [device.leak_ratio(bits).denominator for bits in self._widths]
        levels = max(float(self._read[:, :, rows].sum(2).max()) for rows in self._groups)
        if adc.range_rule in ("worst_case", "active_rows"):
            levels = max(levels, float(self.full_scales().max()))
        highest = 2**adc.bits - 1
        most = math.ceil(levels) * max(units) * (highest if levels > highest else 1)
        return (units, most, max(math.ceil(levels), highest)) if most < 2**52 else None

    # ---- the converter's range ----

    def full_scales(self) -> Float64[Tensor, "groups slices"]:
        """Full scale of the converters of each row group and slice, in levels; infinite without a converter.

        Raises
        ------
        ValueError
            The rule is ``calibrated`` and nothing was observed.
        """
        rule = self.machine.adc.range_rule
        if rule == "none":
            return torch.full((len(self._groups), len(self._widths)), math.inf, dtype=torch.float64)
        if rule == "calibrated":
            return self._percentiles()
        top = torch.tensor([2.0**bits - 1 for bits in self._widths], dtype=torch.float64)
        if self.machine.device.leak != "reference":
            top = top + self._leak
        rows = [self.machine.array_rows if rule == "worst_case" else g.stop - g.start for g in self._groups]
        return torch.tensor(rows, dtype=torch.float64)[:, None] * top

    def observe(
        self, inputs: Int[Tensor, "rows positions"] | UInt8[Tensor, "rows positions"], signed: bool
    ) -> None:
        """Note the column currents of calibration inputs, in levels rounded up, for ``calibrated`` ADCs."""
        if self._seen is None:
            most = int(self._read.clamp(min=0).sum(2).max().ceil()) + 1
            self._seen = torch.zeros(len(self._groups), len(self._widths), most, dtype=torch.int64)
        for _, group, sums in self._sums(self._patterns(inputs, signed), skip=False):
            levels = sums.unflatten(2, (len(self._widths), -1)).movedim(2, 0)
            levels = (levels / self._per_level.to(self._dtype)[:, None, None, None]).ceil().clamp_(min=0)
            for index, own in enumerate(levels):
                self._seen[group, index] += torch.bincount(
                    own.flatten().long(), minlength=self._seen.shape[2]
                )
        self._converter = None

    def _percentiles(self) -> Tensor:
        if self._seen is None:
            layer = self.name or "(unnamed)"
            raise ValueError(f"layer {layer} has a calibrated ADC and has observed no calibration inputs")
        share = self._seen.double().cumsum(2)
        # Half a count of tolerance: the share of 100 % is the last count, whatever the rounding.
        reached = share >= share[:, :, -1:] * (self.machine.adc.percentile / 100) - 0.5
        return reached.double().argmax(2).double()

    def _scales(self) -> _Converter:
        """What makes a converter's number of a current: whole factors where the currents are whole numbers.

        Or their quotient is exact in binary and is the first, the second then 1. A current's quotient is
        exact if it is a tie, and otherwise at least ``1 / (2 * second)`` away from one: more than it can be
        off by rounding, as the product stays below half of the whole numbers that a float holds.
        """
        adc, full = self.machine.adc, self.full_scales()
        steps = torch.tensor(
            [[adc.step(x) if x < math.inf else 1.0 for x in row] for row in full.tolist()],
            dtype=torch.float64,
        )
        over = full * self._per_level
        if self._whole:
            over = over.round()
        times = torch.where(steps > 1, 2.0**adc.bits - 1, 1.0)
        over = torch.where(steps > 1, over, self._per_level)
        if self._whole:
            # A power of two is no divisor: to multiply by the quotient, 85/128 for 255 of 384, is as exact.
            shared = torch.gcd(times.long(), over.long()).double()
            binary = over / shared == 2.0 ** (over / shared).log2().round()
            times, over = torch.where(binary, times / over, times), torch.where(binary, 1.0, over)
        return _Converter(
            times=[own.repeat_interleave(self.outputs).to(self._dtype) for own in times],
            over=[own.repeat_interleave(self.outputs).to(self._dtype) for own in over],
            steps=steps,
            unchanged=bool((times == over).all()),
            divides=bool((over != 1).any()),
        )

    # ---- the product ----

    def product(
        self,
        inputs: Int[Tensor, "rows positions"] | UInt8[Tensor, "rows positions"],
        signed: bool = False,
        count: bool = False,
    ) -> Float64[Tensor, "out positions"]:
        """Codes times integer inputs as the machine computes it, one column of `inputs` after the other.

        Parameters
        ----------
        signed
            Whether the inputs are in two's complement of the machine's `input_bits`.
        count
            Add the ones that the rows carried to `activity`.

        Raises
        ------
        ValueError
            Inputs of another number of rows or that do not fit `input_bits`; a calibrated converter that was
            never calibrated.
        """
        patterns = self._patterns(inputs, signed)
        if count:
            self._count(patterns)
        adc, device = self.machine.adc, self.machine.device
        if adc.range_rule == "none" and not device.read_noise:
            # The order of the sums does not matter then. Whole numbers are exact in float64 only.
            matrix = self._linear()
            matrix = matrix if bool((matrix == matrix.round()).all()) else matrix.float()
            return (matrix @ inputs.to(matrix.dtype)).double()
        if self._converter is None:
            self._converter = self._scales()
        converter = self._converter
        places = 2.0 ** torch.arange(self.machine.input_bits, dtype=self._dtype)
        if signed:
            places[-1] *= -1
        worth = (converter.steps * self._factors).tolist()  # by row group and slice
        # Ideal cells never leave a worst case.
        saturates = adc.range_rule == "calibrated" or not self._whole
        times = None if converter.unchanged else converter.times
        result = torch.zeros(inputs.shape[1], self.outputs, dtype=self._result_dtype)
        for chunk, group, numbers in self._sums(patterns, times, skip=not device.read_noise):
            if adc.range_rule != "none":
                if converter.divides:
                    numbers.div_(converter.over[group])
                if not (converter.unchanged and self._whole):
                    numbers.round_()
                if saturates:
                    numbers.clamp_(0, 2**adc.bits - 1)
            # First the input bits, then the slices: the numbers of the first sum are whole.
            added = torch.mv(numbers.flatten(1).t(), places[: len(numbers)])
            of_slices = added.view(numbers.shape[1], len(self._widths), self.outputs).unbind(1)
            outputs = result[chunk]
            for own, factor in zip(of_slices, worth[group], strict=True):
                outputs.add_(own, alpha=factor)
        # Digital, of numbers that are known: the encoding's offset, and the leak if it was converted as well.
        digital = float(self._offset)
        if device.leak == "digital":
            digital -= float(self._factors @ self._leak)
        result = result.t().double()
        return result + digital * inputs.sum(0, dtype=torch.float64) if digital else result

    def _linear(self) -> Tensor:
        leaking = self._read if self.machine.device.leak == "none" else self.cells
        return torch.einsum("s,sor->or", self._factors, leaking) + self._offset

    def _patterns(self, inputs: Tensor, signed: bool) -> Tensor:
        if inputs.shape[0] != self.rows:
            raise ValueError(f"inputs of {inputs.shape[0]} rows for a matrix of {self.rows} rows per output")
        return bit_patterns(inputs, self.machine.input_bits, signed)

    def _sums(
        self, patterns: Tensor, times: Sequence[Tensor] | None = None, *, skip: bool
    ) -> Iterator[tuple[slice, int, Tensor]]:
        bits, noisy = self.machine.input_bits, self.machine.device.read_noise > 0
        disturb = self._add_noise if noisy else None
        return column_sums(patterns, bits, self._columns, times, skip=skip, disturb=disturb)

    def _add_noise(self, group: int, currents: Tensor, carried: Tensor) -> None:
        """Noises of single cells are independent: the variances of the cells that are read add up."""
        deviation = self._squares[group].sums(carried, None).sqrt_()
        noise = torch.randn(currents.shape, generator=self._generator, dtype=self._dtype)
        currents.add_(deviation.mul_(noise), alpha=self.machine.device.read_noise)

    # ---- what it took ----

    def _count(self, patterns: Tensor) -> None:
        ones, reads = torch.zeros(self.rows, dtype=torch.float64), patterns.shape[1]
        for byte in patterns[:, :, : self.rows]:
            for place in range(8):
                ones += (byte & (1 << place) != 0).sum(0, dtype=torch.float64)
        seen = Activity(ones, reads, self.machine.input_bits)
        self.activity = seen if self.activity is None else self.activity + seen

    def counts(self, reads: int) -> dict[str, int]:
        """Cells and conversions for `reads` input vectors.

        As `energy.price.layer_energy` has them in the crossbar dataflow with the ADC rule "column", whose
        conversions are ``conversions`` and ``sign_conversions`` together. ``idle_conversions``, of both, are
        of columns that hold level 0 only, which a chip could leave out.
        """
        columns = self._stored * self.outputs
        extra = len(self._widths) * self.outputs - columns
        times = self.machine.input_bits * reads
        idle = sum(int((self.cells[:, :, g] == 0).all(2).sum()) for g in self._groups)
        return {
            "cells": columns * self.rows,
            "sign_cells": extra * self.rows,
            "conversions": columns * len(self._groups) * times,
            "sign_conversions": extra * len(self._groups) * times,
            "idle_conversions": idle * times,
            "arrays": len(self._groups) * math.ceil((columns + extra) / self.machine.array_columns),
        }

    def conversion_cycles(self, reads: int, converters: int) -> int:
        """Conversions one after the other for ``reads`` input vectors, in the array that takes longest.

        The columns in use of an array spread over its ``converters``, and all arrays work at once: the cycles
        of `energy.price.layer_energy` in the crossbar dataflow, where no input is waited for.

        Raises
        ------
        ValueError
            No converter.

        Examples
        --------
        >>> codes = torch.ones(16, 144, dtype=torch.int8)
        >>> matrix = ProgrammedMatrix(codes, Crossbar(adc=Adc(range_rule="none")))
        >>> matrix.conversion_cycles(reads=1, converters=16)  # 80 columns, 8 bits of the inputs
        40
        """
        if converters < 1:
            raise ValueError(f"converters is {converters}, allowed are 1 or more")
        widest = min(len(self._widths) * self.outputs, self.machine.array_columns)
        return -(-widest // converters) * self.machine.input_bits * reads
