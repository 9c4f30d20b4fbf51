"""Hostile parameters of chapters: refused, nothing executed, nothing written outside the output folder."""

import ast
import math
from pathlib import Path

import papermill
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from companion.__main__ import main
from companion.book.chapters import check_parameters
from companion.paths import book_dir

CHAPTERS = sorted(p for p in book_dir().glob("*.ipynb") if papermill.inspect_notebook(str(p)))
CODE = "'''\"; __import__('os').mkdir('executed') #\\"
VALUES = st.recursive(
    # Infinity is no literal (papermill writes float('inf')); the next test refuses it for every chapter.
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def parameters(chapter: Path) -> dict[str, object]:
    known = papermill.inspect_notebook(str(chapter))
    return {name: ast.literal_eval(entry["default"]) for name, entry in known.items()}


EACH = [pytest.param(c, n, v, id=f"{c.stem}-{n}") for c in CHAPTERS for n, v in parameters(c).items()]


@settings(max_examples=50)
@given(value=VALUES | st.just(CODE))
def test_papermill_injects_values_and_no_code(value):
    """What a chapter is given is one assignment of a literal, whatever stands in the text."""
    notebook = load_notebook_node(str(CHAPTERS[0]))
    injected = parameterize_notebook(notebook, {"cell_table": value})
    source = next(c.source for c in injected.cells if "injected-parameters" in c.metadata.get("tags", []))
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Assign)
    assert [target.id for target in statement.targets] == ["cell_table"]
    assert ast.literal_eval(statement.value) == value


@pytest.mark.parametrize("chapter, name, default", EACH)
def test_values_of_no_use_to_any_chapter_are_refused(chapter, name, default):
    """Each parameter of each chapter, before a kernel starts."""
    for value in (math.nan, math.inf, -math.inf, 10**400, -(2**70), {"a": 1}, "a\0b", "a\nb", "x" * 10**5):
        with pytest.raises(ValueError, match=f"{name} "):
            check_parameters(chapter, {name: value})
    for entry in (default, [], {}, None, math.nan, 10**400, "a\0b"):
        for length in (1, 10**4):
            if (length, type(entry)) != (1, str) or not isinstance(default, list):
                with pytest.raises(ValueError, match=f"{name} "):
                    check_parameters(chapter, {name: [entry] * length})


@settings(max_examples=40)
@given(data=st.data())
def test_fuzzed_parameters(data):
    """Refused by name, or a value of the default's type that papermill's cell and YAML both bring back."""
    chapter = data.draw(st.sampled_from(CHAPTERS))
    name, default = data.draw(st.sampled_from(sorted(parameters(chapter).items())))
    value = data.draw(VALUES)
    try:
        checked = check_parameters(chapter, {name: value})[name]
    except ValueError as error:
        assert name in str(error)
    else:
        assert type(checked) is type(default)
        assert yaml.safe_load(yaml.safe_dump(checked)) == checked


@pytest.mark.parametrize(
    "name",
    [
        "x = __import__('os').mkdir('executed'); seed",
        "seed\nimport os",
        "__builtins__",
        "",
        "seed ",
        "se\0ed",
        "seed\u200b",
    ],
)
def test_names_that_hold_code_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, ["run", "02-lfsr", "-p", name, "1", "-o", "out"])
    assert told.exit_code == 1
    assert told.output.startswith("Error: 02-lfsr has no parameter ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [executed]",
        "!!python/name:os.system",
        "&a [*a]",
        ".nan",
        "-.inf",
        "9" * 5000,
        "0x" + "f" * 5000,
        '"a\\0b"',
        "[" * 20_000,
        "2001-99-99",
    ],
)
def test_values_that_yaml_makes_something_else_of_are_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for chapter, name in (("02-lfsr", "density"), ("02-lfsr", "seed"), ("02-lfsr", "polynomial")):
        told = CliRunner().invoke(main, ["run", chapter, "-p", name, text, "-o", "out"])
        assert told.exit_code == 1
        assert told.output.startswith("Error: ")
        assert "Traceback" not in told.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["data", "data/results/../results/x", "book", "book/_static/x"])
def test_an_output_that_climbs_into_the_repository_is_refused(output, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(repository.rglob("*"))
    for path in (repository / output, Path("a/../../", tmp_path.name, "repository", output)):
        told = CliRunner().invoke(main, ["run", str(CHAPTERS[0]), "-o", str(path)])
        assert told.exit_code == 1
        assert "choose a folder of your own" in told.output
    assert sorted(repository.rglob("*")) == before


HOSTILE = [
    ("01-motivation", {"cell_table": CODE}, "no energy table"),
    ("01-motivation", {"operation_table": "../../../../../../etc/passwd"}, "no energy table"),
    ("01-motivation", {"v_read_v": math.nan}, "nan"),
    ("02-lfsr", {"polynomial": CODE}, "has a term"),
    ("02-lfsr", {"form": CODE}, "form is"),
    ("02-lfsr", {"rows": 10**12, "columns": 10**12}, "10000000000"),
    ("02-lfsr", {"size_m": 10**18}, "1000000000000000000"),
    ("02-lfsr", {"density": math.nan}, "nan"),
    ("03-bits", {"encoding": CODE}, "encoding is"),
    ("03-bits", {"weight": math.inf}, "inf"),
    ("04-training", {"method": CODE}, "method is"),
    ("04-training", {"init": "../../../etc"}, "run is"),
    ("04-training", {"epochs": 10**12}, "epochs is 1000000000000"),
    ("04-training", {"seed": 10**30}, "seed is 1000000000000000000000000000000"),
    ("05-accuracy", {"activations": CODE}, "activations is"),
    ("05-accuracy", {"rivals": [CODE]}, "rivals is"),
    ("07-machine", {"networks": ["../../../etc"]}, "run is|no run"),
    ("07-machine", {"array_rows": 10**30}, "array_rows is 1000000000000000000000000000000"),
    ("07-machine", {"index_rule": CODE}, "index_rule is"),
    ("07-machine", {"networks": [CODE]}, "networks is"),
    ("claims", {"digits": 10**12}, "digits is 1000000000000"),
    ("index", {"cell_table": "../../../etc"}, "etc"),
]


@pytest.mark.slow
@pytest.mark.parametrize("chapter, values, told", HOSTILE)
def test_plain_papermill_meets_the_chapter_s_own_checks(chapter, values, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = book_dir() / f"{chapter}.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match=told):
        papermill.execute_notebook(
            str(source), "out.ipynb", values, kernel_name="python3", progress_bar=False
        )
    assert [p.name for p in tmp_path.iterdir()] == ["out.ipynb"]
