"""A Sphinx extension: chapters are executed side by side, a process a core and two at least.

Sphinx reads pages in several processes where it is asked to, and reading a chapter is executing it; Jupyter
Book has no option that asks. Sphinx would give each process one run of pages, by their names. Here each
chapter is a task of its own, which goes to the next process that is free, and long chapters come first.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["dealt", "setup"]

SILENT = ("sphinx_jupyterbook_latex", "sphinx_multitoc_numbering")
"""Extensions of Jupyter Book that work on single pages for LaTeX, or once all pages are read. That is safe,
but they do not say so, and Sphinx then reads page after page."""


def setup(app: "Sphinx") -> dict[str, Any]:
    """Sphinx calls this."""
    app.parallel = max(app.parallel, min(os.cpu_count() or 1, 4), 2)
    app.connect("builder-inited", _declare)
    app.connect("env-before-read-docs", _deal)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _declare(app: "Sphinx") -> None:
    for name in SILENT:
        if (extension := app.extensions.get(name)) is not None:
            extension.parallel_read_safe = True


def _deal(app: "Sphinx", env: "BuildEnvironment", pages: list[str]) -> None:
    """Have Sphinx cut this one list of pages as `dealt` does, and all others as it always would."""
    from sphinx import builders

    files = {page: Path(env.doc2path(page)) for page in sorted(pages)}
    lengths = {page: file.stat().st_size for page, file in files.items() if file.suffix == ".ipynb"}
    cut = builders.make_chunks

    def cut_once(arguments: Sequence[str], nproc: int, maxbatch: int = 10) -> list[Any]:
        builders.make_chunks = cut
        return dealt(arguments, lengths, nproc)

    builders.make_chunks = cut_once


def dealt(pages: Sequence[str], lengths: Mapping[str, int], hands: int) -> list[list[str]]:
    """The tasks of a build, in the order in which Sphinx has to get them.

    A task is a chapter, the longer the earlier, but first of all come the other pages: they are one task, as
    what documents the library imports it. Sphinx starts with as many tasks as there are hands, and then takes
    the last that waits.

    Parameters
    ----------
    pages : all pages to read
    lengths : of the chapters among them
    hands : processes

    Examples
    --------
    >>> dealt(["01", "02", "03", "04", "api", "notes"], {"01": 5, "02": 9, "03": 7, "04": 8}, 2)
    [['api', 'notes'], ['02'], ['01'], ['03'], ['04']]
    """
    chapters = sorted((page for page in pages if page in lengths), key=lambda page: -lengths[page])
    others = [page for page in pages if page not in lengths]
    tasks = [others] * bool(others) + [[page] for page in chapters]
    return tasks[:hands] + tasks[hands:][::-1]
