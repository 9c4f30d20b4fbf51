"""How an overall density is shared out among the layers of a network."""

from typing import Literal, get_args

from torch import nn

from twofold.layer import weight_layers

__all__ = ["DENSITY_RULES", "DensityRule", "layer_densities"]


DensityRule = Literal["uniform", "erk"]
"""How an overall density is shared out, see `layer_densities`."""


DENSITY_RULES: tuple[DensityRule, ...] = get_args(DensityRule)
"""Both rules."""


def layer_densities(model: nn.Module, density: float, rule: DensityRule = "uniform") -> dict[str, float]:
    """Density of each convolution and linear layer such that ``density`` of all their weights is kept.

    Parameters
    ----------
    density
        Share of kept weights, in (0, 1].
    rule
        - ``"uniform"``: the same for every layer.
        - ``"erk"`` (Erdos-Renyi kernel; Evci et al. 2020, arXiv 1911.11134): proportional to the sum of a
          kernel's dimensions over their product, so small layers are spared; a layer that would need more
          than all of its weights keeps all, and the rest share what is left.

    Raises
    ------
    ValueError
        For a density outside (0, 1], or any other rule.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 64, 3), nn.Linear(64, 10))
    >>> {name: round(density, 2) for name, density in layer_densities(model, 0.2, "erk").items()}
    {'0': 1.0, '1': 0.13, '2': 1.0}
    """
    if rule not in DENSITY_RULES:
        raise ValueError(f"density rule is {rule!r}; it must be one of {', '.join(DENSITY_RULES)}")
    if not 0 < density <= 1:
        raise ValueError(f"density is {density!r}; the share of kept weights lies in (0, 1]")
    sizes = {name: layer.weight.numel() for name, layer in weight_layers(model).items()}
    if rule == "uniform":
        return dict.fromkeys(sizes, density)
    raw = {
        name: sum(layer.weight.shape) / layer.weight.numel() for name, layer in weight_layers(model).items()
    }
    full: set[str] = set()
    while len(full) < len(sizes):
        left = density * sum(sizes.values()) - sum(sizes[n] for n in full)
        share = left / sum(raw[n] * sizes[n] for n in sizes if n not in full)
        over = {n for n in sizes if n not in full and share * raw[n] > 1}
        if not over:
            return {n: 1.0 if n in full else share * raw[n] for n in sizes}
        full |= over
    return dict.fromkeys(sizes, 1.0)
