"""Names and parameters of chapters, on a notebook of two cells; the real chapters have tests of their own."""

import re

import nbformat
import pytest

from companion.book.allowed import CHAPTERS, check
from companion.book.chapters import (
    chapter_path,
    chapter_title,
    chapters,
    check_parameters,
    execute_chapter,
    parameters_of,
)

PARAMETERS = """\
count = 3  # a whole number
share = 0.5
name = "lfsr"
flag = False
widths = [8, 16]
anything = None
shares = [0.5]
low = -1.5
"""


@pytest.fixture
def notebook(repository):
    return write(repository / "book" / "07-tiny.ipynb", "print(count * 2, share, name, flag, widths)")


def write(path, code, parameters=PARAMETERS):
    cells = [nbformat.v4.new_code_cell(parameters), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


# ---- names ----


@pytest.mark.parametrize("chapter", ["7", "07", "07-tiny", "tiny", "07-tiny.ipynb"])
def test_a_chapter_has_several_names(notebook, chapter):
    assert chapter_path(chapter) == notebook


def test_a_path_is_a_chapter_too(notebook, tmp_path):
    own = notebook.rename(tmp_path / "mine.ipynb")
    assert chapter_path(str(own)) == own


@pytest.mark.parametrize("chapter", ["8", "0", "07-", "07", "small", "../07-tiny", "mine.ipynb", ""])
def test_unknown_chapters_are_refused_with_those_there_are(notebook, chapter):
    notebook.rename(notebook.with_name("01-big.ipynb"))
    write(notebook.with_name("02-huge.ipynb"), "")
    message = re.escape(f"chapter {chapter!r} is not known; there are 01-big, 02-huge")
    with pytest.raises(ValueError, match=message):
        chapter_path(chapter)


# ---- parameters ----


def test_good_parameters_pass_as_they_are(notebook):
    values = {
        "count": 5,
        "share": 0.25,
        "name": "iid",
        "flag": True,
        "widths": [1],
        "shares": [0.1, 0.9],
        "anything": "x",
        "low": -2.0,
    }
    assert check_parameters(notebook, values) == values
    assert check_parameters(notebook, {}) == {}


def test_a_whole_number_does_for_a_real_one(notebook):
    checked = check_parameters(notebook, {"share": 1})
    assert checked == {"share": 1.0}
    assert type(checked["share"]) is float


def test_unknown_parameters_are_refused_with_the_known_ones(notebook):
    message = "07-tiny has no parameter 'sheep', 'x'; it has count, share, name, flag, widths, "
    with pytest.raises(ValueError, match=message):
        check_parameters(notebook, {"sheep": 0.5, "count": 1, "x": 1})


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("count", 2.5, "count is 2.5; it must be a whole number"),
        ("count", "many", "count is 'many'; it must be a whole number"),
        ("count", True, "count is True; it must be a whole number"),
        ("count", None, "count is None; it must be a whole number"),
        ("share", "lots", "share is 'lots'; it must be a number"),
        ("share", True, "share is True; it must be a number"),
        ("share", float("nan"), "share is nan; it must be a finite number"),
        ("share", float("inf"), "share is inf; it must be a finite number"),
        ("name", 3, "name is 3; it must be a text; one that looks like a number needs quotes of its own"),
        ("flag", 1, "flag is 1; it must be true or false"),
        ("widths", 8, r"widths is 8; it must be a list, such as '\[a, b\]'"),
        ("widths", ["wide"], "an entry of widths is 'wide'; it must be a whole number"),
        ("widths", [8, 9.5], "an entry of widths is 9.5; it must be a whole number"),
        ("shares", [1, float("nan")], "an entry of shares is nan; it must be a finite number"),
    ],
)
def test_values_of_another_type_are_refused(notebook, name, value, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(notebook, {name: value})


def test_a_number_that_yaml_reads_as_text_is_still_a_number(notebook):
    assert check_parameters(notebook, {"share": "5e5"}) == {"share": 500_000.0}
    with pytest.raises(ValueError, match="share is 'nan'; it must be a finite number"):
        check_parameters(notebook, {"share": "nan"})


def test_defaults_that_are_arithmetic_have_its_type_and_others_are_left_to_the_kernel(repository):
    code = "size = 2**10 * 3\nstep = -1 / 8\nname: str = 'a'  # its name\nhome = Path.cwd()\n"
    own = write(repository / "book" / "01-own.ipynb", "", code + "endless = 9**9**9\nroot = (-8) ** 0.5\n")
    known = parameters_of(own)
    assert [parameter.default for parameter in known.values()] == [3072, -0.125, "a", ..., ..., ...]
    assert [parameter.written for parameter in known.values()][:2] == ["2**10 * 3", "-1 / 8"]
    assert (known["name"].meaning, known["home"].meaning) == ("its name", "")
    assert check_parameters(own, {"size": 5, "home": "/tmp"}) == {"size": 5, "home": "/tmp"}
    with pytest.raises(ValueError, match=r"size is 1\.5; it must be a whole number"):
        check_parameters(own, {"size": 1.5})


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', "[" * 100_000, "no notebook"])
def test_what_is_no_notebook_is_named(tmp_path, text):
    (tmp_path / "mine.ipynb").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.ipynb is no readable notebook"):
        parameters_of(tmp_path / "mine.ipynb")


@pytest.mark.parametrize("code", ["a = (", "%matplotlib inline", "a = 'x"])
def test_parameters_that_are_no_python_are_named(tmp_path, code):
    own = write(tmp_path / "mine.ipynb", "", code)
    with pytest.raises(ValueError, match=r"the parameters of .*mine\.ipynb are no readable Python"):
        parameters_of(own)


def test_a_notebook_without_parameters_takes_none(tmp_path):
    own = write(tmp_path / "mine.ipynb", "", "")
    assert (parameters_of(own), chapter_title(own)) == ({}, "")
    with pytest.raises(ValueError, match="mine has no parameter 'x'; it has none"):
        check_parameters(own, {"x": 1})


# ---- the book's own chapters ----


def defaults_of(chapter):
    return {name: parameter.default for name, parameter in parameters_of(chapter_path(chapter)).items()}


def test_every_chapter_has_a_schema_and_asks_it_first():
    assert set(CHAPTERS) == {notebook.stem for notebook in chapters()}
    for notebook in chapters():
        assert list(parameters_of(notebook)) == list(CHAPTERS[notebook.stem].model_fields)
        code = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
        first = next(n for n, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", [])) + 1
        assert code[first].source.endswith(f'\ncheck("{notebook.stem}", globals())')


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_defaults_of_a_chapter_are_allowed(chapter):
    check(chapter, defaults_of(chapter) | {"more": 1})
    assert chapter_title(chapter_path(chapter))


@pytest.mark.parametrize(
    "chapter, name",
    [(c, n) for c, schema in CHAPTERS.items() for n, f in schema.model_fields.items() if "str" in repr(f)],
)
def test_comments_name_the_words_that_are_allowed(chapter, name):
    """Where a parameter has a few words to choose from, the reader finds them beside it."""
    with pytest.raises(ValueError) as error:
        check_parameters(chapter_path(chapter), {name: "sorcery"})
    meaning = parameters_of(chapter_path(chapter))[name].meaning
    if told := re.search(r"it must be (?:one of (.*)|('.*))", str(error.value)):
        words = re.findall(r"[\w-]+", (told[1] or told[2]).replace(" or ", " "))
        assert "another" in meaning or set(words) <= set(re.findall(r"[\w-]+", meaning))


REFUSED = [
    ("index", {"cell_table": "gold"}, "cell_table is 'gold': no energy table gold: .* rram_2bit_cell"),
    ("01-motivation", {"r_lrs_ohm": 1e9}, r"r_lrs_ohm is 1e\+09, r_hrs_ohm 100000; needed is 0 < r_lrs"),
    ("01-motivation", {"v_read_v": 0}, "v_read_v is 0; it must be greater than 0"),
    ("02-lfsr", {"form": "ring"}, "form is 'ring'; it must be 'fibonacci' or 'galois'"),
    ("02-lfsr", {"seed": 0}, "seed 0 is a fixed point"),
    ("02-lfsr", {"density": 1.5}, "density is 1.5; it must be at most 1"),
    ("02-lfsr", {"size_m": 512}, "511 states, too few for 512 positions"),
    ("02-lfsr", {"density": 0.02, "rows": 3}, "density is 0.02; of rows, 3, it keeps none"),
    ("02-lfsr", {"polynomial": "x^4+x^2+1"}, "not primitive"),
    ("02-lfsr", {"polynomial": "x^31+x^3+1"}, "of degree 31; it must be of at most 24"),
    ("02-lfsr", {"run": "dense-b8-s1"}, "run is 'dense-b8-s1': no LFSR made its masks"),
    ("03-bits", {"bits": 40}, "bits is 40; it must be at most 16"),
    ("03-bits", {"cell_bits": 3}, "cell_bits is 3, but rram_2bit_cell is a table of 2-bit cells"),
    ("03-bits", {"encoding": "signed_rows"}, "encoding is 'signed_rows'; it must be 'twos_complement', "),
    ("04-training", {"method": "dense"}, "method is 'dense'; it must be one of dense-8bit, lfsr, "),
    ("04-training", {"sparsity": 0.0}, "sparsity is 0.0, but method 'twofold' needs one above 0"),
    ("04-training", {"prune_epoch": 12}, r"prune_epoch is 12; it must lie in \[0, 12\)"),
    ("04-training", {"dataset": "cifar10"}, "network 'digits-net' takes images of 8x8"),
    ("04-training", {"init": "dense-e60"}, "init is 'dense-e60', a run of network 'resnet20'"),
    ("05-accuracy", {"rivals": "iid"}, r"rivals is 'iid'; it must be a list.*papermill: -y, not -p"),
    ("05-accuracy", {"rivals": ["sorcery"]}, "an entry of rivals is 'sorcery'; it must be 'magnitude', "),
    ("05-accuracy", {"activations": "int8"}, "activations is 'int8'; it must be 'float' or '8 bits'"),
    (
        "07-machine",
        {"converters": "colum"},
        "converters is 'colum'; it must be 'lossless', 'table' or 'free'",
    ),
    ("07-machine", {"array_rows": 0}, "array_rows is 0; it must be at least 1"),
    ("07-machine", {"input_memory": "DRAM"}, "input_memory is 'DRAM'; it must be 'SRAM' or 'register file'"),
    ("07-machine", {"networks": []}, r"networks is \[\]; it must have at least 1 item"),
    ("07-machine", {"networks": ["a"]}, "an entry of networks is 'a': no codes of a run 'a'; there are"),
    ("09-cells", {"cell_table": "gold"}, "cell_table is 'gold': no energy table gold"),
    (
        "09-cells",
        {"baseline": "resnet8-dense-b8-s1"},
        "baseline is 'resnet8-dense-b8-s1': it is a run of network 'resnet8'",
    ),
    ("09-cells", {"even_levels": 1}, "even_levels is 1; it must be true or false"),
    ("09-cells", {"adc_bits": 17}, "adc_bits is 17; it must be at most 16"),
    ("09-cells", {"adc_range": "wide"}, "adc_range is 'wide'; it must be 'none', 'worst_case'"),
    ("08-lig", {"density": 1}, "density is 1; it must be at most 0.95"),
    ("08-lig", {"clocks": 41}, "clocks is 41; it must be at most 40"),
    ("08-lig", {"kept": 301}, "kept is 301; there are 300 positions, size_m"),
    ("08-lig", {"reduction": "column", "kept": 9}, "kept is 9, allowed are multiples of the 4 columns"),
    ("08-lig", {"reduction": "counter", "kernel": 7}, "size_m is 300; it must be a multiple of 7"),
    ("08-lig", {"size_m": 600, "kept": 8}, "511 states, too few for 600 positions"),
    ("08-lig", {"layer_shape": [8, 8, 2, 2]}, r"layer_shape is \[8, 8, 2, 2\]; it must have at most"),
    ("08-lig", {"layer_shape": [64]}, "layer_shape is .*it must have at least 2 items"),
    ("08-lig", {"access_pj": 0}, "access_pj is 0; it must be greater than 0"),
    ("08-lig", {"sram_overhead": 0.5}, "sram_overhead is 0.5; it must be at least 1"),
    ("08-lig", {"gate_reference": "xor"}, "gate_reference is 'xor': .* allowed are add32, mult32"),
    ("10-carry-over", {"bar": 95}, r"bar is 95; it must lie in \(0, 8\d\.\d\d\], which"),
    ("10-carry-over", {"bar": "high"}, "bar is 'high'; it must be"),
    ("11-your-network", {"steps": 0}, "steps is 0; it must be at least 1"),
    ("11-your-network", {"density": 0.05}, "density is 0.05; it must be at least 0.1"),
    ("11-your-network", {"strength": 1e60}, r"strength is 1e\+60; it must lie in"),
    ("11-your-network", {"scale": "ternary"}, "scale is 'ternary'; it must be 'layer' or 'channel'"),
    ("claims", {"digits": 16}, "digits is 16; it must be at most 15"),
    ("measured", {"runs_like": "sorcery"}, "runs_like is 'sorcery': no run's name contains it"),
    ("measured", {"runs_like": 90}, "runs_like is 90; it must be a text; one that looks like a number"),
    ("speed", {"works": ["sorcery"]}, "an entry of works is 'sorcery': .* was not measured; there are"),
]


@pytest.mark.parametrize("chapter, values, message", REFUSED)
def test_chapters_refuse_before_a_kernel_starts(chapter, values, message):
    """And `check`, which the chapter itself calls, says the same."""
    with pytest.raises(ValueError, match=message):
        check_parameters(chapter_path(chapter), values)
    with pytest.raises(ValueError, match=message):
        check(chapter, defaults_of(chapter) | values)


def test_what_a_method_has_no_use_for_does_not_matter():
    chapter = chapter_path("4")
    values = {"method": "bits", "sparsity": 0.0, "prune_epoch": 20, "epochs": 2}
    assert check_parameters(chapter, values) == values


def test_a_missing_parameter_is_named():
    with pytest.raises(ValueError, match="digits is missing"):
        check("claims", {"digit": 4})


def test_a_name_that_papermill_alone_would_pass_over_is_refused():
    """It stands in the cell before the check; older cells, of a reader who runs on, do not matter."""
    given = {"digits": 3, "In": ["", "digits = 3", "# Parameters\ndigit = 4\n", "check(...)"]}
    with pytest.raises(ValueError, match="claims has no parameter 'digit'; it has digits"):
        check("claims", given)
    check("claims", given | {"In": [*given["In"], "digits = 5", "check(...)"]})
    check("claims", given | {"In": ["", "# Parameters\ndigits = 4\n", "check(...)"]})


# ---- output ----


@pytest.mark.parametrize("inside", ["data", "data/results/mine", "book", "book/_build", "book/../data"])
def test_output_into_data_or_book_is_refused(notebook, repository, inside):
    before = sorted(repository.rglob("*"))
    with pytest.raises(ValueError, match="choose a folder of your own"):
        execute_chapter(notebook, {}, repository / inside, progress_bar=False)
    assert sorted(repository.rglob("*")) == before


def test_output_over_the_source_is_refused(repository, tmp_path):
    own = write(tmp_path / "mine.ipynb", "")
    before = own.read_bytes()
    with pytest.raises(ValueError, match=r"where mine\.ipynb itself lies; choose another folder"):
        execute_chapter(own, {}, tmp_path, progress_bar=False)
    assert own.read_bytes() == before


def test_parameters_are_checked_before_anything_is_written(notebook, tmp_path):
    with pytest.raises(ValueError, match="count is 'x'; "):
        execute_chapter(notebook, {"count": "x"}, tmp_path / "out", progress_bar=False)
    assert not (tmp_path / "out").exists()


def test_a_chapter_runs_with_a_readers_numbers(notebook, tmp_path):
    source = notebook.read_bytes()
    path = execute_chapter(notebook, {"count": 21, "share": 1}, tmp_path / "out", progress_bar=False)
    assert path == tmp_path / "out" / "07-tiny.ipynb"
    done = nbformat.read(path, as_version=4)
    assert done.cells[-1].outputs[0].text == "42 1.0 lfsr False [8, 16]\n"
    assert notebook.read_bytes() == source


def test_a_failing_cell_is_told_in_one_line(repository, tmp_path):
    own = write(tmp_path / "mine.ipynb", "raise ValueError(f'{share} is too little')")
    with pytest.raises(
        RuntimeError, match=r"cell \d of .*mine\.ipynb failed with ValueError: 0\.5 is too little"
    ):
        execute_chapter(own, {}, tmp_path / "out", progress_bar=False)
    assert (tmp_path / "out" / "mine.ipynb").is_file()
