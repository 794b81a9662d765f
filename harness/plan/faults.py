"""Asks an attack why its trigger can't be put on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.plan.apart import read_apart
from harness.plan.registry import find, is_own, read_here
from harness.plan.validation import validate

if TYPE_CHECKING:
    from harness.contract import AttackInfo
    from harness.plan.spec import MethodSpec


def fault_of(attack: MethodSpec[AttackInfo], shape: tuple[int, int, int]) -> str | None:
    """Return why an attack says that its trigger can't be put on images (C, H, W), else None.

    Raises:
        UserError: of an own file: it ends or hangs its process.
    """
    path = find("attack", attack.ref)

    def ask() -> str | None:
        method = read_here("attack", path)
        reason: str | None = method.info.fault(validate(method.hyper, attack.hyper), shape)
        return reason

    return read_apart(ask, path) if is_own(path) else ask()
