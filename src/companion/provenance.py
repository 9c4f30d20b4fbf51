"""Who made a number: commit, versions, machine."""

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from twofold import __version__

__all__ = ["commit", "device_name", "provenance", "versions"]


# Virtual machines give processors of several generations one name; these, best first, tell them apart, and
# decide how fast bf16 is.
_VECTOR_UNITS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 with bf16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "safetensors")


def commit() -> str:
    """The checkout's commit, with ``-dirty`` where library or companion differ; ``unknown`` outside git.

    ``TWOFOLD_COMMIT`` goes before: a machine that is handed a copy of the files cannot know their commit.
    """
    if named := os.environ.get("TWOFOLD_COMMIT"):
        return named
    folder = Path(__file__).parents[1]  # src/, which holds both

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "-dirty" if git("status", "--porcelain", ".") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Python and the packages that decide numbers, those that are installed."""
    found = {"python": platform.python_version(), "twofold": __version__}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # digits need no torchvision
            found[name] = version(name)
    return found


def device_name(device: str = "cpu") -> str:
    """The processor that a torch device stands for, and its best vector unit, in words."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    units = next((f" ({words})" for flag, words in _VECTOR_UNITS.items() if flag in flags), "")
    return f"{said.get('model name', platform.processor())}{units}, {os.cpu_count()} cores"


def provenance(device: str = "cpu") -> dict[str, str]:
    """What closes every chapter: commit, device and versions."""
    return {"commit": commit(), "device": device_name(device)} | versions()
