"""What is drawn is what the frame holds: values are read back from the Axes."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from companion.book.figures import basic as plots
from companion.book.figures import crossbar as plots_crossbar
from companion.book.figures import lig as plots_lig
from companion.book.figures.notes import write_notes
from companion.book.figures.page import as_html

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def lines(ax: Axes) -> dict[str, tuple[list, list]]:
    """Label -> points of each labeled line."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.get_lines()
        if not line.get_label().startswith("_")
    }


def points_of(ax: Axes) -> list[tuple[list, list]]:
    """The points of each line, labeled or not."""
    return [([*line.get_xdata()], [*line.get_ydata()]) for line in ax.get_lines()]


def by_legend(ax: Axes) -> dict[str, tuple[list, list]]:
    """The same for seaborn, whose lines are named by the colors of its legend."""
    names = {
        colors.to_hex(handle.get_color()): text.get_text()
        for handle, text in zip(ax.get_legend().get_lines(), ax.get_legend().get_texts(), strict=True)
    }
    return {
        names[colors.to_hex(line.get_color())]: (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.get_lines()
        if len(line.get_xdata())
    }


RUNS = pd.DataFrame(
    [
        ("dense", "", 0.0, 0.0, 91.0, 91.0, 91.0, np.nan, 1.0, ""),
        ("lfsr", "", 0.0, 0.5, 89.5, 89.0, 90.0, 4e-7, 2.5, "50 %"),
        ("lfsr", "", 0.0, 0.9, 84.0, 84.0, 84.0, 1e-7, 8.0, "90 %"),
        ("bits", "", 125.0, 0.0, 90.0, 90.0, 90.0, 2e-7, 4.0, "µ 125"),
        ("twofold", "", 60.0, 0.9, 82.0, 82.0, 82.0, 3e-8, 20.0, "90 %, µ 60"),
        ("twofold", "", 250.0, 0.9, 80.0, 80.0, 80.0, 2e-8, 30.0, "90 %, µ 250"),
        ("twofold", "", 250.0, 0.5, 85.0, 85.0, 85.0, 5e-8, 12.0, "50 %, µ 250"),
        ("twofold", "signed rows", 80.0, 0.5, 86.0, 86.0, 86.0, 6e-8, 11.0, "50 %, µ 80"),
    ],
    columns="method series strength sparsity test_accuracy lowest highest energy_j gain note".split(),
).assign(seeds=3, bits=8, bit_term=lambda frame: frame.strength.map(lambda s: "energy" if s else None))


def test_every_method_has_a_look_of_its_own():
    from companion.study.config import METHODS

    assert plots.METHOD_STYLE.keys() == METHODS.keys()
    for part in (slice(0, 2), slice(2, 3)):
        looks = [style[part] for style in plots.METHOD_STYLE.values()]
        assert len(set(looks)) == len(looks)


def test_style_is_set():
    with matplotlib.rc_context():
        plots.use_style()
        assert plt.rcParams["axes.spines.right"] is False
        cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
        assert [colors.to_hex(c).upper() for c in cycle] == plots.PALETTE


@pytest.mark.parametrize("log", [False, True])
def test_bars(log):
    frame = pd.DataFrame({"what": ["ADD", "DRAM"], "energy_j": [9e-13, 6.4e-10]}, index=[7, 3])
    ax = plots.bars(frame, "energy_j", "what", unit="J", log=log)
    assert [bar.get_width() for bar in ax.patches] == [9e-13, 6.4e-10]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["ADD", "DRAM"]
    assert [text.get_text().strip() for text in ax.texts] == ["900 fJ", "640 pJ"]
    assert ax.yaxis_inverted()  # the frame's first row on top
    assert (ax.get_xscale() == "log") == log


def test_points():
    frame = pd.DataFrame({"clock": [0, 1, 2, 3], "index": [5, 2, 9, 1], "form": ["a", "a", "b", "b"]})
    for hue in (None, "form"):
        ax = plots.points(frame, "clock", "index", hue=hue)
        offsets = np.asarray(ax.collections[0].get_offsets())
        assert offsets.tolist() == [[0, 5], [1, 2], [2, 9], [3, 1]]
        assert (ax.get_legend() is not None) == (hue is not None)


@pytest.mark.parametrize("count", [1, 3])
def test_masks(count):
    named = {f"mask {i}": np.random.default_rng(i).random((6, 4)) < 0.5 for i in range(count)}
    axes = plots.masks(named)
    place = plt.rcParams["axes.titlelocation"]  # whichever style is in force
    assert [ax.get_title(loc=place) for ax in axes] == list(named)
    for ax, keep in zip(axes, named.values(), strict=True):
        assert np.array_equal(np.asarray(ax.images[0].get_array()), keep)


def test_masks_into_axes_of_the_callers():
    mine = list(plt.subplots(1, 2)[1])
    assert plots.masks({"a": np.eye(3), "b": np.ones((3, 3))}, ax=mine) == mine


def over_codes(y: str, hue: str) -> pd.DataFrame:
    values = [0.5, 0.2, 0.3, 0.1, 0.8, 0.1]
    return pd.DataFrame({"code": [-1, 0, 1] * 2, y: values, hue: ["a_b"] * 3 + ["c"] * 3})


def test_code_energies_have_a_panel_an_encoding():
    axes = plots.code_energies(over_codes("energy_j", "encoding"))
    drawn = {ax.get_title("left") or ax.get_title(): ax.lines[0] for ax in axes}
    assert {name: list(line.get_ydata()) for name, line in drawn.items()} == {
        "a_b": [0.5, 0.2, 0.3],
        "c": [0.1, 0.8, 0.1],
    }
    assert all(list(line.get_xdata()) == [-1, 0, 1] for line in drawn.values())
    assert all(ax.get_ylim()[0] == 0 for ax in axes)


def test_curves():
    frame = pd.DataFrame({"epoch": [1, 2, 1, 2], "loss": [2.0, 1.0, 3.0, 0.5], "run": ["a", "a", "b", "b"]})
    ax = plots.curves(frame, "epoch", "loss", hue="run", ylabel="loss of a batch")
    assert by_legend(ax) == {"a": ([1, 2], [2.0, 1.0]), "b": ([1, 2], [3.0, 0.5])}
    assert ax.get_ylabel() == "loss of a batch"
    assert plots.curves(frame, "epoch", "loss", hue="run").get_ylabel() == "loss"


def test_accuracy_against_what_is_removed():
    literature = pd.DataFrame({"sparsity": [0.67, 0.89], "test_accuracy": [92.0, 90.9]})
    between = RUNS[(RUNS.method == "lfsr") & (RUNS.sparsity == 0.9)].assign(sparsity=0.7)
    own = pd.concat([RUNS[RUNS.method == "lfsr"], between])
    ax = plots.accuracy_curves(own, RUNS[RUNS.method == "bits"], literature)
    gray, mask = ax.lines
    assert gray.get_xydata().tolist() == [[0.0, 90.0], [67.0, 92.0], [89.0, 90.9]]
    assert mask.get_xydata().tolist() == [[50.0, 89.5], [70.0, 84.0], [90.0, 84.0]]
    assert mask.get_linestyle() == "-"
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(6).tolist()}
    assert corners == {(50.0, 89.0), (50.0, 90.0), (70.0, 84.0), (90.0, 84.0)}
    assert [(note.xy, note.get_text()) for note in ax.texts] == [((90.0, 84.0), "LFSR mask")]
    # Two points are not joined: accuracy bends too much between them.
    single = RUNS[RUNS.method == "lfsr"].assign(seeds=[3, 1])
    two = plots.accuracy_curves(single, RUNS[:0], literature)
    assert two.lines[1].get_linestyle() == "None"
    assert two.lines[2].get_xydata().tolist() == [[90.0, 84.0]]  # hollow, of one seed
    assert two.lines[2].get_markerfacecolor() == "#ffffff"


