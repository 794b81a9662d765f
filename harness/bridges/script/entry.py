"""Resolves the entry ``backdoorbench`` of a study's defenses: a script of a repository."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.contract import DefenseInfo
from harness.errors import EntryErrors, Fault, UserError, nearest
from harness.plan.entries import parse_entry, resolve_method
from harness.plan.keys import digest, file_digest
from harness.plan.paths import expanded, user_path
from harness.plan.registry import Method, describe, names
from harness.plan.spec import MethodSpec
from harness.plan.validation import at, validate

NAME = "backdoorbench"
METHOD = Path(__file__).parent / f"{NAME}.py"
DETECTION = "detection_"
"""How the folders of scripts begin that repair no model."""
LOADER = Path("utils/save_load_attack.py")
"""The file by which a repository of BackdoorBench is recognised."""


def resolve_defense(entry: Any, base: Path) -> MethodSpec[DefenseInfo]:
    """Resolve an entry of ``defenses``: a built-in, a file, or a script of BackdoorBench.

    Raises:
        UserError: unknown method.
        EntryErrors: its overrides are wrong.
    """
    name, _ = parse_entry(entry)
    if name == NAME:
        return _resolve_script(entry, base)
    known = [*names("defense"), NAME]
    if ".py" not in name and name not in known:
        raise UserError(f"unknown defense {name!r}{nearest(name, known)}")
    return resolve_method("defense", entry, base)


def _resolve_script(entry: Any, base: Path) -> MethodSpec[DefenseInfo]:
    """Resolve ``{backdoorbench: {script: ..., root: ...}}``; paths are relative to ``base``."""
    _, overrides = parse_entry(entry)
    method = describe("defense", str(METHOD))
    with at(NAME):
        hyper = validate(method.hyper, overrides)
    settings = asdict(hyper)
    settings["root"] = str(user_path(base, hyper.root))
    settings["python"] = _python(hyper.python, base)
    if hyper.config is not None:
        settings["config"] = str(user_path(base, hyper.config))
    if missing := _missing_files(settings, hyper.python):
        raise EntryErrors([((NAME, key), message) for (key, *_), message in missing])
    label = _label(hyper)
    return MethodSpec(
        kind="defense",
        name=label,
        ref=method.ref,
        label=label,
        display=label,
        version=method.version,
        hyper=settings,
        identity=_identity(settings, method),
    )


def _label(hyper: Any) -> str:
    overrides = ", ".join(f"{name}={value}" for name, value in (hyper.yaml | hyper.args).items())
    return f"BackdoorBench {Path(hyper.script).stem}" + (f" ({overrides})" if overrides else "")


def _python(name: str | None, base: Path) -> str:
    """Return the path of a Python; a name without folders is looked up on the search path.

    Symbolic links are not resolved: a virtual environment is recognised by them.
    """
    if name is None:
        return sys.executable
    if Path(name).name == name:
        return shutil.which(name) or name
    return str(expanded(base.absolute(), name))


def _missing_files(settings: dict[str, Any], python: str | None) -> list[Fault]:
    root = Path(settings["root"])
    if not (root / LOADER).is_file():
        return [(("root",), f"{root} is not a repository of BackdoorBench: it has no {LOADER}")]
    faults: list[Fault] = []
    if settings["script"].startswith(DETECTION):
        reason = "a detection of poisoned images, which writes no defended model"
        faults.append((("script",), f"{settings['script']}: {reason}"))
    elif not (root / settings["script"]).is_file():
        faults.append((("script",), f"no file {root / settings['script']}"))
    if shutil.which(settings["python"]) is None:
        faults.append((("python",), f"no program {python!r}"))
    if settings["config"] is not None and not Path(settings["config"]).is_file():
        faults.append((("config",), f"no file {settings['config']}"))
    return faults


def _identity(settings: dict[str, Any], method: Method) -> dict[str, Any]:
    """Return what goes into a key: digests of the script and its settings, no path, no Python."""
    script = Path(settings["root"]) / settings["script"]
    shared = {name: settings[name] for name in ("script", "yaml", "args")}
    configs = {path.name: file_digest(path) for path in config_files(settings)}
    hyper = {**shared, "digest": file_digest(script), "config": digest(configs)}
    return {"name": NAME, "version": method.version, "hyper": hyper}


def config_files(settings: dict[str, Any]) -> list[Path]:
    """Return the YAML files that a script's defaults may come from."""
    if settings["config"] is not None:
        return [Path(settings["config"])]
    folder = Path(settings["root"]) / "config/defense" / Path(settings["script"]).stem
    return sorted(folder.glob("*.yaml"))
