"""Drawings of how things work, as SVG in the colors of the page: text in, text out."""

from companion.book.figures.schematics.machines import (
    converter,
    crossbar,
    dataflows,
    shared_rows,
    signed_rows,
)
from companion.book.figures.schematics.method import (
    joint_order,
    life,
    planes,
    small_network,
    twofold_method,
    weight_in_cells,
)
from companion.book.figures.schematics.registers import generator, register

__all__ = [
    "converter",
    "crossbar",
    "dataflows",
    "generator",
    "joint_order",
    "life",
    "planes",
    "register",
    "shared_rows",
    "signed_rows",
    "small_network",
    "twofold_method",
    "weight_in_cells",
]
