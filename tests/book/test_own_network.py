"""A report by the parts of a network, and what an outlier costs the other weights."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from companion.book.own_network import bars_by_machine, by_part, by_strength, outlier_errors, train_dense
from companion.study.energies import cells_only
from twofold import Twofold, report


@pytest.fixture
def made():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(4, 2))
    return report(Twofold(copy.deepcopy(model), density=0.5), baseline=model)


def test_parts_have_the_sums_of_their_layers(made):
    table = by_part(made, {"hidden": "[01]", "last": "2"})
    assert table.shape == (3, 6) and table.layers.tolist() == ["hidden", "last", "total"]
    assert table.weights.tolist() == [96, 8, 104]
    frame, (hidden, last, total) = made.frame, table["energy (nJ)"]
    assert hidden == pytest.approx(1e9 * frame.energy_j[:2].sum()) and total == pytest.approx(hidden + last)
    assert table["gain (x)"][2] == pytest.approx(made.total.gain)
    assert table["code 0 (%)"][2] == pytest.approx(100 * made.total.zero_codes)
    assert table["file (kB)"][2] == pytest.approx(made.total.bytes_packed / 1e3)


def test_every_layer_is_of_a_part_and_every_part_has_layers(made):
    with pytest.raises(ValueError, match=r"layer '2' fits none of 0, 1"):
        by_part(made, {"first": "0", "second": "1"})
    with pytest.raises(ValueError, match=r"no layer fits rnn\.\*"):
        by_part(made, {"all": "*", "recurrent": "rnn.*"})


def test_a_baseline_learns_and_leaves_the_random_numbers_of_the_page_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    labels = torch.randint(2, (100,))
    images = torch.randn(100, 1, 2, 2) + 4 * labels[:, None, None, None]
    state = torch.get_rng_state()
    train_dense(model, torch.optim.SGD(model.parameters(), lr=0.1), images, labels, steps=50)
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    assert (model(images).argmax(1) == labels).double().mean() > 0.9


def test_gains_of_bars_are_over_the_first(made):
    bars = bars_by_machine({"dense": made, "twofold": made})
    assert (bars.bar.tolist(), bars.gain.tolist()) == (["dense", "twofold"], [1.0, 1.0])
    frame = made.frame.assign(energy_j=made.frame.energy_j / 2, cycles=made.frame.cycles / 3)
    bars = bars_by_machine({"dense": made, "twofold": replace(made, frame=frame)})
    assert bars.gain.tolist() == pytest.approx([1, 2]) and bars.edp_gain.tolist() == pytest.approx([1, 6])


def test_a_stronger_price_moves_codes_further_and_gains_more(study):
    table = by_strength(study, cells_only("packed"))
    assert table.strength.is_monotonic_increasing and table["gain (x)"].is_monotonic_increasing
    assert table["steps for 1 pJ"].pow(2).tolist() == pytest.approx(table.strength.tolist())
    runs = study.set_index("run")
    lost = runs.test_accuracy["dense-b8-s1"] - runs.test_accuracy["bits-mu125-s1"]
    assert table.set_index("strength")["lost (points)"][125.0] == pytest.approx(lost)


def test_an_outlier_costs_all_others_with_one_scale_a_layer_only():
    weight = torch.randn(32, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    errors = outlier_errors(weight, [1, 10, 100], bits=8).pivot(
        index="outlier", columns="scale", values="snr_db"
    )
    layer, channel = errors["one scale a layer"], errors["a scale a channel"]
    assert layer[1] - layer[10] == pytest.approx(20, abs=1)  # ten times the step
    assert channel[1] == pytest.approx(channel[100], abs=0.5)
