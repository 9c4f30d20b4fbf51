"""Run one chapter with a reader's own numbers: papermill, behind checks that papermill leaves out."""

import contextlib
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from companion import paths

__all__ = ["build_page", "chapter_path", "check_parameters", "execute_chapter"]


LONGEST = 1000
"""Characters of a text, or entries of a list, that a parameter may have."""


def chapter_path(chapter: str) -> Path:
    """The notebook that ``4``, ``04-training``, ``training`` or a path ending in ``.ipynb`` names.

    Raises
    ------
    ValueError
        None or several of that name; the message lists the chapters.
    """
    if chapter.endswith(".ipynb") and Path(chapter).is_file():
        return Path(chapter).resolve()
    stems = {path.stem: path for path in sorted(paths.book_dir().glob("*.ipynb"))}
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


def check_parameters(notebook: Path, values: Mapping[str, object]) -> dict[str, object]:
    """``values`` as the chapter will get them, or an error before any work is done.

    Raises
    ------
    ValueError
        A name that the chapter does not have, a value (or a list's entry) of another type than its default,
        or NaN.
    """
    import ast

    import papermill

    known = papermill.inspect_notebook(str(notebook))
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(
            f"{notebook.stem} has no parameter {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
        )
    return {
        name: _fitting(notebook.stem, name, value, ast.literal_eval(known[name]["default"]))
        for name, value in values.items()
    }


def _fitting(chapter: str, name: str, value: object, default: object) -> object:
    if isinstance(value, str | list) and len(value) > LONGEST:
        raise ValueError(f"{name} has the length {len(value)}; {chapter} takes at most {LONGEST}")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{name} is {value!r}; it must not hold control characters")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"{name} is beyond 2^63; {chapter} wants something such as {default!r}")
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(default, float) and isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML takes 5e5, without point and sign, for text
            value = float(value)
    if default is not None and type(value) is not type(default):
        raise ValueError(
            f"{name} is {value!r}; {chapter} wants {type(default).__name__}, such as {default!r}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; it must be a finite number")
    if isinstance(value, list) and isinstance(default, list):
        like = default[0] if default else ""  # the only lists that are empty by default are of names
        return [_fitting(chapter, f"an entry of {name}", entry, like) for entry in value]
    return value


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
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
        file.flush()
        command = ["build", str(notebook), "--config", file.name, "--path-output", str(notebook.parent), "-q"]
        start = "import sys; from jupyter_book.cli.main import main; main(sys.argv[1:])"
        done = subprocess.run([sys.executable, "-c", start, *command], capture_output=True, text=True)
    page = notebook.parent / "_build" / "_page" / notebook.stem / "html" / f"{notebook.stem}.html"
    if done.returncode or not page.is_file():
        raise RuntimeError(f"{notebook} was run, but jupyter-book made no page of it: {done.stderr.strip()}")
    return page
