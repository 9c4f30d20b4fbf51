"""Networks as others build them, of tiny sizes: attached, trained, reported, finished, saved and loaded."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import VisionTransformer

import twofold
from twofold import Twofold

pytestmark = pytest.mark.usefixtures("one_thread")


def transformers():
    return pytest.importorskip("transformers", reason="transformers is in the dependency group 'test'")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def words(*shape):
    return torch.randint(2, 40, shape, generator=torch.Generator().manual_seed(0))


def lives(make, answer, path, *, inputs, examples, layers, **options):
    """Through a whole life; returns the Twofold and its report of the inputs."""
    torch.manual_seed(0)
    model = make()
    sparsity = Twofold(model, layers=layers, density=0.5, strength=20.0, **options)
    losses = []
    for step in range(4):
        sparsity.advance(step / 4)
        model.zero_grad()
        loss = answer(model).float().square().mean()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    assert losses[-1] < losses[0]
    sparsity.advance(1.0)
    model.eval()
    expected = answer(model).detach()
    made = twofold.report(sparsity, inputs=inputs, examples=examples, baseline=make())
    twofold.save(path, sparsity)
    stored = sparsity.finish()
    torch.testing.assert_close(answer(model), expected)
    other = make().eval()
    packed = twofold.load(path, other)
    torch.testing.assert_close(answer(other), expected)
    assert packed.layers.keys() == stored.keys() == sparsity.layers.keys()
    assert (made.frame.energy_j > 0).all() and made.total.gain > 1
    assert made.frame.layer.tolist() == list(stored)
    return sparsity, made


def test_a_small_gpt2(tmp_path):
    gpt2 = transformers()

    def make():
        config = gpt2.GPT2Config(
            vocab_size=40, n_positions=8, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1
        )
        return gpt2.GPT2LMHeadModel(config)

    batch = {"input_ids": words(3, 8), "attention_mask": torch.ones(3, 8, dtype=torch.long)}
    matrices = ["*.c_attn", "*.c_proj", "*.c_fc"]
    sparsity, made = lives(
        make,
        lambda model: model(**batch).logits,
        tmp_path / "net",
        inputs=((), batch),
        examples=3,
        layers=matrices,
        scale="channel",
    )
    assert len(sparsity.layers) == 8 and all(place.transposed for place in sparsity.places.values())
    assert sparsity.coverage.left == {"lm_head.weight": 640}  # which is tied to the embedding
    assert "activity measured, mean of 3 examples; 90.6 % of the weights" in made.title
    with pytest.raises(ValueError, match=r"transformer.wte.weight and lm_head.weight are one tensor \(tied"):
        Twofold(make(), layers=[*matrices, "lm_head"])


def test_a_subclass_of_conv1d_is_tried():
    conv1d = pytest.importorskip("transformers.pytorch_utils").Conv1D

    class Standardized(conv1d):
        def forward(self, inputs):
            return inputs @ ((self.weight - self.weight.mean(0)) / self.weight.std(0)) + self.bias

    class Same(conv1d):
        def forward(self, inputs):
            return inputs @ self.weight + self.bias

    with pytest.raises(ValueError, match=r"Standardized has a forward of its own, .*; take Conv1D itself"):
        Twofold(nn.Sequential(Standardized(6, 4)), layers="0")
    assert Twofold(nn.Sequential(Same(6, 4)), layers="0").places["0.weight"].transposed


def test_a_small_bert_is_reported_with_its_dict_of_tensors(tmp_path):
    bert = transformers()

    def make():
        config = bert.BertConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
        return bert.BertModel(config)

    batch = {"input_ids": words(2, 5), "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])}
    sparsity, made = lives(
        make,
        lambda model: model(**batch).last_hidden_state,
        tmp_path / "net",
        inputs=((), batch),
        examples=2,
        layers="encoder.*",
    )
    assert made.coverage == sparsity.coverage and len(made.frame) == 6


def test_a_small_vit(tmp_path):
    images = random(4, 3, 16, 16)

    def make():
        return VisionTransformer(
            image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
        )

    with pytest.raises(ValueError, match=r"MultiheadAttention is not among .* \(in_proj_weight\)"):
        Twofold(make())
    sparsity, _ = lives(
        make,
        lambda model: model(images) - F.one_hot(torch.arange(4), 5),
        tmp_path / "net",
        inputs=lambda model: [model(part) for part in images.split(2)],
        examples=4,
        layers=["conv_proj", "*.in_proj_weight", "*.out_proj", "*.mlp", "heads"],
        scale="channel",
    )
    assert sparsity.coverage.share == 1 and len(sparsity.layers) == 10


class Keywords(nn.Module):
    """A keyword spotter: MFCC frames, a strided convolution along time, an LSTM, and the last state."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(10, 16, 3, stride=2)
        self.rnn = nn.LSTM(16, 12, num_layers=2, batch_first=True)
        self.fc = nn.Linear(12, 4)

    def forward(self, sounds, lengths=None):
        states, _ = self.rnn(self.conv(sounds).relu().transpose(1, 2))
        last = states[:, -1] if lengths is None else states[torch.arange(len(states)), lengths]
        return self.fc(last)


