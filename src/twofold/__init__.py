"""Twofold sparsity: weights removed where an LFSR points, bits of the kept ones driven to zero."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.cells import load_cell_table
    from twofold.device_tables import cell_table, ternary_table
    from twofold.reports import report
    from twofold.saving import load, save
    from twofold.sparsify import Twofold

__version__ = "0.1.0"

__all__ = ["Twofold", "cell_table", "load", "load_cell_table", "report", "save", "ternary_table"]

# Where each name lies. It is imported when it is first used, so `import twofold` alone does not import torch.
_HOMES = {
    "Twofold": "twofold.sparsify",
    "cell_table": "twofold.device_tables",
    "load": "twofold.saving",
    "load_cell_table": "twofold.cells",
    "report": "twofold.reports",
    "save": "twofold.saving",
    "ternary_table": "twofold.device_tables",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
