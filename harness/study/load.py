"""A study file becomes a validated plan: every fault found at once, each with its place, before any work."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness.bridges.context import ImportContext
from harness.bridges.imported_victims import for_seeds, foreign_victims
from harness.bridges.script.entry import defense_choice
from harness.contract import RECIPES, Kind, Recipe, Target
from harness.data.cache import prepare
from harness.data.info import DataInfo
from harness.data.options import DataOptions
from harness.errors import UserError, nearest
from harness.plan.budget import BudgetSpec
from harness.plan.entries import EntryErrors, Fault, checked, method_choice, overrides_text, split
from harness.plan.registry import Method
from harness.plan.report_names import FIGURES
from harness.plan.spec import Cell, MethodSpec, Study, Victim
from harness.study.cells import planned_cell
from harness.study.schema import Skip, StudyFile
from harness.study.victims import (
    PlannedAttack,
    TrainingSetup,
    all_victims,
    clean_models,
    planned_attack,
    triggers_for,
)
from harness.study.yamlfile import YamlFile

T = TypeVar("T")
Chosen = list[tuple[MethodSpec, Method]]


def load_study(path: Path, root: Path | None, cache: Path) -> Study:
    """Read and validate a study file; a data set that it names is decoded if it never was.

    Args:
        path: the YAML file.
        root: where local data sets lie; None looks at the hub alone.
        cache: where decoded data sets lie.

    Raises:
        UserError: one line for every fault in the file, with its place and the nearest valid name.
    """
    reader = _Reader(YamlFile(path), root, cache)
    plan = reader.plan()
    if reader.faults or plan is None:
        raise UserError("\n".join(dict.fromkeys(reader.faults)))
    return plan


class _Reader:
    """Resolves the entries of one file and collects every fault on the way."""

    def __init__(self, file: YamlFile, root: Path | None, cache: Path) -> None:
        self.file = file
        self.root = root
        self.cache = cache
        self.faults: list[str] = []

    def fault(self, place: Sequence[str | int], text: str) -> None:
        self.faults.append(f"{self.file.where(place)}: {text}")

    def plan(self) -> Study | None:
        file = self.schema()
        if file is None:
            return None
        data = self.each("data", file.data, self.data)
        models = self.methods("model", file.models)
        attacks = self.attacks(file.attacks, file.rates)
        defenses = self.methods("defense", file.defenses)
        name, recipe = self.recipe(file.recipe)
        budgets = self.each("budgets", file.budgets, self.budget)
        for key in ("rates", "seeds"):
            self.distinct(key, getattr(file, key))
        foreign = self.foreign(file, data)
        self.budgets_fit(data + [victim.data for victim in foreign], budgets)
        self.figures(file.figures)
        target = self.target(file.target, data)
        if self.faults:
            return None
        self.attacks_fit(attacks, data, target)
        if self.faults:
            return None
        grounds = [
            TrainingSetup(info, model, recipe, name, file.seeds)
            for info, (model, _) in itertools.product(data, models)
        ]
        victims = all_victims(grounds, attacks, target)
        triggers = {
            victim.key: triggers_for(victim, victims) for victim in victims if victim.is_clean
        }
        cells = [
            planned_cell(victim, defense, budget, file, triggers.get(victim.key, ()))
            for victim, budget, defense in itertools.product(victims + foreign, budgets, defenses)
        ]
        self.skips_match(file.skip, cells)
        return Study(
            name=file.name or self.file.path.stem,
            path=str(self.file.path.resolve()),
            cells=cells,
            gate=file.gate,
            timeout=file.timeout,
            clean=clean_models(victims, file.gate),
            figures=tuple(file.figures),
        )

    def schema(self) -> StudyFile | None:
        for place in self.file.repeated_keys():
            self.fault(place, f"the key {place[-1]!r} stands twice")
        if not isinstance(self.file.content, dict):
            known = ", ".join(field.name for field in fields(StudyFile))
            self.fault((), f"a study is a mapping with the keys {known}")
            return None
        file, faults = checked(StudyFile, self.file.content)
        for key in () if file is None else file.lacking():
            faults.append(((key,), f"{key!r} is missing"))
        for place, text in faults:
            self.fault(place, text)
        return self.sound(faults) if file is None else file

    def sound(self, faults: list[Fault]) -> StudyFile | None:
        """Return the file without its faulty keys, to look for faults in the others."""
        faulty = {place[0] for place, _ in faults}
        file, _ = checked(
            StudyFile, {k: x for k, x in self.file.content.items() if k not in faulty}
        )
        return file  # type: ignore[no-any-return]

    def each(self, key: str, entries: list[Any], resolve: Callable[[Any], T]) -> list[T]:
        """Resolve every entry of a list; faults are noted with their place."""
        found: list[T] = []
        for i, entry in enumerate(entries):
            try:
                found.append(resolve(entry))
            except UserError as error:
                self.fault((key, i), str(error))
            except EntryErrors as error:
                for place, text in error.faults:
                    self.fault((key, i, *place), text)
        if not self.faults:
            self.distinct(key, [_identity(x) for x in found])
        return found

    def distinct(self, key: str, values: list[Any]) -> None:
        for i, value in enumerate(values):
            if value in values[:i]:
                self.fault((key, i), f"the same as {key}[{values.index(value)}]")

    def methods(self, kind: Kind, entries: list[Any]) -> Chosen:
        key = f"{kind}s"
        resolve = defense_choice if kind == "defense" else partial(method_choice, kind)
        chosen = self.each(key, entries, lambda entry: resolve(entry, self.file.path.parent))
        if self.faults:
            return chosen
        return _labelled(chosen, entries)

    def attacks(self, entries: list[Any], shared: list[float]) -> list[PlannedAttack]:
        base = self.file.path.parent
        planned = self.each("attacks", entries, lambda entry: planned_attack(entry, shared, base))
        if self.faults:
            return planned
        labelled = _labelled([(attack.choice, attack.method) for attack in planned], entries)
        return [replace(x, choice=choice) for x, (choice, _) in zip(planned, labelled, strict=True)]

    def foreign(self, file: StudyFile, data: list[DataInfo]) -> list[Victim]:
        setting = ImportContext(
            self.file.path.parent, self.cache.parent / "foreign", self.data, data
        )
        found = self.each("victims", file.victims, lambda entry: foreign_victims(entry, setting))
        return for_seeds([victim for several in found for victim in several], file.seeds)

    def attacks_fit(
        self, attacks: list[PlannedAttack], data: list[DataInfo], target: Target
    ) -> None:
        for i, attack in enumerate(attacks):
            for info in data:
                fault = attack.fault(info, target)
                if fault:
                    self.fault(("attacks", i), fault)

    def data(self, entry: Any) -> DataInfo:
        name, overrides = split(entry)
        options, faults = checked(DataOptions, overrides)
        if faults:
            raise EntryErrors([((name, *place), f"{name}: {text}") for place, text in faults])
        if options.path is not None:
            options = replace(
                options, path=str(self.file.path.parent / Path(options.path).expanduser())
            )
        return prepare(name, options, self.root, self.cache)

    def recipe(self, entry: Any) -> tuple[str, Recipe]:
        try:
            name, overrides = split(entry)
            if name not in RECIPES:
                raise UserError(f"unknown recipe {name!r}{nearest(name, RECIPES)}")
        except UserError as error:
            self.fault(("recipe",), str(error))
            return "paper", RECIPES["paper"]
        _, faults = checked(Recipe, overrides)
        for place, text in faults:
            self.fault(("recipe", name, *place), f"{name}: {text}")
        return name, RECIPES[name] if faults else replace(
            RECIPES[name], **_given(Recipe, overrides)
        )

    def budget(self, entry: Any) -> BudgetSpec:
        if not isinstance(entry, dict):
            raise UserError(f"a budget is 'spc: k' or 'ratio: r', not {entry!r}")
        budget, faults = checked(BudgetSpec, entry)
        if faults:
            raise EntryErrors(faults)
        return budget  # type: ignore[no-any-return]

    def budgets_fit(self, data: list[DataInfo], budgets: list[BudgetSpec]) -> None:
        for i, budget in enumerate(budgets):
            for info in data:
                fault = budget.fault(info.train_counts)
                if fault:
                    self.fault(("budgets", i), f"{info.name}: {fault}")

    def figures(self, names: list[str]) -> None:
        for i, name in enumerate(names):
            if name not in FIGURES:
                self.fault(("figures", i), f"unknown figure {name!r}{nearest(name, FIGURES)}")
        self.distinct("figures", names)

    def target(self, target: Any, data: list[DataInfo]) -> Target:
        if target == "all-to-all":
            return "all-to-all"
        if isinstance(target, bool) or not isinstance(target, int):
            self.fault(("target",), f"a class number or all-to-all is needed, not {target!r}")
            return 0
        for info in data:
            if not 0 <= target < info.classes:
                self.fault(
                    ("target",),
                    f"{info.name} has the classes 0 to {info.classes - 1}, not {target}",
                )
        return target

    def skips_match(self, skips: list[Skip], cells: list[Cell]) -> None:
        for i, skip in enumerate(skips):
            if not any(skip.agrees(cell) for cell in cells):
                self.fault(("skip", i), "agrees with no cell of this study")


def _given(kind: type, overrides: dict[str, Any]) -> dict[str, Any]:
    built, _ = checked(kind, overrides)
    return {name: getattr(built, name) for name in overrides}


def _identity(resolved: object) -> object:
    """Return what two entries of one list must not share."""
    if isinstance(resolved, DataInfo):
        return resolved.identity()
    if isinstance(resolved, PlannedAttack):
        return resolved.choice.identity
    if isinstance(resolved, tuple):
        return resolved[0].identity
    return resolved


def _labelled(chosen: Chosen, entries: list[Any]) -> Chosen:
    """Tell entries of one name apart on boards by their overrides."""
    names = [choice.name for choice, _ in chosen]
    labelled = []
    for (choice, method), entry in zip(chosen, entries, strict=True):
        shown = overrides_text(entry) if names.count(choice.name) > 1 else ""
        suffix = f" ({shown})" if shown else ""
        label, display = choice.label + suffix, choice.display + suffix
        labelled.append((replace(choice, label=label, display=display), method))
    return labelled
