"""The packed memory: the kept codes of any set of layers, in the order in which their LFSRs point at them.

No index is stored. A layer is its kept codes, a scale (or one for each output), and the few numbers that
start its generator again: polynomial, form, reduction, seed, and how many weights are kept. Decoding walks
the generator, as the hardware does, and puts each code where it points. A mask that no LFSR made cannot be
walked: it is stored as a bitmap (a bit for a row of each group, where columns share their rows), with its
codes in the order of their positions; a layer that keeps all needs neither.

One safetensors file: int8 codes (int16 above 8 bits), every other tensor as it is, and a JSON header with a
SHA-256 over header and tensors. With the codes travels the measured input activity of each layer, so energies
can be computed without the images.

Source: slide "Method: Twofold Sparsity", "Saved in the memory based on the generated PRS from LFSR".
"""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import save_file
from torch import Tensor

from twofold._files import read_tensors, tensor_digest, written_whole
from twofold.codes.quantizer import check_bits, code_limit
from twofold.inputs.activity import Activity
from twofold.layer import StoredLayer
from twofold.masks.draw import LARGEST, blocks_of
from twofold.masks.generator import GENERATORS, generator_of

__all__ = [
    "FORMAT",
    "VERSION",
    "Packed",
    "decode_layer",
    "digest",
    "encode_layer",
    "file_parts",
    "load_packed",
    "read_file",
    "save_packed",
]


FORMAT = "twofold-codes"
"""What the header of a packed file calls itself."""


VERSION = 3
"""The newest version that this library writes and reads; it may hold a scale for each output."""


_ONE_SCALE = 2
"""That of files whose layers have one scale each: they are written as before, for older libraries as well."""


_READABLE = (_ONE_SCALE, VERSION)
"""The versions that `load_packed` reads."""


@dataclass(frozen=True, eq=False)
class Packed:
    """What one file holds.

    Attributes
    ----------
    layers : mapping
        Codes, scale, mask and generator by layer name.
    rest : mapping
        All other tensors of the model by name, in any type that safetensors knows.
    activity : mapping
        Input activity by layer name; empty where it was not measured.
    facts : mapping
        What else the caller wants in the header, as JSON knows it (the network's name, say).

    Examples
    --------
    >>> import tempfile
    >>> from twofold.masks import MultiplyShift
    >>> generator = MultiplyShift("x^9+x^4+1", seed=5)
    >>> keep = generator.draw((4, 6), density=0.5).keep
    >>> layer = StoredLayer((keep * 3).to(torch.int8), scale=0.5, keep=keep, generator=generator)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "net.safetensors"
    ...     save_packed(path, Packed({"fc": layer}))
    ...     packed, parts = load_packed(path), file_parts(path)
    >>> bool((packed.layers["fc"].codes == layer.codes).all()), parts["codes"], parts["bitmaps"]
    (True, 12, 0)
    """

    layers: Mapping[str, StoredLayer]
    rest: Mapping[str, Tensor] = field(default_factory=dict)
    activity: Mapping[str, Activity] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """Width of every code.

        Raises
        ------
        ValueError
            The layers have codes of several widths; a file has one.
        """
        (width, *others) = {layer.bits for layer in self.layers.values()} or {8}
        if others:
            raise ValueError(f"layers have codes of {sorted([width, *others])} bits; one width is needed")
        return width


