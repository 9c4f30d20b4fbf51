"""Finished networks on disk: everything comes back, and nothing else is believed."""

import copy
import json
from functools import cache

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from companion.study.config import Recipe
from companion.study.images import load_images, normalize
from companion.study.networks import FinishedNetwork, load_codes, save_codes
from companion.study.train import fit
from companion.study.zoo import build_model
from twofold.inputs.activity import measure_activity
from twofold.inputs.scales import activation_scales
from twofold.sparsity.twofold import Twofold
from twofold.storage.format import Packed, save_packed

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = {
    "dense-8bit": {},
    "lfsr": {"density": 0.5},
    "iid": {"density": 0.3, "mask": "iid"},
    "magnitude": {"density": 0.3, "mask": "magnitude"},
    "bits": {"strength": 60.0},
    "twofold": {"density": 0.1, "strength": 60.0},
    "magnitude-bits": {"density": 0.5, "mask": "magnitude", "strength": 60.0},
    "planes": {"density": 0.5, "strength": 0.01, "bit_term": "planes"},
    "12 bits": {"density": 0.5, "bits": 12},
    "signed rows by rejection": {"density": 0.4, "encoding": "signed_rows", "generator": "rejection"},
}
TRAIN, TEST = load_images("digits")


@cache  # nothing here changes a network
def finished(method: str) -> tuple[torch.nn.Module, FinishedNetwork]:
    options = METHODS[method]
    torch.manual_seed(4)
    model = build_model("digits-net", 10, 1)
    sparsity = Twofold(model, seed=2, **options)
    fit(model, TRAIN[:128], TEST[:50], Recipe(epochs=1), sparsity=sparsity, progress_bar=False)
    layers = sparsity.finish()
    scales = activation_scales(model, normalize(TRAIN[:64]))
    activity = measure_activity(model, normalize(TEST[:20]), scales=scales)
    sizes = {"network": "digits-net", "classes": 10, "channels_in": 1}
    return model, FinishedNetwork.from_model(model, layers, **sizes, activity=activity)


@pytest.fixture(scope="module")
def twofold_net():
    return finished("twofold")[1]


@pytest.fixture
def packed(twofold_net, tmp_path):
    path = tmp_path / "codes.safetensors"
    save_codes(path, twofold_net)
    return path


def header_of(path) -> dict:
    with safe_open(path, "pt") as f:
        return json.loads(f.metadata()["twofold"])


def assert_equal(a: FinishedNetwork, b: FinishedNetwork) -> None:
    for name in ("network", "classes", "channels_in", "bits"):
        assert getattr(a, name) == getattr(b, name)
    assert a.layers.keys() == b.layers.keys()
    assert a.rest.keys() == b.rest.keys()
    assert a.activity.keys() == b.activity.keys()
    for name, layer in a.layers.items():
        other = b.layers[name]
        assert torch.equal(layer.codes, other.codes)
        assert layer.codes.dtype == other.codes.dtype
        assert torch.equal(layer.keep, other.keep)
        for fact in ("scale", "bits", "encoding", "generator"):
            assert getattr(layer, fact) == getattr(other, fact)
    for name, tensor in a.rest.items():
        assert torch.equal(tensor, b.rest[name])
        assert tensor.dtype == b.rest[name].dtype
    for name, activity in a.activity.items():
        other = b.activity[name]
        assert torch.equal(activity.row_ones, other.row_ones)
        assert (activity.reads, activity.input_bits) == (other.reads, other.input_bits)


# ---- there and back ----


@pytest.mark.parametrize("method", METHODS)
def test_round_trip(method, tmp_path):
    model, network = finished(method)
    path = tmp_path / "codes.safetensors"
    save_codes(path, network)
    back = load_codes(path)
    assert_equal(network, back)
    assert len(back.activity) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["codes.safetensors"]
    images = normalize(TEST[:40])
    assert torch.equal(back.build()(images), model.eval()(images))
    save_codes(tmp_path / "again.safetensors", back)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("method", ["lfsr", "iid", "magnitude", "dense-8bit"])
