"""Any network through a packed file and back, and what a file refuses."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import twofold
from twofold import Twofold
from twofold.inputs.activity import Activity, measure_activity
from twofold.inputs.scales import activation_scales
from twofold.storage.format import file_parts


class Own(nn.Module):
    """Nobody's network: depthwise and pointwise, a norm, an embedding tied to nothing, a float last layer."""

    def __init__(self, width=8, extra=False):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, groups=width)
        )
        self.mix = nn.Linear(width, 6)
        self.last = nn.Linear(6, 4)
        if extra:
            self.more = nn.Linear(2, 2)

    def forward(self, images):
        return self.last(torch.relu(self.mix(self.features(images).mean((2, 3)))))


WAYS = {
    "lfsr": {"density": 0.5, "strength": 60.0},
    "iid": {"density": 0.3, "mask": "iid"},
    "magnitude": {"density": 0.3, "mask": "magnitude"},
    "codes only": {},
    "planes": {"density": 0.5, "strength": 0.01, "bit_term": "planes"},
    "12 bits": {"density": {"features": 0.5, "mix": 1.0}, "bits": 12},
    "some": {"density": {"mix": 0.5}},
    "ternary": {"density": 0.5, "bits": 2, "scale": "ternary"},
    "signed rows by rejection": {"density": 0.4, "encoding": "signed_rows", "generator": "rejection"},
    "modulo": {"density": 0.4, "generator": "modulo"},
    "multiply-shift, pairs": {"density": 0.4, "generator": "multiply-shift", "group": 2},
    "column by column": {"density": 0.4, "generator": "column"},
    "column, shared": {"density": 0.4, "generator": "column", "group": 3, "strength": 60.0},
    "a counter": {"density": 0.4, "generator": "counter"},
    "a counter, all share": {"density": 0.4, "generator": "counter", "group": 64},
    "rejection, all share": {"density": 0.4, "group": 64, "encoding": "signed_rows", "strength": 60.0},
    "iid, shared": {"density": 0.4, "mask": "iid", "group": 3},
    "magnitude, shared": {"density": 0.4, "mask": "magnitude", "group": 3},
    "some whole, shared": {"density": {"features": 0.5, "mix": 1.0}, "group": 3},
}
IMAGES = torch.randn(5, 1, 9, 9, generator=torch.Generator().manual_seed(0))


def trained(way, model=None):
    torch.manual_seed(1)
    model = model or Own()
    sparsity = twofold.Twofold(model, exclude_last=True, **WAYS[way])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(3):
        sparsity.advance(step / 3)
        optimizer.zero_grad()
        (model(IMAGES).square().mean() + sparsity.penalty()).backward()
        optimizer.step()
    sparsity.advance(1.0)
    return sparsity


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_network_of_ones_own_comes_back_bit_for_bit(way, finished, tmp_path):
    sparsity = trained(way)
    if finished:
        sparsity.finish()
    twofold.save(tmp_path / "net.safetensors", sparsity)
    other = Own()
    packed = twofold.load(tmp_path / "net.safetensors", other)
    assert torch.equal(other.eval()(IMAGES), sparsity.model.eval()(IMAGES))
    expected = sparsity.codes()
    assert packed.layers.keys() == expected.keys()
    for name, layer in packed.layers.items():
        assert torch.equal(layer.codes, expected[name].codes)
        assert torch.equal(layer.keep, expected[name].keep)
        for fact in ("scale", "bits", "encoding", "generator", "group", "indices", "clocks", "index_bits"):
            assert getattr(layer, fact) == getattr(expected[name], fact)
    assert other.state_dict().keys() == Own().state_dict().keys()
    # Attached and finished once more, nothing changes: every weight is its code already.
    again = {name: layer.codes for name, layer in twofold.load(tmp_path / "net.safetensors").layers.items()}
    assert all(torch.equal(again[name], expected[name].codes) for name in expected)
    told = twofold.report(packed).frame
    assert told.equals(twofold.report(sparsity).frame)
    assert told.set_index("layer").kept.to_dict() == {name: layer.kept for name, layer in expected.items()}


def test_shared_rows_take_a_bit_a_group_in_a_file(tmp_path):
    model = nn.Sequential(nn.Linear(256, 128))
    sparsity = twofold.Twofold(model, density=0.25, mask="iid", group=8)
    twofold.save(tmp_path / "net", sparsity)
    parts = file_parts(tmp_path / "net")
    assert parts["codes"] == 256 * 128 / 4
    assert parts["bitmaps"] == 256 * 16 / 8
    (layer,) = sparsity.codes().values()
    assert layer.index_bits == 256 * 16


