"""Runs a defense script of BackdoorBench on a victim: export, budget, subprocess, import.

The script runs in a temporary folder, so that its repository stays unchanged and several scripts
can run at a time. Its result is loaded as weights alone and evaluated like any defended model.
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
from harness.bridges.script import shim
from harness.bridges.script.entry import config_files
from harness.bridges.script.ims_masks import mask_folder, masked_victim
from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run_process import CompletedProcess, run_process
from harness.contract import Context, Defended
from harness.plan.keys import file_digest, seed
from harness.training.network import prepare_for_eval

NAME = "victim"
"""The name of the record in the temporary folder."""
BASE = "--result_base"
"""The option of the IMS authors' scripts for the folder of records."""
SOME = 2
"""Their setting spc where a budget is a share; the images are those of the budget."""
SHARPNESS = 20
"""Their k where nothing sets it."""
SETTINGS, INDEX = "settings.yaml", "index.txt"
OUTPUT_SHOWN = 4000
"""Characters of a failed script's output in its record."""


class ScriptError(Exception):
    """A script failed, or its result is not a defended model."""


def run_script(inputs: ScriptInputs, hyper: Any, ctx: Context) -> Defended:
    """Run a script; return its model, the end of its output, and its repository's commit.

    Raises:
        ScriptError: it failed; the message ends with the end of its output.
        UserError: its result is unsafe or does not fit the victim's architecture.
        OutOfTimeError: the deadline passed.
    """
    digest = inputs.cell.defense.identity["hyper"]["digest"]
    if file_digest(Path(hyper.root) / hyper.script) != digest:
        raise ScriptError(f"{hyper.script} has changed since the study was read; run it again")
    with tempfile.TemporaryDirectory(prefix="defuse-") as scratch:
        home = Path(scratch).resolve()
        _write_inputs(inputs, hyper, home, ctx)
        process = run_process(_command(inputs, hyper), home, _environment(), ctx)
        masks = mask_folder(home / "record" / NAME / "defense") if process.code == 0 else None
        if masks is None:
            result = _result(home, hyper, process)
            network = read_network(result, inputs.cell.victim, result.name)
        else:
            network = masked_victim(inputs.victim.model, masks, _sharpness(home, hyper))
        budget = _check_budget_used(home, inputs, hyper)
        model = prepare_for_eval(network, ctx.device)
    notes = {"revision": revision(Path(hyper.root)), "budget": budget}
    output = torch.frombuffer(bytearray(process.output or b"\n"), dtype=torch.uint8)
    return Defended(model, artifacts={"output": output}, notes=notes)


def _write_inputs(inputs: ScriptInputs, hyper: Any, home: Path, ctx: Context) -> None:
    """Write the victim's record, the budget and the settings; link to the script's resources."""
    cell, latest = inputs.cell, inputs.store.latest()
    training = poisoned_training(cell.victim, inputs.data, ctx, inputs.store, latest)
    write_record(RecordInputs(cell.victim, inputs.victim, training), home, NAME)
    np.savetxt(home / INDEX, inputs.budget_indices.cpu().numpy(), fmt="%d")
    (home / SETTINGS).write_text(yaml.safe_dump(_settings(inputs, hyper, ctx)), encoding="utf-8")
    for folder in ("config", "resource"):
        (home / folder).symlink_to(Path(hyper.root) / folder)


def _settings(inputs: ScriptInputs, hyper: Any, ctx: Context) -> dict[str, Any]:
    """Return the repository's settings for the data set, overridden by ours and by the study's."""
    victim, name = inputs.cell.victim, data_name(inputs.cell.victim)
    files = {path.stem: path for path in config_files(vars(hyper))}
    file = next((files[stem] for stem in (name, "config", *files) if stem in files), None)
    defaults = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
    ours = {
        "dataset": name,
        "dataset_path": "./data",
        "model": victim.model.name,
        "device": str(ctx.device),
        "index": f"./{INDEX}",
        "spc": inputs.cell.budget.spc or SOME,
        "random_seed": seed(inputs.cell.defense_key, "defense") % 2**31,
    }
    return {**defaults, **ours, **hyper.yaml}


def _sharpness(home: Path, hyper: Any) -> float:
    """Return the setting k that the script of IMS was run with."""
    settings = yaml.safe_load((home / SETTINGS).read_text(encoding="utf-8"))
    return float({**settings, **hyper.args}.get("k", SHARPNESS))


def _command(inputs: ScriptInputs, hyper: Any) -> list[str]:
    arguments = [x for name, value in hyper.args.items() for x in (f"--{name}", str(value))]
    settings = {
        "root": hyper.root,
        "dataset": data_name(inputs.cell.victim),
        "images": str(inputs.data.info.folder.resolve()),
        "index": INDEX,
        "used": f"record/{NAME}/defense/{INDEX}",
    }
    script = Path(hyper.root) / hyper.script
    start = [hyper.python, "-u", shim.__file__, json.dumps(settings), str(script)]
    if BASE in script.read_text(encoding="utf-8", errors="replace"):
        arguments = [BASE, "./record", *arguments]
    return [*start, "--result_file", NAME, "--yaml_path", f"./{SETTINGS}", *arguments]


def _environment() -> dict[str, str]:
    """Return the environment variables that differ from this process's; they hide our packages.

    The only file that the script unpickles without ``weights_only`` is the record written here.
    """
    return {
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "MPLBACKEND": "agg",
        "PYTHONPATH": "",
        "PYTHONSAFEPATH": "",
    }


def _result(home: Path, hyper: Any, process: CompletedProcess) -> Path:
    """Return the one result file of a script that succeeded."""
    files = sorted((home / "record" / NAME / "defense").rglob("defense_result.pt"))
    if process.code == 0 and len(files) == 1:
        return files[0]
    if process.code < 0:
        fault = f"was ended by signal {-process.code}"
    elif process.code > 0:
        fault = f"ended with exit code {process.code}"
    else:
        fault = f"wrote {len(files)} files defense_result.pt, not 1"
    output = process.output.decode(errors="replace")[-OUTPUT_SHOWN:].strip() or "nothing"
    raise ScriptError(f"{hyper.script} {fault}; the end of its output:\n{output}")


def _check_budget_used(home: Path, inputs: ScriptInputs, hyper: Any) -> str:
    """Compare the clean images that the script reports with the budget; tell if it reports any."""
    files = sorted((home / "record" / NAME / "defense").rglob(INDEX))
    for file in files:
        drawn = np.loadtxt(file, dtype=np.int64, ndmin=1)
        if sorted(drawn.tolist()) != sorted(inputs.budget_indices.tolist()):
            raise ScriptError(
                f"{hyper.script} used {len(drawn)} clean images that are not those of its budget"
            )
    return "imposed" if files else "not asked for"


def revision(root: Path) -> str:
    """Return a repository's commit, with a ``+`` if Python files differ; else ``unknown``."""
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
