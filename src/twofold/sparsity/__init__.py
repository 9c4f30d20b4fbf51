"""Both sparsities on a model in training: which layers, masks and codes, penalties, densities."""

from twofold.sparsity.chooser import CodeChooser
from twofold.sparsity.densities import layer_densities
from twofold.sparsity.penalties import network_term, planes_term, popcount_term
from twofold.sparsity.twofold import Twofold

__all__ = ["CodeChooser", "Twofold", "layer_densities", "network_term", "planes_term", "popcount_term"]
