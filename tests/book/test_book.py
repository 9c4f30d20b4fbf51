"""The chapters as they stand in git, and the site that `make book` made of them."""

import ast
import importlib
import inspect
import io
import re
import tokenize
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from IPython.core.inputtransformer2 import TransformerManager

import twofold
from companion.paths import book_dir, repository

ROOT, BOOK = repository(), book_dir()
SITE = BOOK / "_build" / "html"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
LIBRARY = ROOT / "src" / "twofold"
MODULES = sorted(
    ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
    for path in LIBRARY.rglob("*.py")
    if not path.stem.startswith("_") and path.stem != "command"
)
MEGABYTE = 1_000_000
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]


def is_parameters(cell: nbformat.NotebookNode) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def parameters(notebook: Path) -> dict[str, object]:
    """Names and defaults of a chapter's parameters; refuses anything but one constant a line."""
    values = {}
    for cell in filter(is_parameters, code_cells(notebook)):
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, ast.Assign | ast.AnnAssign), ast.unparse(statement)
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            assert isinstance(target, ast.Name), ast.unparse(statement)
            values[target.id] = ast.literal_eval(statement.value)
    return values


# ---- sources ----


def test_contents_name_every_page_and_every_page_exists():
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text())
    entries = [entry for part in contents["parts"] for entry in part["chapters"]]
    entries += [section for entry in entries for section in entry.get("sections", [])]
    listed = [contents["root"], *(entry["file"] for entry in entries)]
    pages = [path.stem for pattern in ("*.md", "*.ipynb") for path in BOOK.glob(pattern)]
    assert sorted(listed) == sorted(pages)  # a stem twice, as .md and as .ipynb, would show here too


@each_notebook
def test_notebook_holds_no_output_and_asks_for_the_python3_kernel(notebook: Path):
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(notebook))
    assert nbformat.read(notebook, as_version=4).metadata.kernelspec.name == "python3"


@each_notebook
def test_parameters_are_constants_with_a_comment_each(notebook: Path):
    cells = [cell for cell in code_cells(notebook) if is_parameters(cell)]
    numbered = notebook.stem[0].isdigit()  # the introduction and the ledger may do without
    assert len(cells) == 1 or (not cells and not numbered)
    assert parameters(notebook) or not numbered
    for cell in cells:
        tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
        remarks = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
        for constant in ast.parse(cell.source).body:
            assert remarks & set(range(constant.lineno, constant.end_lineno + 1)), ast.unparse(constant)


@each_notebook
def test_folded_cells_define_nothing_and_none_spells_a_relative_path(notebook: Path):
    """What a chapter defines is there to be read, in ten lines; machinery belongs to the companion."""
    for cell in code_cells(notebook):
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
        defined = [node for node in ast.walk(tree) if isinstance(node, DEFINITIONS)]
        folded = any(tag.startswith(("hide-", "remove-")) for tag in cell.metadata.get("tags", []))
        assert not (defined and folded), cell.source
        assert all(node.end_lineno - node.lineno < 10 for node in defined), cell.source
        assert "../" not in cell.source, cell.source


@each_notebook
def test_figure_cells_name_describe_and_caption_their_figure(notebook: Path):
    for cell in code_cells(notebook):
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            assert figure["name"].startswith("fig-")
            assert figure["caption"]
            assert cell.metadata["mystnb"]["image"]["alt"]


@pytest.mark.parametrize("settings", sorted((BOOK / "params").glob("*.yml")), ids=lambda path: path.stem)
def test_settings_name_only_parameters_of_their_chapter(settings: Path):
    """``params/04-training.yml`` and ``params/04-training-full.yml`` are for ``04-training.ipynb``."""
    chapters = [n for n in NOTEBOOKS if settings.stem == n.stem or settings.stem.startswith(f"{n.stem}-")]
    assert len(chapters) == 1, f"{settings.name} is for none of {[n.stem for n in NOTEBOOKS]}"
    known = parameters(chapters[0])
    given = yaml.safe_load(settings.read_text())
    assert set(given) <= set(known)
    for name, value in given.items():
        assert isinstance(value, type(known[name])) or known[name] is None, f"{name}: {value!r}"


def test_api_pages_have_every_module_once():
    pages = "".join(path.read_text() for path in sorted(BOOK.glob("api-*.md")))
    assert sorted(re.findall(r"automodule:: ([\w.]+)", pages)) == MODULES


