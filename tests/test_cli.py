"""The command line: help at once, errors in one line, and commands that do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

import twofold
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
    parameters = "share = 0.5  # of all, in (0, 1]\ncount = 2  # how many"
    cells = [nbformat.v4.new_code_cell(parameters), nbformat.v4.new_code_cell(code)]
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


HELP = ["", "run", "train", "data", "report", "mask", "register"]


@pytest.mark.parametrize(
    "words", [["--version"], ["mask", "-h"], *([*word.split(), "--help"] for word in HELP)]
)
def test_help_needs_nothing_heavy(words):
    """In a process of its own: neither torch nor pandas nor papermill is loaded for it."""
    script = (
        "import sys\n"
        "from twofold.command import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'papermill', 'torchvision'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1


def test_help_names_every_command():
    text = call("--help")
    commands = ("run", "train", "collect", "data", "report", "mask", "register")
    assert all(f"\n  {name} " in text for name in commands)


def test_an_error_is_one_line_on_standard_error(repository):
    command = [sys.executable, "-m", "twofold", "run", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: chapter 'nonsense' is not known; there are ")
    assert done.stderr.count("\n") == 1


# ---- what needs no checkout ----


def of_the_library(*words, code=0):
    """What a command of the bare library prints; a failure is one line that starts with Error."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    if code:
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1
    return result.output


@pytest.fixture
def packed(tmp_path):
    """Files of a small network, twofold and dense."""
    torch.manual_seed(0)
    for name, options in (("net", {"density": 0.5}), ("dense", {})):
        sparse = twofold.Twofold(torch.nn.Sequential(torch.nn.Linear(30, 20)), **options)
        if options:
            sparse.prune()
        twofold.save(tmp_path / f"{name}.safetensors", sparse)
    return tmp_path


def test_report_prints_what_the_library_reports(packed):
    net, dense = (twofold.load(packed / f"{name}.safetensors") for name in ("net", "dense"))
    file = packed / "net.safetensors"
    assert of_the_library("report", file) == f"{twofold.report(net)}\n"
    compared = of_the_library(
        "report", file, "--baseline", packed / "dense.safetensors", "--adc-rule", "none"
    )
    assert compared == f"{twofold.report(net, baseline=dense, adc_rule='none')}\n"
    own = packed / "own.csv"
    own.write_text("entry,energy,unit,source,doi\n0,1,fJ,s,d\n1,2,fJ,s,d\nADC,3,fJ,s,d\n")
    words = ["report", file, "--table", own, "--dataflow", "crossbar"]
    assert "crossbar dataflow" in of_the_library(*words)
    assert "table own" in of_the_library(*words)
    charged = of_the_library("report", file, "--adc-energy", "walden", "--input-memory", "register file")
    assert "by Walden's law, inputs from register file, index free" in " ".join(charged.split())


@pytest.mark.parametrize(
    "words, message",
    [
        (["--dataflow", "wide"], "dataflow is 'wide', allowed are crossbar, packed, grouped"),
        (["--input-memory", "DRAM"], "input_memory is 'DRAM', allowed are none, SRAM, register file"),
        (["--index-rule", "no"], "index_rule is 'no', allowed are free, charged"),
        (["--adc-energy", "cheap"], "adc_energy_j is 'cheap'; it must be a number"),
        (["--adc-energy", "-1"], "adc_energy_j is -1.0, allowed are finite numbers >= 0"),
        (["--table", "gold"], "no energy table gold"),
        (["--baseline", "no.safetensors"], "no.safetensors"),
        (["--encoding", "gray"], "encoding is 'gray', allowed are twos_complement,"),
    ],
)
def test_report_refuses_wrong_words(packed, words, message):
    assert message in of_the_library("report", packed / "net.safetensors", *words, code=1)


def test_report_of_what_is_no_packed_file(tmp_path):
    assert "none.safetensors" in of_the_library("report", tmp_path / "none.safetensors", code=1)
    (tmp_path / "text").write_text("no network")
    assert "no safetensors file" in of_the_library("report", tmp_path / "text", code=1)


