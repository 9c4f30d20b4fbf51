"""Run one chapter with a reader's own numbers: papermill, behind checks that papermill leaves out.

A chapter's parameter cell says what its parameters mean and what they are by default;
`companion.book.allowed` says what they may be. Nothing heavy is imported before a chapter is checked or run.
"""

import ast
import contextlib
import io
import json
import operator
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
import yaml

from companion import paths

__all__ = [
    "Parameter",
    "build_page",
    "chapter_path",
    "chapter_title",
    "chapters",
    "check_parameters",
    "execute_chapter",
    "parameters_of",
]


def chapters() -> list[Path]:
    """All notebooks of the book."""
    return sorted(paths.book_dir().glob("*.ipynb"))


def chapter_path(chapter: str) -> Path:
    """The notebook that ``4``, ``04-training``, ``training`` or a path ending in ``.ipynb`` names.

    Raises
    ------
    ValueError
        None or several of that name; the message lists the chapters.
    """
    if chapter.endswith(".ipynb") and Path(chapter).is_file():
        return Path(chapter).resolve()
    stems = {path.stem: path for path in chapters()}
    wanted = chapter.removesuffix(".ipynb")
    found = [
        path
        for stem, path in stems.items()
        if wanted in (stem, stem.partition("-")[2])
        or (wanted.isdigit() and stem.startswith(f"{int(wanted):02d}-"))
    ]
    if len(found) != 1:
        raise ValueError(f"chapter {chapter!r} is not known; there are {', '.join(stems)}")
    return found[0]


# ---- parameters ----


@dataclass(frozen=True)
class Parameter:
    """A parameter, as its line in the cell has it.

    Attributes
    ----------
    written : str
        The default as it is written there.
    default : object
        Its value: a literal's, or that of arithmetic with literals; ``...`` where it is anything else, which
        only the kernel can tell.
    meaning : str
        The comment on the line.
    """

    written: str
    default: object
    meaning: str


def parameters_of(notebook: Path) -> dict[str, Parameter]:
    """What the cell tagged ``parameters`` assigns, by name and in order; nothing is executed.

    Raises
    ------
    ValueError
        The file is no notebook, or the cell no Python; the message names the file.
    """
    code = next((code for tags, code in _cells(notebook, "code") if "parameters" in tags), "")
    try:
        return dict(_assigned(code))
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError) as error:
        raise ValueError(f"the parameters of {notebook} are no readable Python: {error}") from error


@lru_cache  # of a cell's text, so a notebook that changed is read anew
def _assigned(code: str) -> dict[str, Parameter]:
    """The parameters that a cell assigns."""
    tree = ast.parse(code)
    tokens = [*tokenize.generate_tokens(io.StringIO(code).readline)]
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    meanings = {comment.start[0]: comment.string.lstrip("# ") for comment in comments}
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parameter = Parameter(
            written=ast.get_source_segment(code, statement.value) or "",
            default=_value(statement.value),
            meaning=meanings.get(statement.end_lineno or 0, ""),
        )
        found |= {target.id: parameter for target in targets if isinstance(target, ast.Name)}
    return found


def chapter_title(notebook: Path) -> str:
    """The first heading of a notebook; empty where there is none."""
    lines = (line for _, text in _cells(notebook, "markdown") for line in text.splitlines())
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), "")


