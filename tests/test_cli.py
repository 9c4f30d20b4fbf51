"""The command line: help at once, errors in one line, and commands that do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from click.testing import CliRunner

from companion.__main__ import main

pytestmark = pytest.mark.usefixtures("one_thread")

DENSE = {"run": "a", "method": "dense", "network": "digits-net", "dataset": "digits", "epochs": 1}


def call(*words, ok=True, bars=False):
    """The output of a command; a failure must be one line that starts with Error, from click itself.

    ``bars``: a progress bar may come before that line.
    """
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert (result.exit_code == 0) == ok, result.output
    if not ok:
        assert isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        assert result.exit_code == 1
        told = result.output.splitlines()[-1]
        assert told.startswith("Error: ")
        assert bars or result.output == f"{told}\n"
    return result.output


def tiny(path: Path, code="print(share * count)") -> Path:
    """A notebook of two cells, the first one with its parameters."""
    cells = [nbformat.v4.new_code_cell("share = 0.5\ncount = 2"), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_markdown_cell("# Tiny"), *cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.fixture
def chapter(repository):
    return tiny(repository / "book" / "01-tiny.ipynb")


def write(path: Path, **values) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


# ---- help ----


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["train", "-h"], ["data", "--help"], ["--version"]]
)
def test_help_needs_nothing_heavy(words):
    """In a process of its own: neither torch nor pandas nor papermill is loaded for it."""
    script = (
        "import sys\n"
        "from companion.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'papermill', 'torchvision'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1


def test_help_names_every_command():
    text = call("--help")
    assert all(f"\n  {name} " in text for name in ("run", "train", "collect", "data"))


def test_an_error_is_one_line_on_standard_error(repository):
    script = "from companion.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "nonsense"], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: chapter 'nonsense' is not known; there are ")
    assert done.stderr.count("\n") == 1


# ---- run ----


def test_run_makes_a_notebook_and_a_page(tmp_path, monkeypatch):
    """On the real book's configuration, with a chapter of two cells; options win over files."""
    monkeypatch.delenv("TWOFOLD_REPOSITORY", raising=False)
    source = tiny(tmp_path / "tiny.ipynb")
    values = write(tmp_path / "values.yml", share=0.25, count=100)
    output = call("run", source, "-f", values, "-p", "count", "12", "-o", tmp_path / "out")
    notebook, page = re.search(r"notebook: (.*)\npage: (.*)\n", output).groups()
    assert notebook == str(tmp_path / "out" / "tiny.ipynb")
    done = nbformat.read(notebook, as_version=4)
    assert done.cells[-1].outputs[0].text == "3.0\n"
    assert "3.0" in Path(page).read_text(encoding="utf-8")


def test_run_tells_of_a_failing_cell(repository, tmp_path):
    source = tiny(tmp_path / "tiny.ipynb", "raise RuntimeError(f'no luck with {count}')")
    message = call("run", source, "-p", "count", "13", "-o", tmp_path / "out", ok=False, bars=True)
    assert "failed with RuntimeError: no luck with 13" in message


@pytest.mark.parametrize(
    "words, message",
    [
        (["9"], "chapter '9' is not known; there are 01-tiny"),
        (["1", "-p", "shares", "1"], "01-tiny has no parameter 'shares'; it has share, count"),
        (["1", "-p", "share", "much"], "share is 'much'; 01-tiny wants float, such as 0.5"),
        (["1", "-p", "share", ".nan"], "share is nan; it must be a finite number"),
        (["1", "-p", "count", "1.5"], "count is 1.5; 01-tiny wants int"),
        (["1", "-p", "count", "[1,"], "count '[1,' is no readable YAML: while parsing"),
    ],
)
def test_run_refuses_what_the_chapter_does_not_know(chapter, tmp_path, words, message):
    assert call("run", *words, "-o", tmp_path / "out", ok=False).startswith(f"Error: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("share: [1\ncount", "is no readable YAML: while parsing a flow sequence"),
        ("- share", "holds list, not keys with values"),
        ("", "holds NoneType, not keys with values"),
        ("color: 1", "01-tiny has no parameter 'color'"),
        ("1: 2", "01-tiny has no parameter '1'; it has"),
    ],
)
def test_run_refuses_other_parameter_files(chapter, tmp_path, text, message):
    path = tmp_path / "values.yml"
    path.write_text(text)
    assert message in call("run", "1", "-f", path, "-o", tmp_path / "out", ok=False)
    assert not (tmp_path / "out").exists()


