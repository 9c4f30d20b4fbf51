"""A Sphinx extension: what a page links to once the repository is published.

One setting, ``published_at`` in ``_config.yml``, is the repository's address. With it, every page has buttons
to its source, an edit and an issue, every notebook one that opens it on Binder (by ``environment.yml``), and
every name of the library a link to its lines; the results explorer links to the folders of runs. Empty, as it
is by default, nothing is added.
"""

import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from companion import paths

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

__all__ = ["folder_address", "published_at", "setup", "source_address"]


BRANCH = "main"


_SOURCE = Path(__file__).resolve().parents[2]


def setup(app: "Sphinx") -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_config_value("published_at", "", "env", [str])
    app.setup_extension("sphinx.ext.linkcode")
    app.connect("config-inited", _configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def published_at() -> str:
    """The setting, for what a chapter makes; empty where the repository is not published."""
    config = yaml.safe_load((paths.book_dir() / "_config.yml").read_text(encoding="utf-8"))
    return config["sphinx"]["config"]["published_at"].rstrip("/")


def folder_address(address: str, path: str) -> str:
    """Where a folder of the repository at ``address`` is shown; empty for an empty address.

    Examples
    --------
    >>> folder_address("https://github.com/owner/name", "data/results")
    'https://github.com/owner/name/tree/main/data/results'
    """
    return f"{address}/tree/{BRANCH}/{path}" if address else ""


def _configure(app: "Sphinx", config: "Config") -> None:
    address = config.published_at.rstrip("/")
    config.linkcode_resolve = partial(_resolve, address)
    if address:
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": BRANCH,
            "path_to_docs": "book",
            "use_repository_button": True,
            "use_source_button": True,
            "use_edit_page_button": True,
            "use_issues_button": True,
            "launch_buttons": {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"},
        }


def _resolve(address: str, domain: str, info: Mapping[str, str]) -> str | None:
    if not address or domain != "py" or not info["module"]:
        return None
    return source_address(address, info["module"], info["fullname"])


def source_address(address: str, module: str, name: str) -> str | None:
    """Where the lines of an object stand in the repository at ``address``; None for what has no lines.

    Parameters
    ----------
    module, name
        As on a page: the module that exports an object, and its name in there, such as ``Mask.kept``.
    """
    thing: Any = import_module(module)
    for word in name.split("."):
        thing = (
            inspect.getattr_static(thing, word, None)
            if inspect.isclass(thing)
            else getattr(thing, word, None)
        )
    for wrapped in ("fget", "func", "__func__"):  # properties, cached properties, class methods
        thing = getattr(thing, wrapped, thing)
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(thing))
        file = Path(inspect.getsourcefile(inspect.unwrap(thing)) or "").resolve().relative_to(_SOURCE.parent)
    except (TypeError, OSError, ValueError):  # a constant, an attribute, or somebody else's
        return None
    return f"{address}/blob/{BRANCH}/{file.as_posix()}#L{first}-L{first + len(lines) - 1}"
