"""What is compared: each case returns our work, the peer's, and the ratio that ours must reach.

Both are called again and again in turn, so each must leave nothing behind that changes the next call.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from companion.study.bf16 import autocast
from companion.study.energies import energies, forget_prices
from companion.study.machines import TABLES, whole_machines
from companion.study.results import load_results
from companion.study.zoo import build_model
from twofold import (
    LFSR,
    Adc,
    Crossbar,
    Machine,
    StoredLayer,
    Twofold,
    activation_scales,
    load_cell_table,
    measure_activity,
    network_energy,
    on_crossbars,
    report,
    save,
)
from twofold.codes.cells import code_energy, code_energy_table
from twofold.crossbar.matrix import ProgrammedMatrix
from twofold.crossbar.network import program
from twofold.layer import weight_layers
from twofold.masks.generator import layer_generator
from twofold.masks.gf2 import primitive_polynomial
from twofold.sparsity.parametrizations import detach_weight

__all__ = ["CASES", "Case"]

Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A comparison: ``make`` returns (ours, peer); ``goal`` is the largest allowed ratio ours / peer.

    The peer is a work as well, or a number of seconds. ``needs`` names a package that it takes.
    """

    name: str
    peer: str
    goal: float
    make: Callable[[], tuple[Work, Work | float]]
    needs: str = ""


def lfsr_bits() -> tuple[Work, Work]:
    from scipy.signal import max_len_seq  # peers and models are slow to import, and a page lists the cases

    register = LFSR(primitive_polynomial(20))
    return lambda: register.bits(2**20 - 1), lambda: max_len_seq(20)


def state_words() -> tuple[Work, Work]:
    from scipy.signal import max_len_seq

    register = LFSR(primitive_polynomial(19))

    def peer():
        bits, _ = max_len_seq(19)
        bits = np.concatenate([bits, bits[:18]]).astype(np.uint32)
        words = np.zeros(2**19 - 1, np.uint32)
        for i in range(19):
            words |= bits[i : i + len(words)] << np.uint32(i)
        return words

    return lambda: register.states(2**19 - 1), peer


def draw_by_rejection(shapes: list[tuple[int, ...]]) -> None:
    """The masks that `Twofold` draws by default; what a polynomial's registers share is kept."""
    for index, shape in enumerate(shapes):
        layer_generator("rejection", shape, index).draw(shape, 0.5)


def resnet20_masks() -> tuple[Work, Work]:
    shapes = [tuple(layer.weight.shape) for layer in weight_layers(build_model("resnet20")).values()]

    def peer():
        for shape in shapes:
            module = nn.Module()
            module.weight = nn.Parameter(torch.empty(shape))
            prune.random_unstructured(module, "weight", 0.5)

    return lambda: draw_by_rejection(shapes), peer


def resnet50_masks() -> tuple[Work, float]:
    from torchvision.models import resnet50

    with torch.device("meta"):  # shapes alone
        shapes = [tuple(layer.weight.shape) for layer in weight_layers(resnet50()).values()]
    return lambda: draw_by_rejection(shapes), 0.25


def training_step(
    prepare: Callable[[nn.Module], object], precision: str = "fp32", device: str = "cpu"
) -> Work:
    """A step of ResNet-20 on 128 images, as the study's; ``prepare`` attaches a `Twofold` or none."""
    torch.manual_seed(0)
    images = torch.randn(128, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (128,), device=device)
    model = build_model("resnet20").to(device, memory_format=torch.channels_last)
    attached = prepare(model)
    sparsity = attached if isinstance(attached, Twofold) else None
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    forward = torch.compile(model, mode="reduce-overhead") if device == "cuda" else model
    progress = iter(np.linspace(0.0, 0.5, 10_000))

    def step():
        if sparsity is not None:
            sparsity.advance(float(next(progress)))
        with autocast(torch.device(device), enabled=precision == "bf16"):
            loss = F.cross_entropy(forward(images).float(), labels)
        if sparsity is not None:
            loss = loss + sparsity.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def plain(model: nn.Module) -> None:
    """Nothing attached."""


