"""Checks at planning that an architecture takes the images of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.bridges.files.inspection_cache import try_once
from harness.errors import UserError, one_line
from harness.plan.registry import find, is_own

if TYPE_CHECKING:
    from harness.contract import ModelInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def require_network(model: MethodSpec[ModelInfo], data: DataInfo, cache: Path) -> None:
    """Check the size of the images; try a network of the user's own, once, in a process apart.

    Args:
        model: the architecture.
        data: the data set.
        cache: the folder of cached inspections.

    Raises:
        UserError: the images are too small, or the network can't be built or fails on them.
    """
    _, height, width = data.shape
    least = model.info.least_size
    if min(height, width) < least:
        raise UserError(
            f"{model.name} takes images of {least}x{least} or more; those of {data.name} are "
            f"{height}x{width}"
        )
    path = find("model", model.ref)
    if is_own(path):
        arguments = ["network", model.identity, data.classes, list(data.shape)]
        try_once(path, arguments, cache, lambda: _try(model, data))


def _try(model: MethodSpec[ModelInfo], data: DataInfo) -> None:
    from harness.training.network import build, require_logits

    try:
        network = build(model, data)
    except UserError:
        raise
    except Exception as error:  # whatever a file of the user raises
        reason = one_line(error)
        raise UserError(f"{model.name} can't be built for {data.name}: {reason}") from error
    require_logits(network, data)