def test_notes_step_aside_for_lines_and_stay_on_a_phone():
    """A note that would lie on a line stands beside it; on a phone none widens the panel."""
    x, y = pd.Series([0.0, 10.0]), pd.Series([90.0, 91.0])
    ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")[1]
    ax.plot([0, 10], [90, 90], marker="o")
    write_notes(ax, x, y, ["a network", "another network"], ["black"] * 2)
    ax.figure.canvas.draw()
    line = ax.transData.transform((5.0, 90.0))[1]
    assert not ax.texts[0].get_window_extent().y0 < line < ax.texts[0].get_window_extent().y1
    assert ax.texts[1].get_window_extent().x0 > ax.transData.transform((10.0, 91.0))[0]
    as_html(ax.figure)
    assert [text.get_text() for text in ax.texts] == ["a network", "another network"]
    assert all(text.get_window_extent().x1 < ax.figure.bbox.x1 for text in ax.texts)


def test_errors_are_drawn_on_a_logarithmic_scale():
    """Halving the error takes the same height anywhere, and 100 % has a place."""
    ax = plots.accuracy_curves(RUNS, RUNS[:0], RUNS[:0])
    height = ax.yaxis.get_transform().transform(np.array([60.0, 80.0, 90.0, 95.0, 100.0]))
    assert np.diff(height)[:3] == pytest.approx(np.log10(2), rel=1e-12)
    assert np.isfinite(height).all()


