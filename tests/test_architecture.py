"""The surfaces that may not move unseen: who imports whom, the command line, the record's columns."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHT = [
    "contract",
    "plan.keys",
    "study.load",
    "study.schema",
    "plan.entries",
    "plan.spec",
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
METHODS_MAY = ("contract", "toolbox")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", LIGHT)
def test_planning_and_reporting_never_import_torch(module):
    done = python(f"import sys, harness.{module}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


METHODS = sorted([*(ROOT / "attacks").glob("*.py"), *(ROOT / "defenses").glob("*.py")])


@pytest.mark.parametrize("path", METHODS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_methods_import_no_room_that_is_not_theirs_and_never_each_other(path):
    for name in imports(path):
        package, _, rest = name.partition(".")
        assert package not in {"attacks", "defenses"}, f"{path.name} imports {name}"
        if package == "harness" and rest:
            assert rest.split(".")[0] in METHODS_MAY, f"{path.name} imports {name}"


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


def test_the_command_line_is_frozen():
    from harness.cli.main import cli

    surface = {
        name: sorted(option for parameter in command.params for option in parameter.opts)
        for name, command in cli.commands.items()
    }
    where = ["--data-root", "--out", "study"]
    run = [
        "--mode",
        "--dry-run",
        "--device",
        "--workers",
        "--gpus",
        "--per-gpu",
        "--inline",
        "--launcher",
        "--slurm",
    ]
    assert surface == {
        "run": sorted([*where, *run]),
        "status": sorted([*where, "--watch"]),
        "report": ["--against", "--data-root", "--out", "studies"],
        "compare": ["after", "before"],
        "show": sorted([*where, "cell"]),
        "list": sorted(["--json", "kind"]),
        "compact": where,
        "merge": sorted(["--mixed-versions", "into", "other"]),
        "gc": sorted(["--data-root", "--delete", "--out", "studies"]),
        "import": [],
        "export": [],
    }
    groups = {name: cli.commands[name].commands["backdoorbench"] for name in ("import", "export")}
    options = {
        name: sorted(option for parameter in group.params for option in parameter.opts)
        for name, group in groups.items()
    }
    assert options == {
        "import": ["--data-root", "--device", "--out", "records"],
        "export": sorted([*where, "--victim", "--to", "--device"]),
    }


def test_the_columns_of_records_csv_are_frozen():
    from harness.report.frame.frame import COLUMNS

    assert ",".join(COLUMNS) == (
        "study,data,model,recipe,attack,rate,target,defense,family,needs,budget,spc,n_clean,seed,status,gate,"
        "acc,asr,ra,acc_before,asr_before,ra_before,der,rir,arr,rdr,seconds,peak_mem_mb,"
        "changed,acc_inverse,asr_inverse,ra_inverse,asr_triggers,ra_triggers,victim,key,error"
    )


def test_every_method_declares_where_it_comes_from():
    from harness.plan.registry import describe, names

    for kind in ("attack", "defense", "model"):
        for name in names(kind):
            method = describe(kind, name)
            assert method.version.isdigit(), f"{name} has no version of its own"
            assert method.summary
            if getattr(method.info, "family", "") != "control" and name != "none":
                assert re.search(r"arXiv \d{4}\.\d{4,5}| 20\d\d$", method.info.paper), name
                assert 2000 < method.info.year < 2100
