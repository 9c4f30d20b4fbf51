"""The benchmark's small network: prices, the bar, and losses beside ResNet-20's."""

import math

import pandas as pd
import pytest

from companion.study.machines import whole_machines
from companion.study.results import load_network, load_results
from companion.study.tiny import COMPARED, lost_by_network, priced_on_best
from twofold import load_cell_table, network_energy

RUNS = ("dense-b8-s1", "lfsr-r50-s1", "magnitude-r50-s1", "rounded-b3-rows-s1")


def test_each_recipe_is_priced_where_it_takes_least():
    machines = whole_machines(load_cell_table())
    runs = load_results()
    recipes = priced_on_best(runs[runs.run.isin(RUNS)], machines, "dense-b8-s1").set_index("run")

    def image_j(run: str, machine: str) -> float:
        network = load_network(run)
        priced = network_energy(network.layers, network.activity, machines[machine])
        return priced.total_j.sum() / network.images

    for run in RUNS:
        own_j = {machine: image_j(run, machine) for machine in machines}
        row = recipes.loc[run.removesuffix("-s1")]
        assert row.machine == min(own_j, key=lambda machine: own_j[machine])
        assert row.energy_j == pytest.approx(min(own_j.values()))
        assert row.gain == pytest.approx(image_j("dense-b8-s1", "crossbar") / row.energy_j)


def test_bytes_are_codes_scales_and_a_seed_or_a_bitmap():
    machines = {"crossbar": whole_machines(load_cell_table())["crossbar"]}
    runs = load_results()
    recipes = priced_on_best(runs[runs.run.isin(RUNS)], machines, "dense-b8-s1").set_index("run")
    for run, recipe, bits, bitmap in (
        ("lfsr-r50-s1", "lfsr-r50", 8, False),
        ("magnitude-r50-s1", "magnitude-r50", 8, True),
        ("rounded-b3-rows-s1", "rounded-b3-rows", 3, False),
    ):
        expected = 0
        for layer in load_network(run).layers.values():
            kept = int(layer.keep.sum())
            expected += math.ceil(kept * bits / 8) + 4 + 4  # codes, a scale, a seed
            expected += math.ceil(layer.keep.numel() / 8) if bitmap else 0
        assert recipes.loc[recipe, "bytes"] == expected


def test_losses_stand_side_by_side_where_both_networks_have_finished():
    recipe, names = next(iter(COMPARED.items()))
    runs = load_results()
    dense, one, short = (
        runs[runs.run == run] for run in ("dense-b8-s1", "bits-mu125-s1", "rounded-b3-rows-s1")
    )

    def of(frame: pd.DataFrame, run: str, accuracy: float, seed: int = 1) -> pd.DataFrame:
        network = "resnet8" if run.startswith("resnet8") else "resnet20"
        return frame.assign(run=f"{run}-s{seed}", seed=seed, test_accuracy=accuracy, network=network)

    made = [
        of(dense, "dense-b8", 91.0),
        of(dense, "dense-b8", 92.0, seed=2),
        of(dense, "resnet8-dense-b8", 87.0),
        of(one, names["resnet20"], 91.0),
        of(one, names["resnet8"], 85.0),
        of(short, COMPARED["3 bits"]["resnet20"], 80.0),  # not finished in the other
    ]
    lost = lost_by_network(pd.concat(made, ignore_index=True))
    assert lost.recipe.tolist() == [recipe] * 2
    assert lost.set_index("network").lost.to_dict() == {"resnet20": 0.5, "resnet8": 2.0}
