"""What must not change unnoticed: import rules, the command line, the columns of records.csv."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
LIGHT = [
    "contract",
    "plan.keys",
    "study.load",
    "study.schema",
    "plan.entries",
    "plan.spec",
    "plan.study",
    "plan.registry",
    "store.store",
    "execution.run",
    "cli.main",
    "plan.catalogue",
    "data.cache",
    "execution.pool",
    "execution.worker",
    "execution.schedule",
    "execution.progress",
    "report.frame.frame",
    "report.up_to_date",
    "report.write",
]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_planning_and_reporting_never_import_torch():
    """In one process, each as the first module of the package that is imported."""
    code = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [x for x in sys.modules if x.startswith("harness")]:
        del sys.modules[loaded]
    importlib.import_module(f"harness.{name}")
    if "torch" in sys.modules:
        sys.exit(f"harness.{name} imports torch")
"""
    done = python(code, *LIGHT)
    assert done.returncode == 0, done.stderr


def test_a_method_that_reaches_the_plan_through_another_module_fails_lint(tmp_path):
    for package in ("harness", "attacks", "defenses"):
        for file in (ROOT / package).rglob("*.py"):
            copy = tmp_path / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]

    def broken():
        done = subprocess.run(
            lint,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, re.findall(r"(.*?) *BROKEN\n", done.stdout)

    assert broken() == (0, [])
    (tmp_path / "defenses" / "planted.py").write_text("import harness.toolbox.planted\n")
    (tmp_path / "harness" / "toolbox" / "planted.py").write_text("import harness.plan.keys\n")
    assert broken() == (
        1,
        [
            "A package imports only packages below it",
            "A method imports the contract and the toolbox alone, directly and through others",
        ],
    )


def test_listing_and_help_import_neither_torch_nor_pandas():
    code = """
import sys
from harness.cli.main import main
try:
    main()
except SystemExit as end:
    heavy = {"torch", "pandas", "matplotlib", "datasets"} & set(sys.modules)
    sys.exit(f"heavy: {heavy}" if heavy or end.code else 0)
"""
    for arguments in (["--help"], ["list"], ["list", "defenses", "--json"]):
        done = python(code, *arguments)
        assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    ims = next(row for row in listed["defenses"] if row["name"] == "ims")
    assert ims["paper"].endswith("arXiv 2509.15497")
    assert ims["hyper"]["inner_steps"] == 20
    assert ims["needs"] == "clean"


def options_of(command):
    """Return the options of a command, and its arguments as the help shows them."""
    return sorted(
        name
        for parameter in command.params
        for name in (
            [parameter.human_readable_name]
            if isinstance(parameter, click.Argument)
            else parameter.opts
        )
    )


def test_the_command_line_is_frozen():
    from harness.cli.main import cli

    where = ["--data-root", "--out", "STUDY"]
    chosen = ["[KEY=VALUE...]", "--only"]
    run = [
        "--mode",
        "--dry-run",
        "--device",
        "--workers",
        "--gpus",
        "--per-gpu",
        "--inline",
        "--pdb",
        "--tensorboard",
        "--json",
        "--launcher",
        "--slurm",
    ]
    assert {name: options_of(command) for name, command in cli.commands.items()} == {
        "run": sorted([*where, *chosen, *run]),
        "status": sorted([*where, *chosen, "--watch", "--json"]),
        "report": sorted(
            [
                *where[:2],
                *("--against", "--known", "--paper", "--published", "--only", "--show"),
                "STUDY... [KEY=VALUE...]",
            ]
        ),
        "compare": ["A", "B"],
        "show": sorted([*where, "CELL... [KEY=VALUE...]", "--only", "--json"]),
        "logs": sorted([*where, "CELL... [KEY=VALUE...]", "--only"]),
        "list": ["--json", "KIND"],
        "compact": where,
        "merge": ["--mixed-versions", "INTO", "OTHER"],
        "gc": ["--data-root", "--delete", "--out", "[STUDY...]"],
        "init": ["FILE", "KIND"],
        "check": sorted(["--data-root", "FILE_OR_STUDY", *chosen]),
        "schema": [],
        "import": [],
        "export": [],
    }
    groups = {name: cli.commands[name].commands["backdoorbench"] for name in ("import", "export")}
    assert {name: options_of(group) for name, group in groups.items()} == {
        "import": ["--data-root", "--device", "--out", "RECORD..."],
        "export": sorted([*where, "--victim", "--to", "--device"]),
    }
    schemas = cli.commands["schema"].commands
    assert {name: options_of(command) for name, command in schemas.items()} == {
        "study": [],
        "record": [],
    }


def test_the_columns_of_records_csv_are_frozen():
    from harness.report.frame.frame import COLUMNS

    assert ",".join(COLUMNS) == (
        "study,data,model,recipe,attack,rate,target,defense,family,needs,budget,spc,n_clean,seed,"
        "status,gate,acc,asr,ra,acc_before,asr_before,ra_before,der,rir,arr,rdr,seconds,peak_mem_mb,"
        "changed,acc_inverse,asr_inverse,ra_inverse,asr_triggers,ra_triggers,victim,key,"
        "error,draw,unclean,shared,target_class,attacked"
    )


def test_every_method_declares_where_it_comes_from():
    from harness.plan.registry import describe, names

    for kind in ("attack", "defense", "model", "probe"):
        for name in names(kind):
            method = describe(kind, name)
            assert method.version.isdigit(), f"{name} has no version of its own"
            assert method.summary
            if getattr(method.info, "family", "") != "control" and name != "none":
                assert re.search(r"arXiv \d{4}\.\d{4,5}| 20\d\d$", method.info.paper), name
                assert 2000 < method.info.year < 2100
