"""Reads a study file into a plan; every fault is found before any work, and all of them at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from harness.contract import Target
from harness.data.cache import default_cache
from harness.data.info import DataInfo
from harness.errors import Fault, UserError, closest, faults_of, nearest
from harness.plan.budget import BudgetSpec
from harness.plan.entries import parse_entry
from harness.plan.keys import canonical
from harness.plan.names import NO_DEFENSE
from harness.plan.report_names import figure_names, table_names
from harness.plan.spec import Cell, Victim
from harness.plan.study import Study
from harness.plan.validation import validate
from harness.study.builtin import find_study
from harness.study.cells import plan_cells
from harness.study.data_names import name_apart
from harness.study.faults import FaultCollector
from harness.study.only import only
from harness.study.overrides import parse_overrides
from harness.study.paper import paper_faults
from harness.study.resolve import Resolver
from harness.study.schema import Skip, StudyFile, fault_of_name
from harness.study.victims import (
    PlannedAttack,
    TrainingSetup,
    all_victims,
    clean_models,
    imported_clean_models,
    triggers_by_clean_model,
)
from harness.study.yamlfile import YamlFile

MOST_CELLS = 200_000


def load_study(
    study: str | Path,
    root: Path | None = None,
    cache: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Study:
    """Read and validate a study file; a data set that it names is decoded if it never was.

    Args:
        study: the YAML file, or the name of a built-in study.
        root: the folder of local data sets; None looks at the hub alone.
        cache: the folder of decoded data sets; None takes the default.
        overrides: values that replace those of the file, by key; a dot leads into a mapping.

    Raises:
        UserError: one line per fault in the file, with its location and the nearest valid name.
    """
    path = find_study(study)
    faults = FaultCollector(YamlFile(path, overrides))
    file = _read_schema(faults)
    resolver = Resolver(faults, root, default_cache() if cache is None else cache)
    data = resolver.data(file.data)
    models = resolver.models(file.models)
    attacks = resolver.attacks(file.attacks, file.rates)
    defenses = resolver.defenses(file.defenses)
    variations = resolver.variations(defenses) if file.stability else []
    probes = resolver.probes(file.probes)
    recipe_name, recipe = resolver.recipe(file.recipe, file.numerics)
    budgets = resolver.budgets(file.budgets)
    faults.require_distinct("rates", file.rates)
    faults.require_distinct("seeds", file.seeds)
    faults.require_distinct("draws", file.draws)
    imported = resolver.imported_victims(file.victims, data, file.seeds)
    data, imported = name_apart(data, imported)
    resolver.check_networks(models, data)
    _check_budgets(faults, budgets, data + [victim.data for victim in imported])
    figures = resolver.outputs("figures", file.figures, figure_names())
    tables = resolver.outputs("tables", file.tables, table_names())
    targets = resolver.targets(file.target, data)
    _check_attacks(faults, attacks, data, targets)
    _check_names_of_skips(faults, file)
    if file.name is None and (fault := fault_of_name(path.stem)):
        faults.add((), f"the file's name is the study's unless it has the key 'name': {fault}")
    faults.raise_all()
    setups = [
        TrainingSetup(info, target, model, recipe, recipe_name, file.seeds)
        for (info, target), model in itertools.product(zip(data, targets, strict=True), models)
    ]
    defenses += [variation.method for variation in variations]
    _check_size(faults, file, setups, attacks, imported, len(defenses))
    victims = all_victims(setups, attacks)
    triggers = triggers_by_clean_model(victims) | triggers_by_clean_model(imported)
    cells = plan_cells(file, victims + imported, budgets, defenses, triggers)
    _check_skips(faults, file.skip, cells)
    for location, message in paper_faults(file.paper, cells):
        faults.add(("paper", *location), message)
    faults.raise_all()
    return Study(
        name=file.name or path.stem,
        path=str(path.resolve()),
        cells=cells,
        gate=file.gate,
        rank=file.rank,
        timeout=file.timeout,
        clean=clean_models(victims, file.gate, wanted=bool(probes))
        | imported_clean_models(imported),
        probes=tuple(probes),
        stability=tuple(variations),
        figures=figures,
        tables=tables,
        paper=file.paper,
    )


def choose_study(
    study: str | Path,
    root: Path | None,
    settings: Iterable[str] = (),
    choices: Iterable[str] = (),
    folders: Iterable[str] = (),
) -> Study:
    """Return a study with the keys that KEY=VALUE set, and the cells that ``--only`` chooses.

    ``folders``: the options of the command line that commands which are printed repeat.

    Raises:
        UserError: for every fault of the study, of the settings and of the choices.
    """
    given = tuple(settings)
    planned = load_study(study, root, overrides=parse_overrides(given))
    return only(replace(planned, typed_after=(*given, *folders)), tuple(choices))


def _read_schema(faults: FaultCollector) -> StudyFile:
    """Return the file's keys; a faulty one counts as absent, so that the others are checked too."""
    content = faults.file.content
    for location in faults.file.repeated_keys():
        faults.add(location, f"the key {location[-1]!r} is repeated")
    if not isinstance(content, dict):
        known = ", ".join(field.name for field in fields(StudyFile))
        faults.add((), f"a study is a mapping with the keys {known}")
        faults.raise_all()
    unusable = list(faults.file.unusable_values())
    for location, message in unusable:
        faults.add(location, message)
    absent = {location[0] for location, _ in unusable if location}
    named = {key: x for key, x in content.items() if isinstance(key, str) and key not in absent}
    try:
        file: StudyFile = validate(StudyFile, {**_instead_of(absent), **named})
    except UserError as error:
        invalid = faults_of(error)
        for location, message in invalid:
            faults.add(location, message)
        absent |= {location[0] for location, _ in invalid}
        absent |= _meant(absent) - named.keys()
        rest = {key: value for key, value in named.items() if key not in absent}
        rest |= _sound_skips(named, invalid)
        file = validate(StudyFile, {**_instead_of(absent), **rest})
    for key in file.missing_keys():
        if key not in absent:
            faults.add((key,), f"{key!r} is missing")
    return file