def encode_layer(layer: StoredLayer) -> tuple[dict, Int[Tensor, "kept"], UInt8[Tensor, "bytes"] | None]:
    """One layer as the memory holds it: its header entry, its kept codes, and a bitmap where no LFSR made it.

    The entry names the scale, but a layer with one for each output has them in a tensor of their own.

    Raises
    ------
    ValueError
        The generator does not make the layer's mask, or a code other than 0 stands where nothing is kept.

    Examples
    --------
    >>> keep = torch.tensor([[True, False, True]])
    >>> entry, codes, bitmap = encode_layer(StoredLayer(torch.tensor([[5, 0, -3]]), 0.5, keep))
    >>> entry["mask"], codes, bitmap  # no generator: a bitmap, 101 and five bits to fill the byte
    ('bitmap', tensor([ 5, -3]), tensor([160], dtype=torch.uint8))
    """
    codes, keep = layer.codes.detach().cpu().flatten(), layer.keep.cpu().flatten()
    stray = int(((codes != 0) & ~keep).count_nonzero())
    if stray:
        raise ValueError(f"{stray} codes other than 0 stand where the mask keeps nothing; they would be lost")
    kept = layer.kept
    entry: dict = {"shape": list(layer.codes.shape), "kept": kept}
    if not isinstance(layer.scale, Tensor):
        entry["scale"] = layer.scale
    if layer.encoding != "twos_complement":
        entry["encoding"] = layer.encoding
    if layer.group > 1:
        entry |= {"group": layer.group, "indices": layer.indices}
    if kept == codes.numel():  # needs no generator, whatever made it
        return entry | {"mask": "all"}, codes, None
    if (mask := layer.walk()) is None:
        bitmap = torch.from_numpy(np.packbits(layer.blocks.cpu().numpy()))
        return entry | {"mask": "bitmap"}, codes[keep], bitmap
    generator = {
        "polynomial": str(layer.generator.polynomial),
        "form": layer.generator.form,
        "reduction": layer.generator.kind,
        "seed": layer.generator.seed,
        "order_crc32": _crc(mask.order),
    }
    return entry | {"mask": "lfsr"} | generator, codes.index_select(0, mask.order), None


