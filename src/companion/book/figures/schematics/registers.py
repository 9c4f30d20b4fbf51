"""Drawings of the index generator: the register that walks, and the block around it."""

from collections.abc import Sequence

from companion.book.figures.schematics.drawing import ACCENT, WIDTH, Drawing

__all__ = ["generator", "register"]


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
    gates = len(taps) - 1
    drawing = Drawing(
        f"A row of {degree} flip-flops with {gates} XOR gate{'s' if gates != 1 else ''} in its feedback. "
        f"The state less one is the position; below {size} the weight there is kept, otherwise the state is "
        "skipped."
    )
    left, width, top, high = 24.0, (WIDTH - 48) / degree, 58.0, 28.0
    right = left + degree * width
    fibonacci = form == "fibonacci"

    def middle(bit: int) -> float:
        return left + (degree - 1 - bit + 0.5) * width

    for bit in range(degree):
        x = left + (degree - 1 - bit) * width
        drawing.rect(x, top, width, high, name="flip-flop")
        if degree <= 16:
            drawing.text(middle(bit), top + 19, str(bit))
    line = 26.0  # height of the feedback
    if fibonacci:
        first = middle(0)
        drawing.line([(first, top), (first, line), (left - 12, line), (left - 12, top + 14)])
        drawing.arrow([(left - 12, top + 14), (left, top + 14)])
        for tap in sorted(taps)[1:]:
            drawing.line([(middle(tap), top), (middle(tap), line)])
            drawing.xor(middle(tap), line)
    else:
        last = middle(degree - 1)
        drawing.line([(last, top), (last, line), (right + 12, line), (right + 12, top + 14)])
        drawing.arrow([(right + 12, top + 14), (right, top + 14)])
        for tap in sorted(taps)[1:]:
            x = left + (degree - tap) * width  # between flip-flop `tap` and the one before it
            drawing.line([(x, line), (x, top)])
            drawing.xor(x, top + 14)
    drawing.text(WIDTH / 2, 14, f"shifts to the {'right' if fibonacci else 'left'} at each clock")

    low = top + high
    drawing.line([(left, low + 6), (left, low + 12), (right, low + 12), (right, low + 6)])
    drawing.arrow([(WIDTH / 2, low + 12), (WIDTH / 2, low + 30)])
    drawing.box(100, low + 30, 160, 26, "position = state - 1")
    drawing.arrow([(WIDTH / 2, low + 56), (WIDTH / 2, low + 74)])
    drawing.box(105, low + 74, 150, 26, f"below M = {size}?")
    drawing.arrow([(255, low + 87), (278, low + 87)], ACCENT)
    drawing.text(319, low + 84, "yes: keep", color=ACCENT)
    drawing.text(319, low + 99, "this weight", color=ACCENT)
    drawing.arrow([(105, low + 87), (76, low + 87)])
    drawing.text(39, low + 84, "no: skip,")
    drawing.text(39, low + 99, "next clock")
    return drawing.svg(low + 110)


def generator() -> str:
    """The index generator as a block of gates: register, comparison, counter, and its handshake."""
    drawing = Drawing(
        "The index generator as a block. A register feeds a comparison with M; a state below M goes out as "
        "the index, with a signal that says valid. A counter of the indices handed out is compared with the "
        "number kept and says last. A signal ready from outside lets the register step."
    )
    drawing.rect(52, 12, 228, 176, round=6)
    drawing.box(66, 28, 90, 40, ["register", "n bits"])
    drawing.box(176, 28, 90, 40, ["state - 1", "below M?"])
    drawing.arrow([(156, 48), (176, 48)])
    drawing.arrow([(266, 42), (300, 42)], ACCENT)
    drawing.text(304, 46, "index", anchor="start", color=ACCENT)
    drawing.arrow([(266, 58), (300, 58)])
    drawing.text(304, 68, "valid", anchor="start")
    drawing.box(66, 128, 90, 40, ["counter", "of indices"])
    drawing.box(176, 128, 90, 40, ["= number", "kept?"])
    drawing.arrow([(156, 148), (176, 148)])
    drawing.arrow([(266, 148), (300, 148)])
    drawing.text(304, 152, "last", anchor="start")
    drawing.line([(221, 68), (221, 96), (111, 96)])
    drawing.arrow([(111, 96), (111, 128)])
    drawing.text(166, 90, "one more")
    drawing.arrow([(48, 48), (66, 48)])
    drawing.text(44, 52, "ready", anchor="end")
    drawing.arrow([(48, 148), (66, 148)])
    for line, word in enumerate(("seed,", "M,", "kept")):
        drawing.text(44, 136 + 16 * line, word, anchor="end")
    return drawing.svg(200)
