"""Every chapter, run for real by papermill: at its defaults and with two other sets of parameters."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from companion.book.chapters import build_page, chapter_path, execute_chapter

RUNS = [
    ("index", {}),
    ("index", {"cell_table": "rram_2bit_cell"}),
    ("01-motivation", {}),
    ("01-motivation", {"r_lrs_ohm": 5e3, "r_hrs_ohm": 1e6, "v_read_v": 0.3}),
    ("01-motivation", {"v_read_v": 0.1}),
    ("02-lfsr", {}),
    (
        "02-lfsr",
        {"polynomial": "x^12+x^6+x^4+x+1", "form": "galois", "size_m": 2304, "density": 0.1, "rows": 32},
    ),
    ("02-lfsr", {"seed": 77, "reduction": "modulo", "density": 0.9, "columns": 100, "run": "lfsr-ms-r50-s1"}),
    ("03-bits", {}),
    ("03-bits", {"bits": 6, "encoding": "sign_magnitude", "weight": 0.5}),
    ("03-bits", {"bits": 4, "encoding": "differential", "scale": 2.0}),
    ("04-training", {}),
    ("04-training", {"method": "magnitude", "sparsity": 0.9, "epochs": 4, "prune_epoch": 2}),
    ("04-training", {"method": "bits", "bit_term": "planes", "strength": 1.0, "epochs": 3, "prune_epoch": 0}),
    ("05-accuracy", {}),
    ("05-accuracy", {"activations": "8 bits"}),
    ("05-accuracy", {"rivals": []}),
    ("06-energy", {}),
    ("06-energy", {"encoding": "differential"}),
    ("06-energy", {"encoding": "offset_binary", "cell_table": "rram_isaac"}),
    ("07-machine", {}),
    (
        "07-machine",
        {"encoding": "sign_magnitude", "converters": "table", "array_rows": 64, "cell_table": "rram_isaac"},
    ),
    (
        "07-machine",
        {
            "converters": "free",
            "input_memory": "SRAM",
            "index_rule": "free",
            "networks": ["bits-mu250-s1", "lfsr-ms-r50-s1"],
        },
    ),
    ("09-cells", {}),
    (
        "09-cells",
        {
            "network": "bits-mu250-s1",
            "adc_bits": 8,
            "adc_range": "active_rows",
            "array_rows": 64,
            "variation": 0.0,
        },
    ),
    (
        "09-cells",
        {
            "adc_range": "none",
            "network": "lfsr-ms-r90-s1",
            "figure_of_merit_fj": 1.0,
            "cell_table": "rram_isaac",
            "even_levels": False,
        },
    ),
    ("08-lig", {}),
    (
        "08-lig",
        {"form": "galois", "reduction": "modulo", "dedup": False, "density": 0.1, "run": "lfsr-ms-r50-s1"},
    ),
    (
        "08-lig",
        {
            "polynomial": "x^7+x^6+1",
            "reduction": "column",
            "gate_reference": "mult32",
            "layer_shape": [10, 64],
            "access_pj": 0.5,
            "stall": 0,
            "clocks": 40,
        },
    ),
    ("08-lig", {"reduction": "counter", "kernel": 3, "group": 4, "layer_shape": [32, 32, 3, 3]}),
    ("10-your-network", {}),
    (
        "10-your-network",
        {"density": 0.2, "bits": 4, "strength": 0.5, "group": 1, "steps": 20},
    ),
    (
        "10-your-network",
        {
            "density": 1.0,
            "strength": 0.0,
            "bits": 10,
            "scale": "layer",
            "steps": 20,
            "seed": 3,
        },
    ),
    ("claims", {}),
    ("claims", {"digits": 2}),
    ("claims", {"digits": 9}),
    ("measured", {}),
    ("measured", {"runs_like": "twofold"}),
    ("measured", {"runs_like": "r90"}),
    ("speed", {}),
    ("speed", {"works": ["LFSR mask, 50 %"]}),
    ("speed", {"works": ["energy of the codes", "LFSR mask, 50 %"]}),
]

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
    "10-your-network": [({"steps": 0}, "steps is 0")],
    "claims": [({"digits": 0}, "digits is 0")],
    "measured": [({"runs_like": "sorcery"}, "sorcery")],
    "speed": [({"works": ["sorcery"]}, "sorcery")],
}
"""Chapter -> values that it refuses, each with what the error says."""


@pytest.mark.slow  # `make book` has run every chapter at its defaults
@pytest.mark.parametrize("chapter, values", RUNS, ids=[f"{i}-{run[0]}" for i, run in enumerate(RUNS)])
def test_chapter_runs_silently(chapter, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # another folder than the book's: no chapter may spell a relative path
    done = execute_chapter(chapter_path(chapter), values, tmp_path / "out", progress_bar=False)
    notebook = nbformat.read(done, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.output_type == "stream"]


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
    assert "Computing's energy problem" in words  # what the page cites is listed on it
    assert not re.search(r"\[\s*\]", words)
    assert "{glue" not in html
