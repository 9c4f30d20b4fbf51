"""A scale for each output channel: the codes of each channel alone, in everything that takes codes."""

import copy
import json
import warnings

import jaxtyping
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import twofold
from twofold import Adc, Crossbar, StoredLayer, Twofold, dequantize, quantize
from twofold.codes.quantizer import channel_scale, code_limit, weight_scale
from twofold.inputs.scales import InputScale
from twofold.storage.format import VERSION, Packed, digest, file_parts, load_packed, read_file, save_packed
from twofold.storage.sizes import storage_bytes

pytestmark = pytest.mark.usefixtures("one_thread")

DECADES = 10.0 ** torch.arange(-3, 3)  # of the channels of a depthwise layer
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TERMS = {
    "rounded": {},
    "energy": {"strength": 60.0},
    "counts": {"strength": 20.0, "bit_term": "counts"},
    "planes": {"strength": 0.01, "bit_term": "planes"},
    "popcount": {"strength": 0.01, "bit_term": "popcount"},
}


class Depthwise(nn.Module):
    """A depthwise-separable network whose channels differ by decades; and a bare matrix, inputs first."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.depth = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.point = nn.Conv2d(6, 8, 1)
        self.mix = nn.Parameter(torch.randn(8, 5))
        self.last = nn.Linear(5, 3)
        with torch.no_grad():
            self.depth.weight *= DECADES[:, None, None, None]
            self.mix *= 10.0 ** torch.arange(-2, 3)

    def forward(self, images):
        maps = self.point(self.depth(self.first(images).relu()))
        return self.last((maps.mean((2, 3)) @ self.mix).tanh())


ALL = ["first", "depth", "point", "mix", "last"]


def attached(term="rounded", **options):
    torch.manual_seed(0)
    options = {"layers": ALL, "transposed": "mix", "scale": "channel", **TERMS[term], **options}
    sparsity = Twofold(Depthwise(), **options)
    sparsity.advance(1.0)
    sparsity.penalty()
    return sparsity


def decibels(weight, rounded):
    return float(10 * torch.log10(weight.square().sum() / (weight - rounded).square().sum()))


# ---- numbers ----


def test_each_channel_is_quantized_as_if_it_were_alone():
    weight = torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(1)) * DECADES[:, None, None]
    scale = channel_scale(weight)
    assert scale.shape == (6, 1, 1)
    codes = quantize(weight, 4, scale.flatten())
    for own, row, found in zip(weight, codes, scale.flatten(), strict=True):
        assert found == weight_scale(own) and torch.equal(row, quantize(own, 4))
    back = dequantize(codes, scale.flatten(), 4)
    assert torch.equal(
        back, torch.stack([dequantize(c, s, 4) for c, s in zip(codes, scale.flatten(), strict=True)])
    )
    turned = channel_scale(weight.transpose(0, 1), 1)
    assert turned.shape == (1, 6, 1) and torch.equal(turned.flatten(), scale.flatten())


def test_an_outlier_and_channels_of_all_sizes_lose_thirty_decibels_with_one_scale():
    torch.manual_seed(0)
    rows = torch.randn(16, 64)
    rows[3, 5] = 300.0
    plain, fine = quantize(rows), quantize(rows, 8, channel_scale(rows).flatten())
    others = torch.arange(16) != 3
    found = [
        decibels(rows[others], dequantize(codes, scale)[others])
        for codes, scale in ((plain, weight_scale(rows)), (fine, channel_scale(rows).flatten()))
    ]
    assert found[1] > found[0] + 30


@pytest.mark.parametrize("small", [0.0, 1e-36, 1e-42])
def test_a_channel_of_nothing_has_scale_one_and_the_codes_zero(small):
    weight = torch.tensor([[0.5, -1.0], [small, 0.0]])
    assert channel_scale(weight).flatten().tolist() == [1.0, 1.0]
    assert torch.equal(channel_scale(weight, check=False), channel_scale(weight))
    assert quantize(weight, 8, channel_scale(weight).flatten()).tolist() == [[64, -127], [0, 0]]


def test_bad_weights_and_scales_are_refused_with_the_value(monkeypatch):
    with pytest.raises(ValueError, match=r"2 of 4 weights are NaN or infinite"):
        channel_scale(torch.tensor([[float("nan"), 1.0], [float("inf"), 1.0]]))
    with pytest.raises(ValueError, match=r"shape \(2, 0\) is empty"):
        channel_scale(torch.empty(2, 0))
    codes = torch.ones(2, 3, dtype=torch.int8)
    for scale, said in (
        (torch.ones(3), r"3 scales for 2 outputs"),
        (torch.tensor([1.0, -2.0]), r"scale is -2, allowed are finite"),
        (torch.tensor([1.0, float("nan")]), r"scale is nan"),
    ):
        with pytest.raises(ValueError, match=said):
            dequantize(codes, scale)
        with pytest.raises(ValueError, match=said):
            quantize(codes.float(), 8, scale)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would refuse the shape first
    for scale, said in (
        (torch.ones(3), r"scale is of shape \(3,\) for codes of \(2, 3\)"),
        (torch.tensor([1.0, -2.0]), r"scale is -2\.0; allowed are finite numbers above 0"),
        (0.0, r"scale is 0\.0; allowed"),
    ):
        with pytest.raises(ValueError, match=said):
            StoredLayer(codes, scale, codes.bool())


# ---- attached ----


@pytest.mark.parametrize("term", TERMS)
def test_every_term_chooses_the_codes_of_each_channel_alone(term):
    sparsity = attached(term)
    layers = sparsity.codes()
    for layer in layers.values():
        assert isinstance(layer.scale, torch.Tensor) and layer.scale.shape == (layer.columns,)
        # The largest weight of every channel is worth the largest code where codes are only rounded.
        if term in ("rounded", "planes", "popcount"):
            largest = layer.codes.flatten(1).abs().amax(1)
            assert set(largest.tolist()) == {code_limit(8)}
    assert layers["mix"].codes.shape == (5, 8)
    assert layers["depth"].scale.log10().diff().min() > 0.5


@pytest.mark.parametrize("term", TERMS)
def test_a_network_is_trained_finished_saved_and_loaded(term, tmp_path):
    sparsity = attached(term, density=0.5)
    model = sparsity.model
    for step in range(3):
        sparsity.advance(step / 3)
        loss = model(IMAGES).square().mean() + sparsity.penalty()
        model.zero_grad()
        loss.backward()
        assert all(own.grad.isfinite().all() for own in model.parameters())
        with torch.no_grad():
            for own in model.parameters():
                own -= 0.05 * own.grad
    sparsity.advance(1.0)
    sparsity.requantize()
    answer = model(IMAGES).detach()
    state, twin = copy.deepcopy(model.state_dict()), attached(term, density=0.5)
    twin.model.load_state_dict(state)
    assert torch.equal(twin.model(IMAGES), answer)
    twofold.save(tmp_path / "net", sparsity)
    layers = sparsity.finish()
    assert torch.equal(model(IMAGES), answer)
    again, other = tmp_path / "again", Depthwise()
    twofold.save(again, sparsity)
    assert again.read_bytes() == (tmp_path / "net").read_bytes()
    packed = twofold.load(again, other)
    assert torch.equal(other(IMAGES), answer)
    for name, layer in packed.layers.items():
        assert torch.equal(layer.codes, layers[name].codes) and torch.equal(layer.scale, layers[name].scale)


def test_the_chooser_sees_each_channel_in_its_own_steps():
    alone = nn.Linear(4, 3)
    together = copy.deepcopy(alone)
    with torch.no_grad():
        together.weight *= torch.tensor([1e-2, 1.0, 1e2])[:, None]
    one, all_three = (Twofold(m, scale="channel", strength=400.0) for m in (alone, together))
    for sparsity in (one, all_three):
        sparsity.advance(1.0)
    assert torch.equal(one.codes()[""].codes, all_three.codes()[""].codes)


def test_one_scale_a_layer_stays_the_default_and_its_files_stay_as_they_were(tmp_path):
    sparsity = attached(scale="layer")
    assert all(type(layer.scale) is float for layer in sparsity.codes().values())
    twofold.save(tmp_path / "net", sparsity)
    header, tensors = read_file(tmp_path / "net")
    assert header["version"] == 2 and not [name for name in tensors if name.startswith("scales.")]
    torch.manual_seed(0)
    default = Twofold(Depthwise(), layers=ALL, transposed="mix")
    twofold.save(tmp_path / "default", default)
    assert (tmp_path / "default").read_bytes() == (tmp_path / "net").read_bytes()


def test_bad_words_and_combinations_are_refused():
    plain = getattr(Twofold.__init__, "__wrapped__", Twofold.__init__)
    for word in ("max", "row", None):
        with pytest.raises(
            ValueError, match=rf"scale is {word!r}; it must be one of layer, channel, ternary"
        ):
            plain(Twofold.__new__(Twofold), nn.Linear(3, 2), scale=word)
    fine = Twofold(nn.Linear(3, 2), scale="channel", clip_ratio=0.5).codes()[""]
    assert fine.codes.abs().amax(1).tolist() == [127, 127]


@pytest.mark.parametrize("named", ["up", "up.weight"])
def test_a_transposed_convolution_of_groups_has_no_dimension_of_outputs(named):
    model = nn.ModuleDict({"up": nn.ConvTranspose2d(6, 4, 3, groups=2), "fc": nn.Linear(4, 2)})
    with pytest.raises(
        ValueError, match=rf"layer '{named}': it is a transposed .* of 2 groups.*; allowed are groups=1"
    ):
        Twofold(model, layers=named, scale="channel")
    model["up"] = nn.ConvTranspose2d(6, 4, 3)
    assert Twofold(model, layers="up.weight", scale="channel").codes()["up.weight"].scales == 4


def test_a_weight_that_turns_nan_is_refused_with_its_layer():
    sparsity = attached()
    with torch.no_grad():
        sparsity.model.depth.parametrizations.weight.original[2, 0, 1, 1] = float("nan")
    for use in (lambda: sparsity.model(IMAGES), sparsity.codes):
        with pytest.raises(ValueError, match="layer 'depth': 1 of 54 weights are NaN or infinite"):
            use()


# ---- a layer whose codes are nearly all zero ----


def test_a_layer_of_nearly_no_codes_is_told_once_with_what_helps():
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 4))
    with torch.no_grad():
        model[0].weight[3, 5] = 1e4
    with pytest.warns(UserWarning, match=r"code 0 \(99\.8 % of layer '0'\); .* scale='channel'") as told:
        sparsity = Twofold(model)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsity.codes()
        sparsity.finish()
        fine = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 4))
        fine[0].weight.data[3, 5] = 1e4
        Twofold(fine, scale="channel").finish()
        zeros = nn.Linear(30, 20)
        nn.init.zeros_(zeros.weight)  # as last layers of residual branches begin
        Twofold(zeros).finish()


@pytest.mark.parametrize("term", ["energy", "planes"])
def test_a_layer_that_a_bit_term_empties_is_told(term):
    sparsity = Twofold(
        nn.Linear(30, 20), bits=3, **TERMS[term] | {"strength": 1e5 if term == "energy" else 1.0}
    )
    if term == "planes":
        with torch.no_grad():
            sparsity.model.parametrizations.weight.original.zero_()
        sparsity.penalty()
    sparsity.advance(1.0)
    with pytest.warns(UserWarning, match=r"code 0 \(.* of layer ''\).* lower strength"):
        sparsity.finish()


# ---- files ----


def stored():
    keep = torch.tensor([[True, True, False], [True, False, True]])
    codes = torch.tensor([[5, -3, 0], [127, 0, 1]], dtype=torch.int8)
    return StoredLayer(codes, torch.tensor([0.5, 2e-3]), keep)


def test_a_file_of_scales_says_its_version_and_adds_up(tmp_path):
    path = tmp_path / "net.safetensors"
    save_packed(path, Packed({"fc": stored()}))
    header, tensors = read_file(path)
    assert header["version"] == VERSION == 3
    assert tensors["scales.fc"].tolist() == torch.tensor([0.5, 2e-3]).tolist()
    assert sum(file_parts(path).values()) == path.stat().st_size
    again = load_packed(path).layers["fc"]
    assert torch.equal(again.scale, stored().scale) and torch.equal(again.codes, stored().codes)


@pytest.mark.parametrize(
    ("scales", "said"),
    [
        (torch.tensor([0.5, 0.0]), r"float32, 0\.0 among them, and keeps 4 weights"),
        (torch.tensor([0.5, float("nan")]), "nan among them"),
        (torch.tensor([0.5]), r"shape \(1,\)"),
        (torch.tensor([1, 2]), "int64"),
        (None, "has the scale None"),
    ],
)
def test_a_damaged_file_of_scales_is_refused(scales, said, tmp_path):
    path = tmp_path / "net.safetensors"
    save_packed(path, Packed({"fc": stored()}))
    header, _ = read_file(path)
    tensors = load_file(path)
    del header["sha256"], tensors["scales.fc"]
    if scales is not None:
        tensors["scales.fc"] = scales
    header["sha256"] = digest(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})
    with pytest.raises(ValueError, match=said):
        load_packed(path)


def test_bytes_count_every_scale():
    one = StoredLayer(stored().codes, 0.5, stored().keep)
    for scheme in ("int8 dense", "int8 + bitmap"):
        few, more = (
            storage_bytes({"fc": layer}).set_index("scheme").bytes[scheme] for layer in (one, stored())
        )
        assert more == few + 4
    few, more = (twofold.report({"fc": layer}).frame.iloc[0] for layer in (one, stored()))
    assert (more.bytes_packed, more.bytes_int8) == (few.bytes_packed + 4, few.bytes_int8 + 4)
    assert (few.scales, more.scales) == (1, 2)


# ---- energy, crossbar, report, ONNX ----


def test_energies_are_those_of_the_codes(tmp_path):
    layers = attached(density=0.5).finish()
    plain = {
        name: StoredLayer(own.codes, 1.0, own.keep, own.bits, own.encoding, own.generator)
        for name, own in layers.items()
    }
    ours, theirs = twofold.report(layers), twofold.report(plain)
    assert torch.equal(torch.tensor(ours.frame.energy_j), torch.tensor(theirs.frame.energy_j))
    assert "; a scale for each output channel" in ours.title and "channel" not in theirs.title


def test_a_baseline_is_rounded_with_as_many_scales():
    sparsity = attached()
    torch.manual_seed(0)
    made = twofold.report(sparsity, baseline=Depthwise())
    assert made.frame.gain.round(9).eq(1).all()


@pytest.mark.parametrize("encoding", ["twos_complement", "sign_magnitude"])
def test_a_crossbar_gives_the_integers_exactly_and_scales_them_after_the_converter(encoding):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4))
    with torch.no_grad():
        model[0].weight *= DECADES[:, None, None, None]
    layers = Twofold(model, scale="channel", density=0.5, encoding=encoding).finish()
    images = IMAGES[:2, :, :6, :6].abs().mul(40).round()
    scales = {"0": InputScale(255.0, False), "3": InputScale(255.0, False)}
    exact = Crossbar(adc=Adc(range_rule="none"))
    with twofold.on_crossbars(model, layers, scales, exact):
        found = model[0](images)
    integers = nn.functional.conv2d(images.double(), layers["0"].codes.double())
    steps = layers["0"].scale.double() / 127
    expected = integers * steps[:, None, None] + model[0].bias[:, None, None].double()
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-9)
    wide = Crossbar(adc=Adc(range_rule="worst_case", bits=9), slices=(1,) * 8)
    with twofold.on_crossbars(model, layers, scales, wide):
        assert torch.equal(model[0](images), found)


def test_a_finished_network_agrees_in_onnx(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Flatten(), nn.Linear(216, 4))
    Twofold(model, scale="channel", density=0.5, strength=20.0).finish()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (IMAGES,), tmp_path / "net.onnx", dynamo=False, input_names=["x"])
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": IMAGES.numpy()})
    torch.testing.assert_close(torch.from_numpy(theirs), model(IMAGES), rtol=1e-5, atol=1e-5)
