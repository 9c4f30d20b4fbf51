"""The benchmarks' own machinery, and the committed timings as the book draws them."""

import json
import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from torchvision.models import resnet50

from companion.benchmarks import __main__ as bench
from companion.benchmarks import cases, growth
from companion.benchmarks import results as speed
from companion.benchmarks.cases import CASES, Case
from companion.book.figures import speed as plots_speed

matplotlib.use("Agg")

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


def case(name: str) -> Case:
    (found,) = (case for case in CASES if case.name == name)
    return found


# ---- comparisons ----


def test_peers_do_the_same_work():
    ours, peer = case("energy of 268,336 codes").make()
    assert torch.equal(ours(), peer())
    ours, peer = case("crossbar, 64x128 by 1,024 inputs").make()
    torch.testing.assert_close(ours(), peer().double(), rtol=1e-5, atol=1.0)
    for name, period in (("2^20 - 1 LFSR bits", 2**20 - 1), ("2^19 - 1 state words", 2**19 - 1)):
        ours, peer = case(name).make()
        theirs = peer()[0] if "bits" in name else peer()
        assert len(ours()) == len(theirs) == period
    for words in (ours(), theirs):  # every state but 0, once
        assert np.array_equal(np.sort(words), np.arange(1, 2**19))


def test_training_steps_train_what_they_say():
    attached = []

    def prepare(model):
        attached.append(cases.both_sparsities(model))
        return attached[0]

    step = cases.training_step(prepare)
    weight = attached[0].layers["conv1"].parametrizations.weight.original
    before = weight.detach().clone()
    step()
    step()
    assert not torch.equal(weight, before)
    assert attached[0].chooser.strength > 0
    assert attached[0].penalty() > 0


def test_brevitas_gives_every_weight_the_code_of_plain_rounding():
    pytest.importorskip("brevitas", reason="pip install --group bench brings Brevitas")
    from companion.study.zoo import build_model
    from twofold.codes.quantizer import dequantize, quantize, weight_scale
    from twofold.layer import weight_layers

    model = build_model("resnet20")
    cases.brevitas_int8(model)
    layers = weight_layers(model)
    assert len(layers) == 20
    for layer in layers.values():
        weight = layer.weight.detach()
        plain = dequantize(quantize(weight), weight_scale(weight))
        torch.testing.assert_close(layer.quant_weight().value.detach(), plain, rtol=1e-6, atol=0)


def test_masks_are_those_of_25_million_weights():
    with torch.device("meta"):
        layers = cases.weight_layers(resnet50())
    assert sum(layer.weight.numel() for layer in layers.values()) == pytest.approx(25.6e6, rel=0.005)


@pytest.mark.parametrize("goal, code, word", [(1e9, 0, "reached"), (1e-9, 1, "MISSED")])
def test_a_missed_goal_ends_with_1(goal, code, word, monkeypatch, capsys):
    works = Case("sum", "product", goal, lambda: (lambda: sum(range(999)), lambda: math.prod(range(99))))
    limit = Case("sum in time", "an hour", 1.0, lambda: (lambda: sum(range(999)), 3600.0))
    monkeypatch.setattr(bench, "CASES", [works, limit, *CASES])
    assert bench.main(["-k", "sum", "--seconds", "0.01"]) == code
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(f"goal {goal:.3f}: {word}")
    assert second.endswith("reached")
    assert "3600000.000 ms" in second


def test_all_of_them_make_the_table_that_the_book_reads(monkeypatch, repository):
    monkeypatch.setattr(bench, "CASES", [case("energy of 268,336 codes")])
    bench.main(["--seconds", "0.01", "--note", "a word"])
    (row,) = speed.benchmarks().to_dict("records")
    assert row["ratio"] == pytest.approx(row["ours_ms"] / row["peer_ms"], rel=1e-2)
    assert row["note"] == "a word"
    assert row["repeats"] >= 5
    elsewhere = speed.benchmarks().assign(device="another", note="stays")
    elsewhere.to_csv(repository / "data" / "benchmarks.csv", index=False)
    for word in ("first", "second"):
        bench.main(["--seconds", "0.01", "--note", word])
    assert speed.benchmarks().note.tolist() == ["stays", "second"]
    assert not speed.benchmarks().machine.str.contains("cores").any()
    assert row["torch"].split("+")[0] == torch.__version__.split("+")[0]


