"""Masks that a shift register regenerates: polynomials over GF(2), registers, generators, drawing, measures."""

from twofold.masks.draw import Mask, lfsr_mask, magnitude_mask, random_mask
from twofold.masks.gf2 import Polynomial
from twofold.masks.lfsr import LFSR

__all__ = ["LFSR", "Mask", "Polynomial", "lfsr_mask", "magnitude_mask", "random_mask"]
