"""What an encoding can be made to cost: energy against error when every weight chooses its code.

`companion.book.examples.encoding_control` prices codes that nobody chose. Here each weight takes the code
that is best for error and energy together, as in training (`twofold.CodeChooser`), and the network is not
trained at all: how much of its weights has to be given up for how many joules?
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from twofold import CellTable, CodeChooser, load_cell_table
from twofold.codes.cells import code_energy_table
from twofold.codes.encodings import CELL_ENCODINGS, EncodingName
from twofold.codes.quantizer import check_clip_ratio, code_limit, weight_scale

__all__ = ["energy_at_error", "frontier", "rate_distortion"]


@torch.no_grad()
def rate_distortion(
    weights: Iterable[Float[Tensor, "..."]],
    strengths: Sequence[float],
    *,
    bits: int = 8,
    encodings: Sequence[EncodingName] = CELL_ENCODINGS,
    clip_ratios: Sequence[float] = (1.0,),
    table: CellTable | None = None,
) -> pd.DataFrame:
    """Energy and error of chosen codes, a row for each encoding, scale and strength.

    Parameters
    ----------
    weights : of each layer; a layer has one scale
    strengths : prices of energy, in LSB^2/pJ of 8 bits and the scale ``max|W|``; 0: the nearest code
        With another step the same price in units of the weights: divided by the square of the steps' ratio.
    clip_ratios : multiples of ``max|W|`` that the largest code stands for, see `sparsify.Twofold`
    table : None: that of the slides

    Returns
    -------
    DataFrame
        ``encoding``, ``clip_ratio``, ``strength``; ``energy_pj``, a weight's, read once with an input bit of
        1; ``error``, the squared error as a share of a layer's squared weights, averaged over the weights;
        and ``zero_codes``, the share of codes that are 0.

    Raises
    ------
    ValueError
        No layer, a layer that has no scale, a strength or a clip ratio out of range.
    """
    layers = [_Sorted(weight) for weight in weights]
    if not layers:
        raise ValueError("there are no weights to choose codes for")
    for ratio in clip_ratios:
        check_clip_ratio(ratio)
    limit, count = code_limit(bits), sum(layer.count for layer in layers)
    table, rows = table or load_cell_table(), []
    choosers = {e: CodeChooser(bits, code_energy_table(bits, e, table) * 1e12) for e in encodings}
    for encoding, ratio in product(encodings, clip_ratios):
        chooser = choosers[encoding]
        energy_pj = code_energy_table(bits, encoding, table) * 1e12
        steps_ratio = ratio * code_limit(8) / limit
        for strength in strengths:
            chooser.set_strength(float(strength) / steps_ratio**2)
            spent_pj, error, zero = 0.0, 0.0, 0
            for layer in layers:
                codes, taken, error_of_layer = layer.chosen(chooser, ratio)
                spent_pj += float(taken @ energy_pj[codes + limit])
                error += error_of_layer
                zero += int(taken[codes == 0].sum())
            rows.append((encoding, ratio, strength, spent_pj / count, error / count, zero / count))
    names = ["encoding", "clip_ratio", "strength", "energy_pj", "error", "zero_codes"]
    return pd.DataFrame(rows, columns=names)


class _Sorted:
    """A layer's weights in rising order: those of a code are then neighbors, and sums over them differences.

    Which weights take which code is for the chooser's few breakpoints to say, so hundreds of prices, scales
    and encodings cost a binary search each in place of a walk over all weights.
    """

    def __init__(self, weight: Float[Tensor, "..."]):
        self.weight = weight.detach().flatten().sort().values
        self.scale = weight_scale(weight)
        self.count = self.weight.numel()
        self.sums = torch.cat([torch.zeros(1, dtype=torch.float64), self.weight.double().cumsum(0)])
        self.square = float(self.weight.double().square().sum())
        self._places: dict[float, Tensor] = {}

    def chosen(self, chooser: CodeChooser, ratio: float) -> tuple[Tensor, Tensor, float]:
        """The codes that can be taken, how many weights take each, and their squared error.

        The error is a share of the layer's mean squared weight; a layer of zeros has none.
        """
        step = self.scale * ratio / chooser.limit
        if (key := float(step)) not in self._places:
            self._places[key] = (self.weight / step).clamp(-chooser.limit, chooser.limit)
        breaks = chooser.breaks[torch.isfinite(chooser.breaks)]
        codes = chooser.values[: len(breaks) + 1].double()
        # A weight on a breakpoint takes the code below, as in the chooser.
        cuts = torch.searchsorted(self._places[key], breaks, right=True)
        ends = torch.cat([cuts.new_zeros(1), cuts, cuts.new_full((1,), self.count)])
        taken, sums = ends.diff().double(), self.sums[ends].diff()
        error = self.square - 2 * key * float(codes @ sums) + key**2 * float(codes.square() @ taken)
        return codes.long(), taken, error * self.count / self.square if self.square else 0.0


def frontier(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `rate_distortion` that no other row of their encoding beats, from cheap to dear.

    Along an encoding's rows ``energy_pj`` rises and ``error`` falls.
    """
    frame = frame.sort_values(["encoding", "energy_pj", "error"])
    least_before = frame.groupby("encoding").error.transform(
        lambda error: error.cummin().shift(fill_value=np.inf)
    )
    return frame[frame.error < least_before].reset_index(drop=True)


def energy_at_error(frame: pd.DataFrame, errors: Sequence[float]) -> pd.DataFrame:
    """Picojoules a weight at which each encoding has so large an error, interpolated along its `frontier`.

    Returns
    -------
    DataFrame
        Index: the encodings; columns: the errors. A gap where the error lies outside the encoding's rows.
    """
    rows = {}
    for encoding, own in frontier(frame).groupby("encoding"):
        known = own.sort_values("error")
        rows[encoding] = np.interp(errors, known.error, known.energy_pj, left=np.nan, right=np.nan)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(errors))
