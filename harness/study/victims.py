"""From a study's attacks to its victims: poison rates, clean models, impossible attacks."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.contract import AttackInfo, ModelInfo, Recipe, Target, poison_count
from harness.data.info import DataInfo
from harness.errors import UserError
from harness.plan.entries import parse_entry, resolve_method
from harness.plan.faults import fault_of
from harness.plan.gate import Gate
from harness.plan.names import NO_ATTACK
from harness.plan.registry import is_function
from harness.plan.spec import (
    MethodSpec,
    Victim,
)
from harness.plan.validation import at, validate
from harness.study.schema import Rates


@dataclass(frozen=True, kw_only=True)
class AttackRates:
    """The one key of an attack's entry that is no hyperparameter."""

    rates: Rates


@dataclass(frozen=True)
class PlannedAttack:
    """An attack of a study, and its poison rates."""

    method: MethodSpec[AttackInfo]
    rates: list[float]

    def why_no_trigger(self, data: DataInfo) -> str | None:
        """Return why the trigger can't be put on a data set's images, else None."""
        info = self.method.info
        if info.fault is None:
            return None
        reason = fault_of(self.method, data.shape)
        return f"{self.method.name}: {data.name}: {reason}" if reason else None

    def why_impossible(self, data: DataInfo, target: Target) -> str | None:
        """Return why the attack can't be made on a data set, else None."""
        name, info = self.method.name, self.method.info
        if name == NO_ATTACK:
            return None
        if not isinstance(target, int) and not info.all_to_all:
            return f"{name} sends all classes to one target; it has no all-to-all form"
        total = sum(data.train_counts)
        available = total
        if info.clean_label and isinstance(target, int):
            available = data.train_counts[target]
        base = available if self.method.hyper.get("rate_of") == "class" else total
        where = f"class {target}" if info.clean_label else "the training set"
        for rate in self.rates:
            count = poison_count(rate, base)
            if count > available:
                return (
                    f"{name} at rate {rate:g} poisons {count} samples, but {where} of "
                    f"{data.name} has {available}; the largest possible rate is "
                    f"{_largest_rate(available, base)} or {available} samples"
                )
        return None


def _largest_rate(available: int, base: int) -> str:
    """Return the largest rate (4 digits) that poisons at most ``available`` of ``base`` samples."""
    return f"{math.floor(10_000 * available / base) / 10_000:g}"


class TrainingSetup(NamedTuple):
    """What attacks are made on: one data set, architecture and recipe, once per seed."""

    data: DataInfo
    target: Target
    model: MethodSpec[ModelInfo]
    recipe: Recipe
    recipe_name: str
    seeds: list[int]


def all_victims(setups: list[TrainingSetup], attacks: list[PlannedAttack]) -> list[Victim]:
    """Return every victim of a study, in the order of its file."""
    victims = []
    for (data, target, model, recipe, name, seeds), attack in itertools.product(setups, attacks):
        for rate, seed in itertools.product(attack.rates, seeds):
            victim = Victim(data, model, recipe, name, attack.method, rate, target, seed)
            if attack.method.info.clean_model:
                victim = replace(victim, clean=clean_model_of(victim))
            victims.append(clean_model_of(victim) if victim.is_clean else victim)
    return victims


def resolve_attack(entry: Any, shared: list[float], base: Path) -> PlannedAttack:
    """Resolve an entry of ``attacks``; files are relative to ``base``.

    Raises:
        UserError: not an entry, or no such attack.
        EntryErrors: its rates or overrides are wrong.
    """
    rest, rates = _without_rates(entry, shared)
    if is_function(parse_entry(rest)[0]):
        raise UserError(
            "a plain function is the trigger of a checkpoint under 'victims', but no attack"
        )
    return PlannedAttack(resolve_method("attack", rest, base), rates)


def _without_rates(entry: Any, shared: list[float]) -> tuple[Any, list[float]]:
    """Return an attack's entry without its own ``rates``, and the attack's poison rates."""
    name, overrides = parse_entry(entry)
    if name == NO_ATTACK:
        return entry, [0.0]
    if "rates" not in overrides:
        return entry, shared
    with at(name, prefix=f"{name}: "):
        own = validate(AttackRates, {"rates": overrides["rates"]})
        with at("rates"):
            if len(set(own.rates)) < len(own.rates):
                raise UserError("a rate is repeated")
    rest = {key: value for key, value in overrides.items() if key != "rates"}
    return ({name: rest} if rest else name), own.rates


def clean_model_of(victim: Victim) -> Victim:
    """Return the clean model with a victim's data, architecture, recipe and seed."""
    return replace(victim, attack=_no_attack(), rate=0.0, target=0, clean=None)


@functools.cache
def _no_attack() -> MethodSpec[AttackInfo]:
    return resolve_method("attack", NO_ATTACK, Path())


def clean_models(victims: list[Victim], gate: Gate, *, wanted: bool = False) -> dict[str, Victim]:
    """Return the clean model that each victim is compared with, by the victim's key.

    There is one if the study lists the attack ``none``, if an attack needs it, if the gate states a
    margin, or if it is ``wanted``.
    """
    trained = {
        model.key
        for victim in victims
        for model in (victim, victim.clean)
        if model is not None and model.is_clean
    }
    clean = {victim.key: clean_model_of(victim) for victim in victims if not victim.is_clean}
    if wanted or gate.acc_margin is not None:
        return clean
    return {key: model for key, model in clean.items() if model.key in trained}


def imported_clean_models(imported: list[Victim]) -> dict[str, Victim]:
    """Return the clean model that each imported victim is compared with, by the victim's key.

    It is the study's only checkpoint without a trigger on the same data and architecture.
    """
    found: dict[str, Victim] = {}
    for victim in imported:
        alike = {
            other.key: other
            for other in imported
            if other.is_clean and (other.data, other.model) == (victim.data, victim.model)
        }
        if not victim.is_clean and len(alike) == 1:
            found[victim.key] = next(iter(alike.values()))
    return found


def triggers_by_clean_model(victims: list[Victim]) -> dict[str, tuple[Victim, ...]]:
    """Return the victims whose triggers a clean model is evaluated with, by the clean model's key.

    They are, per attack, the one with the highest rate on the same data, model and seed. Victims
    that were trained here and imported ones are asked for apart.
    """
    best: dict[Any, dict[str, Victim]] = {}
    for victim in victims:
        if not victim.is_clean and victim.source.keeps_trigger:
            alike = best.setdefault((victim.data, victim.model, victim.seed), {})
            known = alike.get(victim.attack.label)
            if known is None or victim.poison_rate > known.poison_rate:
                alike[victim.attack.label] = victim
    return {
        clean.key: tuple(best.get((clean.data, clean.model, clean.seed), {}).values())
        for clean in victims
        if clean.is_clean
    }