def _meant(keys: Iterable[str | int]) -> set[str]:
    """Return the keys of a study that others are closest to, which are misspelt."""
    known = [field.name for field in fields(StudyFile)]
    return {closest(str(key), known) for key in keys}


def _sound_skips(named: dict[str, Any], invalid: list[Fault]) -> dict[str, Any]:
    """Return the skips, those with a fault replaced by one that matches every cell."""
    skips = named.get("skip")
    faulty = {location[1] for location, _ in invalid if location[0] == "skip" and location[1:]}
    if not faulty or not isinstance(skips, list):
        return {}
    return {"skip": [{"reason": "-"} if i in faulty else x for i, x in enumerate(skips)]}


def _instead_of(absent: set[str | int]) -> dict[str, Any]:
    """Return values for the required keys that are faulty, so that the others can be checked."""
    values = {"defenses": [NO_DEFENSE], "budgets": [{"spc": 1}], "seeds": [0]}
    return {key: value for key, value in values.items() if key in absent}


def _check_budgets(faults: FaultCollector, budgets: list[BudgetSpec], data: list[DataInfo]) -> None:
    for (i, budget), info in itertools.product(
        zip(faults.positions["budgets"], budgets, strict=True), data
    ):
        if fault := budget.fault(info.train_counts):
            faults.add(("budgets", i), f"{info.name}: {fault}")


def _check_size(
    faults: FaultCollector,
    file: StudyFile,
    setups: list[TrainingSetup],
    attacks: list[PlannedAttack],
    imported: list[Victim],
    n_defenses: int,
) -> None:
    trained = len(setups) * len(file.seeds) * sum(len(attack.rates) for attack in attacks)
    per_victim = len(file.budgets) * len(file.draws) * n_defenses
    cells = (trained + len(imported)) * per_victim
    if cells > MOST_CELLS:
        faults.add((), f"{cells:,} cells; a study has at most {MOST_CELLS:,}")
        faults.raise_all()


def _check_attacks(
    faults: FaultCollector,
    attacks: list[PlannedAttack],
    data: list[DataInfo],
    targets: list[Target],
) -> None:
    rates_are_known = not faults.keys & {"rates", "target"}
    asked: set[str] = set()
    for i, attack in zip(faults.positions["attacks"], attacks, strict=True):
        question = canonical([attack.method.identity, attack.rates])
        if question in asked:
            continue  # a repetition, which is a fault of its own
        asked.add(question)
        for info, target in zip(data, targets, strict=True):
            with faults.catch("attacks", i):
                reason = attack.why_no_trigger(info)
                if reason is None and rates_are_known:
                    reason = attack.why_impossible(info, target)
                if reason:
                    raise UserError(reason)


def _check_names_of_skips(faults: FaultCollector, file: StudyFile) -> None:
    """Note every name that a skip has and its list has not; a label may follow a name."""
    lists = {
        "data": file.data,
        "model": file.models,
        "attack": file.attacks,
        "defense": file.defenses,
    }
    if file.victims:  # their attacks and data sets are in their files
        lists = {"defense": file.defenses}
    for i, skip in enumerate(file.skip):
        for field, entries in lists.items():
            known = [Path(name).stem for name in map(_name_of, entries) if name]
            name = getattr(skip, field)
            if name is not None and name.partition(" (")[0] not in known:
                hint = f"it has no {field} {name!r}{nearest(name, known)}"
                faults.add(("skip", i), f"matches no cell of this study: {hint}")


def _name_of(entry: Any) -> str:
    """Return the name of an entry, or "" if it has none."""
    try:
        return parse_entry(entry)[0].rpartition(":")[2]
    except UserError:
        return ""


def _check_skips(faults: FaultCollector, skips: list[Skip], cells: list[Cell]) -> None:
    for i, skip in enumerate(skips):
        if not any(skip.matches(cell) for cell in cells):
            faults.add(("skip", i), "matches no cell of this study")