def test_mask_draws_what_the_library_draws(tmp_path):
    mask = twofold.Rejection("x^9+x^4+1", 77).draw((16, 3, 3, 3), 0.3)
    words = (
        "mask 16x3x3x3 --density 0.3 --generator rejection --polynomial x^9+x^4+1 --seed 77 --show 3".split()
    )
    lines = of_the_library(*words, "--save", tmp_path / "mask.npy").splitlines()
    assert lines[0] == "mask: 130 of 432 weights of 16x3x3x3, 30.09 %"
    assert lines[2] == f"clocks: {mask.clocks}"
    assert lines[3] == f"first positions: {' '.join(map(str, mask.order[:3].tolist()))} ..."
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), mask.keep.numpy())
    of_the_library(*words, "--save", tmp_path / "mask.csv")
    saved = np.loadtxt(tmp_path / "mask.csv", skiprows=1, dtype=int)
    np.testing.assert_array_equal(saved, mask.order.numpy())


def test_mask_alone_takes_the_library_s_register():
    mask = twofold.Rejection("x^10+x^3+1").draw((64, 10), 0.25)
    assert f"clocks: {mask.clocks}\n" in of_the_library("mask", "64,10", "--density", "0.25")


@pytest.mark.parametrize(
    "group, words",
    [
        (4, "4 columns an index"),
        (5, "5 columns an index: 4 groups, the last of 1"),
        (64, "64 columns an index: 1 group of 16"),
    ],
)
def test_mask_says_where_a_last_group_is_smaller(group, words):
    lines = of_the_library("mask", "16x3x3x3", "--density", "0.5", "--group", group).splitlines()
    assert lines[1].endswith(f"from seed 1, {words}")


@pytest.mark.parametrize(
    "words, code, message",
    [
        ("16xx3 --density 0.5", 1, "shape is '16xx3'; give the lengths"),
        ("0x3 --density 0.5", 1, "shape (0, 3) holds no weights"),
        ("16x3 --density much", 1, "density is 'much'; it must be a number"),
        ("16x3 --density 1.5", 1, "density 1.5 is outside (0, 1]"),
        ("16x3 --density 0.5 --seed 1.5", 1, "seed is '1.5'; it must be a whole number"),
        ("16x3 --density 0.5 --show -1", 1, "show is -1; allowed are 0 to 10000"),
        ("16x3 --density 0.5 --generator dice", 1, "'dice' is unknown; allowed are rejection,"),
        ("16x3 --density 0.5 --polynomial x^4+x^2+1", 1, "x^4+x^2+1 is not primitive"),
        ("16x3 --density 0.5 --save mask.png", 1, "save is 'mask.png'; its name must end in .csv or .npy"),
        ("16x3", 2, "the following arguments are required: --density; see twofold mask --help"),
        ("16x3 --density 0.5 --color", 2, "unrecognized arguments: --color"),
    ],
)
def test_mask_refuses_wrong_words(words, code, message):
    assert message in of_the_library("mask", *words.split(), code=code)


def test_register_tells_period_and_states():
    output = of_the_library("register", "x^9+x^4+1", "--seed", "5", "--form", "galois", "--show", "4")
    states = twofold.LFSR("x^9+x^4+1", 5, "galois").states(4)
    assert output.splitlines() == [
        "register: x^9+x^4+1, 9 bits, galois; primitive",
        "period: 511 of 511 states, from seed 5",
        f"first states: {' '.join(map(str, states))} ...",
    ]
    short = of_the_library("register", "x^4+x^3+x^2+x+1", "--show", "9")
    assert "not primitive (x has order 5)\nperiod: 5 of 15 states" in short
    assert short.splitlines()[-1].count(" ") == 6  # two words, five states


