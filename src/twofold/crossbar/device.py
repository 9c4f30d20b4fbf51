"""What a memory cell does with the level that it should hold: conductances, and how real ones go astray.

Conductances are siemens, resistances ohms; currents are counted in levels, as in :mod:`twofold.crossbar.adc`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from twofold.codes.tables import CellTable

__all__ = ["LEAKS", "Device", "Leak"]


Leak = Literal["none", "reference", "digital"]
"""What becomes of the current of cells at level 0, see `Device`."""


LEAKS: tuple[Leak, ...] = get_args(Leak)
"""Every way to treat it."""


# What arithmetic in float64 may have changed of a level, in proportion.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Device:
    """A resistive cell. The defaults are an ideal one with an on/off ratio of 100.

    Attributes
    ----------
    r_lrs_ohm, r_hrs_ohm
        Resistance of the top level and of level 0; ``math.inf`` is an off state that does not leak.
    conductances_s
        Bits of a cell -> conductances of its levels in siemens, level 0 first; `of_table` reads them off a
        table of joules. Widths that are not named have levels evenly spaced in conductance between
        ``1 / r_hrs_ohm`` and ``1 / r_lrs_ohm``; but where some are named, a wider one is refused, as such
        cells have no such levels.
    leak
        What becomes of the current of level 0, which each row with an input bit of 1 adds to every column:
        ``reference``: a column of cells at level 0, ideal ones, is subtracted before the converter;
        ``digital``: it is converted with the rest, and the number of ones times the leak of one cell is
        subtracted from the result; ``none``: it stays in the result.
    variation
        Standard deviation of a cell's conductance over its mean, 0.1 is 10 %: lognormal, mean kept, drawn
        once when the cells are programmed.
    stuck_hrs, stuck_lrs
        Shares of cells stuck at level 0 and at the top level, whatever they should hold.
    read_noise
        Standard deviation of a cell's current over its mean, drawn anew at each read: Gaussian.
    seed
        Of all that is drawn.

    Raises
    ------
    ValueError
        Resistances that are not ``0 < r_lrs_ohm < r_hrs_ohm``, shares beyond 1, or anything else outside what
        is said above; the message quotes it.

    Examples
    --------
    >>> device = Device(r_lrs_ohm=10e3, r_hrs_ohm=1e6)
    >>> device.conductances(bits=2)
    tensor([1.0000e-06, 3.4000e-05, 6.7000e-05, 1.0000e-04], dtype=torch.float64)
    >>> round(device.leak_levels(bits=2), 4)
    0.0303
    """

    r_lrs_ohm: float = 10e3
    r_hrs_ohm: float = 1e6
    conductances_s: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    leak: Leak = "reference"
    variation: float = 0.0
    stuck_hrs: float = 0.0
    stuck_lrs: float = 0.0
    read_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.r_lrs_ohm < self.r_hrs_ohm:
            raise ValueError(
                f"r_lrs_ohm is {self.r_lrs_ohm:g}, r_hrs_ohm {self.r_hrs_ohm:g}; "
                "needed is 0 < r_lrs_ohm < r_hrs_ohm"
            )
        if self.leak not in LEAKS:
            raise ValueError(f"leak is {self.leak!r}, allowed are {', '.join(LEAKS)}")
        for name in ("variation", "read_noise"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} is {value}, allowed are finite numbers >= 0")
        shares = (self.stuck_hrs, self.stuck_lrs)
        if not (min(shares) >= 0 and sum(shares) <= 1):
            raise ValueError(
                f"stuck_hrs is {shares[0]}, stuck_lrs {shares[1]}; allowed are shares, at most 1 together"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed is {self.seed}, allowed are 0..{2**31 - 1}")
        for bits, own in self.conductances_s.items():
            if len(own) != 2**bits or not (
                own[0] >= 0 and own[-1] > own[0] and max(own) < math.inf and min(own) >= 0
            ):
                raise ValueError(
                    f"conductances of {bits}-bit cells are {own}, needed are {2**bits} finite ones, "
                    "the last above the first"
                )

    @classmethod
    def of_table(cls, table: CellTable, **effects: Any) -> "Device":
        """The cells whose joules `table` gives, so that array and account speak of the same ones.

        A read takes ``E = V^2 G t``, so the conductances are in proportion to the joules. A cell that holds
        fewer bits, such as one for a sign, uses the lowest of its levels: 1 bit is level 0 or 1. A table that
        says nothing of voltage and time gives proportions only; its top level is then taken to be the
        default `r_lrs_ohm`, which scales amperes and no level.

        The model takes the levels as they are. Those of the slides' table are uneven, so a column's sum is
        not that of the digits and accuracy falls. A designer would program the cells to an even grid; then
        other joules are due, see `CellTable.with_even_levels`.

        Parameters
        ----------
        effects
            The other attributes of a device: `leak`, `variation`, `stuck_hrs`, `stuck_lrs`, `read_noise`,
            `seed`.

        Raises
        ------
        ValueError
            A level without an energy, levels 1 and top that do not take more than level 0, or what a device
            refuses.

        Examples
        --------
        >>> from twofold.codes.tables import load_cell_table
        >>> slides = Device.of_table(load_cell_table("rram_2bit_cell"))
        >>> levels = torch.tensor([0, 1, 2, 3], dtype=torch.uint8)
        >>> slides.program(levels, 2, torch.Generator())
        tensor([0.0000, 0.5974, 1.3841, 3.0000], dtype=torch.float64)
        >>> round(slides.r_hrs_ohm / slides.r_lrs_ohm, 1)  # on/off ratio
        18.9
        >>> Device.of_table(load_cell_table("rram_neurosim"), variation=0.1).conductances(bits=2)
        tensor([1.1111e-06, 5.6296e-05, 1.1148e-04, 1.6667e-04], dtype=torch.float64)
        """
        energy_j = table.energy_j
        for level, joules in enumerate(energy_j):
            if math.isnan(joules):
                raise ValueError(f"table {table.name} has no energy for level {level:0{table.cell_bits}b}")
        if not energy_j[0] < min(energy_j[1], energy_j[-1]):
            raise ValueError(
                f"table {table.name} gives the levels {', '.join(f'{e:g}' for e in energy_j)} J; "
                "levels 1 and top must take more than level 0"
            )
        if table.read_v is None or table.read_s is None:
            per_joule = 1 / (cls.r_lrs_ohm * energy_j[-1])
        else:
            per_joule = 1 / (table.read_v**2 * table.read_s)
        siemens = tuple(joules * per_joule for joules in energy_j)
        return cls(
            r_lrs_ohm=1 / siemens[-1],
            r_hrs_ohm=1 / siemens[0] if siemens[0] else math.inf,
            conductances_s={bits: siemens[: 2**bits] for bits in range(1, table.cell_bits + 1)},
            **effects,
        )

    def conductances(self, bits: int) -> Float64[Tensor, "levels"]:
        """Conductance of every level of a cell of `bits`, in siemens.

        Raises
        ------
        ValueError
            Conductances are given for narrower cells only.
        """
        if bits in self.conductances_s:
            return torch.tensor(self.conductances_s[bits], dtype=torch.float64)
        if self.conductances_s and bits > max(self.conductances_s):
            raise ValueError(
                f"cells of {bits} bits, but conductances are those of cells of at most "
                f"{max(self.conductances_s)} bits"
            )
        return torch.linspace(1 / self.r_hrs_ohm, 1 / self.r_lrs_ohm, 2**bits, dtype=torch.float64)

    def level_s(self, bits: int) -> float:
        """Siemens of one level, ``(top - bottom) / (2^bits - 1)``; times the read voltage, the ADC's unit."""
        levels = self.conductances(bits)
        return float(levels[-1] - levels[0]) / (2**bits - 1)

    def leak_levels(self, bits: int) -> float:
        """Conductance of a cell at level 0, in levels: 0 for an infinite on/off ratio."""
        return float(self.conductances(bits)[0]) / self.level_s(bits)

    def leak_ratio(self, bits: int) -> Fraction:
        """`leak_levels` as the ratio of whole numbers that it stands for.

        That is the one of a small denominator that a float is a rounding of, if there is one.

        Examples
        --------
        >>> Device(r_lrs_ohm=10e3, r_hrs_ohm=1e6).leak_ratio(bits=2)
        Fraction(1, 33)
        """
        leak = Fraction(self.leak_levels(bits))
        simple = leak.limit_denominator(2**20)
        return simple if abs(simple - leak) <= leak * _ROUNDING else leak

    def program(
        self, levels: UInt8[Tensor, "*shape"], bits: int, generator: torch.Generator
    ) -> Float64[Tensor, "*shape"]:
        """Conductances of programmed cells above that of an ideal level 0, in levels.

        Ideal cells give back their levels exactly.

        Examples
        --------
        >>> levels = torch.tensor([0, 1, 2, 3], dtype=torch.uint8)
        >>> Device().program(levels, 2, torch.Generator())
        tensor([0., 1., 2., 3.], dtype=torch.float64)
        >>> real = Device(variation=0.1).program(levels, 2, torch.Generator().manual_seed(0))
        >>> (real - levels).abs() < 1
        tensor([True, True, True, True])
        """
        if self.stuck_hrs or self.stuck_lrs:
            fate = torch.rand(levels.shape, generator=generator, dtype=torch.float64)
            levels = levels.masked_fill(fate < self.stuck_hrs, 0)
            levels = levels.masked_fill(fate >= 1 - self.stuck_lrs, 2**bits - 1)
        held = levels.to(torch.float64)
        leak = self.leak_levels(bits)
        if bits in self.conductances_s:
            siemens = self.conductances(bits)
            own = (siemens - siemens[0]) / (siemens[-1] - siemens[0]) * (2**bits - 1)
            # Computed conductances of even levels are even but for rounding.
            whole = own.round()
            held = torch.where((own - whole).abs() <= own * _ROUNDING, whole, own)[levels.long()]
        if self.variation:
            sigma = math.sqrt(math.log1p(self.variation**2))
            normal = torch.randn(levels.shape, generator=generator, dtype=torch.float64)
            held = (held + leak) * torch.exp(sigma * normal - sigma**2 / 2) - leak
        return held
