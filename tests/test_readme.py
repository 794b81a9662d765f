"""What the READMEs show works as printed: examples run, commands parse, paths and names exist."""

import importlib.util
import pkgutil
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from harness.cli.main import cli
from harness.plan.names import NO_DEFENSE
from harness.plan.registry import describe
from harness.study.load import load_study
from harness.study.schema import StudyFile
from tests import regenerate
from tests.helpers import tiny_study

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("*/README.md")),
    *sorted(path for path in ROOT.glob("docs/*.md") if path.name != "README.md"),
    ROOT / "harness" / "probes" / "README.md",
    ROOT / "results" / "reference" / "README.md",
]
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def relative(path):
    return path.relative_to(ROOT).as_posix()


def blocks(language):
    """Return the code blocks of a language in all pages, as parameters named by page and number."""
    return [
        pytest.param(text, id=f"{relative(page)}-{number}")
        for page in PAGES
        for number, (found, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")), 1)
        if found == language
    ]


def commands():
    """Return every command line in code blocks without a language and in inline code."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [
            line
            for language, block in FENCE.findall(text)
            if not language
            for line in block.splitlines()
        ]
        inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
        for line in [*lines, *inline]:
            command = re.split(r"\s+#\s", line)[0].strip()
            if command.startswith(("defuse ", "make ", "python -m ", ".venv/bin/")):
                yield pytest.param(command, id=f"{relative(page)}: {command}")


@pytest.mark.parametrize("source", blocks("python"))
def test_a_python_example_runs(source, tmp_path):
    """A method joins a small study by its path; other code is executed as it is."""
    method = re.search(r"^@(attack|defense|probe)\(.*?^def (\w+)", source, re.DOTALL | re.MULTILINE)
    if method is None:
        exec(compile(source, "example", "exec"), {})
        return
    kind, name = method.groups()
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    entries = {"attack": {"attacks": [f"./{name}.py"]}, "defense": {"defenses": [f"./{name}.py"]}}
    entries["probe"] = {"probes": [f"./{name}.py"], "gate": {"run": "all"}}
    path = tiny_study.write_study(tmp_path, **entries[kind])
    records = tiny_study.run(path, tmp_path / "out").values()
    assert {record.status for record in records} == {"ok"}, records
    assert any(name in record.name for record in records)


def test_the_hyperparameters_of_the_own_defense_are_set_in_the_study(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "shrink.py").write_text(source, encoding="utf-8")
    path = tiny_study.write_study(
        tmp_path, defenses=["none", {"./shrink.py": {"keep": 0.5, "epochs": 1}}]
    )
    latest = tiny_study.run(path, tmp_path / "out")
    record = tiny_study.cell_record(latest, "shrink")
    assert record.status == "ok", record.traceback
    assert record.spec.defense.hyper == {"keep": 0.5, "epochs": 1}


@pytest.mark.parametrize("source", blocks("yaml"))
def test_a_study_is_valid(source, tmp_path):
    """A whole study is planned, on the digits; a part of one has keys that exist."""
    study = yaml.safe_load(source)
    assert set(study) <= set(StudyFile.__dataclass_fields__)
    if {"data", "defenses", "budgets", "seeds"} <= set(study):
        path = tiny_study.write_study(tmp_path, **{**study, "data": ["digits"]})
        assert tiny_study.load(path).cells


def test_the_study_of_the_front_page_multiplies_as_it_says(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    study = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0])
    path = tiny_study.write_study(tmp_path, **{**study, "data": ["digits"]})
    cells = tiny_study.load(path).cells
    assert len(cells) == 2 * 2 * 3 * 5 * 3
    assert {cell.skip for cell in cells} == {None, "diverges at this width"}


@pytest.mark.parametrize("command", list(commands()))
def test_a_command_line_parses(command):
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(
            r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert [word for word in arguments if "=" not in word and word not in targets] == []
    elif program == "defuse":
        check_defuse(arguments)
    else:
        check_program(program, arguments)


def check_defuse(arguments):
    """Names and options of a ``defuse`` command exist, and its choices are among those offered."""
    command, context = cli, click.Context(cli)
    while isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        assert name in command.commands, name
        command = command.commands[name]
        context = click.Context(command, parent=context)
    values, _, _ = command.make_parser(context).parse_args(list(arguments))
    for parameter in command.params:
        value = values.get(parameter.name)
        if isinstance(value, str) and isinstance(parameter.type, click.Choice):
            assert value in parameter.type.choices


def check_program(program, arguments):
    """A module that is run exists, and so do the files that it is given."""
    if arguments and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1].split("[")[0]), arguments[1]
    else:
        assert Path(program).name in {"ruff", "mypy", "lint-imports", "python"}, program
    assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/"))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_paths_and_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    roots = "harness|attacks|defenses|configs|tests|results/reference"
    paths = re.findall(rf"`((?:{roots})/[\w./*-]*)`", text)
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_the_folders_of_the_architecture_page_are_the_layers():
    """From the top down, as the import rules have them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        rules = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(rule["layers"] for rule in rules if rule["type"] == "layers")
    page = (ROOT / "harness" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)
    assert rows == re.findall(r"harness\.(\w+)", " ".join(layers))


def glossary():
    """Return the identifiers of the glossary: ``module.name``, below ``harness``."""
    page = (ROOT / "harness" / "README.md").read_text(encoding="utf-8")
    table = page[page.index("## Glossary") :]
    return sorted(
        {
            name
            for row in table.splitlines()
            if row.startswith("|")
            for name in re.findall(r"`([\w.]+\.\w+)`", row.split("|")[-2])
        }
    )


@pytest.mark.parametrize("name", glossary())
def test_a_term_of_the_glossary_has_its_identifier(name):
    try:
        pkgutil.resolve_name(f"harness.{name}")
    except AttributeError:  # a field without a default is an annotation alone
        owner, _, field = f"harness.{name}".rpartition(".")
        assert field in pkgutil.resolve_name(owner).__annotations__


def test_the_page_of_the_studies_names_every_study_and_every_key():
    text = regenerate.CONFIGS.read_text(encoding="utf-8")
    assert regenerate.study_keys() == {regenerate.CONFIGS: text}
    for path in (ROOT / "configs").rglob("*.yaml"):
        name = path.relative_to(ROOT / "configs")
        assert f"`{name}`" in text or f"`{name.parent}/*.yaml`" in text, name


def test_the_page_of_the_tests_names_every_helper():
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    helpers = {path.name for path in (ROOT / "tests" / "helpers").glob("*.py")} - {"__init__.py"}
    assert {name for name in helpers if f"`{name}`" not in text} == set()


def test_every_study_of_the_project_is_valid():
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["data"] == ["digits"] or "digits" in str(content["data"]):
            assert tiny_study.load(path).cells


def test_the_first_screen_names_the_two_commands():
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert any(line.startswith("make quickstart") for line in top)
    assert any(line.startswith("make test") for line in top)


def test_the_board_of_the_front_page_is_the_quickstart_s():
    svg = (ROOT / "docs" / "pictures" / "board.svg").read_text(encoding="utf-8")
    study = load_study("quickstart")
    rows = {(cell.defense.label, cell.budget.label()) for cell in study.cells}
    victims = len(study.victims())
    assert len(re.findall(rf"\b{victims}/{victims}<", svg)) == len(rows)
    shown = {describe("defense", name).display_name for name, _ in rows if name != NO_DEFENSE}
    assert {name for name in shown if f">{name}" not in svg} == set()
    assert "@font-face" not in svg, "no font is loaded from elsewhere"


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_the_front_page_is_short_and_its_table_of_methods_is_the_registry_s():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 1200
    assert regenerate.front_page() == {ROOT / "README.md": text}
