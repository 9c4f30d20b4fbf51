"""Twofold sparsity: weights removed where an LFSR points, bits of the kept ones driven to zero."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.codes import CellTable, cell_table, dequantize, load_cell_table, quantize, ternary_table
    from twofold.crossbar import Adc, Crossbar, Device, on_crossbars
    from twofold.energy import Machine, network_energy
    from twofold.inputs import Activity, activation_scales, measure_activity, quantized_activations
    from twofold.layer import StoredLayer
    from twofold.masks import (
        LFSR,
        Mask,
        MultiplyShift,
        Polynomial,
        Rejection,
        lfsr_mask,
        magnitude_mask,
        random_mask,
    )
    from twofold.reports import report
    from twofold.sparsity import (
        CodeChooser,
        Twofold,
        layer_densities,
        network_term,
        planes_term,
        popcount_term,
    )
    from twofold.storage import load, save

__version__ = "0.2.0"

__all__ = [
    "LFSR",
    "Activity",
    "Adc",
    "CellTable",
    "CodeChooser",
    "Crossbar",
    "Device",
    "Machine",
    "Mask",
    "MultiplyShift",
    "Polynomial",
    "Rejection",
    "StoredLayer",
    "Twofold",
    "activation_scales",
    "cell_table",
    "dequantize",
    "layer_densities",
    "lfsr_mask",
    "load",
    "load_cell_table",
    "magnitude_mask",
    "measure_activity",
    "network_energy",
    "network_term",
    "on_crossbars",
    "planes_term",
    "popcount_term",
    "quantize",
    "quantized_activations",
    "random_mask",
    "report",
    "save",
    "ternary_table",
]

# Where each name lies. It is imported when it is first used, so `import twofold` alone does not import torch.
_HOMES = {
    "Activity": "twofold.inputs",
    "Adc": "twofold.crossbar",
    "CellTable": "twofold.codes",
    "CodeChooser": "twofold.sparsity",
    "Crossbar": "twofold.crossbar",
    "Device": "twofold.crossbar",
    "Machine": "twofold.energy",
    "LFSR": "twofold.masks",
    "Mask": "twofold.masks",
    "MultiplyShift": "twofold.masks",
    "Polynomial": "twofold.masks",
    "Rejection": "twofold.masks",
    "StoredLayer": "twofold.layer",
    "Twofold": "twofold.sparsity",
    "activation_scales": "twofold.inputs",
    "cell_table": "twofold.codes",
    "dequantize": "twofold.codes",
    "layer_densities": "twofold.sparsity",
    "lfsr_mask": "twofold.masks",
    "load": "twofold.storage",
    "load_cell_table": "twofold.codes",
    "magnitude_mask": "twofold.masks",
    "measure_activity": "twofold.inputs",
    "network_energy": "twofold.energy",
    "network_term": "twofold.sparsity",
    "on_crossbars": "twofold.crossbar",
    "planes_term": "twofold.sparsity",
    "popcount_term": "twofold.sparsity",
    "quantize": "twofold.codes",
    "quantized_activations": "twofold.inputs",
    "random_mask": "twofold.masks",
    "report": "twofold.reports",
    "save": "twofold.storage",
    "ternary_table": "twofold.codes",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
