"""The tables of the figures that move, against the library functions that a reader would call instead."""

import hashlib
import itertools
import json
import re
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.book.examples import (
    code_tables,
    over_chance,
    overlap_by_distance,
    register_tables,
    worked_example,
)
from companion.book.figures.first import still
from companion.book.first_figure import BEST, EVERYTHING, POINTS, SWITCHES, first_figure, start_of
from companion.book.glue import explorer
from companion.book.results_explorer import FIELDS, NEEDS, results_explorer
from companion.paths import book_dir, repository
from companion.study.grouping import recipe_names
from companion.study.machines import load_machines, whole_machine
from companion.study.results import load_network, load_results
from twofold import LFSR, Machine, Polynomial, lfsr_mask, load_cell_table, network_energy
from twofold.codes.encodings import ENCODINGS
from twofold.energy.price import network_totals
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import primitive_polynomial

REGISTERS = register_tables()
CELLS = load_cell_table()
codes_of = cache(partial(code_tables, CELLS))


def windows(bits: str, degree: int) -> list[int]:
    """The states of a cycle, as the docstring says that its text is to be read."""
    return [sum(int(bits[(t + i) % len(bits)]) << i for i in range(degree)) for t in range(len(bits))]


@pytest.mark.parametrize("degree", REGISTERS["degrees"])
def test_cycles_of_every_polynomial_part_the_nonzero_states(degree):
    for mask, cycles in REGISTERS["degrees"][degree]["cycles"].items():
        states = [state for bits in cycles for state in windows(bits, degree)]
        assert sorted(states) == list(range(1, 2**degree))
        assert (len(cycles) == 1) == Polynomial(mask).is_primitive()


@given(st.data())
def test_cycles_are_the_states_that_the_register_walks_through(data):
    degree = data.draw(st.sampled_from(list(REGISTERS["degrees"])))
    mask = data.draw(st.sampled_from(list(REGISTERS["degrees"][degree]["cycles"])))
    seed = data.draw(st.integers(1, 2**degree - 1))
    (walk,) = [
        states
        for bits in REGISTERS["degrees"][degree]["cycles"][mask]
        if seed in (states := windows(bits, degree))
    ]
    register = LFSR(Polynomial(mask), seed, require_primitive=False)
    at = walk.index(seed)
    assert register.period == len(walk)
    assert register.states(len(walk)).tolist() == walk[at:] + walk[:at]


def test_positions_are_those_of_the_index_generators():
    for size, entry in REGISTERS["sizes"].items():
        assert size % entry["columns"] == 0
        for degree, positions in entry["positions"]["multiply-shift"].items():
            states = np.arange(2**degree, dtype=np.uint32)
            assert positions == reduce_states(states, size, degree).tolist()


@given(st.data())
def test_skipped_states_are_those_of_the_walk_by_rejection(data):
    size = data.draw(st.sampled_from(list(REGISTERS["sizes"])))
    degree = data.draw(st.integers(size.bit_length(), 9))
    register = LFSR(primitive_polynomial(degree), data.draw(st.integers(1, 2**degree - 1)))
    mask = lfsr_mask((size,), 1.0, register.polynomial, register.seed, reduction="rejection")
    positions = REGISTERS["sizes"][size]["positions"]["rejection"][degree]
    walked = [positions[state] for state in register.states(mask.clocks)]
    assert [position for position in walked if position >= 0] == mask.order.tolist()


def test_layers_of_one_polynomial_have_anything_in_common():
    frame = overlap_by_distance(2304, 0.5, steps=8)
    one, each = (own.set_index("distance").overlap for _, own in frame.groupby("polynomials", sort=False))
    assert frame.polynomials.unique().tolist() == ["one polynomial for both layers", "a polynomial each"]
    assert (one[0.0], one[1.0]) == (1.0, 1.0)
    assert one.min() < 0.05
    assert each.between(0.42, 0.58).all()


def test_overlaps_are_over_chance_and_no_other_measure_is():
    rows = [
        ("rejection", 0.1, "overlap of layers", 0.09),
        ("iid", 0.5, "overlap of runs", 0.5),
        ("rejection", 0.1, "corr(i, i/2)", -0.25),
    ]
    found = over_chance(pd.DataFrame(rows, columns=["generator", "density", "measure", "value"]))
    assert found.value.tolist() == pytest.approx([0.9, 1.0, -0.25])


def test_default_taps_are_primitive_and_the_slides_register_is_there():
    assert all(Polynomial(entry["primitive"]).is_primitive() for entry in REGISTERS["degrees"].values())
    assert str(Polynomial(REGISTERS["degrees"][9]["primitive"])) == "x^9+x^4+1"
    assert 300 in REGISTERS["sizes"]


