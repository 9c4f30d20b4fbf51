"""The examples in the library's docstrings give what stands there."""

import doctest
import importlib
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
