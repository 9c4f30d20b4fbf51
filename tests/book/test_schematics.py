"""Drawings are well-formed, say what they show, and have the parts of what they draw."""

from xml.etree import ElementTree

import pytest

from companion.book.figures.schematics import register
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
