"""Twofold sparsity: weights removed where an LFSR points, bits of the kept ones driven to zero."""

__version__ = "0.1.0"
