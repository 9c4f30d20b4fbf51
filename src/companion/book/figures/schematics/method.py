"""Drawings of the method: from end to end, a weight in cells, what is trained and when, a model's life."""

from collections.abc import Sequence

import numpy as np

from companion.book.figures.schematics.drawing import ACCENT, FAINT, INK, MINUS, WIDTH, Drawing

__all__ = ["joint_order", "life", "planes", "small_network", "twofold_method", "weight_in_cells"]


# Kept places of a layer of 6 x 4 in the drawings; what a register of 5 bits says is as good.
_KEPT = np.array(
    [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], dtype=bool
)


def twofold_method() -> str:
    """The method from end to end: choose positions, train for cheap bits, store without an index, compute."""
    drawing = Drawing(
        "Four steps. A shift register chooses the positions of the weights that stay. Training drives the "
        "bits of these weights to zero. They are stored one behind the other in cells of two bits, and no "
        "index with them. On the chip the same register says again which input each of them needs, and the "
        "cells add their currents."
    )

    def step(number: int, title: str, top: int) -> int:
        if number > 1:
            drawing.line([(8, top - 4), (WIDTH - 8, top - 4)], FAINT)
        drawing.text(8, top + 14, f"{number}  {title}", anchor="start", bold=True, size=13.5)
        return top

    top = step(1, "A register chooses positions", 0)
    _little_register(drawing, 20, top + 44)
    drawing.text(67, top + 88, "polynomial, seed")
    drawing.arrow([(124, top + 55), (178, top + 55)])
    drawing.grid(196, top + 24, 12, _KEPT)
    drawing.text(298, top + 52, "half of the")
    drawing.text(298, top + 68, "weights stay")

    top = step(2, "Training empties their bits", 106)
    for y, bits, words in ((34, "00101101", "before"), (64, "00100000", "after")):
        drawing.text(66, top + y + 15, words, anchor="end")
        for place, bit in enumerate(bits):
            x = 78 + 20 * place + 6 * (place // 2)
            drawing.rect(x, top + y, 20, 20, fill=ACCENT if bit == "1" else None, opacity=0.25)
            drawing.text(x + 10, top + y + 15, bit)
    drawing.text(78, top + 104, "a cell of 11 is the expensive one", anchor="start")

    top = step(3, "What stays is packed, with no index", 228)
    for place in range(12):
        drawing.rect(20 + 26 * place, top + 36, 24, 24, fill=ACCENT, color=ACCENT)
    drawing.text(20, top + 82, "cells of the kept weights, in the register's order", anchor="start")

    top = step(4, "The register runs again, and cells add", 324)
    _little_register(drawing, 20, top + 46)
    drawing.text(67, top + 90, "same seed")
    drawing.arrow([(124, top + 57), (160, top + 57)])
    drawing.text(192, top + 53, "inputs")
    drawing.text(192, top + 69, "it names")
    drawing.arrow([(222, top + 57), (244, top + 57)])
    for place in range(4):
        drawing.rect(252, top + 26 + 16 * place, 14, 14, fill=ACCENT, color=ACCENT)
    drawing.line([(274, top + 30), (274, top + 88)])
    for place in range(4):
        drawing.line([(266, top + 33 + 16 * place), (274, top + 33 + 16 * place)])
    drawing.arrow([(274, top + 88), (296, top + 88)])
    drawing.text(300, top + 85, "sum,", anchor="start")
    drawing.text(300, top + 101, "converter", anchor="start")
    return drawing.svg(434)


def _little_register(drawing: Drawing, x: int, y: int) -> None:
    for bit in range(5):
        drawing.rect(x + 18 * bit, y, 18, 22)
    drawing.line([(x + 81, y), (x + 81, y - 12), (x - 8, y - 12), (x - 8, y + 11)])
    drawing.arrow([(x - 8, y + 11), (x, y + 11)])
    drawing.line([(x + 45, y), (x + 45, y - 12)])
    drawing.xor(x + 45, y - 12)


def weight_in_cells(
    weight: float,
    scale: float,
    code: int,
    words: Sequence[Sequence[str]],
    energies_pj: Sequence[Sequence[float]],
) -> str:
    """One weight on its way: a float, a code, bits, cells, joules.

    Parameters
    ----------
    words : of each word that holds the code (a differential pair has two), the bits of its cells
    energies_pj : the same of the cells' energies
    """
    total = sum(map(sum, energies_pj))
    drawing = Drawing(
        f"The weight {weight:g} of a layer whose largest is {scale:g} becomes the code {code}, its bits lie "
        f"in the cells {', '.join(cell for word in words for cell in word)}, and reading them once costs "
        f"{total:.3f} picojoules."
    )
    drawing.box(20, 8, 130, 42, ["weight", f"{weight:g} of {scale:g}".replace("-", MINUS)])
    drawing.arrow([(150, 29), (208, 29)])
    drawing.text(179, 22, "round")
    drawing.box(208, 8, 132, 42, ["code", f"{code}".replace("-", MINUS)])
    drawing.arrow([(274, 50), (274, 66), (WIDTH / 2, 66), (WIDTH / 2, 84)])
    drawing.text(WIDTH / 2 - 10, 72, "write in bits, cut into cells", anchor="end")
    top = 90.0
    for cells, prices in zip(words, energies_pj, strict=True):
        size = len(cells[0])
        bit = min(26.0, (WIDTH - 24 - 8 * (len(cells) - 1)) / (len(cells) * size))
        across = len(cells) * size * bit + 8 * (len(cells) - 1)
        left = (WIDTH - across) / 2
        for place, (cell, price) in enumerate(zip(cells, prices, strict=True)):
            x = left + place * (size * bit + 8)
            for at, digit in enumerate(cell):
                drawing.rect(
                    x + at * bit,
                    top,
                    bit,
                    28,
                    fill=ACCENT if digit == "1" else None,
                    opacity=0.25,
                    name="bit",
                )
                drawing.text(x + (at + 0.5) * bit, top + 19, digit, size=14)
            if len(cells) <= 5:
                drawing.text(x + size * bit / 2, top + 46, f"{price:.3f}")
        top += 58
    drawing.text(WIDTH / 2, top + 8, f"together {total:.3f} pJ, each cell read once", bold=True)
    return drawing.svg(top + 18)


def planes() -> str:
    """Why a penalty on trainable bit planes is deceived: a fraction in a high plane says the same code."""
    drawing = Drawing(
        "Eight bit planes of one weight, twice. Above, true bits: the plane of 32 is 1 and all others are 0, "
        "their sum is 1. Below, the plane of 64 holds 0.5 instead: the sum has halved, and the code is 32 as "
        "before."
    )
    for top, values, sum_of, said in (
        (20.0, (0, 0, 1.0, 0, 0, 0, 0, 0), "1", "true bits"),
        (118.0, (0, 0.5, 0, 0, 0, 0, 0, 0), "0.5", "what the penalty prefers"),
    ):
        drawing.text(8, top - 4, said, anchor="start", bold=True)
        for place, value in enumerate(values):
            x = 8 + 29 * place
            drawing.rect(x, top + 8, 24, 44, color=FAINT, name="plane")
            if value:
                drawing.rect(x, top + 8 + 44 * (1 - value), 24, 44 * value, fill=ACCENT, color=ACCENT)
            weight = -128 if place == 0 else 2 ** (7 - place)
            drawing.text(x + 12, top + 68, f"{weight}".replace("-", MINUS))
        drawing.text(250, top + 28, "code 32", anchor="start")
        drawing.text(
            250, top + 46, f"penalty {sum_of}", anchor="start", color=ACCENT if sum_of == "0.5" else INK
        )
    return drawing.svg(194)


def joint_order(before: int, after: int) -> str:
    """The talk's order of training: both penalties, then the masks, then training on.

    Parameters
    ----------
    before, after : epochs before and after the masks become hard
    """
    drawing = Drawing(
        f"Three phases along a line of time. {before} epochs of training with a penalty on the weights that "
        f"will go and one on bits; then the mask removes those weights; then {after} epochs of post-training "
        "with the mask hard."
    )
    split = 16 + 328 * before / (before + after)
    drawing.box(16, 40, split - 22, 44, ["train with", "both penalties"])
    drawing.box(split + 6, 40, 338 - split, 44, ["post-training,", "masks hard"])
    drawing.line([(split, 30), (split, 94)], ACCENT, width=2)
    drawing.text(split, 22, "prune", color=ACCENT, bold=True)
    drawing.arrow([(16, 104), (344, 104)])
    drawing.text((16 + split) / 2, 122, f"{before} epochs")
    drawing.text((split + 344) / 2, 122, f"{after} epochs")
    return drawing.svg(132)


def life() -> str:
    """A model's life with the library: attach, train, finish, save."""
    drawing = Drawing(
        "Four stations, one below the other. Twofold(model) attaches masks and codes to the weights. "
        "Training computes the weights anew at each pass, masked and rounded, while the floats behind learn. "
        "finish() puts plain weights in their place. save() writes the kept codes, scales and seeds to a "
        "file, and load() brings them back into a model that is freshly built."
    )
    stations = (
        ("attach", "Twofold(model)", "draws masks, rounds to codes"),
        ("train", "advance()", "floats learn, codes multiply"),
        ("finish", "finish()", "plain weights in their place"),
        ("save", "save(), load()", "kept codes, scales, seeds"),
    )
    for number, (title, call, words) in enumerate(stations):
        top = 8 + 58 * number
        drawing.box(36, top, 72, 34, title, color=ACCENT if title == "train" else INK)
        if number:
            drawing.arrow([(72, top - 24), (72, top)])
        drawing.text(124, top + 14, call, anchor="start", bold=True)
        drawing.text(124, top + 31, words, anchor="start")
    # Each step of the loop comes back to the same station.
    drawing.line([(36, 92), (14, 92), (14, 74)], ACCENT)
    drawing.arrow([(14, 74), (36, 74)], ACCENT)
    return drawing.svg(224)


def small_network() -> str:
    """MLPerf Tiny's ResNet-8: its maps from the image to ten answers, and what is in a block."""
    drawing = Drawing(
        "Images of 32 by 32 pixels pass a convolution to 16 channels, then three blocks: of 16 channels, of "
        "32 at half the width and height, and of 64 at a quarter. The means of the 64 maps go to a linear "
        "layer of ten outputs. A block is two convolutions of 3 by 3 whose result is added to what came in, "
        "through a convolution of 1 by 1 where the size changes."
    )
    maps = ((26, 44, "3"), (86, 44, "16"), (146, 44, "16"), (206, 32, "32"), (262, 22, "64"), (320, 8, "10"))
    names = ("image", "conv", "block", "block", "block", "linear")
    middle = 52
    for number, ((x, side, channels), name) in enumerate(zip(maps, names, strict=True)):
        drawing.rect(x - side / 2, middle - side / 2, side, side, fill=ACCENT, opacity=0.2, color=ACCENT)
        drawing.text(x, 16, name)
        drawing.text(x, middle + 42, channels)
        if number:
            before, before_side, _ = maps[number - 1]
            drawing.arrow([(before + before_side / 2 + 2, middle), (x - side / 2 - 2, middle)])
    drawing.text(WIDTH / 2, 114, "channels; 32 x 32, 16 x 16, 8 x 8 places")

    drawing.line([(8, 128), (WIDTH - 8, 128)], FAINT)
    drawing.text(8, 148, "a block", anchor="start", bold=True, size=13.5)
    level = 190
    drawing.box(46, level - 15, 74, 30, "conv 3 x 3")
    drawing.box(144, level - 15, 74, 30, "conv 3 x 3")
    drawing.arrow([(10, level), (46, level)])
    drawing.arrow([(120, level), (144, level)])
    drawing.arrow([(218, level), (258, level)])
    drawing.xor(264, level)
    drawing.arrow([(270, level), (330, level)])
    drawing.box(96, level + 28, 74, 30, "conv 1 x 1")
    drawing.arrow([(26, level), (26, level + 43), (96, level + 43)])
    drawing.arrow([(170, level + 43), (264, level + 43), (264, level + 6)])
    drawing.text(302, level - 8, "ReLU")
    drawing.text(178, level + 74, "only where the channels change", anchor="middle")
    return drawing.svg(level + 84)
