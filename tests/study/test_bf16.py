import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from companion.study import bf16

pytestmark = pytest.mark.usefixtures("without_bf16")

GEOMETRIES = [
    {},
    {"stride": 2, "padding": 1},
    {"groups": 4, "padding": (1, 0)},
    {"dilation": 2, "padding": 2},
]


@pytest.fixture
def without_bf16(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_result_and_gradients_are_exact_sums_of_rounded_factors_rounded_once(geometry):
    torch.manual_seed(0)
    shapes = (4, 8, 9, 9), (12, 8 // geometry.get("groups", 1), 3, 3), (12,)
    factors = [torch.randn(shape, requires_grad=True) for shape in shapes]
    result = bf16.convolution(*factors, **geometry)
    pull = torch.randn(result.shape).bfloat16()
    gradients = torch.autograd.grad(result, factors, pull)

    exact = [factor.detach().bfloat16().double().requires_grad_() for factor in factors]
    truth = torch.conv2d(*exact, **geometry)
    truths = torch.autograd.grad(truth, exact, pull.double())
    for ours, theirs in zip((result, *gradients), (truth, *truths), strict=True):
        assert torch.equal(ours, ours.bfloat16())
        # Half a unit in the last of 8 bits, and what fp32 loses in sums of terms that cancel.
        torch.testing.assert_close(ours.double(), theirs, rtol=2**-8, atol=1e-4)


def test_autocast_gives_what_torch_gives():
    """Sums of small whole numbers are exact in whatever way a CPU forms them."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(-2, 3, (2, 4, 6, 6), generator=generator).float().requires_grad_()
    layer = torch.nn.Conv2d(4, 5, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-2, 3, layer.weight.shape, generator=generator))
        layer.bias.copy_(torch.arange(5))
    answers = []
    for context in (
        torch.autocast("cpu", torch.bfloat16),
        bf16.autocast(torch.device("cpu"), enabled=True),
    ):
        with context:
            answer = layer(images)
        answers.append([answer, *torch.autograd.grad(answer.sum(), [images, *layer.parameters()])])
    for ours, theirs in zip(*answers, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


@pytest.mark.parametrize("weights_last", [True, False])
@pytest.mark.parametrize("images_last", [True, False])
def test_what_a_compiler_is_told_of_results_is_true(images_last, weights_last):
    """Bit planes make weights of another layout than the images have, and torch decides by both."""
    layouts = [
        torch.channels_last if last else torch.contiguous_format for last in (images_last, weights_last)
    ]
    images, weight = (
        torch.randn(shape).bfloat16().contiguous(memory_format=layout)
        for shape, layout in zip([(2, 8, 6, 6), (4, 8, 3, 3)], layouts, strict=True)
    )
    sizes = [[1, 1], [1, 1], [1, 1]]

    def both(images, weight):
        answer = torch.ops.companion.convolve_bf16(images, weight, None, *sizes, 1)
        needed = [True, True, False]
        return answer, *torch.ops.companion.convolve_bf16_backward(answer, images, weight, *sizes, 1, needed)

    with FakeTensorMode() as told:
        foreseen = both(told.from_tensor(images), told.from_tensor(weight))
    for real, fake in zip(both(images, weight), foreseen, strict=True):
        assert (real.shape, real.stride(), real.dtype) == (fake.shape, fake.stride(), fake.dtype)


def test_without_bf16_nothing_is_rounded():
    image, weight = torch.full((1, 1, 1, 1), 1 + 2**-12), torch.ones(1, 1, 1, 1)
    with bf16.autocast(torch.device("cpu"), enabled=False):
        assert torch.conv2d(image, weight).item() == 1 + 2**-12


@pytest.mark.slow
def test_fused_steps_round_where_plain_ones_do():
    """A compiler that dropped a rounding between two steps in fp32 would give other sums than these."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3, stride=2)
    )
    images = torch.randn(4, 3, 12, 12)
    found = []
    for forward in (layers, torch.compile(layers, dynamic=False, fullgraph=True)):
        layers.zero_grad()
        with bf16.autocast(torch.device("cpu"), enabled=True):
            answers = forward(images)
        answers.float().square().sum().backward()
        found.append([answers.detach(), *(parameter.grad for parameter in layers.parameters())])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(plain, fused, rtol=2**-7, atol=2**-6)
