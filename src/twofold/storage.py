"""What a sparse network takes in memory beside its rivals, and what reading the rivals' indices costs.

Indices are stored for masks that were chosen; an LFSR's are generated (`twofold.lig_energy` prices that).
"""

import math
import zlib
from collections.abc import Mapping

import pandas as pd
from jaxtyping import Int8
from torch import Tensor

from twofold.finished import FinishedLayer
from twofold.mask_measures import index_storage_bits
from twofold.masks import magnitude_mask
from twofold.operations import MEMORIES, memory_word_energy_j, memory_words

__all__ = ["index_read_energy", "magnitude_pruned", "storage_bytes"]

SCALE_BYTES = 4  # a float32 for each layer


def storage_bytes(layers: Mapping[str, FinishedLayer]) -> pd.DataFrame:
    """Bytes of every layer's weights under every scheme; a code takes one byte.

    - `float32`, `int8 dense`: all weights, removed ones as zeros.
    - `int8 + bitmap`, `int8 + CSR`, `int8 + relative 4-bit` and so on: kept codes and an index, see
      `mask_measures.index_storage_bits`; filler zeros count as weights.
    - `int8 + deflate`: the dense codes through zlib at its highest level. It must be unpacked before use.
    - `packed LFSR`: kept codes, taps, seed and a counter; only for masks that an LFSR made.
    - `packed LFSR + deflate`: the same with the kept codes through zlib, to be fair to the other deflate.

    Returns
    -------
    DataFrame
        ``layer``, ``scheme``, ``weight_bytes``, ``index_bytes`` and their sum ``bytes``. Every integer scheme
        has its scale (4 bytes a layer) in ``weight_bytes``. Deflate keeps weights and places together.

    Raises
    ------
    ValueError
        A layer whose codes do not fit into a byte.
    """
    rows = []
    for name, layer in layers.items():
        if layer.codes.element_size() != 1:
            raise ValueError(f"layer {name} has codes of {layer.codes.dtype}; a byte a code is compared here")
        size = layer.codes.numel()
        schemes = [
            ("float32", 4 * size, 0),
            ("int8 dense", size + SCALE_BYTES, 0),
            ("int8 + deflate", _deflated(layer.codes) + SCALE_BYTES, 0),
        ]
        for row in index_storage_bits(layer.keep, layer.polynomial).itertuples():
            index_bytes = math.ceil(row.index_bits / 8)
            if row.scheme != "lfsr":
                label = f"int8 + {row.scheme.replace('csr', 'CSR')}"
                schemes.append((label, row.entries + SCALE_BYTES, index_bytes))
            elif (mask := layer.mask) is not None:
                kept = layer.codes.cpu().flatten()[mask.order]
                schemes.append(("packed LFSR", len(kept) + SCALE_BYTES, index_bytes))
                schemes.append(("packed LFSR + deflate", _deflated(kept) + SCALE_BYTES, index_bytes))
        rows += [{"layer": name, "scheme": s, "weight_bytes": w, "index_bytes": i} for s, w, i in schemes]
    frame = pd.DataFrame(rows)
    return frame.assign(bytes=frame.weight_bytes + frame.index_bytes)


def magnitude_pruned(layers: Mapping[str, FinishedLayer], density: float) -> dict[str, FinishedLayer]:
    """The same codes with only the largest of each layer kept, not trained again: a rival's memory, no more.

    Raises
    ------
    ValueError
        For a density outside (0, 1].
    """
    pruned = {}
    for name, layer in layers.items():
        keep = magnitude_mask(layer.codes.float(), density).keep
        pruned[name] = FinishedLayer(layer.codes * keep, layer.scale, keep)
    return pruned


def index_read_energy(
    layers: Mapping[str, FinishedLayer], vectors: Mapping[str, int | float]
) -> pd.DataFrame:
    """Joules to read the stored indices of a network for one image, from SRAM and from DRAM.

    By the 45 nm table, a 32-bit word at a time. An index is needed for each input vector, as the LIG
    generates it for each (``reads`` = "each vector"); a chip that holds a layer's places for all vectors of
    an image reads them once ("once an image"), and then pays for that buffer, which is not in here. A
    relative index's filler zeros are read too. Layers that keep all need no index.

    Parameters
    ----------
    layers : the network; only the masks matter
    vectors : input vectors of each layer for one image

    Returns
    -------
    DataFrame
        ``layer``, ``scheme``, ``memory``, ``reads``, ``index_bits`` (fillers included), ``energy_j``, a row
        for each combination.

    Raises
    ------
    ValueError
        A layer without a number of vectors.
    """
    missing = [name for name in layers if name not in vectors]
    if missing:
        raise ValueError(f"vectors names {', '.join(vectors) or 'no layer'}; missing is {', '.join(missing)}")
    rows = []
    for name, layer in layers.items():
        if bool(layer.keep.all()):
            continue
        table = index_storage_bits(layer.keep)
        for row in table[table.scheme != "lfsr"].itertuples():
            words = memory_words(row.bits)
            for memory in MEMORIES:
                for reads, times in (("each vector", vectors[name]), ("once an image", 1)):
                    energy_j = words * times * memory_word_energy_j(memory)
                    rows.append((name, row.scheme, memory, reads, row.bits, energy_j))
    columns = ["layer", "scheme", "memory", "reads", "index_bits", "energy_j"]
    return pd.DataFrame(rows, columns=columns)


def _deflated(codes: Int8[Tensor, "*shape"]) -> int:
    return len(zlib.compress(codes.cpu().contiguous().numpy().tobytes(), 9))