def both_sparsities(model: nn.Module) -> Twofold:
    return Twofold(model, density=0.5, strength=60.0, network_strength=1e-3, prune_epoch=1)


def bit_planes(model: nn.Module) -> Twofold:
    return Twofold(model, strength=1e-3, bit_term="planes")


def brevitas_int8(model: nn.Module) -> None:
    """Brevitas' 8-bit weight quantizer: the codes of plain rounding, as ours; activations stay in float."""
    from brevitas.nn import QuantConv2d, QuantLinear
    from brevitas.quant import Int8WeightPerTensorFloat

    for name, layer in weight_layers(model).items():
        bias = layer.bias is not None
        if isinstance(layer, nn.Conv2d):
            shape = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
            quantized = QuantConv2d(*shape, bias=bias, weight_quant=Int8WeightPerTensorFloat)
        else:
            shape = layer.in_features, layer.out_features
            quantized = QuantLinear(*shape, bias=bias, weight_quant=Int8WeightPerTensorFloat)
        quantized.weight.data.copy_(layer.weight.detach())
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, quantized.to(memory_format=torch.channels_last))


def steps(
    ours: Callable[[nn.Module], object],
    peer: Callable[[nn.Module], object],
    precision: str = "fp32",
    device: str = "cpu",
) -> Callable[[], tuple[Work, Work]]:
    return lambda: (training_step(ours, precision, device), training_step(peer, precision, device))


def exact_energy() -> tuple[Work, Work]:
    """1,024 images, 128 at a time for both; the layers are priced once, as for any number of images."""
    torch.manual_seed(0)
    model, images = build_model("resnet20").eval(), torch.randn(1024, 3, 32, 32)
    scales = activation_scales(model, images)
    machine = replace(Machine.cells_only(load_cell_table(), "crossbar"), adc_rule="column")
    codes = {
        name: torch.randint(-127, 128, layer.weight.shape, dtype=torch.int8)
        for name, layer in weight_layers(model).items()
    }
    layers = {
        name: StoredLayer(own, scale=1.0, keep=torch.ones_like(own, dtype=torch.bool))
        for name, own in codes.items()
    }

    def ours():
        activity = measure_activity(model, images, scales=scales)
        network_energy(layers, activity, machine)

    @torch.no_grad()
    def peer():
        for batch in images.split(128):
            model(batch)

    return ours, peer


def energy_of_codes() -> tuple[Work, Work]:
    table = code_energy_table(8, "twos_complement", load_cell_table())
    codes = torch.randint(-127, 128, (268_336,), dtype=torch.int8)
    plain = torch.cat([table[:1], table])  # 256 entries, by the code's byte
    return lambda: code_energy(codes, table), lambda: plain[codes.int() + 128]


