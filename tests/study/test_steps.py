"""When a recorded step has to be recorded anew, and on a GPU that it is a plain one, bit for bit."""

import pytest
import torch

from companion.study.config import Recipe
from companion.study.images import Images
from companion.study.train import fit
from companion.study.zoo import build_model
from twofold.sparsity.twofold import Twofold

IMAGES = Images(
    torch.randint(0, 256, (200, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    torch.arange(200) % 10,
    torch.full((3, 1, 1), 0.5),
    torch.full((3, 1, 1), 0.3),
    padding=4,
)
WAYS = {
    "energy": {"strength": 125.0},
    "slides": {"bit_term": "popcount", "strength": 10.0, "network_strength": 1.0, "prune_epoch": 2},
}
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def trained(way, *, compiled, checkpoint=None):
    torch.manual_seed(1)
    model = build_model("resnet20")
    sparsity = Twofold(model, density=0.5, **WAYS[way])
    recipe = Recipe(epochs=4, batch_size=40, learning_rate=0.05, precision="fp32", compiled=compiled)
    history = fit(
        model,
        IMAGES,
        IMAGES[:50],
        recipe,
        sparsity=sparsity,
        checkpoint=checkpoint,
        device="cuda",
        progress_bar=False,
    )
    return history.loss.tolist(), {name: layer.codes.cpu() for name, layer in sparsity.finish().items()}


def assert_same(a, b):
    assert a[0] == b[0]
    assert all(torch.equal(a[1][name], b[1][name]) for name in a[1])


@cuda
@pytest.mark.parametrize("way", WAYS)
def test_a_recorded_step_is_a_plain_one(way):
    assert_same(trained(way, compiled=True), trained(way, compiled=False))


@cuda
@pytest.mark.parametrize("way", WAYS)
def test_recorded_training_goes_on_from_a_checkpoint(way, tmp_path, monkeypatch):
    unbroken = trained(way, compiled=True)
    real = Twofold.status
    calls = []

    def killed(sparsity):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(sparsity)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Twofold, "status", killed)
        trained(way, compiled=True, checkpoint=tmp_path / "checkpoint.safetensors")
    assert_same(unbroken, trained(way, compiled=True, checkpoint=tmp_path / "checkpoint.safetensors"))


@pytest.mark.parametrize("way", WAYS)
def test_branches_tell_when_other_operations_begin(way):
    sparsity = Twofold(build_model("resnet20"), density=0.5, **WAYS[way])
    seen = [sparsity.branches]
    for progress in (0.0, 0.1, 0.11, 0.5, 1.0):
        sparsity.advance(progress)
        seen.append(sparsity.branches)
    if way == "energy":  # at strength 0 the codes are rounded; then they are chosen
        assert seen[0] == seen[1] and not seen[2][1]
        assert len({branch[1] for branch in seen[2:]}) == 1
    else:
        assert len(set(seen)) == 1
        sparsity.prune()
        assert sparsity.branches != seen[0]
