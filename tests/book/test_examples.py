"""Every public name has an example on a page of "The library", and each example gives what the page says."""

import ast
import doctest
import re
import shutil
from pathlib import Path

import pytest

import twofold
from companion.paths import book_dir, repository

SECTIONS = {
    module: section
    for page in sorted(book_dir().glob("api-*.md"))
    for module, section in re.findall(
        r"^## `twofold\.(\w+)`[^\n]*\n(.*?)(?=^##|\Z)", page.read_text(encoding="utf-8"), re.S | re.M
    )
}
EXAMPLES = {
    module: found[1]
    for module, text in SECTIONS.items()
    if (found := re.search(r"^```pycon\n(.*?)^```", text, re.S | re.M))
}


def public_names(module: str) -> set[str]:
    """Functions and classes of a module that its ``__all__`` lists."""
    source = Path(twofold.__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    names, defined = set(), set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names = set(ast.literal_eval(node.value))
    return names & defined


def test_every_module_has_an_example():
    assert not set(SECTIONS) - set(EXAMPLES)


@pytest.mark.parametrize("module", EXAMPLES)
def test_every_public_name_is_in_its_module_s_example(module):
    assert public_names(module) <= set(re.findall(r"\w+", EXAMPLES[module]))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The checkout once more, with results of its own: some examples write there."""
    for path in (*repository().glob("*"), *(repository() / "data").glob("*")):
        copy = tmp_path / path.relative_to(repository())
        if path.name in ("data", "runs"):
            copy.mkdir()
        elif path.name == "results":
            shutil.copytree(path, copy)
        else:
            copy.symlink_to(path)
    monkeypatch.setenv("TWOFOLD_REPOSITORY", str(tmp_path))


@pytest.mark.parametrize(
    "module",
    [pytest.param(m, marks=pytest.mark.slow if m == "chapters" else ()) for m in EXAMPLES],
)
def test_the_example_gives_what_the_page_says(module, one_thread, checkout):
    test = doctest.DocTestParser().get_doctest(EXAMPLES[module], {}, module, None, 0)
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=told.append)
    assert result.attempted
    assert not result.failed, "".join(told)
