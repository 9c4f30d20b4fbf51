"""A Sphinx extension: signatures of dataclasses as they are written, in the pages of the library.

A default that a factory makes is ``<factory>`` to Python, which is no expression, and a signature that cannot
be read as one is printed with the full name of each type.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: "Sphinx") -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("autodoc-process-signature", _readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _readable(
    app: "Sphinx",
    kind: str,
    name: str,
    what: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    return signature and signature.replace("<factory>", "..."), returns
