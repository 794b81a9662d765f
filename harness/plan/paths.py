"""Paths that a user wrote."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError


def user_path(base: Path, text: str | Path) -> Path:
    """Return an absolute path, from one with ``~``, or one relative to ``base``.

    Symbolic links are resolved.

    Raises:
        UserError: no file system can have it, its links form a loop, or there is no such user.
    """
    try:
        return expanded(base, text).resolve()
    except OSError as error:
        raise UserError(f"not a usable path: {error.strerror}: {_shortened(text)}") from error
    except (RuntimeError, ValueError) as error:  # links in a loop; a NUL
        raise UserError(f"not a usable path: {error}: {_shortened(text)}") from error


def expanded(base: Path, text: str | Path) -> Path:
    """Return a path with ``~``, or one relative to ``base``, from there; nothing is resolved.

    Raises:
        UserError: there is no such user.
    """
    try:
        return base / Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"no such user: {_shortened(text)}") from error


def is_user_file(path: Path) -> bool:
    """Tell whether a path is a regular file; one that no file system can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _shortened(text: str | Path) -> str:
    shown = repr(str(text))
    return shown if len(shown) <= 200 else f"{shown[:100]}... ({len(shown):,} characters)"


def shown_path(path: str) -> str:
    """Return a path as a user may type it here: relative where it lies in this folder."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
