"""One word for one thing: words to avoid, names with two meanings, lines that are too long."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "attacks", "defenses")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md", "*.yaml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if "golden" not in name
)

WORDS = {
    "anew": "again",
    "at hand": "cached, given",
    "c[oa]mes? to": "is, gives, needs",
    "duels?": "comparison",
    "foreign": "imported",
    "foreseen": "estimated",
    "for ever": "without end",
    "h[eo]ld(s|ing)?( [a-z'`-]+){0,7} against": "compare, check",
    "leavings": "leftover files",
    "mend(s|ed)?": "fix",
    "of late": "in the last minutes",
    "seats?": "worker process",
    "so many": "a number, or: at most",
    "stillborn": "failed to start",
    "to be had": "available",
    "told": "passed, reported",
    "wish(es|ed)?": "selection, request",
}
"""Patterns of words that stand for a plain term, and what to write."""
NAMES = {"beside", "fallen", "mate", "mates", "theirs"}
"""Words that a text may use, but that name nothing."""
OWN_NAMES = {"Hyper", "draw", "main"}
"""Names that every method, figure or program defines for itself."""
ALIAS = re.compile(r"_?[A-Z][A-Za-z]*[a-z][A-Za-z]*")
"""The name of a type, as opposed to a constant or a type variable."""


def text_of(path: Path) -> str:
    """Return a file's text with names as words: ``BestText`` and ``best_text`` as two each."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", text).replace("_", " ")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_texts_use_the_plain_term():
    avoid = []
    for path in [*MODULES, *PAGES]:
        text = text_of(path)
        for pattern, instead in WORDS.items():
            gap = r"[\s#]+"
            words = rf"\b{pattern.replace(' ', gap)}\b"
            for match in re.finditer(words, text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                word = " ".join(match[0].split())
                avoid.append(f"{relative(path)}:{line}: {word!r}; write: {instead}")
    assert not avoid, "\n" + "\n".join(avoid)


def test_names_say_what_they_hold():
    avoid = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for field in ("id", "arg", "attr", "name"):
                name = getattr(node, field, None)
                if isinstance(name, str) and NAMES & set(name.lower().split("_")):
                    avoid.append(f"{relative(path)}:{node.lineno}: {name}")
    assert not avoid, "\n" + "\n".join(avoid)


def test_descriptions_name_what_they_describe():
    dangling = [
        f"{relative(path)}:{node.lineno}: {node.value.value}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and str(node.value.value).startswith("Of ")
    ]
    assert not dangling, "\n" + "\n".join(dangling)


def test_no_line_of_code_is_longer_than_100_columns():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.*")]
    code = [path for path in files if path.suffix in {".py", ".js", ".css", ".html"}]
    long = [
        f"{relative(path)}:{number}"
        for path in code
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]
    assert not long, "\n".join(long)


def definitions(path: Path) -> Iterator[str]:
    """Yield the classes, type aliases and public functions that a module defines.

    Functions with a decorator are left out: they are commands, methods, figures and tables, which
    are named by the user or by their file.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name, decorator_list=[]) if not name.startswith("_"):
                yield name
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
                continue
            case ast.Assign(targets=[ast.Name(id=name)]) if ALIAS.fullmatch(name):
                yield name


def test_a_name_of_the_harness_means_one_thing():
    where = defaultdict(list)
    for path in (ROOT / "harness").rglob("*.py"):
        for name in set(definitions(path)) - OWN_NAMES:
            where[name].append(relative(path))
    twice = [
        f"{name}: {', '.join(sorted(paths))}" for name, paths in where.items() if len(paths) > 1
    ]
    assert not twice, "\n" + "\n".join(sorted(twice))
