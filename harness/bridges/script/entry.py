"""The entry ``backdoorbench`` of a study's defenses: a script of a repository becomes a choice."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.contract import DefenseInfo
from harness.plan.entries import parse_entry, resolve_method
from harness.plan.keys import digest, file_digest
from harness.plan.registry import Method, describe
from harness.plan.spec import MethodSpec
from harness.plan.validation import EntryErrors, Fault, at, validate

NAME = "backdoorbench"
METHOD = Path(__file__).parent / f"{NAME}.py"
LOADER = Path("utils/save_load_attack.py")
"""What tells a repository of BackdoorBench from any other folder."""


def resolve_defense(entry: Any, base: Path) -> MethodSpec[DefenseInfo]:
    """Resolve an entry of ``defenses``: a method of ours, a file, or a script of BackdoorBench.

    Raises:
        UserError: unknown method.
        EntryErrors: its overrides are wrong.
    """
    script = isinstance(entry, dict) and list(entry) == [NAME]
    return _script_choice(entry, base) if script else resolve_method("defense", entry, base)


def _script_choice(entry: Any, base: Path) -> MethodSpec[DefenseInfo]:
    """Resolve an entry ``{backdoorbench: {script: ..., root: ..., ...}}``; paths are relative to ``base``."""
    _, overrides = parse_entry(entry)
    method = describe("defense", str(METHOD))
    with at(NAME):
        hyper = validate(method.hyper, overrides)
    found = asdict(hyper)
    found |= {
        "root": str((base / Path(hyper.root).expanduser()).resolve()),
        "python": _python(hyper.python, base),
    }
    if hyper.config is not None:
        found["config"] = str((base / Path(hyper.config).expanduser()).resolve())
    if missing := _missing(found, hyper.python):
        raise EntryErrors([((NAME, key), text) for (key, *_), text in missing])
    label = _label(hyper)
    return MethodSpec(
        kind="defense",
        name=label,
        ref=method.ref,
        label=label,
        display=label,
        version=method.version,
        hyper=found,
        identity=_identity(found, method),
    )


def _label(hyper: Any) -> str:
    told = ", ".join(f"{name}={value}" for name, value in {**hyper.yaml, **hyper.args}.items())
    return f"BackdoorBench {Path(hyper.script).stem}" + (f" ({told})" if told else "")


def _python(asked: str | None, base: Path) -> str:
    """Return the program's path; a bare name is looked up as the shell does. Links stay: they name a venv."""
    if asked is None:
        return sys.executable
    path = Path(asked).expanduser()
    return (shutil.which(asked) or asked) if path.name == asked else str(base.absolute() / path)


def _missing(found: dict[str, Any], asked: str | None) -> list[Fault]:
    root = Path(found["root"])
    if not (root / LOADER).is_file():
        return [(("root",), f"{root} is no repository of BackdoorBench: it has no {LOADER}")]
    faults: list[Fault] = []
    if not (root / found["script"]).is_file():
        faults.append((("script",), f"no file {root / found['script']}"))
    if shutil.which(found["python"]) is None:
        faults.append((("python",), f"no program {asked!r}"))
    if found["config"] is not None and not Path(found["config"]).is_file():
        faults.append((("config",), f"no file {found['config']}"))
    return faults


def _identity(found: dict[str, Any], method: Method) -> dict[str, Any]:
    """Return what goes into a key: contents of the script and its settings, and neither place nor python."""
    script = Path(found["root"]) / found["script"]
    said = {name: found[name] for name in ("script", "yaml", "args")}
    configs = {path.name: file_digest(path) for path in config_files(found)}
    hyper = {**said, "digest": file_digest(script), "config": digest(configs)}
    return {"name": NAME, "version": method.version, "hyper": hyper}


def config_files(found: dict[str, Any]) -> list[Path]:
    """Return the files that a script's settings may come from."""
    if found["config"] is not None:
        return [Path(found["config"])]
    return sorted(
        (Path(found["root"]) / "config/defense" / Path(found["script"]).stem).glob("*.yaml")
    )
