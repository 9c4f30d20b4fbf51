"""What a sparse network takes in memory beside its rivals, and what reading the rivals' indices costs.

Indices are stored for masks that were chosen; an LFSR's are generated (:mod:`twofold.energy.index` prices
that).
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from jaxtyping import Int8
from torch import Tensor

from twofold.layer import StoredLayer
from twofold.masks.draw import magnitude_mask
from twofold.masks.measures import index_storage_bits

__all__ = ["magnitude_pruned", "storage_bytes"]


SCALE_BYTES = 4  # a float32


def storage_bytes(layers: Mapping[str, StoredLayer]) -> pd.DataFrame:
    """Bytes of every layer's weights under every scheme; a code takes one byte.

    - `float32`, `int8 dense`: all weights, removed ones as zeros.
    - `int8 + bitmap`, `int8 + CSR`, `int8 + relative 4-bit` and so on: kept codes and an index, see
      :func:`~twofold.masks.measures.index_storage_bits`; filler zeros count as weights.
      Where columns share their rows, the index is that of the groups.
    - `int8 + deflate`: the dense codes through zlib at its highest level. It must be unpacked before use.
    - `packed LFSR`: kept codes, taps, seed and a counter; only for masks that an LFSR made.
    - `packed LFSR + deflate`: the same with the kept codes through zlib, to be fair to the other deflate.

    Returns
    -------
    DataFrame
        ``layer``, ``scheme``, ``weight_bytes``, ``index_bytes`` and their sum ``bytes``. Every integer scheme
        has its scales (4 bytes each, one a layer or one an output) in ``weight_bytes``. Deflate keeps weights
        and places together.

    Raises
    ------
    ValueError
        A layer whose codes do not fit into a byte.

    Examples
    --------
    >>> import torch
    >>> from twofold.masks import MultiplyShift
    >>> generator = MultiplyShift("x^13+x^4+x^3+x+1")
    >>> keep = generator.draw((64, 32), density=0.5).keep
    >>> layer = StoredLayer((keep * 3).to(torch.int8), scale=0.5, keep=keep, generator=generator)
    >>> frame = storage_bytes({"fc": layer})
    >>> frame[frame.scheme.isin(["float32", "int8 dense", "int8 + bitmap", "packed LFSR"])]
      layer         scheme  weight_bytes  index_bytes  bytes
    0    fc        float32          8192            0   8192
    1    fc     int8 dense          2052            0   2052
    3    fc    packed LFSR          1028            5   1033
    5    fc  int8 + bitmap          1028          256   1284
    """
    rows = []
    for name, layer in layers.items():
        if layer.codes.element_size() != 1:
            raise ValueError(f"layer {name} has codes of {layer.codes.dtype}; a byte a code is compared here")
        size, scales = layer.codes.numel(), SCALE_BYTES * layer.scales
        schemes = [
            ("float32", 4 * size, 0),
            ("int8 dense", size + scales, 0),
            ("int8 + deflate", _deflated(layer.codes) + scales, 0),
        ]
        register = () if layer.generator is None else (layer.generator.polynomial,)
        shared = min(layer.group, layer.columns)
        for row in index_storage_bits(layer.blocks, *register).itertuples():
            index_bytes = math.ceil(row.index_bits / 8)
            if row.scheme != "lfsr":
                label = f"int8 + {row.scheme.replace('csr', 'CSR')}"
                stored = layer.kept + shared * row.filler_entries
                schemes.append((label, stored + scales, index_bytes))
            elif layer.generator is not None:
                kept = layer.codes.cpu().flatten()[layer.order]
                schemes.append(("packed LFSR", len(kept) + scales, index_bytes))
                schemes.append(("packed LFSR + deflate", _deflated(kept) + scales, index_bytes))
        rows += [{"layer": name, "scheme": s, "weight_bytes": w, "index_bytes": i} for s, w, i in schemes]
    frame = pd.DataFrame(rows)
    return frame.assign(bytes=frame.weight_bytes + frame.index_bytes)


def magnitude_pruned(layers: Mapping[str, StoredLayer], density: float) -> dict[str, StoredLayer]:
    """The same codes with only the largest of each layer kept, not trained again: a rival's memory, no more.

    Raises
    ------
    ValueError
        For a density outside (0, 1].

    Examples
    --------
    >>> import torch
    >>> layer = StoredLayer(torch.tensor([[5, 0, -3, 1]]), 0.5, torch.tensor([[True, False, True, True]]))
    >>> magnitude_pruned({"fc": layer}, density=0.5)["fc"].codes
    tensor([[ 5,  0, -3,  0]])
    """
    pruned = {}
    for name, layer in layers.items():
        keep = magnitude_mask(layer.codes.float(), density).keep
        pruned[name] = replace(layer, codes=layer.codes * keep, keep=keep, generator=None, group=1)
    return pruned


def _deflated(codes: Int8[Tensor, "*shape"]) -> int:
    return len(zlib.compress(codes.cpu().contiguous().numpy().tobytes(), 9))
