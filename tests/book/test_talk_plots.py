"""Figures of the talk's result slides: what is drawn is what the frame holds."""

import pandas as pd
import pytest

from companion.book.figures import talk as plots

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def test_accuracy_in_steps():
    joint = pd.DataFrame(
        {
            "sparsity": [0.9, 0.5],
            "seeds": [1, 3],
            "accuracy_before_pruning": [80.0, 90.0],
            "accuracy_after_pruning": [60.0, 89.0],
            "test_accuracy": [75.0, 88.0],
            "lowest": [75.0, 87.5],
            "highest": [75.0, 88.5],
        }
    )
    control = pd.DataFrame(
        {"sparsity": [0.5], "seeds": 1, "test_accuracy": 90.0, "lowest": 90.0, "highest": 90.0}
    )
    ax = plots.accuracy_in_steps(joint, control, 91.5)
    drawn = {line.get_label(): line for line in ax.lines}
    assert set(drawn["dense, 8 bits"].get_ydata()) == {91.5}
    assert list(drawn["LFSR mask alone"].get_ydata()) == [90.0]
    for column, (words, *_) in plots.STEPS.items():
        line = drawn[words]
        assert list(line.get_xdata()) == [50.0, 90.0]
        assert list(line.get_ydata()) == joint[column].tolist()[::-1]
    spans = [segment[:, 1].tolist() for bars in ax.collections for segment in bars.get_segments()]
    assert [87.5, 88.5] in spans
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "#ffffff"]
    assert [list(line.get_xdata()) for line in hollow] == [[50.0], [90.0], [90.0]]  # what has one seed


def test_both_slides_have_one_legend():
    joint = pd.DataFrame({"sparsity": [0.5], "seeds": 1, "lowest": 88.0, "highest": 88.0})
    joint = joint.assign(**dict.fromkeys(plots.STEPS, 88.0))
    spent = pd.DataFrame({"series": ["LFSR mask"], "sparsity": 0.5, "seeds": 1, "energy_j": 5.0, "gain": 2.0})
    claims = pd.DataFrame({"sparsity": [0.1], "gain": [2.2]})
    left, right = plots.both_slides(joint, joint, 91.5, spent, claims)
    assert (left.get_legend(), right.get_legend()) == (None, None)
    (legend,) = left.figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert len(words) == len(set(words))
    assert {"after post-training", "twofold, codes chosen by energy", "the talk"} <= set(words)


def test_bit_terms():
    rows = [
        ("half", "counts", 60.0, 2e-7, 87.0),
        ("half", "counts", 20.0, 3e-7, 88.0),
        ("half", "planes", 0.15, 4.2e-7, 86.8),
        ("half", "planes", 0.6, 4e-7, 86.0),
        ("half", "planes", 1.0, 2e-7, 80.0),
        ("none", "energy", 125.0, 2e-7, 91.0),
    ]
    columns = ["panel", "bit_term", "strength", "energy_j", "test_accuracy"]
    axes = plots.bit_terms(pd.DataFrame(rows, columns=columns), pd.Series({"half": 88.5, "none": 91.6}))
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes] == ["half", "none"]
    for ax, level in zip(axes, (88.5, 91.6), strict=True):
        drawn = {line.get_label(): line for line in ax.lines}
        assert set(drawn["no bit term"].get_ydata()) == {level}
    drawn = {line.get_label(): line for line in axes[0].lines}
    counts = drawn[plots.TERMS["counts"][0]]
    assert (list(counts.get_xdata()), list(counts.get_ydata())) == ([3e-7, 2e-7], [88.0, 87.0])
    # Points of a line that lie together have one note.
    assert [text.get_text() for text in axes[0].texts] == ["0.15\N{EN DASH}0.6", "1", "20", "60"]
    assert [text.get_text() for text in axes[1].texts] == ["125"]
