"""What is installed: one list of versions for pip and conda, no registry in git, a wheel that is enough."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


def requirements() -> list[Requirement]:
    extras, groups = PROJECT["optional-dependencies"], PYPROJECT["dependency-groups"]
    lines = [
        PROJECT["dependencies"],
        *extras.values(),
        *groups.values(),
        PYPROJECT["build-system"]["requires"],
    ]
    found = [Requirement(line) for group in lines for line in group]
    return [one for one in found if one.name != "twofold"]  # an extra that takes another in


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins() -> dict[str, Version]:
    return {
        canonicalize_name(name): Version(version)
        for name, version in (line.split("==") for line in constraint_lines())
    }


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_at_a_version_that_it_admits(requirement: Requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_constraints_are_plain_pins_one_a_package():
    lines = constraint_lines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[0-9][\w.]*", line)] == []
    assert len(pins()) == len(lines)


def test_conda_installs_by_pip_what_pyproject_asks_for_under_the_constraints():
    assert CONDA["channels"] == ["conda-forge"]
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-c constraints.txt", "-e .[book]"]


def test_conda_takes_a_python_that_pyproject_admits():
    plain = [Requirement(entry) for entry in CONDA["dependencies"] if isinstance(entry, str)]
    (python,) = [entry for entry in plain if entry.name == "python"]
    (lowest,) = [s.version for s in SpecifierSet(PROJECT["requires-python"]) if s.operator == ">="]
    assert lowest in {s.version for s in python.specifier if s.operator == ">="}
    assert {entry.name for entry in plain} == {"python", "pip"}


def test_no_tracked_file_names_a_registry():
    # Written with [] so that this file does not name one either.
    registry = re.compile(
        r"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org|registry[.]npmjs|deb[.]debian[.]org"
        r"|index[-]url|find[-]links",
        re.IGNORECASE,
    )
    named = {
        str(path.relative_to(ROOT)): found[0]
        for path in tracked_files()
        if path.is_file()
        and path.suffix != ".safetensors"
        and (found := registry.search(path.read_text(errors="ignore")))
    }
    assert named == {}


def test_readme_opens_with_the_two_commands():
    first_block = re.search(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in first_block[1].splitlines()]
    assert [command for command in commands if command.startswith("make")] == ["make book", "make test"]


# ---- the wheel ----


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it asks for, and nothing else.

    It is what `pip install WHEEL` makes, without the download: what the wheel asks for, and what that asks
    for, are links to the distributions that run this test.
    """
    environment = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    python = str(environment / "bin" / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    (installed,) = metadata.distributions(name="twofold", path=[str(site)])
    for distribution in closure(installed.requires):
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (site / top).exists():  # a namespace of several distributions, or __pycache__
                (site / top).symlink_to(distribution.locate_file(top))
    return environment


def closure(requires: list[str]) -> list[metadata.Distribution]:
    """The distributions that these requirements ask for here, those that they ask for, and so on."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(Requirement(line), {""}) for line in requires]
    while waiting:
        requirement, extras = waiting.pop()
        marker, name = requirement.marker, canonicalize_name(requirement.name)
        if name in found or (marker and not any(marker.evaluate({"extra": extra}) for extra in extras)):
            continue
        found[name] = metadata.distribution(name)
        wanted = requirement.extras or {""}
        waiting += [(Requirement(line), wanted) for line in found[name].requires or []]
    return list(found.values())


def run_bare(bare: Path, folder: Path, *words: str, ok: bool = True) -> subprocess.CompletedProcess:
    """A program of the bare environment, in an empty folder, with no variable that leads elsewhere."""
    program, *rest = words
    command = [str(bare / "bin" / program), *rest]
    done = subprocess.run(command, cwd=folder, env={"PATH": ""}, capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    return done


@pytest.mark.slow
def test_wheel_holds_the_library_and_nothing_else(wheel: Path):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    library = ROOT / "src" / "twofold"
    files = {path for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names == {str(path.relative_to(ROOT / "src")) for path in files}
    assert {"twofold/py.typed", "twofold/tables/rram_2bit_cell.csv", "twofold/tables/lig_cells.csv"} <= names


WALK = """
import json, pkgutil
from importlib import import_module, metadata
from importlib.util import find_spec
import twofold

modules = {m.name: import_module(m.name) for m in pkgutil.walk_packages(twofold.__path__, "twofold.")}
exported = {}
for name, module in modules.items():
    for word in getattr(module, "__all__", ()):
        thing = getattr(module, word)  # every public name of every module is there
        if name.count(".") == 1 and name != "twofold.command":  # a package, or a module beside the packages
            exported.setdefault(word, []).append(name)
            if word in twofold.__all__:
                assert getattr(twofold, word) is thing, word
absent = "matplotlib seaborn sklearn torchvision click yaml pydantic tqdm IPython companion pytest".split()
print(json.dumps({
    "modules": sorted(modules),
    "homes": {word: exported.get(word, []) for word in twofold.__all__},
    "present": [name for name in absent if find_spec(name)],
    "versions": [twofold.__version__, metadata.version("twofold")],
}))
"""


@pytest.mark.slow
def test_every_module_and_every_public_name_is_there_in_a_bare_environment(bare: Path, tmp_path: Path):
    found = json.loads(run_bare(bare, tmp_path, "python", "-c", WALK).stdout)
    source = ROOT / "src"
    written = {
        ".".join(path.relative_to(source).with_suffix("").parts) for path in source.glob("twofold/**/*.py")
    }
    assert set(found["modules"]) == {name.removesuffix(".__init__") for name in written} - {"twofold"}
    assert {word: homes for word, homes in found["homes"].items() if len(homes) != 1} == {}
    assert found["present"] == []
    assert len(set(found["versions"])) == 1


WORK = """
from pathlib import Path
import torch, twofold
from twofold.codes.tables import load_operation_energies, tables_dir
from twofold.energy.index import lig_energy_j, load_lig_cells

assert tables_dir().is_relative_to(Path(twofold.__file__).parent)
assert len(twofold.load_cell_table("rram_2bit_cell").energy_j) == 4
assert len(load_operation_energies("energy_ops_45nm")) > 0 and len(load_lig_cells()) > 0
sparse = twofold.Twofold(torch.nn.Sequential(torch.nn.Linear(4, 2)), density=0.5, strength=60.0)
sparse.prune()
twofold.save("net.safetensors", sparse)
price = lig_energy_j()
assert price > 0
charged = {"index_rule": "charged", "lig_energy_j": price}
report = twofold.report(twofold.load("net.safetensors"), dataflow="packed", **charged)
assert report.total.kept == 4 and report.total.index_j > 0
"""


@pytest.mark.slow
def test_a_bare_environment_draws_saves_prices_and_reports(bare: Path, tmp_path: Path):
    run_bare(bare, tmp_path, "python", "-c", WORK)
    assert "ADC per column" in run_bare(bare, tmp_path, "twofold", "report", "net.safetensors").stdout
    assert "period: 511" in run_bare(bare, tmp_path, "twofold", "register", "x^9+x^4+1").stdout
    mask = run_bare(bare, tmp_path, "twofold", "mask", "16x3x3x3", "--density", "0.5", "--save", "mask.csv")
    assert "216 of 432 weights" in mask.stdout
    assert len((tmp_path / "mask.csv").read_text().splitlines()) == 217


@pytest.mark.slow
def test_the_bare_command_says_where_the_rest_lives(bare: Path, tmp_path: Path):
    assert "a checkout of the repository" in " ".join(
        run_bare(bare, tmp_path, "twofold", "--help").stdout.split()
    )
    told = run_bare(bare, tmp_path, "twofold", "train", "x", ok=False).stderr
    assert told.startswith("Error: there is no command 'train' here, only report, mask, register.")
    assert told.count("\n") == 1
    assert "a checkout of the repository" in told
