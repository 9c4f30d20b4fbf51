"""Reports against sums by hand, from every kind of source, and as a reader sees them."""

import copy
import math
from dataclasses import replace

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from torch import nn

import twofold
from companion.study.networks import FinishedNetwork, load_codes, save_codes
from companion.study.zoo import build_model
from twofold.codes.tables import cell_table, load_cell_table
from twofold.energy.machine import Machine
from twofold.energy.price import PARTS
from twofold.inputs.activity import Activity, measure_activity
from twofold.inputs.scales import activation_scales
from twofold.layer import StoredLayer
from twofold.reports import Report, report
from twofold.sparsity.twofold import Twofold

SMALL = cell_table({0: 1e-15, 1: 10e-15}, adc_energy_j=100e-15, name="small")


@pytest.fixture(scope="module")
def images():
    return torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def attached():
    torch.manual_seed(0)
    model = build_model("digits-net", 10, 1)
    dense = copy.deepcopy(model)
    sparsity = Twofold(model, density=0.5, strength=60.0)
    sparsity.advance(1.0)
    return sparsity, dense


def test_a_layer_by_hand():
    """Two outputs of three inputs, 2 bits in two 1-bit cells each: ones cost 10 fJ, zeros 1 fJ."""
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0, -1.0], [1.0, 1.0, 0.0]]))
    sparsity = Twofold(model, bits=2, table=SMALL)
    whole = report(sparsity, dataflow="crossbar")
    row = whole.frame.iloc[0]
    # 01 00 11 / 01 01 00 in two's complement: five ones, seven zeros.
    assert row.cells_j == pytest.approx(57e-15)
    assert row.adc_j == pytest.approx(4 * 100e-15)  # two columns of two cells, one group of rows
    assert row.energy_j == pytest.approx(457e-15)
    assert (row.sign_j, row.sign_cells) == (0, 0)  # the sign bit has a column of its own
    assert (row.arrays, row.conversions, row.cycles) == (1, 4, 1)  # a converter each, three inputs at once
    assert (row.layer, row["shape"], row.weights, row.kept, row.cells, row.bits) == ("0", "2x3", 6, 6, 12, 2)
    assert row.zero_codes == pytest.approx(2 / 6)
    assert (row.bytes_packed, row.bytes_int8) == (2 + 8, 6 + 4)  # 12 bits, scale and seed
    assert whole.total.energy_j == row.energy_j
    assert (
        "crossbar dataflow, encoding twos_complement, ADC per column of 128 rows, inputs free, table small"
        in whole.title
    )


def test_all_ones_is_said_and_is_the_cell_energy_of_the_codes(attached):
    sparsity, _ = attached
    made = report(sparsity, adc_rule="none")
    assert "all ones (the slides' counting" in made.title
    assert "no ADC" in made.title
    kept = made.total.kept
    assert made.total.cells_j / kept * 1e12 == pytest.approx(sparsity.status()["cell_energy_pj"])
    assert made.total.zero_codes == pytest.approx(sparsity.status()["zero_codes"])


def test_total_is_the_sum_of_the_layers(attached):
    sparsity, dense = attached
    charged = {"adc_rule": "cell", "input_memory": "register file", "index_rule": "charged"}
    made = report(sparsity, baseline=dense, **charged, lig_energy_j=1e-12)
    counts = ("weights", "kept", "cells", "sign_cells", "arrays", "bytes_packed", "bytes_int8", "cycles")
    for column in (*counts, *PARTS, "conversions"):
        assert made.total[column] == pytest.approx(made.frame[column].sum())
        assert made.total[column] > 0
    assert made.total.energy_j == pytest.approx(made.total[[*PARTS]].sum())
    assert made.total.slowest_cycles == made.frame.cycles.max()
    assert made.total.gain == pytest.approx(made.frame.baseline_j.sum() / made.frame.energy_j.sum())
    faster = made.frame.baseline_cycles.sum() / made.frame.cycles.sum()
    assert made.total.edp_gain == pytest.approx(made.total.gain * faster)
    assert "ADC per cell, inputs from register file, index charged" in made.title


def test_columns_that_share_rows_are_reported_in_groups():
    model = nn.Sequential(nn.Linear(64, 16, bias=False))
    codes, keep = torch.ones(16, 64, dtype=torch.int8), (torch.arange(64) < 32).expand(16, 64)
    layer = StoredLayer(codes * keep, 1.0, keep, group=16)
    made = report({"0": layer}, baseline=model)
    assert "grouped dataflow" in made.title
    assert (made.total.arrays, made.total.cycles) == (1, 8)  # 32 inputs; 80 columns of cells take 5 cycles
    assert "packed dataflow" in report({"0": replace(layer, group=1)}).title
    whole = report({"0": layer}, Machine.whole(load_cell_table(), "grouped"))
    assert "by Walden's law, inputs from SRAM, index charged" in whole.title
    assert whole.total.index_j == pytest.approx(2 * 5e-12)  # a bit a row
    text = str(whole)
    assert all(f"{part} (" in text for part in ("cells", "sign", "adc", "input", "index"))
    assert "input" not in str(made).split("\n\n")[1]  # what is free has no column