SOUNDS, LENGTHS = random(6, 10, 15), torch.tensor([6, 5, 4, 6, 3, 2])


def test_a_keyword_spotter_with_an_lstm(tmp_path):
    sparsity, made = lives(
        Keywords,
        lambda model: model(SOUNDS, lengths=LENGTHS) - F.one_hot(LENGTHS % 4, 4),
        tmp_path / "net",
        inputs=((SOUNDS,), {"lengths": LENGTHS}),
        examples=6,
        layers=["conv", "rnn.weight_*", "fc"],
    )
    assert sparsity.coverage.share == 1 and len(made.frame) == 6


# ---- inputs of any kind ----


def test_inputs_are_counted_as_images_are():
    sparsity = Twofold(Keywords(), layers=["conv", "rnn.weight_*", "fc"], density=0.5)
    by_images = twofold.report(sparsity, images=SOUNDS)
    energy = by_images.frame.energy_j
    for inputs in (((SOUNDS,), {}), ((), {"sounds": SOUNDS}), lambda model: model(SOUNDS)):
        one, together = (twofold.report(sparsity, inputs=inputs, **e) for e in ({"examples": 6}, {}))
        assert one.frame.energy_j.tolist() == energy.tolist()
        torch.testing.assert_close(torch.tensor(together.frame.energy_j), 6 * torch.tensor(energy))
        assert "activity measured, all inputs together" in together.title
        assert one.frame.cycles.tolist() == by_images.frame.cycles.tolist()
    sparsity.finish()
    model, feed = sparsity.model, lambda model: model(SOUNDS, LENGTHS)
    scales = twofold.activation_scales(model, feed)
    assert scales.keys() == {"conv", "fc"}
    assert scales["conv"] == twofold.activation_scales(model, SOUNDS)["conv"]
    assert twofold.measure_activity(model, feed, scales=scales)["conv"].reads == 6 * 7


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"inputs": {"sounds": SOUNDS}}, TypeError, r"inputs is a dict; .* \(args, kwargs\), such as"),
        ({"inputs": SOUNDS}, TypeError, "inputs is a Tensor; allowed are"),
        ({"inputs": (SOUNDS, {})}, TypeError, "inputs is a tuple; allowed are"),
        ({"inputs": ((SOUNDS,), {}), "images": SOUNDS}, ValueError, "images and inputs are both given"),
        ({"inputs": ((SOUNDS,), {}), "activity": {}}, ValueError, "inputs and activity are both given"),
        ({"inputs": ((SOUNDS,), {}), "examples": 0}, ValueError, "examples is 0; it must be how many"),
        ({"inputs": ((SOUNDS,), {}), "examples": 1.5}, ValueError, "examples is 1.5; it must be how many"),
        ({"examples": 3}, ValueError, "examples is 3; it must be how many are in inputs"),
        ({"inputs": ((SOUNDS / 0,), {})}, ValueError, "inputs of layer conv are NaN or infinite"),
        ({"images": {"sounds": SOUNDS}}, TypeError, r"images is a dict; .*report .* inputs=\(args, kwargs\)"),
    ],
)
def test_inputs_that_are_none_are_refused(options, error, said):
    plain = getattr(twofold.report, "__wrapped__", twofold.report)
    with pytest.raises(error, match=said):
        plain(Twofold(Keywords(), layers=["conv", "fc"]), **options)
