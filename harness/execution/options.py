"""How a study is run: what of it, and on which hardware."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest


class Options(NamedTuple):
    """How a study is run; nothing here changes a number."""

    selection: Selection = Selection()
    hardware: HardwareRequest = HardwareRequest()
    inline: bool = False
    """Whether everything is run in this process."""
    debug: bool = False
    """Whether a failure there opens the debugger."""
    tensorboard: Path | None = None
    """Where TensorBoard events are written, if anywhere."""
