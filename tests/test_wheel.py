"""The wheel holds all that a user needs, and takes nothing from the folder that it is used in."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("harness", "attacks", "defenses", "configs")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
SHRINK = '''"""Scales the weights, for tests."""
from harness.contract import defense


@defense(paper="", year=0, family="control", version=1)
def shrink(model, budget, hyper, ctx):
    return model
'''
STUDY = """
data: [digits]
models: [{preactresnet18: {width: 2}}]
recipe: {fast: {epochs: 1}}
attacks: [badnets]
defenses: [none, ./shrink.py]
budgets: [{spc: 2}]
seeds: [0]
gate: {run: all}
figures: []
"""
NOTEBOOK = """
import sys
import harness

assert not {"torch", "pandas", "harness.plan"} & set(sys.modules)
frame = harness.records(harness.load_study("study.yaml"))
assert sorted(frame["defense"]) == ["none", "shrink"], frame
assert frame["status"].eq("ok").all(), frame
assert len(harness.load_study("quickstart").cells) > 0
from harness.plan.registry import load
files = {load("attack", "badnets").function.__code__.co_filename}
files |= {x.__file__ for name, x in sys.modules.items() if name.split(".")[0] == "harness"}
print(*sorted(filter(None, files)), sep="\\n")
print(*sys.path, sep="\\n", file=sys.stderr)
"""


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a wheel, and install it without its dependencies into an empty folder."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files beside its sources
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    pip("install", "--no-deps", "--no-index", "--no-compile", "--target", folder / "site", wheel)
    return folder / "site"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return a user's folder, with packages that nobody may import."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in SOURCES[1:]:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('the user's own')")
    (folder / "shrink.py").write_text(SHRINK)
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture
def python(site, workplace):
    """Run Python in the user's folder, on the installed package."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=workplace, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_one_package_is_installed(site):
    installed = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert installed == {"harness", "bin"}
    assert (site / "harness" / "py.typed").is_file()
    for name in SOURCES[1:]:
        pattern = "*.yaml" if name == "configs" else "*.py"
        files = {x.relative_to(ROOT / name) for x in (ROOT / name).rglob(pattern)}
        assert files == {
            x.relative_to(site / "harness" / name) for x in (site / "harness" / name).rglob(pattern)
        }


def imported(path):
    """Yield the top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_it_requires_every_package_that_it_imports(site):
    (metadata,) = site.glob("*.dist-info")
    users = [
        x for x in Distribution.at(metadata).requires if "extra == 'dev'" not in x.replace('"', "'")
    ]
    required = {re.match(r"[\w.-]+", x)[0].lower().replace("_", "-") for x in users}
    names = {name for path in (site / "harness").rglob("*.py") for name in imported(path)}
    providers = packages_distributions()
    missing = {
        name
        for name in names - sys.stdlib_module_names - {"harness"}
        if required.isdisjoint(x.lower().replace("_", "-") for x in providers[name])
    }
    assert not missing


def test_it_runs_beside_folders_of_the_same_names(site, python, workplace):
    listed = python(str(site / "bin" / "defuse"), "list").stdout
    assert "badnets" in listed
    python("-m", "harness", "run", "study.yaml", "--device", "cpu", "--workers", "1")
    assert (workplace / "results" / "study" / "report.html").is_file()
    done = python("-c", NOTEBOOK)
    files, path = done.stdout.splitlines(), done.stderr.splitlines()
    assert len(files) > 20
    assert [file for file in files if not file.startswith(f"{site}/")] == []
    assert str(ROOT) not in path
    assert "112 cells to run" in python("-m", "harness", "run", "quickstart", "--dry-run").stdout
