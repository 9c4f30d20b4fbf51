"""What every chapter does at its beginning and end: numbers for the prose, and where they came from."""

import json
import numbers as abstract
from typing import TYPE_CHECKING

import pandas as pd

from companion.provenance import provenance

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["closing", "counted", "explorer", "gains", "numbers", "pruning_steps", "through"]


def numbers(**values: float | str) -> None:
    """Make values available to the prose as ``{glue:text}`name:.2f```; shows nothing.

    NumPy's and torch's scalars become plain numbers first, since the prose formats their printed form.
    """
    from myst_nb import glue

    for name, value in values.items():
        plain = value if isinstance(value, str) else int(value) if _is_whole(value) else float(value)
        glue(name, plain, display=False)


def counted(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``: a number with its noun, whose plural takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def pruning_steps(runs: pd.DataFrame) -> str:
    """``with 50 % removed 76.8 %, 76.8 % once pruned, 73.7 % in the end`` for each row, or words for none.

    ``runs`` : columns ``sparsity`` (share), ``accuracy_before_pruning``, ``accuracy_after_pruning`` and
    ``test_accuracy`` (%).
    """
    said = [
        f"with {100 * row.sparsity:.0f} % removed {row.accuracy_before_pruning:.1f} %, "
        f"{row.accuracy_after_pruning:.1f} % once pruned, {row.test_accuracy:.1f} % in the end"
        for row in runs.sort_values("sparsity").itertuples()
    ]
    return "; ".join(said) or "no such run has finished"


def gains(points: pd.DataFrame, *, join: str = " or ", bits: bool = False, removed: bool = False) -> str:
    """``3.0x at 91.35 %`` for each row; without rows, words for that.

    With its number of ``bits`` and the share ``removed``, if asked: ``... (3 bits, 50 % removed)``.

    ``points`` : columns ``gain``, ``test_accuracy`` (%) and, where asked for, ``bits`` and ``sparsity``.
    """
    said = []
    for row in points.itertuples():
        told = [f"{row.bits} bits"] if bits else []
        told += [f"{100 * row.sparsity:.0f} % removed"] if removed else []
        said.append(
            f"{row.gain:.1f}x at {row.test_accuracy:.2f} %" + (f" ({', '.join(told)})" if told else "")
        )
    return join.join(said) or "(no such network starts here)"


def through(values: pd.Series, spec: str = "z.1f") -> str:
    """``1.3 at 50 %, 7.9 at 90 %``: numbers by their index, the share of weights removed (0..1)."""
    known = values.dropna().sort_index()
    said = ", ".join(f"{value:{spec}} at {100 * share:.0f} %" for share, value in known.items())
    return said or "(no such runs)"


def explorer(name: str, tables: dict) -> "HTML":
    """A figure that moves: the place that ``book/_extra/explore/<name>.js`` fills, and the tables it reads.

    The tables stand in the page itself, because a page opened from a disk may fetch nothing.
    """
    from IPython.display import HTML

    content = json.dumps(tables, separators=(",", ":")).replace("<", "\\u003c")  # no "</script>" within
    return HTML(
        f'<div class="explorer" id="{name}">This figure needs its page in the book, and JavaScript.</div>'
        f'<script type="application/json" id="{name}-tables">{content}</script>'
        f'<script src="explore/{name}.js"></script>'
    )


def closing(**parameters: object) -> pd.DataFrame:
    """Commit, device, versions and the chapter's own parameters: the last cell of a chapter."""
    return pd.Series(provenance() | parameters, name="value").astype(str).to_frame()


def _is_whole(value: object) -> bool:
    return isinstance(value, abstract.Integral)
