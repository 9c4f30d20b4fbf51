"""The claims ledger as its page prints it."""

import pandas as pd
import pytest

from companion.book.ledger import SYMBOLS, findings_list, verdict_table

ROW = {
    "claim": "gain at 90 % sparsity",
    "group": "results",
    "slide": "abstract",
    "they_say": 14.0,
    "we_measure": 17.9039,
    "unit": "x",
    "sign": "holds if",
    "condition": "only cells are paid",
    "chapter": "06-energy",
    "finding": "A mean over the seeds.",
    "measured_by": "companion.study.claims.gain_at_ninety",
}
FRAME = pd.DataFrame(
    [
        ROW,
        ROW
        | {
            "claim": "a range",
            "they_say": None,
            "we_measure": None,
            "sign": "open",
            "chapter": "bibliography",
        },
        ROW
        | {"claim": "accesses", "group": "slips", "they_say": 1000.0, "we_measure": 1234567.0, "unit": "pJ"},
    ]
)


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\N{NO-BREAK SPACE}", " ") for cell in line.strip("| ").split(" | ")]


def test_a_row_has_the_sign_in_words_and_the_numbers_with_their_units():
    head, rule, gain, range_ = map(cells, verdict_table(FRAME, "results", 3).splitlines())
    assert len(head) == len(rule) == len(gain) == 6
    assert gain[1:] == ["◐ holds if", "14x", "17.9x", "only cells are paid", "[chapter 6](06-energy.ipynb)"]
    assert range_[1:] == ["? open", "—", "—", "only cells are paid", "[bibliography](bibliography.md)"]
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


@pytest.mark.parametrize("digits, ours", [(1, "1,000,000 pJ"), (3, "1,230,000 pJ"), (15, "1,234,567 pJ")])
def test_digits_are_those_of_our_number_alone_and_no_exponent_comes(digits, ours):
    row = cells(verdict_table(FRAME, "slips", digits).splitlines()[2])
    assert row[2:4] == ["1,000 pJ", ours]


def test_findings_name_slide_and_function():
    assert findings_list(FRAME, "slips") == (
        "- **accesses** (*abstract*, by `gain_at_ninety`). A mean over the seeds."
    )
