"""A matplotlib figure as part of a page: SVG in the page's colors and type, for a wide page and for a phone.

The figure is drawn twice, as wide as the column of text and as wide as a phone; the style sheet shows one of
them. There its panels stand below each other. Words stay words, so that they have the page's type and one
size at either width, and what is black, gray or white in the figure takes the colors of the page, light or
dark.
"""

import io
import re

from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

__all__ = ["COLORS", "UNNAMED", "as_html", "show_in_page"]


UNNAMED = "a figure"
"""What a drawing says of itself, until `companion.book.pictures` puts in the words of its cell."""


COLORS = {
    "#262626": "currentColor",
    "#333333": "currentColor",
    "#cccccc": "var(--pst-color-border)",
    "#e4e4e4": "var(--pst-color-border)",
    "#ffffff": "var(--pst-color-background)",
}
"""What a figure draws -> what the page has in its place."""


PHONE = 3.3
"""Inches of the narrow drawing: it is to a phone what the wide one is to a column of text, and so words have
one size in both."""


def show_in_page() -> None:
    """From now on a notebook's figures are displayed so; outside of a notebook nothing happens."""
    from IPython.core.getipython import get_ipython
    from IPython.core.pylabtools import select_figure_formats

    shell = get_ipython()
    if shell is None:
        return
    plt.figure()  # sets up the display of figures, which would otherwise undo the next lines
    plt.close()
    select_figure_formats(shell, set())
    shell.display_formatter.formatters["text/html"].for_type(Figure, as_html)


def as_html(figure: Figure) -> str:
    """Both drawings of a figure, the wide one and the narrow one."""
    wide = _svg(figure, "plot-wide")
    _narrow(figure)
    return f'<div class="plot">{wide}{_svg(figure, "plot-narrow")}</div>'


def _narrow(figure: Figure) -> None:
    """Make a figure as narrow as a phone, its panels one below the other."""
    _, height = figure.get_size_inches()
    panels = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    grids = {id(ax.get_gridspec()): ax.get_gridspec() for ax in panels}
    columns = max((grid.ncols for grid in grids.values()), default=1)
    if columns > 1 and len(grids) == 1:
        grid = GridSpec(len(panels), 1, figure=figure)
        for number, ax in enumerate(panels):
            ax.set_subplotspec(grid[number])
            _say_scales(ax)
        height = min(height, 3.0) * len(panels) / next(iter(grids.values())).nrows
    figure.set_size_inches(PHONE, height)


def _say_scales(ax: Axes) -> None:
    """Panels that share an axis say its numbers at the outermost only; below each other all are outermost."""
    ax.xaxis.set_tick_params(labelbottom=True)
    ax.yaxis.set_tick_params(labelleft=True)


def _svg(figure: Figure, name: str) -> str:
    file = io.StringIO()
    figure.patch.set_visible(False)
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for color, of_page in COLORS.items():
        drawing = drawing.replace(color, of_page)
    for pattern, by in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<style.*?</style>", ""),  # in a page it would be the style of all its elements
        (r"; font-family: [^;\"]*", ""),
        # Identifiers are the page's, so those of two drawings of a figure must differ.
        (r'(id="|url\(#|href="#)', rf"\1{name}-"),
        (r"xlink:href", "href"),
        (r"\s*\n\s*", " "),
        (
            r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>",
            rf'<svg class="{name}" role="img" aria-label="{UNNAMED}" \1 stroke-linejoin="round">',
        ),
    ):
        drawing = re.sub(pattern, by, drawing, flags=re.DOTALL)
    return drawing
