"""Finds methods by file name, and users' own files by path.

``describe`` reads what a file declares without running its imports of torch and the like, so that a
study of any size is planned in under a second; ``load`` imports the file for real.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.contract import (
    DECLARATION,
    AttackInfo,
    Kind,
    MethodInfo,
    ModelInfo,
    NoHyper,
    trigger_only,
)
from harness.errors import UserError, nearest
from harness.plan.keys import file_digest

LIGHT = ("harness.contract",)
"""What a method file may import that is run even while planning: declarations alone."""
PACKAGES: dict[Kind, str] = {
    "attack": "harness.attacks",
    "defense": "harness.defenses",
    "model": "harness.models",
}


@dataclass(frozen=True)
class Method:
    """A method as its file declares it."""

    name: str
    ref: str
    """What finds it again: the name of one of ours, else the absolute path of a file."""
    info: Any
    """Its declaration: an AttackInfo, DefenseInfo or ModelInfo, as ``kind`` says."""
    hyper: type
    version: str
    summary: str
    function: Callable[..., Any]

    @property
    def display_name(self) -> str:
        """The name that reports show."""
        return self.info.display_name or self.name


@functools.cache
def folder_of(kind: Kind) -> Path:
    """Return the folder of the methods that come with the project."""
    spec = importlib.util.find_spec(PACKAGES[kind])
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]).resolve()


def program_files() -> dict[Path, Path]:
    """Return every file of the program, by its path in an installed package."""
    harness = Path(__file__).resolve().parents[1]
    folders = {
        Path("harness"): harness,
        Path("harness/attacks"): folder_of("attack"),
        Path("harness/defenses"): folder_of("defense"),
    }
    return {
        package / file.relative_to(folder): file
        for package, folder in folders.items()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


@functools.cache
def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all methods of a kind that come with the project, sorted."""
    return tuple(
        sorted(path.stem for path in folder_of(kind).glob("*.py") if not path.stem.startswith("_"))
    )


def find(kind: Kind, ref: str, base: Path | None = None) -> Path:
    """Return the file of a method: ``ref`` is a name, or a path ending in .py, relative to ``base``.

    Raises:
        UserError: no such method or file; names the nearest.
    """
    file, _ = _parted(ref)
    if file.endswith(".py"):
        path = ((base or Path.cwd()) / Path(file).expanduser()).resolve()
        if not path.is_file():
            raise UserError(f"no file {path}")
        return path
    return _ours(kind, ref)


@functools.cache
def _ours(kind: Kind, ref: str) -> Path:
    if ref not in names(kind):
        raise UserError(f"unknown {kind} {ref!r}{nearest(ref, names(kind))}")
    return folder_of(kind) / f"{ref}.py"


def _parted(ref: str) -> tuple[str, str | None]:
    """Return file and function of ``path/to/file.py:function``; any other reference names no function."""
    head, colon, function = ref.rpartition(":")
    return (head, function) if colon and head.endswith(".py") else (ref, None)


def describe(kind: Kind, ref: str, base: Path | None = None) -> Method:
    """Return what a method declares, without importing torch.

    An architecture may also be ``path/to/file.py:function``, an undecorated ``function(channels,
    classes)`` that returns a network; the trigger of a foreign victim likewise, ``function(images)
    -> images``.

    Raises:
        UserError: unknown name, missing file, or a file that declares no method of this kind.
    """
    return _describe(kind, find(kind, ref, base), _parted(ref)[1])


@functools.cache
def _describe(kind: Kind, path: Path, factory: str | None) -> Method:
    module = _read_light(path)
    return _method(kind, path, module) if factory is None else _plain(kind, path, module, factory)


def load(kind: Kind, ref: str) -> Method:
    """Import a method for real; ``ref`` as in ``Method.ref``.

    Raises:
        UserError: unknown name, missing file, or a file that declares no method of this kind.
    """
    path = find(kind, ref)
    file, factory = _parted(ref)
    own = file.endswith(".py")
    module = _import_file(path) if own else importlib.import_module(f"{PACKAGES[kind]}.{ref}")
    return _method(kind, path, module) if factory is None else _plain(kind, path, module, factory)


def is_function(ref: str) -> bool:
    """Tell whether a reference names a plain function: ``path/to/file.py:function``."""
    return _parted(ref)[1] is not None


def _plain(kind: Kind, path: Path, module: ModuleType, factory: str) -> Method:
    """Return an architecture, or the trigger of a foreign victim, that is a plain function of its file."""
    build = getattr(module, factory, None)
    if kind == "defense":
        raise UserError(
            f"{path}:{factory}: only an architecture or a trigger can be a plain function; drop ':{factory}'"
        )
    if not callable(build):
        known = [name for name, x in vars(module).items() if inspect.isfunction(x)]
        raise UserError(f"{path}: no function {factory!r}{nearest(factory, known)}")
    return Method(
        name=factory,
        ref=f"{path}:{factory}",
        info=AttackInfo(paper="", year=0, trigger=lambda images, state: build(images))
        if kind == "attack"
        else ModelInfo(paper="", year=0),
        hyper=NoHyper,
        version=f"sha256:{file_digest(path)[:16]}",
        summary=(inspect.getdoc(build) or "").partition("\n")[0],
        function=(lambda train, *_: trigger_only(train, {}))
        if kind == "attack"
        else lambda inputs, classes, hyper: build(inputs, classes),
    )


def _method(kind: Kind, path: Path, module: ModuleType) -> Method:
    marked = [
        x for x in vars(module).values() if isinstance(getattr(x, DECLARATION, None), MethodInfo)
    ]
    ours = [x for x in marked if getattr(x, DECLARATION).kind == kind]
    if len(ours) != 1:
        raise UserError(f"{path}: one function decorated with @{kind} is needed, found {len(ours)}")
    info: MethodInfo = getattr(ours[0], DECLARATION)
    builtin = path.parent == folder_of(kind)
    return Method(
        name=path.stem,
        ref=path.stem if builtin else str(path),
        info=info,
        hyper=getattr(module, "Hyper", NoHyper),
        version=f"sha256:{file_digest(path)[:16]}" if info.version is None else str(info.version),
        summary=(inspect.getdoc(module) or "").partition("\n")[0],
        function=ours[0],
    )


def _import_file(path: Path) -> ModuleType:
    name = f"defuse_own_{path.stem}_{file_digest(path)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class _ImportStub:
    """Stands where a heavy import would be: it can be named, decorated with and subclassed, no more."""

    def __getattr__(self, name: str) -> _ImportStub:
        return self

    def __getitem__(self, item: object) -> _ImportStub:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


def _light_import(name: str, *args: Any, **kwargs: Any) -> Any:
    if name.partition(".")[0] in sys.stdlib_module_names or name in LIGHT:
        return __import__(name, *args, **kwargs)
    return _ImportStub()


def _read_light(path: Path) -> ModuleType:
    """Run a method file with every import but the standard library and the contract left out."""
    module = ModuleType(f"defuse_declared_{path.stem}_{abs(hash(path))}")
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _light_import}
    module.__file__ = str(path)
    sys.modules[module.__name__] = (
        module  # where dataclasses and pydantic look up a class's own names
    )
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    except (
        Exception
    ) as error:  # the file is the user's: whatever it raises is its fault, told in one line
        place = _line_in(path, error)
        raise UserError(
            f"{path}{place}: {type(error).__name__}: {error} "
            "(at module level a method file only declares; work belongs inside its functions)"
        ) from error
    return module


def _line_in(path: Path, error: BaseException) -> str:
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
