"""Checks at planning that the trigger of a checkpoint, a function of the user's own, works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.bridges.files.inspection_cache import try_once
from harness.errors import UserError, one_line
from harness.plan.registry import find

if TYPE_CHECKING:
    from harness.contract import AttackInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def require_trigger(attack: MethodSpec[AttackInfo], data: DataInfo, cache: Path) -> None:
    """Put the trigger on two black images of a data set, once, in a process apart.

    Raises:
        UserError: it fails, or makes something else than images of the same shape.
    """
    arguments = ["trigger", attack.ref, attack.identity, list(data.shape)]
    try_once(find("attack", attack.ref), arguments, cache, lambda: _try(attack, data))


def _try(attack: MethodSpec[AttackInfo], data: DataInfo) -> None:
    import torch

    from harness.toolbox.predict import apply_trigger

    trigger = attack.load().info.trigger
    images = torch.zeros(2, *data.shape, dtype=torch.uint8)
    try:
        apply_trigger(images, lambda chunk: trigger(chunk, {}))
    except Exception as error:  # whatever a file of the user raises
        reason = one_line(error)
        raise UserError(f"{attack.name} fails on images of {data.name}: {reason}") from error
