"""What a convolution's kernel sees: windows of its input, as a view to sum and as columns for a crossbar."""

from jaxtyping import Int, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["check_convolution", "window_view", "windows"]


def check_convolution(name: str, layer: nn.Module) -> None:
    """Raise ``ValueError`` where a convolution is no single crossbar: grouped, transposed, or the like."""
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.padding_mode != "zeros":
        raise ValueError(
            f"layer {name} is {layer}, allowed are Conv2d with groups=1 and padding_mode='zeros'"
        )


def window_view(
    maps: Shaped[Tensor, "*maps"], layer: nn.Conv1d | nn.Conv2d | nn.Conv3d
) -> Shaped[Tensor, "*maps_kernel_positions"]:
    """For each element of the kernel the part of each padded map that it meets, one entry per position.

    Of maps ``(..., channels, *size)`` the windows ``(..., channels, *kernel, *positions)``. They are a view
    of one padded copy and overlap in memory: read them and write nothing.

    Examples
    --------
    >>> import torch
    >>> window_view(torch.rand(16, 32, 32), nn.Conv2d(16, 8, kernel_size=3, padding=1)).shape
    torch.Size([16, 3, 3, 32, 32])
    """
    dims = len(layer.kernel_size)
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "same":
        margins = [(r // 2, r - r // 2) for r in reach]
    elif layer.padding == "valid":
        margins = [(0, 0)] * dims
    else:
        margins = [(int(p), int(p)) for p in layer.padding]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    sides = [side for margin in reversed(margins) for side in margin]
    padded = functional.pad(maps, sides, mode).contiguous()
    sizes, steps = padded.shape[-dims:], padded.stride()[-dims:]
    positions = [(n - r - 1) // s + 1 for n, r, s in zip(sizes, reach, layer.stride, strict=True)]
    taps = [d * step for d, step in zip(layer.dilation, steps, strict=True)]
    moves = [s * step for s, step in zip(layer.stride, steps, strict=True)]
    return padded.as_strided(
        (*padded.shape[:-dims], *layer.kernel_size, *positions), (*padded.stride()[:-dims], *taps, *moves)
    )


def windows(
    codes: Int[Tensor, "images channels height width"] | UInt8[Tensor, "images channels height width"],
    layer: nn.Conv2d,
) -> Int[Tensor, "rows positions"] | UInt8[Tensor, "rows positions"]:
    """The windows that a convolution sees, a column each: image after image, row by row.

    As `torch.nn.functional.unfold`, but of integers.

    Examples
    --------
    >>> import torch
    >>> image = torch.arange(9).view(1, 1, 3, 3)
    >>> windows(image, nn.Conv2d(1, 1, kernel_size=2))
    tensor([[0, 1, 3, 4],
            [1, 2, 4, 5],
            [3, 4, 6, 7],
            [4, 5, 7, 8]])
    """
    return window_view(codes, layer).movedim(0, 3).flatten(0, 2).flatten(1)
