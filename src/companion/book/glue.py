"""What every chapter does at its beginning and end: numbers for the prose, and where they came from."""

import json
import numbers as abstract
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch

from companion.provenance import provenance

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["closing", "explorer", "numbers", "schematic"]

# A chapter works on tensors of a layer's size, for which a second thread brings little; where another
# process is busy as well, two threads wait for each other at every step: pricing the runs took four times as
# long. With one thread, what a chapter trains is also the same on every number of cores.
torch.set_num_threads(1)


def numbers(**values: float | str) -> None:
    """Make values available to the prose as ``{glue:text}`name:.2f```; shows nothing.

    NumPy's and torch's scalars become plain numbers first, since the prose formats their printed form.
    """
    from myst_nb import glue

    for name, value in values.items():
        plain = value if isinstance(value, str) else int(value) if _is_whole(value) else float(value)
        glue(name, plain, display=False)


def explorer(name: str, tables: dict, *, still: str = "", needs: Sequence[str] = ()) -> "HTML":
    """A figure that moves: the place that ``book/_extra/explore/<name>.js`` fills, and the tables it reads.

    The tables stand in the page itself, because a page opened from a disk may fetch nothing.

    Parameters
    ----------
    name : of the script, and of its place in the page
    tables : what it reads
    still : HTML that stands there until the script runs, and where none does; empty: a sentence
    needs : scripts and style sheets of ``book/_extra/explore/`` that come before it
    """
    from IPython.display import HTML

    content = json.dumps(tables, separators=(",", ":")).replace("<", "\\u003c")  # no "</script>" within
    still = still or "This figure needs its page in the book, and JavaScript."
    before = [
        f'<link rel="stylesheet" href="explore/{file}">'
        if file.endswith(".css")
        else f'<script src="explore/{file}"></script>'
        for file in needs
    ]
    return HTML(
        f'<div class="explorer" id="{name}">{still}</div>'
        f'<script type="application/json" id="{name}-tables">{content}</script>'
        f'{"".join(before)}<script src="explore/{name}.js"></script>'
    )


def schematic(svg: str, caption: str) -> "HTML":
    """A drawing of `book.figures.schematics` with its caption, in the page itself and in its colors."""
    from IPython.display import HTML

    return HTML(f"<figure>{svg}<figcaption><p>{caption}</p></figcaption></figure>")


def closing(**parameters: object) -> pd.DataFrame:
    """Commit, device, versions and the chapter's own parameters: the last cell of a chapter."""
    return pd.Series(provenance() | parameters, name="value").astype(str).to_frame()


def _is_whole(value: object) -> bool:
    return isinstance(value, abstract.Integral)
