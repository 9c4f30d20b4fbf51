"""Twofold sparsity: weights removed where an LFSR points, bits of the kept ones driven to zero."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.sparsify import Twofold

__version__ = "0.1.0"

__all__ = ["Twofold"]

# Where each name lies. It is imported when it is first used, so `import twofold` alone does not import torch.
_HOMES = {
    "Twofold": "twofold.sparsify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
