"""Resolves the entries of a study file: data sets, methods, budgets, recipe, target, figures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness.bridges.context import ImportContext
from harness.bridges.imported_victims import once_per_seed, resolve_victims
from harness.bridges.script.entry import resolve_defense
from harness.contract import (
    RECIPES,
    DefenseInfo,
    Kind,
    MethodInfo,
    ModelInfo,
    Numerics,
    ProbeInfo,
    Recipe,
    Target,
)
from harness.data.cache import prepare
from harness.data.info import DataInfo
from harness.data.options import DataOptions
from harness.errors import UserError, nearest
from harness.plan.budget import BudgetSpec
from harness.plan.entries import label_suffix, parse_entry, resolve_method
from harness.plan.paths import expanded, is_user_file, user_path
from harness.plan.report_names import RECORDS, figure_names, table_names
from harness.plan.spec import MethodSpec, Victim
from harness.plan.stability import FACTORS, Variation, is_variable
from harness.plan.target import require_target, resolve_target
from harness.plan.validation import at, validate
from harness.study.faults import FaultCollector
from harness.study.grids import PlacedEntry, multiply
from harness.study.networks import require_network
from harness.study.victims import PlannedAttack, resolve_attack

Info = TypeVar("Info", bound=MethodInfo)


class Resolver:
    """Resolves entries one list at a time; the faults are left with ``faults``."""

    def __init__(self, faults: FaultCollector, root: Path | None, cache: Path) -> None:
        self.faults = faults
        self.base = faults.file.path.parent
        self.root = root
        self.cache = cache

    def data(self, entries: list[Any]) -> list[DataInfo]:
        """Return the decoded data sets."""
        return self.faults.resolve_list("data", entries, self._dataset, DataInfo.identity)

    def _dataset(self, entry: Any) -> DataInfo:
        name, overrides = parse_entry(entry)
        with at(name, prefix=f"{name}: "):
            options = validate(DataOptions, overrides)
        if options.path is not None:
            with at(name, "path", prefix=f"{name}: "):
                options = replace(options, path=str(expanded(self.base, options.path)))
        return prepare(name, options, self.root, self.cache)

    def models(self, entries: list[Any]) -> list[MethodSpec[ModelInfo]]:
        """Return the architectures."""
        resolve = partial(resolve_method, "model", base=self.base)
        return self._methods("model", "models", entries, resolve)

    def check_networks(self, models: list[MethodSpec[ModelInfo]], data: list[DataInfo]) -> None:
        """Note every architecture that does not take the images of a data set."""
        for i, model in zip(self.faults.positions["models"], models, strict=True):
            for info in data:
                with self.faults.catch("models", i):
                    require_network(model, info, self.cache.parent / "imported")

    def defenses(self, entries: list[Any]) -> list[MethodSpec[DefenseInfo]]:
        """Return the defenses, scripts of BackdoorBench included."""
        resolve = partial(resolve_defense, base=self.base)
        return self._methods("defense", "defenses", entries, resolve)

    def variations(self, defenses: list[MethodSpec[DefenseInfo]]) -> list[Variation]:
        """Return the defenses with one hyperparameter changed, but for those that a study has."""
        planned = {defense.digest for defense in defenses}
        found: dict[str, Variation] = {}
        for defense, factor in itertools.product(defenses, FACTORS):
            for parameter in defense.info.varied:
                with self.faults.catch("stability"):
                    variation = self._varied(defense, parameter, factor)
                    if variation is not None and variation.method.digest not in planned:
                        found.setdefault(variation.method.digest, variation)
        return list(found.values())

    def _varied(
        self, defense: MethodSpec[DefenseInfo], parameter: str, factor: float
    ) -> Variation | None:
        """Return a defense with a multiple of a hyperparameter; None if it can't be multiplied."""
        known = defense.hyper[parameter]
        if not is_variable(known):
            return None
        exact = float(f"{known * factor:.3g}")
        try:
            method = self._with_value(defense, parameter, exact)
        except UserError:  # a whole number is needed
            method = self._with_value(defense, parameter, max(1, round(exact)))
        value = method.hyper[parameter]
        return Variation(
            defense, parameter, value, _with_suffix(method, f" ({parameter}={value:g})")
        )

    def _with_value(
        self, defense: MethodSpec[DefenseInfo], parameter: str, value: float
    ) -> MethodSpec[DefenseInfo]:
        entry = {defense.ref: {**defense.hyper, parameter: value}}
        method: MethodSpec[DefenseInfo] = resolve_method("defense", entry, self.base)
        return replace(method, label=defense.label, display=defense.display)

    def probes(self, entries: list[Any]) -> list[MethodSpec[ProbeInfo]]:
        """Return the probes."""
        resolve = partial(resolve_method, "probe", base=self.base)
        return self._methods("probe", "probes", entries, resolve)

    def _methods(
        self, kind: Kind, key: str, entries: list[Any], resolve: Callable[[Any], MethodSpec[Info]]
    ) -> list[MethodSpec[Info]]:
        positions, entries = _separate(multiply(kind, entries, self.base))
        specs = self.faults.resolve_list(key, entries, resolve, _identity, positions)
        return self._labelled(key, specs, entries)

    def attacks(self, entries: list[Any], shared_rates: list[float]) -> list[PlannedAttack]:
        """Return the attacks; one without rates of its own has the shared ones."""
        positions, entries = _separate(multiply("attack", entries, self.base))
        attacks = self.faults.resolve_list(
            "attacks",
            entries,
            lambda entry: resolve_attack(entry, shared_rates, self.base),
            lambda attack: attack.method.identity,
            positions,
        )
        methods = self._labelled("attacks", [attack.method for attack in attacks], entries)
        return [
            replace(attack, method=method) for attack, method in zip(attacks, methods, strict=True)
        ]

    def _labelled(
        self, key: str, specs: list[MethodSpec[Info]], entries: list[Any]
    ) -> list[MethodSpec[Info]]:
        """Return the specs with presets in the labels, and overrides if a method is there twice.

        Two files of one name in different folders are a fault: reports could not tell them apart.
        """
        if self.faults.lines:
            return specs
        count = Counter(spec.name for spec in specs)
        labelled = [
            _with_suffix(spec, label_suffix(entry, in_full=count[spec.name] > 1))
            for spec, entry in zip(specs, entries, strict=True)
        ]
        first: dict[str, int] = {}
        for i, spec in zip(self.faults.positions[key], labelled, strict=True):
            if first.setdefault(spec.label, i) != i:
                message = f"{key}[{first[spec.label]}] is called {spec.label!r} too; rename a file"
                self.faults.add((key, i), message)
        return labelled

    def imported_victims(
        self, entries: list[Any], data: list[DataInfo], seeds: list[int]
    ) -> list[Victim]:
        """Return the victims that were trained elsewhere, once per seed."""
        context = ImportContext(self.base, self.cache.parent / "imported", self._dataset, data)
        victims = self.faults.resolve_list(
            "victims", entries, lambda entry: resolve_victims(entry, context)
        )
        return once_per_seed([victim for several in victims for victim in several], seeds)

    def budgets(self, entries: list[Any]) -> list[BudgetSpec]:
        """Return the clean budgets."""
        return self.faults.resolve_list("budgets", entries, _budget)

    def recipe(self, entry: Any, numerics: Numerics | None) -> tuple[str, Recipe]:
        """Return the name and the recipe, in the study's arithmetic unless it has its own."""
        name, recipe = "paper", RECIPES["paper"]
        with self.faults.catch("recipe"):
            name, overrides = parse_entry(entry)
            if name not in RECIPES:
                raise UserError(f"unknown recipe {name!r}{nearest(name, RECIPES)}")
            with at(name, prefix=f"{name}: "):
                given = validate(Recipe, overrides)
            recipe = replace(RECIPES[name], **{key: getattr(given, key) for key in overrides})
        if numerics is not None and recipe.precision == "auto":
            recipe = replace(recipe, precision=numerics)
        return name, recipe

    def outputs(self, key: str, entries: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
        """Return the figures or tables: names, and absolute paths of the user's own files.

        Args:
            key: ``figures`` or ``tables``.
            entries: what the study says.
            known: the built-in names.
        """

        def resolve(entry: str) -> str:
            if entry.endswith(".py"):
                file = user_path(self.base, entry)
                if not is_user_file(file):
                    raise UserError(f"no file {file}")
                if file.stem in {*figure_names(), *table_names(), RECORDS}:
                    raise UserError(f"{file}: another output is called {file.stem!r}; rename it")
                return str(file)
            if entry not in known:
                raise UserError(f"unknown {key[:-1]} {entry!r}{nearest(entry, known)}")
            return entry

        outputs = self.faults.resolve_list(key, entries, resolve)
        self.faults.require_distinct(
            key, [Path(output).stem for output in outputs], self.faults.positions[key]
        )
        return tuple(outputs)

    def targets(self, entry: Any, data: list[DataInfo]) -> list[Target]:
        """Return the target on each data set, by its number or its name there."""
        targets: list[Target] = [0] * len(data)
        with self.faults.catch("target"):
            require_target(entry)
        for i, info in enumerate(data):
            with self.faults.catch("target"):
                targets[i] = resolve_target(entry, info)
        return targets


def _separate(placed: list[PlacedEntry]) -> tuple[list[int], list[Any]]:
    """Return the positions in the file, and the entries."""
    return [one.position for one in placed], [one.entry for one in placed]


def _identity(spec: MethodSpec[Any]) -> object:
    return spec.identity


def _with_suffix(spec: MethodSpec[Info], suffix: str) -> MethodSpec[Info]:
    return replace(spec, label=spec.label + suffix, display=spec.display + suffix)


def _budget(entry: Any) -> BudgetSpec:
    if not isinstance(entry, dict):
        raise UserError(f"a budget is 'spc: k' or 'ratio: r', not {entry!r}")
    budget: BudgetSpec = validate(BudgetSpec, entry)
    return budget