def decode_layer(
    entry: Mapping,
    bits: int,
    codes: Int[Tensor, "kept"],
    bitmap: UInt8[Tensor, "bytes"] | None = None,
    scales: Float[Tensor, " out"] | None = None,
) -> StoredLayer:
    """The layer that `encode_layer` wrote; the generator is walked, and each code put where it points.

    `scales` are those of a layer with one for each output.

    Raises
    ------
    ValueError
        The entry, the codes and the bitmap do not fit together, or the generator walks in another order.
    """
    shape, kept = tuple(entry["shape"]), entry["kept"]
    size = math.prod(shape)
    if codes.shape != (kept,) or not 0 <= kept <= size:
        raise ValueError(f"{codes.numel()} codes are there; the header says {kept} of {size}")
    generator = mask = None
    group, indices = entry.get("group", 1), entry.get("indices", kept)
    blocks = blocks_of(shape, group)
    if type(indices) is not int:
        raise ValueError(f"indices is {indices!r}; allowed are whole numbers")
    if entry["mask"] == "all":
        order = torch.arange(size)
    elif entry["mask"] == "bitmap":
        said = math.prod(blocks)
        if bitmap is None or bitmap.numel() != -(-said // 8):
            raise ValueError(f"a bitmap of {-(-said // 8)} bytes is needed for {said} places")
        kept_blocks = np.unpackbits(bitmap.numpy(), count=said).reshape(blocks)
        order = torch.from_numpy(np.flatnonzero(kept_blocks.repeat(group, axis=0)[: shape[0]]))
    elif entry["mask"] == "lfsr":
        if "reduction" not in entry:
            raise ValueError(
                f"its entry names no kind of index generator ('reduction'); known are {', '.join(GENERATORS)}"
            )
        kind = generator_of(entry["reduction"])
        generator = kind(entry["polynomial"], entry["seed"], entry["form"], group)
        mask = generator.draw(shape, indices / math.prod(blocks))
        order = mask.order
        if _crc(order) != entry["order_crc32"]:
            raise ValueError(f"{generator} walks in another order than when it was packed")
    else:
        raise ValueError(f"mask is {entry['mask']!r}, allowed are all, lfsr, bitmap")
    if order.numel() != kept:
        raise ValueError(f"the mask keeps {order.numel()} weights; the header says {kept}")
    dense = torch.zeros(size, dtype=codes.dtype)
    keep = torch.zeros(size, dtype=torch.bool)
    dense[order], keep[order] = codes, True
    encoding = entry.get("encoding", "twos_complement")
    scale = entry["scale"] if scales is None else scales
    layer = StoredLayer(dense.view(shape), scale, keep.view(shape), bits, encoding, generator, group)
    if layer.indices != indices:
        raise ValueError(f"the mask has {layer.indices} indices; the header says {indices}")
    if mask is not None:
        vars(layer)["mask"] = mask  # just walked: it need not be walked again
    return layer


def save_packed(path: Path, packed: Packed) -> None:
    """Write the packed memory; the file appears whole or not at all, and equal networks are equal files.

    Raises
    ------
    ValueError
        A layer that cannot be packed (named, see `encode_layer`), or codes that do not fit into `bits`.
    """
    limit = code_limit(check_bits(packed.bits))
    tensors: dict[str, Tensor] = {f"rest.{k}": v.detach().cpu().contiguous() for k, v in packed.rest.items()}
    entries = {}
    for name, layer in packed.layers.items():
        try:
            entry, codes, bitmap = encode_layer(layer)
        except ValueError as error:
            raise ValueError(f"layer {name}: {error}") from error
        for code in codes.aminmax() if codes.numel() else ():
            if abs(int(code)) > limit:
                raise ValueError(f"layer {name} has the code {int(code)}; {packed.bits} bits end at {limit}")
        tensors[f"codes.{name}"] = codes.contiguous()
        if bitmap is not None:
            tensors[f"bitmap.{name}"] = bitmap
        if isinstance(layer.scale, Tensor):
            tensors[f"scales.{name}"] = layer.scale.detach().cpu().contiguous()
        if name in packed.activity:
            activity = packed.activity[name]
            tensors[f"row_ones.{name}"] = activity.row_ones.cpu().to(torch.float64)
            entry |= {"reads": activity.reads, "input_bits": activity.input_bits}
        entries[name] = entry
    several = any(isinstance(layer.scale, Tensor) for layer in packed.layers.values())
    version = VERSION if several else _ONE_SCALE
    header = {"format": FORMAT, "version": version, "bits": packed.bits, "facts": dict(packed.facts)}
    header["layers"] = entries
    header["sha256"] = digest(header, tensors)
    # One key only: safetensors writes several in any order, and equal networks are to be equal files.
    with written_whole(path) as partial:
        save_file(tensors, partial, metadata={"twofold": json.dumps(header)})


def load_packed(path: Path) -> Packed:
    """Read what `save_packed` wrote, every layer decoded in the order in which its generator walks.

    Raises
    ------
    ValueError
        Damaged, truncated, of another kind or version, or a layer that does not decode; the message says so.
    FileNotFoundError
        There is no such file.
    """
    header, tensors = read_file(path)
    if header.get("version") not in _READABLE:
        raise ValueError(
            f"{path} has version {header.get('version')}; this library reads versions "
            f"{' and '.join(map(str, _READABLE))}"
        )
    claimed = header.pop("sha256", None)
    if claimed != (found := digest(header, tensors)):
        raise ValueError(f"{path} is damaged: its content has the SHA-256 {found}, not {claimed}")
    _check_header(path, header, tensors)
    layers, activity = {}, {}
    for name, entry in header["layers"].items():
        try:
            codes, bitmap, scales = (tensors.get(f"{what}.{name}") for what in ("codes", "bitmap", "scales"))
            layers[name] = decode_layer(entry, header["bits"], codes, bitmap, scales)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path}: layer {name} does not decode: {error}") from error
        if "reads" in entry:
            activity[name] = Activity(tensors[f"row_ones.{name}"], entry["reads"], entry["input_bits"])
    rest = {k.removeprefix("rest."): v for k, v in tensors.items() if k.startswith("rest.")}
    return Packed(layers, rest, activity, header["facts"])


