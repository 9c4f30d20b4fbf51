"""Shapes and types of every public function are checked while the tests run, and only then."""

import importlib
import os
import shutil
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from types import FunctionType
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers fill the cores: a thread each, and each child too
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch looks
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # galois's compiler sets the threads of torch as well

import jaxtyping
import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook

# While the hook below imports a module of ours, Python looks for bytecode under the hook's own names, so what
# that module is the first to import is compiled anew. A worker needs all of these in the end: before, then.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in (
        "pandas",
        "papermill",
        "scipy.stats",
        "seaborn",
        "sklearn.datasets",
        "torch._dynamo",
        "torchvision",
    ):
        importlib.import_module(name)

of_jaxtyping = jaxtyping.jaxtyped
of_beartype = beartype(conf=BeartypeConf(violation_type=TypeError))  # as jaxtyping's own errors are


def checked(function: Callable | None = None, **options: Any) -> Callable:
    """What the hook puts around a function: jaxtyping where it has shapes, beartype alone where it has none.

    Jaxtyping binds the arguments of each call, to know the sizes that they share. Most functions have no
    shapes, and some are called a million times.
    """
    if function is None:
        return partial(checked, **options)
    types = getattr(function, "__annotations__", {})
    by_name = any(isinstance(named, str) for named in types.values())  # perhaps of what is not imported
    if not isinstance(function, FunctionType) or by_name or "jaxtyping." in repr(types):
        return of_jaxtyping(function, **options)
    of_types = of_beartype(function)

    @wraps(function)
    def either(*given: Any, **named: Any) -> Any:
        called = function if jaxtyping.config.jaxtyping_disable else of_types
        return called(*given, **named)

    return either


jaxtyping.jaxtyped = checked
install_import_hook(["twofold", "companion"], "beartype.beartype")

# An example that takes long on a busy machine is no error.
settings.register_profile("twofold", deadline=None)
settings.load_profile("twofold")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty checkout of its own: nothing that a test does reaches the real one."""
    root = tmp_path / "repository"
    (root / "book").mkdir(parents=True)
    for name in ("_toc.yml", "_config.yml", "references.bib", "_static/logo.svg"):
        (root / "book" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(CHECKOUT / "book" / name, root / "book" / name)
    (root / "book" / "_extra").mkdir()
    (root / "data").mkdir()
    monkeypatch.setenv("TWOFOLD_REPOSITORY", str(root))
    monkeypatch.delenv("TWOFOLD_DATA", raising=False)
    return root


@pytest.fixture(scope="session")
def pages():
    """The pages of the site that `make book` made; no test builds it again."""
    site = CHECKOUT / "book" / "_build" / "html"
    if not (site / "index.html").is_file():
        if os.environ.get("CI"):
            pytest.fail(f"no site at {site}: run `make book` before the tests")
        pytest.skip("no site: run `make book` first")
    return sorted(site.glob("*.html"))


@pytest.fixture
def one_thread():
    """Sums in one order, and no quarrel with other processes: for tests that train."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