def test_notes_step_aside_for_one_another_and_for_points():
    """Three points at less than a note's height from each other: no two notes overlap, none hides a point."""
    x, y = pd.Series([1.0, 1.1, 1.2, 3.0]), pd.Series([90.0, 90.2, 89.9, 50.0])
    ax = plt.subplots(figsize=(7.2, 4.4))[1]
    ax.plot(x, y, "o")
    write_notes(ax, x, y, ["50 %", "50 %, µ 125", "50 %, µ 500", "50 %"], ["black"] * 4)
    ax.figure.canvas.draw()
    boxes = [note.get_window_extent() for note in ax.texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    spots = ax.transData.transform(np.column_stack([x, y]))
    assert not any(box.contains(*spot) for box in boxes for spot in spots)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.bars(RUNS, "gain", "method", unit="", ax=ax),
        lambda ax: plots.points(RUNS, "sparsity", "gain", ax=ax),
        lambda ax: plots.curves(RUNS, "sparsity", "gain", hue="method", ax=ax),
    ],
)
def test_axes_of_the_callers_are_used(draw):
    mine = plt.subplots()[1]
    assert draw(mine) is mine
    assert len(plt.get_fignums()) == 1


def test_waves_draw_what_the_trace_holds():
    from companion.book.figures.lig import waves
    from companion.study.verilog import lig_model

    trace = lig_model(14, seed=101, kept=9, stall=7)
    ax = waves(trace)
    named = [label.get_text() for label in ax.get_yticklabels()]
    assert named == list(trace)
    valid, ready, last = (line.get_ydata()[::2] for line in ax.get_lines())
    for name, drawn in (("valid", valid), ("ready", ready), ("last", last)):
        assert [y < named.index(name) for y in drawn] == trace[name].astype(bool).tolist()
    texts = {(round(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in ax.texts}
    for row, name in enumerate(("state", "raw", "index")):
        shown = {clock: text for (at, clock), text in texts.items() if at == row}
        assert shown == {clock: str(v) for clock, v in enumerate(trace[name]) if v >= 0}


# ---- the crossbar chapter ----

SWEEP = pd.DataFrame(
    [
        ("dense, 8 bits", "dense-8bit", 0.0, 5, "calibrated", 50.0),
        ("dense, 8 bits", "dense-8bit", 0.0, 4, "calibrated", 10.0),
        ("twofold, µ 60", "twofold", 0.5, 5, "calibrated", 70.0),
        ("twofold, µ 60", "twofold", 0.5, 5, "calibrated", 74.0),
        ("twofold, µ 250", "twofold", 0.5, 5, "worst_case", 80.0),
    ],
    columns=["label", "method", "sparsity", "bits", "range", "test_accuracy"],
)


def test_accuracy_curves():
    left, right = plots_crossbar.accuracy_curves(SWEEP, "bits", "bits of the converter", "range")
    drawn = {line.get_label(): line for line in left.lines}
    assert list(drawn["dense, 8 bits"].get_xdata()) == [4, 5]
    assert list(drawn["dense, 8 bits"].get_ydata()) == [10.0, 50.0]
    assert list(drawn["twofold, µ 60"].get_ydata()) == [72.0]  # the mean of two seeds
    assert list(left.get_xticks()) == [4, 5]
    color, marker, _ = plots.METHOD_STYLE["twofold"]
    (strong,) = right.lines
    for line in (drawn["twofold, µ 60"], strong):
        assert colors.same_color(line.get_color(), color)
        assert line.get_marker() == marker
    assert drawn["dense, 8 bits"].get_linestyle() != strong.get_linestyle()  # more is removed
    assert {text.get_text() for text in left.figure.legends[0].texts} == set(SWEEP.label)


def test_accuracy_curves_of_nothing():
    (ax,) = plots_crossbar.accuracy_curves(SWEEP[:0], "bits", "bits", "range")
    assert not ax.lines
    assert not ax.figure.legends


def test_what_is_marked_has_a_line_in_every_panel():
    axes = plots_crossbar.accuracy_curves(SWEEP, "bits", "bits", "range", marked=5)
    assert [list(ax.lines[-1].get_xdata()) for ax in axes] == [[5, 5], [5, 5]]
    assert {text.get_text() for text in axes[0].figure.legends[0].texts} == set(SWEEP.label)


def test_column_loads():
    loads = pd.DataFrame(
        {"slice": [0, 1, 0, 1], "mean": [3.0, 9.0, 1.0, 2.0], "label": ["a", "a", "b", "b"]}
    ).assign(largest=[30.0, 90.0, 10.0, 20.0], worst_case=384, method=["dense-8bit"] * 2 + ["twofold"] * 2)
    ax = plots_crossbar.column_loads(loads)
    drawn = [list(line.get_ydata()) for line in ax.lines]
    assert drawn == [[384, 384], [3, 9], [30, 90], [1, 2], [10, 20]]
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.figure.legends[0].texts] == ["a", "b"]


# ---- the index generator ----


def test_ranges():
    frame = pd.DataFrame({"ones": [0, 2], "min": [1.0, 2.0], "mean": [1.5, 4.0], "max": [3.0, 5.0]})
    ax = plots.ranges(frame, "ones")
    assert ax.lines[0].get_xydata().tolist() == [[0, 1.5], [2, 4.0]]
    bars = [path.vertices.tolist() for path in ax.collections[0].get_paths()]
    assert bars == [[[0, 1.0], [0, 3.0]], [[2, 2.0], [2, 5.0]]]


def test_dots():
    frame = pd.DataFrame({"what": ["ADD", "DRAM"], "energy_j": [9e-13, 6.4e-10]}, index=[7, 3])
    ax = plots.dots(frame, "energy_j", "what", unit="J")
    assert points_of(ax) == [([9e-13, 6.4e-10], [0, 1])]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["ADD", "DRAM"]
    assert [text.get_text() for text in ax.texts] == ["900 fJ", "640 pJ"]
    assert ax.yaxis_inverted()
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize("outputs", [["index"], ["row", "column"]])
def test_waves(outputs):
    clocks = {"state": [1, 256, 128], "valid": [1, 1, 0], "ready": [0, 1, 1], "last": [0, 0, 0]}
    frame = pd.DataFrame(clocks)
    for number, name in enumerate(outputs):
        frame.insert(1 + number, name, [0, 127, -1])
    ax = plots_lig.waves(frame)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(frame)
    boxes = [box for box in ax.collections if box.get_hatch()]
    assert len(boxes) == 2 * len(outputs)  # held back, and not valid
    assert [text.get_text() for text in ax.texts] == ["1", "256", "128", *["0", "127"] * len(outputs)]
    assert len(ax.get_lines()) == 3


def test_walks():
    frame = pd.DataFrame(
        {
            "generator": ["rejection"] * 3 + ["multiply-shift"] * 2,
            "clock": [0, 1, 2, 0, 1],
            "position": [5, 310, 7, 4, 4],
            "handed": [True, False, True, True, False],
        }
    )
    left, right = plots_lig.walks(frame, {"rejection": 3, "multiply-shift": 1}, 300)
    assert lines(left) == {"handed on": ([0, 2], [5, 7]), "skipped": ([1], [310])}
    assert lines(right) == {"handed on": ([0], [4]), "skipped": ([1], [4])}
    assert [line.get_xdata()[0] for line in left.get_lines()[2:3]] == [3]
    assert [line.get_ydata()[0] for line in left.get_lines()[3:]] == [300]


def test_measures_of_one_kind_share_a_scale_and_the_dotted_line_is_chance():
    values = {"overlap of layers": 1.0, "overlap of runs": 0.8, "corr(i, i/2)": 0.25, "clocks an index": 1.5}
    rows = [
        (kind, density, measure, value + density / 100)
        for kind in ("iid", "rejection")
        for density in (0.1, 0.5, 0.9)
        for measure, value in values.items()
    ]
    frame = pd.DataFrame(rows, columns=["generator", "density", "measure", "value"])
    names = {"rejection": "by rejection", "iid": "by chance"}
    layers, runs, shift, clocks = plots_lig.mask_quality(frame, names, {name: name for name in values})
    assert layers.get_xlim() == runs.get_xlim() != clocks.get_xlim()
    assert [label.get_text() for label in layers.get_yticklabels()] == ["by rejection", "by chance"]
    assert layers.get_ylim()[0] > layers.get_ylim()[1]  # the first is at the top
    *marks, chance = shift.lines
    assert [list(own.get_xdata()) for own in marks] == [
        pytest.approx([0.25 + d / 100] * 2) for d in (0.1, 0.5, 0.9)
    ]
    assert set(chance.get_xdata()) == {0}
    assert set(clocks.lines[-1].get_xdata()) == {1}


def test_index_energy():
    frame = pd.DataFrame(
        {
            "group": [1, 1, 8],
            "density": [0.5, 0.1, 0.5],
            "way": "rejection",
            "weight_j": [2e-13, 3e-13, 4e-14],
        }
    )
    one, eight = plots_lig.index_energy(frame, {"rejection": "by rejection", "SRAM": "s"}, {1: "one", 8: "8"})
    assert lines(one) == {"by rejection": ([10.0, 50.0], [pytest.approx(0.3), pytest.approx(0.2)])}
    assert lines(eight) == {"by rejection": ([50.0], [pytest.approx(0.04)])}
    assert one.get_yscale() == "log"
