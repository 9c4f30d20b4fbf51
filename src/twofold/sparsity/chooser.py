"""The choice of codes that spend little energy: no penalty, but a forward pass.

Every weight takes the code that is best for squared error and cell energy together. It stands in the place of
the slides' Reg_Bit ("Method: Twofold Sparsity"), whose readings as a penalty are in
:mod:`twofold.sparsity.penalties`.
"""

import math
import zlib

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from twofold.codes.quantizer import check_bits, code_limit

__all__ = ["CodeChooser", "straight_through", "transformed"]


_LARGEST_COST = 1e30


def straight_through(weight: Tensor, value: Tensor, keep: Tensor | None = None) -> Tensor:
    """Hand on ``value`` exactly; in the backward pass the gradient goes to ``weight``, where it is kept.

    The straight-through estimator of Bengio et al. 2013, arXiv 1308.3432. Made of torch's own operations, so
    that every transformation of ``torch.func`` and ``torch.compile`` take it.

    Examples
    --------
    >>> weight = torch.tensor([0.4, 1.3], requires_grad=True)
    >>> straight_through(weight, torch.tensor([0.0, 1.0])).sum().backward()
    >>> weight.grad
    tensor([1., 1.])
    """
    # A finite weight less itself is 0 to the last bit, and adds nothing to the value; the usual
    # weight + (value - weight) would round, and leave the grid.
    nothing = weight - weight.detach()
    return value.detach() + (nothing if keep is None else nothing * keep)