def test_only_kept_codes_are_stored(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 128))
    sparsity = twofold.Twofold(model, density=0.25)
    twofold.save(tmp_path / "net", sparsity)
    parts = file_parts(tmp_path / "net")
    assert parts["codes"] == 256 * 128 / 4
    assert parts["bitmaps"] == 0
    assert parts["rest"] == 4 * 128  # the bias


def test_activity_travels_along(tmp_path):
    sparsity = trained("lfsr")
    names = list(sparsity.layers)
    scales = activation_scales(sparsity.model, IMAGES, layers=names)
    activity = measure_activity(sparsity.model, IMAGES, scales=scales, layers=names)
    twofold.save(tmp_path / "net", sparsity, activity=activity)
    packed = twofold.load(tmp_path / "net")
    assert packed.activity.keys() == set(names)
    for name in names:
        assert torch.equal(packed.activity[name].row_ones, activity[name].row_ones)
    joules = [twofold.report(source, activity=activity).total.energy_j for source in (sparsity, packed)]
    assert joules[0] == joules[1] > 0
    with pytest.raises(ValueError, match=r"activity names 'last'; the attached layers are 'features.0', "):
        twofold.save(tmp_path / "net", sparsity, activity={"last": activity["mix"]})


def test_activity_that_does_not_fit_is_not_saved(tmp_path):
    sparsity = trained("lfsr")
    whole = {name: Activity.all_ones(layer.rows) for name, layer in sparsity.codes().items()}
    for change, message in (
        ({"mix": Activity.all_ones(6)}, "activity of 'mix' is of 6 rows; the layer has 8 "),
        (
            {"features.3": Activity.all_ones(9 * 3)},
            "activity of 'features.3' is of 27 rows; the layer has 9 ",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            twofold.save(tmp_path / "net", sparsity, activity=whole | change)
    with pytest.raises(ValueError, match=r"activity lacks 'features.0', 'features.3'; it is needed of every"):
        twofold.save(tmp_path / "net", sparsity, activity={"mix": whole["mix"]})
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_precision_is_filled_in_its_own(dtype, tmp_path):
    sparsity = trained("lfsr")
    twofold.save(tmp_path / "net", sparsity)
    sparsity.finish()
    other = Own().to(dtype)
    twofold.load(tmp_path / "net", other)
    state = sparsity.model.state_dict()
    for name, theirs in other.state_dict().items():
        torch.testing.assert_close(theirs, state[name].to(theirs.dtype), rtol=1e-7, atol=0, msg=name)


def test_tied_tensors_of_the_rest_and_a_lone_layer_are_saved(tmp_path):
    def make():
        model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3), "c": nn.Linear(3, 3)})
        model["b"].weight = model["a"].weight
        return model

    model, other = make(), make()
    twofold.save(tmp_path / "net", twofold.Twofold(model, layers="c", density=0.5))
    twofold.load(tmp_path / "net", other)
    assert torch.equal(other["a"].weight, model["a"].weight)
    assert other["a"].weight is other["b"].weight

    lone, filled = nn.Linear(4, 3), nn.Linear(4, 3)
    twofold.save(tmp_path / "lone", twofold.Twofold(lone, density=0.5))
    assert list(twofold.load(tmp_path / "lone", filled).layers) == [""]
    assert torch.equal(filled.weight, lone.weight)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("way", ["lfsr", "planes"])
def test_a_layer_that_is_used_twice_comes_back(way, finished, tmp_path):
    def make():
        twice = nn.Linear(8, 8)
        return nn.Sequential(twice, nn.ReLU(), nn.Sequential(twice), nn.Linear(8, 3))

    torch.manual_seed(0)
    model, other, inputs = make(), make(), torch.rand(4, 8)
    sparsity = twofold.Twofold(model, **WAYS[way])
    expected = model(inputs)
    if finished:
        sparsity.finish()
    twofold.save(tmp_path / "net", sparsity)
    assert list(twofold.load(tmp_path / "net", other).layers) == ["0", "3"]
    assert torch.equal(other(inputs), expected)
    assert other[2][0].weight is other[0].weight


def test_buffers_that_are_views_are_saved(tmp_path):
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(4, 4)
            self.register_buffer("one", torch.tensor([[0.1, 0.2]])[:, 0])
            self.register_buffer("turned", torch.arange(6.0).view(2, 3).t())
            self.register_buffer("last", torch.arange(6)[5])
            self.register_buffer("none", torch.zeros(3, 4)[:, :0])

    model, other = nn.Sequential(nn.Linear(4, 4), Scaled()), nn.Sequential(nn.Linear(4, 4), Scaled())
    for buffer in other[1].buffers():
        buffer.zero_()
    twofold.save(tmp_path / "net", Twofold(model, layers="0"))
    twofold.load(tmp_path / "net", other)
    found = dict(other[1].named_buffers())
    assert all(torch.equal(found[name], buffer) for name, buffer in model[1].named_buffers())