def test_kept_codes_only_and_a_bitmap_only_without_an_lfsr(method, tmp_path):
    network = finished(method)[1]
    path = tmp_path / "codes.safetensors"
    save_codes(path, network)
    tensors, header = load_file(path), header_of(path)
    kind = {"lfsr": "lfsr", "dense-8bit": "all"}.get(method, "bitmap")
    assert {entry["mask"] for entry in header["layers"].values()} == {kind}
    for name, layer in network.layers.items():
        assert tensors[f"codes.{name}"].numel() == int(layer.keep.sum())
        assert (f"bitmap.{name}" in tensors) == (kind == "bitmap")
        if kind == "bitmap":
            assert tensors[f"bitmap.{name}"].numel() == -(-layer.keep.numel() // 8)


def test_codes_lie_in_the_order_of_the_generator(twofold_net, packed):
    """An oracle that clocks the register state by state and skips those above the layer."""
    layer, entry = twofold_net.layers["conv1"], header_of(packed)["layers"]["conv1"]
    state, size, flat = entry["seed"], layer.codes.numel(), layer.codes.flatten().tolist()
    assert (entry["polynomial"], entry["form"], entry["reduction"]) == (
        "x^8+x^7+x^6+x^5+x^2+x+1",
        "fibonacci",
        "rejection",
    )
    walked = []
    while len(walked) < entry["kept"]:
        if state <= size:
            walked.append(state - 1)
        fed = sum(state >> tap & 1 for tap in (0, 1, 2, 5, 6, 7)) % 2
        state = state >> 1 | fed << 7
    assert load_file(packed)["codes.conv1"].tolist() == [flat[index] for index in walked]


def test_a_network_without_activity(twofold_net, tmp_path):
    bare = FinishedNetwork("digits-net", 10, 1, twofold_net.layers, twofold_net.rest)
    save_codes(tmp_path / "codes.safetensors", bare)
    assert load_codes(tmp_path / "codes.safetensors").activity == {}


def test_an_older_file_is_marked_with_what_its_codes_were_chosen_for(twofold_net, packed):
    """And is not walked once more for it."""
    back = load_codes(packed)
    marked = back.trained_for("signed_rows")
    assert {layer.encoding for layer in back.layers.values()} == {"twos_complement"}
    for name, layer in marked.layers.items():
        assert layer.encoding == "signed_rows"
        assert layer.mask is back.layers[name].mask
    save_codes(packed, marked)
    assert_equal(load_codes(packed), marked)
    assert {entry["encoding"] for entry in header_of(packed)["layers"].values()} == {"signed_rows"}


def test_saving_over_a_file_replaces_it_whole(packed, tmp_path):
    other = finished("bits")[1]
    save_codes(packed, other)
    assert_equal(load_codes(packed), other)
    assert [p.name for p in tmp_path.iterdir()] == ["codes.safetensors"]


# ---- what is refused ----


def rewrite(path, change):
    """The file again with `change` made to its header or tensors, and no checksum to betray it."""
    header, tensors = header_of(path), load_file(path)
    header.pop("sha256")
    change(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.1, 0.5, 0.9999])
def test_truncated_files_are_refused(packed, share):
    content = packed.read_bytes()
    packed.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"codes\.safetensors is damaged or no safetensors file: "):
        load_codes(packed)


def test_a_flipped_bit_is_never_believed(packed, twofold_net):
    """Of any byte: either the file is refused with its name, or nothing that it says has changed."""
    content = packed.read_bytes()
    refused = 0
    positions = [*range(0, len(content), 997), *range(0, 400, 13)]
    for count, position in enumerate(positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << count % 8
        packed.write_bytes(damaged)
        try:
            back = load_codes(packed)
        except ValueError as error:
            assert "codes.safetensors" in str(error)
            refused += 1
        else:
            assert_equal(back, twofold_net)
    assert refused > 0.95 * len(positions)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors is not a twofold-codes file"):
        load_codes(path)
    save_file({"x": torch.zeros(3)}, path, metadata={"twofold": json.dumps({"format": "other"})})
    with pytest.raises(ValueError, match="is not a twofold-codes file"):
        load_codes(path)
    save_file({"x": torch.zeros(3)}, path, metadata={"twofold": "no JSON"})
    with pytest.raises(ValueError, match="is damaged"):
        load_codes(path)
    path.write_text("run,method\n")
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        load_codes(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        load_codes(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("version", [1, 4, None])
def test_other_versions_are_refused(packed, version):
    rewrite(packed, lambda header, tensors: header.update(version=version))
    with pytest.raises(ValueError, match=rf"has version {version}; this library reads versions 2 and 3"):
        load_codes(packed)


def test_a_file_of_another_model_is_refused(twofold_net, tmp_path):
    path = tmp_path / "own.safetensors"
    save_packed(path, Packed(twofold_net.layers))
    with pytest.raises(ValueError, match=r"own\.safetensors holds no network of the study.* no network, cl"):
        load_codes(path)


def test_what_is_built_is_a_copy(twofold_net):
    before = copy.deepcopy(twofold_net)
    model = twofold_net.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert_equal(twofold_net, before)
