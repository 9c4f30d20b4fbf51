"""Attached to a model in a loop of the reader's own: beside everything that such loops do."""

import copy
import io
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel

import twofold
from twofold import Twofold
from twofold.masks.generator import layer_generator

pytestmark = pytest.mark.usefixtures("one_thread")

WAYS = {
    "energy": {"density": 0.5, "strength": 60.0},
    "network term": {"density": 0.5, "network_strength": 0.01, "prune_epoch": 1},
    "planes": {"density": 0.5, "strength": 0.01, "bit_term": "planes"},
    "magnitude": {"density": 0.5, "mask": "magnitude", "prune_epoch": 1, "strength": 60.0},
    "ternary": {"density": 0.5, "bits": 2, "scale": "ternary"},
}
every_way = pytest.mark.parametrize("way", WAYS)
LABELS = torch.arange(12) % 4


def network(seed=0):
    """Grouped, depthwise, one-dimensional and plain, without batch norm: losses of parts add up."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, groups=2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Flatten(2),
        nn.Conv1d(6, 5, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(35, 4),
    )


def images(seed=0, n=12):
    return torch.randn(n, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


class Loop:
    """Ten lines that a reader might write."""

    def __init__(self, way, seed=0):
        self.sparsity = Twofold(network(seed), **WAYS[way])
        self.model = self.sparsity.model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)

    def loss(self, forward=None, batch=None, labels=LABELS):
        batch = images() if batch is None else batch
        return F.cross_entropy((forward or self.model)(batch).float(), labels) + self.sparsity.penalty()

    def run(self, first, last, steps=8, **options):
        for step in range(first, last):
            self.sparsity.advance(step / steps)
            if step == steps // 2 and not self.sparsity.pruned:
                self.sparsity.prune()
            self.optimizer.zero_grad()
            self.loss(batch=images(step), **options).backward()
            self.optimizer.step()
        return self


def assert_equal_codes(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, layer in ours.items():
        assert torch.equal(layer.codes, theirs[name].codes), name
        assert torch.equal(layer.keep, theirs[name].keep), name
        assert layer.scale == theirs[name].scale


# ---- gradients ----


@every_way
def test_accumulated_gradients_are_those_of_the_whole_batch(way):
    whole, parts = Loop(way), Loop(way)
    for loop in (whole, parts):
        loop.sparsity.advance(0.5)
    whole.loss().backward()
    for batch, labels in zip(images().split(3), LABELS.split(3), strict=True):
        (parts.loss(batch=batch, labels=labels) / 4).backward()
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


# ---- codes are chosen together when a pass begins ----


@every_way
def test_layers_that_are_called_one_by_one_learn_the_same(way):
    whole, apart = Loop(way), Loop(way)

    def one_by_one(batch):
        for layer in apart.model:
            batch = layer(batch)
        return batch

    whole.run(0, 8)
    apart.run(0, 8, forward=one_by_one)
    assert_equal_codes(whole.sparsity.codes(), apart.sparsity.codes())


class Restless(nn.Sequential):
    """Changes its last weight in the middle of a pass."""

    def forward(self, inputs):
        with torch.no_grad():
            self[1].parametrizations.weight.original.mul_(-2)
        return super().forward(inputs)


def test_a_weight_that_changes_during_a_pass_is_coded_anew():
    model = Restless(nn.Linear(6, 5), nn.Linear(5, 4))
    sparsity = Twofold(model, density=0.5, strength=60.0)
    sparsity.advance(1.0)
    inputs = torch.randn(3, 6)
    outputs = model(inputs)
    assert torch.equal(outputs, model[1](model[0](inputs)))
    sparsity.advance(0.0)  # plain rounding
    assert not torch.equal(outputs, model[1](model[0](inputs)))


def test_a_model_is_left_without_hooks_when_its_last_layers_are_plain():
    model = network()
    first, second = (Twofold(model, layers=name, density=0.5, seed=i) for i, name in enumerate(("0", "7")))
    assert len(model._forward_pre_hooks) == 1
    first.finish()
    assert len(model._forward_pre_hooks) == 1
    second.finish()
    assert not model._forward_pre_hooks


# ---- mixed precision ----


@every_way
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_with_the_very_codes(way, dtype):
    loop = Loop(way).run(0, 3)
    plain = {name: layer.weight.detach().clone() for name, layer in loop.sparsity.layers.items()}
    with torch.autocast("cpu", dtype):
        assert loop.model(images()).dtype == dtype
        for name, layer in loop.sparsity.layers.items():
            assert layer.weight.dtype == torch.float32
            assert torch.equal(layer.weight, plain[name])
        loss = loop.loss()
    loss.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in loop.model.parameters())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@every_way
def test_a_gradient_scaler_changes_nothing(way, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    loops = [Loop(way) for _ in range(2)]
    scaler = torch.amp.GradScaler(device, init_scale=2.0**10)
    for loop in loops:
        loop.model.to(device)
        batch, labels = images().to(device), LABELS.to(device)
        with torch.autocast(device, torch.bfloat16):
            loss = loop.loss(batch=batch, labels=labels)
        if loop is loops[0]:
            scaler.scale(loss).backward()
            scaler.step(loop.optimizer)
            scaler.update()
        else:
            loss.backward()
            loop.optimizer.step()
    for ours, theirs in zip(*(loop.model.parameters() for loop in loops), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


# ---- torch.compile ----


def compiled_loops(_rank):
    """In a process of its own: the types that these tests check are what the compiler cannot follow."""
    torch.set_num_threads(1)
    for way in WAYS:
        torch._dynamo.reset()
        loop = Loop(way)
        counter = CompileCounterWithBackend("aot_eager")
        forward = torch.compile(loop.model, backend=counter, fullgraph=True, dynamic=False)
        graphs = []
        for step in range(16):
            loop.sparsity.advance(step / 16)
            if step == 12 and not loop.sparsity.pruned:
                loop.sparsity.prune()
            assert torch.equal(forward(images(step)), loop.model(images(step))), (way, step)
            graphs.append(counter.frame_count)
        # One graph, a second once the strength has left 0, a third once the masks are hard: no more.
        assert graphs[0] == 1 and graphs[1] == graphs[11] <= 2 and graphs[12] == graphs[15] <= 3, (
            way,
            graphs,
        )
        compiled, eager = Loop(way), Loop(way)
        compiled.run(0, 8, forward=torch.compile(compiled.model, backend="aot_eager"))
        assert_equal_codes(compiled.sparsity.codes(), eager.run(0, 8).sparsity.codes())


@pytest.mark.slow
def test_a_compiled_model_is_one_graph_and_not_made_anew_at_each_strength():
    torch.multiprocessing.spawn(compiled_loops, nprocs=1)


# ---- saving in the middle, and copies ----


@every_way
@pytest.mark.parametrize("stop", [1, 6])  # before the masks are hard, and after
def test_a_training_that_was_stopped_goes_on_bit_for_bit(way, stop):
    unbroken = Loop(way).run(0, 8)
    broken = Loop(way).run(0, stop)
    file = io.BytesIO()
    torch.save({"model": broken.model.state_dict(), "optimizer": broken.optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file)
    fresh = Loop(way, seed=1)
    fresh.model.load_state_dict(state["model"])
    fresh.optimizer.load_state_dict(state["optimizer"])
    assert fresh.sparsity.pruned == broken.sparsity.pruned
    assert_equal_codes(fresh.sparsity.codes(), broken.sparsity.codes())  # at the strength that was reached
    fresh.run(stop, 8)
    for name, tensor in fresh.model.state_dict().items():
        assert torch.equal(tensor, unbroken.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "other", [{"density": 0.4}, {"density": 0.5, "seed": 1}, {"density": 0.5, "bits": 7}]
)
def test_the_state_of_another_mask_is_refused(other):
    state = Twofold(network(), density=0.5).model.state_dict()
    with pytest.raises(
        ValueError, match=r"the state was saved with 8 bits and a mask of checksum .* attach with"
    ):
        Twofold(network(), **other).model.load_state_dict(state)
    Twofold(network(1), density=0.5).model.load_state_dict(state)


SAVED = {"density": 0.5, "strength": 60.0, "scale": "channel", "clip_ratio": 0.5}


@pytest.mark.parametrize(
    "other, said",
    [
        (
            {"scale": "layer"},
            "scale 'channel' and clip_ratio 0.5, here are 'layer' and 0.5; attach with the same",
        ),
        ({"clip_ratio": 1.0}, "scale 'channel' and clip_ratio 0.5, here are 'channel' and 1; attach"),
        (
            {"encoding": "sign_magnitude"},
            "codes chosen at strength 60, by prices .* attach with the same bit_term",
        ),
        ({"bit_term": "counts"}, "codes chosen at strength 60, by prices that are others here, or none"),
        ({"strength": 0.0}, "codes chosen at strength 60, by prices that are others here, or none"),
    ],
)
def test_the_state_of_other_codes_is_refused(other, said):
    saved = Twofold(network(), **SAVED)
    saved.advance(1.0)
    with pytest.raises(ValueError, match=f"the state of layer '0' was saved with {said}"):
        Twofold(network(), **SAVED | other).model.load_state_dict(saved.model.state_dict())


def test_a_state_of_no_strength_yet_goes_on_with_any_prices():
    rounded = Twofold(network(), density=0.5)
    goes_on = Twofold(network(1), density=0.5, strength=60.0, encoding="sign_magnitude")
    goes_on.model.load_state_dict(rounded.model.state_dict())
    assert torch.equal(goes_on.model(images()), rounded.model(images()))


def test_states_of_the_first_version_are_read():
    sparsity = Twofold(network(), density=0.5, prune_epoch=1)
    state = {
        name: torch.tensor(True) if name.endswith("_extra_state") else tensor
        for name, tensor in sparsity.model.state_dict().items()
    }
    sparsity.model.load_state_dict(state)
    assert sparsity.pruned


def test_states_that_end_before_the_kind_of_codes_are_read():
    sparsity = Twofold(network(), density=0.5, strength=60.0)
    sparsity.advance(0.25)
    state = {
        name: tensor[:4] if name.endswith("_extra_state") else tensor
        for name, tensor in sparsity.model.state_dict().items()
    }
    other = Twofold(network(1), density=0.5, strength=60.0)
    other.model.load_state_dict(state)
    assert other.chooser.strength == 30.0


@every_way
def test_copies_outlive_what_they_were_copied_from(way):
    loop = Loop(way).run(0, 3)
    copied, model_alone = copy.deepcopy(loop.sparsity), copy.deepcopy(loop.model)
    average = AveragedModel(loop.model)
    expected = loop.model(images()).detach()
    loop.run(3, 8)
    loop.sparsity.finish()
    for model in (copied.model, model_alone, average.module):
        assert torch.equal(model(images()), expected)
    copied.advance(1.0)
    copied.prune()
    codes = copied.finish()
    assert torch.equal(model_alone(images()), expected)
    assert loop.sparsity.codes().keys() == codes.keys()


def test_an_average_of_the_weights_is_a_copy_that_is_advanced_as_well():
    loop = Loop("energy")
    mean = copy.deepcopy(loop.sparsity)
    for step in range(8):
        loop.run(step, step + 1)
        mean.advance(step / 8)
        with torch.no_grad():
            for ours, theirs in zip(mean.model.parameters(), loop.model.parameters(), strict=True):
                ours.lerp_(theirs, 0.3)
    codes, newest = mean.finish(), loop.sparsity.finish()
    assert any(not torch.equal(layer.codes, newest[name].codes) for name, layer in codes.items())
    for name, layer in codes.items():
        assert torch.equal(layer.keep, newest[name].keep)
        assert bool((layer.codes[~layer.keep] == 0).all())


# ---- devices, precisions, layouts ----


@every_way
def test_double_precision_and_back(way):
    double, single = Loop(way), Loop(way)
    double.model.double()
    attached_double = Twofold(network().double(), **WAYS[way])
    for sparsity in (double.sparsity, attached_double, single.sparsity):
        sparsity.advance(0.4)
    assert double.model(images().double()).dtype == torch.float64
    assert_close_codes = [s.codes() for s in (double.sparsity, attached_double, single.sparsity)]
    for name in single.sparsity.layers:
        codes = [found[name].codes for found in assert_close_codes]
        assert torch.equal(codes[0], codes[1])
        assert (codes[0] != codes[2]).double().mean() < 0.01  # a float32 on the border of two codes
    double.model.float()
    assert_equal_codes(double.sparsity.codes(), single.sparsity.codes())


@every_way
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_refused_and_finished_ones_allowed(way, dtype):
    loop = Loop(way)
    loop.model.to(dtype)
    with pytest.raises(
        ValueError, match=f"the weights are {dtype}, their codes need float32 or float64; keep"
    ):
        loop.model(images().to(dtype))
    with pytest.raises(ValueError, match=r"use torch\.autocast for speed"):
        loop.sparsity.codes()
    finished = Loop(way)
    finished.sparsity.prune()
    finished.sparsity.finish()
    assert finished.model.to(dtype)(images().to(dtype)).dtype == dtype


@every_way
@pytest.mark.parametrize("when", ["before", "after"])
def test_channels_last_is_only_a_layout(way, when):
    loops = [Loop(way), Loop(way)]
    if when == "before":
        loops[0].sparsity = Twofold(network().to(memory_format=torch.channels_last), **WAYS[way])
        loops[0].model = loops[0].sparsity.model
    else:
        loops[0].model.to(memory_format=torch.channels_last)
    for loop in loops:
        loop.sparsity.advance(0.4)
    assert_equal_codes(*(loop.sparsity.codes() for loop in loops))
    answers = [loop.model(images()) for loop in loops]
    torch.testing.assert_close(*answers)


# ---- misuse ----


@pytest.mark.parametrize("progress", [-0.1, 1.5, 3.0, float("nan")])
def test_progress_is_a_share(progress):
    with pytest.raises(ValueError, match=rf"progress is {progress}; it is the share of the training"):
        Loop("energy").sparsity.advance(progress)


@every_way
@pytest.mark.parametrize("kind", [torch.Tensor, nn.Parameter])
def test_functional_call_does_not_put_codes_in_place_of_trained_weights(way, kind):
    model = Loop(way).model
    before = copy.deepcopy(model.state_dict())

    def loss(weight):
        return functional_call(model, {"7.bias": torch.zeros(4), "7.weight": weight}, (images(),)).sum()

    said = r"computed weight of layer '7'; name .* '7\.parametrizations\.weight\.original'"
    for call in (loss, grad(loss)):
        with pytest.raises(ValueError, match=said):
            call(kind(torch.ones(4, 35)))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@every_way
def test_a_parameter_is_assigned_as_a_tensor_is(way):
    ours, theirs = Loop(way), Loop(way)
    ours.model[7].weight = nn.Parameter(torch.eye(4, 35))
    theirs.model[7].weight = torch.eye(4, 35)
    with pytest.raises(ValueError, match=r"\(4, 3\) was assigned to layer '7', whose own has \(4, 35\)"):
        ours.model[7].weight = torch.ones(4, 3)
    assert_equal_codes(ours.run(0, 8).sparsity.finish(), theirs.run(0, 8).sparsity.finish())
    ours.model[7].weight = nn.Parameter(torch.ones(4, 35))
    assert ours.model[7].weight.unique().tolist() == [1.0]


@every_way
def test_a_change_in_place_of_any_weight_that_is_held_is_refused(way):
    model = nn.ModuleDict({"fc": nn.Linear(3, 4), "rnn": nn.LSTM(4, 4, num_layers=2)})
    sparsity = Twofold(model, layers=["fc", "rnn.weight_*"], **WAYS[way])
    inputs = torch.randn(2, 5, 3)

    def run():
        return model["rnn"](model["fc"](inputs))[0]

    held = model["fc"].weight
    for _ in range(3):
        run().sum().backward()
    model.double().float()
    with torch.inference_mode():
        run()
    copy.deepcopy(model)["rnn"](torch.randn(2, 5, 4))
    for weight, name in ((held, "fc"), (model["rnn"].weight_hh_l1, r"rnn\.weight_hh_l1")):
        nn.init.zeros_(weight)
        with pytest.raises(ValueError, match=f"the weight of layer '{name}' was changed in place"):
            run()
    sparsity.prune()
    assert sparsity.finish()["fc"].codes.any()


def test_a_convolution_in_training_is_fused_with_its_norm():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6).eval()
    norm.running_var.uniform_(0.5, 2.0)
    layer = Loop("energy").model[0].eval()
    fused = fuse_conv_bn_eval(layer, norm)
    torch.testing.assert_close(fused(images()), norm(layer(images())), rtol=0, atol=0.02)


@every_way
def test_a_finished_one_says_so(way):
    sparsity = Loop(way).run(0, 8).sparsity
    codes = sparsity.finish()
    assert_equal_codes(sparsity.finish(), codes)
    assert_equal_codes(sparsity.codes(), codes)
    assert set(sparsity.status()) == {"zero_codes", "cell_energy_pj"}
    for use in (sparsity.penalty, sparsity.prune, lambda: sparsity.advance(0.5)):
        with pytest.raises(ValueError, match=r"this Twofold is finished, .*; to train on, attach anew"):
            use()
    Twofold(sparsity.model, density=0.5)


@pytest.fixture
def lone_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_wrapped_model_is_refused(lone_group):
    with pytest.raises(ValueError, match="wrapped in DistributedDataParallel already; attach first"):
        Twofold(DistributedDataParallel(network()))


@every_way
def test_processes_send_each_other_only_what_comes_from_the_weights(way, lone_group):
    sent = set(DistributedDataParallel(Loop(way).model).named_module_buffers)
    expected = {"magnitude": "keep", "planes": "scale"}
    slots = [f"{name}.parametrizations.weight.0" for name in ("0", "2", "4", "7")]
    assert sent == ({f"{slot}.{expected[way]}" for slot in slots} if way in expected else set())


# ---- several processes ----


def one_of_two(rank, meeting, results):
    """Half of every batch here, half there; the weights at the start differ, as DDP allows."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    for way in WAYS:
        loop = Loop(way, seed=0 if rank == 0 else 7)
        parallel = DistributedDataParallel(loop.model)
        for step in range(8):
            loop.sparsity.advance(step / 8)
            if step == 4 and not loop.sparsity.pruned:
                loop.sparsity.prune()
            loop.optimizer.zero_grad()
            # Two forward passes before one backward pass: what those need must not be overwritten between.
            halves = zip(images(step)[rank::2].split(3), LABELS[rank::2].split(3), strict=True)
            loss = sum(F.cross_entropy(parallel(part), labels) for part, labels in halves)
            (loss / 2 + loop.sparsity.penalty()).backward()
            loop.optimizer.step()
        codes = loop.sparsity.codes()
        torch.save({n: (c.codes, c.keep, c.scale) for n, c in codes.items()}, results / f"{way} {rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_end_with_the_same_codes(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (tmp_path / "meeting", tmp_path), nprocs=2)
    for way in WAYS:
        ours, theirs = (torch.load(tmp_path / f"{way} {rank}.pt") for rank in (0, 1))
        alone = Loop(way).run(0, 8).sparsity.codes()
        for index, name in enumerate(alone):
            for a, b in zip(ours[name], theirs[name], strict=True):
                assert a == b if isinstance(a, float) else torch.equal(a, b), (way, name)
            codes, keep, _ = ours[name]
            if WAYS[way].get("mask") != "magnitude":
                drawn = layer_generator("rejection", tuple(keep.shape), index).draw(tuple(keep.shape), 0.5)
                assert torch.equal(keep, drawn.keep)
            # One process with whole batches sums in another order: a few codes at a border may differ.
            assert (codes != alone[name].codes).double().mean() < 0.1, (way, name)


def test_a_network_with_soft_masks_is_not_finished_and_its_report_says_so():
    """All weights are still there: priced as a sparse network it would be a number of nothing."""
    model = network()
    sparsity = Twofold(model, density=0.5, prune_epoch=2, network_strength=1.0)
    before = copy.deepcopy(model.state_dict())
    assert "MASKS NOT ACTIVE YET" in twofold.report(sparsity).title
    with pytest.raises(ValueError, match=r"the masks are not active yet, .*call prune\(\) first"):
        sparsity.finish()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    sparsity.prune()
    assert "MASKS" not in twofold.report(sparsity).title
    for name, layer in sparsity.finish().items():
        assert not layer.codes[~layer.keep].any()
        assert not model.get_submodule(name).weight[~layer.keep].any()


OF_OTHER_TYPES = """
import twofold
from torch import nn
for use in (
    lambda: twofold.Twofold(nn.Linear(2, 2), prune_epoch=float("nan")),
    lambda: twofold.Twofold(nn.Linear(2, 2), prune_epoch=1.5),
    lambda: twofold.Twofold(nn.Linear(2, 2), bits=8.0),
    lambda: twofold.Twofold(nn.Linear(2, 2), table="rram_2bit_cell"),
    lambda: twofold.save("nowhere", nn.Linear(2, 2)),
    lambda: twofold.cell_table([1e-15, 2e-15], adc_energy_j=0.0),
    lambda: twofold.lfsr_mask((4, 4), 0.5, polynomial=19),
    lambda: twofold.report(twofold.Twofold(nn.Linear(2, 2)), images={"words": 3}),
    lambda: twofold.measure_activity(nn.Linear(2, 2), (1, 2), scales={}),
):
    try:
        use()
    except (TypeError, ValueError) as error:
        print(error)
"""


def test_values_of_other_types_are_refused_without_a_type_checker():
    """The tests check all types at run time; a user's program does not."""
    command = [sys.executable, "-c", OF_OTHER_TYPES]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [
        "prune_epoch is nan; it must be a whole number of at least 0",
        "prune_epoch is 1.5; it must be a whole number of at least 0",
        "bits is 8.0, allowed are 2..16 (a sign and at least one bit of magnitude)",
        "table is 'rram_2bit_cell', no CellTable; load_cell_table(name or path) gives one",
        "save takes a path and a Twofold, not a Linear",
        "energy_j is a list; a mapping of levels to joules is needed, such as {0: 20e-15, 1: 500e-15}",
        "polynomial is 19; give its powers, 'x^4+x+1' or (4, 1, 0), or Polynomial(0b10011)",
        *(
            f"images is a {kind}; one tensor is needed, its first axis the images: torch.from_numpy makes "
            "one of an array, and a model of several inputs is run by a callable, lambda model: "
            "model(**batch); report takes them as inputs=(args, kwargs)"
            for kind in ("dict", "tuple")
        ),
    ]


def test_codes_of_a_weight_changed_after_finish_are_lost_everywhere():
    sparsity = Twofold(network(), density=0.5)
    name = next(iter(sparsity.finish()))
    with torch.no_grad():
        sparsity.layers[name].weight.view(-1)[0] += 1
    for use in (sparsity.codes, sparsity.status, lambda: twofold.report(sparsity)):
        with pytest.raises(ValueError, match=rf"layer '{name}' was changed after finish"):
            use()