@pytest.mark.parametrize(
    "missing, words, told",
    [("", ["-k", "sorcery"], "'sorcery'; there are: 2^20"), ("no_such_package", [], "no_such_package is mi")],
)
def test_what_cannot_be_run_is_refused_before_anything_is(missing, words, told, monkeypatch, capsys):
    def never():
        raise AssertionError

    lists = [*CASES, Case("a", "b", 1.0, never, needs=missing)] if missing else CASES
    monkeypatch.setattr(bench, "CASES", lists)
    with pytest.raises(SystemExit) as end:
        bench.main(words)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


# ---- growth ----


@pytest.mark.slow
def test_growth_measures_in_a_process_of_its_own():
    words = [sys.executable, "-m", "companion.benchmarks.growth", "energy of the codes", "2000000", "1"]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    row = json.loads(done.stdout)
    assert (row["work"], row["weights"]) == ("energy of the codes", 2_000_000)
    assert row["seconds"] > 0
    assert 16 < row["peak_mb"] < 400  # the energies alone are 8 bytes each


@pytest.mark.parametrize("work", growth.WORKS)
def test_each_work_handles_the_weights_it_is_given(work):
    result = growth.WORKS[work](1000)()
    assert (result.keep if hasattr(result, "keep") else result).shape[0] == 1000


# ---- the committed tables, and their pictures ----


def test_committed_tables_hold_every_comparison_and_every_size():
    table, grown = speed.benchmarks(), speed.growth()
    named = {c.name: c.goal for c in CASES}
    for row in table.itertuples():
        assert row.goal == pytest.approx(named[row.work], rel=1e-3)
    for _, rows in table.groupby("device"):
        assert sorted(rows.work) == sorted(name for name in named if "GPU" not in name)
    assert not speed.not_measured()
    assert list(table.reached) == list(table.ratio <= table.goal)
    assert set(grown.work) == set(growth.WORKS)
    assert all(sorted(rows.weights) == growth.SIZES for _, rows in grown.groupby("work"))
    assert growth.SIZES[0] == 10**5
    assert growth.SIZES[-1] == 10**8


def test_only_measured_works_are_drawn():
    known = [work for work in growth.WORKS if work != speed.FLOOR]
    assert set(speed.growth(known[:1]).work) == {known[0], speed.FLOOR}
    with pytest.raises(ValueError, match="work 'sorcery' was not measured; there are LFSR bits"):
        speed.growth(["sorcery"])


def test_missing_and_damaged_tables_are_told(repository):
    with pytest.raises(
        FileNotFoundError, match=r"benchmarks.csv is missing; python -m companion.benchmarks makes it"
    ):
        speed.benchmarks()
    with pytest.raises(FileNotFoundError, match=r"python -m companion.benchmarks growth makes it"):
        speed.growth()
    (repository / "data" / "benchmarks.csv").write_text("work,peer\na,b\n")
    with pytest.raises(ValueError, match=r"no column ours_ms, peer_ms, ratio, goal, reached, device;"):
        speed.benchmarks()


def test_pictures_show_the_frames():
    rows = [("a", 0.1, 1.0, "one"), ("b", 3.0, 2.0, "one"), ("b", 1.0, 2.0, "two")]
    frame = pd.DataFrame(rows, columns=["work", "ratio", "goal", "machine"])
    ax = plots_speed.ratios(frame.assign(reached=frame.ratio <= frame.goal))
    goals, one, _, two, *_ = ax.collections
    assert goals.get_offsets().tolist() == [[1.0, 0.0], [2.0, 1.0]]
    assert one.get_offsets()[:, 0].tolist() == [0.1, 3.0]
    assert two.get_offsets()[:, 0].tolist() == [1.0]
    assert one.get_offsets()[:, 1].round().tolist() == [0, 1]
    reached, missed = (tuple(color) for color in one.get_facecolors())
    assert reached != missed
    assert tuple(two.get_facecolors()[0]) == reached
    rows = [(w, n, n * 1e-9, n * 1e-5) for w in ("a", "floor") for n in (10, 1000)]
    grown = pd.DataFrame(rows, columns=["work", "weights", "seconds", "peak_mb"])
    times, memory = plots_speed.growth(grown, "floor")
    assert [line.get_label() for line in times.get_lines()] == ["a", "floor"]
    assert memory.get_lines()[-1].get_ydata().tolist() == [40, 4000]
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
