"""Which layers become sparse: choices and densities by name, pattern and type, and what is refused."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

import twofold
from twofold.masks.generator import LAYERS_PER_RUN, layer_generator
from twofold.sparsity.choose import check_layers, choose_densities, choose_layers
from twofold.sparsity.twofold import Twofold


class Blocks(nn.Module):
    """Names with dots, one layer of each kind that can be attached, grouped ones, and layers that stay."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.features = nn.Sequential(
            nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1, groups=2)
        )
        self.sound = nn.Conv1d(2, 4, 5)
        self.volume = nn.Conv3d(1, 2, 3)
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.ModuleDict({"fc1": nn.Linear(6, 5), "fc2": nn.Linear(5, 2)})


ALL = ["stem", "features.0", "features.3", "sound", "volume", "head.fc1", "head.fc2"]


# ---- what is chosen ----


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({}, ALL),
        ({"layers": nn.Linear}, ["head.fc1", "head.fc2"]),
        ({"layers": "head"}, ["head.fc1", "head.fc2"]),
        ({"layers": "head.fc2"}, ["head.fc2"]),
        ({"layers": ["sound", nn.Conv3d]}, ["sound", "volume"]),
        ({"layers": (nn.Conv2d, "*.fc?"), "exclude": "stem"}, ["features.0", "features.3", *ALL[-2:]]),
        ({"layers": "s*"}, ["stem", "sound"]),
        ({"exclude": ["features", nn.Linear]}, ["stem", "sound", "volume"]),
        ({"exclude_first": True}, ALL[1:]),
        ({"exclude_last": True}, ALL[:-1]),
        ({"exclude_first": True, "exclude_last": True}, ALL[1:-1]),
        # First and last of the model, not of what was chosen.
        ({"layers": nn.Conv2d, "exclude_last": True}, ALL[:3]),
    ],
)
def test_layers_are_chosen_by_name_pattern_and_type(choice, names):
    assert list(choose_layers(Blocks(), **choice)) == names


@pytest.mark.parametrize(
    ("density", "found"),
    [
        (0.5, dict.fromkeys(ALL, 0.5)),
        ({"*": 0.5}, dict.fromkeys(ALL, 0.5)),
        ({"stem": 1.0}, {"stem": 1.0}),
        ({"features": 0.1, "stem": 0.2}, {"stem": 0.2, "features.0": 0.1, "features.3": 0.1}),
        ({nn.Linear: 0.1, nn.Conv2d: 0.2}, {**dict.fromkeys(ALL[:3], 0.2), **dict.fromkeys(ALL[-2:], 0.1)}),
        # An exact name first, wherever it stands; then the first that fits.
        ({"*": 0.5, "stem": 0.2}, {**dict.fromkeys(ALL, 0.5), "stem": 0.2}),
        ({"head.*": 0.3, "*fc1": 0.4}, {"head.fc1": 0.3, "head.fc2": 0.3}),
    ],
)
def test_densities_are_given_by_name_pattern_and_type(density, found):
    assert choose_densities(choose_layers(Blocks()), density) == found


def test_a_mapping_leaves_the_layers_it_does_not_name_alone():
    model = Blocks()
    before = copy.deepcopy(model.state_dict())
    sparsity = Twofold(model, density={"features": 0.5, "head.fc1": 1.0})
    assert list(sparsity.layers) == list(sparsity.densities) == ["features.0", "features.3", "head.fc1"]
    assert sparsity.generators == {
        "features.0": layer_generator("rejection", (8, 1, 3, 3), layer=0),
        "features.3": layer_generator("rejection", (6, 4, 1, 1), layer=1),
        "head.fc1": None,
    }
    for name, tensor in model.state_dict().items():
        if name in before:
            assert torch.equal(tensor, before[name])
    for name in set(ALL) - set(sparsity.layers):
        layer = model.get_submodule(name)
        assert type(layer) in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
        assert torch.equal(layer.weight, before[f"{name}.weight"])


# ---- what is refused ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "conv9"}, r"layers names 'conv9'; the layers are 'stem' \(Conv2d\), 'features.0' "),
        ({"layers": ["stem", "fc*"]}, r"layers names 'fc\*'; the layers are "),
        ({"exclude": nn.ConvTranspose2d}, "exclude names ConvTranspose2d; the layers are "),
        ({"density": {"stem": 0.5, "headfc1": 0.5}}, "density names 'headfc1'; the layers are 'stem'"),
        ({"layers": "head", "density": {"stem": 0.5}}, r"density names 'stem'; the layers are 'head.fc1' \("),
        ({"layers": "head", "exclude": nn.Linear}, "no layer is left to attach to; the layers are 'stem'"),
        ({"density": {}}, "density names no layer; the layers are 'stem'"),
    ],
)
def test_choices_that_fit_nothing_are_quoted_and_the_layers_listed(options, message):
    with pytest.raises(ValueError, match=message):
        Twofold(Blocks(), **options)


