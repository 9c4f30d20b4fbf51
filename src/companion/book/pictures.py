"""A Sphinx extension: figures that are drawn into a page get the words that their cells have for them.

The alternative text of a figure stands in the metadata of its cell (``mystnb: {image: {alt: ...}}``), which
the code that draws it does not see.
"""

from html import escape
from typing import TYPE_CHECKING, Any

from companion.book.figures.page import UNNAMED

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: "Sphinx") -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("doctree-read", _name_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _name_figures(app: "Sphinx", document: "nodes.document") -> None:
    from docutils import nodes

    for cell in document.findall(nodes.container):
        words = (cell.get("cell_metadata") or {}).get("mystnb", {}).get("image", {}).get("alt")
        if not words:
            continue
        for drawing in list(cell.findall(nodes.raw)):
            named = drawing.astext().replace(f'aria-label="{UNNAMED}"', f'aria-label="{escape(words)}"')
            drawing.parent.replace(drawing, nodes.raw("", named, format=drawing["format"]))