def test_the_first_api_page_names_all_that_the_library_gives():
    named = re.findall(r"^\| \{py:\w+\}`~[\w.]+\.(\w+)`", (BOOK / "api.md").read_text(), re.M)
    assert sorted(named) == sorted(twofold.__all__)


# ---- the built site ----


@cache
def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def assets(soup: BeautifulSoup) -> list[str]:
    """Everything that a browser fetches by itself."""
    found = [tag["src"] for tag in soup.select("script[src], img[src], iframe[src], source[src], embed[src]")]
    fetched = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "manifest"}
    found += [tag["href"] for tag in soup.find_all("link", href=True) if fetched & set(tag.get("rel", []))]
    return found


def test_every_page_of_the_contents_is_built(pages: list[Path]):
    sources = {path.stem for pattern in ("*.md", "*.ipynb") for path in BOOK.glob(pattern)}
    assert sources <= {path.stem for path in pages}


def test_pages_fetch_nothing_from_elsewhere(pages: list[Path]):
    elsewhere = r"(?:https?:)?//"
    foreign = [asset for path in pages for asset in assets(page(path)) if re.match(elsewhere, asset)]
    sheets = [sheet.read_text(encoding="utf-8") for sheet in (SITE / "_static").rglob("*.css")]
    styles = [style.get_text() for path in pages for style in page(path).find_all("style")]
    fetched_by_css = re.findall(rf"(?:url\(|@import\s+)['\"]?{elsewhere}[^)'\"]+", "\n".join(sheets + styles))
    assert foreign == []
    assert fetched_by_css == []


def test_images_say_in_words_what_they_show(pages: list[Path]):
    for path in pages:
        for image in page(path).select("article img"):
            text = image.get("alt", "")
            assert len(text) >= 20, f"{path.name}: {image['src']} has the alternative text {text!r}"
            assert not re.search(r"\.(png|svg|jpe?g|gif)$", text), f"{path.name}: {text}"
        for drawing in page(path).select("article svg[role=img]"):
            text = drawing.get("aria-label", "")
            assert len(text) >= 20, f"{path.name}: a drawing says {text!r} of itself"


def test_internal_links_lead_somewhere(pages: list[Path]):
    anchors = {path.resolve(): {tag["id"] for tag in page(path).select("[id]")} for path in pages}
    dead = set()
    for path in pages:
        for link in page(path).select("a[href]"):
            target = urlsplit(link["href"])
            if target.scheme or target.netloc or link["href"] == "#":
                continue
            file = ((path.parent / unquote(target.path)) if target.path else path).resolve()
            anchor = unquote(target.fragment)
            if not file.is_file():
                dead.add((path.name, link["href"]))
            elif anchor and file.suffix == ".html" and anchor not in anchors[file]:
                dead.add((path.name, link["href"]))
    assert dead == set()


def test_pages_weigh_at_most_four_megabytes(pages: list[Path]):
    scripts = (SITE / "_static" / "mathjax").rglob("*.js")  # its fonts, some 20 kB each, are not counted
    mathjax = sum(file.stat().st_size for file in scripts if file.parent.name != "extensions")
    for path in pages:
        local = {path.parent / unquote(urlsplit(asset).path) for asset in assets(page(path))}
        weight = path.stat().st_size + sum(file.stat().st_size for file in local)
        weight += mathjax if page(path).select_one(".math") else 0
        assert weight <= 4 * MEGABYTE, f"{path.name}: {weight / MEGABYTE:.1f} MB"


def test_no_cell_printed_an_error_or_a_warning(pages: list[Path]):
    for path in pages:
        noise = page(path).select("div.output.stderr, div.output.traceback, .system-message")
        assert noise == [], f"{path.name}: {noise[0].get_text()[:300]}"


def test_every_chapter_offers_its_notebook(pages: list[Path]):
    for notebook in NOTEBOOKS:
        (link,) = page(SITE / f"{notebook.stem}.html").select('.article-header-buttons a[href$=".ipynb"]')
        assert (SITE / link["href"]).read_bytes() == notebook.read_bytes()


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented_where_it_is_defined_and_only_there(pages: list[Path], module: str):
    documented = {
        tag["id"] for path in SITE.glob("api-*.html") for tag in page(path).select('dt[id^="twofold."]')
    }
    content = importlib.import_module(module)
    for name in content.__all__:
        member = getattr(content, name)
        has_home = inspect.isclass(member) or inspect.isfunction(member)
        home = member.__module__ if has_home else content.__name__
        assert (f"{module}.{name}" in documented) == (home == content.__name__), name
