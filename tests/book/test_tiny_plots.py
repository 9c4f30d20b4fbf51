"""Figures of the benchmark's small network: what is drawn is what the frame holds."""

import pandas as pd
import pytest

from companion.book.figures import tiny as plots

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def test_joules_above_the_bar():
    frame = pd.DataFrame(
        {
            "series": ["twofold", "twofold", "dense, 8 bits"],
            "energy_j": [2e-6, 1e-6, 8e-6],
            "test_accuracy": [86.0, 80.0, 87.0],
            "seeds": [1, 1, 3],
        }
    )
    cheapest = frame.iloc[[0]].assign(note="twofold, 4x")
    ax = plots.joules_above_bar(frame, cheapest, 85.0)
    assert set(ax.lines[0].get_ydata()) == {85.0}
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn["twofold"].get_xdata()) == [2e-6, 1e-6]
    assert list(drawn["dense, 8 bits"].get_ydata()) == [87.0]
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "#ffffff"]
    assert [list(line.get_ydata()) for line in hollow] == [[86.0, 80.0]]  # of one seed
    assert (list(ax.lines[-1].get_xdata()), list(ax.lines[-1].get_ydata())) == ([2e-6], [86.0])  # the ring
    assert [text.get_text() for text in ax.texts] == ["the bar, 85 %", "twofold, 4x"]


def test_losses_in_both_networks():
    frame = pd.DataFrame(
        {
            "recipe": ["masks", "masks", "bits", "bits"],
            "network": ["resnet20", "resnet8"] * 2,
            "lost": [1.5, 2.5, 0.5, 0.25],
            "seeds": [3, 1, 1, 1],
        }
    )
    ax = plots.lost_in_both(frame)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["masks", "bits"]
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn["ResNet-20"].get_xdata()) == [1.5, 0.5]
    assert list(drawn["ResNet-8"].get_xdata()) == [2.5, 0.25]
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "#ffffff"]
    assert [list(line.get_xdata()) for line in hollow] == [[0.5], [2.5, 0.25]]  # of one seed


def test_networks_of_two_widths():
    frame = pd.DataFrame(
        {
            "series": ["twofold", "twofold", "twofold", "dense, 8 bits", "twofold", "twofold"],
            "width": [1, 1, 2, 1, 1, 1],
            "bits": [8, 8, 8, 8, 3, 3],
            "kept_weights": [10_000, 20_000, 20_000, 40_000, 30_000, 35_000],
            "energy_j": [1e-6, 3e-6, 2e-6, 9e-6, 4e-6, 5e-6],
            "test_accuracy": [70.0, 80.0, 82.0, 88.0, 75.0, 78.0],
            "seeds": [1, 2, 1, 2, 2, 2],
        }
    )
    weights = plots.wide_and_narrow(frame)
    joules = weights.figure.axes[1]
    for ax, column in ((weights, "kept_weights"), (joules, "energy_j")):
        drawn = {line.get_label(): line for line in ax.lines}
        assert list(drawn["twofold"].get_xdata()) == frame[column][:2].tolist()
        assert list(drawn["_twofold, wide"].get_xdata()) == [frame[column][2]]
        assert drawn["_twofold, wide"].get_markersize() > drawn["twofold"].get_markersize()
        short = drawn["_twofold, 3 bits"]
        assert list(short.get_xdata()) == frame[column][4:].tolist() and short.get_linestyle() == ":"
        assert drawn["dense, 8 bits"].get_linestyle() == "None"  # a mark alone, in the legend too
        hollow = [line for line in ax.lines if line.get_markerfacecolor() == "#ffffff"]
        assert sorted(list(line.get_xdata()) for line in hollow) == [[frame[column][0]], [frame[column][2]]]
    words = [text.get_text() for text in weights.figure.legends[0].get_texts()]
    assert sorted(words) == ["dense, 8 bits", "twofold"]
