"""Names and parameters of chapters, on a notebook of two cells; the real chapters have tests of their own."""

import re

import nbformat
import pytest

from companion.book.chapters import chapter_path, check_parameters, execute_chapter

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


def write(path, code):
    cells = [nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_code_cell(code)]
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
        ("count", 2.5, "count is 2.5; 07-tiny wants int, such as 3"),
        ("count", "many", "count is 'many'; 07-tiny wants int, such as 3"),
        ("count", True, "count is True; 07-tiny wants int, such as 3"),
        ("count", None, "count is None; 07-tiny wants int, such as 3"),
        ("share", "lots", "share is 'lots'; 07-tiny wants float, such as 0.5"),
        ("share", True, "share is True; 07-tiny wants float"),
        ("share", float("nan"), "share is nan; it must be a finite number"),
        ("share", float("inf"), "share is inf; it must be a finite number"),
        ("name", 3, "name is 3; 07-tiny wants str, such as 'lfsr'"),
        ("flag", 1, "flag is 1; 07-tiny wants bool, such as False"),
        ("widths", 8, r"widths is 8; 07-tiny wants list, such as \[8, 16\]"),
        ("widths", ["wide"], "an entry of widths is 'wide'; 07-tiny wants int, such as 8"),
        ("widths", [8, 9.5], "an entry of widths is 9.5; 07-tiny wants int"),
        ("shares", [1, float("nan")], "an entry of shares is nan; it must be a finite number"),
    ],
)
def test_values_of_another_type_are_refused(notebook, name, value, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(notebook, {name: value})


def test_a_number_that_yaml_reads_as_text_is_still_a_number(notebook):
    assert check_parameters(notebook, {"share": "5e5"}) == {"share": 500_000.0}
    with pytest.raises(ValueError, match="share is nan"):
        check_parameters(notebook, {"share": "nan"})


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
    with pytest.raises(ValueError, match="count is 'x'"):
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
