"""Codes: weights as integers, integers as bits, bits as cells, cells as joules."""

from twofold.codes.quantizer import dequantize, quantize
from twofold.codes.tables import CellTable, cell_table, load_cell_table, ternary_table

__all__ = ["CellTable", "cell_table", "dequantize", "load_cell_table", "quantize", "ternary_table"]
