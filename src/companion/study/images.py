"""Images as tensors: CIFAR-10 through torchvision, scikit-learn's digits as the embedded default.

Augmentation works on whole batches of tensors, on any device, and draws its random numbers from a
generator that the caller seeds, so an epoch is a function of its seed.
"""

from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from companion.paths import data_root

__all__ = ["DATASETS", "HELD_OUT", "Images", "augment", "cifar10_status", "load_images", "normalize"]


DATASETS = ("cifar10", "digits")


HELD_OUT = 5000
"""Training images that hyperparameters are chosen on; drawn once, with a fixed seed."""


_HELD_OUT_SEED = 20231121


@dataclass(frozen=True, eq=False)
class Images:
    """Labeled images of one split.

    Attributes
    ----------
    pixels : UInt8[Tensor, "n c h w"]
        Raw intensities, 0..255.
    labels : Int64[Tensor, "n"]
    mean, std : Float[Tensor, "c 1 1"]
        Of the training split's pixels over 255; ``normalize`` uses them.
    padding : int
        How far ``augment`` shifts; 0 means neither shift nor flip (a mirrored digit is no digit).
    """

    pixels: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    mean: Float[Tensor, "c 1 1"]
    std: Float[Tensor, "c 1 1"]
    padding: int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Int64[Tensor, " k"] | slice) -> "Images":
        return Images(self.pixels[index], self.labels[index], self.mean, self.std, self.padding)

    def to(self, device: str | torch.device) -> "Images":
        pixels, labels, mean, std = (t.to(device) for t in (self.pixels, self.labels, self.mean, self.std))
        return Images(pixels, labels, mean, std, self.padding)


def normalize(images: Images) -> Float[Tensor, "n c h w"]:
    """Pixels with the training split's mean 0 and standard deviation 1 for each channel."""
    return (images.pixels.float() / 255 - images.mean) / images.std


def augment(images: Images, generator: torch.Generator) -> Images:
    """Each image shifted by up to ``padding`` pixels (zeros come in) and mirrored half of the time.

    The usual CIFAR augmentation (He et al. 2016, section 4.2). The random numbers are drawn on the
    CPU, so that a seed means the same images on every device.
    """
    pad = images.padding
    if not pad:
        return images
    n, channels, height, width = images.pixels.shape
    shifts = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)
    mirrored = torch.randint(0, 2, (n, 1), generator=generator, dtype=torch.bool)
    device = images.pixels.device
    shifts, mirrored = shifts.to(device, non_blocking=True), mirrored.to(device, non_blocking=True)
    rows = torch.arange(height, device=device) + shifts[0]
    columns = torch.arange(width, device=device) + shifts[1]
    columns = torch.where(mirrored, columns.flip(1), columns)
    padded = torch.nn.functional.pad(images.pixels, (pad,) * 4)
    place = rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]
    flat = padded.flatten(2).gather(2, place.reshape(n, 1, -1).expand(n, channels, -1))
    return Images(flat.view(n, channels, height, width), images.labels, images.mean, images.std, pad)


def load_images(dataset: str, root: Path | None = None, held_out: bool = False) -> tuple[Images, Images]:
    """Training and evaluation images of a data set.

    Parameters
    ----------
    dataset : ``"cifar10"`` or ``"digits"``
        Digits (1,797 images of 8x8, UCI through scikit-learn) need neither files nor network; every
        fifth one is a test image.
    root : Path, optional
        torchvision root of CIFAR-10; default ``paths.data_root()``.
    held_out : bool
        Evaluate on images held out of training (5,000 of CIFAR-10, a tenth of the digits) instead of
        the test set: the split on which hyperparameters are chosen.

    Raises
    ------
    ValueError
        Unknown data set.
    FileNotFoundError
        CIFAR-10 is not there, or not whole: the message names the folder and what is wrong.
    """
    if dataset == "cifar10":
        (pixels, labels), test = _cifar10(root or data_root())
        padding, count = 4, HELD_OUT
    elif dataset == "digits":
        (pixels, labels), test = _digits()
        padding, count = 0, len(labels) // 10
    else:
        raise ValueError(f"dataset {dataset!r} is not known; there are {', '.join(DATASETS)}")
    scaled = pixels.float() / 255
    mean, std = (f(scaled, dim=(0, 2, 3))[:, None, None] for f in (torch.mean, torch.std))
    train = Images(pixels, labels, mean, std, padding)
    if held_out:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(_HELD_OUT_SEED))
        return train[order[count:]], train[order[:count]]
    return train, Images(test[0], test[1], mean, std, padding)


def cifar10_status(root: Path | None = None) -> pd.DataFrame:
    """Each file of CIFAR-10 under ``root``: is it there, and has it the official MD5?

    Returns
    -------
    DataFrame
        Columns ``file``, ``present``, ``whole``.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    folder = (root or data_root()) / CIFAR10.base_folder
    expected = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    rows = [(name, (folder / name).is_file(), check_integrity(folder / name, md5)) for name, md5 in expected]
    return pd.DataFrame(rows, columns=["file", "present", "whole"])


def _cifar10(root: Path):
    from torchvision.datasets import CIFAR10

    status = cifar10_status(root)
    bad = [
        f"{r.file} ({'wrong MD5' if r.present else 'missing'})" for r in status.itertuples() if not r.whole
    ]
    if bad:
        raise FileNotFoundError(
            f"CIFAR-10 under {root} is not whole: {', '.join(bad)}. "
            "Run `twofold data` to download it, or set TWOFOLD_DATA to a torchvision root that has it."
        )
    splits = (CIFAR10(root, train=train, download=False) for train in (True, False))
    return [
        (torch.from_numpy(s.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(s.targets)) for s in splits
    ]


def _digits():
    # The file alone: to import scikit-learn takes a second.
    path = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(str(path), delimiter=",")
    pixels = torch.from_numpy(table[:, :-1] / 16 * 255).round().to(torch.uint8).view(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, -1]).long()
    test = torch.arange(len(labels)) % 5 == 4
    return (pixels[~test], labels[~test]), (pixels[test], labels[test])
