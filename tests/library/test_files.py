"""Files that are cut short, damaged, foreign or hostile: refused by name, and no code of theirs runs."""

import json
import os
import pickle
import re
import shutil
import string
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from companion.files import parse_yaml, read_json, read_yaml
from companion.paths import data_root, results_dir
from companion.study.config import Recipe, RunConfig
from companion.study.images import load_images
from companion.study.networks import load_codes
from companion.study.results import collect, load_epochs, load_results
from companion.study.run import execute
from companion.study.train import fit
from companion.study.zoo import build_model
from twofold._files import load_tensors, read_csv, save_tensors, written_whole
from twofold.codes.tables import load_cell_table
from twofold.layer import StoredLayer
from twofold.masks import MultiplyShift, Polynomial
from twofold.storage.format import Packed, digest, load_packed, read_file, save_packed

pytestmark = pytest.mark.usefixtures("one_thread")

FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
DENSE = RunConfig(run="dense", method="dense", network="digits-net", dataset="digits", epochs=1)
TRAIN, TEST = load_images("digits")
SMALL = TRAIN[:128]


class Trap:
    """Unpickled, it leaves a file behind: so one sees that something was unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def damaged(content: bytes, count: int):
    """The content cut at several places, and with single bits turned over, `count` of them."""
    for share in (0.0, 0.01, 0.5, 0.999):
        yield content[: int(share * len(content))]
    for number in range(count):
        flipped = bytearray(content)
        flipped[number * len(content) // count] ^= 1 << number % 8
        yield bytes(flipped)


# ---- writing ----


@pytest.mark.parametrize(
    "fault", [ValueError("no"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_what_cannot_be_written_whole_leaves_all_as_it_was(tmp_path, fault):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(type(fault)), written_whole(path) as partial:
        partial.write_text("half")
        raise fault
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "before"


# ---- safetensors: weights, checkpoints, codes ----


def test_every_damage_of_tensors_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {
        "a.weight": torch.randn(4, 3),
        "b": torch.tensor([1, 2]),
        "c": torch.ones(3, dtype=torch.bfloat16),
    }
    save_tensors(path, tensors, {"of": "test"})
    content = path.read_bytes()
    assert load_tensors(path)[0] == {"of": "test"}
    refused = 0
    for number, bad in enumerate(damaged(content, 150)):
        path.write_bytes(bad)
        try:
            header, found = load_tensors(path)
        except ValueError as error:
            assert "weights.safetensors" in str(error)
            refused += 1
        else:
            assert found.keys() == tensors.keys(), number
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)
            assert header["of"] == "test"
    assert refused > 0.9 * 150


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.safetensors"
    model = build_model("digits-net", 10, 1)
    fit(model, SMALL, TEST[:50], Recipe(epochs=1), checkpoint=path, progress_bar=False)
    return path.read_bytes(), model.state_dict()


def test_what_was_read_stays_when_the_file_changes_in_place(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.arange(1000)})
    tensors = load_tensors(path)[1]
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\x05" * 8)
    assert torch.equal(tensors["a"], torch.arange(1000))


def test_a_damaged_checkpoint_is_never_gone_on_from(checkpoint, tmp_path):
    content, state = checkpoint
    path = tmp_path / "checkpoint.safetensors"
    refused = 0
    for bad in damaged(content, 20):
        path.write_bytes(bad)
        model = build_model("digits-net", 10, 1)
        try:
            fit(model, SMALL, TEST[:50], Recipe(epochs=1), checkpoint=path, progress_bar=False)
        except ValueError as error:
            assert "checkpoint.safetensors" in str(error)
            assert "move it away" in str(error)
            refused += 1
        else:
            assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert refused > 20


@pytest.mark.parametrize(
    "change",
    [
        lambda header, tensors: header.update(history="[[[[" * 50_000),
        lambda header, tensors: header.update(history='{"epoch": 1}'),
        lambda header, tensors: header.update(history='[{"epoch": 7}]'),
        lambda header, tensors: header.update(history="3"),
        lambda header, tensors: header.update(recipe="[]"),
        lambda header, tensors: header.pop("recipe"),
        lambda header, tensors: tensors.update({"momentum.fc1.weight": torch.zeros(2)}),
        lambda header, tensors: tensors.pop("model.fc1.weight"),
    ],
)
def test_a_checkpoint_made_by_hand_is_refused(checkpoint, tmp_path, change):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint[0])
    header, tensors = load_tensors(path)
    change(header, tensors)
    save_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors .*move it away"):
        model = build_model("digits-net", 10, 1)
        fit(model, SMALL, TEST[:50], Recipe(epochs=1), checkpoint=path, progress_bar=False)


def test_weights_of_another_network_and_damaged_ones_are_no_start(repository):
    weights = execute(DENSE, progress_bar=False) / "weights.safetensors"
    content = weights.read_bytes()
    lfsr = DENSE.replaced(run="lfsr", method="lfsr", sparsity=0.5, init="dense")
    weights.write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged or no safetensors file"):
        execute(lfsr, progress_bar=False)
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged: its content has the SHA-256"):
        execute(lfsr, progress_bar=False)
    save_file({"fc1.weight": torch.zeros(2, 2)}, weights)
    with pytest.raises(ValueError, match=r"weights\.safetensors holds the weights of another network"):
        execute(lfsr, progress_bar=False)
    weights.write_bytes(pickle.dumps(Trap(repository / "executed")))
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        execute(lfsr, progress_bar=False)
    assert not (repository / "executed").exists()
    assert not (repository / "data" / "results" / "lfsr").exists()


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> bytes:
    """A small packed file with all three kinds of masks."""
    random = torch.Generator().manual_seed(1)
    generator = MultiplyShift("x^31+x^3+1", 77)
    layers = {}
    for name in ("lfsr", "bitmap", "all"):
        codes = torch.randint(1, 128, (6, 7), generator=random, dtype=torch.int8)
        keep = torch.ones(6, 7, dtype=torch.bool)
        if name == "lfsr":
            keep = generator.draw((6, 7), 0.5).keep
        elif name == "bitmap":
            keep = torch.rand(6, 7, generator=random) < 0.4
        own = generator if name == "lfsr" else None
        layers[name] = StoredLayer(codes * keep, 0.5, keep, encoding="signed_rows", generator=own)
    path = tmp_path_factory.mktemp("packed") / "codes.safetensors"
    save_packed(path, Packed(layers, {"bias": torch.arange(3.0)}))
    return path.read_bytes()


def unpacked(path: Path) -> dict:
    found = load_packed(path)
    layers = {
        name: (layer.codes.tolist(), layer.keep.tolist(), layer.scale, layer.encoding, layer.generator)
        for name, layer in found.layers.items()
    }
    return {"bits": found.bits, "layers": layers, "rest": {k: v.tolist() for k, v in found.rest.items()}}


@FUZZ
@given(data=st.data())
def test_fuzzed_packed_files(packed, tmp_path, data):
    """Bytes changed, cut out and put in anywhere: refused by name, or equal."""
    path = tmp_path / "codes.safetensors"
    path.write_bytes(packed)
    whole = unpacked(path)
    content = bytearray(packed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if kind == "change":
            content[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 20))]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        else:
            del content[max(1, place) :]
    path.write_bytes(content)
    try:
        found = unpacked(path)
    except ValueError as error:
        assert "codes.safetensors" in str(error)
    else:
        assert found == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@FUZZ
@given(data=st.data())
def test_packed_headers_written_by_hand(packed, tmp_path, data):
    """Any value in any place of the header, under a checksum that fits: refused, or an honest network."""
    path = tmp_path / "codes.safetensors"
    path.write_bytes(packed)
    header, tensors = read_file(path)
    header.pop("sha256")
    place = header
    if data.draw(st.booleans()):
        place = header["layers"]
        if data.draw(st.booleans()):
            place = place[data.draw(st.sampled_from(sorted(place)))]
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    header["sha256"] = digest(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})
    for load in (load_packed, load_codes):
        try:
            found = load(path)
        except ValueError as error:
            assert "codes.safetensors" in str(error)
        else:
            for layer in found.layers.values():
                assert layer.codes.shape == layer.keep.shape
                assert not bool(layer.codes[~layer.keep].any())
                assert 0 < layer.scale < float("inf")


@pytest.mark.parametrize(
    "key, value",
    [
        ("shape", [2**40, 2**40]),
        ("shape", [2**28, 2]),
        ("shape", [6, -7]),
        ("shape", [True, 42]),
        ("kept", 2**70),
    ],
)
def test_a_header_that_asks_for_all_memory_is_refused(packed, tmp_path, key, value):
    path = tmp_path / "codes.safetensors"
    path.write_bytes(packed)
    header, tensors = read_file(path)
    header.pop("sha256")
    for entry in header["layers"].values():
        entry[key] = value
    header["sha256"] = digest(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})
    with pytest.raises(ValueError, match=r"codes\.safetensors: layer "):
        load_packed(path)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "vgg"},
        {"network": []},
        {"classes": 10**12},
        {"classes": True},
        {"channels_in": -1},
        {"bits": 10**9},
    ],
)
def test_a_network_of_absurd_size_is_not_built(tmp_path, change):
    path = tmp_path / "codes.safetensors"
    shutil.copyfile(results_dir() / "twofold-ms-r90-mu125-s1" / "codes.safetensors", path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["twofold"])
    header.pop("sha256", None)
    (header["facts"] if "facts" in header and "bits" not in change else header).update(change)
    tensors = load_file(path)
    header["sha256"] = digest(header, tensors)
    save_file(tensors, path, metadata={"twofold": json.dumps(header)})
    with pytest.raises(ValueError, match=r"codes\.safetensors"):
        load_codes(path)


# ---- YAML ----

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")
)
HOSTILE_YAML = {
    "a billion laughs": (LAUGHS, "alias"),
    "an alias": ("run: &x a\nmethod: *x\n", "alias"),
    "a Python call": ("run: !!python/object/apply:os.mkdir [executed]\n", "constructor"),
    "a Python name": ("run: !!python/name:os.system\n", "constructor"),
    "a foreign tag": ("run: !mine x\n", "constructor"),
    "a key twice": ("run: a\nepochs: 1\nrun: b\n", "'run' twice"),
    "depth": ("[" * 20_000, "YAML"),
    "length": ("a: " + "x" * 200_000, "characters long"),
    "a list as a key": ("? [a, b]\n: 1\n", "YAML"),
    "a date that is none": ("run: 2001-99-99\n", "YAML"),
    "a number of 5,000 digits": ("epochs: " + "9" * 5000, "YAML"),
    "a NUL": ("run: a\0b", "YAML"),
    "two documents": ("run: a\n---\nrun: b\n", "YAML"),
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_hostile_yaml_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text, told = HOSTILE_YAML[name]
    path = tmp_path / "config.yml"
    path.write_text(text)
    for read in (read_yaml, RunConfig.from_yaml):
        with pytest.raises(ValueError, match=r"config\.yml") as error:
            read(path)
        assert told in str(error.value)
        assert len(str(error.value)) < 1000
    assert [p.name for p in tmp_path.iterdir()] == ["config.yml"]


@pytest.mark.parametrize(
    "line",
    [
        *("epochs: 1000000000000", "seed: 0xffffffffffffffffff", "batch_size: 1000000000000000000000"),
        *("strength: 1" + "0" * 400, "learning_rate: .inf", "learning_rate: -.nan", "weight_decay: .nan"),
        *("init: ../../other", "init: /etc", 'init: "a\\0b"', f"run: {'r' * 300}", "run: a/b", "run: ª"),
    ],
)
def test_configurations_beyond_all_bounds_are_refused(tmp_path, line):
    path = tmp_path / "config.yml"
    values = {"run": "a", "method": "dense", "epochs": 1, "network": "digits-net", "dataset": "digits"}
    name, _, value = line.partition(": ")
    path.write_text(yaml.safe_dump(values | {name: "HERE"}).replace("HERE", value))
    with pytest.raises(ValueError, match=rf"config\.yml.*({name}|run) is"):
        RunConfig.from_yaml(path)


@FUZZ
@given(
    text=st.text(max_size=60) | st.text(alphabet="aepochsrun: \n\t-[]{}&*!|>'\"\\#,?0123456789.", max_size=60)
)
def test_fuzzed_yaml(tmp_path, text):
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    for read in (lambda: parse_yaml(text, "config.yml"), lambda: RunConfig.from_yaml(path)):
        try:
            read()
        except ValueError as error:
            assert "config.yml" in str(error)


@FUZZ
@given(name=st.sampled_from(sorted(RunConfig.model_fields)), value=JSON)
def test_fuzzed_values_of_a_configuration(tmp_path, name, value):
    """Refused by its name, or a configuration that comes back from its own text."""
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(DENSE.model_dump() | {name: value}), encoding="utf-8")
    try:
        config = RunConfig.from_yaml(path)
    except ValueError as error:
        assert "config.yml" in str(error)
    else:
        path.write_text(config.to_yaml(), encoding="utf-8")
        assert RunConfig.from_yaml(path) == config


# ---- CSV and JSON: results and energy tables ----

TABLE = (
    "entry,energy,unit,source,doi\n"
    "00,0.079,pJ,me,\n01,0.36,pJ,me,\n10,0.73,pJ,me,\n11,1.49,pJ,me,\nADC,0.208,pJ,me,x\n"
)


@pytest.mark.parametrize("length", [*range(0, len(TABLE) - 2, 7), len(TABLE) - 3])
def test_an_energy_table_cut_anywhere_is_refused(tmp_path, length):
    """But for the last two characters: the end of a row, and of an address that decides no number."""
    path = tmp_path / "mine.csv"
    path.write_text(TABLE)
    assert load_cell_table(path).adc_energy_j == pytest.approx(0.208e-12)
    path.write_text(TABLE[:length])
    with pytest.raises(ValueError, match=r"mine\.csv"):
        load_cell_table(path)


@FUZZ
@given(data=st.data())
def test_fuzzed_energy_tables(tmp_path, data):
    path = tmp_path / "mine.csv"
    text = TABLE
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        put = data.draw(
            st.text(max_size=5) | st.sampled_from([",", '"', "\n", "-", "e9", "nan", "inf", "=cmd()"])
        )
        text = text[:place] + put + text[place + data.draw(st.integers(0, 5)) :]
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        table = load_cell_table(path)
    except ValueError as error:
        assert "mine" in str(error)
    else:
        assert len(table.energy_j) == 2**table.cell_bits
        assert all(0 <= energy < float("inf") for energy in (*table.energy_j, table.adc_energy_j))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 5000, "", "."])
def test_energy_tables_by_hostile_names(name):
    with pytest.raises(FileNotFoundError, match="no energy table"):
        load_cell_table(name)


@pytest.mark.parametrize(
    "text, told",
    [
        ("a,b\n1,2\n3\n", "row 3 has 1 fields, the first row 2"),
        ("a,b\n1,2,3\n", "row 2 has 3 fields|Expected 2|Error tokenizing"),
        ("a,a\n1,2\n", "the column a more than once"),
        ('a,b\n1,"2\n', "unexpected end of data|EOF"),
        ("", "no readable CSV"),
        ("\n\n", "no readable CSV"),
    ],
)
def test_tables_that_pandas_would_mend_are_refused(tmp_path, text, told):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"table\.csv is no readable CSV: .*({told})|{told}"):
        read_csv(path)


@FUZZ
@given(content=st.binary(max_size=60) | st.text(alphabet=string.printable, max_size=60).map(str.encode))
def test_fuzzed_results_tables(tmp_path, content):
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    for load in (load_results, load_epochs):
        try:
            frame = load(path)
        except ValueError as error:
            assert "runs.csv" in str(error)
        else:
            assert (frame.results_version == 1).all()


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """The results of two runs, collected in a checkout of their own."""
    root = tmp_path_factory.mktemp("two runs")
    for name in ("data", "book"):
        (root / name).mkdir()
    (root / "book" / "_toc.yml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWOFOLD_REPOSITORY", str(root))
        execute(DENSE, progress_bar=False)
        execute(DENSE.replaced(run="other", seed=2), progress_bar=False)
        collect()
    return root / "data" / "results"


@pytest.fixture
def collected(repository, two_runs):
    return Path(shutil.copytree(two_runs, repository / "data" / "results"))


def test_results_tables_cut_or_changed_anywhere_are_refused(collected):
    for name, load in (("runs.csv", load_results), ("epochs.csv", load_epochs)):
        content = (collected / name).read_bytes()
        rows = content.splitlines(keepends=True)
        assert len(load()) == 2
        for bad in (
            *damaged(content, 40),
            b"".join(rows[:-1]),
            rows[0],
        ):  # the last two are tables, but not whole
            (collected / name).write_bytes(bad)
            with pytest.raises(ValueError, match=name):
                load()
        (collected / name).write_bytes(content)
    (collected / "SHA256SUMS").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="SHA256SUMS"):
        load_results()


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda text: text[: len(text) // 2], "no readable JSON"),
        (lambda text: "[" * 100_000, "no readable JSON"),
        (lambda text: "[]", "holds list, not keys"),
        (lambda text: text.replace('"run": "dense"', '"run": "other"'), "no result of a run 'dense'"),
        (lambda text: text.replace('"run": "dense"', '"run": "../x"'), "no result of a run 'dense'"),
        (lambda text: re.sub(r'"threads": \d+', '"threads": [1]', text), r"threads is \[1\]; it must be int"),
        (lambda text: text.replace('"threads"', '"strands"'), "unknown strands"),
    ],
)
def test_a_run_that_is_not_whole_makes_no_table(collected, change, told):
    before = {name: (collected / name).read_bytes() for name in ("runs.csv", "epochs.csv", "SHA256SUMS")}
    sidecar = collected / "dense" / "run.json"
    sidecar.write_text(change(sidecar.read_text()))
    with pytest.raises(ValueError, match=told):
        collect()
    assert {name: (collected / name).read_bytes() for name in before} == before


def test_a_run_whose_epochs_are_cut_makes_no_table(collected):
    path = collected / "dense" / "epochs.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match=r"epochs\.csv does not hold the 1 epochs"):
        collect()


@FUZZ
@given(
    content=st.binary(max_size=40)
    | st.text(alphabet='{}[]":,0123456789.eE+-nulltruefalse', max_size=40).map(str.encode)
)
def test_fuzzed_json(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_json(path), dict)
    except ValueError as error:
        assert "run.json" in str(error)


# ---- polynomials ----


@FUZZ
@given(text=st.text(max_size=20) | st.text(alphabet="xX^+1234567890 -*()_", max_size=20))
def test_fuzzed_polynomials(text):
    """Refused, or a polynomial that comes back from its own text."""
    try:
        polynomial = Polynomial.parse(text)
    except ValueError as error:
        assert "polynomial" in str(error)
    else:
        assert Polynomial.parse(str(polynomial)) == polynomial


@FUZZ
@given(exponents=st.lists(st.integers(-(2**70), 2**70), max_size=5))
def test_fuzzed_exponents(exponents):
    try:
        polynomial = Polynomial.parse(exponents)
    except ValueError as error:
        assert "polynomial" in str(error)
    else:
        assert polynomial.exponents == tuple(sorted(exponents, reverse=True))


# ---- CIFAR-10 ----


def test_hostile_cifar10_batches_are_not_unpickled(tmp_path):
    """torchvision unpickles its batches; a file that is not the published one must not get that far."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    trap = tmp_path / "executed"
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(FileNotFoundError, match=r"data_batch_1 \(wrong MD5\)"):
        load_images("cifar10", root=tmp_path)
    assert not trap.exists()
    with (folder / names[0]).open("rb") as file:
        pickle.load(file)
    assert trap.exists()  # the trap works


def test_a_single_hostile_batch_among_real_ones_is_not_unpickled(tmp_path):
    real = data_root() / "cifar-10-batches-py"
    if not real.is_dir():
        pytest.skip(f"no CIFAR-10 under {data_root()}")
    folder = tmp_path / "cifar-10-batches-py"
    for name in ("batches.meta", "test_batch"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in real.iterdir():
            (folder / path.name).symlink_to(path.resolve())
        (folder / name).unlink()
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
        with pytest.raises(FileNotFoundError, match=rf"not whole: {name} \(wrong MD5\)"):
            load_images("cifar10", root=tmp_path)
        assert not (tmp_path / "executed").exists()
