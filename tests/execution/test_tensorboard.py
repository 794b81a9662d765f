"""What methods logged becomes TensorBoard events, one run per record that has steps."""

import sys
from contextlib import contextmanager

import msgspec
import pytest

from harness.errors import UserError
from harness.execution.tensorboard import EventWriter
from tests.helpers import records


class Listener:
    """Remembers the records of which it is told."""

    def __init__(self):
        self.finished = []

    def on_finish(self, record):
        self.finished.append(record)


def test_every_step_is_written_and_the_other_listener_is_told(tmp_path):
    written = {}

    @contextmanager
    def open_run(folder):
        class Run:
            def add_scalar(self, name, value, step):
                written.setdefault(folder, []).append((name, value, step))

        yield Run()

    listener = Listener()
    events = EventWriter(listener, tmp_path, open_run)
    cell = records.cell_of_no_study()
    silent = msgspec.structs.replace(cell, scalars=[])
    logged = msgspec.structs.replace(cell, scalars=[{"step": 3.0, "loss": 0.5, "acc": 0.9}])
    for record in (silent, logged):
        events.on_finish(record)
    assert listener.finished == [silent, logged]
    assert written == {str(tmp_path / "cell_a_a"): [("loss", 0.5, 3), ("acc", 0.9, 3)]}


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install tensorboard"):
        EventWriter(Listener(), tmp_path)
