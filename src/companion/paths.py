"""Where things are: the one place that knows the repository's folders.

A chapter runs in the caller's directory under papermill and in its own under Jupyter Book, so no
chapter may spell a relative path; it asks here instead.
"""

import os
import re
from pathlib import Path

__all__ = [
    "book_dir",
    "check_run_name",
    "data_root",
    "hardware_dir",
    "repository",
    "results_dir",
    "runs_dir",
]


_PACKAGE = Path(__file__).resolve().parent


def repository() -> Path:
    """The checkout that holds ``book/`` and ``data/``.

    ``TWOFOLD_REPOSITORY`` if it is set, else the checkout that this package is installed from
    (``pip install -e``), else the current directory or one above it.

    Raises
    ------
    FileNotFoundError
        No folder of these holds ``book/_toc.yml``; the message lists where it was looked for.
    """
    named = os.environ.get("TWOFOLD_REPOSITORY")
    candidates = [Path(named)] if named else [_PACKAGE.parents[1], Path.cwd(), *Path.cwd().parents]
    for folder in candidates:
        if (folder / "book" / "_toc.yml").is_file():
            return folder
    raise FileNotFoundError(
        f"no twofold checkout (a folder with book/_toc.yml) in {', '.join(map(str, candidates))}; "
        "set TWOFOLD_REPOSITORY to the folder that you cloned"
    )


def book_dir() -> Path:
    """The chapters."""
    return repository() / "book"


def hardware_dir() -> Path:
    """The index generator in Verilog."""
    return repository() / "hardware"


def results_dir() -> Path:
    """Finished, committed results: ``data/results``."""
    return repository() / "data" / "results"


def check_run_name(name: str) -> str:
    """Return ``name``, or raise ``ValueError`` where it is none of a run: one folder's name, never a path."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
        shown = name if len(name) <= 100 else f"{name[:100]}..."
        raise ValueError(f"run is {shown!r}; a name has up to 100 letters, digits, '.', '-' and '_' only")
    return name


def runs_dir() -> Path:
    """Working folder of unfinished runs and their checkpoints: ``runs/``, which git ignores."""
    return repository() / "runs"


def data_root() -> Path:
    """Root of the image data sets, as torchvision means it: ``TWOFOLD_DATA``, else ``data/``."""
    named = os.environ.get("TWOFOLD_DATA")
    return Path(named) if named else repository() / "data"
