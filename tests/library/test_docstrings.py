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
    """On the library's pages what stands before it would be the value's type."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for body in [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]:
        for value, note in pairwise(body):
            match value, note:
                case (
                    ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ) if not name.startswith("_"):
                    assert ":" not in re.sub("``.*?``", "", words.partition("\n")[0]), name
