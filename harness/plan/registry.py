"""Finds methods by file name, and the user's own files by path.

``describe`` reads what a file declares without its heavy imports (torch and the like), so that a
study of any size is planned in under a second. ``load`` imports the file for real.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.contract.attack_types import Poison, TrainingSet, trigger_only
from harness.contract.declare import (
    DECLARATION,
    AttackInfo,
    DefenseInfo,
    MethodInfo,
    ModelInfo,
    NoHyper,
)
from harness.contract.types import Kind
from harness.errors import UserError, nearest, one_line
from harness.plan.apart import MODULE_LEVEL, read_apart
from harness.plan.own_files import (
    modules_of,
    parameter_fault,
    require_importable,
    require_installed,
)
from harness.plan.own_imports import own_digest, own_import
from harness.plan.own_layers import layers_of
from harness.plan.paths import is_user_file, user_path

LIGHT = ("harness.contract",)
"""What a method file really imports while planning, besides the standard library."""
FUNCTIONS = ("trigger", "prepare", "fault")
"""The functions that a declaration may name."""
INFOS: dict[Kind, Any] = {"attack": AttackInfo, "defense": DefenseInfo, "model": ModelInfo}
IMPORT_LIMIT = 60.0
"""Seconds in which a plain architecture is imported, with torch, and built."""
PACKAGES: dict[Kind, str] = {
    "attack": "harness.attacks",
    "defense": "harness.defenses",
    "model": "harness.models",
    "probe": "harness.probes",
}


@dataclass(frozen=True)
class Method:
    """A method, as its file declares it."""

    name: str
    ref: str
    """What ``describe`` and ``load`` find it by: a built-in name, or a file's absolute path."""
    info: Any
    """Its declaration: an AttackInfo, DefenseInfo, ModelInfo or ProbeInfo, as ``kind`` says."""
    hyper: type
    """Its dataclass ``Hyper``; NoHyper if it has none."""
    presets: dict[str, Any]
    """Its ``PRESETS``: instances of ``Hyper`` by name, besides the defaults."""
    version: str
    """The declared version, else the digest of the file."""
    summary: str
    """The first line of the file's docstring."""
    function: Callable[..., Any]
    """The decorated function. It runs only in a loaded method."""

    @property
    def display_name(self) -> str:
        """The name that reports show."""
        return self.info.display_name or self.name


@functools.cache
def folder_of(kind: Kind) -> Path:
    """Return the folder of the built-in methods of a kind."""
    spec = importlib.util.find_spec(PACKAGES[kind])
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]).resolve()


@functools.cache
def program_folders() -> dict[Path, Path]:
    """Return the folders of the program by their paths in an installed package."""
    return {
        Path("harness"): Path(__file__).resolve().parents[1],
        Path("harness/attacks"): folder_of("attack"),
        Path("harness/defenses"): folder_of("defense"),
    }


