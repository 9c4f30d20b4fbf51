"""Figures drawn into a page: two widths, the page's colors, words that stay words."""

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

from companion.book.figures.basic import BLACK, METHOD_STYLE, ORANGE, SKY, YELLOW
from companion.book.figures.page import COLORS, UNNAMED, as_html, keep_wide

SPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn():
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), sharey=True, layout="constrained")
    for number, ax in enumerate(axes):
        ax.plot([0, 1], [number, 5], color="#262626")
        ax.set(title=f"panel {number}", facecolor="white")
    axes[0].set_ylabel("accuracy (%)")
    html = as_html(figure)
    plt.close(figure)
    return html, ElementTree.fromstring(html.replace("<svg ", f'<svg xmlns="{SPACE[1:-1]}" '))


def words(drawing) -> list[str]:
    return [text.text for text in drawing.iter(f"{SPACE}text")]


def test_a_figure_is_drawn_for_a_page_and_for_a_phone(drawn):
    _, root = drawn
    wide, narrow = root
    assert (wide.get("class"), narrow.get("class")) == ("plot-wide", "plot-narrow")
    for drawing in (wide, narrow):
        assert {"panel 0", "panel 1", "panel 2", "accuracy (%)"} <= set(words(drawing))
        assert (drawing.get("role"), drawing.get("aria-label")) == ("img", UNNAMED)
    (_, _, wide_width, _), (_, _, width, height) = (
        map(float, drawing.get("viewBox").split()) for drawing in root
    )
    assert (wide_width, width) == (pytest.approx(7.2 * 72), pytest.approx(3.3 * 72))
    assert height > 2 * width  # three panels below each other, each with numbers of its own
    assert words(narrow).count("0") > words(wide).count("0")


def test_a_drawing_has_the_colors_and_the_type_of_its_page(drawn):
    html, _ = drawn
    assert all(color not in html for color in COLORS)
    assert "currentColor" in html
    assert "font-family" not in html
    assert "<style" not in html


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 has it; matplotlib's name or number of a color."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


COLORED = {color for color, *_ in METHOD_STYLE.values()} - {BLACK} | {SKY, YELLOW, ORANGE}


@pytest.mark.parametrize("color", sorted(COLORED))
@pytest.mark.parametrize(("ink", "page"), [("#222832", "#ffffff"), ("#ced6dd", "#121212")])  # the theme's
def test_colored_words_can_be_read_on_light_and_dark(color, ink, page):
    figure, ax = plt.subplots()
    ax.text(0.5, 0.5, "here", color=color)
    html = as_html(figure)
    plt.close(figure)
    mixed, share = re.search(r"color-mix\(in srgb, (#\w+) (\d+)%, currentColor\)[^>]*>here", html).groups()
    kept = int(share) / 100
    word = [kept * own + (1 - kept) * text for own, text in zip(to_rgb(mixed), to_rgb(ink), strict=True)]
    low, high = sorted([luminance(word), luminance(page)])
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_identifiers_of_both_drawings_differ_and_are_found(drawn):
    html, root = drawn
    ids = [part.get("id") for part in root.iter() if part.get("id")]
    assert len(ids) == len(set(ids))
    asked = re.findall(r'(?:url\(#|href="#)([^)"]+)', html)
    assert asked
    assert set(asked) <= set(ids)


def test_long_words_and_legends_find_room_on_a_phone():
    figure, ax = plt.subplots(figsize=(7.2, 2.0), layout="constrained")
    ax.barh(["a network with a long name that takes many letters", "short"], [1, 2], label="so many joules")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    _, narrow = ElementTree.fromstring(as_html(figure).replace("<svg ", f'<svg xmlns="{SPACE[1:-1]}" '))
    plt.close(figure)
    assert {"so many joules", "a network with a", "long name that"} <= set(words(narrow))
    panel = next(part for part in narrow.iter() if part.get("id") == "plot-narrow-patch_1")
    corners = [float(word) for word in re.findall(r"[\d.]+", panel.find(f"{SPACE}path").get("d"))]
    assert max(corners[::2]) - min(corners[::2]) > 0.4 * 3.3 * 72  # room is left for the bars


def test_a_diagram_over_time_scrolls():
    figure, _ = plt.subplots(figsize=(10, 2))
    keep_wide(figure)
    html = as_html(figure)
    plt.close(figure)
    assert html.count("<svg") == 1
    assert 'class="plot plot-scrolls" tabindex="0" style="overflow-x: auto"' in html
    assert "min-width: 720px" in html
