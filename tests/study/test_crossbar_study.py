"""The sweep on a network of its own, and what the chapter computes from committed codes."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from companion import paths
from companion.study.config import RunConfig
from companion.study.crossbar import (
    Point,
    cell_levels,
    column_loads,
    converter_energies,
    gains_by_levels,
    load_crossbar,
    needed_bits,
    sweep,
)
from companion.study.energies import layer_energies
from companion.study.images import load_images, normalize
from companion.study.results import collect, load_network
from companion.study.run import execute
from companion.study.train import evaluate
from twofold.codes.tables import load_cell_table
from twofold.crossbar.adc import Adc
from twofold.crossbar.device import Device
from twofold.crossbar.matrix import Crossbar
from twofold.energy.machine import Machine
from twofold.inputs.scales import activation_scales, quantized_activations

NO_ADC = Adc(range_rule="none")


# ---- the sweep ----


@pytest.fixture
def finished(repository, one_thread):
    config = RunConfig(
        run="small", method="dense-8bit", dataset="digits", network="digits-net", epochs=2, batch_size=64
    )
    execute(config, progress_bar=False)
    collect()
    return "small"


def test_sweep_measures_each_point_once_and_goes_on_after_a_kill(finished):
    points = [
        Point(run=finished, adc_range="none", images=100),
        Point(run=finished, adc_range="worst_case", adc_bits=9, images=100),
        Point(run=finished, adc_range="calibrated", adc_bits=2, percentile=90.0, images=100),
        Point(run=finished, adc_range="none", images=100, variation=0.1, seed=3),
    ]
    first = sweep(points)
    next(first)
    with pytest.raises(RuntimeError, match="another process is sweeping"):
        next(sweep(points))
    first.close()
    assert [row["adc_range"] for row in sweep(points)] == ["worst_case", "calibrated", "none"]
    assert list(sweep(points)) == []
    frame = load_crossbar()
    assert len(frame) == 4
    assert not list(paths.results_dir().glob("*.partial"))

    network = load_network(finished)
    train, test = load_images("digits")
    model = network.build()
    with quantized_activations(model, activation_scales(model, normalize(train[:1000]))):
        w8a8 = evaluate(model, test[:100])
    # No converter, and one that loses nothing: the accuracy of the integers.
    assert list(frame.test_accuracy[:2]) == [pytest.approx(w8a8)] * 2
    assert frame.test_accuracy[2] < w8a8
    assert set(frame.images) == {100}

    # Codes trained anew: their rows no longer count, and are measured anew.
    path = paths.results_dir() / finished / "codes.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    assert load_crossbar().empty

    table = paths.results_dir() / "crossbar.csv"
    table.write_text(table.read_text().replace("results_version", "version"))
    with pytest.raises(ValueError, match="it has no column results_version"):
        load_crossbar()
    with pytest.raises(FileNotFoundError):
        load_crossbar(table.with_name("none.csv"))


def test_points_that_cannot_be():
    with pytest.raises(ValueError, match="slices are"):
        Point(run="a", adc_range="none", slices="2-2").machine()
    with pytest.raises(ValueError, match="invalid literal"):
        Point(run="a", adc_range="none", slices="two").machine()


def test_a_point_s_levels_are_even_or_a_table_s():
    even = Point(run="a", adc_range="none", r_hrs_ohm=188_608.0).machine().device
    given = Point(run="a", adc_range="none", levels="rram_2bit_cell", variation=0.1).machine().device
    table = load_cell_table().with_even_levels()
    as_programmed = Device.of_table(table).conductances(2)
    assert even.conductances(2).numpy() == pytest.approx(as_programmed.numpy(), rel=1e-5)
    assert given.conductances(2).numpy() * 1e4 == pytest.approx([e / 1.49 for e in (0.079, 0.36, 0.73, 1.49)])
    assert given.variation == 0.1
    with pytest.raises(FileNotFoundError, match="no energy table gold"):
        Point(run="a", adc_range="none", levels="gold").machine()


# ---- from committed codes ----


def test_gains_by_levels_are_those_of_two_tables():
    table, runs = load_cell_table(), ["dense-b8-s1", "bits-mu125-s1"]
    frame = gains_by_levels(runs, table)
    assert list(frame.index) == runs
    assert (frame.loc["dense-b8-s1"].filter(like="gain") == 1).all()
    for word, cells in (("given", table), ("even", table.with_even_levels())):
        machine = Machine.cells_only(cells, "crossbar")
        dense, own = (layer_energies(run, machine).total_j.sum() for run in runs)
        assert frame[f"cells (µJ), {word}"].tolist() == pytest.approx([1e6 * dense, 1e6 * own])
        assert frame[f"gain, {word}"]["bits-mu125-s1"] == pytest.approx(dense / own)
        whole = Machine.whole(cells, "crossbar")
        dense, own = (layer_energies(run, whole).total_j.sum() for run in runs)
        assert frame[f"whole gain, {word}"]["bits-mu125-s1"] == pytest.approx(dense / own)


def test_energies_with_converters_are_those_of_the_accounts():
    table = load_cell_table()
    machine = Crossbar(adc=NO_ADC, encoding="offset_binary", array_rows=64)  # no column for the sign
    frame = converter_energies(["dense-b8-s1"], machine, table, {"slides": table.adc_energy_j, "free": 0.0})
    model = Machine.cells_only(table, "crossbar")
    model = replace(model, encoding="offset_binary", adc_rule="column", array_rows=64)
    charged = layer_energies("dense-b8-s1", model)[["cells_j", "sign_j", "adc_j", "total_j"]].sum()
    slides, free = frame.itertuples(index=False)
    assert (slides.cells_j, slides.sign_j, slides.adc_j, slides.total_j) == pytest.approx(tuple(charged))
    assert free.total_j == pytest.approx(charged.cells_j)


def test_sign_column_is_one_in_five_and_idle_columns_can_be_left_out():
    table, machine = load_cell_table(), Crossbar(adc=NO_ADC)
    (all_of_them,) = converter_energies(["bits-mu250-s1"], machine, table, {"": 1.0}).conversions
    model = replace(Machine.cells_only(table, "crossbar"), adc_rule="column")
    charged = layer_energies("bits-mu250-s1", model)
    assert all_of_them == pytest.approx(float(charged.conversions.sum()))
    four = layer_energies("bits-mu250-s1", replace(model, encoding="offset_binary"))
    assert all_of_them == pytest.approx(5 / 4 * float(four.conversions.sum()))
    (fewer,) = converter_energies(["bits-mu250-s1"], machine, table, {"": 1.0}, skip_idle=True).conversions
    assert 0 < fewer < all_of_them
    with pytest.raises(ValueError, match="the table rram_2bit_cell has 2-bit cells"):
        converter_energies(["bits-mu250-s1"], Crossbar(adc=NO_ADC, slices=(4, 4)), table, {})


def test_loads_are_the_sums_of_the_stored_levels():
    machine = Crossbar(adc=NO_ADC, encoding="offset_binary", array_rows=10_000)
    frame = column_loads(["dense-b8-s1"], machine)
    network = load_network("dense-b8-s1")
    largest, means = 0, []
    for name, layer in network.layers.items():
        top = (layer.codes.flatten(1).long() + 128) >> 6
        largest = max(largest, int(top.sum(1).max()))
        activity = network.activity[name]
        share = activity.row_ones / (activity.reads * 8)
        means.append(top.double() @ share)
    assert frame.largest[0] == largest
    assert frame["mean"][0] == pytest.approx(float(torch.cat(means).mean()))
    assert list(frame.worst_case) == [30_000] * 4


def test_levels_of_cells_as_given_and_even():
    frame = cell_levels(load_cell_table())
    given, even = frame["as the table has them"], frame["programmed evenly"]
    assert list(frame.index) == ["00", "01", "10", "11"]
    assert list(given["pJ a read"]) == pytest.approx([0.079, 0.36, 0.73, 1.49])
    assert list(given.level) == pytest.approx([3 * (pj - 0.079) / 1.411 for pj in given["pJ a read"]])
    assert list(even.level) == pytest.approx([0, 1, 2, 3])
    assert list(even["pJ a read"]) == pytest.approx([0.079, 0.549333, 1.019667, 1.49], rel=1e-5)


def test_fewest_bits_are_those_within_a_point_of_none():
    rows = [
        ("a", "none", math.nan, 90.0),
        *[("a", "calibrated", bits, accuracy) for bits, accuracy in ((8, 90), (6, 89.1), (5, 88.9))],
        ("a", "worst_case", 8, 50.0),
        ("b", "none", math.nan, 80.0),
        ("b", "calibrated", 4, 79.5),
        ("c", "calibrated", 8, 79.5),
    ]
    frame = pd.DataFrame(rows, columns=["run", "adc_range", "adc_bits", "test_accuracy"])
    found = needed_bits(frame)
    assert found.calibrated.to_dict() == {"a": 6, "b": 4}
    assert list(found) == ["calibrated"]
    assert needed_bits(frame[frame.adc_range == "none"]).empty
