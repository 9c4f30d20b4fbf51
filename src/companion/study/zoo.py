"""The networks of the study, by name.

ResNet-20 follows He et al. 2016, section 4.2: three stages of three blocks with 16, 32 and 64
channels, and option-A shortcuts (a strided copy, padded with zero channels), so that every weight
is a convolution's or the last layer's: 268,336 of them.

ResNet-8 is MLPerf Tiny's network for image classification (Banbury et al. 2021, "MLPerf Tiny Benchmark"), a
benchmark that asks for 85 % of CIFAR-10's test images. Its MobileNet, for larger images there, is the study's
depthwise network.
"""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from twofold.layer import weight_layers

__all__ = ["NETWORKS", "DigitsNet", "MobileNet", "ResNet", "ResNet8", "build_model"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and an option-A shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c2 h2 w2"]:
        shortcut = x
        if self.new_channels:
            half = self.new_channels // 2
            shortcut = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.new_channels - half)
            )
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + shortcut, inplace=True)


class ResNet(nn.Module):
    """CIFAR ResNet of depth ``6 * blocks + 2`` (He et al. 2016); ``width`` multiplies all channels.

    ``blocks=3, width=1`` is ResNet-20: 268,336 convolution and linear weights.
    """

    def __init__(self, blocks: int = 3, width: int = 1, classes: int = 10, channels_in: int = 3):
        super().__init__()
        channels = 16 * width
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        for stage in range(3):
            out = 16 * width * 2**stage
            for block in range(blocks):
                stages.append(BasicBlock(channels, out, stride=2 if stage and not block else 1))
                channels = out
        self.blocks = nn.Sequential(*stages)
        self.fc = nn.Linear(channels, classes)
        _he_initialize(self)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch classes"]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(self.blocks(x).mean((2, 3)))


class ProjectedBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, by a 1x1 convolution where the channels change; all biased."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        changes = stride > 1 or channels_in != channels
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c2 h2 w2"]:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


class ResNet8(nn.Module):
    """MLPerf Tiny's ResNet-8: one block each of 16, 32, 64 channels; ``width`` multiplies all of them.

    77,360 convolution and linear weights at width 1. Keras pads a strided convolution at the bottom and right
    alone, torch at every side; nothing else differs from the benchmark's network.
    """

    def __init__(self, width: int = 1, classes: int = 10, channels_in: int = 3):
        super().__init__()
        first, second, third = 16 * width, 32 * width, 64 * width
        self.conv1 = nn.Conv2d(channels_in, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.blocks = nn.Sequential(
            ProjectedBlock(first, first, 1),
            ProjectedBlock(first, second, 2),
            ProjectedBlock(second, third, 2),
        )
        self.fc = nn.Linear(third, classes)
        _he_initialize(self)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch classes"]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(self.blocks(x).mean((2, 3)))


class SeparableBlock(nn.Module):
    """A 3x3 convolution of each channel by itself, and a 1x1 convolution across them."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.depth = nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.point = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c2 h2 w2"]:
        x = F.relu(self.bn1(self.depth(x)), inplace=True)
        return F.relu(self.bn2(self.point(x)), inplace=True)


class MobileNet(nn.Module):
    """MobileNet of a quarter of the channels, as in MLPerf Tiny, for 32x32 images: 210,160 weights.

    Thirteen depthwise-separable blocks (Howard et al. 2017, arXiv 1704.04861, table 1). The first convolution
    and the last block do not stride, so that 4x4 positions are left.
    """

    def __init__(self, classes: int = 10, channels_in: int = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        sizes = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 1), (256, 1))
        blocks, channels = [], 8
        for out, stride in sizes:
            blocks.append(SeparableBlock(channels, out, stride))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, classes)
        _he_initialize(self)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch classes"]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(self.blocks(x).mean((2, 3)))


class DigitsNet(nn.Module):
    """Two convolutions and two linear layers for 8x8 digits: 15,192 weights, seconds to train."""

    def __init__(self, classes: int = 10, channels_in: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 4 * 4, 20)
        self.fc2 = nn.Linear(20, classes)
        _he_initialize(self)

    def forward(self, x: Float[Tensor, "batch c 8 8"]) -> Float[Tensor, "batch classes"]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def _he_initialize(model: nn.Module) -> None:
    for layer in weight_layers(model).values():
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet20": lambda classes, channels_in: ResNet(3, 1, classes, channels_in),
    "resnet20-w2": lambda classes, channels_in: ResNet(3, 2, classes, channels_in),
    "resnet8": lambda classes, channels_in: ResNet8(1, classes, channels_in),
    "resnet8-w2": lambda classes, channels_in: ResNet8(2, classes, channels_in),
    "resnet8-w3": lambda classes, channels_in: ResNet8(3, classes, channels_in),
    "mobilenet": MobileNet,
    "digits-net": DigitsNet,
}


def build_model(network: str, classes: int = 10, channels_in: int = 3) -> nn.Module:
    """A freshly initialized network (from torch's global generator).

    Raises
    ------
    ValueError
        No network of that name; the message lists those that there are.
    """
    if network not in NETWORKS:
        raise ValueError(f"network {network!r} is not known; there are {', '.join(NETWORKS)}")
    return NETWORKS[network](classes, channels_in)