def program_files() -> dict[Path, Path]:
    """Return every file of the program by its path in an installed package."""
    return {
        package / file.relative_to(folder): file
        for package, folder in program_folders().items()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


@functools.cache
def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of the built-in methods of a kind, sorted."""
    return tuple(
        sorted(path.stem for path in folder_of(kind).glob("*.py") if not path.stem.startswith("_"))
    )


def find(kind: Kind, ref: str, base: Path | None = None) -> Path:
    """Return the file of a method; ``ref`` is a name, or a path ending in .py relative to ``base``.

    Raises:
        UserError: no such method or file; names the nearest.
    """
    file, _ = split_ref(ref)
    if file.endswith(".py"):
        path = user_path(base or Path.cwd(), file)
        if not is_user_file(path):
            raise UserError(f"no file {path}")
        return path
    return _builtin_file(kind, ref)


@functools.cache
def _builtin_file(kind: Kind, ref: str) -> Path:
    if ref not in names(kind):
        raise UserError(f"unknown {kind} {ref!r}{nearest(ref, names(kind))}")
    return folder_of(kind) / f"{ref}.py"


def split_ref(ref: str) -> tuple[str, str | None]:
    """Return the file and the function of ``path/to/file.py:function``, else ``ref`` and None."""
    head, colon, function = ref.rpartition(":")
    return (head, function) if colon and head.endswith(".py") else (ref, None)


def describe(kind: Kind, ref: str, base: Path | None = None) -> Method:
    """Return what a method declares, without its heavy imports.

    Of the user's own files, which run in a process apart, it has neither functions nor ``Hyper``.
    Two kinds of undecorated functions are methods too, as ``path/to/file.py:function``: an
    architecture, ``function(channels, classes)`` that returns a network, and the trigger of an
    imported victim, ``function(images) -> images``.

    Raises:
        UserError: unknown name, missing file, or a file that declares no method of this kind.
    """
    asked = (kind, find(kind, ref, base), split_ref(ref)[1])
    if asked not in _described:
        _described[asked] = _describe(*asked)
    return _described[asked]


_described: dict[tuple[Kind, Path, str | None], Method] = {}


def ask(kind: Kind, ref: str, question: Callable[[Method], Any], base: Path | None = None) -> Any:
    """Return what ``question`` returns of a method.

    A user's own file is asked in a process apart, which tells what ``describe`` needs as well; the
    answer is then JSON values.

    Raises:
        UserError: as ``describe``, and what ``question`` raises.
    """
    path = find(kind, ref, base)
    if not is_own(path) or is_function(ref):
        return question(describe(kind, ref, base))

    def work() -> tuple[Any, dict[str, Any]]:
        method = read_here(kind, path)
        return question(method), _plain(method)

    answer, declared = _read_apart(work, path)
    if kind != "probe":  # of which describe returns the functions too
        _described[kind, path, None] = _declared_elsewhere(kind, declared)
    return answer


def _describe(kind: Kind, path: Path, function: str | None) -> Method:
    if not is_own(path):
        return read_here(kind, path, function)
    if kind == "probe":  # reports call its functions: once it has been read apart, it is read here
        _read_apart(lambda: read_here(kind, path).name, path)
        return read_here(kind, path)
    limit = None if function is None else IMPORT_LIMIT
    declared = _read_apart(lambda: _plain(read_here(kind, path, function)), path, limit)
    return _declared_elsewhere(kind, declared)


def _read_apart(work: Callable[[], Any], path: Path, limit: float | None = None) -> Any:
    """Call ``read_apart`` once the modules of the program are known, which every file asks for."""
    _program_modules()
    return read_apart(work, path, limit)


def read_here(kind: Kind, path: Path, function: str | None = None) -> Method:
    """Run a method file without its heavy imports, in this process; return what it declares."""
    return _method(kind, path, _read_light(path), function)


def is_own(path: Path) -> bool:
    """Tell whether a file is no part of the program, but one of the user's own."""
    return not any(path.resolve().is_relative_to(x) for x in program_folders().values())


def _plain(method: Method) -> dict[str, Any]:
    """Return what a method declares as JSON values, True in place of a function."""
    declared = {field.name: getattr(method.info, field.name) for field in fields(method.info)}
    return {
        **{name: getattr(method, name) for name in ("name", "ref", "version", "summary")},
        "info": {name: True if callable(x) else x for name, x in declared.items()},
    }


def _declared_elsewhere(kind: Kind, plain: dict[str, Any]) -> Method:
    """Return the method of a file that another process has read: its functions are not here."""
    values: dict[str, Any] = {
        name: _not_here if value is True and name in FUNCTIONS else value
        for name, value in plain["info"].items()
    }
    for name in {"layers", "varied"} & values.keys():
        values[name] = tuple(values[name])
    info = INFOS[kind](**values)
    rest = {name: str(plain[name]) for name in ("name", "ref", "version", "summary")}
    return Method(info=info, hyper=NoHyper, presets={}, function=_not_here, **rest)


def _not_here(*_: Any) -> Any:
    raise AssertionError("this function of an own file runs in other processes alone")


def load(kind: Kind, ref: str) -> Method:
    """Import a method for real; ``ref`` as in ``Method.ref``.

    Raises:
        UserError: unknown name, missing file, or a file that declares no method of this kind.
    """
    path = find(kind, ref)
    file, function = split_ref(ref)
    builtin = not file.endswith(".py")
    name = f"{PACKAGES[kind]}.{ref}"
    module = importlib.import_module(name) if builtin else import_file(path)
    return _method(kind, path, module, function)


def is_function(ref: str) -> bool:
    """Tell whether a reference names a plain function: ``path/to/file.py:function``."""
    return split_ref(ref)[1] is not None


def _method(kind: Kind, path: Path, module: ModuleType, function: str | None) -> Method:
    if function is not None:
        return _undecorated(kind, path, module, function)
    declared = [x for x in vars(module).values() if _kind_of(x) == kind]
    if len(declared) != 1:
        raise UserError(
            f"{path}: one function decorated with @{kind} is needed, found {len(declared)}"
        )
    info: MethodInfo = getattr(declared[0], DECLARATION)
    hyper = getattr(module, "Hyper", NoHyper)
    return Method(
        name=path.stem,
        ref=path.stem if path.parent == folder_of(kind) else str(path),
        info=info,
        hyper=hyper,
        presets=getattr(module, "PRESETS", {}),
        version=_file_version(path) if info.version is None else str(info.version),
        summary=_first_line(module),
        function=declared[0],
    )


def _undecorated(kind: Kind, path: Path, module: ModuleType, name: str) -> Method:
    """Return the method of a plain function: an architecture, or an imported victim's trigger."""
    if kind not in {"attack", "model"}:
        raise UserError(
            f"{path}:{name}: only an architecture or a trigger can be a plain function; "
            f"drop ':{name}'"
        )
    function = getattr(module, name, None)
    if not callable(function):
        known = [name for name, x in vars(module).items() if inspect.isfunction(x)]
        raise UserError(f"{path}: no function {name!r}{nearest(name, known)}")
    parameters = ("images",) if kind == "attack" else ("channels", "classes")
    if fault := parameter_fault(function, parameters):
        raise UserError(f"{path}: {fault}")

    def trigger(images: Any, state: Any) -> Any:
        return function(images)

    def poison_nothing(train: TrainingSet, *_: Any) -> Poison:
        return trigger_only(train, {})

    def network(channels: int, classes: int, hyper: NoHyper) -> Any:
        return function(channels, classes)

    attack = kind == "attack"
    return Method(
        name=name,
        ref=f"{path}:{name}",
        info=AttackInfo(paper="", year=0, trigger=trigger)
        if attack
        else _seen_in_network(path, name, own_digest(path)),
        hyper=NoHyper,
        presets={},
        version=_file_version(path),
        summary=_first_line(function),
        function=poison_nothing if attack else network,
    )


@functools.cache
def _seen_in_network(path: Path, function: str, digest: str) -> ModelInfo:
    """Return the declaration of a plain architecture: the layers that its network has."""

    def build(channels: int, classes: int) -> Any:
        return getattr(import_file(path), function)(channels, classes)

    layers = layers_of(build)
    info = ModelInfo(paper="", year=0)
    return info if layers is None else replace(info, layers=layers)


def _file_version(path: Path) -> str:
    return f"sha256:{own_digest(path)[:16]}"


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _kind_of(value: object) -> Kind | None:
    info = getattr(value, DECLARATION, None)
    return info.kind if isinstance(info, MethodInfo) else None


def import_file(path: Path) -> ModuleType:
    """Import one of the user's own files, and what it imports from its folder.

    The same contents are imported once.

    Raises:
        UserError: not a Python file.
    """
    name = f"defuse_own_{path.stem}_{own_digest(path)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import_of_own}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SystemExit):
            raise UserError(f"{path}{_line_in(path, error)}: {_ended(error)}") from error
        raise
    return module


def _import_of_own(
    name: str, globals_: Any = None, locals_: Any = None, wanted: Any = (), level: int = 0
) -> Any:
    """Import for an own file: what lies beside it goes before what is installed."""
    file = _own_file(globals_, name, level)
    if file is not None:
        return import_file(file)
    return __import__(name, globals_, locals_, wanted, level)


def _own_file(globals_: Any, name: str, level: int) -> Path | None:
    own = (globals_ or {}).get("__file__")
    return None if own is None or level else own_import(Path(own), name)


class _ImportStub:
    """Replaces a heavy import: it can be named, called as a decorator and subclassed, no more."""

    def __getattr__(self, name: str) -> _ImportStub:
        return self

    def __getitem__(self, item: object) -> _ImportStub:
        return self

    __iter__ = None
    """There are no elements: a loop over it would never end."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


def _light_import(
    name: str, globals_: Any = None, locals_: Any = None, wanted: Any = (), level: int = 0
) -> Any:
    if name.partition(".")[0] in sys.stdlib_module_names or name in LIGHT:
        return __import__(name, globals_, locals_, wanted, level)
    return _ImportStub()


def _light_import_of_own(
    name: str, globals_: Any = None, locals_: Any = None, wanted: Any = (), level: int = 0
) -> Any:
    """Import as ``_light_import``; a module or a name that does not exist is an error here."""
    if (file := _own_file(globals_, name, level)) is not None:
        return _reading.get(file) or _read_light(file)
    if level == 0 and name.partition(".")[0] == "harness":
        require_importable(name, tuple(wanted or ()), _program_modules())
    elif level == 0:
        require_installed(name)
    return _light_import(name, globals_, locals_, wanted, level)


@functools.cache
def _program_modules() -> dict[str, Path]:
    return modules_of(program_files())


_reading: dict[Path, ModuleType] = {}
"""The files that are being read now: two may import each other."""


def _read_light(path: Path) -> ModuleType:
    """Run a method file with stubs for all imports but the standard library and LIGHT."""
    module = ModuleType(f"defuse_declared_{path.stem}_{abs(hash(path))}")
    import_ = _light_import_of_own if is_own(path) else _light_import
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_}
    module.__file__ = str(path)
    # dataclasses and pydantic look up a class's module here
    sys.modules[module.__name__] = module
    _reading[path] = module
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    except BaseException as error:  # whatever the user's file raises becomes one readable line
        raise UserError(f"{path}{_line_in(path, error)}: {_ended(error)} {MODULE_LEVEL}") from error
    finally:
        del _reading[path]
    return module


def _ended(error: BaseException) -> str:
    """Return the type and the message of an error that ended the reading of a file."""
    text = one_line(error)
    return f"the file ends the program: {text}" if isinstance(error, SystemExit) else text


def _line_in(path: Path, error: BaseException) -> str:
    """Return ``:line`` of the last traceback entry in the file; empty without one."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
