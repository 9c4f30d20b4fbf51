"""What is installed: one list of versions for pip and conda, no registry in git, a wheel that is whole."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


def requirements() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return [
        requirement for requirement in found if requirement.name != "twofold"
    ]  # an extra that takes another in


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
        if path.is_file() and (found := registry.search(path.read_text(errors="ignore")))
    }
    assert named == {}


def test_readme_opens_with_the_two_commands():
    first_block = re.search(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in first_block[1].splitlines()]
    assert [command for command in commands if command.startswith("make")] == ["make book", "make test"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


def test_wheel_holds_the_typed_package_its_tables_and_its_license(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    tables = {path.name for path in (ROOT / "src" / "twofold" / "tables").glob("*.csv")}
    assert {f"twofold/tables/{name}" for name in tables} <= names
    assert {"energy_ops_45nm.csv", "rram_2bit_cell.csv"} <= tables
    assert "twofold/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_installed_wheel_finds_its_tables_from_any_directory(wheel: Path, tmp_path: Path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, capture_output=True)
    # What only the book and the tests need is hidden: the wheel must do without.
    extras = "sklearn torchvision matplotlib seaborn scipy onnx papermill myst_nb pytest beartype".split()
    script = (
        f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n"
        "import torch, twofold\n"
        "sparse = twofold.Twofold(torch.nn.Sequential(torch.nn.Linear(4, 2)), density=0.5, strength=60.0)\n"
        "twofold.save('net.safetensors', sparse)\n"
        "loaded = twofold.load('net.safetensors')\n"
        "assert twofold.report(loaded, table=twofold.load_cell_table()).total.kept == 4\n"
        "assert 'ADC per column' in str(twofold.report(sparse))\n"
        "import twofold.codes.cells, twofold.codes.tables, companion.paths\n"
        "print(twofold.codes.tables.tables_dir())\n"
        "print(len(twofold.codes.tables.load_cell_table('rram_2bit_cell').energy_j))\n"
        "print(len(twofold.codes.tables.load_operation_energies('energy_ops_45nm')))\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=elsewhere,
        env={"PYTHONPATH": str(target), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    where, levels, operations = run.stdout.split()
    assert Path(where) == target / "twofold" / "tables"
    assert int(levels) == 4
    assert int(operations) > 0
