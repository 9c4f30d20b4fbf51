"""README's figure: that of the committed results, and readable in both schemes."""

import re

import pytest

from companion.book import headline
from companion.book.headline import PANELS, RECIPES, SCHEMES, data_mark, save_headline
from companion.study.plan import PLAN
from twofold import load_cell_table


@pytest.fixture(scope="module")
def accounts(few):
    """Of four recipes; all of them would be priced for minutes and say no more."""
    names = [f"{name}-s1" for name in ("dense-b8", "rounded-b3-rows", "lfsr-r50", "magnitude-bits-r50-mu125")]
    return headline.priced(few[few.run.isin(names)], load_cell_table())


@pytest.fixture(scope="module")
def points(accounts):
    return headline.headline_points(accounts)


def test_every_recipe_is_one_of_the_plan_and_the_dense_network_is_the_first():
    assert RECIPES[0] == "dense-b8"
    assert all(f"{name}-s1" in PLAN for name in RECIPES)


def test_without_the_dense_network_nothing_is_drawn(monkeypatch, study):
    monkeypatch.setattr(headline, "load_results", lambda: study[study.method != "dense-8bit"])
    with pytest.raises(ValueError, match="no finished run of dense-b8"):
        headline.headline_runs()


def test_points_are_drawn_once_a_panel(points):
    assert set(points.panel) == set(PANELS.values())
    assert not points.duplicated(["panel", "run"]).any()
    dense = points[points.run == "dense-b8"]
    assert dense.gain.tolist() == [1.0, 1.0]
    assert dense.front.all()


def test_what_is_charged_is_charged_on_top(accounts):
    cells, index, whole = (accounts[name].set_index("run") for name in ("cells", "index", "whole"))
    masked = ["lfsr-r50", "magnitude-bits-r50-mu125"]
    assert (index.gain[masked] < cells.gain[masked]).all()
    assert (index.gain.drop(masked) == cells.gain.drop(masked)).all()
    assert (whole.energy_j > cells.energy_j).all()
    assert set(whole.machine[masked]) == {"grouped"}


def test_table_has_a_row_a_recipe_that_has_finished_in_markdown(accounts, monkeypatch):
    table = headline.headline_table(accounts)
    assert table.index.tolist() == [
        "dense, 8 bits",
        "dense, rounded, 3 bits, signed rows",
        "magnitude + bits, 50 % removed, µ 125",
    ]
    monkeypatch.setattr(headline, "priced", lambda *_: accounts)
    head, rule, first, *rows = headline.readme_table().splitlines()
    assert {line.count(" | ") for line in (head, rule, first, *rows)} == {len(table.columns)}
    assert first == "| dense, 8 bits | 91.6 | 1.0x | 1.0x | 1.0x | crossbar | 1.0x | 132 | 1 |"


def test_mark_changes_with_a_point(points):
    moved = points.assign(test_accuracy=points.test_accuracy + 0.01)
    assert data_mark(points) != data_mark(moved)
    assert data_mark(points) == data_mark(points.assign(gain=points.gain * (1 + 1e-12)))


@pytest.fixture(scope="module")
def drawings(points, tmp_path_factory):
    """Both files, drawn twice; nothing is drawn into the checkout."""
    folder = tmp_path_factory.mktemp("headline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("companion.paths.results_dir", lambda: folder)
        patch.setattr(headline, "headline_runs", lambda: None)
        patch.setattr(headline, "priced", lambda *_: {})
        patch.setattr(headline, "headline_points", lambda _: points)
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
