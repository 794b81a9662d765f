"""Files that a user's own method imports from its folder: they are part of its version."""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path

from harness.plan.keys import file_digest


def own_import(path: Path, module: str) -> Path | None:
    """Return the file of a module in the folder of an own method file, if there is one."""
    if "." in module or module == "harness" or module in sys.stdlib_module_names:
        return None
    file = path.parent / f"{module}.py"
    return file if file.is_file() else None


def own_imports(path: Path) -> list[Path]:
    """Return the files of its folder that a method file imports, directly or through each other."""
    found: list[Path] = []
    to_read = [path]
    while to_read:
        for module in imported_modules(to_read.pop()):
            file = own_import(path, module)
            if file is not None and file != path and file not in found:
                found.append(file)
                to_read.append(file)
    return sorted(found)


def own_digest(path: Path) -> str:
    """Return the digest, in hexadecimal, of a method file and of what it imports from its folder.

    That of a file that imports nothing there is the digest of its bytes.
    """
    imported = own_imports(path)
    if not imported:
        return file_digest(path)
    digests = [file_digest(path), *(f"{file.name} {file_digest(file)}" for file in imported)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def imported_modules(path: Path) -> list[str]:
    """Return the names of the modules that a file imports, with dots, relative ones left out."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # reported where the file is run
        return []
    modules: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.append(node.module)
    return modules
