"""Sweeps: entries of one defense that differ in one hyperparameter alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from harness.plan.keys import canonical
from harness.plan.registry import Method, ask
from harness.report.frame.labels import StudyLabels, methods_of

if TYPE_CHECKING:
    from harness.plan.spec import MethodSpec
    from harness.plan.study import Study
    from harness.report.frame.report_data import ReportData


@dataclass(frozen=True)
class Sweep:
    """The values of one hyperparameter of a defense, the others being fixed."""

    defense: str
    """The name of the defense, without settings."""
    parameter: str
    values: dict[str, Any]
    """By the label of the defense with that value, in rising order of the values."""
    default: Any


def sweeps(studies: Sequence[Study]) -> list[Sweep]:
    """Return the longest sweep of every hyperparameter of every defense."""
    labels = StudyLabels(studies)
    entries: dict[str, dict[str, MethodSpec[Any]]] = defaultdict(dict)
    for study in studies:
        changed = {variation.method for variation in study.stability}
        for method in methods_of(study):
            if method.kind == "defense" and method not in changed:
                entries[method.ref][labels.of_defense(study, method)] = method
    return [sweep for specs in entries.values() for sweep in _sweeps(specs)]


def report_sweeps(report: ReportData) -> list[Sweep]:
    """Return the sweeps of a report's studies, for ``ReportData.once``."""
    return sweeps(report.studies)


def _sweeps(specs: dict[str, MethodSpec[Any]]) -> Iterator[Sweep]:
    first = next(iter(specs.values()))
    found: dict[str, dict[str, Any]] = {}
    for parameter in first.hyper:
        rest: dict[str, dict[str, Any]] = defaultdict(dict)
        for label, spec in specs.items():
            others = {key: value for key, value in spec.hyper.items() if key != parameter}
            rest[canonical(others)][label] = spec.hyper[parameter]
        values = max(rest.values(), key=len)
        if len(values) > 1:
            found[parameter] = dict(sorted(values.items(), key=lambda item: _rank(item[1])))
    defaults = ask("defense", first.ref, _defaults) if found else {}
    for parameter, rising in found.items():
        yield Sweep(first.name, parameter, rising, defaults.get(parameter))


def _defaults(method: Method) -> dict[str, Any]:
    """Return the hyperparameters that have a default; of a script, some must be given."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(method.hyper)
        if (field.default, field.default_factory) != (MISSING, MISSING)
    }


def _rank(value: Any) -> tuple[bool, float, str]:
    """Sort key: numbers by size, then everything else by its text."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, str(value)
