"""The examples in the library's docstrings give what stands there."""

import ast
import doctest
import importlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

import twofold

ROOT = Path(twofold.__file__).parent
MODULES = sorted(".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in ROOT.rglob("*.py"))


# Not by pytest's --doctest-modules: with import-mode=importlib it imports each module a second time, and two
# classes of one name are not each other's instances.
@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_stands_there(name: str):
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    module = importlib.import_module(name.removesuffix(".__init__"))
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=told.append)
    assert not runner.failures, "".join(told)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.stem)
def test_notes_of_values_have_no_colon_in_their_first_line(path: Path):
    """On the library's pages what stands before it would be the type of the value, or of the property."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    notes = {}
    for node in ast.walk(tree):
        for value, note in pairwise(node.body if isinstance(node, ast.Module | ast.ClassDef) else []):
            match value, note:
                case (
                    ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    notes[name] = words
        match node:
            case ast.FunctionDef(name=name, decorator_list=[ast.Name(id="property" | "cached_property"), *_]):
                notes[name] = ast.get_docstring(node) or ""
    first = {name: re.sub("``.*?``", "", words.partition("\n")[0]) for name, words in notes.items()}
    assert [name for name, line in first.items() if ":" in line and not name.startswith("_")] == []