def test_a_name_may_hold_what_a_pattern_reads_otherwise():
    model = nn.ModuleDict({"a[0]": nn.ModuleDict({"fc": nn.Linear(4, 4)}), "b": nn.Linear(4, 4)})
    assert list(choose_layers(model, "a[0]")) == list(choose_layers(model, exclude="b")) == ["a[0].fc"]
    assert list(choose_layers(model, "[ab]")) == ["b"]
    assert Twofold(model, density={"a[0]": 0.5}).densities == {"a[0].fc": 0.5}


@pytest.mark.parametrize("what", ["layers", "exclude"])
def test_the_second_name_of_a_module_is_told_its_first(what):
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    for name, first in {"1": "0", "1.0": "0.0"}.items():
        with pytest.raises(
            ValueError, match=f"{what} names '{name}', which is the same module as '{first}'; name"
        ):
            Twofold(nn.Sequential(block, block, nn.Linear(4, 2)), **{what: name})


def test_a_model_without_layers_lists_none():
    with pytest.raises(ValueError, match=r"layers names 'fc'; the layers are none$"):
        Twofold(nn.ReLU(), layers="fc")


def tied():
    model = nn.ModuleDict({"embed": nn.Embedding(7, 5), "body": nn.Linear(5, 5), "out": nn.Linear(5, 7)})
    model["out"].weight = model["embed"].weight
    return model


def with_weight(weight):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[1]._parameters["weight"] = weight
    return model


def plain(change=None):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    if change is not None:
        change(model[1])
    return model


def nothing(_layer):
    pass


FROZEN = dict(requires_grad=False)
REFUSED = {
    "tied": (tied, r"'out': embed.weight and out.weight are one tensor \(tied weights\); give each a copy"),
    "transposed": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 3)),
        r"'1': ConvTranspose2d is not among what can be attached \(Conv1d, Conv2d, Conv3d, Linear\)",
    ),
    "recurrent": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4)), "'1': LSTM is not among"),
    "attention": (
        lambda: nn.ModuleDict({"fc": nn.Linear(3, 4), "mix": nn.MultiheadAttention(4, 2)}),
        "'mix': MultiheadAttention is not among",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.LazyLinear(2)),
        r"'1': its weight has no shape yet \(a lazy layer\); run one batch",
    ),
    "complex": (
        lambda: with_weight(nn.Parameter(torch.ones(2, 3, dtype=torch.complex64))),
        "'1': its weight is torch.complex64, allowed are float32 and float64; make it two layers",
    ),
    "integer": (
        lambda: with_weight(nn.Parameter(torch.ones(2, 3, dtype=torch.int8), **FROZEN)),
        "'1': its weight is torch.int8, allowed are float32 and float64; start from the model before",
    ),
    "half": (
        lambda: plain(nn.Module.half),
        "'1': its weight is torch.float16, allowed are float32 and float64; keep the model in float32 and",
    ),
    "meta": (lambda: plain(lambda layer: layer.to("meta")), "'1': its weight is on the meta device"),
    "sparse": (
        lambda: with_weight(nn.Parameter(torch.eye(2, 3).to_sparse())),
        r"'1': its weight is a sparse tensor \(torch.sparse_coo\); convert it with to_dense",
    ),
    "empty": (
        lambda: with_weight(nn.Parameter(torch.ones(0, 3))),
        r"'1': its weight of shape \(0, 3\) is empty",
    ),
    "weight_norm": (
        lambda: plain(parametrizations.weight_norm),
        r"'1': its weight is parametrized already \(_WeightNorm\)",
    ),
    "old weight_norm": (
        lambda: plain(lambda layer: _quietly(weight_norm, layer)),
        "'1': its weight is no parameter: prune or weight_norm, say, computes it; remove that first",
    ),
    "pruned": (
        lambda: plain(lambda layer: prune.random_unstructured(layer, "weight", 0.5)),
        "'1': its weight is no parameter: prune",
    ),
    "not finite": (
        lambda: with_weight(nn.Parameter(torch.tensor([[1.0, torch.nan, torch.inf]]))),
        "'1': 2 of 3 weights are NaN or infinite",
    ),
    "too large": (
        # 2^32 weights that share one float: no memory is needed to be too large.
        lambda: with_weight(nn.Parameter(torch.zeros(1, 1).expand(2**16, 2**16))),
        "'1': it has 4294967296 weights, allowed are 268435456 or fewer; make it several layers",
    ),
}


