"""What a study names as the target becomes a class of a data set, or all-to-all."""

from __future__ import annotations

import re
from typing import Any

from harness.contract.attack_types import ALL_TO_ALL, Target, all_to_all
from harness.data.info import DataInfo, open_arrays
from harness.errors import UserError, nearest

NAMES_SHOWN = 10


def resolve_target(entry: Any, data: DataInfo) -> Target:
    """Return the target on a data set.

    Args:
        entry: a class by its number or by its name; ``all-to-all``, or with a shift
            ``all-to-all+2``.
        data: the data set.

    Raises:
        UserError: it is none of them, or there is no test image to measure ASR on.
    """
    require_target(entry)
    if isinstance(entry, str) and (shifted := re.fullmatch(rf"{ALL_TO_ALL}(\+\d{{1,9}})?", entry)):
        shift = int(shifted[1] or 1)
        if not 1 <= shift < data.classes:
            raise UserError(f"{data.name}: a shift from 1 to {data.classes - 1} is needed")
        return all_to_all(shift)
    target = _class_number(entry, data)
    if (open_arrays(data).test_labels == target).all():
        raise UserError(
            f"all test images of {data.name} are of class {target}: there is no ASR on them"
        )
    return target


def target_class(target: Target, data: DataInfo) -> str:
    """Return the name of the target class; empty for all-to-all."""
    return data.class_names[target] if isinstance(target, int) else ""


def target_text(target: Target, name: str) -> str:
    """Return a target for readers: ``0 (airplane)``; its name only where it says more."""
    if name in {"", str(target)}:
        return str(target)
    plain = name.isprintable() and not name.isdigit()
    return f"{target} ({name if plain else repr(name)})"


def require_target(entry: Any) -> None:
    """Check what can be checked of a target without a data set.

    Raises:
        UserError: it is neither a number nor a text.
    """
    if isinstance(entry, bool) or not isinstance(entry, int | str):
        raise UserError(f"a class, by number or name, or {ALL_TO_ALL} is needed, not {entry!r}")


def _class_number(entry: int | str, data: DataInfo) -> int:
    if isinstance(entry, str) and data.class_names.count(entry) == 1:
        return data.class_names.index(entry)
    if isinstance(entry, int) and 0 <= entry < data.classes:
        return entry
    hint = nearest(str(entry), [*data.class_names, ALL_TO_ALL]) if isinstance(entry, str) else ""
    if not hint.startswith("; did you mean"):
        hint = f"; {data.name} has the classes 0 to {data.classes - 1}"
        names = [name for number, name in enumerate(data.class_names) if name != str(number)]
        if names:
            hint += f": {', '.join(names[:NAMES_SHOWN])}{', ...' * (len(names) > NAMES_SHOWN)}"
    raise UserError(f"no class of {data.name}: {entry!r}{hint}")
