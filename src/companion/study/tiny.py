"""MLPerf Tiny's ResNet-8: what clears the benchmark's bar for few joules, and whether findings carry over."""

from collections.abc import Mapping

import pandas as pd

from companion.study.energies import energies
from companion.study.grouping import over_seeds
from companion.study.levers import best_machine
from companion.study.results import load_network
from twofold import Machine

__all__ = ["BAR", "BASELINE", "COMPARED", "WIDTHS", "cheapest_above", "lost_by_network", "priced_on_best"]


BAR = 85.0
"""Percent of CIFAR-10's test images that MLPerf Tiny asks of image classification."""


BASELINE = "resnet8-dense-b8-s1"
"""The dense 8-bit network, in a crossbar, that all gains of the benchmark's network are over."""


WIDTHS = {"resnet8": 1, "resnet8-w2": 2}
"""The benchmark's network and the wider one, and how many times as many channels they have."""


DENSE = {"resnet20": "dense-b8", "resnet8": "resnet8-dense-b8"}
"""Network -> its dense 8-bit recipe."""


def _in_both(name: str, in_resnet20: str = "") -> dict[str, str]:
    return {"resnet20": in_resnet20 or name, "resnet8": f"resnet8-{name}"}


COMPARED = {
    "cheap codes, 8 bits": _in_both("bits-mu125"),
    "3 bits": _in_both("rounded-b3-rows"),
    "3 bits, shared rows, 50 %": _in_both("twofold-col-g64-r50-mu0.8-b3-rows"),
    "3 bits, largest rows, 50 %": _in_both("magnitude-bits-g64-r50-mu0.8-b3-rows"),
    "LFSR mask, 50 %": _in_both("lfsr-r50"),
    "twofold, 50 %": _in_both("twofold-r50-mu125", "twofold-ms-r50-mu125"),
    "magnitude + bits, 50 %": _in_both("magnitude-bits-r50-mu125"),
    "LFSR mask, 90 %": _in_both("lfsr-r90"),
    "twofold, 90 %": _in_both("twofold-r90-mu125", "twofold-ms-r90-mu125"),
    "magnitude + bits, 90 %": _in_both("magnitude-bits-r90-mu125"),
}
"""Words of a figure -> by network, the recipe of the same strength and epochs. The twofold networks of
ResNet-20 have the generator of the first edition there, which does not matter for accuracy."""


def priced_on_best(
    runs: pd.DataFrame, machines: Mapping[str, Machine], baseline: str = BASELINE
) -> pd.DataFrame:
    """The recipes of some runs, each on the machine where it takes the least energy; means over seeds.

    Parameters
    ----------
    runs : quantized runs, rows of `results.load_results`
    machines : by dataflow, as `machines.whole_machines`
    baseline : the run that gains are over, on the machine of the dataflow ``crossbar``; networks of another
        width are held against it as well

    Returns
    -------
    DataFrame
        The columns of `energies.energies`, ``machine``, and ``bytes``: kept codes packed at their bits,
        scales, and seeds or a bitmap of each layer.
    """
    stored = [load_network(run).layers.values() for run in runs.run]
    runs = runs.assign(bytes=[float(sum(layer.bytes_packed for layer in layers)) for layers in stored])
    on_each = {
        name: over_seeds(energies(runs, machine, baseline, baseline_model=machines["crossbar"]))
        for name, machine in machines.items()
    }
    return best_machine(on_each)


def cheapest_above(recipes: pd.DataFrame, bar: float, by: str) -> pd.DataFrame:
    """Of each kind of network the one of the least ``energy_j`` whose ``test_accuracy`` (%) reaches a bar.

    Kinds of which no network reaches it are left out; rows in the order of their energy.

    Examples
    --------
    >>> networks = pd.DataFrame(
    ...     {
    ...         "kind": ["mask", "mask", "bits", "both"],
    ...         "test_accuracy": [86.0, 85.0, 87.0, 84.9],
    ...         "energy_j": [3e-6, 2e-6, 4e-6, 1e-6],
    ...     }
    ... )
    >>> cheapest_above(networks, 85.0, "kind")[["kind", "energy_j"]]
       kind  energy_j
    1  mask  0.000002
    2  bits  0.000004
    """
    above = recipes[recipes.test_accuracy >= bar].sort_values("energy_j", kind="stable")
    return above.drop_duplicates(by)


def lost_by_network(runs: pd.DataFrame) -> pd.DataFrame:
    """What each of `COMPARED` costs in ResNet-20 and in ResNet-8.

    Parameters
    ----------
    runs : rows of `results.load_results`

    Returns
    -------
    DataFrame
        A row a recipe and network, in their order: ``recipe``, ``network``, ``run`` (without its seed),
        ``test_accuracy`` (%) and ``lost``, points below the dense 8-bit network of the same kind, means over
        seeds; and ``seeds``. Recipes that have not finished in both networks are left out.
    """
    recipes = over_seeds(runs[runs.method != "dense"]).set_index("run")
    rows = []
    for recipe, names in COMPARED.items():
        if not set(names.values()) <= set(recipes.index):
            continue
        for network, run in names.items():
            own, dense = recipes.loc[run], recipes.test_accuracy[DENSE[network]]
            rows.append(
                {
                    "recipe": recipe,
                    "network": network,
                    "run": run,
                    "test_accuracy": own.test_accuracy,
                    "lost": dense - own.test_accuracy,
                    "seeds": own.seeds,
                }
            )
    return pd.DataFrame(rows)
