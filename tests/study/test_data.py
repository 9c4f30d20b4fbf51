"""Splits and augmentation against loops over single images; real CIFAR-10 where there is one."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.paths import data_root
from companion.study.images import HELD_OUT, Images, augment, cifar10_status, load_images, normalize

FILES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]


@pytest.fixture(scope="module")
def cifar10():
    root = data_root()
    if not (root / "cifar-10-batches-py").is_dir():
        pytest.skip(f"no CIFAR-10 under {root}; `twofold data` fetches it, or TWOFOLD_DATA says where it is")
    return root


@pytest.fixture(scope="module")
def cifar10_train(cifar10):
    return load_images("cifar10", root=cifar10)[0]


def fingerprints(images: Images) -> Counter:
    """Each image's hash, with its label: two splits share an image where these share a key."""
    rows = images.pixels.flatten(1).numpy()
    return Counter(
        (hashlib.sha1(row.tobytes()).digest(), label)
        for row, label in zip(rows, images.labels.tolist(), strict=True)
    )


def random_images(n=40, channels=3, side=10, padding=4) -> Images:
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(1, 256, (n, channels, side, side), generator=generator, dtype=torch.uint8)
    return Images(
        pixels,
        torch.arange(n) % 10,
        torch.full((channels, 1, 1), 0.4),
        torch.full((channels, 1, 1), 0.2),
        padding,
    )


# ---- digits ----


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    train, test = load_images("digits")
    digits = load_digits()
    assert (len(train), len(test)) == (1438, 359)
    test_rows = [i for i in range(1797) if i % 5 == 4]
    train_rows = [i for i in range(1797) if i % 5 != 4]
    for split, rows in ((train, train_rows), (test, test_rows)):
        assert split.pixels.shape == (len(rows), 1, 8, 8)
        assert split.pixels.dtype == torch.uint8
        assert split.labels.tolist() == digits.target[rows].tolist()
        assert (
            np.abs(split.pixels[:, 0].numpy() / 255 * 16 - digits.images[rows]).max() < 0.5 / 255 * 16 + 1e-9
        )
    assert train.padding == 0


def test_digits_held_out_are_a_tenth_of_the_training_images():
    train, _ = load_images("digits")
    rest, held_out = load_images("digits", held_out=True)
    assert (len(rest), len(held_out)) == (1438 - 143, 143)
    assert fingerprints(rest) + fingerprints(held_out) == fingerprints(train)


def test_held_out_split_never_changes():
    """Hyperparameters are chosen on it: neither the global seed nor a new version may move it."""
    torch.manual_seed(99)
    _, held_out = load_images("digits", held_out=True)
    torch.manual_seed(1)
    _, again = load_images("digits", held_out=True)
    assert torch.equal(held_out.pixels, again.pixels)
    assert held_out.labels[:12].tolist() == [3, 8, 5, 6, 8, 5, 5, 0, 2, 7, 0, 1]
    assert int(held_out.pixels.long().sum()) == 727_514


def test_normalized_training_images_have_mean_0_and_deviation_1():
    for held_out in (False, True):
        train, test = load_images("digits", held_out=held_out)
        scaled = np.concatenate([s.pixels.numpy() for s in load_images("digits")[:1]]) / 255
        assert train.mean.item() == pytest.approx(scaled.mean(), rel=1e-5)
        assert train.std.item() == pytest.approx(scaled.std(), rel=1e-3)
        assert torch.equal(test.mean, train.mean)
    normal = normalize(load_images("digits")[0])
    assert normal.mean().item() == pytest.approx(0, abs=1e-5)
    assert normal.std().item() == pytest.approx(1, abs=1e-5)


def test_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'mnist' is not known; there are cifar10, digits"):
        load_images("mnist")


# ---- augmentation ----


def test_augmentation_equals_a_loop_over_images():
    images = random_images()
    pad, (n, channels, height, width) = images.padding, images.pixels.shape
    augmented = augment(images, torch.Generator().manual_seed(7))

    draws = torch.Generator().manual_seed(7)
    shifts = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=draws).squeeze(2).tolist()
    mirrored = torch.randint(0, 2, (n, 1), generator=draws, dtype=torch.bool).squeeze(1).tolist()
    for i in range(n):
        framed = np.zeros((channels, height + 2 * pad, width + 2 * pad), np.uint8)
        framed[:, pad : pad + height, pad : pad + width] = images.pixels[i].numpy()
        top, left = shifts[0][i], shifts[1][i]
        expected = framed[:, top : top + height, left : left + width]
        if mirrored[i]:
            expected = expected[:, :, ::-1]
        assert np.array_equal(augmented.pixels[i].numpy(), expected)
    assert torch.equal(augmented.labels, images.labels)
    assert {0, 2 * pad} <= set(shifts[0]) | set(shifts[1])  # the draws reached both ends
    assert set(mirrored) == {True, False}


def test_augmentation_is_a_function_of_its_seed():
    images = random_images()
    first, second, other = (augment(images, torch.Generator().manual_seed(s)).pixels for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_digits_are_not_augmented_and_draw_nothing():
    images = random_images(padding=0)
    generator = torch.Generator().manual_seed(7)
    before = generator.get_state()
    assert augment(images, generator) is images
    assert torch.equal(generator.get_state(), before)


# ---- CIFAR-10 that is not whole ----


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_images("cifar10", root=tmp_path)
    assert str(tmp_path) in str(error.value)
    assert all(f"{name} (missing)" in str(error.value) for name in FILES)
    assert "twofold data" in str(error.value)


def test_a_file_with_other_content_is_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_3").write_bytes(b"no images")
    status = cifar10_status(tmp_path).set_index("file")
    assert set(status.index) == set(FILES)
    assert status.present.to_dict() == {name: name == "data_batch_3" for name in FILES}
    assert not status.whole.any()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3 \(wrong MD5\)"):
        load_images("cifar10", root=tmp_path)


def test_a_truncated_file_of_the_real_set_is_named(cifar10, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in FILES:
        (folder / name).symlink_to((cifar10 / "cifar-10-batches-py" / name).resolve())
    assert cifar10_status(tmp_path).whole.all()
    (folder / "data_batch_2").unlink()
    shutil.copyfile(cifar10 / "cifar-10-batches-py" / "data_batch_2", folder / "data_batch_2")
    with (folder / "data_batch_2").open("r+b") as f:
        f.truncate(1_000_000)
    with pytest.raises(FileNotFoundError) as error:
        load_images("cifar10", root=tmp_path)
    assert "data_batch_2 (wrong MD5)" in str(error.value)
    assert "data_batch_1" not in str(error.value)


# ---- real CIFAR-10 ----


def test_cifar10_is_the_published_set(cifar10_train):
    train = cifar10_train
    assert train.pixels.shape == (50_000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [5000] * 10
    # The channel statistics that are quoted everywhere for this set.
    assert train.mean.flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert train.std.flatten().tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=5e-5)
    assert train.padding == 4


@pytest.mark.slow  # reads all images twice; on the digits it is a quick test
def test_cifar10_held_out_images_are_not_trained_on(cifar10, cifar10_train):
    rest, held_out = load_images("cifar10", root=cifar10, held_out=True)
    assert (len(rest), len(held_out)) == (50_000 - HELD_OUT, HELD_OUT)
    assert fingerprints(rest) + fingerprints(held_out) == fingerprints(cifar10_train)


def test_data_root_is_where_the_environment_says(monkeypatch, tmp_path, repository):
    assert data_root() == repository / "data"
    monkeypatch.setenv("TWOFOLD_DATA", str(tmp_path))
    assert data_root() == Path(tmp_path)
