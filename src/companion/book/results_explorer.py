"""What the results explorer reads: the table of machines with what is known of its runs, in columns."""

from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from companion.book.figures.basic import METHOD_STYLE
from companion.book.published import folder_address, published_at
from companion.study.grouping import recipe_names
from companion.study.machines import load_machines
from companion.study.names import NETWORK_WORDS
from companion.study.plan import EXPERIMENTS
from companion.study.results import load_results

__all__ = ["FIELDS", "NEEDS", "WITHOUT_SCRIPT", "Field", "results_explorer"]


NEEDS = (
    *("vendor/tabulator_simple.min.css", "runs-explorer.css"),
    *("vendor/tabulator.min.js", "vendor/chart.umd.min.js"),
)
"""Files of ``book/_extra/explore`` that its page loads besides."""


WITHOUT_SCRIPT = (
    "<p>The explorer needs JavaScript. Its table is the file <code>data/results/machines.csv</code> of the "
    "repository; <code>data/results/README.md</code> explains the columns.</p>"
)
"""What stands on the page where no script runs."""


@dataclass(frozen=True)
class Field:
    """A column of the explorer.

    Attributes
    ----------
    name
        In ``machines.csv``, or in ``runs.csv``; of the CSV that a reader downloads, too.
    words, unit
        As a page says it; an empty unit for what has none.
    of
        "recipe", the same on every machine and device table, or "row".
    kind
        "text", or "number", which can be an axis.
    scale
        What a number is multiplied by to be shown in `unit`.
    """

    name: str
    words: str
    unit: str
    of: Literal["recipe", "row"]
    kind: Literal["text", "number"]
    scale: float = 1.0


def _joules(name: str, words: str) -> Field:
    return Field(name, words, "µJ", "row", "number", 1e6)


FIELDS = (
    Field("label", "network", "", "recipe", "text"),
    Field("machine", "machine", "", "row", "text"),
    Field("table", "cells", "", "row", "text"),
    Field("accuracy", "accuracy", "%", "recipe", "number"),
    Field("gain", "gain in energy", "x", "row", "number"),
    Field("edp_gain", "gain in energy times delay", "x", "row", "number"),
    _joules("total_j", "energy: total"),
    _joules("cells_j", "energy: cells"),
    _joules("sign_j", "energy: signs"),
    _joules("adc_j", "energy: converters"),
    _joules("input_j", "energy: inputs"),
    _joules("index_j", "energy: index"),
    Field("arrays", "arrays", "", "row", "number"),
    Field("conversions", "conversions", "", "row", "number"),
    Field("cycles", "cycles", "", "row", "number"),
    Field("slowest_layer_cycles", "cycles of the slowest layer", "", "row", "number"),
    Field("method", "method", "", "recipe", "text"),
    Field("sparsity", "weights removed", "%", "recipe", "number", 100.0),
    Field("bits", "bits of a weight", "", "recipe", "number"),
    Field("group", "columns sharing an index", "", "recipe", "number"),
    Field("zero_codes", "zeros among the kept", "%", "recipe", "number", 100.0),
    Field("encoding", "encoding", "", "recipe", "text"),
    Field("generator", "index generator", "", "recipe", "text"),
    Field("network", "architecture", "", "recipe", "text"),
    Field("experiment", "experiment", "", "recipe", "text"),
    Field("seeds", "seeds", "", "recipe", "number"),
    Field("run", "recipe", "", "recipe", "text"),
)
"""Columns of the explorer, in order; data/results/README.md explains them."""


WORDS: dict[str, dict[str, str]] = {
    "method": {name: words for name, (_, _, words) in METHOD_STYLE.items()},
    "table": {"slides": "slides", "neurosim": "NeuroSim", "isaac": "ISAAC", "neurram": "NeuRRAM"},
    "network": NETWORK_WORDS | {"resnet20": "ResNet-20"},
    "encoding": {"twos_complement": "two's complement", "sign_magnitude": "sign and magnitude"},
    "generator": {"column": "column by column", "counter": "kernel counter", "": "none"},
}
"""Field -> value -> its words, where those are other than the value with blanks for its underscores."""


def results_explorer() -> dict:
    """The table of machines with what is known of its runs, ready for JSON.

    Returns
    -------
    dict
        ``fields``, as `FIELDS`. ``recipes`` and ``rows``: name of a field -> its values; ``rows`` has
        ``recipe`` besides, the number of a row's recipe. Numbers are those of the CSV files. ``folders``: of
        each recipe those of its runs. ``words``: text field -> value -> words, in the order in which a filter
        lists them. ``colors``: method -> color. ``questions``: experiment -> what it asks. ``repository``:
        the address that the names of folders are appended to; empty where the book names none.

    Raises
    ------
    ValueError
        A recipe of the table of machines has no run.
    """
    machines, runs = load_machines(), load_results()
    runs = runs.assign(recipe=recipe_names(runs), generator=runs.generator.fillna(""))
    folders = runs.groupby("recipe").run.apply(list)
    known = runs.drop_duplicates("recipe").set_index("recipe")
    known["zero_codes"] = runs.groupby("recipe").zero_codes.mean().round(6)
    if missing := sorted(set(machines.run) - set(known.index)):
        raise ValueError(
            f"the table of machines has recipes without a run, {', '.join(missing)}; `twofold machines` "
            "makes it anew"
        )
    recipes = machines.drop_duplicates("run").reset_index(drop=True)
    own = known.loc[recipes.run].reset_index(drop=True)
    for field in FIELDS:
        if field.of == "recipe" and field.name not in recipes:
            recipes[field.name] = own[field.name]
    number = pd.Series(recipes.index, index=recipes.run)
    texts = [field for field in FIELDS if field.kind == "text" and field.name not in ("label", "run")]
    return {
        "fields": [asdict(field) for field in FIELDS],
        "recipes": {field.name: recipes[field.name].tolist() for field in FIELDS if field.of == "recipe"},
        "rows": {
            "recipe": number.loc[machines.run].tolist(),
            **{field.name: machines[field.name].tolist() for field in FIELDS if field.of == "row"},
        },
        "folders": [[f"data/results/{run}" for run in folders[recipe]] for recipe in recipes.run],
        "words": {
            field.name: _words(field, (recipes if field.of == "recipe" else machines)[field.name])
            for field in texts
        },
        "colors": {name: color for name, (color, _, _) in METHOD_STYLE.items()},
        "questions": {experiment.name: experiment.question for experiment in EXPERIMENTS},
        "repository": folder_address(published_at(), ""),
    }


def _words(field: Field, values: pd.Series) -> dict[str, str]:
    """Words of every value there is: in the order of `WORDS`, then as they first occur."""
    own, there = WORDS.get(field.name, {}), list(dict.fromkeys(values))
    ordered = [value for value in own if value in there] + [value for value in there if value not in own]
    return {value: own.get(value, value.replace("_", " ")) for value in ordered}
