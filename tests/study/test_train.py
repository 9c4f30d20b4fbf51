"""The loop: one step against the equations, the same run twice, runs broken off in every way."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from companion.study.config import Recipe
from companion.study.images import Images, load_images, normalize
from companion.study.train import evaluate, fit, logits
from companion.study.zoo import build_model
from twofold.sparsity.twofold import Twofold

pytestmark = pytest.mark.usefixtures("one_thread")

TRAIN, TEST = load_images("digits")
SMALL = TRAIN[: 5 * 64]
COLOR = Images(  # larger than 8x8, so that tensors lie in memory as they do for CIFAR-10
    torch.randint(0, 256, (16, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    torch.arange(16) % 10,
    torch.full((3, 1, 1), 0.5),
    torch.full((3, 1, 1), 0.3),
    padding=2,
)


def network(name="digits-net", seed=0):
    torch.manual_seed(seed)
    return build_model(name, 10, 1 if name == "digits-net" else 3)


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- the recipe ----


def test_schedule_begins_anew_where_it_is_told_to():
    whole = Recipe(epochs=6, warmup=0.2)
    twice = Recipe(epochs=6, warmup=0.2, restart_epoch=2)
    for share in (0.0, 0.1, 0.2, 0.5, 0.9):
        assert twice.learning_rate_at(share / 3) == pytest.approx(whole.learning_rate_at(share))
        assert twice.learning_rate_at(1 / 3 + share * 2 / 3) == pytest.approx(whole.learning_rate_at(share))
    assert twice.learning_rate_at(0.333) < 1e-5
    assert twice.learning_rate_at(1.0) == pytest.approx(0.0, abs=1e-16)


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.75])
def test_learning_rate_rises_in_a_line_and_falls_in_a_cosine(warmup):
    recipe = Recipe(epochs=1, learning_rate=0.4, warmup=warmup)
    assert recipe.learning_rate_at(warmup) == pytest.approx(0.4, rel=1e-12)
    assert recipe.learning_rate_at(1.0) == pytest.approx(0.0, abs=1e-16)
    assert recipe.learning_rate_at((1 + warmup) / 2) == pytest.approx(0.2, rel=1e-12)
    third = warmup + (1 - warmup) / 3  # cos(60 degrees) = 1/2
    assert recipe.learning_rate_at(third) == pytest.approx(0.3, rel=1e-12)
    if warmup:
        assert recipe.learning_rate_at(0.0) == 0
        assert recipe.learning_rate_at(warmup / 4) == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize(
    "name, value",
    [
        ("epochs", 0),
        ("epochs", -3),
        ("epochs", True),
        ("batch_size", 0),
        ("seed", -1),
        ("learning_rate", -0.1),
        ("learning_rate", 11.0),
        ("learning_rate", math.nan),
        ("restart_epoch", -1),
        ("restart_epoch", True),
        ("restart_epoch", 10**6),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("momentum", 1.1),
        ("weight_decay", math.inf),
        ("distillation", 2.0),
        ("precision", "fp8"),
    ],
)
def test_recipes_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}; it must "):
        Recipe(**{"epochs": 2, name: value})


# ---- one step ----


def test_one_step_is_nesterovs():
    """As torch has it, step one is w - lr (1 + momentum) (g + decay w); biases and norms do not decay."""
    recipe = Recipe(
        epochs=1,
        batch_size=40,
        learning_rate=0.1,
        warmup=0.0,
        momentum=0.8,
        weight_decay=0.01,
        precision="fp32",
    )
    model, twin = network(), network()
    history = fit(model, TRAIN[:40], TEST, recipe, progress_bar=False)
    loss = F.cross_entropy(twin(normalize(TRAIN[:40])), TRAIN.labels[:40])
    loss.backward()
    assert history.loss[0] == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        gradient = theirs.grad + (0.01 * theirs.detach() if theirs.ndim > 1 else 0)
        torch.testing.assert_close(
            ours.detach(), theirs.detach() - 0.1 * 1.8 * gradient, rtol=1e-4, atol=1e-6
        )


def test_distillation_mixes_both_losses():
    """Learning rate 0 and one batch: the loss is that of the first forward pass."""
    recipe = Recipe(epochs=1, batch_size=60, learning_rate=0.0, distillation=0.3, precision="fp32")
    teacher = network(seed=9)
    history = fit(network(), TRAIN[:60], TEST, recipe, teacher=teacher, progress_bar=False)
    images, labels = normalize(TRAIN[:60]), TRAIN.labels[:60]
    log_p = network()(images).log_softmax(1)
    hard = -log_p[torch.arange(60), labels].mean()
    soft = -(teacher.eval()(images).softmax(1) * log_p).sum(1).mean()
    assert history.loss[0] == pytest.approx((0.7 * hard + 0.3 * soft).item(), rel=1e-5)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_penalty_is_part_of_the_loss():
    recipe = Recipe(epochs=1, batch_size=60, learning_rate=0.0, precision="fp32")
    losses = []
    for strength in (0.0, 0.25):
        model = network()
        sparsity = Twofold(model, density=0.5, network_strength=strength, prune_epoch=1)
        added = sparsity.penalty().item()
        losses.append(fit(model, TRAIN[:60], TEST, recipe, sparsity=sparsity, progress_bar=False).loss[0])
    assert added > 0.25
    assert losses[1] - losses[0] == pytest.approx(added, rel=1e-4)


def test_bit_planes_do_not_decay():
    """They are shares of a one: where neither task nor penalty pulls, decay alone must not move them."""
    model = network()
    sparsity = Twofold(model, strength=1e-30, bit_term="planes")
    planes = model.fc1.parametrizations.weight.original
    with torch.no_grad():
        planes[:, 0] = 0.25  # the first output's weights; its answers are cut off, so no gradient reaches it
        model.fc2.parametrizations.weight.original[:, :, 0] = 0
    recipe = Recipe(epochs=1, batch_size=64, learning_rate=1.0, warmup=0.0, weight_decay=1.0, momentum=0.0)
    seen = []
    model.fc1.register_forward_pre_hook(lambda *_: seen.append(planes[:, 0].detach().clone()))
    fit(model, SMALL, SMALL, recipe, sparsity=sparsity, progress_bar=False)
    assert bool((seen[1] == 0.25).all())


def test_bit_planes_with_a_rate_of_their_own_move_weights_as_weights_move():
    """A step on planes, away from their bounds, against a step on the very weights that they stand for."""
    shared = {"epochs": 1, "batch_size": 64, "learning_rate": 0.05, "warmup": 0.0, "precision": "fp32"}
    moved = {}
    for rate in (None, 0.5, 1.0):  # None: plain weights
        model, seen = network(), []
        sparsity = Twofold(model, strength=1e-30, bit_term="popcount", bits=6)
        for layer in sparsity.layers.values():
            torch.nn.init.uniform_(layer.parametrizations.weight.original, 0.3, 0.7)
        if rate is None:
            sparsity.finish()

        def note(module, _, seen=seen, plain=rate is None):
            if module.training:
                seen.append((module.fc1.weight if plain else place(module.fc1)).detach().clone())

        def place(layer):
            (weight,), planes = layer.parametrizations.weight, layer.parametrizations.weight.original
            return torch.tensordot(weight.powers, planes, dims=1) * weight.scale / 31

        model.register_forward_pre_hook(note)
        recipe = Recipe(momentum=0.0, weight_decay=0.0, plane_rate=rate or 0.0, **shared)
        given = None if rate is None else sparsity
        fit(model, TRAIN[:128], TEST, recipe, sparsity=given, progress_bar=False)
        moved[rate] = seen[1] - seen[0]
    assert float(moved[None].abs().max()) > 1e-4
    for rate in (0.5, 1.0):
        torch.testing.assert_close(moved[rate], rate * moved[None], rtol=1e-3, atol=1e-6)


def test_bit_planes_end_every_epoch_as_true_bits():
    model = network()
    sparsity = Twofold(model, density=0.5, strength=0.01, bit_term="popcount")
    before = model.fc1.parametrizations.weight.original.detach().clone()
    fit(model, SMALL, SMALL, Recipe(epochs=1), sparsity=sparsity, progress_bar=False)
    planes = model.fc1.parametrizations.weight.original.detach()
    assert torch.equal(planes, planes.round())
    assert not torch.equal(planes, before)


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own():
    model, seen = network(), []

    def note(module, inputs):
        seen.extend(inputs[0].flatten(1) if module.training else [])

    model.register_forward_pre_hook(note)
    fit(model, TRAIN[:50], TEST, Recipe(epochs=2, batch_size=16), progress_bar=False)
    orders = []
    for epoch in (seen[:50], seen[50:]):
        distances = torch.cdist(torch.stack(epoch), normalize(TRAIN[:50]).flatten(1))
        assert distances.amin(1).max() < 0.1
        orders.append(distances.argmin(1).tolist())
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] != orders[1]
    assert orders[0] != list(range(50))


def test_logits_and_accuracy_are_those_of_single_images():
    model = network()
    fit(model, SMALL, TEST, Recipe(epochs=1), progress_bar=False)
    some = TEST[:30]
    answers = torch.cat([model.eval()(normalize(some[i : i + 1])) for i in range(30)])
    torch.testing.assert_close(logits(model, some, batch_size=7), answers.detach(), rtol=1e-4, atol=1e-5)
    hits = sum(int(row.argmax()) == int(label) for row, label in zip(answers, some.labels, strict=True))
    assert evaluate(model, some) == pytest.approx(100 * hits / 30, rel=1e-12)


# ---- whole trainings ----


@pytest.mark.parametrize("options", [None, {"density": 0.5, "strength": 60.0}], ids=["dense", "twofold"])
def test_digits_are_learnt(options):
    model = network()
    sparsity = None if options is None else Twofold(model, **options)
    history = fit(model, TRAIN, TEST, Recipe(epochs=6), sparsity=sparsity, progress_bar=False)
    assert history.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert history.loss.iloc[-1] < 0.3 * history.loss.iloc[0]
    assert history.test_accuracy.iloc[-1] > 90
    assert history.test_accuracy.iloc[-1] == evaluate(model, TEST)
    if sparsity is not None:
        assert history.cell_energy_pj.iloc[-1] < 0.9 * history.cell_energy_pj.iloc[0]
        for name, value in sparsity.status().items():
            assert history[name].iloc[-1] == value


def test_same_seed_same_bits():
    def trained(seed):
        model = network()
        sparsity = Twofold(model, density=0.5, strength=60.0, seed=seed)
        fit(model, SMALL, TEST, Recipe(epochs=2, seed=seed), sparsity=sparsity, progress_bar=False)
        return state_of(model)

    first = trained(1)
    assert same(first, trained(1))
    assert not same(first, trained(2))


def test_pruning_in_the_middle_is_reported():
    model = network()
    sparsity = Twofold(model, density=0.1, prune_epoch=2)
    history = fit(model, TRAIN, TEST, Recipe(epochs=4), sparsity=sparsity, progress_bar=False)
    assert history.accuracy_before_pruning.notna().tolist() == [False, False, True, False]
    assert history.accuracy_before_pruning[2] == history.test_accuracy[1]
    assert history.accuracy_after_pruning[2] < history.accuracy_before_pruning[2]


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    recipe = Recipe(epochs=3, learning_rate=10.0, momentum=1.0, weight_decay=1.0, warmup=0.0)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(ValueError, match=r"the loss is nan after epoch 1; a lower learning_rate than 10.0"):
        fit(network(), TRAIN, TEST, recipe, checkpoint=checkpoint, progress_bar=False)
    assert not checkpoint.exists()


def test_distillation_needs_a_teacher():
    with pytest.raises(ValueError, match=r"distillation is 0\.5, but there is no teacher"):
        fit(network(), SMALL, TEST, Recipe(epochs=1, distillation=0.5), progress_bar=False)


# ---- broken off and taken up again ----

WAYS = {
    "dense": ("digits-net", None, 4),
    "lfsr": ("digits-net", {"density": 0.5, "prune_epoch": 2, "network_strength": 1e-3}, 4),
    "magnitude": ("digits-net", {"density": 0.3, "mask": "magnitude", "prune_epoch": 1}, 4),
    "energy": ("digits-net", {"density": 0.5, "strength": 60.0}, 4),
    "planes": ("digits-net", {"density": 0.5, "strength": 0.01, "bit_term": "planes", "prune_epoch": 1}, 4),
    "color": ("resnet20", {"density": 0.5, "strength": 60.0, "prune_epoch": 1}, 3),
    "color planes": ("resnet20", {"density": 0.5, "strength": 0.01, "bit_term": "popcount"}, 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_interrupted_trainings_end_as_unbroken_ones(way, tmp_path):
    name, options, epochs = WAYS[way]
    train = SMALL if name == "digits-net" else COLOR
    recipe = Recipe(epochs=epochs, batch_size=64 if name == "digits-net" else 8)
    steps = math.ceil(len(train) / recipe.batch_size)

    def training(checkpoint, stop_at=None):
        model = network(name)
        sparsity = None if options is None else Twofold(model, seed=1, **options)
        calls = []

        def count(module, inputs):
            calls.extend([1] * module.training)
            if len(calls) == stop_at:
                raise KeyboardInterrupt

        model.register_forward_pre_hook(count)
        history = fit(
            model, train, train, recipe, sparsity=sparsity, checkpoint=checkpoint, progress_bar=False
        )
        codes = {} if sparsity is None else {k: v.codes for k, v in sparsity.finish().items()}
        return state_of(model), codes, history.drop(columns="seconds"), len(calls)

    weights, codes, history, steps_taken = training(None)
    assert steps_taken == epochs * steps
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training(checkpoint, stop_at=(epochs - 1) * steps)  # the last step of the last epoch but one
    # First what was missing; then nothing, as when the kill comes between the last epoch and the results.
    for steps_left in (2 * steps, 0):
        again, codes_again, history_again, steps_taken = training(checkpoint)
        assert steps_taken == steps_left
        assert same(again, weights)
        assert same(codes_again, codes)
        assert history_again.equals(history)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]


# ---- checkpoints that do not fit ----


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    fit(network(), SMALL, SMALL, Recipe(epochs=1), checkpoint=path, progress_bar=False)
    return path


def test_a_checkpoint_of_another_recipe_is_refused(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(
        ValueError, match=r"another recipe \(there, here\): {'epochs': \(1, 2\), 'seed': \(1, 5\)}"
    ):
        fit(network(), SMALL, SMALL, Recipe(epochs=2, seed=5), checkpoint=checkpoint, progress_bar=False)
    assert checkpoint.read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    model = network()
    sparsity = Twofold(model)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors belongs to another model, move it away"):
        fit(
            model,
            SMALL,
            SMALL,
            Recipe(epochs=1),
            sparsity=sparsity,
            checkpoint=checkpoint,
            progress_bar=False,
        )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(checkpoint, share):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        ValueError, match=r"checkpoint\.safetensors is damaged or no checkpoint .*move it away"
    ):
        fit(network(), SMALL, SMALL, Recipe(epochs=1), checkpoint=checkpoint, progress_bar=False)


def test_another_safetensors_file_is_no_checkpoint(checkpoint):
    save_file({"x": torch.zeros(2)}, checkpoint)
    with pytest.raises(ValueError, match="no checkpoint"):
        fit(network(), SMALL, SMALL, Recipe(epochs=1), checkpoint=checkpoint, progress_bar=False)
