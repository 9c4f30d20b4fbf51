"""The two penalties of the joint loss.

The slides train with ``J = L_CE + Reg_Net + Reg_Bit`` ("Method: Twofold Sparsity"). `network_term` is
Reg_Net. Reg_Bit is printed with a broken index, so each reading has its own name:

* `popcount_term`: the slides' letter, the L2 norm of each weight's number of ones;
* `planes_term`: the group lasso over bit planes of a related method (BSQ, Yang et al. 2021);
* :class:`~twofold.sparsity.chooser.CodeChooser`: no penalty at all, but a forward pass in which every weight
  takes the code that is best for squared error and its price together: cell energy, or the number of ones,
  which is what the letter means to make small.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["POLARITIES", "Polarity", "network_term", "planes_term", "popcount_term"]


Polarity = Literal["removed", "printed"]
"""What `network_term` penalizes, the ``removed`` weights, or, as ``printed`` on the slides, the kept ones."""


POLARITIES: tuple[Polarity, ...] = get_args(Polarity)
"""Both polarities."""


def network_term(
    weights: Sequence[Float[Tensor, "..."]],
    keep: Sequence[Bool[Tensor, "..."]],
    polarity: Polarity = "removed",
) -> Float[Tensor, ""]:
    """``sum_l || W_l * (1 - M_l) ||_2``, the norm of what the masks will remove.

    Gradient: ``W / ||W||`` on the penalized entries of a layer, 0 elsewhere and at the origin. All
    penalized weights of a layer shrink together, as in a group lasso, and reach zero together.

    Parameters
    ----------
    keep
        The masks M, True = kept.
    polarity : {"removed", "printed"}
        The slide "Method: Twofold Sparsity" prints ``W * M``, which punishes what is kept; its own worked
        example does the opposite. ``"printed"`` follows the formula to the letter.

    Raises
    ------
    ValueError
        For any other polarity, or where there are not as many masks as weights.

    Examples
    --------
    >>> weight, keep = torch.tensor([3.0, 4.0, 9.0]), torch.tensor([False, False, True])
    >>> network_term([weight], [keep]), network_term([weight], [keep], "printed")
    (tensor(5.), tensor(9.))
    """
    if polarity not in POLARITIES:
        raise ValueError(f"polarity is {polarity!r}; it must be one of {', '.join(POLARITIES)}")
    # As bytes: torch turns those into factors in a quarter of the time that it takes for booleans.
    norms = [
        torch.linalg.vector_norm(w * (m if polarity == "printed" else ~m).view(torch.uint8))
        for w, m in zip(weights, keep, strict=True)
    ]
    return torch.stack(norms).sum()


def popcount_term(planes: Sequence[Float[Tensor, "bits ..."]]) -> Float[Tensor, ""]:
    """``sum_l n_l / N * || sum_b p_l,b ||_2``: the L2 norm of each weight's number of ones.

    Gradient on every plane of a weight: its popcount over the layer's norm, so weights with many ones
    are pushed hardest, and all their planes alike. n_l / N is a layer's share of the parameters.

    Parameters
    ----------
    planes
        Of each layer, the trainable bit planes, in [0, 1].

    Examples
    --------
    >>> planes = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # two bits, two weights: 11 and 00
    >>> popcount_term([planes])
    tensor(2.)
    """
    total = sum(p[0].numel() for p in planes)
    return torch.stack([p[0].numel() / total * torch.linalg.vector_norm(p.sum(0)) for p in planes]).sum()


def planes_term(planes: Sequence[Float[Tensor, "bits ..."]]) -> Float[Tensor, ""]:
    """``sum_l n_l / N * B_l * sum_b || p_l,b ||_2``: a group lasso that empties whole bit planes.

    B_l is the number of planes of the layer that hold any one, as in BSQ (Yang et al., ICLR 2021,
    equation 5). Gradient: ``p_b / ||p_b||`` on each plane, so a plane with few ones is driven out altogether.

    Parameters
    ----------
    planes
        Of each layer, the trainable bit planes, in [0, 1].

    Examples
    --------
    >>> planes_term([torch.tensor([[1.0, 0.0], [1.0, 0.0]])])  # two bits, two weights: 11 and 00
    tensor(4.)
    >>> planes_term([torch.tensor([[0.0, 0.0], [1.0, 0.0]])])  # 01 and 00: the upper plane is empty
    tensor(1.)
    """
    total = sum(p[0].numel() for p in planes)
    terms = []
    for p in planes:
        norms = torch.linalg.vector_norm(p.flatten(1), dim=1)
        terms.append(p[0].numel() / total * (norms > 0).to(norms.dtype).sum() * norms.sum())
    return torch.stack(terms).sum()