def transformed() -> bool:
    """Whether ``torch.func`` transforms this computation, whose tensors then show no numbers."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


class CodeChooser(nn.Module):
    """Codes that are cheap for what they say: ``argmin_v (u - v)^2 + strength * E(v)``.

    u is a weight's place on the integer grid, v runs over all codes, E is the cells' energy in pJ, so
    ``strength`` is in LSB^2/pJ. Dropping u^2, the cost of v is the line ``c(v) - 2 u v`` in u, with
    ``c(v) = v^2 + strength * E(v)``; the least of all lines is their lower envelope, and the codes on
    it are the lower convex hull of the points (v, c(v)). So a few sorted breakpoints replace the search:
    exact for every u, any number of bits. A fine grid of cells says how many breakpoints lie before a cell,
    and u is compared with the few inside: twenty times the speed of torch's binary search on a CPU.

    Gradient: straight-through, as for plain rounding.

    Parameters
    ----------
    bits : int
        Of a code, 2..16.
    energy_pj : Float[Tensor, "codes"]
        Energy of the codes -limit..limit in picojoules: 1e12 times
        :func:`~twofold.codes.cells.code_energy_table`.

    Raises
    ------
    ValueError
        Bits outside 2..16, or another number of energies than of codes.

    Examples
    --------
    >>> from twofold.codes.cells import code_energy_table
    >>> from twofold.codes.tables import load_cell_table
    >>> energy_j = code_energy_table(8, "twos_complement", load_cell_table())
    >>> chooser = CodeChooser(8, 1e12 * energy_j)
    >>> place = torch.tensor([-1.0, 3.4, 30.0, 127.0])
    >>> chooser(place)
    tensor([ -1.,   3.,  30., 127.])
    >>> chooser.set_strength(250.0)
    >>> chooser(place)
    tensor([  0.,   0.,  32., 116.])
    >>> len(chooser.surviving)  # of 255 codes
    29
    """

    breaks: Tensor
    values: Tensor
    before: Tensor
    grid: Tensor

    def __init__(self, bits: int, energy_pj: Float[Tensor, " codes"]):
        super().__init__()
        limit = code_limit(check_bits(bits))
        if energy_pj.shape != (2 * limit + 1,):
            raise ValueError(
                f"{energy_pj.numel()} energies for {bits} bits; {2 * limit + 1} codes need one each"
            )
        self.limit = limit
        self.strength = -1.0
        self._energy_pj = energy_pj.double().cpu().numpy()
        self.checksum = zlib.crc32(self._energy_pj.astype("<f4").tobytes())
        # Padded to full length, so that a change of strength changes no shape (compiled graphs stay valid).
        self.register_buffer("breaks", torch.empty(2 * limit + 1), persistent=False)
        self.register_buffer("values", torch.empty(2 * limit + 1), persistent=False)
        # So many cells that nearly always none holds two breakpoints.
        self.register_buffer("before", torch.empty(32 * limit, dtype=torch.int32), persistent=False)
        self.register_buffer("grid", torch.empty(2), persistent=False)
        self.inside, self._most = 2, 1
        self.set_strength(0.0)

    def set_strength(self, strength: float) -> None:
        """Weigh energy by ``strength`` LSB^2/pJ from now on; 0 rounds to the nearest code."""
        if strength == self.strength:
            return
        self.check_strength(strength)
        self.strength = strength
        self.rounds = strength == 0
        self._fill()

    def check_strength(self, strength: float) -> None:
        """Raise ``ValueError`` where the breakpoints of this strength would be no numbers of float32."""
        highest = _LARGEST_COST / max(float(abs(self._energy_pj).max()), 1.0)
        if not 0 <= strength <= highest:  # false for NaN as well
            raise ValueError(
                f"strength is {strength!r}; it must lie in [0, {highest:.3g}] (LSB^2/pJ) with these energies"
            )

    def _apply(self, fn, recurse=True):
        before = self.breaks.dtype
        super()._apply(fn, recurse)
        if self.breaks.dtype != before:
            if self.breaks.dtype not in (torch.float32, torch.float64):
                # All layers share it: half() of one, which is refused then, must not round codes of others.
                super()._apply(lambda own: own.to(before) if own.is_floating_point() else own, recurse)
            self._fill()  # afresh: what half() rounded, float() does not bring back
        return self

    def _fill(self) -> None:
        codes = np.arange(-self.limit, self.limit + 1, dtype=np.float64)
        hull = _lower_hull(codes, codes**2 + self.strength * self._energy_pj)
        cost = codes[hull] ** 2 + self.strength * self._energy_pj[hull]
        breaks = np.full(2 * self.limit + 1, np.inf)
        breaks[: len(hull) - 1] = np.diff(cost) / (2 * np.diff(codes[hull]))
        values = np.full(2 * self.limit + 1, codes[hull[-1]])
        values[: len(hull)] = codes[hull]
        # Rounded here, and not on the buffers' device: a GPU would have to be waited for.
        rounded = torch.from_numpy(breaks).to(self.breaks.dtype)
        self.breaks.copy_(rounded, non_blocking=True)
        self.values.copy_(torch.from_numpy(values).to(self.values.dtype), non_blocking=True)
        self._lay_grid(rounded[: len(hull) - 1])

    def _lay_grid(self, breaks: Float[Tensor, " breaks"]) -> None:
        cells = len(self.before)
        # A power of two scales without rounding, so that a fused multiply-add finds the same cell.
        scale = 2.0 ** math.floor(math.log2((cells - 2) / max(float(breaks[-1] - breaks[0]), 1.0)))
        grid = torch.tensor([scale, 1 - math.floor(scale * float(breaks[0]))])
        self.grid.copy_(grid, non_blocking=True)
        counts = torch.bincount(_cell(breaks, grid, cells), minlength=cells)
        self.before.copy_((counts.cumsum(0) - counts).to(self.before.dtype), non_blocking=True)
        self._most = int(counts.max())
        # Rounded up, so that it seldom changes: a compiled graph is made anew for each number.
        self.inside = 2 ** max(1, math.ceil(math.log2(self._most)))

    @property
    def surviving(self) -> list[int]:
        """The codes that some weight can still take at this strength."""
        return sorted({int(v) for v in self.values})

    def forward(self, place: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The chosen code of each weight, as a float; ``place`` = W / s * limit. No gradient."""
        # In the order of memory, so that a channels_last weight is neither copied nor handed on in another.
        order = sorted(range(place.ndim), key=lambda dim: place.stride(dim), reverse=True)
        stored = place.permute(order)
        flat = stored.reshape(-1)
        before, grid, breaks, values = self.before, self.grid, self.breaks, self.values
        if breaks.device != place.device:  # the layers that share it may be on several
            before, grid, breaks, values = (own.to(place.device) for own in (before, grid, breaks, values))
        index = before.index_select(0, _cell(flat, grid, len(before)))
        graph = torch.compiler.is_compiling() or place.is_cuda  # or may be recorded there
        for _ in range(self.inside if graph else self._most):
            index += flat > breaks.index_select(0, index)
        chosen = values.index_select(0, index).view(stored.shape)
        return chosen.permute([order.index(dim) for dim in range(place.ndim)])


def _cell(
    place: Float[Tensor, " places"], grid: Float[Tensor, "scale_and_start=2"], cells: int
) -> Int32[Tensor, " places"]:
    """The grid's cell of each place. That it never falls as places rise is all that exactness needs."""
    scale, start = grid.unbind()
    cell = (place * scale).add_(start).clamp_(0, cells - 1).to(torch.int32)
    return cell.clamp_(min=0)  # NaN is no cell; its scale, NaN too, carries it on


def _lower_hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Indices of the lower convex hull of points sorted by x (Andrew's monotone chain)."""
    x, y = x.tolist(), y.tolist()  # a number of Python's own is read five times as fast
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[b]) < (y[i] - y[b]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull
