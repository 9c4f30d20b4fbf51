"""Whatever network comes along: attached rightly, or refused by name; nothing silently wrong or left out."""

import copy
import warnings

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval

import twofold
from twofold import Twofold
from twofold.sparsity.choose import multiplying_weights
from twofold.sparsity.trial import obstacle_in_forward, output_dimension

pytestmark = pytest.mark.usefixtures("one_thread")


# ---- a class with a forward of its own ----


class Standardized(nn.Conv2d):
    """As in BiT and NFNets: its weight is brought to mean 0 and variance 1 before use."""

    def forward(self, images):
        variance, mean = torch.var_mean(self.weight, [1, 2, 3], keepdim=True)
        weight = (self.weight - mean) / (variance + 1e-5).sqrt()
        return F.conv2d(images, weight, self.bias, self.stride, self.padding)


class Padded(nn.Conv2d):
    def _conv_forward(self, images, weight, bias):
        return super()._conv_forward(F.pad(images, (0, 1, 0, 1)), weight, bias)


class Bounded(nn.Linear):
    """As in EEGNet: the norm of its weight is bounded in place, at each call."""

    def forward(self, inputs):
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 1.0)
        return super().forward(inputs)


class Gained(nn.Linear):
    """Its gain of 1 does nothing yet."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, inputs):
        return super().forward(inputs) * self.gain


class Hidden(nn.Linear):
    """Its mask keeps all yet."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("seen", torch.ones(self.weight.shape, dtype=torch.bool))

    def forward(self, inputs):
        return F.linear(inputs, self.weight * self.seen, self.bias)


class Positive(nn.Linear):
    def __call__(self, inputs):
        return super().__call__(inputs.relu())


class Pair(nn.Linear):
    def forward(self, left, right):
        return super().forward(left + right)


class Spoken(nn.Conv2d):
    """Says more, and does the same; in training it also drops some of its inputs."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        return super().forward(F.dropout(images, 0.5, self.training))


class Sequences(nn.Linear):
    def forward(self, inputs):
        words, batch, _ = inputs.shape
        return super().forward(inputs.reshape(words, batch, -1))


class Added(nn.Linear):
    """As in Falcon: the product, and then the bias."""

    def forward(self, inputs):
        return inputs @ self.weight.t() + self.bias


def on_an_instance():
    layer = nn.Linear(4, 3)
    layer.forward = lambda inputs: F.linear(inputs, layer.weight.abs(), layer.bias)
    return layer


OTHERS = {
    "Standardized has a forward of its own": lambda: Standardized(3, 4, 3),
    "Padded has a _conv_forward of its own": lambda: Padded(3, 4, 3),
    "Bounded has a forward of its own": lambda: Bounded(4, 3),
    "Gained has a forward of its own": lambda: Gained(4, 3),
    "Hidden has a forward of its own": lambda: Hidden(4, 3),
    "Positive has a __call__ of its own": lambda: Positive(4, 3),
    "Linear has a forward of its own": on_an_instance,
}


@pytest.mark.parametrize("said", OTHERS)
def test_a_layer_that_computes_something_else_is_refused_by_name(said):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), OTHERS[said]())
    parameters = dict(model.named_parameters())
    with pytest.raises(
        ValueError, match=rf"layer '1': {said}, and computes something else than .*exclude='1'"
    ):
        Twofold(model, density=0.5)
    assert all(parameters[name] is parameter for name, parameter in model.named_parameters())
    assert list(Twofold(model, density=0.5, exclude="1").layers) == ["0"]


def changed(kind, *sizes, weight=lambda layer: layer.weight, inputs=lambda layer, given: given):
    """A layer of a subclass that changes its weight or its inputs before the product."""

    class Changed(kind):
        def forward(self, given):
            given = inputs(self, given)
            if kind is nn.Linear:
                return F.linear(given, weight(self), self.bias)
            return self._conv_forward(given, weight(self), self.bias)

    return Changed(*sizes)


def in_place(layer):
    layer.weight.data.clamp_(-1e6, 1e6)
    return layer.weight


def to_whole_patches(layer, images):
    (height, width), (over, across) = images.shape[-2:], layer.kernel_size
    return F.pad(images, (0, -width % across, 0, -height % over))


# What a trial of one size, one magnitude and one mode does not see.
HARDLY_OTHERS = {
    "threshold": {"weight": lambda layer: layer.weight * (layer.weight.abs() > 1e-9)},
    "steps": {"weight": lambda layer: torch.round(layer.weight * 2**20) / 2**20},
    "shifted": {"weight": lambda layer: layer.weight + 1e-9},
    "bound in place": {"weight": in_place},
    "in training": {"weight": lambda layer: layer.weight * 2 if layer.training else layer.weight},
    "input steps": {"inputs": lambda _, given: torch.round(given * 2**10) / 2**10},
    "input bounds": {"inputs": lambda _, given: given.clamp(-600, 600)},
    "mean of words": {"inputs": lambda _, given: given.mean(1) if given.dim() == 3 else given},
    "lone input": {"inputs": lambda _, given: given.abs() if given.dim() == 1 else given},
}


@pytest.mark.parametrize("case", HARDLY_OTHERS)
def test_a_layer_that_hardly_computes_something_else_is_refused(case):
    with pytest.raises(ValueError, match="Changed has a forward of its own, and computes something else"):
        Twofold(changed(nn.Linear, 6, 5, **HARDLY_OTHERS[case]))


def test_a_convolution_that_pads_some_sizes_is_refused():
    with pytest.raises(ValueError, match="Changed has a forward of its own, and computes something else"):
        Twofold(changed(nn.Conv2d, 3, 8, 4, 4, inputs=to_whole_patches))
    assert list(Twofold(changed(nn.Conv2d, 3, 8, 1, inputs=to_whole_patches)).layers) == [""]


def test_a_weight_that_is_doubled_where_it_is_looked_up_is_refused():
    class Doubled(nn.Linear):
        def __getattr__(self, name):
            found = super().__getattr__(name)
            return found * 2 if name == "weight" else found

    assert obstacle_in_forward(Doubled(4, 3)).startswith("Doubled has a __getattr__ of its own, and computes")


def test_a_layer_that_cannot_be_tried_is_refused():
    with pytest.raises(
        ValueError, match=r"layer '': Pair has .* cannot be tried on its own \(TypeError: .*'right'"
    ):
        Twofold(Pair(4, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Spoken(4, 6, 3, stride=2, padding=1, groups=2),
        lambda: Spoken(4, 6, (1, 3), padding="same", dilation=2, padding_mode="circular"),
        lambda: Spoken(4, 6, 3, padding=2, padding_mode="reflect", bias=False),
        lambda: Sequences(5, 3),
        lambda: Added(5, 3),
        lambda: changed(nn.Linear, 5, 3, weight=lambda layer: layer.weight.to(layer.bias.dtype)),
        lambda: changed(nn.Conv1d, 4, 2, 3, inputs=lambda _, given: given.contiguous().clone()),
        lambda: nn.modules.linear.NonDynamicallyQuantizableLinear(5, 3),
    ],
)
def test_a_layer_that_computes_the_same_is_attached_and_left_alone(make, dtype):
    layer = make().to(dtype)
    layer.register_forward_pre_hook(lambda _layer, inputs: (inputs[0] * 2,))  # not the layer's own doing
    before, state = torch.get_rng_state(), copy.deepcopy(layer.state_dict())
    assert obstacle_in_forward(layer) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert layer.training and getattr(layer, "calls", 0) == 0
    assert all(torch.equal(value, state[key]) for key, value in layer.state_dict().items())
    assert list(Twofold(layer, density=0.5).layers) == [""]


def test_a_lazy_layer_that_has_a_shape_is_attached():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    model(torch.ones(1, 2, 5, 5))
    assert list(Twofold(model, density=0.5).layers) == ["0", "2"]


class StandardizedUp(nn.ConvTranspose2d):
    def forward(self, images):
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return F.conv_transpose2d(images, weight, self.bias, self.stride)


class DoubledStates(nn.LSTM):
    def forward(self, words):
        return super().forward(2 * words)


@pytest.mark.parametrize(
    ("make", "name"), [(lambda: StandardizedUp(4, 4, 2), "weight"), (lambda: DoubledStates(4, 3), "weight_*")]
)
def test_a_named_parameter_of_a_kind_that_is_changed_is_refused(make, name):
    layer = make()
    own, kind = type(layer).__name__, type(layer).__base__
    with pytest.raises(ValueError, match=f"{own} has a forward of its own, .*; take {kind.__name__} itself"):
        Twofold(nn.ModuleList([layer]), layers=f"0.{name}")

    class Named(kind):
        """Only says more."""

    named = Named(4, 3, 2)
    assert Twofold(named, layers=name).layers


# ---- a layer that is exchanged after attaching ----


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, images):
        return self.fc(torch.relu(self.norm(self.conv(images))).mean((2, 3)))


IMAGES = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def exchange(model):
    model.fc = nn.Linear(4, 3)


def remove(model):
    del model.fc


def fuse(model):
    model.eval()
    model.conv = fuse_conv_bn_eval(model.conv, model.norm)
    model.norm = nn.Identity()


def put_into_a_block(model):
    model.fc = nn.Sequential(model.fc)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("change", "name"), [(exchange, "fc"), (remove, "fc"), (fuse, "conv"), (put_into_a_block, "fc")]
)
def test_an_exchanged_layer_is_named_wherever_its_codes_are_asked_for(change, name, finished, tmp_path):
    sparsity = Twofold(Small(), density=0.5)
    if finished or change is fuse:  # torch fuses plain weights only
        sparsity.finish()
    change(sparsity.model)
    for use in (
        sparsity.codes,
        sparsity.status,
        sparsity.finish,
        lambda: twofold.report(sparsity),
        lambda: twofold.save(tmp_path / "net", sparsity),
    ):
        with pytest.raises(ValueError, match=f"layer '{name}' is not in the model any more"):
            use()
    assert not (tmp_path / "net").exists()


def test_a_weight_that_is_parametrized_once_more_is_named():
    sparsity = Twofold(Small(), density=0.5)
    parametrizations.spectral_norm(sparsity.model.fc)
    with pytest.raises(ValueError, match="the weight of layer 'fc' has been parametrized otherwise"):
        sparsity.finish()
    sparsity = Twofold(Small(), density=0.5)
    parametrize.remove_parametrizations(sparsity.model.fc, "weight")
    with pytest.raises(ValueError, match="the weight of layer 'fc' has been parametrized otherwise"):
        sparsity.advance(0.5)
    sparsity = Twofold(Small(), density=0.5)
    sparsity.finish()
    parametrizations.weight_norm(sparsity.model.fc)
    with pytest.raises(ValueError, match="layer 'fc' has no plain weight any more"):
        sparsity.codes()


@pytest.mark.parametrize("method", [prune.l1_unstructured, prune.random_unstructured])
def test_prune_of_a_computed_weight_is_told_of_the_masks_there_are(method):
    sparsity = Twofold(Small(), density=0.5)
    with pytest.raises(ValueError, match="'weight' of layer 'fc' is computed; take mask='magnitude'"):
        method(sparsity.model.fc, "weight", amount=0.5)
    sparsity.finish()
    method(sparsity.model.fc, "weight", amount=0.5)
    assert int((sparsity.model.fc.weight == 0).sum()) >= sparsity.model.fc.weight.numel() // 2


# ---- files ----


def round_trip(path, sparsity, other):
    twofold.save(path, sparsity)
    packed = twofold.load(path, other)
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in packed.rest.items())
    return packed


@pytest.mark.parametrize("finished", [False, True])
def test_parametrizations_of_other_layers_are_part_of_the_rest(finished, tmp_path):
    def make():
        model = Small()
        parametrizations.weight_norm(model.fc)
        return model

    sparsity = Twofold(make(), exclude="fc", density=0.5)
    if finished:
        sparsity.finish()
    other = make()
    round_trip(tmp_path / "net", sparsity, other)
    assert torch.equal(other.eval()(IMAGES), sparsity.model.eval()(IMAGES))


class Versioned(nn.Module):
    """As torchvision's MNASNet: what the first version wrote has another width."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def _load_from_state_dict(self, state, prefix, metadata, *others):
        if metadata.get("version") in (None, 1):
            self.fc = nn.Linear(9, 3)
        super()._load_from_state_dict(state, prefix, metadata, *others)


def test_the_versions_of_modules_travel_along(tmp_path):
    sparsity = Twofold(nn.Sequential(Versioned()), density=0.5)
    other = nn.Sequential(Versioned())
    packed = round_trip(tmp_path / "net", sparsity, other)
    assert other[0].fc.weight.shape == (3, 6)
    assert packed.facts["versions"] == {"0": 2}

    class Older(Versioned):
        _version = 1

    twofold.save(tmp_path / "old", Twofold(nn.Sequential(Older()), density=0.5))
    with pytest.raises(RuntimeError, match="size mismatch"):  # the module itself looks at the version
        twofold.load(tmp_path / "old", nn.Sequential(Versioned()))


