"""Malformed studies, made from a valid one: each must be refused in clear lines within seconds.

``python -m tests.campaign`` plans them all.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError
from harness.plan.study import Study
from tests.campaign.outcome import AcceptedInSilence, Case
from tests.helpers import tiny_study

STUDY = {
    **tiny_study.SMALL,
    "attacks": ["badnets", {"blended": {"alpha": 0.2}}],
    "rates": [0.1],
    "target": 0,
    "gate": {"asr": 0.5},
    "skip": [{"defense": "ft", "spc": 2, "reason": "slow"}],
    "timeout": 60,
    "name": "small",
    "figures": ["spread"],
}
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**64,
    10**400,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x" * 5000,
    "inf",
    "9" * 5000,
    "~nouser/x",
    "./" + "y" * 300 + ".py",
    "../" * 2000 + "x.py",
    "a\0b",
    "/dev/null",
    "loop.py",
    ".",
    "\u202e\U0001f600",
    [],
    {},
    [[[[]]]],
    {"a": {"b": {"c": []}}},
    {1: 2},
    {None: None},
    ["badnets"] * 3,
    {"badnets": [1]},
    {"path": "x", "hub": "y"},
]
TEXTS = {
    "date": "seeds: [2026-01-01]",
    "time": "name: 2026-01-01 10:00:00",
    "wrong tag": "seeds: [!!int abc]",
    "foreign tag": "seeds: !!python/object/apply:os.system [echo]",
    "set": "seeds: !!set {1, 2}",
    "binary": "name: !!binary aGVsbG8=",
    "long integer": f"seeds: [{'9' * 5000}]",
    "recursive list": "seeds: &a [*a]",
    "recursive mapping": "seeds: &a {b: *a}",
    "bomb": "\n".join(
        ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
    ),
    "nesting": "seeds: " + "[" * 3000 + "]" * 3000,
    "nested mappings": "seeds: " + "{a: " * 3000 + "1" + "}" * 3000,
    "chain of aliases": "\n".join(
        ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 200))]
    ),
    "10 MB": "seeds: [" + "1, " * 3_500_000 + "1]",
    "500 kB of values": "seeds: [" + "1," * 240_000 + "1]",
    "half a character": 'name: "\\ud800"',
    "a key that is a list": "? [1, 2]\n: 3",
    "two documents": "---\nseeds: [0]\n---\nseeds: [1]",
    "a tab": "\tseeds: [0]",
    "control characters": "name: \x07",
    "an alias of nothing": "seeds: *nothing",
    "infinite rate": "rates: [.inf]",
    "merge": "gate: {<<: [1, 2]}",
}


def cases(number: int, seed: int = 0) -> Iterator[Case]:
    """Yield cases: the texts, then random changes of the valid study, up to ``number`` in all."""
    whole = yaml.safe_dump(STUDY)
    for what, text in list(TEXTS.items())[:number]:
        key = text.partition(":")[0]
        rest = yaml.safe_dump({name: x for name, x in STUDY.items() if name != key})
        separate = what in {"two documents", "a tab"}
        whole_text = text if separate else rest + text
        yield Case(f"study: {what}", partial(_attempt, whole_text), True)
    draw = random.Random(seed)
    for _ in range(number - len(TEXTS)):
        study = copy.deepcopy(STUDY)
        change = draw.choice([_other_value, _other_value, _misspelt_key, _nested, _repeated])
        what = change(study, draw)
        try:
            text = yaml.safe_dump(study, allow_unicode=draw.random() < 0.5)
        except ValueError:  # an integer that Python does not write
            text = f"{whole}\nseeds: [{'9' * 5000}]"
        # what is said twice says nothing else, nor does a list of one value of a hyperparameter
        again = change is _repeated or what.startswith("1 deeper") or study == STUDY
        yield Case(f"study: {what}", partial(_attempt, text, again=again), True)


def _parent(study: Any, place: tuple[Any, ...]) -> Any:
    for part in place[:-1]:
        study = study[part]
    return study


def _other_value(study: Any, draw: random.Random) -> str:
    place = draw.choice(list(_places(study)))
    _parent(study, place)[place[-1]] = copy.deepcopy(draw.choice(VALUES))
    return f"another value at {place}"


def _misspelt_key(study: Any, draw: random.Random) -> str:
    place = draw.choice([x for x in _places(study) if isinstance(x[-1], str)])
    parent, key = _parent(study, place), place[-1]
    at = draw.randrange(len(key))
    wrong = draw.choice(
        [key[:at] + key[at + 1 :], key[:at] + "q" + key[at:], key.upper(), key * 99]
    )
    parent[wrong] = parent.pop(key)
    return f"{wrong[:40]!r} instead of {place}"


def _nested(study: Any, draw: random.Random) -> str:
    place = draw.choice(list(_places(study)))
    parent, depth = _parent(study, place), draw.choice([1, 2, 40])
    for _ in range(depth):
        value = parent[place[-1]]
        parent[place[-1]] = draw.choice([[value], {"x": value}])
    return f"{depth} deeper at {place}"


def _repeated(study: Any, draw: random.Random) -> str:
    place = draw.choice([x for x in _places(study) if isinstance(x[-1], int)])
    parent, number = _parent(study, place), draw.choice([2, 5000])
    parent.extend([parent[place[-1]]] * number)
    return f"{number} times {place}"


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, child in items:
        yield (*place, key)
        yield from _places(child, (*place, key))


def _plan(text: str, folder: Path) -> Study:
    path = folder / "case.yaml"
    (folder / "loop.py").symlink_to("loop.py")
    path.write_text(text, encoding="utf-8", errors="replace")
    return tiny_study.load(path)


def _attempt(text: str, folder: Path, *, again: bool = False) -> None:
    """Plan a study.

    Raises:
        UserError: it is refused.
        AcceptedInSilence: it is accepted, but planned as if nothing had been changed.
        AssertionError: a line of the refusal does not name the file.
    """
    try:
        study = _plan(text, folder)
    except UserError as error:
        assert all("case.yaml" in line for line in str(error).splitlines()), error
        raise
    (folder / "valid").mkdir()
    if not again and _seen(study) == _seen(_plan(yaml.safe_dump(STUDY), folder / "valid")):
        raise AcceptedInSilence(text)


def _seen(study: Study) -> str:
    """Return what a study has become, without its path."""
    return repr(replace(study, path=""))
