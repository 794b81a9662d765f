"""Runs a script of BackdoorBench on one of our victims: export, budget, subprocess, and its result back.

The script works in a scratch folder, so that it neither finds nor leaves anything in its own
repository and several run at a time. What it leaves is loaded as weights alone and evaluated by us.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from harness.bridges.backdoorbench.names import data_name
from harness.bridges.backdoorbench.poisoned_sets import poisoned_training
from harness.bridges.backdoorbench.state_dicts import read_network
from harness.bridges.backdoorbench.write_record import RecordInputs, write_record
from harness.bridges.script import shim as runner
from harness.bridges.script.entry import config_files
from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run_process import CompletedProcess, run_process
from harness.contract import Context, Defended
from harness.plan.keys import file_digest, seed
from harness.training.network import prepare_for_eval

NAME = "victim"
"""Of the record, below the scratch folder."""
SETTINGS, INDEX = "settings.yaml", "index.txt"
SHOWN = 4000
"""Characters of a failed script's output that its record shows."""


class ScriptError(Exception):
    """A script that failed, or that left something else than a defended model."""


def run_script(given: ScriptInputs, hyper: Any, ctx: Context) -> Defended:
    """Run a script and return the model that it left, with the end of its output and where it comes from.

    Raises:
        ScriptError: it failed; the message ends with the end of its output.
        UserError: what it left is refused.
        OutOfTimeError: the deadline passed.
    """
    if (
        file_digest(Path(hyper.root) / hyper.script)
        != given.cell.defense.identity["hyper"]["digest"]
    ):
        raise ScriptError(f"{hyper.script} has changed since the study was read; run it anew")
    with tempfile.TemporaryDirectory(prefix="defuse-") as scratch:
        home = Path(scratch).resolve()
        prepare(given, hyper, home, ctx)
        ended = run_process(_command(given, hyper), home, _variables(), ctx)
        result = _result(home, hyper, ended)
        imposed = _check_budget_used(home, given, hyper)
        model = prepare_for_eval(read_network(result, given.cell.victim, result.name), ctx.device)
    notes = {"revision": revision(Path(hyper.root)), "budget": imposed}
    output = torch.frombuffer(bytearray(ended.output or b"\n"), dtype=torch.uint8)
    return Defended(model, artifacts={"output": output}, notes=notes)


def prepare(given: ScriptInputs, hyper: Any, home: Path, ctx: Context) -> None:
    """Fill the scratch folder: the victim's record, the budget, the settings, and the way to resources."""
    cell, latest = given.cell, given.store.latest()
    training = poisoned_training(cell.victim, given.data, ctx, given.store, latest)
    write_record(RecordInputs(cell.victim, given.victim, training), home, NAME)
    np.savetxt(home / INDEX, given.chosen.cpu().numpy(), fmt="%d")
    (home / SETTINGS).write_text(yaml.safe_dump(_settings(given, hyper, ctx)), encoding="utf-8")
    for folder in ("config", "resource"):
        (home / folder).symlink_to(Path(hyper.root) / folder)


def _settings(given: ScriptInputs, hyper: Any, ctx: Context) -> dict[str, Any]:
    """Return the script's own settings for the data set, ours over them, and the study's over both."""
    victim, name = given.cell.victim, data_name(given.cell.victim)
    files = {path.stem: path for path in config_files(vars(hyper))}
    file = next((files[stem] for stem in (name, "config", *files) if stem in files), None)
    own = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
    ours = {
        "dataset": name,
        "dataset_path": "./data",
        "model": victim.model.name,
        "device": str(ctx.device),
        "index": f"./{INDEX}",
        "random_seed": seed(given.cell.defense_key, "defense") % 2**31,
    }
    return {**own, **ours, **hyper.yaml}


def _command(given: ScriptInputs, hyper: Any) -> list[str]:
    told = [part for name, value in hyper.args.items() for part in (f"--{name}", str(value))]
    where = {
        "root": hyper.root,
        "dataset": data_name(given.cell.victim),
        "images": str(given.data.info.folder.resolve()),
    }
    script = str(Path(hyper.root) / hyper.script)
    start = [hyper.python, "-u", runner.__file__, json.dumps(where), script]
    return [*start, "--result_file", NAME, "--yaml_path", f"./{SETTINGS}", *told]


def _variables() -> dict[str, str]:
    """Return what the script's environment says beyond this process's: nothing of our own packages.

    The one file that it unpickles whole is the record that was just written here.
    """
    return {
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "MPLBACKEND": "agg",
        "PYTHONPATH": "",
        "PYTHONSAFEPATH": "",
    }


def _result(home: Path, hyper: Any, ended: CompletedProcess) -> Path:
    found = sorted((home / "record" / NAME / "defense").glob("*/defense_result.pt"))
    if ended.code == 0 and len(found) == 1:
        return found[0]
    how = (
        f"ended with exit code {ended.code}"
        if ended.code >= 0
        else f"was ended by signal {-ended.code}"
    )
    left = "" if ended.code else f" and left {len(found)} files defense_result.pt"
    output = ended.output.decode(errors="replace")[-SHOWN:].strip() or "nothing"
    raise ScriptError(f"{hyper.script} {how}{left}; the end of its output:\n{output}")


def _check_budget_used(home: Path, given: ScriptInputs, hyper: Any) -> str:
    """Return whether the script says that it drew clean images, and hold them against the budget."""
    files = sorted((home / "record" / NAME / "defense").rglob(INDEX))
    for file in files:
        drawn = np.loadtxt(file, dtype=np.int64, ndmin=1)
        if sorted(drawn.tolist()) != sorted(given.chosen.tolist()):
            raise ScriptError(
                f"{hyper.script} drew {len(drawn)} clean images that are not those of its budget"
            )
    return "imposed" if files else "not asked for"


def revision(root: Path) -> str:
    """Return a repository's commit, with a plus sign where Python files differ from it; else ``unknown``."""
    try:
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout
            for words in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no", "--", "*.py"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + ("+" if changed.strip() else "")
