"""Every chapter, run for real by papermill: at its defaults and with two other sets of parameters."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from companion.book.chapters import build_page, chapter_path, execute_chapter

SETTINGS: dict[str, list[tuple[dict, set[str]]]] = {
    "index": [
        ({"cell_table": "rram_isaac"}, {"explorer 1", "fig-two-slides", "table 1"}),
        ({"cell_table": "rram_neurosim"}, {"explorer 1", "fig-two-slides", "table 1"}),
    ],
    "01-motivation": [
        ({"r_lrs_ohm": 5000.0, "r_hrs_ohm": 1000000.0, "v_read_v": 0.3}, {"table 1"}),
        ({"v_read_v": 0.1, "cell_table": "rram_isaac"}, {"fig-cells", "fig-limits", "table 1"}),
    ],
    "02-lfsr": [
        (
            {"polynomial": "x^12+x^6+x^4+x+1", "form": "galois", "size_m": 2304, "density": 0.1, "rows": 32},
            {"drawing 1", "fig-distance", "fig-groups", "fig-lig", "fig-masks"},
        ),
        (
            {"seed": 77, "reduction": "modulo", "density": 0.9, "columns": 100, "run": "lfsr-ms-r50-s1"},
            {"fig-bytes", "fig-distance", "fig-groups", "fig-lig", "fig-masks"},
        ),
    ],
    "03-bits": [
        (
            {"bits": 6, "encoding": "sign_magnitude", "weight": 0.5},
            {"drawing 1", "explorer 1", "fig-codes", "fig-encodings", "fig-ones"},
        ),
        (
            {"bits": 4, "encoding": "differential", "scale": 2.0},
            {"drawing 1", "explorer 1", "fig-codes", "fig-encodings", "fig-ones"},
        ),
    ],
    "04-training": [
        ({"method": "magnitude", "sparsity": 0.9, "epochs": 4, "prune_epoch": 2}, {"fig-live", "table 2"}),
        (
            {"method": "bits", "bit_term": "planes", "strength": 1.0, "epochs": 3, "prune_epoch": 0},
            {"fig-live", "table 2"},
        ),
    ],
    "05-accuracy": [
        ({"activations": "8 bits"}, {"fig-accuracy", "fig-steps", "table 1", "table 2"}),
        ({"rivals": []}, {"fig-accuracy"}),
    ],
    "06-energy": [
        ({"encoding": "differential"}, {"fig-gain", "fig-slide"}),
        ({"encoding": "offset_binary", "cell_table": "rram_isaac"}, {"fig-gain", "fig-slide"}),
    ],
    "07-machine": [
        (
            {
                "encoding": "sign_magnitude",
                "converters": "table",
                "array_rows": 64,
                "cell_table": "rram_isaac",
            },
            {"fig-account", "fig-pareto", "fig-shared", "table 1"},
        ),
        (
            {
                "converters": "free",
                "input_memory": "SRAM",
                "index_rule": "free",
                "networks": ["bits-mu250-s1", "lfsr-ms-r50-s1"],
            },
            {"fig-account", "fig-pareto", "fig-shared", "table 1", "table 3"},
        ),
    ],
    "08-lig": [
        (
            {
                "form": "galois",
                "reduction": "modulo",
                "dedup": False,
                "density": 0.1,
                "run": "lfsr-ms-r50-s1",
            },
            {"fig-gates", "fig-waves", "table 3"},
        ),
        (
            {
                "polynomial": "x^7+x^6+1",
                "reduction": "column",
                "gate_reference": "mult32",
                "layer_shape": [10, 64],
                "access_pj": 0.5,
                "stall": 0,
                "clocks": 40,
            },
            {"fig-index-energy", "fig-waves", "table 1", "table 2"},
        ),
        (
            {"reduction": "counter", "kernel": 3, "group": 4, "layer_shape": [32, 32, 3, 3]},
            {"fig-index-energy", "fig-waves", "table 1", "table 2"},
        ),
    ],
    "09-cells": [
        (
            {
                "network": "bits-mu250-s1",
                "adc_bits": 8,
                "adc_range": "active_rows",
                "array_rows": 64,
                "variation": 0.0,
            },
            {"fig-adc-bits", "fig-column-loads", "fig-variation", "table 2", "table 3"},
        ),
        (
            {
                "adc_range": "none",
                "network": "lfsr-ms-r90-s1",
                "figure_of_merit_fj": 1.0,
                "cell_table": "rram_isaac",
                "even_levels": False,
            },
            {"fig-column-loads", "table 1", "table 2", "table 3"},
        ),
    ],
    "10-carry-over": [
        ({"bar": 82.0}, {"fig-bar", "table 1"}),
        ({"cell_table": "rram_isaac"}, {"fig-bar", "fig-width", "table 1"}),
    ],
    "11-your-network": [
        (
            {"density": 0.2, "bits": 4, "strength": 0.5, "group": 1, "steps": 20},
            {"fig-outlier", "fig-own-machines", "table 2", "table 5"},
        ),
        (
            {"density": 1.0, "strength": 0.0, "bits": 10, "scale": "layer", "steps": 20, "seed": 3},
            {"fig-outlier", "fig-own-machines", "table 2", "table 5"},
        ),
    ],
    "claims": [
        ({"digits": 2}, {"table 1", "table 3", "table 5", "table 7"}),
        ({"digits": 9}, {"table 1", "table 3", "table 5", "table 7"}),
    ],
    "measured": [
        ({"runs_like": "twofold"}, {"table 1"}),
        ({"runs_like": "r90"}, {"table 1"}),
    ],
    "speed": [
        ({"works": ["LFSR mask, 50 %"]}, {"fig-speed-growth"}),
        ({"works": ["energy of the codes", "LFSR mask, 50 %"]}, {"fig-speed-growth"}),
    ],
}
"""Chapter -> values of its parameters, and what they change of all that the page draws and tables."""

BAD = {
    "index": [({"cell_table": "no_such_table"}, "no_such_table")],
    "02-lfsr": [
        ({"polynomial": "x^4+x^2+1"}, "not primitive"),
        ({"seed": 0}, "seed 0 is a fixed point"),
        ({"density": 1.5}, "density is 1.5"),
        ({"run": "dense-b8-s1"}, "dense-b8-s1"),
    ],
    "03-bits": [({"bits": 40}, "bits is 40"), ({"cell_bits": 3}, "2-bit")],
    "04-training": [({"sparsity": 1.0}, "sparsity is 1.0")],
    "05-accuracy": [({"rivals": ["sorcery"]}, "sorcery")],
    "06-energy": [({"encoding": "gray"}, "encoding is 'gray'")],
    "07-machine": [
        ({"array_rows": 0}, "array_rows is 0"),
        ({"cell_table": "no_such_table"}, "no_such_table"),
        ({"networks": ["sorcery"]}, "sorcery"),
    ],
    "09-cells": [
        ({"adc_bits": 0}, "adc_bits is 0"),
        ({"adc_range": "widest"}, "adc_range is 'widest'"),
    ],
    "08-lig": [
        ({"layer_shape": [4096, 4096]}, "layer_shape is [4096, 4096]"),
        ({"density": 1.0}, "density is 1.0"),
        ({"clocks": 41}, "clocks is 41"),
    ],
    "10-carry-over": [({"bar": 99.0}, "bar is 99.0")],
    "11-your-network": [({"steps": 0}, "steps is 0")],
    "claims": [({"digits": 0}, "digits is 0")],
    "measured": [({"runs_like": "sorcery"}, "sorcery")],
    "speed": [({"works": ["sorcery"]}, "sorcery")],
}
"""Chapter -> values that it refuses, each with what the error says."""


def shown(chapter: str, values: dict, folder: Path) -> dict[str, str]:
    """What the page of a chapter draws and tables, by the name of the figure or the number of the table."""
    done = execute_chapter(chapter_path(chapter), values, folder, progress_bar=False)
    cells = nbformat.read(done, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.output_type == "stream"]
    found: dict[str, str] = {}
    for cell in cells[:-1]:  # the last one lists the parameters
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        html = "".join(each.get("text/html") or each.get("text/markdown", "") for each in data)
        named = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        kind = "explorer" if 'class="explorer"' in html else "drawing" if "<svg" in html else "table"
        if named or html:
            number = 1 + sum(key.startswith(kind) for key in found)
            found[named or f"{kind} {number}"] = PASSING.sub("", html)
    return found


PASSING = re.compile(r"T_[0-9a-f]{5}|<dc:date>[^<]*</dc:date>")
"""What no two runs have in common: the names of styled tables, and when a figure was drawn."""


@pytest.mark.slow  # `make book` has run every chapter at its defaults
@pytest.mark.parametrize("chapter", SETTINGS)
def test_parameters_change_what_they_should_and_nothing_else(chapter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # another folder than the book's: no chapter may spell a relative path
    usual = shown(chapter, {}, tmp_path / "usual")
    for number, (values, changed) in enumerate(SETTINGS[chapter]):
        own = shown(chapter, values, tmp_path / str(number))
        assert own.keys() == usual.keys()
        assert {name for name in usual if own[name] != usual[name]} == changed, values


@pytest.fixture(scope="module")
def client():
    """One kernel for all of a process: a new one spends its seconds on importing torch again."""
    client = NotebookClient(nbformat.v4.new_notebook(), kernel_name="python3")
    with client.setup_kernel():
        yield client


@pytest.mark.slow  # in a kernel; that each value is refused before there is one, the quick tests show
@pytest.mark.parametrize("chapter", BAD)
def test_bad_values_stop_the_chapter_and_are_quoted(chapter, client):
    """Every value starts with an empty namespace; papermill puts it into the notebook."""
    notebook = load_notebook_node(str(chapter_path(chapter)))
    empty = nbformat.v4.new_code_cell("%reset -f")
    for values, told in BAD[chapter]:
        client.nb = nbformat.v4.new_notebook(cells=[empty, *parameterize_notebook(notebook, values).cells])
        with pytest.raises(CellExecutionError) as error:
            for index, cell in enumerate(client.nb.cells):
                client.execute_cell(cell, index)
        assert told in error.value.evalue, (values, error.value.evalue)


@pytest.mark.slow  # a chapter and a site; the quick tests make a page of two cells (tests/test_cli.py)
def test_page_of_a_chapter_shows_the_reader_s_own_numbers(tmp_path):
    notebook = execute_chapter(chapter_path("1"), {"r_hrs_ohm": 4.2e5}, tmp_path / "out", progress_bar=False)
    html = build_page(notebook).read_text(encoding="utf-8")
    words = BeautifulSoup(html, "html.parser").get_text()
    assert "42 times less" in words  # 420 kOhm over the default 10 kOhm
    assert "Made with r_hrs_ohm = 420000.0." in " ".join(words.split())
    assert "Computing's energy problem" in words  # what the page cites is listed on it
    assert not re.search(r"\[\s*\]", words)
    assert "{glue" not in html
