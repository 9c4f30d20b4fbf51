"""Files that are written whole or not at all, and read only where they are what they claim to be.

Whatever is read may be cut short, damaged, foreign or hostile. Each reader here refuses such a file with a
``ValueError`` that names it; none runs code, and none hands on a part for the whole.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["load_tensors", "read_csv", "read_tensors", "save_tensors", "tensor_digest", "written_whole"]


_LONGEST_MESSAGE = 300


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Within the context, a file beside ``path`` to write to; it becomes ``path`` once it is on the disk.

    Raises
    ------
    OSError
        The file could not be written (a full disk, say): what was at ``path`` is there as before, and nothing
        half-written is left beside it.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:  # safetensors wraps the system's error in its own
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


# ---- tensors ----


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file with a SHA-256 of all that is in it; errors as `written_whole`."""
    header = dict(header or {})
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header["sha256"] = tensor_digest(_text(header), stored)
    with written_whole(path) as partial:
        save_file(stored, partial, metadata=header)


def load_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What `save_tensors` wrote; errors as `read_tensors`, and ``ValueError`` where the SHA-256 differs."""
    header, tensors = read_tensors(path)
    claimed = header.pop("sha256", None)  # files from before the checksum have none
    if claimed is not None and claimed != (found := tensor_digest(_text(header), tensors)):
        raise ValueError(f"{path} is damaged: its content has the SHA-256 {found}, not {claimed}")
    return header, tensors


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of any safetensors file, unchecked.

    They are copies. Safetensors maps the file, so its own tensors would go on changing with the file after
    their checksum was compared.

    Raises
    ------
    ValueError
        Truncated, damaged or no safetensors file.
    FileNotFoundError
        There is no such file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, no safetensors file")
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {_brief(error)}") from error


def tensor_digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a header (without its own checksum), and over all tensors in the order of their names."""
    sha = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole = tensor.detach().cpu().contiguous()
        # Of a single value torch calls any stride contiguous, and then does not read it as bytes.
        sha.update(whole.as_strided((whole.numel(),), (1,)).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _text(header: Mapping[str, str]) -> str:
    return json.dumps(header, sort_keys=True)  # safetensors keeps no order


def read_csv(path: Path, **options) -> pd.DataFrame:
    """A table, by pandas' ``read_csv`` with `options`, that is whole: each row has a field for every column.

    Raises
    ------
    ValueError
        No CSV, a column named twice, or a row that is longer or shorter than the first: pandas would fill it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), strict=True, skipinitialspace=True))
        frame = pd.read_csv(io.StringIO(text), **options)
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path} is no readable CSV: {_brief(error)}") from error
    twice = sorted({name for name in rows[0] if rows[0].count(name) > 1})
    if twice:
        raise ValueError(f"{path} is no readable CSV: it has the column {', '.join(twice)} more than once")
    for line, row in enumerate(rows, start=1):
        if row and len(row) != len(rows[0]):
            raise ValueError(
                f"{path} is no readable CSV: row {line} has {len(row)} fields, the first row {len(rows[0])}"
            )
    return frame


def _brief(error: Exception) -> str:
    """An error in one line, and no longer than a reader reads: a damaged file may put megabytes into it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
