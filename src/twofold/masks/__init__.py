"""Masks that a shift register regenerates: polynomials, registers, generators, drawing, measures."""

from twofold.masks.draw import Mask, magnitude_mask, random_mask
from twofold.masks.generator import lfsr_mask
from twofold.masks.gf2 import Polynomial
from twofold.masks.kinds import ColumnByColumn, KernelCounter, Modulo, MultiplyShift, Rejection
from twofold.masks.lfsr import LFSR

__all__ = [
    "LFSR",
    "ColumnByColumn",
    "KernelCounter",
    "Mask",
    "Modulo",
    "MultiplyShift",
    "Polynomial",
    "Rejection",
    "lfsr_mask",
    "magnitude_mask",
    "random_mask",
]
