"""The first figure where no script runs: one state of it, drawn once, in the colors of the page."""

import math
from collections.abc import Mapping
from html import escape

__all__ = ["still"]


WIDTH, HEIGHT = 360.0, 300.0
"""Units of the drawing: on a phone of 360 pixels they are a little less than one each."""

LEFT, RIGHT, TOP, LOW = 34.0, 8.0, 12.0, 40.0
"""Room for words around the panel."""

GAINS = (0.1, 50.0)

TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)

LETTER, LINE = 6.3, 14.0
"""Mean width of a letter, and height of a line."""


def still(tables: Mapping, accuracies: tuple[float, float] = (86.0, 92.5)) -> str:
    """An ``svg`` element of the state that the page shows first: accuracy against gain, each point named.

    Parameters
    ----------
    tables : as `book.first_figure.first_figure`
    accuracies : % at the ends of the axis; a point below stands at its lower end, with its accuracy
    """
    state = tables["start"]
    gains = tables["gain"][" ".join(state)]
    machines = tables["best"].get(" ".join(state), [state[1]] * len(gains))
    networks = [tables["networks"][f"{state[0]} {name}"][i] for i, name in enumerate(machines)]
    low, high = accuracies

    def x(gain: float) -> float:
        share = math.log(gain / GAINS[0]) / math.log(GAINS[1] / GAINS[0])
        return LEFT + min(max(share, 0), 1) * (WIDTH - LEFT - RIGHT)

    def y(accuracy: float) -> float:
        return TOP + min((high - accuracy) / (high - low), 1) * (HEIGHT - TOP - LOW)

    parts = []
    for gain in TICKS:
        parts.append(_line(x(gain), TOP, x(gain), HEIGHT - LOW))
        parts.append(_text(x(gain), HEIGHT - LOW + 16, f"{gain:g}", "middle"))
    for percent in range(math.ceil(low), math.floor(high) + 1, 2):
        height = y(float(percent))
        parts.append(_line(LEFT, height, WIDTH - RIGHT, height))
        parts.append(_text(LEFT - 5, height + 4, str(percent), "end"))
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 6, "energy gained, times", "end"))
    parts.append(_text(LEFT - 28, HEIGHT - 6, "accuracy (%)", "start"))
    spots = [(x(gain), y(network["accuracy"])) for network, gain in zip(networks, gains, strict=True)]
    taken = [(at - 7, height - 7, at + 7, height + 7) for at, height in spots]
    for point, network, gain, (at, height) in zip(tables["points"], networks, gains, spots, strict=True):
        words = f"{point['name']} {gain:.1f}x"
        if network["accuracy"] < low:
            words += f", {network['accuracy']:.0f} %"
        width = LETTER * len(words)
        places = [(side, rise) for rise in (0, -LINE, LINE, -2 * LINE) for side in (at + 10, at - 10 - width)]
        boxes = [(left, height + rise - 7, left + width, height + rise + 7) for left, rise in places]
        box = min(boxes, key=lambda box: sum(_shared(box, other) for other in taken) + 99 * _outside(box))
        taken.append(box)
        if not box[1] <= height <= box[3]:  # the words stand off, and a line leads to them
            end = box[3] if box[3] < height else box[1]
            parts.append(_line(at, height, min(max(at, box[0]), box[2]), end))
        parts.append(f'<circle class="{point["key"]}" cx="{at:.1f}" cy="{height:.1f}" r="6"/>')
        parts.append(_text(box[0], box[3] - 3, words, "start"))
    label = "Accuracy against energy gained: " + "; ".join(
        f"{point['name']} {network['accuracy']:.1f} %, {gain:.1f} times"
        for point, network, gain in zip(tables["points"], networks, gains, strict=True)
    )
    frame = f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}"'
    return f'<svg class="gains-still" role="img" aria-label="{escape(label)}" {frame}>{"".join(parts)}</svg>'


def _shared(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Area that two boxes (left, top, right, low) have in common."""
    across = min(box[2], other[2]) - max(box[0], other[0])
    return max(across, 0.0) * max(min(box[3], other[3]) - max(box[1], other[1]), 0.0)


def _outside(box: tuple[float, ...]) -> float:
    """How far a box sticks out of the panel."""
    return max(LEFT - box[0], 0.0) + max(box[2] - WIDTH, 0.0) + max(box[3] - (HEIGHT - LOW + 4), 0.0)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
