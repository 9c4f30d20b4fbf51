"""Figures of what machines spend: what is drawn is what the frame holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

from companion.book.figures import energy as plots
from companion.book.figures.page import as_html

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.figure.legends[0].texts]


def test_gain_panels():
    frame = pd.DataFrame(
        [
            ("packed", "twofold", 0.5, 5.0),
            ("packed", "twofold", 0.0, 3.0),
            ("packed", "sorcery", 0.5, 99.0),
            ("crossbar", "twofold", 0.5, 4.0),
        ],
        columns=["panel", "series", "sparsity", "gain"],
    ).assign(seeds=[1, 3, 1, 1])
    claims = pd.DataFrame({"sparsity": [0.1, 0.9], "gain": [2.2, 14.0]})
    axes = plots.gain_panels(frame, claims)
    for ax, curve in zip(axes, (([0, 50], [3.0, 5.0]), ([50], [4.0])), strict=True):
        drawn = {line.get_label(): line for line in ax.lines}
        assert (list(drawn["twofold"].get_xdata()), list(drawn["twofold"].get_ydata())) == curve
        assert list(drawn["the talk"].get_ydata()) == [2.2, 14.0]
        assert ax.get_yscale() == "log"
        (hollow,) = (line for line in ax.lines if line.get_markerfacecolor() == "#ffffff")
        assert list(hollow.get_xdata()) == [50]  # of one seed
    assert axes[0].yaxis.get_major_formatter()(5.0, 0) == "5x"
    assert "sorcery" not in legend(axes[0])


def test_energy_against_sparsity():
    rows = [
        ("LFSR mask", 0.5, 5.0, 2.0),
        ("LFSR mask", 0.0, 10.0, 1.0),
        ("twofold", 0.5, 1.0, 10.0),
        ("joint", 0.9, 0.5, 20.0),
        ("sorcery", 0.9, 0.1, 100.0),
    ]
    frame = pd.DataFrame(rows, columns=["series", "sparsity", "energy_j", "gain"]).assign(seeds=3)
    claims = pd.DataFrame({"sparsity": [0.1], "gain": [2.5]})
    drawn = {line.get_label(): line for line in plots.energy_against_sparsity(frame, claims).lines}
    assert set(drawn.pop("dense, 8 bits").get_ydata()) == {10.0}
    assert {name: (list(line.get_xdata()), list(line.get_ydata())) for name, line in drawn.items()} == {
        "LFSR mask alone": ([0.0, 50.0], [10.0, 5.0]),
        "twofold, the talk's order": ([90.0], [0.5]),
        "twofold, codes chosen by energy": ([50.0], [1.0]),
        "the talk": ([10.0], [4.0]),
    }


ACCOUNTS = pd.DataFrame(
    {
        "network": ["dense", "mask", "mask"],
        "bar": ["crossbar", "packed", "grouped"],
        "cells_j": [4e-6, 2e-6, 2e-6],
        "sign_j": 1e-6,
        "adc_j": [2e-6, 1e-6, 1e-6],
        "input_j": [0.0, 1e-6, 0.0],
        "index_j": [0.0, 9e-6, 1e-6],
        "gain": [1.0, 0.5, 1.4],
        "edp_gain": [1.0, 0.048, 12.0],
        "arrays": [132.0, 81.0, 1552.0],
    }
)


@pytest.mark.parametrize("longest_j", [None, 8e-6])
def test_account_bars(longest_j):
    ax = plots.account_bars(ACCOUNTS, longest_j=longest_j)
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(len(plots.PARTS), 3)
    assert widths == pytest.approx(ACCOUNTS[[*plots.PARTS]].to_numpy().T)
    lefts = np.array([bar.get_x() for bar in ax.patches]).reshape(len(plots.PARTS), 3)
    assert lefts == pytest.approx(np.cumsum(widths, axis=0) - widths)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["crossbar", "packed", "grouped"]
    words = [text.get_text().strip() for text in ax.texts]
    assert words == [
        "1x, EDP 1x, 132 arrays",
        "0.5x, EDP 0.048x, 81 arrays",
        "1.4x, EDP 12x, 1,552 arrays",
        "dense",
        "mask",
    ]
    inside = [text.get_ha() == "right" for text in ax.texts[:3]]
    assert inside == [False, longest_j is not None, False]
    assert ax.yaxis_inverted()


def test_bars_of_a_phone_have_their_words_above_them():
    ax = plots.account_bars(ACCOUNTS.assign(network="a network that has more words than a phone has letters"))
    as_html(ax.figure)
    words = [text.get_text() for text in ax.texts]
    assert words[:2] == ["crossbar: 1x, EDP 1x, 132 arrays", "packed: 0.5x, EDP 0.048x, 81 arrays"]
    assert words[3:] == ["a network that has more words than a", "phone has letters"]
    room = ax.get_window_extent()
    for text in ax.texts:
        own = text.get_window_extent()
        assert room.x0 - 1 <= own.x0
        assert own.x1 <= ax.figure.bbox.x1
    assert len(ax.patches) == len(plots.PARTS) * len(ACCOUNTS)


def test_accuracy_against_gain():
    frame = pd.DataFrame(
        [
            ("cells", "twofold", 14.0, 88.0, True),
            ("cells", "twofold", 5.0, 89.0, True),
            ("cells", "twofold", 4.0, 87.0, False),
            ("cells", "trained otherwise", 20.0, 90.0, True),
            ("all", "fewer bits", 5.0, 91.0, True),
        ],
        columns=["panel", "series", "gain", "test_accuracy", "front"],
    ).assign(seeds=3)
    left, right = plots.accuracy_against_gain(frame, (2.2, 14.0))
    drawn = {line.get_label(): line for line in left.lines}
    assert list(drawn["twofold"].get_xdata()) == [5.0, 14.0]
    color, marker = plots.SERIES_STYLE["twofold"]
    assert colors.same_color(drawn["twofold"].get_color(), color)
    assert drawn["twofold"].get_marker() == marker
    (others,) = (line for line in left.lines if line.get_marker() == ".")
    assert sorted(others.get_xdata()) == [4.0, 20.0]
    assert [text.get_text().strip() for text in left.texts] == ["the talk's range"]
    assert not right.texts
    assert legend(left) == list(plots.SERIES_STYLE)
    height = left.yaxis.get_transform().transform(np.array([80.0, 90.0, 95.0]))
    assert np.diff(height) == pytest.approx(np.log10(2))


def test_lever_dots_say_what_has_not_finished():
    frame = pd.DataFrame(
        [
            ("3 bits", "slides", 5.0, 7.0),
            ("3 bits", "ISAAC", 2.0, 3.0),
            ("shared rows", "slides", np.nan, np.nan),
            ("shared rows", "ISAAC", np.nan, np.nan),
        ],
        columns=["lever", "panel", "gain", "edp_gain"],
    )
    slides, isaac = plots.lever_dots(frame)
    for ax, row in ((slides, [5.0, 7.0]), (isaac, [2.0, 3.0])):
        dots = {line.get_label(): line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"}
        assert list(dots.values()) == row
        assert [(text.get_position()[1], text.get_text().strip()) for text in ax.texts] == [
            (1, "not finished")
        ]
    assert [label.get_text() for label in slides.get_yticklabels()] == ["3 bits", "shared rows"]
    assert slides.yaxis_inverted()


def test_families_have_a_look_of_their_own_and_the_colors_of_their_methods():
    from companion.book.figures.basic import METHOD_STYLE
    from companion.book.series import FAMILIES

    for style in (plots.SERIES_STYLE, plots.RECIPE_STYLE):
        assert len(set(style.values())) == len(style)
    for method in ("dense-8bit", "bits", "rounded", "lfsr", "twofold", "magnitude-bits"):
        assert plots.SERIES_STYLE[FAMILIES[method]] == METHOD_STYLE[method][:2]
