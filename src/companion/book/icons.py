"""A Sphinx extension: the theme's icons come from its font alone.

The theme brings them twice: as a font, in its style sheet, and as a script of 1.5 MB that draws the same ones
once more. That script weighs more than all else on a page.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


_SCRIPT = re.compile(r'\s*<script[^>]* src="[^"]*_static/scripts/fontawesome\.js[^"]*"></script>')


def setup(app: "Sphinx") -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("build-finished", _leave_out_the_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _leave_out_the_script(app: "Sphinx", error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).glob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (without := _SCRIPT.sub("", text)) != text:
            page.write_text(without, encoding="utf-8")
    for file in Path(app.outdir, "_static", "scripts").glob("fontawesome.js*"):
        file.unlink()
