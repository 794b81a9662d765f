"""The command check: tries the user's own methods before any study spends time on them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import DATA_ROOT, OK, ONLY, SETTINGS, SOME_FAILED, echo, folders_given
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.contract import Kind
    from harness.execution.trial import Finding
    from harness.plan.spec import MethodSpec
    from harness.plan.study import Study

KINDS: tuple[Kind, ...] = ("defense", "attack", "model")


@click.command(short_help="Try a method of your own, or those of a study, for seconds.")
@click.argument("target", metavar="FILE_OR_STUDY")
@SETTINGS
@ONLY
@DATA_ROOT
def check(
    target: str, settings: tuple[str, ...], choices: tuple[str, ...], data_root: Path | None
) -> int:
    """Try a method of your own for seconds: FILE is a defense, an attack or a model.

    It is imported, its declaration and its Hyper are checked, and it runs twice on a small
    victim: results must be finite and the same, and a defense must leave its budget alone. Of a
    STUDY, every fault is reported and all own methods are tried, defenses also on the networks
    of the study. KEY=VALUE sets a hyperparameter of FILE or a key of STUDY.
    """
    from harness.study.builtin import find_study
    from harness.study.load import choose_study
    from harness.study.overrides import parse_overrides

    if target.endswith(".py"):
        if choices:
            raise UserError("--only chooses cells of a study, and this is a method")
        return check_methods([own_method(Path(target).absolute(), parse_overrides(settings))])
    study = choose_study(find_study(target), data_root, settings, choices, folders_given())
    echo(f"{study.name}: the study file is in order, {len(study.cells)} cells")
    return check_own_methods(study)


def own_method(path: Path, hyper: Mapping[str, Any]) -> MethodSpec[Any]:
    """Return the method of a file; hyperparameters that are not given have their defaults.

    Raises:
        UserError: it declares no method, or what it declares is wrong.
    """
    from harness.plan.entries import resolve_method
    from harness.plan.registry import describe

    faults = []
    for kind in KINDS:
        try:
            describe(kind, str(path))
        except UserError as error:
            if "decorated with" not in str(error):
                raise
            faults.append(str(error))
            continue
        return resolve_method(kind, {str(path): hyper} if hyper else str(path), path.parent)
    raise UserError(f"{path}: no function is decorated with @defense, @attack or @model")


def check_own_methods(study: Study) -> int:
    """Try every method of a study that is a file of the user's own; return the exit code."""
    used = [
        method
        for cell in study.cells
        if cell.skip is None
        for method in (cell.victim.model, cell.victim.attack, cell.defense)
    ]
    own = {method.digest: method for method in used if method.ref.endswith(".py")}
    return check_methods(list(own.values()), study)


def check_methods(methods: list[MethodSpec[Any]], study: Study | None = None) -> int:
    """Try methods and print what was found; return the exit code."""
    from harness.execution.trial import try_method, try_on_networks

    code = OK
    for method in methods:
        settings = ", ".join(f"{name}={value}" for name, value in method.hyper.items())
        echo(f"{method.kind} {method.label}  {method.ref}  ({settings or 'no hyperparameters'})")
        findings = try_method(method)
        if study is not None and method.kind == "defense":
            findings += try_on_networks(method, list(study.defended.values()))
        for finding in findings:
            echo(_line(finding))
            code = code if finding.fault is None else SOME_FAILED
    return code


def _line(finding: Finding) -> str:
    if finding.fault is None:
        return f"  ok    {finding.what}" + (f": {finding.detail}" if finding.detail else "")
    shown = f"  FAULT {finding.what}: {finding.fault}"
    return f"{shown}\n{textwrap.indent(finding.detail.rstrip(), '        ')}".rstrip()
