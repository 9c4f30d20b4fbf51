"""The claims ledger as its page shows it: tables and findings in Markdown, whose links the book resolves."""

import pandas as pd

from companion.study.claims import Group, Sign

__all__ = ["SYMBOLS", "findings_list", "verdict_table"]


SYMBOLS: dict[Sign, str] = {"holds": "✓", "holds if": "◐", "does not hold": "✗", "open": "?"}
"""Stand before the words, so that a table tells its signs at a glance, without a color."""

_UNBROKEN = "\N{NO-BREAK SPACE}"


def verdict_table(frame: pd.DataFrame, group: Group, digits: int) -> str:
    """The claims of a group: the verdict, their number, ours, the condition, and the chapter that shows it.

    The numbers stand before the words of the condition, so that a phone shows them.

    Parameters
    ----------
    frame : as `companion.study.claims.ledger`
    digits : significant digits of our numbers
    """
    rows = [["claim", "verdict", "they say", "we get", "condition", "shown in"], ["---"] * 6]
    for claim in frame[frame.group == group].to_dict("records"):
        theirs, ours = (
            _quantity(claim[column], claim["unit"], places)
            for column, places in (("they_say", 15), ("we_measure", digits))
        )
        sign = f"{SYMBOLS[claim['sign']]} {claim['sign']}".replace(" ", _UNBROKEN)
        rows.append([claim["claim"], sign, theirs, ours, claim["condition"], _link(claim["chapter"])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def findings_list(frame: pd.DataFrame, group: Group) -> str:
    """What was measured for each claim of a group, with its slide and the function that measures."""
    items = [
        f"- **{claim['claim']}** (*{claim['slide']}*, by `{claim['measured_by'].rpartition('.')[2]}`). "
        f"{claim['finding']}"
        for claim in frame[frame.group == group].to_dict("records")
    ]
    return "\n".join(items)


def _quantity(value: float | None, unit: str, digits: int) -> str:
    """A number with its unit, to some significant digits and without an exponent; a dash for no number."""
    if value is None or pd.isna(value):
        return "—"
    number = f"{float(f'{value:.{digits}g}'):,.15g}"
    return f"{number}{unit}" if unit.startswith("x") else f"{number} {unit}".strip()


def _link(chapter: str) -> str:
    """``06-energy`` as a link of the words "chapter 6"; a page without a number by its name."""
    number = chapter.partition("-")[0]
    if number.isdigit():
        return f"[chapter{_UNBROKEN}{int(number)}]({chapter}.ipynb)"
    return f"[{chapter}]({chapter}.md)"
