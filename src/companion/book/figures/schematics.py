"""Drawings of how things work, as SVG in the colors of the page: text in, text out.

They stand in the page itself and not in an image, so that ``currentColor`` is the text's, light or dark. A
unit is a pixel on a phone, where a drawing is 360 wide.
"""

from collections.abc import Sequence

__all__ = ["register"]


WIDTH = 360


ACCENT = "var(--pst-color-primary, #0072B2)"


def register(taps: Sequence[int], degree: int, size: int, form: str = "fibonacci") -> str:
    """A shift register, and how its state becomes a position or is skipped.

    Parameters
    ----------
    taps : exponents of the polynomial below its degree, 0 among them
    degree : flip-flops
    size : positions that there are
    form : "fibonacci" (the taps feed the bit that comes in) or "galois" (the output feeds the taps)

    Returns
    -------
    str
        An ``svg`` element, with what it shows in words as its label.
    """
    left, width, top, high = 24.0, (WIDTH - 48) / degree, 58.0, 28.0
    right = left + degree * width
    fibonacci = form == "fibonacci"

    def middle(bit: int) -> float:
        return left + (degree - 1 - bit + 0.5) * width

    parts = []
    for bit in range(degree):
        x = left + (degree - 1 - bit) * width
        parts.append(f'<rect class="flip-flop" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{high}"/>')
        if degree <= 16:
            parts.append(_text(middle(bit), top + 19, str(bit), size=11))
    line = 26.0  # height of the feedback
    if fibonacci:
        first = middle(0)
        parts.append(_line([(first, top), (first, line), (left - 12, line), (left - 12, top + 14)]))
        parts.append(_arrow([(left - 12, top + 14), (left, top + 14)]))
        for tap in sorted(taps)[1:]:
            parts += [_line([(middle(tap), top), (middle(tap), line)]), _xor(middle(tap), line)]
    else:
        last = middle(degree - 1)
        parts.append(_line([(last, top), (last, line), (right + 12, line), (right + 12, top + 14)]))
        parts.append(_arrow([(right + 12, top + 14), (right, top + 14)]))
        for tap in sorted(taps)[1:]:
            x = left + (degree - tap) * width  # between flip-flop `tap` and the one before it
            parts += [_line([(x, line), (x, top)]), _xor(x, top + 14)]
    parts.append(
        _text(WIDTH / 2, 14, f"shifts to the {'right' if fibonacci else 'left'} at each clock", size=12)
    )

    low = top + high
    parts.append(_line([(left, low + 6), (left, low + 12), (right, low + 12), (right, low + 6)]))
    parts.append(_arrow([(WIDTH / 2, low + 12), (WIDTH / 2, low + 30)]))
    parts.append(_box(100, low + 30, 160, "position = state - 1"))
    parts.append(_arrow([(WIDTH / 2, low + 56), (WIDTH / 2, low + 74)]))
    parts.append(_box(105, low + 74, 150, f"below M = {size}?"))
    parts.append(_arrow([(255, low + 87), (284, low + 87)], ACCENT))
    parts.append(_text(319, low + 84, "yes: keep", color=ACCENT, size=12))
    parts.append(_text(319, low + 98, "this weight", color=ACCENT, size=12))
    parts.append(_arrow([(105, low + 87), (76, low + 87)]))
    parts.append(_text(40, low + 84, "no: skip,", size=12))
    parts.append(_text(40, low + 98, "next clock", size=12))
    gates = len(taps) - 1
    label = (
        f"A row of {degree} flip-flops with {gates} XOR gate{'s' if gates != 1 else ''} in its feedback. "
        f"The state less one is the position; below {size} the weight there is kept, otherwise the state is "
        "skipped."
    )
    return (
        f'<svg class="schematic" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {low + 108:.0f}" '
        'xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" stroke-width="1.2" '
        'font-family="inherit" style="display:block;margin-inline:auto;width:100%;max-width:34rem">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float | int, y: float | int, words: str, *, size: int = 13, color: str = "currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" stroke="none" '
        f'style="fill:{color}">{words}</text>'
    )


def _line(points: Sequence[tuple[float | int, float | int]], color: str = "currentColor") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" style="stroke:{color}"/>'


def _arrow(points: Sequence[tuple[float | int, float | int]], color: str = "currentColor") -> str:
    """A line that ends in a head; its last part is upright or level."""
    (x0, y0), (x, y) = points[-2:]
    dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
    back = [(x - 5 * dx + side * 3 * dy, y - 5 * dy + side * 3 * dx) for side in (1, -1)]
    head = " ".join(f"{a:.1f},{b:.1f}" for a, b in [(x, y), *back])
    return f'{_line(points, color)}<polygon points="{head}" style="fill:{color};stroke:{color}"/>'


def _xor(x: float | int, y: float | int) -> str:
    return (
        f'<circle class="xor" cx="{x:.1f}" cy="{y:.1f}" r="6" '
        'style="fill:var(--pst-color-background, white)"/>'
        f'<path d="M{x - 6:.1f},{y:.1f} h12 M{x:.1f},{y - 6:.1f} v12"/>'
    )


def _box(x: float | int, y: float | int, width: float | int, words: str) -> str:
    return (
        f'<rect x="{x}" y="{y:.1f}" width="{width}" height="26" rx="4"/>'
        f"{_text(x + width / 2, y + 17.5, words, size=12)}"
    )