@pytest.mark.parametrize(
    "words, message",
    [
        ("x^9+y", "polynomial 'x^9+y' has a term 'y'"),
        ("x^9+x^4+1 --seed 512", "seed 512 is no state of x^9+x^4+1; allowed are 1 to 511"),
        ("x^9+x^4+1 --form ring", "form is 'ring', allowed are fibonacci, galois"),
    ],
)
def test_register_refuses_wrong_words(words, message):
    assert message in of_the_library("register", *words.split(), code=1)


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


def test_help_of_run_lists_chapters_with_their_parameters(chapter):
    tiny(chapter.with_name("02-other.ipynb"))
    for words in (["run", "--help"], ["run", "-h"], ["run", "--help", "1"], ["run", "tiny", "-h"]):
        text = call(*words)
        assert "-p, --parameter NAME VALUE" in text
        assert text.count("01-tiny (Tiny):\n  share = 0.5  of all, in (0, 1]\n  count = 2    how many\n") == 1
        assert ("02-other (Tiny):" in text) == (len(words) == 2)
    unknown = call("run", "3", "--help", ok=False)
    assert unknown == "Error: chapter '3' is not known; there are 01-tiny, 02-other\n"


def test_run_takes_yaml_and_the_nearest_word_counts(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "companion.book.chapters.execute_chapter", lambda *given: seen.append(given) or given[0]
    )
    monkeypatch.setattr("companion.book.chapters.build_page", lambda notebook: "page")
    source, values = tiny(tmp_path / "tiny.ipynb"), write(tmp_path / "values.yml", a=1, b=1, c=1)
    call("run", source, "-p", "c", "-0.5", "-y", "{b: [2, x], c: 2}", "-f", values, "-y", "d: 4")
    call("run", source, "-p", "c", '"-a"', "-p", "c", "-1e3")
    assert [given[1] for given in seen] == [{"a": 1, "b": [2, "x"], "c": -0.5, "d": 4}, {"c": "-1e3"}]
    assert "-y is '- a'; it must be names with values" in call("run", source, "-y", "- a", ok=False)
    assert "-y '[a' is no readable YAML" in call("run", source, "-y", "[a", ok=False)


@pytest.mark.parametrize(
    "words, message",
    [
        (["1", "-p", "count", "-o", "out"], "-p takes a name and a value, and '-o' looks like an option"),
        (["1", "-p", "count", "--help"], "and '--help' looks like an option"),
        (["1", "-p", "-p", "count"], "and '-p' looks like an option"),
        (["1", "-p", "count"], "Option '-p' requires 2 arguments."),
        ([], "Missing argument 'CHAPTER'."),
    ],
)
def test_an_option_is_no_value_of_the_one_before_it(chapter, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(main, ["run", *words])
    assert result.exit_code == 2
    assert message in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_run_tells_of_a_failing_cell(repository, tmp_path):
    source = tiny(tmp_path / "tiny.ipynb", "raise RuntimeError(f'no luck with {count}')")
    message = call("run", source, "-p", "count", "13", "-o", tmp_path / "out", ok=False, bars=True)
    assert "failed with RuntimeError: no luck with 13" in message


@pytest.mark.parametrize(
    "words, message",
    [
        (["9"], "chapter '9' is not known; there are 01-tiny"),
        (["1", "-p", "shares", "1"], "01-tiny has no parameter 'shares'; it has share, count"),
        (["1", "-p", "share", "much"], "share is 'much'; it must be a number"),
        (["1", "-p", "share", ".nan"], "share is nan; it must be a finite number"),
        (["1", "-p", "count", "1.5"], "count is 1.5; it must be a whole number"),
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
    name, method, *numbers = lines[1].split()
    assert (name, method, *map(float, numbers[:3])) == ("a", "dense", 0, 0, 1)
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


def test_train_tells_which_runs_the_plan_has(repository):
    assert "'lfsr-r50-s99' is no file, and the plan has no run of that name" in call(
        "train", "lfsr-r50-s99", ok=False
    )


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
    for words in (["run", "1", "-f", str(tmp_path / "no.yml")], ["train"]):
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
