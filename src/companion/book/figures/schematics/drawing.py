"""What drawings are made of: lines, arrows, boxes, grids and words, in the colors of the page.

A drawing stands in the page itself and not in an image, so that ``currentColor`` is the text's, light or
dark. It is 360 units wide. On a phone of 360 pixels 328 are left for it, so no word is smaller than `SMALL`:
there it is 11 pixels high.
"""

from collections.abc import Sequence
from html import escape
from typing import Literal

import numpy as np
from jaxtyping import Bool

__all__ = ["ACCENT", "BACKGROUND", "FAINT", "INK", "MINUS", "WIDTH", "Drawing"]


WIDTH = 360

SMALL = 12.5

ACCENT = "var(--pst-color-primary, #0072B2)"

FAINT = "var(--pst-color-border, #c9c9c9)"

BACKGROUND = "var(--pst-color-background, white)"

INK = "currentColor"

MINUS = "\N{MINUS SIGN}"


Number = float | int


Point = tuple[Number, Number]


class Drawing:
    """Parts in the order in which they are drawn, and the ``svg`` element that holds them.

    Examples
    --------
    >>> drawing = Drawing("A box.")
    >>> drawing.box(10, 10, 80, 26, "a box")
    >>> drawing.svg(46).startswith('<svg class="schematic" role="img" aria-label="A box."')
    True
    """

    def __init__(self, label: str):
        self.label = label
        self.parts: list[str] = []

    def text(
        self,
        x: Number,
        y: Number,
        words: str,
        *,
        size: Number = SMALL,
        color: str = INK,
        anchor: Literal["start", "middle", "end"] = "middle",
        bold: bool = False,
    ) -> None:
        """Words whose baseline is at ``y``."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" stroke="none"{weight} '
            f'style="fill:{color}">{escape(words)}</text>'
        )

    def line(
        self, points: Sequence[Point], color: str = INK, *, width: Number = 1.2, dashed: bool = False
    ) -> None:
        """A line through all points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" stroke-width="{width}"{dash} style="stroke:{color}"/>')

    def arrow(self, points: Sequence[Point], color: str = INK, *, width: Number = 1.2) -> None:
        """A line that ends in a head; its last part is upright or level."""
        (x0, y0), (x, y) = points[-2:]
        dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
        back = [(x - 5 * dx + side * 3 * dy, y - 5 * dy + side * 3 * dx) for side in (1, -1)]
        head = " ".join(f"{a:.1f},{b:.1f}" for a, b in [(x, y), *back])
        self.line(points, color, width=width)
        self.parts.append(f'<polygon points="{head}" style="fill:{color};stroke:{color}"/>')

    def rect(
        self,
        x: Number,
        y: Number,
        width: Number,
        height: Number,
        *,
        fill: str | None = None,
        color: str = INK,
        round: Number = 0,
        opacity: Number = 1.0,
        name: str = "",
    ) -> None:
        """A rectangle; ``name`` is its class."""
        style = f"stroke:{color}" + (f";fill:{fill};fill-opacity:{opacity:.2f}" if fill else "")
        named = f' class="{name}"' if name else ""
        corner = f' rx="{round:g}"' if round else ""
        self.parts.append(
            f'<rect{named} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{corner} '
            f'style="{style}"/>'
        )

    def box(
        self,
        x: Number,
        y: Number,
        width: Number,
        height: Number,
        words: str | Sequence[str],
        *,
        color: str = INK,
    ) -> None:
        """Words in a box, one line each."""
        lines = [words] if isinstance(words, str) else list(words)
        self.rect(x, y, width, height, round=4, color=color)
        first = y + height / 2 - 8 * (len(lines) - 1) + 4.5
        for number, line in enumerate(lines):
            self.text(x + width / 2, first + 16 * number, line, color=color)

    def grid(
        self,
        x: Number,
        y: Number,
        side: Number,
        filled: Bool[np.ndarray, "rows columns"],
        *,
        color: str = ACCENT,
        name: str = "cell",
    ) -> None:
        """Squares in rows, each filled or empty."""
        for row, cells in enumerate(filled):
            for column, full in enumerate(cells):
                self.rect(
                    x + column * side,
                    y + row * side,
                    side - 2,
                    side - 2,
                    fill=color if full else None,
                    color=color if full else FAINT,
                    name=f"{name} {'full' if full else 'empty'}",
                )

    def xor(self, x: Number, y: Number) -> None:
        """An XOR gate: a circle with a cross in it."""
        self.parts.append(
            f'<circle class="xor" cx="{x:.1f}" cy="{y:.1f}" r="6" style="fill:{BACKGROUND}"/>'
            f'<path d="M{x - 6:.1f},{y:.1f} h12 M{x:.1f},{y - 6:.1f} v12"/>'
        )

    def dot(self, x: Number, y: Number, *, radius: Number = 4.5, full: bool = True, color: str = INK) -> None:
        """A disc, or a ring on the page's color."""
        self.parts.append(
            f'<circle class="{"full" if full else "empty"}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" '
            f'style="fill:{color if full else BACKGROUND};stroke:{color}"/>'
        )

    def svg(self, height: Number) -> str:
        """The element, as high as its parts need; the label says in words what it shows."""
        return (
            f'<svg class="schematic" role="img" aria-label="{escape(self.label)}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" xmlns="http://www.w3.org/2000/svg" fill="none" '
            'stroke="currentColor" stroke-width="1.2" font-family="inherit" '
            'style="display:block;margin-inline:auto;width:100%;max-width:30rem">'
            f"{''.join(self.parts)}</svg>"
        )