@pytest.mark.parametrize(
    ("buffer", "why"),
    [
        (torch.zeros(2, dtype=torch.complex128), "is of the type torch.complex128"),
        (torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8), "is of the type torch.qint8"),
        (torch.eye(2).to_sparse(), "is a sparse tensor"),
        (torch.zeros(2, device="meta"), "is on the meta device"),
    ],
)
def test_buffers_that_no_file_holds_are_named(buffer, why, tmp_path):
    model = Small()
    model.register_buffer("table", buffer)
    with pytest.raises(ValueError, match=f"the state dict holds 'table', which {why}.* cannot be saved"):
        twofold.save(tmp_path / "net", Twofold(model, density=0.5))


def test_a_model_on_the_meta_device_is_refused_with_what_helps(tmp_path):
    sparsity = Twofold(Small(), density=0.5)
    twofold.save(tmp_path / "net", sparsity)
    with torch.device("meta"):
        other = Small()
    with pytest.raises(
        ValueError, match=r"on the meta device \(conv.weight\), .* model.to_empty\(device='cpu'\)"
    ):
        twofold.load(tmp_path / "net", other)
    other = other.to_empty(device="cpu")
    with pytest.raises(TypeError, match=r"model is Twofold\(.*; a torch\.nn\.Module is filled"):
        getattr(twofold.load, "__wrapped__", twofold.load)(tmp_path / "net", sparsity)
    twofold.load(tmp_path / "net", other)
    assert torch.equal(other.eval()(IMAGES), sparsity.model.eval()(IMAGES))


# ---- compiled models ----


@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_model_is_attached_and_saved_by_plain_names(whole, tmp_path):
    model = Small()
    if whole:
        model = torch.compile(model, backend="eager")
    else:
        model.fc = torch.compile(model.fc, backend="eager")
    sparsity = Twofold(model, density={"fc": 0.5, "conv": 0.5})
    assert list(sparsity.layers) == ["conv", "fc"]
    assert int((sparsity.layers["fc"].weight != 0).sum()) <= 6
    other = Small()
    round_trip(tmp_path / "net", sparsity, other)
    sparsity.finish()
    into = torch.compile(Small(), backend="eager")
    round_trip(tmp_path / "net", sparsity, into._orig_mod)
    twofold.load(tmp_path / "net", into)
    for found in (other, into._orig_mod):
        assert torch.equal(found.eval()(IMAGES), sparsity.model.eval()(IMAGES))


# ---- weights that come later ----

TERMS = {"rounded": {}, "energy": {"strength": 60.0}, "planes": {"strength": 0.01, "bit_term": "planes"}}
every_term = pytest.mark.parametrize("term", TERMS)


@pytest.mark.parametrize("strict", [True, False])
@every_term
def test_a_plain_checkpoint_reaches_the_trained_weights(term, strict):
    torch.manual_seed(0)
    theirs = Small()
    late = Twofold(Small(), density=0.5, **TERMS[term])
    early = Twofold(copy.deepcopy(theirs), density=0.5, **TERMS[term])
    told = late.model.load_state_dict(theirs.state_dict(), strict=strict)
    assert not told.unexpected_keys and not told.missing_keys
    for sparsity in (late, early):
        sparsity.advance(1.0)
        sparsity.penalty()
    expected = early.finish()
    for name, layer in late.finish().items():
        assert torch.equal(layer.codes, expected[name].codes) and layer.scale == expected[name].scale
    late.model.load_state_dict(theirs.state_dict())  # and a finished model is a plain one
    assert torch.equal(late.model.fc.weight, theirs.fc.weight)


def test_a_checkpoint_of_another_shape_is_named():
    state = Small().state_dict() | {"fc.weight": torch.zeros(3, 5)}
    with pytest.raises(RuntimeError, match=r"fc.weight is \(3, 5\), the attached weight \(3, 4\)"):
        Twofold(Small(), density=0.5).model.load_state_dict(state)


@pytest.mark.parametrize("precision", [torch.float64, torch.float16])
@pytest.mark.parametrize("scale", ["layer", "channel"])
@pytest.mark.parametrize("term", ["energy", "popcount"])
def test_a_plain_checkpoint_may_be_of_another_precision(term, scale, precision):
    torch.manual_seed(0)
    model, other = Small(), Small()
    sparsity = Twofold(model, density=0.5, scale=scale, bit_term=term, strength=1.0)
    model.load_state_dict({name: value.to(precision) for name, value in other.state_dict().items()})
    assert model(IMAGES).dtype == torch.float32
    for name, place in sparsity.places.items():
        own, kept = other.get_submodule(name).weight, sparsity.codes()[name].keep
        assert place.weight.dtype == torch.float32
        step = own.abs().amax() / 127 + 1e-3 * own.abs().amax()
        assert (((place.weight - own).abs() <= step) | ~kept).all()
    finished = sparsity.finish()
    assert all(
        not isinstance(own.scale, torch.Tensor) or own.scale.dtype == torch.float32
        for own in finished.values()
    )


def test_one_layer_of_another_precision_leaves_the_codes_of_others():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 4))
    sparsity = Twofold(model, bits=12, strength=60.0)
    sparsity.advance(1.0)
    expected = model[0].weight.detach().clone()
    for change in ("half", "float", "bfloat16", "double"):
        getattr(model[1], change)()
        assert torch.equal(model[0].weight, expected), change


@every_term
def test_an_assigned_weight_is_trained_on_and_one_changed_in_place_is_refused(term):
    model = Small()
    sparsity = Twofold(model, density=0.5, **TERMS[term])
    sparsity.advance(0.0)
    sparsity.penalty()
    model.fc.weight = torch.full((3, 4), 0.25)
    assert set(model.fc.weight.flatten().tolist()) == {0.0, 0.25}
    said = r"the weight of layer 'fc' was changed in place .* is lost"
    for use in (lambda: model(IMAGES), sparsity.codes, sparsity.finish):
        for change in (nn.init.zeros_, lambda weight: weight.copy_(torch.zeros(3, 4))):
            with torch.no_grad():
                change(model.fc.weight)
            with pytest.raises(ValueError, match=said):
                use()
    with pytest.raises(ValueError, match=said):
        model.fc.reset_parameters()
    copy.deepcopy(sparsity).finish()
    sparsity.finish()


@pytest.mark.parametrize(
    ("options", "call", "said"),
    [
        ({"strength": 60.0}, "advance", r"strength is 60.0, but advance\(\) was never called"),
        ({"strength": 0.1, "bit_term": "planes"}, "penalty", r"strength is 0.1, but penalty\(\) was never"),
        ({"network_strength": 0.1, "prune_epoch": 1}, "penalty", "network_strength is 0.1, but penalty"),
    ],
)
def test_a_strength_that_never_acted_is_told(options, call, said):
    idle, used = (Twofold(Small(), density=0.5, **options) for _ in range(2))
    used.advance(1.0) if call == "advance" else used.penalty()
    resumed = Twofold(Small(), density=0.5, **options)
    resumed.model.load_state_dict(used.model.state_dict())
    for sparsity in (idle, used, resumed):
        sparsity.prune()
    for use in (idle.codes, lambda: twofold.report(idle), idle.finish):
        with pytest.warns(UserWarning, match=said):
            use()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sparsity in (used, resumed, Twofold(Small(), density=0.5)):
            sparsity.finish()


# ---- what is covered ----


class Conv1D(nn.Module):
    """As transformers has it: a linear layer whose weight is [inputs, outputs]."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / 4)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, inputs):
        return torch.addmm(self.bias, inputs.view(-1, inputs.shape[-1]), self.weight).view(
            *inputs.shape[:-1], self.weight.shape[1]
        )


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin_weight = nn.Parameter(torch.randn(6, 5))

    def forward(self, nodes):
        return torch.relu(nodes @ self.lin_weight)


class Language(nn.Module):
    """A small GPT-2: of what it multiplies by, only its last layer is an nn.Linear."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.places = nn.Parameter(torch.randn(1, 4, 6))
        self.norm = nn.LayerNorm(6)
        self.c_attn, self.c_proj = Conv1D(18, 6), Conv1D(6, 6)
        self.graph = Graph()
        self.head = nn.Linear(5, 2)

    def forward(self, words):
        states = self.words(words) + self.places
        query, key, value = self.c_attn(self.norm(states)).chunk(3, -1)
        states = states + self.c_proj(F.scaled_dot_product_attention(query, key, value))
        return self.head(self.graph(states).mean(1))


WORDS = torch.arange(12).view(3, 4) % 11
MATRICES = {"c_attn.weight": 108, "c_proj.weight": 36, "graph.lin_weight": 30, "head.weight": 10}


def test_what_stays_dense_is_said_when_nobody_asked_for_it():
    with pytest.warns(
        UserWarning, match=r"5.4 % of the weights .*; in float are c_attn.weight \(108\), .*layers"
    ):
        sparsity = Twofold(Language(), density=0.5)
    assert sparsity.coverage.attached == {"head.weight": 10}
    assert sparsity.coverage.left == {name: MATRICES[name] for name in list(MATRICES)[:3]}
    assert sparsity.coverage.share == 10 / 184
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in (
            {"layers": "head"},
            {"density": {"head": 0.5}},
            {"exclude": ["c_attn", Conv1D, "graph.lin_weight"]},
        ):
            assert list(Twofold(Language(), **options).layers) == ["head"]
        Twofold(Small())


def test_what_is_excluded_may_come_from_an_iterator():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(Twofold(Language(), exclude=iter(["c_attn", Conv1D, "graph.lin_weight"])).layers) == [
            "head"
        ]


def test_multiplying_weights_are_counted_once():
    assert multiplying_weights(Language()) == MATRICES
    model = Small()
    parametrizations.weight_norm(model.fc)
    assert multiplying_weights(model) == {"conv.weight": 36, "fc.weight": 12}
    tied = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    tied["b"].weight = tied["a"].weight
    assert multiplying_weights(tied) == {"a.weight": 9}


NAMED = {
    "by name": {"layers": [*list(MATRICES)[:3], "head"], "density": 0.5},
    "by the weight's name": {"layers": list(MATRICES), "density": 0.5},
    "by pattern": {"layers": ["c_*", "*.lin_weight", nn.Linear], "density": 0.5},
    "by type": {"layers": [Conv1D, Graph, nn.Linear], "density": 0.5},
    "by density": {"density": {"c_*.weight": 0.5, "graph": 0.5, "head.weight": 0.5}},
}


@pytest.mark.parametrize("way", NAMED)
def test_parameters_are_chosen_by_name(way):
    sparsity = Twofold(Language(), **NAMED[way])
    names = ["head", "c_attn.weight", "c_proj.weight", "graph.lin_weight"]
    assert sorted(sparsity.layers) == sorted(names)
    assert sparsity.densities == dict.fromkeys(sparsity.layers, 0.5)
    assert sparsity.coverage.share == 1 and str(sparsity.coverage).startswith("100.0 % of")


@pytest.mark.parametrize("options", [{}, {"mask": "magnitude", "group": 2}, TERMS["planes"], {"group": 3}])
def test_named_parameters_are_trained_finished_priced_and_saved(options, tmp_path):
    torch.manual_seed(0)
    model = Language()
    sparsity = Twofold(model, **NAMED["by name"], transposed="graph.lin_weight", **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        sparsity.advance(step / 3)
        loss = model(WORDS).square().mean() + sparsity.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    answer = model(WORDS)
    twofold.save(tmp_path / "training", sparsity)
    names = [name for name, _ in Language().named_parameters()]
    layers = sparsity.finish()
    assert torch.equal(model(WORDS), answer)
    assert [name for name, _ in model.named_parameters()] == names
    # Outputs are columns, whichever way a matrix lies in the model.
    assert {name: (layer.columns, layer.rows) for name, layer in layers.items()} == {
        "head": (2, 5), "c_attn.weight": (18, 6), "c_proj.weight": (6, 6), "graph.lin_weight": (5, 6)
    }  # fmt: skip
    assert torch.equal(model.c_attn.weight != 0, (layers["c_attn.weight"].codes != 0).t())
    assert all(abs(layer.kept / layer.size - 0.5) < 0.1 for layer in layers.values())
    assert twofold.report(sparsity).total.weights == 184
    twofold.save(tmp_path / "finished", sparsity)
    for file in ("training", "finished"):
        other = Language()
        packed = twofold.load(tmp_path / file, other)
        assert torch.equal(other(WORDS), answer)
        assert all(torch.equal(layer.codes, layers[name].codes) for name, layer in packed.layers.items())


def test_the_way_round_is_seen_where_a_module_only_multiplies():
    assert output_dimension(Conv1D(5, 5), "weight") == 1
    assert output_dimension(nn.Linear(5, 5, bias=False), "weight") == 0
    assert output_dimension(Graph(), "lin_weight") is None  # its ReLU may stand for anything
    sparsity = Twofold(
        nn.ModuleDict({"graph": Graph(), "up": nn.ConvTranspose2d(3, 4, 2)}), layers=["graph", "up.*"]
    )
    places = {name: (own.parameter, own.transposed) for name, own in sparsity.places.items()}
    assert places == {"graph.lin_weight": ("lin_weight", False), "up.weight": ("weight", True)}

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3))

        def forward(self, inputs):
            return F.linear(inputs, self.weight)

    with pytest.raises(ValueError, match="transposed names 'weight', but Outer has its output in the first"):
        Twofold(Outer(), layers="weight", transposed="weight")
    with pytest.raises(ValueError, match="transposed names 'head'; the layers are"):
        Twofold(Language(), layers="head", transposed="head")


@pytest.mark.parametrize("name", ["words.weight", "norm.weight", "c_attn.bias", "nothing"])
def test_what_is_no_matrix_is_not_attached(name):
    said = rf"layers names '{name}'; the layers are 'head' \(Linear\); the matrices of other modules are 'c_a"
    with pytest.raises(ValueError, match=said):
        Twofold(Language(), layers=name)


def test_a_model_of_matrices_alone_is_told_their_names():
    with pytest.raises(
        ValueError, match=r"Graph has no .*; name its matrices with layers: 'lin_weight' \(Graph\)"
    ):
        Twofold(Graph())


class Mixed(nn.Module):
    """One of each that multiplies by weights and is no convolution and no linear layer."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(2, 4, 3)
        self.rnn = nn.LSTM(4, 4, num_layers=2, batch_first=True)
        self.cell = nn.GRUCell(4, 4)
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.pair = nn.Bilinear(4, 4, 3)

    def forward(self, sounds):
        states, _ = self.rnn(self.up(sounds).transpose(1, 2))
        states, _ = self.mix(states, states, states)
        return self.pair(states.mean(1), self.cell(states[:, -1], states[:, 0]))


SOUNDS = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(1))
KINDS = {
    "up": (["up.weight"], "weight"),
    "rnn": (
        ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.weight_ih_l1", "rnn.weight_hh_l1"],
        "weight_hh_l0 and",
    ),
    "cell": (["cell.weight_ih", "cell.weight_hh"], "weight_hh and weight_ih"),
    "mix": (["mix.in_proj_weight", "mix.out_proj"], "in_proj_weight"),
    "pair": (["pair.weight"], "weight"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_another_kind_is_refused_and_its_matrices_attached_by_name(kind, tmp_path):
    names, advice = KINDS[kind]
    with pytest.raises(ValueError, match=rf"layer '{kind}': .* name what it multiplies by \({advice}"):
        Twofold(Mixed(), layers=kind)
    torch.manual_seed(0)
    model = Mixed()
    sparsity = Twofold(model, layers=names, density=0.5, strength=60.0)
    assert sorted(sparsity.layers) == sorted(names)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [slot.original.clone() for _, _, slot in _slots(sparsity)]
    for step in range(2):
        sparsity.advance(step / 2)
        loss = model(SOUNDS).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(
        not torch.equal(old, slot.original)
        for old, (_, _, slot) in zip(before, _slots(sparsity), strict=True)
    )
    model.eval()
    answer = model(SOUNDS).detach()
    twin = copy.deepcopy(sparsity)
    twofold.save(tmp_path / "net", sparsity)
    layers = sparsity.finish()
    other = Mixed().eval()
    twofold.load(tmp_path / "net", other)
    for found in (model, twin.model, other):
        torch.testing.assert_close(found(SOUNDS), answer)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in Mixed().named_parameters()]
    assert twofold.report(sparsity).total.kept == sum(layer.kept for layer in layers.values())


def _slots(sparsity):
    for name, place in sparsity.places.items():
        yield name, place, place.module.parametrizations[place.parameter]


# ---- inputs, whatever way a weight is used ----


class Handed(nn.Module):
    """Weights handed to functions, as Swin does, a layer called by keyword, and a head for training alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.narrow = nn.Conv1d(3, 4, 1)
        self.qkv = nn.Linear(4, 12)
        self.graph = nn.Parameter(torch.randn(12, 5))
        self.last = nn.Linear(5, 2)
        self.aux = nn.Linear(5, 2)

    def forward(self, images):
        maps = F.conv2d(images, self.conv.weight, self.conv.bias, stride=2, padding=1).relu()
        states = self.narrow(input=maps.flatten(2)).transpose(1, 2)
        states = F.linear(states, self.qkv.weight, self.qkv.bias) @ self.graph
        answer = self.last(states)
        return answer + self.aux(states) if self.training else answer


class Called(Handed):
    """The same, each weight in the layer that it is made for."""

    def __init__(self):
        super().__init__()
        self.turned = nn.Linear(12, 5, bias=False)

    def forward(self, images):
        states = self.narrow(self.conv(images).relu().flatten(2)).transpose(1, 2)
        return self.last(self.turned(self.qkv(states)))


@pytest.mark.parametrize("attached", [False, True])
def test_inputs_are_measured_however_a_weight_is_used(attached):
    torch.manual_seed(0)
    handed, called = Handed(), Called()
    called.load_state_dict(handed.state_dict(), strict=False)
    with torch.no_grad():
        called.turned.weight.copy_(handed.graph.t())
    names = ["conv", "narrow", "qkv", "last", "aux"]
    theirs = [*names, "turned"]
    if attached:
        Twofold(handed, layers=[*names, "graph"], transposed="graph", density=0.5, mask="magnitude")
        Twofold(called, layers=theirs, density=0.5, mask="magnitude")
    ours = twofold.activation_scales(handed, IMAGES, layers=[*names, "graph"], batch_size=4)
    expected = twofold.activation_scales(called, IMAGES, layers=theirs)
    assert list(expected) == ["conv", "narrow", "qkv", "turned", "last"]
    assert ours.keys() == {*names, "graph"} - {"aux"}  # which runs in training only
    counted = twofold.measure_activity(handed, IMAGES, scales=ours, layers=[*names, "graph"], batch_size=4)
    wanted = twofold.measure_activity(called, IMAGES, scales=expected, layers=theirs)
    for name, activity in wanted.items():
        own = "graph" if name == "turned" else name
        assert ours[own].scale == pytest.approx(expected[name].scale, rel=1e-5)
        assert ours[own].signed == expected[name].signed
        assert counted[own].reads == activity.reads
        torch.testing.assert_close(counted[own].row_ones, activity.row_ones, rtol=0.02, atol=2)
    assert handed.training and torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("first", ["batch", "words"])
