"""The house: a module imports only from floors below its own, so no import runs up or in a circle."""

import ast
from pathlib import Path

import pytest

import twofold

FLOORS = [
    {"gf2", "paths", "plots_notes", "report_view", "files", "convolution", "series"},
    {"plots"},
    {
        "plots_lig",
        "plots_crossbar",
        "lfsr",
        "plots_speed",
        "speed",
        "codes",
        "models",
        "inputs",
        "provenance",
        "recipes",
        "adc",
        "devices",
        "bit_serial",
    },
    {"lig", "cells", "data", "activity", "densities", "notebook", "chapters", "bit_slices"},
    {"masks", "operations", "regularizers", "device_tables", "explorers", "hardware", "crossbar"},
    {"energy"},
    {"attach", "mask_measures", "parametrizations", "lig_energy", "rate_distortion"},
    {"finished"},
    {"sparsify"},
    {"steps", "memory", "storage", "crossbar_network"},
    {"train"},
    {"pack", "reports", "saving"},
    {"results", "configs"},
    {"hardware_claims", "runs", "accounts", "crossbar_study"},
    {"choices", "claims", "costs", "goals", "showcase", "crossbar_accounts"},
    {"cli"},
]
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
SOURCES = sorted(Path(twofold.__file__).parent.glob("[!_]*.py"))


def imports(path: Path) -> set[str]:
    """Modules of twofold that a source names, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "twofold":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twofold."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("twofold.")}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_module_imports_only_from_floors_below(path):
    above = {name for name in imports(path) if FLOOR_OF[name] >= FLOOR_OF[path.stem]}
    assert not above


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_module_is_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
