"""Shapes and types of every public function are checked while the tests run, and only then."""

import shutil
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("twofold", "beartype.beartype")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty checkout of its own, with the energy tables: nothing that a test does reaches the real one."""
    root = tmp_path / "repository"
    (root / "book").mkdir(parents=True)
    for name in ("_toc.yml", "_config.yml", "references.bib", "_static/logo.svg"):
        (root / "book" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(CHECKOUT / "book" / name, root / "book" / name)
    (root / "book" / "_extra").mkdir()
    shutil.copytree(CHECKOUT / "data" / "tables", root / "data" / "tables")
    monkeypatch.setenv("TWOFOLD_REPOSITORY", str(root))
    monkeypatch.delenv("TWOFOLD_DATA", raising=False)
    return root


@pytest.fixture
def one_thread():
    """Sums in one order, and no quarrel with other processes: for tests that train."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
