"""The one setting that says where the repository is published: what pages then link to."""

import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import twofold
from companion.book.published import source_address
from companion.paths import repository

ADDRESS = "https://github.com/OWNER/NAME"


@pytest.mark.parametrize(
    "module, name, thing",
    [
        ("twofold", "report", twofold.report),
        ("twofold", "LFSR", twofold.LFSR),
        ("twofold.masks", "LFSR.period", twofold.LFSR.period.fget),
        ("twofold.masks.gf2", "Polynomial.parse", twofold.Polynomial.parse),
    ],
)
def test_a_name_leads_to_its_lines(module, name, thing):
    address = source_address(ADDRESS, module, name)
    file, lines = address.removeprefix(f"{ADDRESS}/blob/main/").split("#")
    first, last = (int(word.removeprefix("L")) for word in lines.split("-"))
    text = (repository() / file).read_text(encoding="utf-8").splitlines(keepends=True)
    assert text[first - 1 : last] == inspect.getsourcelines(inspect.unwrap(thing))[0]


@pytest.mark.parametrize("name", ["__version__", "Mask.keep"])
def test_what_has_no_lines_has_no_address(name):
    assert source_address(ADDRESS, "twofold", name) is None


@pytest.mark.slow
@pytest.mark.parametrize("address", ["", ADDRESS])
def test_the_address_adds_buttons_and_links(address, tmp_path):
    """The real configuration over a book of two pages: with no address, no page leads away."""
    source = repository() / "book"
    book = tmp_path / "book"
    book.mkdir()
    for name in ("_static", "_extra"):
        shutil.copytree(source / name, book / name)
    shutil.copyfile(source / "references.bib", book / "references.bib")
    config = (source / "_config.yml").read_text(encoding="utf-8")
    assert config.count('published_at: ""') == 1
    (book / "_config.yml").write_text(config.replace('published_at: ""', f'published_at: "{address}"'))
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: tiny\n")
    (book / "index.md").write_text("# Root\n\n```{eval-rst}\n.. autofunction:: twofold.quantize\n```\n")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_markdown_cell("# Tiny"), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), book / "tiny.ipynb")
    build = [Path(sys.executable).with_name("jupyter-book"), "build", book, "-W", "--keep-going"]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    index, tiny = ((book / "_build" / "html" / f"{name}.html").read_text() for name in ("index", "tiny"))
    led = [
        (index, f"{ADDRESS}/blob/main/src/twofold/codes/quantizer.py#L"),
        (index, f"{ADDRESS}/edit/main/book/index.md"),
        (tiny, f"{ADDRESS}/blob/main/book/tiny.ipynb"),
        (tiny, f"{ADDRESS}/issues/new"),
        (tiny, "https://mybinder.org/v2/gh/OWNER/NAME/main?urlpath=lab/tree/book/tiny.ipynb"),
    ]
    assert [start in page for page, start in led] == [bool(address)] * len(led)