def test_every_source_tells_the_same(attached, images, tmp_path):
    sparsity, dense = attached
    training = report(sparsity, images=images, baseline=dense)
    layers = sparsity.finish()
    activity = measure_activity(sparsity.model, images, scales=activation_scales(sparsity.model, images))
    network = FinishedNetwork.from_model(
        sparsity.model, layers, network="digits-net", classes=10, channels_in=1, activity=activity
    )
    save_codes(tmp_path / "net.safetensors", network)
    loaded = load_codes(tmp_path / "net.safetensors")
    for other in (
        report(layers, activity=activity, baseline=dense),
        report(loaded, baseline=dense),
        report(loaded, images=images, baseline=dense),
    ):
        same = [c for c in other.frame if c != "activity"]
        pd.testing.assert_frame_equal(other.frame[same], training.frame[same])
    assert "measured, mean of 12 images" in training.title
    assert "measured, mean of 12 reads of fc1" in report(loaded).title


def test_depthwise_layers_and_layers_that_are_left_out(tmp_path):
    """Two groups of one channel: each output reads its own inputs, by hand from the images' ones."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2, bias=False), nn.Flatten(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    sparsity = Twofold(model, exclude="2", bits=2, table=SMALL)
    images = torch.tensor([[[[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]]])
    made = report(sparsity, images=images, adc_rule="none")
    # 1 is 01, 11 fJ; -1 is 11, 20 fJ; the largest input is 255, eight ones: three such inputs, and one.
    assert made.total.cells_j == pytest.approx((8 * 3 * 11 + 8 * 20) * 1e-15)
    assert list(made.frame.layer) == ["0"]
    assert report(sparsity, adc_rule="none").total.cells_j == pytest.approx(31e-15)
    sparsity.finish()
    twofold.save(tmp_path / "net.safetensors", sparsity)
    loaded = twofold.load(tmp_path / "net.safetensors")
    assert report(loaded, adc_rule="none", table=SMALL).total.cells_j == pytest.approx(31e-15)
    assert report(sparsity, images=images, adc_rule="none").total.cells_j == made.total.cells_j


@pytest.mark.slow
def test_the_large_networks_of_torchvision():
    """Masks, memory and energy of ResNet-50 and MobileNetV3, random weights."""
    from torchvision.models import get_model

    for name in ("resnet50", "mobilenet_v3_large"):
        model = get_model(name, weights=None)
        dense = copy.deepcopy(model)
        sparsity = Twofold(model, density=0.5, strength=60.0)
        sparsity.advance(1.0)
        made = report(sparsity, images=torch.randn(1, 3, 64, 64), baseline=dense, adc_rule="none")
        weights = sum(p.numel() for n, p in dense.named_parameters() if p.dim() > 1)
        assert made.total.weights == weights
        assert made.total.kept == pytest.approx(weights / 2, rel=1e-3)
        assert made.total.bytes_packed == pytest.approx(weights / 2, rel=1e-2)
        assert made.total.gain > 2


def test_the_baseline_is_priced_on_the_same_machine(attached):
    sparsity, dense = attached
    untrained = Twofold(copy.deepcopy(dense))  # rounded and nothing else: what a module's baseline means
    machine = replace(Machine.cells_only(sparsity.table, "crossbar"), encoding="sign_magnitude")
    by_module = report(sparsity, machine, baseline=dense)
    by_twofold = report(sparsity, machine, baseline=untrained)
    pd.testing.assert_frame_equal(by_module.frame, by_twofold.frame)
    own = report(untrained, machine, baseline=dense)
    assert own.frame.gain.tolist() == pytest.approx([1.0] * 4)
    assert own.total.gain_best_untrained <= 1
    energies = {
        e: report(untrained, machine, encoding=e).total.energy_j for e in ("differential", "offset_binary")
    }
    assert own.total.gain_best_untrained <= min(energies.values()) / own.total.energy_j * (1 + 1e-9)


def test_a_mask_without_a_generator_pays_for_its_bitmap():
    model = nn.Sequential(nn.Linear(8, 10, bias=False))
    assert report(Twofold(copy.deepcopy(model), density=0.5)).total.bytes_packed == 40 + 8
    assert report(Twofold(model, density=0.5, mask="iid")).total.bytes_packed == 40 + 8 + 10


def test_a_mask_without_a_generator_pays_for_its_index_where_generators_are_paid():
    model = nn.Linear(64, 10, bias=False)
    made = report(Twofold(model, density=0.5, mask="iid"), index_rule="charged")
    assert made.total.index_j == pytest.approx(640 / 32 * 5e-12)  # a bitmap, which is cheapest here


def test_text_is_aligned_and_html_is_a_table(attached):
    sparsity, dense = attached
    made = report(sparsity, baseline=dense)
    text = str(made)
    title, table = text.split("\n\n")
    assert " ".join(title.split()) == made.title
    assert max(map(len, title.splitlines())) <= 110
    lines = table.splitlines()
    assert len(set(map(len, lines))) == 1
    assert [line.split()[0] for line in lines] == ["layer", "conv1", "conv2", "fc1", "fc2", "total"]
    assert "energy (nJ)" in lines[0]
    assert "packed (kB)" in lines[0]
    assert "e-" not in table  # no exponents: prefixes
    html = BeautifulSoup(made._repr_html_(), "html.parser")
    assert html.caption.text == made.title
    assert len(html.select("tbody tr")) == 5
    assert html.select("thead th")[0].text == "layer"
    assert html.select("tbody tr")[-1].td.text == "total"


def test_html_escapes_what_the_user_named():
    table = cell_table({0: 0.0, 1: 1e-15}, adc_energy_j=0.0, name="<b>mine</b>")
    assert "<b>" not in report(Twofold(nn.Linear(2, 2)), table=table)._repr_html_()


@pytest.mark.parametrize(
    "energy, shown", [(0.0, "(J)"), (3e-19, "(fJ)"), (5e-10, "(pJ)"), (1e-9, "(nJ)"), (2e12, "(GJ)")]
)
def test_prefixes_at_the_edges(energy, shown):
    frame = report(Twofold(nn.Linear(2, 2))).frame
    assert f"energy {shown}" in str(Report(frame.assign(**dict.fromkeys(PARTS, 0.0), energy_j=energy), ""))


def test_a_layer_without_joules_has_no_gain():
    free = cell_table({0: 0.0, 1: 0.0}, adc_energy_j=0.0)
    model = nn.Sequential(nn.Linear(2, 2))
    made = report(Twofold(copy.deepcopy(model), table=free), baseline=model)
    assert math.isnan(made.total.gain)
    assert "nan" not in str(made)


# ---- errors ----


def test_what_is_no_source_is_told_what_is():
    with pytest.raises(TypeError, match=r"not Linear; attach it first: Twofold\(model\)"):
        report(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="not list"):
        report([1])
    with pytest.raises(ValueError, match="no layers"):
        report({})


def test_one_image_needs_an_axis_that_counts_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(-3), nn.Linear(144, 2))
    sparsity, images = Twofold(model), torch.rand(1, 3, 8, 8)
    assert "mean of 1 images" in str(report(sparsity, images=images))
    with pytest.raises(
        ValueError, match=r"layer 0, a convolution, got .* shape \(3, 8, 8\); the images need a first"
    ):
        report(sparsity, images=images[0])


def test_bad_options_are_quoted(attached, images):
    sparsity, dense = attached
    layers = sparsity.codes()
    narrower = {name: replace(layer, codes=layer.codes // 32, bits=4) for name, layer in layers.items()}
    signed = {name: replace(layer, encoding="signed_rows") for name, layer in layers.items()}
    changed = {"conv1": replace(layers["conv1"], codes=layers["conv1"].codes.clone())}
    changed["conv1"].codes.fill_(-128)
    for call, error, message in (
        (lambda: report(sparsity, dataflows="packed"), TypeError, "no option dataflows; a machine has table"),
        (lambda: report(sparsity, array_rows=0), ValueError, "array_rows is 0, allowed are whole numbers"),
        (lambda: report(sparsity, bits=4), TypeError, "no option bits; a machine has table"),
        (lambda: report(layers, images=images), ValueError, "codes alone"),
        (lambda: report(changed), ValueError, "layer conv1: codes span"),
        (lambda: report(layers, baseline=narrower), ValueError, "has codes of 4 bits, the network of 8"),
        (lambda: report(layers, baseline=nn.Linear(2, 2)), ValueError, "baseline has no layer conv1"),
        (
            lambda: report(signed, encoding="offset_binary"),
            ValueError,
            "encoding is 'offset_binary', but the codes of layer conv1 were chosen for 'signed_rows'",
        ),
        (
            lambda: report(sparsity, activity={"fc2": measured(dense, images)["fc2"]}),
            ValueError,
            "no activity of layer conv1, conv2, fc1; there is fc2",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("dataflow", ["crossbar", "grouped", "packed"])
def test_each_group_of_a_convolution_is_a_crossbar_without_images_too(dataflow, tmp_path):
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1))
    sparsity = Twofold(model, density=0.5)
    machine = Machine.whole(load_cell_table(), dataflow)
    rows = {"0": Activity.all_ones(8 * 9), "1": Activity.all_ones(8)}
    expected = report(sparsity, machine, activity=rows).total
    assert dataflow != "crossbar" or expected.arrays == 8 + 1
    twofold.save(tmp_path / "net", sparsity)
    for source in (sparsity, twofold.load(tmp_path / "net")):
        found = report(source, machine).total
        for column in ("energy_j", "input_j", "arrays", "cycles", "conversions"):
            assert found[column] == expected[column], column


def test_a_baseline_that_is_sparse_itself_is_refused(attached):
    sparsity, dense = attached
    said = r"baseline is a \w+ that a Twofold was attached to, .* copy.deepcopy\(model\)"
    for model in (sparsity.model, copy.deepcopy(sparsity.model), torch.compile(sparsity.model)):
        with pytest.raises(ValueError, match=said):
            report(sparsity, baseline=model)
    layers = sparsity.finish()
    with pytest.raises(ValueError, match=said):
        report(sparsity, baseline=sparsity.model)
    assert report(layers, baseline=dense).total.gain > 1
    nn.init.constant_(dense.fc1.weight, math.nan)
    with pytest.raises(ValueError, match=r"the baseline's layer 'fc1': \d+ of \d+ weights are NaN"):
        report(layers, baseline=dense)


def measured(model, images):
    return measure_activity(model, images, scales=activation_scales(model, images))


def test_total_gains_count_the_baseline_of_layers_without_joules():
    """A layer whose codes are all 0, in cells that cost nothing for 0, has no gain of its own."""
    table = cell_table({0: 0.0, 1: 1e-14, 2: 2e-14, 3: 3e-14}, adc_energy_j=0.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    dense, sparsity = copy.deepcopy(model), Twofold(model, density=0.5, table=table)
    with torch.no_grad():
        model[2].parametrizations.weight.original.zero_()
    found = report(sparsity, baseline=dense)
    assert math.isnan(found.frame.gain_best_untrained[1])
    cheapest_j = min(
        report(Twofold(copy.deepcopy(dense), table=table), encoding=encoding).total.energy_j
        for encoding in ("twos_complement", "offset_binary", "sign_magnitude", "differential", "signed_rows")
    )
    assert found.total.baseline_best_j == pytest.approx(cheapest_j, rel=1e-12)
    assert found.total.gain_best_untrained == pytest.approx(cheapest_j / found.total.energy_j, rel=1e-12)


def test_attention_left_out_by_type_needs_no_activity():
    """Its out_proj is a linear layer that is never called as one."""
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    sparsity = Twofold(encoder, density=0.5, exclude=nn.MultiheadAttention)
    assert list(sparsity.layers) == ["linear1", "linear2"]
    assert report(sparsity, images=torch.randn(2, 5, 16)).total.energy_j > 0


def lazy():
    return nn.Sequential(nn.LazyLinear(3))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"machine": "grouped"}, TypeError, "machine is 'grouped'; it must be a Machine"),
        ({"activity": 5}, TypeError, "activity is 5; it must be an Activity by layer"),
        ({"activity": {"0": 5}}, TypeError, "activity is {'0': 5}; it must be an Activity by layer"),
        ({"inputs": nn.Linear(7, 3)}, TypeError, "inputs is a Linear; allowed are"),
        ({"inputs": ((np.ones((2, 7)),), {})}, TypeError, "inputs hold a numpy array; torch.from_numpy"),
        ({"images": torch.ones(2, 7, device="meta")}, ValueError, "images is on the meta device"),
        ({"baseline": lazy()}, ValueError, "the baseline's layer 0 has no values"),
        ({"baseline": nn.Sequential(nn.Linear(7, 3)).to("meta")}, ValueError, "baseline's layer 0 has no va"),
    ],
)
def test_sources_of_another_kind_are_told(options, error, said, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    with pytest.raises(error, match=said):
        report(Twofold(nn.Sequential(nn.Linear(7, 3))), **options)


@pytest.mark.parametrize("shape", [(7,), (0, 7)])
def test_images_have_an_axis_of_images(shape):
    with pytest.raises(
        ValueError, match=rf"images is of shape .{shape[0]},.*its first axis must count the images"
    ):
        report(Twofold(nn.Sequential(nn.Linear(7, 3))), images=torch.randn(*shape))