def _cells(notebook: Path, kind: str) -> list[tuple[list[str], str]]:
    """Tags and text of all cells of a kind."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = [cell for cell in content["cells"] if cell["cell_type"] == kind]
        return [(cell["metadata"].get("tags", []), "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{notebook} is no readable notebook: {error!r}") from error


_ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


def _value(node: ast.expr) -> Any:
    """The value of a literal, or of arithmetic with numbers below 2^64; ``...`` for anything else."""
    with contextlib.suppress(ValueError, TypeError):
        return ast.literal_eval(node)
    if not isinstance(node, ast.BinOp | ast.UnaryOp) or type(node.op) not in _ARITHMETIC:
        return ...
    parts = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
    numbers = [_value(part) for part in parts]
    if not all(type(number) in (int, float) and abs(number) < 2**64 for number in numbers):
        return ...
    if isinstance(node.op, ast.Pow) and abs(numbers[1]) > 64:  # some powers take for ever
        return ...
    with contextlib.suppress(ArithmeticError):
        result = _ARITHMETIC[type(node.op)](*numbers)
        return result if isinstance(result, int | float) else ...  # a root of a negative number is complex
    return ...


def check_parameters(notebook: Path, values: Mapping[str, object]) -> dict[str, object]:
    """``values`` as the chapter will get them, or an error before any work is done.

    A chapter of the book has a schema in `companion.book.allowed`. A notebook that is none of these, or has
    other parameters, is a reader's own: there a value must be of its default's type, as far as that can be
    read, and no more is known.

    Raises
    ------
    ValueError
        A name that the chapter does not have, a value of another type, or one that is not allowed; the
        message quotes it and says what is.
    """
    known = parameters_of(notebook)
    unknown = [name for name in values if name not in known]
    if unknown:
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise ValueError(f"{notebook.stem} has no parameter {', '.join(map(repr, unknown))}; {there}")
    if not values:
        return {}
    from companion.book import allowed

    defaults = {name: parameter.default for name, parameter in known.items()}
    schema = allowed.CHAPTERS.get(notebook.stem)
    if schema is None or set(schema.model_fields) != set(known) or ... in defaults.values():
        return allowed.checked_by_type(defaults, values)
    checked = allowed.checked(schema, defaults | dict(values))
    return {name: checked[name] for name in values}


# ---- running ----


def execute_chapter(
    notebook: Path, values: Mapping[str, object], output: Path, progress_bar: bool = True
) -> Path:
    """Run a chapter with checked parameters; returns the notebook with its outputs, in ``output``.

    Raises
    ------
    ValueError
        As `check_parameters`; or ``output`` lies in ``data/`` or ``book/`` or is the notebook's own folder.
    RuntimeError
        A cell failed; the notebook in ``output`` shows where.
    """
    import papermill

    values = check_parameters(notebook, values)
    output = output.resolve()
    for folder in (paths.repository() / "data", paths.book_dir()):
        if folder.resolve() in (output, *output.parents):
            raise ValueError(f"output is {output}, inside {folder}; choose a folder of your own")
    if output == notebook.resolve().parent:
        raise ValueError(f"output is {output}, where {notebook.name} itself lies; choose another folder")
    output.mkdir(parents=True, exist_ok=True)
    done = output / notebook.name
    try:
        papermill.execute_notebook(
            str(notebook),
            str(done),
            parameters=dict(values),
            kernel_name="python3",
            progress_bar=progress_bar,
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(
            f"cell {error.exec_count} of {done} failed with {error.ename}: {error.evalue}"
        ) from error
    return done


def build_page(notebook: Path) -> Path:
    """An executed notebook as a page (HTML) of the book: formulas, figures and numbers set as on the site.

    What it cites is listed at its end, since the bibliography of the book is another page.

    Raises
    ------
    RuntimeError
        Jupyter Book refused; the message is its own.
    """
    config = yaml.safe_load((paths.book_dir() / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["execute_notebooks"] = "off"  # it has just been executed, with other parameters
    config["bibtex_bibfiles"] = [str(paths.book_dir() / "references.bib")]
    config["logo"] = config["html"]["favicon"] = str(paths.book_dir() / "_static" / "logo.svg")
    static = paths.book_dir() / "_static"  # Jupyter Book looks for it beside the page only
    config["sphinx"]["config"] |= {
        "html_extra_path": [str(paths.book_dir() / "_extra")],
        "html_static_path": [str(static)],
        "html_css_files": sorted(file.name for file in static.glob("*.css")),
        "html_js_files": sorted(file.name for file in static.glob("*.js")),
    }
    with tempfile.TemporaryDirectory() as folder:
        file, page = Path(folder, "_config.yml"), Path(folder, notebook.name)
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        page.write_text(_for_a_page(notebook.read_text(encoding="utf-8")), encoding="utf-8")
        command = ["build", str(page), "--config", str(file), "--path-output", str(notebook.parent), "-q"]
        start = "import sys; from jupyter_book.cli.main import main; main(sys.argv[1:])"
        done = subprocess.run([sys.executable, "-c", start, *command], capture_output=True, text=True)
    page = notebook.parent / "_build" / "_page" / notebook.stem / "html" / f"{notebook.stem}.html"
    if done.returncode or not page.is_file():
        raise RuntimeError(f"{notebook} was run, but jupyter-book made no page of it: {done.stderr.strip()}")
    return page


def _for_a_page(text: str) -> str:
    """A notebook that says what it was run with, and lists what it cites, if it cites anything."""
    notebook = nbformat.reads(text, as_version=4)
    given = notebook.metadata.get("papermill", {}).get("parameters")
    if given:
        values = ", ".join(f"`{name} = {value!r}`" for name, value in given.items())
        said = f"Made with {values}. Sentences without a number of the page were written for the defaults."
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(f":::{{note}}\n{said}\n:::"))
    if any("{cite" in cell.source for cell in notebook.cells if cell.cell_type == "markdown"):
        listed = "## References\n\n```{bibliography}\n:style: plain\n:filter: docname in docnames\n```"
        notebook.cells.append(nbformat.v4.new_markdown_cell(listed))
    return nbformat.writes(notebook)
