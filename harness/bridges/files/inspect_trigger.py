"""Checks at planning that the trigger of a checkpoint, a function of the user's own, works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bridges.files.inspection_cache import cached_inspection
from harness.errors import UserError
from harness.plan.apart import read_apart
from harness.plan.registry import IMPORT_LIMIT, find

if TYPE_CHECKING:
    from harness.contract import AttackInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def require_trigger(attack: MethodSpec[AttackInfo], data: DataInfo, cache: Path) -> None:
    """Put the trigger on two black images of a data set, once, in a process apart.

    Raises:
        UserError: it fails, or makes something else than images of the same shape.
    """
    path = find("attack", attack.ref)
    cached_inspection(
        [path],
        ["trigger", attack.ref, attack.identity, list(data.shape)],
        cache,
        lambda: read_apart(lambda: _try(attack, data), path, IMPORT_LIMIT),
    )


def _try(attack: MethodSpec[AttackInfo], data: DataInfo) -> dict[str, Any]:
    import torch

    from harness.toolbox.predict import apply_trigger

    torch.set_num_threads(1)  # a fork has none of the threads of its parent
    trigger = attack.load().info.trigger
    images = torch.zeros(2, *data.shape, dtype=torch.uint8)
    try:
        apply_trigger(images, lambda chunk: trigger(chunk, {}))
    except Exception as error:  # whatever a file of the user raises
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{attack.name} fails on images of {data.name}: {text}") from error
    return {}
