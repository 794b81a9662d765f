"""Checks at planning that an architecture takes the images of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bridges.files.inspection_cache import cached_inspection
from harness.errors import UserError
from harness.plan.apart import read_apart
from harness.plan.registry import IMPORT_LIMIT, find, is_own

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
        cached_inspection(
            [path],
            arguments,
            cache,
            lambda: read_apart(lambda: _try(model, data), path, IMPORT_LIMIT),
        )


def _try(model: MethodSpec[ModelInfo], data: DataInfo) -> dict[str, Any]:
    import torch

    from harness.training.network import build, require_logits

    torch.set_num_threads(1)  # a fork has none of the threads of its parent
    try:
        network = build(model, data)
    except UserError:
        raise
    except Exception as error:  # whatever a file of the user raises
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{model.name} can't be built for {data.name}: {text}") from error
    require_logits(network, data)
    return {}