@pytest.mark.parametrize("bits", [4, 8])
@settings(max_examples=40)
@given(st.data())
def test_codes_are_those_of_the_worked_example(bits, data):
    weight, code = data.draw(st.sampled_from(codes_of(bits)["weights"]))
    for encoding in ENCODINGS:
        example = worked_example(weight, 1.0, bits, encoding, CELLS)
        shown = codes_of(bits)["codes"][code][encoding]
        assert set(example.code) == {code}
        assert shown["cells"] == list(example.bits)
        assert shown["ones"] == "".join(example.bits).count("1")
        assert shown["energy_pj"] == pytest.approx(1e12 * example.energy_j.sum(), abs=1e-6)


def test_tables_in_a_page_cannot_end_its_script():
    html = explorer("thing", {"text": "</script><b>"}).data
    content = html.split('id="thing-tables">')[1].split("</script>")[0]
    assert json.loads(content) == {"text": "</script><b>"}


# ---- the first figure ----


@pytest.fixture(scope="module")
def gains():
    return first_figure()


def states(**fixed: str):
    """Every state with these values."""
    wanted = [[fixed[name]] if name in fixed else list(values) for name, values in SWITCHES.items()]
    return list(itertools.product(*wanted))


def test_first_figure_has_every_state_and_at_most_six_points(gains):
    assert list(gains["gain"]) == list(gains["energy_uj"]) == [" ".join(state) for state in states()]
    assert len(gains["points"]) == len(POINTS) <= 6
    assert all(len(values) == len(POINTS) for values in gains["gain"].values())
    assert all(len(networks) == len(POINTS) for networks in gains["networks"].values())
    assert all(tuple(state) in states() for state in (gains["start"], *gains["views"].values()))


def test_first_figure_agrees_with_the_table_of_machines(gains):
    machines, seeds = load_machines().set_index(["run", "machine", "table"]), load_results()
    finished = recipe_names(seeds[~seeds.held_out]).value_counts()
    compared = 0
    for state in states(index="generated", converter="lossless", inputs="read"):
        if state[1] == BEST:
            continue
        key = " ".join(state)
        networks = gains["networks"][" ".join(state[:2])]
        for network, gain, energy_uj in zip(
            networks, gains["gain"][key], gains["energy_uj"][key], strict=True
        ):
            if (network["run"], *state[1::4]) not in machines.index:
                continue
            row = machines.loc[(network["run"], *state[1::4])]
            if row.seeds != finished[network["run"]]:
                continue  # a seed has finished since `twofold machines` made the table
            assert gain == pytest.approx(row.gain, rel=6e-4), (network["run"], key)
            assert energy_uj == pytest.approx(1e6 * row.total_j, rel=6e-4), (network["run"], key)
            assert network["accuracy"] == pytest.approx(row.accuracy, abs=1e-3)
            compared += 1
    assert compared >= 5 * 3 * len(SWITCHES["table"])


def test_best_machine_is_the_one_of_three_that_gains_most(gains):
    for state in states(machine=BEST):
        on_each = {
            machine: gains["gain"][" ".join((state[0], machine, *state[2:]))]
            for machine in ("crossbar", "packed", "grouped")
        }
        assert gains["gain"][" ".join(state)] == [
            max(values) for values in zip(*on_each.values(), strict=True)
        ]
        for i, machine in enumerate(gains["best"][" ".join(state)]):
            assert on_each[machine][i] == gains["gain"][" ".join(state)][i]


ACCOUNTS = {
    "index": {
        "free": {"index_rule": "free"},
        "generated": {"index_rule": "charged"},
        "stored": {"index_rule": "charged"},
    },
    "converter": {
        "none": {"adc_rule": "none"},
        "lossless": {"adc_rule": "column", "adc_energy_j": "walden"},
        "constant": {"adc_rule": "column", "adc_energy_j": CELLS.adc_energy_j},
    },
}
"""What a switch's value is in `Machine`."""


@pytest.mark.parametrize(
    "state",
    [
        ("50", "packed", "free", "none", "free", "slides"),
        ("50", "crossbar", "stored", "constant", "read", "neurram"),
        ("50", "packed", "stored", "lossless", "free", "isaac"),
        ("90", "grouped", "generated", "constant", "read", "neurosim"),
        ("90", "grouped", "stored", "none", "read", "slides"),
    ],
    ids=" ".join,
)
def test_first_figure_is_what_one_machine_says(gains, state):
    _, dataflow, index, converter, inputs, table = state
    whole = whole_machine(table, dataflow)
    charged = ACCOUNTS["index"][index] | ACCOUNTS["converter"][converter]
    machine = replace(whole, **charged, **({"input_memory": "none"} if inputs == "free" else {}))

    def spent_j(run: str, priced: Machine) -> float:
        network = load_network(run)
        stored = {name: replace(layer, generator=None) for name, layer in network.layers.items()}
        layers = stored if index == "stored" else network.layers
        return network_totals(network_energy(layers, network.activity, priced), network.images).total_j

    cheaper = replace(machine, dataflow="crossbar", input_memory="SRAM" if inputs == "read" else "none")
    dense_j = spent_j("dense-b8-s1", cheaper)
    networks = gains["networks"][" ".join(state[:2])]
    for network, gain in zip(networks, gains["gain"][" ".join(state)], strict=True):
        if network["seeds"] == 1:
            assert gain == pytest.approx(dense_j / spent_j(f"{network['run']}-s1", machine), rel=6e-4), (
                network["run"]
            )


