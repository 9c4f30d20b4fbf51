"""Networks against the numbers of the paper, and against a forward pass written out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from companion.study.zoo import NETWORKS, BasicBlock, build_model
from twofold.layer import weight_layers


def sizes(model):
    return {name: layer.weight.numel() for name, layer in weight_layers(model).items()}


def test_resnet20_has_the_weights_of_the_paper():
    """He et al. 2016, section 4.2: three stages of six 3x3 convolutions between one more and a matrix."""
    first, last = 3 * 16 * 9, 64 * 10
    stages = 6 * 16 * 16 * 9, 16 * 32 * 9 + 5 * 32 * 32 * 9, 32 * 64 * 9 + 5 * 64 * 64 * 9
    counted = sizes(build_model("resnet20"))
    assert sum(counted.values()) == first + sum(stages) + last == 268_336
    assert len(counted) == 20


@pytest.mark.parametrize(
    "network, image, weights",
    [
        ("resnet20", (3, 32, 32), 268_336),
        ("resnet20-w2", (3, 32, 32), 4 * (268_336 - 432 - 640) + 2 * (432 + 640)),
        (
            "resnet8",
            (3, 32, 32),
            9 * (3 * 16 + 2 * 16**2 + 16 * 32 + 32**2 + 32 * 64 + 64**2) + 16 * 32 * 5 + 640,
        ),
        ("mobilenet", (3, 32, 32), 210_160),
        ("digits-net", (1, 8, 8), 9 * 16 + 9 * 16 * 32 + 512 * 20 + 20 * 10),
    ],
)
def test_sizes_and_output_shapes(network, image, weights):
    model = build_model(network, classes=10, channels_in=image[0])
    assert sum(sizes(model).values()) == weights
    assert model(torch.randn(2, *image)).shape == (2, 10)
    assert build_model(network, classes=7, channels_in=image[0])(torch.randn(2, *image)).shape == (2, 7)


def test_shortcut_is_a_strided_copy_between_zero_channels():
    block = BasicBlock(4, 8, stride=2)
    torch.nn.init.zeros_(block.bn2.weight)  # silences the convolutions, so only the shortcut is left
    x = torch.randn(2, 4, 6, 6)
    y = block(x)
    assert y.shape == (2, 8, 3, 3)
    for channel in range(8):
        for row in range(3):
            for column in range(3):
                expected = torch.zeros(2)
                if 2 <= channel < 6:
                    expected = x[:, channel - 2, 2 * row, 2 * column].clamp(min=0)
                assert torch.equal(y[:, channel, row, column], expected)


def test_shortcut_without_new_channels_is_the_identity():
    block = BasicBlock(4, 4, stride=1)
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x.clamp(min=0))


def test_resnet20_is_the_network_of_the_paper():
    """The forward pass again, from the weights alone."""
    torch.manual_seed(3)
    model = build_model("resnet20")
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    state = model.eval().state_dict()
    x = torch.randn(2, 3, 32, 32)

    def convolved(x, name, norm, stride=1):
        x = F.conv2d(x, state[f"{name}.weight"], stride=stride, padding=1)
        mean, var, weight, bias = (
            state[f"{norm}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    y = convolved(x, "conv1", "bn1").relu()
    for index in range(9):
        stride = 2 if index in (3, 6) else 1
        short = y[:, :, ::stride, ::stride]
        if stride == 2:
            nothing = torch.zeros_like(short[:, : short.shape[1] // 2])
            short = torch.cat([nothing, short, nothing], dim=1)
        name = f"blocks.{index}"
        z = convolved(y, f"{name}.conv1", f"{name}.bn1", stride).relu()
        y = (convolved(z, f"{name}.conv2", f"{name}.bn2") + short).relu()
    expected = y.flatten(2).mean(2) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_weights_start_as_he_et_al_draw_them():
    """Standard deviation sqrt(2 / fan in); 36,864 draws estimate it to 0.4 %, so 2 % is five sigmas."""
    torch.manual_seed(0)
    weight = build_model("resnet20").blocks[8].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)


def test_same_seed_same_network():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(torch.cat([p.flatten() for p in build_model("digits-net", 10, 1).parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'vgg16' is not known; there are " + ", ".join(NETWORKS)):
        build_model("vgg16")
