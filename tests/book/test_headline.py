"""README's figure: that of the committed results, and readable in both schemes."""

import re

import pytest

from companion.book import headline
from companion.book.headline import RECIPES, SCHEMES, data_mark, save_headline
from companion.book.series import as_series
from companion.study.grouping import over_seeds


@pytest.fixture(scope="module")
def points(few):
    """The points of three recipes; all of them would be priced for minutes and say no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headline, "headline_runs", lambda: few.head(3))
        return headline.headline_points()


def test_every_recipe_is_drawn_once_and_no_two_look_alike():
    frame = as_series(over_seeds(headline.headline_runs()))
    assert sorted(frame.run) == sorted(RECIPES)
    assert not frame.duplicated(["method", "series", "note"]).any()


def test_a_recipe_without_a_run_is_told(monkeypatch):
    monkeypatch.setattr(headline, "RECIPES", (*RECIPES, "sorcery-r50"))
    with pytest.raises(ValueError, match="no finished run of sorcery-r50"):
        headline.headline_runs()


def test_table_has_a_row_a_recipe_in_markdown(few, monkeypatch):
    monkeypatch.setattr(headline, "headline_runs", lambda: few.head(3))
    head, rule, *rows = headline.readme_table().splitlines()
    assert {line.count(" | ") for line in (head, rule, *rows)} == {head.count(" | ")}
    assert sorted(row.split(" | ")[0] for row in rows) == sorted(f"| {label}" for label in few.label.head(3))


def test_mark_changes_with_a_point(points):
    moved = points.assign(test_accuracy=points.test_accuracy + 0.01)
    assert data_mark(points) != data_mark(moved)
    assert data_mark(points) == data_mark(points.assign(energy_j=points.energy_j * (1 + 1e-12)))


@pytest.fixture(scope="module")
def drawings(points, tmp_path_factory):
    """Both files, drawn twice; nothing is drawn into the checkout."""
    folder = tmp_path_factory.mktemp("headline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("companion.paths.results_dir", lambda: folder)
        patch.setattr(headline, "headline_points", lambda: points)
        first = [path.read_text(encoding="utf-8") for path in save_headline()]
        assert [path.read_text(encoding="utf-8") for path in save_headline()] == first
    return dict(zip(SCHEMES, first, strict=True))


def test_files_carry_the_mark_of_their_points(points, drawings):
    assert all(data_mark(points) in drawing for drawing in drawings.values())


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_both_schemes_draw_the_same_in_their_own_colors(drawings):
    color = re.compile("#[0-9a-f]{6}")
    assert color.sub("", drawings["light"]) == color.sub("", drawings["dark"])
    for scheme, grounds in (("light", "#ffffff"), ("dark", "#0d1117")):
        used = set(color.findall(drawings[scheme])) - {grounds}
        ground = luminance(grounds) + 0.05
        for one in used:
            ratio = max((luminance(one) + 0.05) / ground, ground / (luminance(one) + 0.05))
            grid = one in ("#e4e4e4", "#3a3f47", "#cccccc", "#5a5f67")
            assert ratio >= (1.1 if grid else 3), (scheme, one)  # WCAG 2: 3 for what is not text
