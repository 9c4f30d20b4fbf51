"""What a memory cell does with the level that it should hold: conductances, and how real ones go astray.

Conductances are siemens, resistances ohms; currents are counted in levels, as in :mod:`twofold.crossbar.adc`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

__all__ = ["LEAKS", "Device", "Leak"]


Leak = Literal["none", "reference", "digital"]
"""What becomes of the current of cells at level 0, see `Device`."""


LEAKS: tuple[Leak, ...] = get_args(Leak)
"""Every way to treat it."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A resistive cell. The defaults are an ideal one with an on/off ratio of 100.

    Attributes
    ----------
    r_lrs_ohm, r_hrs_ohm
        Resistance of the top level and of level 0; ``math.inf`` is an off state that does not leak.
    conductances_s
        Bits of a cell -> conductances of its levels in siemens, level 0 first. Widths that are not named have
        levels evenly spaced in conductance between ``1 / r_hrs_ohm`` and ``1 / r_lrs_ohm``.
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

    def conductances(self, bits: int) -> Float64[Tensor, "levels"]:
        """Conductance of every level of a cell of `bits`, in siemens."""
        if bits in self.conductances_s:
            return torch.tensor(self.conductances_s[bits], dtype=torch.float64)
        return torch.linspace(1 / self.r_hrs_ohm, 1 / self.r_lrs_ohm, 2**bits, dtype=torch.float64)

    def level_s(self, bits: int) -> float:
        """Siemens of one level, ``(top - bottom) / (2^bits - 1)``; times the read voltage, the ADC's unit."""
        levels = self.conductances(bits)
        return float(levels[-1] - levels[0]) / (2**bits - 1)

    def leak_levels(self, bits: int) -> float:
        """Conductance of a cell at level 0, in levels: 0 for an infinite on/off ratio."""
        return float(self.conductances(bits)[0]) / self.level_s(bits)

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
            held = (self.conductances(bits) / self.level_s(bits) - leak)[levels.long()]
        if self.variation:
            sigma = math.sqrt(math.log1p(self.variation**2))
            normal = torch.randn(levels.shape, generator=generator, dtype=torch.float64)
            held = (held + leak) * torch.exp(sigma * normal - sigma**2 / 2) - leak
        return held
