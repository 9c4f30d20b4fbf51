"""The packed file: its format, saving and loading a model, and the bytes of every scheme."""

from twofold.storage.saving import load, save

__all__ = ["load", "save"]
