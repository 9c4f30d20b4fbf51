"""Names and labels: one grammar, from the configuration alone, and no two recipes that look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.study.config import GENERATORS
from companion.study.names import check_name, label_of, name_of
from companion.study.plan import PLAN

CHANGES = {
    "epochs": st.integers(13, 40),
    "batch_size": st.integers(1, 500),
    "learning_rate": st.floats(0, 10),
    "warmup": st.floats(0, 0.9),
    "restart_epoch": st.integers(0, 11),
    "momentum": st.floats(0, 1),
    "weight_decay": st.floats(0, 1),
    "distillation": st.floats(0, 1),
    "precision": st.sampled_from(["fp32", "bf16"]),
    "compiled": st.booleans(),
    "init": st.sampled_from([None, "another", "dense-e60"]),
    "bits": st.integers(2, 16),
    "scale": st.sampled_from(["layer", "channel"]),
    "clip_ratio": st.floats(0.01, 4),
    "sparsity": st.floats(0.01, 0.99),
    "density_rule": st.sampled_from(["uniform", "erk"]),
    "bit_term": st.sampled_from(["energy", "counts", "popcount", "planes"]),
    "strength": st.floats(0.01, 1e6),
    "network_strength": st.floats(0, 100),
    "polarity": st.sampled_from(["removed", "printed"]),
    "prune_epoch": st.integers(0, 11),
    "ramp": st.floats(0.01, 1),
    "penalty_ramp": st.floats(0, 1),
    "plane_rate": st.floats(0, 100),
    "encoding": st.sampled_from(["twos_complement", "signed_rows", "sign_magnitude", "differential"]),
    "energy_table": st.sampled_from(["rram_2bit_cell", "mine"]),
    "generator": st.sampled_from(GENERATORS),
    "held_out": st.booleans(),
}


def digits(value: float) -> float:
    return float(f"{value:.12g}")


@pytest.mark.parametrize(
    "run, label",
    [
        ("dense-e60", "dense, float, 60 epochs"),
        ("tune-dense-e20", "dense, float, 20 epochs, held-out images"),
        ("dense-b8-s1", "dense, 8 bits"),
        ("lfsr-r50-s1", "LFSR mask, 50 % removed"),
        ("lfsr-ms-r50-s1", "LFSR mask, multiply-shift, 50 % removed"),
        ("iid-r90-s3", "i.i.d. mask, 90 % removed"),
        ("bits-mu125-s1", "bits only, µ 125"),
        ("bits-popcount-beta10-s1", "bits only, popcount, β 10"),
        ("twofold-ms-r50-mu125-s1", "twofold, multiply-shift, 50 % removed, µ 125"),
        ("twofold-r50-mu80-b8-rows-s1", "twofold, 50 % removed, µ 80, signed rows"),
        (
            "twofold-ch-r50-mu80-b8-rows-s1",
            "twofold, scale a channel, 50 % removed, µ 80, signed rows",
        ),
        ("mobilenet-rounded-ch-b4-s1", "MobileNet, dense, rounded, scale a channel, 4 bits"),
        ("rounded-b3-rows-s1", "dense, rounded, 3 bits, signed rows"),
        ("lfsr-ms-r90-e24-s1", "LFSR mask, multiply-shift, 90 % removed, 24 epochs"),
        ("bits-mu1100-clip0.5-distilled-s1", "bits only, µ 1100, scale x0.5, distilled"),
        (
            "tune-lfsr-ms-r50-lr0.05-bf16",
            "LFSR mask, multiply-shift, 50 % removed, rate 0.05, bf16, held-out images",
        ),
        ("resnet8-dense-b8-s1", "ResNet-8, dense, 8 bits"),
        (
            "twofold-ms-r50-popcount-beta10-lambda1-printed-p6-s1",
            "twofold, multiply-shift, 50 % removed, popcount, β 10, λ 1, as printed, masks from epoch 6",
        ),
    ],
)
def test_names_and_labels_of_the_plan(run, label):
    assert label_of(PLAN[run]) == label


def test_every_planned_name_is_the_one_that_its_configuration_gives():
    for run, config in PLAN.items():
        assert name_of(config) == check_name(run) == config.run == run


def test_recipes_of_the_plan_have_labels_of_their_own():
    recipes: dict[str, set] = {}
    for config in PLAN.values():
        recipes.setdefault(label_of(config), set()).add(config.replaced(run="any", seed=1))
    assert all(len(alike) == 1 for alike in recipes.values())


@given(run=st.sampled_from(sorted(PLAN)), data=st.data())
def test_whatever_differs_the_label_says(run, data):
    """Two valid configurations that differ in one field; numbers count by their first twelve digits."""
    name = data.draw(st.sampled_from(sorted(CHANGES)))
    value, config = data.draw(CHANGES[name]), PLAN[run]
    value = digits(value) if isinstance(value, float) else value
    try:
        other = config.replaced(**{name: value})
    except ValueError:
        return
    assert (label_of(other) == label_of(config)) == (other == config)


def test_the_seed_is_in_the_name_and_not_in_the_label():
    first, third = PLAN["lfsr-r50-s1"], PLAN["lfsr-r50-s3"]
    assert label_of(first) == label_of(third)
    assert name_of(PLAN["dense-e60"].replaced(seed=2)) == "dense-e60-s2"
    assert name_of(PLAN["tune-lfsr-ms-r50-lr0.05"].replaced(seed=2)) == "tune-lfsr-ms-r50-lr0.05-s2"


def test_numbers_are_written_out():
    assert name_of(PLAN["bits-mu60-s1"].replaced(strength=1e-5)) == "bits-mu0.00001-s1"
    assert name_of(PLAN["lfsr-r50-s1"].replaced(sparsity=0.29)) == "lfsr-r29-s1"


@pytest.mark.parametrize(
    "name", ["lfsr-50-s1", "twofold-r50-80-s1", "bits-mu-s1", "lfsr-r50-s1-", "mine", ""]
)
def test_names_beyond_the_grammar_are_refused(name):
    with pytest.raises(ValueError, match=f"run {name!r} has the part '.*'; a part is one of .*, or a number"):
        check_name(name)


def test_a_value_that_no_part_says_has_no_name():
    with pytest.raises(ValueError, match=r"no part of a run's name says momentum 0\.8; give the run a name"):
        name_of(PLAN["lfsr-r50-s1"].replaced(momentum=0.8))
