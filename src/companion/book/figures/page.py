"""A matplotlib figure as part of a page: SVG in the page's colors and type, for a wide page and for a phone.

The figure is drawn twice, as wide as the column of text and as wide as a phone; the style sheet shows one of
them. There its panels stand below each other. Words stay words, so that they have the page's type and one
size at either width, and what is black, gray or white in the figure takes the colors of the page, light or
dark.
"""

import io
import re
from collections.abc import Callable
from itertools import pairwise
from textwrap import fill

from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec

__all__ = ["COLORS", "INK", "LINE", "UNNAMED", "as_html", "keep_wide", "show_in_page", "when_narrow"]


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


INK = 60
"""Percent of its color that a colored word keeps; the rest is that of the page's text. So it can be read on
light and on dark, where a line or a mark may be paler."""


PHONE = 3.3
"""Inches of the narrow drawing: it is to a phone what the wide one is to a column of text, and so words have
one size in both."""


LINE, TITLE = 38, 27
"""Letters of a line of words in the narrow drawing, and of a panel's title."""


GAP = 4.0
"""Dots between two numbers of an axis; where there are fewer, every other number goes."""


def show_in_page() -> None:
    """From now on a notebook's figures are displayed so; outside of a notebook nothing happens."""
    from IPython.core.getipython import get_ipython
    from IPython.core.pylabtools import select_figure_formats

    shell = get_ipython()
    if shell is None:
        return
    plt.figure()  # sets up the display of figures, which would otherwise undo the next lines
    plt.close()
    plt.uninstall_repl_displayhook()  # which would draw each figure once more, for no screen
    select_figure_formats(shell, set())
    display = shell.display_formatter
    assert display is not None  # a shell that shows anything has one
    display.formatters["text/html"].for_type(Figure, as_html)


def keep_wide(figure: Figure | SubFigure) -> None:
    """Have a figure that cannot be made narrow, a diagram over time say, scroll on a phone."""
    figure.set_gid(_WIDE)


def when_narrow(figure: Figure, draw: Callable[[], None]) -> None:
    """Have a part of a figure drawn anew once the figure is as narrow as a phone."""
    vars(figure).setdefault(_DRAWN_ANEW, []).append(draw)


def as_html(figure: Figure) -> str:
    """Both drawings of a figure, the wide one and the narrow one."""
    wide = _svg(figure, "plot-wide")
    if figure.get_gid() == _WIDE:
        points = 72 * figure.get_size_inches()[0]  # below as many pixels its words would be too small
        wide = wide.replace("<svg ", f'<svg style="min-width: {points:.0f}px" ', 1)
        return f'<div class="plot plot-scrolls" tabindex="0" style="overflow-x: auto">{wide}</div>'
    _narrow(figure)
    return f'<div class="plot">{wide}{_svg(figure, "plot-narrow")}</div>'


_WIDE = "wide"


_DRAWN_ANEW = "_drawn_anew"


def _narrow(figure: Figure) -> None:
    """Make a figure as narrow as a phone: panels and legends one below the other, long words in lines."""
    height = figure.get_size_inches()[1]
    panels = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    grids = {id(grid): grid for ax in panels if (grid := ax.get_gridspec()) is not None}
    if len(grids) == 1 and (old := next(iter(grids.values()))).ncols > 1:
        grid = GridSpec(len(panels), 1, figure=figure)
        for number, ax in enumerate(panels):
            ax.set_subplotspec(grid[number])
            # Panels that share an axis say its numbers at the outermost only, and now all are outermost.
            ax.xaxis.set_tick_params(labelbottom=True)
            ax.yaxis.set_tick_params(labelleft=True)
        height = min(height / old.nrows, 3.4) * len(panels)
    for ax in figure.axes:
        for side in ("left", "center"):
            ax.set_title(fill(ax.get_title(side), TITLE), loc=side)
        ax.set_ylabel(fill(ax.get_ylabel(), LINE))
        names = [label.get_text() for label in ax.get_yticklabels()]
        if any(len(name) > LINE // 2 and "$" not in name for name in names):  # no formula
            ax.set_yticks(ax.get_yticks(), [fill(name, LINE // 2) for name in names])
            height += 0.08 * len(names)  # two lines stand where there was one
    of_panels = [legend for ax in figure.axes if (legend := ax.get_legend()) is not None]
    legends = [*figure.legends, *of_panels]
    entries = {
        text.get_text(): handle
        for legend in legends
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
        if handle is not None
    }
    for legend in legends:
        legend.remove()
    if entries:
        words = [fill(name, LINE) for name in entries]
        figure.legend(list(entries.values()), words, loc="outside lower center", fontsize="small")
        height += 0.22 * sum(1 + name.count("\n") for name in words)
    figure.set_size_inches(PHONE, height)
    for draw in vars(figure).get(_DRAWN_ANEW, ()):
        draw()
    figure.draw_without_rendering()
    for ax in figure.axes:
        label = ax.xaxis.label
        if label.get_window_extent().x1 > figure.bbox.x1:  # in the middle of a panel that begins far right
            ax.set_xlabel(label.get_text(), loc="right")
        low, high = sorted(ax.get_xlim())
        counts = [tick.label1 for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [count.get_window_extent() for count in counts]
        if any(left.x1 > right.x0 - GAP for left, right in pairwise(boxes)):
            for count in counts[1::2]:
                count.set_visible(False)


def _svg(figure: Figure, name: str) -> str:
    file = io.StringIO()
    figure.patch.set_visible(False)
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", dpi=110, metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for color, of_page in COLORS.items():
        drawing = drawing.replace(color, of_page)
    for pattern, by in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<style.*?</style>", ""),  # in a page it would be the style of all its elements
        (r"; font-family: [^;\"]*", ""),
        (r'(<text style="[^"]*fill: )(#\w{6})', rf"\1color-mix(in srgb, \2 {INK}%, currentColor)"),
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