# ---- what is refused ----


def other_shape():
    return Own(width=6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Own(extra=True),
            "holds a Own that does not fit this Own: the file lacks 'more.weight', 'more.bias'",
        ),
        (
            lambda: nn.Sequential(nn.Linear(2, 2)),
            "not fit this Sequential: the model lacks 'features.0.weight', .*; the file lacks '0.weight'",
        ),
        (other_shape, r"features.0.weight is \(8, 1, 3, 3\) in the file and \(6, 1, 3, 3\) in the model"),
        (lambda: trained("lfsr").model, "the model is attached .* load into a freshly built one"),
    ],
)
def test_a_model_that_does_not_fit_is_left_as_it_was(make, message, tmp_path):
    twofold.save(tmp_path / "net", trained("lfsr"))
    model = make()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        twofold.load(tmp_path / "net", model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_that_ties_what_is_two_in_the_file_is_left_as_it_was(tmp_path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
            self.out.weight = self.words.weight

        def forward(self, words):
            return self.out(self.words(words))

    def untied():
        model = Words()
        model.out.weight = nn.Parameter(model.out.weight.detach().clone())
        return model

    model, inputs, path = untied(), torch.arange(9), tmp_path / "net"
    sparsity = Twofold(model, density=0.5)
    twofold.save(path, sparsity)
    tied = Words()
    before = tied.words.weight.detach().clone()
    with pytest.raises(ValueError, match=r"'words.weight' and 'out.weight' are one tensor in this Words"):
        twofold.load(path, tied)
    assert torch.equal(tied.words.weight, before)
    twofold.load(path, other := untied())
    assert torch.equal(other(inputs), model(inputs))
    # Where both have the same values, nothing is lost.
    sparsity.finish()
    model.words.weight = model.out.weight
    twofold.save(path, sparsity)
    twofold.load(path, tied)
    assert torch.equal(tied(inputs), model(inputs))


def test_what_would_be_lost_is_not_saved(tmp_path):
    path = tmp_path / "net"
    sparsity = twofold.Twofold(Own(), density=0.5, prune_epoch=2)
    with pytest.raises(ValueError, match=r"the masks are not active yet, .*; call prune\(\) first"):
        twofold.save(path, sparsity)
    sparsity.prune()
    sparsity.finish()
    with torch.no_grad():
        sparsity.model.mix.weight[0, 0] += 1
    with pytest.raises(ValueError, match=r"the weight of layer 'mix' was changed after finish\(\)"):
        twofold.save(path, sparsity)
    assert not path.exists()


@pytest.mark.parametrize("finished", [True, False])
def test_a_state_dict_of_other_names_is_not_saved(finished, tmp_path):
    def make():
        return nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.Linear(8, 3))

    model, inputs = make(), torch.rand(4, 8)
    model[0] = checkpoint_wrapper(model[0])
    sparsity = twofold.Twofold(model, density=0.5)
    state, expected = model.state_dict(), model(inputs)
    if finished:
        sparsity.finish()
    with pytest.raises(
        ValueError, match=r"no '0\..*0\.weight', the weight of layer '0\..*: a hook renames it"
    ):
        twofold.save(tmp_path / "net", sparsity)
    assert not (tmp_path / "net").exists()
    # What the message says helps.
    helped = twofold.Twofold(make(), density=0.5)
    helped.model.load_state_dict(state)
    twofold.save(tmp_path / "net", helped)
    twofold.load(tmp_path / "net", other := make())
    assert torch.equal(other(inputs), expected)


def test_a_state_that_is_no_tensor_is_named(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"calls": 3}

        def set_extra_state(self, state):
            pass

    with pytest.raises(
        ValueError, match=re.escape("the state dict holds '1._extra_state', which is no tensor")
    ):
        twofold.save(tmp_path / "net", twofold.Twofold(nn.Sequential(nn.Linear(3, 3), Odd(3, 3))))


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        twofold.load(tmp_path / "nowhere", Own())
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        twofold.load(tmp_path / "text", Own())


def test_what_a_second_twofold_still_computes_is_not_saved(tmp_path):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    first, second = Twofold(model, layers="0", bits=4), Twofold(model, layers="2", bits=8)
    first.finish()
    with pytest.raises(ValueError, match=r"'2\.parametrizations.*another Twofold computes"):
        twofold.save(tmp_path / "a.safetensors", first)
    second.finish()
    twofold.save(tmp_path / "a.safetensors", first)
    again = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    twofold.load(tmp_path / "a.safetensors", again)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())


def test_a_folder_is_no_network(tmp_path):
    with pytest.raises(ValueError, match="is a folder, no safetensors file"):
        twofold.load(tmp_path)
