"""What the process of an own defense may still open: Python, its own file, a folder to work in."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from harness.execution.own import landlock
from harness.plan.own_imports import imported_modules
from harness.plan.registry import program_folders

INSTALLED = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share")
"""The folders of an installation: of the system, and of Python."""
PACKAGES = ("site-packages", "dist-packages")
"""How folders are called that packages are installed in."""
SYSTEM = ("/etc", "/sys", "/usr/local/cuda", "/proc/driver", "/proc/sys")
OF_ALL = ("cpuinfo", "meminfo", "stat", "version")
OF_ITSELF = ("maps", "smaps", "stat", "statm", "status", "limits", "cgroup", "mounts", "fd")
"""What it may read in ``/proc``: of the machine, and of itself alone."""
DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "nvidia*", "kfd", "dri")
"""What it may use in ``/dev``; the semaphores of Python's processes are in ``shm``."""


def held() -> str:
    """Return what keeps an own defense apart on this machine, as its record says it."""
    return ", ".join(("process", *landlock.closed()))


def confine(own: Path, work: Path, file: Path) -> None:
    """Close the files of the machine to this process, as far as its kernel can.

    Args:
        own: a folder that may be read: the method's file, and the files that it is given.
        work: the folder in which it may do anything.
        file: the method's file; it and what it imports may read their packages wherever these are.
    """
    process = Path("/proc/self").resolve()
    readable = [
        own,
        *_installation(),
        *(Path("/proc", name) for name in OF_ALL),
        *(process / name for name in OF_ITSELF),
    ]
    elsewhere = _imported_elsewhere([file], readable)
    readable += [folder for spec in elsewhere.values() for folder in _folders(spec)]
    devices = [device for name in DEVICES for device in Path("/dev").glob(name)]
    sys.meta_path.insert(0, _Found(elsewhere))  # their folders can't be listed any more
    landlock.restrict(readable, [work, *devices, process / "clear_refs"])


def _installation() -> list[Path]:
    """Return the folders of the system, of Python with its packages, and of this program."""
    roots = (Path("/"), Path("/usr"), Path("/usr/local"), Path(sys.prefix), Path(sys.base_prefix))
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return [
        *(root / folder for root in roots for folder in INSTALLED),
        *map(Path, SYSTEM),
        *(Path(folder) for folder in sys.path if Path(folder).name in PACKAGES),
        *(Path(folder) for folder in libraries if folder),
        *program_folders().values(),
    ]


def _imported_elsewhere(files: list[Path], readable: Sequence[Path]) -> dict[str, ModuleSpec]:
    """Return the modules outside of folders that files import, directly or through each other."""
    found: dict[str, ModuleSpec] = {}
    asked: set[str] = set()
    known = [folder.resolve() for folder in readable]
    to_read = list(files)
    while to_read:
        for module in imported_modules(to_read.pop()):
            name = module.partition(".")[0]
            spec = None if name in asked else _spec(name)
            asked.add(name)
            folders = [] if spec is None else _folders(spec)
            if spec is not None and not all(_is_below(folder, known) for folder in folders):
                found[name] = spec
                to_read += [file for folder in folders for file in _sources(folder)]
    return found


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _folders(spec: ModuleSpec) -> list[Path]:
    """Return the folders of a package, or the file of a module; nothing for a built-in one."""
    if spec.submodule_search_locations is not None:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin is not None else []


def _sources(path: Path) -> Iterable[Path]:
    return path.rglob("*.py") if path.is_dir() else [path]


def _is_below(path: Path, folders: list[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in folders)


class _Found:
    """Finds modules that were looked up before."""

    def __init__(self, specs: dict[str, ModuleSpec]) -> None:
        self._specs = specs

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Return a module's spec, or None for another finder to look."""
        return self._specs.get(name)