def test_first_figure_takes_shared_rows_where_there_are_some(gains):
    where = {key: networks[3] for key, networks in gains["networks"].items()}
    assert where["50 grouped"]["shared"]
    assert not any(network["shared"] for key, network in where.items() if "grouped" not in key)
    indices = [network["index"] for network in gains["networks"]["50 packed"]]
    assert indices == ["none", "none", "none", "register", "memory", "register"]


def test_first_figure_starts_with_the_cells_of_the_page():
    assert start_of("rram_isaac") == (*EVERYTHING[:-1], "isaac")
    assert start_of("cells_of_my_own.csv") == EVERYTHING


def test_still_picture_has_every_point_with_its_name(gains):
    svg = ElementTree.fromstring(still(gains))
    space = "{http://www.w3.org/2000/svg}"
    circles = list(svg.iter("circle")) + list(svg.iter(f"{space}circle"))
    assert [circle.get("class") for circle in circles] == [point.key for point in POINTS]
    words = [text.text for text in svg.iter("text")]
    for point in POINTS:
        assert any(word.startswith(point.name) for word in words)
        assert point.name in svg.get("aria-label")
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


# ---- the results explorer ----


@pytest.fixture(scope="module")
def explored():
    return results_explorer()


def test_results_explorer_holds_the_table_of_machines(explored):
    machines = load_machines()
    recipe = np.array(explored["rows"]["recipe"])
    for field in FIELDS:
        columns = explored["rows" if field.of == "row" else "recipes"]
        values = np.array(columns[field.name])
        if field.of == "recipe":
            values = values[recipe]
        if field.name in machines:
            assert values.tolist() == machines[field.name].tolist(), field.name
        assert len(values) == len(machines)


def test_results_explorer_knows_the_runs_of_every_recipe(explored):
    runs = load_results().set_index("run")
    for number, (recipe, folders) in enumerate(
        zip(explored["recipes"]["run"], explored["folders"], strict=True)
    ):
        assert folders
        for folder in folders:
            assert (repository() / folder).is_dir()
            run = runs.loc[folder.removeprefix("data/results/")]
            assert recipe_names(run.to_frame().T.reset_index(names="run")).item() == recipe
            assert run.method == explored["recipes"]["method"][number]
            assert run.sparsity == explored["recipes"]["sparsity"][number]
    for name, words in explored["words"].items():
        of = next(field.of for field in FIELDS if field.name == name)
        assert set(words) == set(explored["rows" if of == "row" else "recipes"][name])
    assert set(explored["words"]["method"]) <= set(explored["colors"])
    assert set(explored["words"]["experiment"]) - {"own"} <= set(explored["questions"])


def test_results_explorer_links_to_folders_by_the_one_setting(explored, monkeypatch):
    assert explored["repository"] == ""
    monkeypatch.setattr(
        "companion.book.results_explorer.published_at", lambda: "https://github.com/OWNER/NAME"
    )
    assert results_explorer()["repository"] == "https://github.com/OWNER/NAME/tree/main/"


def test_results_explorer_refuses_a_recipe_without_runs(monkeypatch):
    odd = load_machines().replace({"run": {"dense-b8": "dense-b9"}})
    monkeypatch.setattr("companion.book.results_explorer.load_machines", lambda: odd)
    with pytest.raises(ValueError, match="without a run, dense-b9"):
        results_explorer()


def test_results_explorer_and_its_libraries_weigh_at_most_a_megabyte_and_a_half(explored):
    content = json.dumps(explored, allow_nan=False)
    folder = book_dir() / "_extra" / "explore"
    files = [folder / name for name in (*NEEDS, "runs-explorer.js")]
    assert len(content) + sum(file.stat().st_size for file in files) <= 1_500_000


def test_vendored_libraries_are_those_that_the_list_names():
    folder = book_dir() / "_extra" / "explore" / "vendor"
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    listed = dict(
        re.fullmatch(r"\| `(.+?)` \|.* `(.{64})` \|", line).groups() for line in lines if "` |" in line
    )
    there = {file.name for file in folder.iterdir() if file.suffix in (".js", ".css")}
    assert set(listed) == there == {Path(name).name for name in NEEDS if name.startswith("vendor/")}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert all((folder / f"LICENSE-{name}.txt").is_file() for name in ("tabulator", "chart"))


def test_an_explorer_loads_what_it_needs_first():
    html = explorer("thing", {}, still="<p>Still.</p>", needs=["a.css", "vendor/b.js"]).data
    assert '<div class="explorer" id="thing"><p>Still.</p></div>' in html
    order = ['href="explore/a.css"', 'src="explore/vendor/b.js"', 'src="explore/thing.js"']
    assert [html.index(part) for part in order] == sorted(html.index(part) for part in order)