def test_inputs_of_attention_and_of_recurrent_layers_are_measured(first):
    torch.manual_seed(0)
    mix, rnn = nn.MultiheadAttention(4, 2, batch_first=first == "batch"), nn.LSTM(4, 3)
    model = nn.ModuleDict({"mix": mix, "rnn": rnn})
    model.forward = lambda words: rnn(mix(words, words, words)[0])[0]
    words = torch.rand(5, 6, 4, generator=torch.Generator().manual_seed(2))
    names = ["mix.in_proj_weight", "mix.out_proj", "rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    scales = twofold.activation_scales(model, words, layers=names)
    assert scales["mix.in_proj_weight"] == (words.max().item(), False)
    found = twofold.measure_activity(model, words, scales=scales, layers=names)
    assert list(found) == names
    assert [(own.reads, len(own.row_ones)) for own in found.values()] == [(30, 4), (30, 4), (30, 4), (30, 3)]
    by_hand = twofold.measure_activity(
        layer := nn.Linear(4, 1), words.flatten(0, 1), scales=twofold.activation_scales(layer, words)
    )
    assert torch.equal(found["mix.in_proj_weight"].row_ones, by_hand[""].row_ones)


def test_a_use_that_has_no_inputs_to_count_is_named():
    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, inputs):
            return F.linear(inputs, self.fc.weight * 2)

    with pytest.raises(ValueError, match=r"layer fc is not called, and its weight is used by aten\.mul\.T"):
        twofold.activation_scales(Changed(), torch.rand(3, 4), layers=["fc"])


class Partly(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, inputs):
        return self.fc(inputs), F.linear(inputs, self.fc.weight[:3])


