"""From a study's attacks to its victims: each attack's rates, the clean models, and what no attack can do."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.contract import Recipe, Target, poison_count
from harness.data.info import DataInfo
from harness.errors import UserError
from harness.plan.entries import EntryErrors, checked, method_choice, split
from harness.plan.gate import Gate
from harness.plan.registry import Method, is_function
from harness.plan.spec import (
    NO_ATTACK,
    MethodSpec,
    Victim,
)
from harness.study.schema import Rates


@dataclass(frozen=True, kw_only=True)
class AttackRates:
    """The one key of an attack's entry that is no hyperparameter."""

    rates: Rates


@dataclass(frozen=True)
class PlannedAttack:
    """An attack of a study, and the rates that it is tried at."""

    choice: MethodSpec
    method: Method
    rates: list[float]

    def fault(self, data: DataInfo, target: Target) -> str | None:
        """Return why the attack can't be made on a data set, else None."""
        name, about = self.choice.name, self.method.about
        if name == NO_ATTACK:
            return None
        if target == "all-to-all" and not about.all_to_all:
            return f"{name} sends all classes to one target; it has no all-to-all form"
        total = sum(data.train_counts)
        held = data.train_counts[target] if about.clean_label and isinstance(target, int) else total
        among = held if self.choice.hyper.get("rate_of") == "class" else total
        where = f"class {target}" if about.clean_label else "the training set"
        for rate in self.rates:
            if poison_count(rate, among) > held:
                return (
                    f"{name} at rate {rate:g} poisons {poison_count(rate, among)} samples, but {where} of "
                    f"{data.name} has {held}; the largest possible rate is {_largest(held, among)} "
                    f"or {held} samples"
                )
        return None


def _largest(held: int, among: int) -> str:
    """Return the largest share that comes to no more than ``held`` samples, with four digits."""
    return f"{math.floor(10_000 * held / among) / 10_000:g}"


class TrainingSetup(NamedTuple):
    """What attacks are made on: one data set, architecture and recipe, once per seed."""

    data: DataInfo
    model: MethodSpec
    recipe: Recipe
    recipe_name: str
    seeds: list[int]


def all_victims(
    grounds: list[TrainingSetup], attacks: list[PlannedAttack], target: Target
) -> list[Victim]:
    """Return every victim of a study, in order of its file."""
    victims = []
    for (info, model, recipe, name, seeds), attack in itertools.product(grounds, attacks):
        for rate, seed in itertools.product(attack.rates, seeds):
            victim = Victim(info, model, recipe, name, attack.choice, rate, target, seed)
            if attack.method.about.clean_model:
                victim = replace(victim, clean=clean_of(victim))
            victims.append(clean_of(victim) if victim.is_clean else victim)
    return victims


def planned_attack(entry: Any, shared: list[float], base: Path) -> PlannedAttack:
    """Resolve an entry of ``attacks``; files are relative to ``base``.

    Raises:
        UserError: not an entry, or no such attack.
        FaultsError: its rates or overrides are wrong.
    """
    rest, rates = _without_rates(entry, shared)
    if is_function(split(rest)[0]):
        raise UserError(
            "a plain function is the trigger of a checkpoint under 'victims', but no attack"
        )
    choice, method = method_choice("attack", rest, base)
    return PlannedAttack(choice, method, rates)


def _without_rates(entry: Any, shared: list[float]) -> tuple[Any, list[float]]:
    """Return an attack's entry without its own ``rates``, and the rates that it is tried at."""
    name, overrides = split(entry)
    if name == NO_ATTACK:
        return entry, [0.0]
    if "rates" not in overrides:
        return entry, shared
    own, faults = checked(AttackRates, {"rates": overrides["rates"]})
    if own is not None and len(set(own.rates)) < len(own.rates):
        faults = [(("rates",), "one rate stands twice")]
    if faults:
        raise EntryErrors([((name, *place), f"{name}: {text}") for place, text in faults])
    rest = {key: value for key, value in overrides.items() if key != "rates"}
    return ({name: rest} if rest else name), own.rates


def clean_of(victim: Victim) -> Victim:
    """Return the clean model of a victim's data, architecture, recipe and seed."""
    choice, _ = method_choice("attack", NO_ATTACK, Path())
    return replace(victim, attack=choice, rate=0.0, target=0, clean=None)


def clean_models(victims: list[Victim], gate: Gate) -> dict[str, Victim]:
    """Return the clean model that each victim is held against, by the victim's key, where there is one.

    There is one when the study lists the attack ``none``, when an attack needs it, or when the gate
    states a margin.
    """
    trained = {
        x.key for victim in victims for x in (victim, victim.clean) if x is not None and x.is_clean
    }
    found = {victim.key: clean_of(victim) for victim in victims if not victim.is_clean}
    return {key: x for key, x in found.items() if gate.acc_margin is not None or x.key in trained}


def triggers_for(victim: Victim, victims: list[Victim]) -> tuple[Victim, ...]:
    """Return whose triggers score a clean model: of every attack on the same terms, the highest rate."""
    chosen: dict[str, Victim] = {}
    for other in victims:
        alike = (other.data, other.model, other.seed) == (victim.data, victim.model, victim.seed)
        best = chosen.get(other.attack.label)
        if alike and not other.is_clean and (best is None or other.share > best.share):
            chosen[other.attack.label] = other
    return tuple(chosen.values())
