"""Drawings are well-formed, say what they show, and have the parts of what they draw."""

from xml.etree import ElementTree

import numpy as np
import pytest

from companion.book.figures.schematics import (
    converter,
    crossbar,
    dataflows,
    generator,
    joint_order,
    life,
    planes,
    register,
    shared_rows,
    signed_rows,
    small_network,
    twofold_method,
    weight_in_cells,
)
from companion.book.glue import schematic

SPACE = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("form", ["fibonacci", "galois"])
@pytest.mark.parametrize("taps, degree", [((0, 4), 9), ((0, 1, 4, 6), 12), ((0, 1, 2, 7), 24), ((0, 1), 2)])
def test_register(taps, degree, form):
    svg = ElementTree.fromstring(register(taps, degree, 300, form))
    boxes = svg.findall(f"{SPACE}rect[@class='flip-flop']")
    gates = svg.findall(f"{SPACE}circle[@class='xor']")
    assert (len(boxes), len(gates)) == (degree, len(taps) - 1)
    assert svg.get("aria-label").startswith(f"A row of {degree} flip-flops with {len(taps) - 1} XOR gate")
    words = [text.text for text in svg.iter(f"{SPACE}text")]
    assert "below M = 300?" in words
    assert ("shifts to the right at each clock" in words) == (form == "fibonacci")
    numbers = [word for word in words if word.isdigit()]
    assert numbers == ([str(bit) for bit in range(degree)] if degree <= 16 else [])
    # Bit 0 is the rightmost, and the drawing stays within its frame.
    places = [float(box.get("x")) for box in boxes]
    assert places == sorted(places, reverse=True)
    _, _, width, _ = map(float, svg.get("viewBox").split())
    assert width == 360
    assert min(places) >= 0
    assert max(places) + float(boxes[0].get("width")) <= width


@pytest.mark.parametrize("tap, form", [(4, "fibonacci"), (4, "galois")])
def test_gates_stand_at_their_taps(tap, form):
    svg = ElementTree.fromstring(register((0, tap), 9, 300, form))
    boxes = svg.findall(f"{SPACE}rect[@class='flip-flop']")
    gate = float(svg.find(f"{SPACE}circle[@class='xor']").get("cx"))
    box, width = float(boxes[tap].get("x")), float(boxes[tap].get("width"))
    # A tap reads its flip-flop; in the Galois form it adds to what the flip-flop takes in, from the right.
    assert gate == pytest.approx(box + width * (0.5 if form == "fibonacci" else 1), abs=0.1)


def test_a_drawing_stands_in_the_page_with_its_caption():
    html = schematic(register((0, 4), 9, 300), "What to see.").data
    assert html.startswith("<figure><svg")
    assert "<figcaption><p>What to see.</p></figcaption>" in html


BITS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)
ALL = {
    "converter": converter(),
    "crossbar": crossbar(BITS, np.array([1, 0, 1, 1], dtype=bool)),
    "dataflows": dataflows(),
    "generator": generator(),
    "joint order": joint_order(6, 18),
    "life": life(),
    "planes": planes(),
    "register": register((0, 4), 9, 300),
    "shared rows": shared_rows({"none": BITS, "all": BITS, "two": BITS}),
    "signed rows": signed_rows(),
    "small network": small_network(),
    "method": twofold_method(),
    "cells": weight_in_cells(-0.3, 0.75, -51, [["11", "00", "11", "01"]], [[1.49, 0.079, 1.49, 0.36]]),
    "cells of 16 bits": weight_in_cells(0.1, 1.0, 9, [["00"] * 8] * 2, [[0.079] * 8] * 2),
}


@pytest.mark.parametrize("drawing", ALL)
def test_words_can_be_read_on_a_phone_and_stay_in_the_frame(drawing):
    svg = ElementTree.fromstring(ALL[drawing])
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert (width, svg.get("role")) == (360, "img")
    assert len(svg.get("aria-label")) > 60
    for text in svg.iter(f"{SPACE}text"):
        size, x, y = (float(text.get(name)) for name in ("font-size", "x", "y"))
        assert size * 328 / 360 >= 11  # a page of 360 pixels leaves 328 to a drawing
        long = 0.46 * size * len(text.text)  # of a sans serif, by eye
        begin = x - {"start": 0, "middle": long / 2, "end": long}[text.get("text-anchor")]
        assert -2 <= begin <= begin + long <= width + 2, text.text
        assert size - 4 <= y <= height
    for box in svg.iter(f"{SPACE}rect"):
        left, top, wide, high = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= left <= left + wide <= width
        assert 0 <= top <= top + high <= height


def test_a_crossbar_adds_what_it_draws():
    svg = ElementTree.fromstring(ALL["crossbar"])
    words = [text.text for text in svg.iter(f"{SPACE}text")]
    assert words[2:6] == ["1", "0", "1", "1"]
    assert words[6:9] == ["2", "1", "2"]  # the second row of cells carries no voltage
    cells = [dot.get("class") for dot in svg.iter(f"{SPACE}circle")][: BITS.size]
    assert [cell == "full" for cell in cells] == BITS.flatten().tolist()


def test_a_converter_has_as_many_steps_in_either_range():
    svg = ElementTree.fromstring(ALL["converter"])
    steps = svg.findall(f"{SPACE}rect[@class='step']")
    assert len(steps) == 2 * 8
    assert len({step.get("y") for step in steps}) == 2


def test_a_weight_is_drawn_with_its_bits_and_its_energy():
    svg = ElementTree.fromstring(ALL["cells"])
    assert len(svg.findall(f"{SPACE}rect[@class='bit']")) == 8
    assert "3.419 picojoules" in svg.get("aria-label")


def test_three_machines_keep_what_they_say():
    svg = ElementTree.fromstring(ALL["dataflows"])
    full = svg.findall(f"{SPACE}rect[@class='cell full']")
    empty = svg.findall(f"{SPACE}rect[@class='cell empty']")
    # Half of 6 x 6, in all three of them; only the crossbar stores the other half as well.
    assert (len(full), len(empty)) == (3 * 18, 18)


def test_the_order_gives_each_phase_its_share():
    svg = ElementTree.fromstring(ALL["joint order"])
    before, after = (float(box.get("width")) for box in svg.findall(f"{SPACE}rect"))
    assert after / before == pytest.approx(3, rel=0.1)