class Cast(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.randn(4, 4))

    def forward(self, inputs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return torch.relu(inputs @ self.mix)


SEQUENCES = torch.rand(2, 3, 4)
UNCOUNTED = {
    "a part of its weight": (Partly, "fc", (SEQUENCES,)),
    "a part of its weight ": (
        lambda: nn.TransformerDecoderLayer(4, 2, 8),
        "multihead_attn.in_proj_weight",
        (SEQUENCES, SEQUENCES),
    ),
    "its weight in a transposed convolution": (
        lambda: nn.Sequential(nn.ConvTranspose1d(3, 2, 2)),
        "0.weight",
        (SEQUENCES,),
    ),
    "is used by aten._to_copy, .* measure without autocast": (Cast, "mix", (SEQUENCES,)),
}


@pytest.mark.parametrize("why", UNCOUNTED)
def test_a_product_that_shows_no_inputs_is_told_as_what_it_is(why):
    make, name, inputs = UNCOUNTED[why]
    sparsity = Twofold(make(), layers=name, density=0.5)
    with pytest.raises(ValueError, match=f"layer {name} is .*{why.strip()}"):
        twofold.report(sparsity, inputs=(inputs, {}))
    assert twofold.report(sparsity).total.energy_j > 0


def test_inputs_that_are_not_rounded_are_told():
    model = Handed().eval()
    scales = twofold.activation_scales(model, IMAGES)
    with pytest.warns(UserWarning, match="the inputs of conv, qkv were not rounded: no call of these layers"):
        with twofold.quantized_activations(model, scales):
            model(IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with twofold.quantized_activations(model, scales, layers=["narrow", "last"]):
            rounded = model(IMAGES)
        with twofold.quantized_activations(Called(), scales):
            pass
    assert not torch.equal(rounded, model(IMAGES))


@pytest.mark.parametrize("images", [{"words": IMAGES}, (IMAGES, IMAGES), IMAGES.numpy()])
def test_images_that_are_no_tensor_are_refused(images):
    from twofold.inputs.scales import watch_inputs

    plain = getattr(watch_inputs, "__wrapped__", watch_inputs)  # past the tests' own checks of types
    with pytest.raises(TypeError, match=f"images is a {type(images).__name__}; one tensor is needed"):
        plain(Small(), images, 4, lambda *_: None)


# ---- arguments of another kind, as a file or a command line hands them over ----

STRANGE = [
    ({"density": "0.5"}, ValueError, "density is '0.5', a str; it must be a number"),
    ({"density": {"fc": None}}, ValueError, "density is None, a NoneType; it must be a number"),
    ({"density": {nn.Linear(2, 2): 0.5}}, TypeError, r"density names Linear\(.*; allowed are names"),
    ({"strength": "60"}, ValueError, "strength is '60', a str"),
    ({"ramp": None}, ValueError, "ramp is None"),
    ({"clip_ratio": "a"}, ValueError, "clip_ratio is 'a'"),
    ({"seed": 1.5}, ValueError, "seed is 1.5; it must be a whole number"),
    ({"exclude": None}, TypeError, "exclude names None; allowed are names, patterns of names, and layer"),
    ({"layers": 5}, TypeError, "layers names 5; allowed are"),
    ({"layers": [nn.Linear(2, 2)]}, TypeError, r"layers names Linear\(.*; allowed are names"),
    ({"model": None}, TypeError, "model is None; it must be a torch.nn.Module"),
]


@pytest.mark.parametrize(("options", "error", "said"), STRANGE)
def test_arguments_of_another_kind_are_quoted(options, error, said, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # what users see, who run without it
    model = Small()
    with pytest.raises(error, match=said):
        Twofold(**{"model": model} | options)
    assert not any(parametrize.is_parametrized(layer) for layer in model.modules())


def test_choices_may_come_from_a_generator():
    sparsity = Twofold(Small(), exclude=(name for name in ["fc"]))
    assert list(sparsity.layers) == ["conv"]


def test_progress_that_is_no_number_is_quoted(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="progress is 'a', a str; it must be a number"):
        Twofold(Small()).advance("a")


# ---- reports ----


def test_a_report_says_what_share_it_covers_and_what_is_not_used(tmp_path):
    torch.manual_seed(0)
    model = Handed()
    names = ["conv", "narrow", "qkv", "last", "aux"]
    sparsity = Twofold(model, layers=names, density=0.5)
    made = twofold.report(sparsity, images=IMAGES)
    assert "; aux not used in evaluation mode, so without energy" in made.title
    assert (
        "; 64.1 % of the weights that the model multiplies by are attached; in float are graph (60)"
        in made.title
    )
    frame = made.frame.set_index("layer")
    spent = ["cells_j", "sign_j", "adc_j", "energy_j", "conversions", "cycles"]
    assert (frame.loc["aux", spent] == 0).all() and frame.loc["aux", "cells"] > 0
    assert (frame.drop("aux")[spent] > 0).all(axis=None)
    assert made.coverage == sparsity.coverage and made.coverage.share == 107 / 167
    with_baseline = twofold.report(sparsity, images=IMAGES, baseline=Handed()).frame.set_index("layer")
    assert with_baseline.loc["aux", "baseline_j"] == 0 and with_baseline.gain.drop("aux").min() > 0
    twofold.save(tmp_path / "net", sparsity)
    loaded = twofold.report(twofold.load(tmp_path / "net"))
    assert "64.1 % of the weights" in loaded.title and loaded.coverage.left == {"graph": 60}
    assert "%" not in twofold.report(Twofold(Small(), density=0.5)).title


def test_a_report_covers_the_model_as_it_is_when_it_is_made(tmp_path):
    def make(outputs):
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, outputs))

    model = make(1)
    sparsity = Twofold(model, exclude="2", density=0.5)
    assert sparsity.coverage.left == {"2.weight": 5}  # a layer, though of a single output
    model[2] = nn.Linear(5, 40)
    model.append(nn.Linear(40, 2))
    for made in (twofold.report(sparsity), sparsity.finish() and twofold.report(sparsity)):
        assert made.coverage.attached == {"0.weight": 20}
        assert made.coverage.left == {"2.weight": 200, "3.weight": 80}
        assert "6.7 % of the weights that the model multiplies by are attached; in float are" in made.title
    twofold.save(tmp_path / "net", sparsity)
    assert twofold.load(tmp_path / "net").facts["in_float"] == {"2.weight": 200, "3.weight": 80}


def test_what_several_twofolds_compute_is_counted_once_each():
    model = nn.Sequential(*(nn.Linear(6, 6) for _ in range(8)))
    first, second = Twofold(model, layers="0"), Twofold(model, layers=["1", "2", "3", "4"], seed=1)
    assert len(multiplying_weights(model)) == 8
    assert (first.coverage.share, second.coverage.share) == (1 / 8, 4 / 8)


def test_what_another_mask_has_removed_is_told():
    """Without layer 0 the other one is the first, and has the first layer's mask."""
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
    layers = Twofold(model, density=0.5).finish()
    again = Twofold(copy.deepcopy(model), density=0.5).finish()  # the same masks: nothing to tell
    assert all(torch.equal(layers[name].codes, again[name].codes) for name in layers)
    with pytest.warns(UserWarning, match=r"are kept, [45]\d\.\d % of layer '2' are 0 already"):
        Twofold(model, density=0.5, exclude="0")


@pytest.mark.parametrize("mask", ["lfsr", "iid"])
def test_a_second_twofold_has_masks_of_its_own(mask):
    model = nn.Sequential(*(nn.Linear(32, 32) for _ in range(4)))
    Twofold(model, layers="0", density=0.5, mask=mask)
    with pytest.raises(
        ValueError, match=f"seed is 0, and another Twofold on this model has masks of '{mask}'"
    ):
        Twofold(model, layers="1", density=0.5, mask=mask)
    assert not parametrize.is_parametrized(model[1])
    Twofold(model, layers="1", density=0.5, mask=mask, seed=1).finish()
    Twofold(model, layers="1", density=0.5, mask=mask, group=4)
    Twofold(model, layers="2", density=0.5, mask="magnitude")
    Twofold(model, layers="3")  # codes alone


def test_torchscript_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about torch.jit
        traced = torch.jit.trace(nn.Sequential(nn.Linear(4, 4)), torch.rand(2, 4))
    with pytest.raises(
        ValueError, match=r"cannot be attached: it is TorchScript, .* traced or scripted from"
    ):
        Twofold(traced)
    model = nn.Sequential(traced, nn.Linear(4, 4))
    with pytest.raises(ValueError, match=r"layer '0\.0\.weight': it is TorchScript"):
        Twofold(model, layers="0.0.weight")
    assert Twofold(model).coverage.left == {"0.0.weight": 16}


def test_an_attached_model_is_scripted_once_it_is_finished():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    sparsity = Twofold(model, density=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about torch.jit
        with pytest.raises(ValueError, match=r"layer '0' computes its weight .* call finish\(\) first"):
            torch.jit.script(model)
        sparsity.prune()
        sparsity.finish()
        scripted = torch.jit.script(model)
    inputs = torch.rand(3, 4)
    assert torch.equal(scripted(inputs), model(inputs))


def test_a_report_covers_named_parameters_and_sees_which_way_round_they_are():
    torch.manual_seed(0)
    model, dense = Handed(), Handed()
    sparsity = Twofold(model, layers=["graph", "qkv"], transposed="graph", density=0.5)
    frame = twofold.report(sparsity, images=IMAGES, baseline=dense).frame.set_index("layer")
    assert frame["shape"].to_dict() == {"qkv": "12x4", "graph": "5x12"}
    assert (frame.gain > 0).all()
    wrong = Twofold(Handed(), layers=["graph", "qkv"], density=0.5)
    with pytest.raises(ValueError, match=r"layer graph has 12 inputs, .* transposed='graph'"):
        twofold.report(wrong, images=IMAGES)


@pytest.mark.parametrize("turned", [False, True])
def test_a_square_matrix_that_lies_the_other_way_round_is_refused(turned):
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Parameter(torch.randn(4, 4))

        def forward(self, inputs):
            return (inputs @ (self.mix if turned else self.mix.t())).relu()

    for named in (False, True):
        sparsity = Twofold(Square(), layers="mix", transposed="mix" if named else (), density=0.5)
        if named == turned:
            assert twofold.report(sparsity, images=torch.rand(3, 4)).total.energy_j > 0
            continue
        how = "with" if turned else "without"
        with pytest.raises(ValueError, match=f"layer mix has 4 inputs, .* attach it {how} transposed='mix'"):
            twofold.report(sparsity, images=torch.rand(3, 4))


@pytest.mark.parametrize(
    ("shape", "rule", "said"),
    [
        ((8, 2, 4), "bd,dhe->bhe", "has 8 columns, a single dimension of it, and a product has others"),
        ((2, 4, 8), "bd,hed->bhe", "has 2 columns, a single dimension of it, and a product has others"),
        ((8, 8, 1), "bd,deo->beo", "has 8 inputs, .* attach it with transposed='heads'"),
        ((8, 8, 1), "bd,edo->beo", None),
    ],
)
def test_a_weight_of_heads_has_a_price_only_where_its_outputs_are_its_columns(shape, rule, said):
    """As many inputs as outputs, so that only the order in memory tells them apart."""

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.Parameter(torch.randn(shape))

        def forward(self, inputs):
            return torch.einsum(rule, inputs, self.heads).relu()

    sparsity = Twofold(Heads(), layers="heads", density=0.5)
    if said is None:
        assert twofold.report(sparsity, images=torch.rand(3, 8)).total.energy_j > 0
        return
    with pytest.raises(ValueError, match=f"layer heads {said}"):
        twofold.report(sparsity, images=torch.rand(3, 8))


def test_a_matrix_that_is_used_both_ways_round_is_refused():
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Parameter(torch.randn(4, 4))

        def forward(self, inputs):
            return F.linear(inputs, self.mix).relu() @ self.mix

    with pytest.raises(ValueError, match="layer mix is multiplied by both ways round"):
        twofold.report(Twofold(Coder(), layers="mix"), images=torch.rand(3, 4))


def test_a_report_with_images_names_products_that_the_coverage_does_not_know():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.fc = nn.Embedding(9, 4), nn.Linear(4, 4)
            self.register_buffer("table", torch.randn(4, 4))
            self.stack, self.out = nn.Parameter(torch.randn(1, 4, 4)), nn.Linear(4, 4)

        def forward(self, words):
            states = self.out(self.fc(self.words(words.long()))) @ self.table
            return F.linear(torch.bmm(states, self.stack), self.words.weight)

    sparsity = Twofold(Tied(), exclude="out")
    title = twofold.report(sparsity, images=torch.ones(1, 3)).title
    assert "; in float are out.weight (16); multiplied by as well, and neither" in title
    assert title.endswith(" are stack (16), table (16), words.weight (36)")


def test_a_product_past_the_codes_is_named():
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Linear(4, 4)
            self.tied = [self.mix.weight]

        def forward(self, inputs):
            return self.mix(inputs).relu() @ self.tied[0]

    said = "a product takes mix.parametrizations.weight.original, which its weight is computed from"
    with pytest.raises(ValueError, match=f"layer mix is not all that is multiplied by: {said}"):
        twofold.report(Twofold(Coder(), density=0.5), images=torch.rand(3, 4))


def test_experts_without_tokens_spend_nothing():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, tokens):
            found = torch.zeros_like(tokens)
            for index, expert in enumerate(self.experts):
                sent = tokens[:, 0].long() == index
                found[sent] = expert(tokens[sent])
            return found

    tokens = torch.cat([torch.zeros(3, 4), torch.full((2, 4), 2.0)])
    frame = twofold.report(Twofold(Experts(), density=0.5), images=tokens).frame
    assert (frame.cycles > 0).tolist() == [True, False, True]
    with pytest.raises(ValueError, match=r"images is of shape \(0, 4\); its first axis must count"):
        twofold.activation_scales(Experts(), tokens[:0])


def test_a_product_that_only_a_later_batch_makes_is_counted():
    class Seldom(nn.Module):
        def __init__(self):
            super().__init__()
            self.often, self.seldom = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, inputs):
            return F.linear(inputs, self.seldom.weight) if inputs.sum() > 1e3 else self.often(inputs)

    images = torch.ones(129, 4)
    images[128] *= 1e3
    made = twofold.report(Twofold(Seldom(), density=0.5), images=images)
    assert "not used" not in made.title and (made.frame.energy_j > 0).all()