def crossbar_product() -> tuple[Work, Work]:
    """64 outputs of 128 rows by 1,024 inputs of 8 bits, a conversion for each input bit and slice."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(-127, 128, (64, 128), dtype=torch.int8, generator=generator)
    inputs = torch.randint(0, 256, (128, 1024), dtype=torch.uint8, generator=generator)
    adc = Adc(range_rule="worst_case", bits=8)
    matrix = ProgrammedMatrix(codes, Crossbar(adc=adc, encoding="offset_binary"))
    step = adc.step(3 * 128)

    def peer():
        total = torch.zeros(64, 1024)
        for shift in (0, 2, 4, 6):
            levels = (codes.int() + 128 >> shift & 3).float()
            for bit in range(8):
                currents = levels @ (inputs >> bit & 1).float()
                total += 2 ** (shift + bit) * step * (currents / step).round().clamp(0, 255)
        return total - 128 * inputs.sum(0)

    return lambda: matrix.product(inputs), peer


def crossbar_images() -> tuple[Work, float]:
    """A converter at every input bit; 10,000 images in 2.5 minutes on two cores are 0.03 s of one each."""
    torch.manual_seed(0)
    model, images = build_model("resnet20").eval(), torch.randn(20, 3, 32, 32)
    scales = activation_scales(model, images)
    layers = Twofold(model, density=0.5).finish()
    machine = Crossbar(adc=Adc(range_rule="active_rows", bits=8))
    matrices = program(layers, machine)

    @torch.no_grad()
    def ours():
        with on_crossbars(model, layers, scales, machine, matrices=matrices):
            model(images)

    return ours, 0.03 * len(images)


def vision_transformer() -> tuple[Work, float]:
    """A ViT-B/16 of 86 million weights: attached, reported on, saved, and left as it was."""
    from torchvision.models import vit_b_16

    model = vit_b_16()
    chosen = (nn.Conv2d, nn.Linear, "*.in_proj_weight")

    def ours():
        sparsity = Twofold(model, layers=chosen, density=0.5)
        report(sparsity)
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder) / "vit.safetensors", sparsity)
        for place in sparsity.places.values():
            detach_weight(place.module, place.parameter)

    return ours, 5.0


def pricing() -> tuple[Work, float]:
    """Every tenth of the committed runs on every machine with every table; two cores have 60 s for all."""
    runs = load_results()
    runs = runs[(runs.method != "dense") & ~runs.held_out]
    part = runs.iloc[::10]

    def ours():
        forget_prices()
        for table in TABLES.values():
            machines = whole_machines(load_cell_table(table))
            for machine in machines.values():
                energies(part, machine, baseline_model=machines["crossbar"])

    return ours, 2 * 60.0 * len(part) / len(runs)


def python(*words: str) -> Work:
    """A fresh interpreter; all of them find their bytecode compiled by the first call, which is not timed."""
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def import_twofold() -> tuple[Work, Work]:
    return python("-c", "import twofold, torch"), python("-c", "import torch")


def command_line_help() -> tuple[Work, Work]:
    return python("-c", "from companion.__main__ import main; main(['--help'])"), python("-c", "import torch")


CASES = [
    Case("2^20 - 1 LFSR bits", "scipy.signal.max_len_seq", 0.1, lfsr_bits),
    Case("2^19 - 1 state words", "scipy and shifted windows", 0.5, state_words),
    Case("masks of ResNet-20, by rejection", "prune.random_unstructured", 0.10, resnet20_masks),
    Case("masks of ResNet-50, by rejection", "0.25 s", 1.0, resnet50_masks),
    Case("step, both sparsities, fp32", "plain step, fp32", 1.05, steps(both_sparsities, plain)),
    Case("step, both sparsities, bf16", "plain step, bf16", 1.05, steps(both_sparsities, plain, "bf16")),
    Case(
        "step, both sparsities",
        "Brevitas, 8-bit weights",
        0.95,
        steps(both_sparsities, brevitas_int8),
        needs="brevitas",
    ),
    Case("step, trainable bit planes", "plain step (BSQ's code: 2.13)", 2.13, steps(bit_planes, plain)),
    Case("forward pass with exact energy", "forward pass", 1.25, exact_energy),
    Case("energy of 268,336 codes", "256-entry look-up", 1.2, energy_of_codes),
    Case("crossbar, 64x128 by 1,024 inputs", "torch loop over slices and bits", 0.4, crossbar_product),
    Case("20 images on crossbars, one core", "two cores' 10,000 in 2.5 min", 1.0, crossbar_images),
    Case("ViT-B/16 attached, reported, saved", "5 s", 1.0, vision_transformer),
    Case("a tenth of the runs on all machines", "two cores' 60 s for all", 1.0, pricing),
    Case("import twofold and torch", "import torch", 1.1, import_twofold),
    Case("twofold --help", "import torch", 1.1, command_line_help),
]
if torch.cuda.is_available():
    on_gpu = steps(both_sparsities, plain, "bf16", "cuda")
    CASES.append(Case("step, both sparsities, GPU", "plain step, GPU, both compiled", 1.05, on_gpu))
