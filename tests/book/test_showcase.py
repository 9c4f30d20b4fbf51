"""README's figure: that of the committed results, and readable in both schemes."""

import re

import pytest

from companion.book.headline import SCHEMES, data_mark, headline_points, save_headline
from companion.paths import repository, results_dir


@pytest.mark.parametrize("scheme", SCHEMES)
def test_readme_shows_the_figure_of_the_committed_results(scheme):
    path = results_dir() / f"headline-{scheme}.svg"
    assert f"{path.relative_to(repository())}" in (repository() / "README.md").read_text(encoding="utf-8")
    # By its points and not by its bytes, which another matplotlib would change. `twofold collect` draws it.
    assert data_mark(headline_points()) in path.read_text(encoding="utf-8")


def test_mark_changes_with_a_point():
    points = headline_points()
    moved = points.assign(test_accuracy=points.test_accuracy + 0.01)
    assert data_mark(points) != data_mark(moved)
    assert data_mark(points) == data_mark(points.assign(energy_j=points.energy_j * (1 + 1e-12)))


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_both_schemes_draw_the_same_in_their_own_colors():
    drawings = {s: (results_dir() / f"headline-{s}.svg").read_text(encoding="utf-8") for s in SCHEMES}
    color = re.compile("#[0-9a-f]{6}")
    assert color.sub("", drawings["light"]) == color.sub("", drawings["dark"])
    for scheme, grounds in (("light", "#ffffff"), ("dark", "#0d1117")):
        used = set(color.findall(drawings[scheme])) - {grounds}
        ground = luminance(grounds) + 0.05
        for one in used:
            ratio = max((luminance(one) + 0.05) / ground, ground / (luminance(one) + 0.05))
            grid = one in ("#e4e4e4", "#3a3f47", "#cccccc", "#5a5f67")
            assert ratio >= (1.1 if grid else 3), (scheme, one)  # WCAG 2: 3 for what is not text


def test_drawing_again_gives_the_same_bytes(tmp_path, monkeypatch):
    for entry in results_dir().iterdir():
        if entry.suffix != ".svg":
            (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.setattr("companion.paths.results_dir", lambda: tmp_path)
    assert [path.read_bytes() for path in save_headline()] == [path.read_bytes() for path in save_headline()]