def test_a_report_puts_a_model_back_by_its_own_train():
    """As in LoRA: what is trained beside a weight is merged into it for evaluation."""

    class Merging(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.merged = nn.Linear(4, 4), False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

        def forward(self, inputs):
            return self.fc(inputs)

    model = nn.Sequential(Merging(), Merging(), nn.BatchNorm1d(4))
    model[1].train(False)
    model[2].eval()
    twofold.report(Twofold(model), images=torch.rand(3, 4))
    assert [module.training for module in model] == [True, False, False] and model.training
    assert (model[0].merged, model[1].merged) == (False, True)


def test_a_report_of_no_images_at_all_says_so():
    plain = getattr(twofold.report, "__wrapped__", twofold.report)
    with pytest.raises(TypeError, match="images is a dict; one tensor is needed"):
        plain(Twofold(Small()), images={"images": IMAGES})
    batches = iter([IMAGES])
    with pytest.raises(ValueError, match=r"at its first call, .* none at its second, .*; an iterator in it"):
        twofold.report(Twofold(Small()), inputs=lambda model: [model(batch) for batch in batches])
    with pytest.raises(ValueError, match="uses none of its layers '' in evaluation mode"):
        twofold.report(Twofold(nn.Linear(4, 2)), inputs=lambda model: None)
    heads = Twofold(Handed(), layers="aux")
    with pytest.raises(ValueError, match="the model uses none of its layers aux in evaluation mode"):
        twofold.report(heads, images=IMAGES)


# ---- torch.func, ONNX, and the order of parameters ----


@every_term
def test_torch_func_goes_through_an_attached_model(term):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    sparsity = Twofold(model, density=0.5, **TERMS[term])
    sparsity.advance(1.0)
    parameters = {name: own.detach() for name, own in model.named_parameters()}
    inputs = torch.randn(6, 5)

    def loss(values, batch):
        return functional_call(model, values, (batch,)).square().mean()

    loss(dict(model.named_parameters()), inputs).backward()
    expected = {name: own.grad for name, own in model.named_parameters()}
    found = grad(loss)(parameters, inputs)
    each = vmap(grad(lambda values, one: loss(values, one[None])), (None, 0))(parameters, inputs)
    for name, own in expected.items():
        torch.testing.assert_close(found[name], own)
        torch.testing.assert_close(each[name].mean(0), own)
    tangents = {name: torch.randn_like(own) for name, own in parameters.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own forward mode about torch.jit
        _, along = jvp(lambda values: loss(values, inputs), (parameters,), (tangents,))
    torch.testing.assert_close(along, sum((tangents[name] * own).sum() for name, own in expected.items()))
    two = {name: torch.stack([own, own.roll(1, 0)]) for name, own in parameters.items()}
    both = vmap(loss, (0, None))(two, inputs)
    for index, value in enumerate(both):
        torch.testing.assert_close(value, loss({name: own[index] for name, own in two.items()}, inputs))


@pytest.mark.parametrize("dynamo", [pytest.param(True, marks=pytest.mark.slow), False])
def test_an_attached_model_is_no_network_for_onnx(dynamo, tmp_path):
    model = Small().eval()
    sparsity = Twofold(model, density=0.5)
    with warnings.catch_warnings(), pytest.raises(Exception, match=r"layer 'conv' .* call finish\(\) first"):
        warnings.simplefilter("ignore")  # of the exporters about themselves
        torch.onnx.export(model, (IMAGES,), tmp_path / "net.onnx", dynamo=dynamo, verbose=False)
    sparsity.finish()


@every_term
def test_parameters_keep_their_order(term):
    model = Small()
    names, state = [name for name, _ in model.named_parameters()], list(model.state_dict())
    sparsity = Twofold(model, density=0.5, **TERMS[term])
    sparsity.advance(1.0)
    sparsity.penalty()
    sparsity.finish()
    assert [name for name, _ in model.named_parameters()] == names
    assert list(model.state_dict()) == state
