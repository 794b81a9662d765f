"""Checks at planning that a file of weights fits an architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import first_names, match_state_dict, state_dict_in
from harness.errors import UserError
from harness.plan.keys import file_digest
from harness.training.network import build, require_logits

if TYPE_CHECKING:
    from harness.contract import ModelInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def inspect_weights(path: Path, model: MethodSpec[ModelInfo], data: DataInfo) -> dict[str, Any]:
    """Check that a file's weights fit an architecture, and that it takes the data set's images.

    Returns the digest of the file, and a line that says how other names were matched, or an empty
    one.

    Raises:
        UserError: the file can't be loaded safely, its keys differ, which the message names,
            they hold NaN, or the network fails on such images.
    """
    weights = state_dict_in(load_file(path), str(path))
    network = build(model, data)
    match = match_state_dict(weights, network.get_submodule("net"), str(path))
    if broken := [name for name, x in match.weights.items() if not x.isfinite().all()]:
        raise UserError(f"{path}: NaN or infinity in {first_names(broken)}")
    require_logits(network, data)
    return {"digest": file_digest(path)[:24], "note": match.note}