def _quietly(change, layer):
    with pytest.warns(FutureWarning, match="weight_norm"):
        change(layer)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_attached_is_refused_by_name_and_left_as_it_was(case):
    make, message = REFUSED[case]
    model = make()
    classes = {name: type(module) for name, module in model.named_modules()}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with pytest.raises(ValueError, match=f"layer {message}"):
        Twofold(model, density=0.5)
    assert {name: type(module) for name, module in model.named_modules()} == classes
    after = dict(model.named_parameters(remove_duplicate=False))
    assert after.keys() == parameters.keys()
    assert all(after[name] is parameters[name] for name in after)


@pytest.mark.parametrize(
    "case", ["tied", "transposed", "recurrent", "attention", "lazy", "half", "weight_norm"]
)
def test_its_advice_works(case):
    """Left out by the name that the message gives, or not named in the first place, it is in nobody's way."""
    make, message = REFUSED[case]
    name = message.split("'")[1]
    assert list(Twofold(make(), exclude=name).layers)
    others = [n for n in choose_layers(make()) if n != name]
    assert list(Twofold(make(), layers=others[:1], density=0.5).layers) == others[:1]
    assert list(Twofold(make(), density={others[0]: 0.5}).layers) == others[:1]


def test_attention_in_float_has_its_other_layers_attached():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, batch_first=True)
    # By name: what is excluded with the type takes its out_proj along.
    sparsity = Twofold(model, layers=["self_attn.out_proj", "linear*"], density=0.5)
    assert list(sparsity.layers) == ["self_attn.out_proj", "linear1", "linear2"]
    words = torch.randn(3, 5, 8)
    with torch.no_grad():
        answer = model.eval()(words)  # by torch's fast path, which reads the weights itself
    model.train()(words).sum().backward()
    assert model.linear1.parametrizations.weight.original.grad is not None
    sparsity.finish()
    torch.testing.assert_close(model.eval()(words), answer)


def test_a_model_without_layers_is_refused_by_its_type():
    with pytest.raises(ValueError, match="Sequential has no convolution and no linear layer"):
        Twofold(nn.Sequential(nn.ReLU(), nn.Embedding(3, 3)))


def test_more_layers_than_seeds_are_refused_where_seeds_are_needed():
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(LAYERS_PER_RUN + 1)))
    with pytest.raises(ValueError, match="1441 layers are to be attached, and a run has seeds for 1440; "):
        check_layers(model, choose_layers(model), generator="rejection")
    check_layers(model, choose_layers(model), generator=None)
    check_layers(model, choose_layers(model, exclude_first=True), generator="multiply-shift")


# ---- what is allowed although it looks odd ----


def test_one_layer_used_twice_is_one_layer():
    shared = nn.Linear(4, 4)
    sparsity = Twofold(nn.Sequential(shared, nn.ReLU(), shared), density=0.5)
    assert list(sparsity.layers) == ["0"]


def test_the_model_itself_may_be_the_layer():
    model = nn.Linear(6, 4)
    expected = model.weight.detach().clone()
    sparsity = Twofold(model, density=0.5)
    assert list(sparsity.layers) == [""]
    keep = sparsity.finish()[""].keep
    assert torch.equal(model.weight != 0, keep & (expected.abs() > model.weight.abs().max() / 254))


def test_frozen_weights_are_coded_and_stay_frozen():
    for options in ({}, {"strength": 0.1, "bit_term": "planes"}):
        model = plain(lambda layer: layer.requires_grad_(False))
        sparsity = Twofold(model, density=0.5, **options)
        model(torch.ones(1, 4)).sum().backward()
        frozen = model[1].parametrizations.weight.original
        assert frozen.grad is None and not frozen.requires_grad
        assert model[0].parametrizations.weight.original.grad is not None
        sparsity.finish()
        assert [p.requires_grad for p in model.parameters()] == [True, True, False, False]


@pytest.mark.parametrize("options", [{}, {"strength": 0.1, "bit_term": "planes"}])
def test_a_gradient_from_before_does_not_stand_in_the_way(options):
    model = plain()
    model(torch.ones(1, 4)).sum().backward()
    Twofold(model, density=0.5, **options)
    model(torch.ones(1, 4)).sum().backward()


def test_the_name_is_at_the_top():
    assert twofold.Twofold is Twofold
    assert "Twofold" in dir(twofold)
    with pytest.raises(AttributeError, match=r"module 'twofold' has no attribute 'Twofol'; it has .*Twofold"):
        _ = twofold.Twofol


def test_attached_classes_are_torchs_own():
    model = Blocks()
    Twofold(model)
    assert sum(parametrize.is_parametrized(layer) for layer in model.modules()) == len(ALL)


def test_importing_the_package_does_not_import_torch():
    program = "import sys, twofold; dir(twofold); assert 'torch' not in sys.modules, 'torch is there'"
    subprocess.run([sys.executable, "-c", program], check=True)
