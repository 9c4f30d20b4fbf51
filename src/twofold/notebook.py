"""What every chapter does at its beginning and end: numbers for the prose, and where they came from."""

import numbers as abstract

import pandas as pd

from twofold.provenance import provenance

__all__ = ["closing", "numbers"]


def numbers(**values: float | str) -> None:
    """Make values available to the prose as ``{glue:text}`name:.2f```; shows nothing.

    NumPy's and torch's scalars become plain numbers first, since the prose formats their printed form.
    """
    from myst_nb import glue

    for name, value in values.items():
        plain = value if isinstance(value, str) else int(value) if _is_whole(value) else float(value)
        glue(name, plain, display=False)


def closing(**parameters: object) -> pd.DataFrame:
    """Commit, device, versions and the chapter's own parameters: the last cell of a chapter."""
    return pd.Series(provenance() | parameters, name="value").astype(str).to_frame()


def _is_whole(value: object) -> bool:
    return isinstance(value, abstract.Integral)
