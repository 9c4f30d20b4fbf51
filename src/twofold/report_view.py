"""A report as its reader sees it: title, columns, SI prefixes; text in a terminal, HTML in a notebook."""

import math
import textwrap
from dataclasses import dataclass
from html import escape

import pandas as pd

__all__ = ["Report"]

ENERGIES = ["array_j", "adc_j", "index_j", "energy_j"]
_SUMS = ["weights", "kept", "cells", "bytes_packed", "bytes_int8", *ENERGIES]
_PREFIXES = {1e-15: "f", 1e-12: "p", 1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: "", 1e3: "k", 1e6: "M", 1e9: "G"}
_WIDTH = 110


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A frame with a row a layer, and a title that says what its numbers mean.

    Attributes
    ----------
    frame : DataFrame
        ``layer``, ``shape``, ``weights``, ``kept``, ``zero_codes`` (share of the kept), ``bits``, ``cells``
        (stored), ``bytes_packed`` (kept codes of ``bits`` bits, scale and seed, and a bitmap where no LFSR
        made the mask), ``bytes_int8`` (a byte for every weight, and the scale), ``array_j``, ``adc_j``,
        ``index_j``, ``energy_j`` (their sum) and the machine's own columns, see
        `energy.EnergyModel.describe`. With a baseline: ``baseline_j`` and ``gain``; in the encoding that is
        cheapest for the baseline in total, ``baseline_best_j`` and ``gain_best_untrained``. Joules and bytes,
        no prefixes.
    title : str
    """

    frame: pd.DataFrame
    title: str

    @property
    def total(self) -> pd.Series:
        """The sums over all layers, and the network's own share of zeros and gains."""
        total = self.frame[_SUMS].sum()
        total["zero_codes"] = (self.frame.zero_codes * self.frame.kept).sum() / total.kept
        if "gain" in self.frame:
            total["baseline_j"] = self.frame.baseline_j.sum()
            total["gain"] = over(total.baseline_j, total.energy_j)
            total["baseline_best_j"] = self.frame.baseline_best_j.sum()
            total["gain_best_untrained"] = over(total.baseline_best_j, total.energy_j)
        return total

    def __repr__(self) -> str:
        shown = self._shown()
        # pandas sets text to the right; names of layers read better from the left.
        for column in ("layer", "shape"):
            width = shown[column].str.len().max()
            shown[column] = shown[column].str.ljust(width)
            shown = shown.rename(columns={column: column.ljust(width)})
        return f"{textwrap.fill(self.title, _WIDTH)}\n\n{shown.to_string(index=False)}"

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=False, border=0)
        head, rows = table.split(">", 1)
        return f"<div>{head}><caption>{escape(self.title)}</caption>{rows}</div>"

    def _shown(self) -> pd.DataFrame:
        """The frame as text, with a row for the total and SI prefixes, one a kind of column."""
        rows = pd.concat([self.frame, self.total.to_frame().T.assign(layer="total", shape="", bits=None)])
        shown = pd.DataFrame({"layer": rows.layer, "shape": rows["shape"]})
        for name in ("weights", "kept"):
            shown[name] = [f"{int(value):,}" for value in rows[name]]
        shown["zero codes"] = [f"{100 * value:.1f} %" for value in rows.zero_codes]
        shown["bits"] = ["" if pd.isna(value) else str(int(value)) for value in rows.bits]
        shown["cells"] = [f"{int(value):,}" for value in rows.cells]
        for columns, unit in ((["bytes_packed", "bytes_int8"], "B"), (ENERGIES, "J")):
            scale, prefix = _prefix(float(self.total[columns].max()))
            for column in columns:
                name = {"bytes_packed": "packed", "bytes_int8": "int8"}.get(column, column.removesuffix("_j"))
                shown[f"{name} ({prefix}{unit})"] = [f"{value / scale:.2f}" for value in rows[column]]
        for column in ("gain", "gain_best_untrained"):
            if column in rows:
                name = "gain" if column == "gain" else "over best untrained"
                shown[name] = ["" if pd.isna(value) else f"{value:.2f}x" for value in rows[column]]
        return shown


def over(numerator: pd.Series | float, denominator: pd.Series | float) -> pd.Series | float:
    """A ratio that is NaN, not infinite, over nothing: a layer without joules has no gain."""
    if isinstance(denominator, pd.Series):
        return numerator / denominator.where(denominator > 0)
    return numerator / denominator if denominator > 0 else math.nan


def _prefix(value: float) -> tuple[float, str]:
    """The SI prefix in which a value has one to three digits before its point."""
    scale = max((scale for scale in _PREFIXES if scale <= value), default=1.0 if value == 0 else 1e-15)
    return scale, _PREFIXES[scale]
