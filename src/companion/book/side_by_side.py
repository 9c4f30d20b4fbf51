"""A Sphinx extension: chapters are executed side by side, a process a core and two at least.

Sphinx reads pages in several processes where it is asked to, and reading a chapter is executing it; Jupyter
Book has no option that asks. Each process gets a run of pages in the order of their names, so the chapters
are dealt out like cards first, or one process would get most of them.
"""

import os
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
    pages[:] = dealt(sorted(pages), app.parallel)


def dealt(pages: list[str], hands: int) -> list[str]:
    """The pages in runs of equal length, one for each hand, neighbors in different ones.

    Examples
    --------
    >>> dealt(["01", "02", "03", "04", "api"], 2)
    ['01', '03', 'api', '02', '04']
    """
    return [page for hand in range(hands) for page in pages[hand::hands]]