def test_run_writes_neither_into_data_nor_into_the_book(chapter, repository):
    for folder in ("data", "book"):
        assert "choose a folder of your own" in call("run", "1", "-o", repository / folder, ok=False)


# ---- train and collect ----


def test_train_and_collect(repository, tmp_path):
    path = write(tmp_path / "a.yml", **DENSE)
    folder = repository / "data" / "results" / "a"
    assert f"a: {folder}\n" in call("train", path)  # beside the progress bar
    assert (folder / "weights.safetensors").is_file()
    assert call("train", path) == f"a: {folder} is finished already and left as it is\n"
    lines = call("collect").splitlines()
    assert lines[0].split() == (
        "run method sparsity strength epochs test_accuracy zero_codes minutes".split()
    )
    assert lines[1].split()[:5] == ["a", "dense", "0", "0", "1"]
    assert (repository / "data" / "results" / "runs.csv").is_file()


@pytest.mark.parametrize(
    "text, message",
    [
        ("run: [a", "is no readable YAML: while parsing a flow sequence"),
        ("method: dense\ncolor: red", "unknown color; known are"),
        ("method: dense", "epochs, run is missing"),
        ("run: a\nmethod: dense\nepochs: 1\nlearning_rate: 1e-3", "YAML wants 1e-3 written as 1.0e-3"),
        ("run: a\nmethod: lfsr\nepochs: 1", "sparsity is 0.0, but method 'lfsr' needs one above 0"),
    ],
)
def test_train_refuses_bad_configurations_before_it_trains(repository, tmp_path, text, message):
    good, bad = write(tmp_path / "good.yml", **DENSE), tmp_path / "bad.yml"
    bad.write_text(text)
    output = call("train", good, bad, ok=False)
    assert f"Error: {bad}" in output
    assert message in output
    assert not (repository / "runs").exists()


def test_train_without_its_images(repository, tmp_path):
    path = write(tmp_path / "a.yml", run="a", method="dense", epochs=1)
    assert "CIFAR-10 under" in call("train", path, ok=False)


def test_train_on_a_device_that_is_not_there(repository, tmp_path):
    import torch

    path = write(tmp_path / "a.yml", **DENSE)
    assert "warp" in call_any_error("train", path, "--device", "warp")
    if not torch.cuda.is_available():
        assert "device is 'cuda', but torch sees no CUDA" in call("train", path, "--device", "cuda", ok=False)


def call_any_error(*words):
    """As `call`, for an error of torch's own, which may run over several lines."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
    return result.output


def test_collect_without_runs(repository):
    assert "no finished run under" in call("collect", ok=False)


def test_files_that_are_not_there_are_a_matter_of_usage(tmp_path):
    for words in (
        ["train", str(tmp_path / "no.yml")],
        ["run", "1", "-f", str(tmp_path / "no.yml")],
        ["train"],
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert "Usage: " in result.output


# ---- data ----


def test_data_check_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_DATA", str(tmp_path))
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(b"no images")
    result = CliRunner().invoke(main, ["data", "--check"])
    assert result.exit_code == 1
    assert f"CIFAR-10 under {tmp_path}" in result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()[2:9]}
    assert rows["test_batch"] == ["True", "False"]
    assert rows["data_batch_1"] == ["False", "False"]
    assert result.output.splitlines()[-1].startswith("Error: CIFAR-10 is not whole; run `twofold data`")
    assert sorted(p.name for p in folder.iterdir()) == ["test_batch"]