def _check_header(path: Path, header: Mapping, tensors: Mapping[str, Tensor]) -> None:
    """Whether a header's numbers can be those of a network, before anything is made of them.

    A checksum keeps accidents out, but whoever writes a file by hand writes a checksum as well.

    Raises
    ------
    ValueError
        A value of the wrong kind or out of range; the message names file, layer and value.
    """
    bits, entries = header.get("bits"), header.get("layers")
    if type(bits) is not int or not 2 <= bits <= 16:
        raise ValueError(f"{path} is damaged: bits is {bits!r}, allowed are 2..16")
    if not isinstance(entries, dict) or not isinstance(header.get("facts", {}), dict):
        raise ValueError(f"{path} is damaged: layers and facts must be keys with values")
    limit = code_limit(bits)
    for name, entry in entries.items():
        codes, ones = tensors.get(f"codes.{name}"), tensors.get(f"row_ones.{name}")
        if not isinstance(entry, dict) or codes is None or codes.dtype not in (torch.int8, torch.int16):
            raise ValueError(f"{path} is damaged: layer {name} has no entry, or no integers codes.{name}")
        if codes.numel() and max(-int(codes.min()), int(codes.max())) > limit:
            raise ValueError(f"{path}: layer {name} has codes beyond {limit}, where {bits} bits end")
        shape = entry.get("shape", list(codes.shape))
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"{path}: layer {name} has the shape {shape!r}")
        if math.prod(shape) > LARGEST:
            raise ValueError(f"{path}: layer {name} has {math.prod(shape)} weights; {LARGEST} are allowed")
        scale, kept, scales = entry.get("scale"), entry.get("kept"), tensors.get(f"scales.{name}")
        one = scales is None and type(scale) is float and 0 < scale < math.inf
        if not (one or _one_for_each(scales, shape[:1])) or type(kept) is not int:
            had = f"the scale {scale!r}" if scales is None else f"scales of {_described(scales)}"
            raise ValueError(f"{path}: layer {name} has {had} and keeps {kept!r} weights")
        if "reads" in entry:
            numbers = [entry["reads"], entry.get("input_bits")]
            counts = ones is not None and ones.dtype == torch.float64 and bool((ones >= 0).all())
            if not counts or not all(type(number) is int and number > 0 for number in numbers):
                raise ValueError(f"{path}: layer {name} has no activity of {numbers} reads and input bits")


def read_file(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Header and tensors of a file in this format, of any version, not yet checked against each other.

    Raises
    ------
    ValueError
        Truncated, no safetensors file, or a safetensors file of another kind.
    FileNotFoundError
        There is no such file.
    """
    metadata, tensors = read_tensors(path)
    try:
        header = json.loads(metadata.get("twofold", "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its header is no JSON: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a {FORMAT} file")
    return header, tensors


def file_parts(path: Path) -> dict[str, int]:
    """Bytes on disk of a packed file, by what they hold; their sum is the file's size.

    `codes`, `bitmaps` and `rest` are what inference needs, and what the `header` says: it holds generators,
    scales and names, and safetensors' own description of the tensors; `activity` is for energies.
    """
    parts = dict.fromkeys(("codes", "bitmaps", "rest", "activity"), 0)
    kinds = {"codes": "codes", "bitmap": "bitmaps", "keep": "bitmaps", "rest": "rest", "row_ones": "activity"}
    for name, tensor in read_file(path)[1].items():
        if name.startswith("scales."):
            continue
        parts[kinds[name.partition(".")[0]]] += tensor.numel() * tensor.element_size()
    return parts | {"header": path.stat().st_size - sum(parts.values())}


def _one_for_each(scales: Tensor | None, outputs: list[int]) -> bool:
    """Whether these are the scales of as many outputs."""
    if scales is None or list(scales.shape) != outputs or scales.dtype not in (torch.float32, torch.float64):
        return False
    return bool(((scales > 0) & (scales < math.inf)).all())


def _described(scales: Tensor) -> str:
    bad = scales[~((scales > 0) & (scales < math.inf))].tolist()
    return f"shape {tuple(scales.shape)} and type {scales.dtype}{f', {bad[0]} among them,' if bad else ''}"


def digest(header: Mapping, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a header without its own checksum, and over all tensors in the order of their names."""
    return tensor_digest(json.dumps(header), tensors)


def _crc(order: Int[Tensor, "kept"]) -> int:
    """A checksum of a walk: it shows a generator that walks otherwise, and can restore nothing."""
    return zlib.crc32(order.numpy().astype("<i8").tobytes())
