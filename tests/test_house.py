"""Lint, format, types and the arrows between modules of the whole tree, by the settings in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "words",
    [
        ("ruff", "check", "--output-format", "concise", "."),
        ("ruff", "format", "--check", "."),
        ("lint-imports", "--no-cache", "--no-logo"),
        pytest.param(("mypy",), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_the_tree_is_clean(words):
    program, *rest = words
    command = [Path(sys.executable).with_name(program), *rest]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
