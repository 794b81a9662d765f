"""What runs now, as other processes see it."""

import os
import shutil

import pytest

from harness.execution.running import running_tasks, shown_to_others
from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.execution.task_log import log_path, printed_to
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import records, tiny_study

SLOT = Slot("cpu", 1, "cpu 3")


class Listener:
    """Is told everything, and keeps it."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *_: self.told.append(name)


@pytest.fixture
def study(tmp_path):
    return load_study(tiny_study.write_study(tmp_path))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def names(study, store):
    return [task.name for task in running_tasks(study, store)]


def test_what_a_run_has_started_and_not_ended_is_seen(study, store):
    none, ft = study.cells
    victim, listener = none.victim, Listener()
    with shown_to_others(listener, store) as run:
        run.on_start(Task(victim), SLOT)
        assert names(study, store) == [f"victim {victim.name}"]
        run.on_finish(records.ok(victim))
        run.on_start(Task(victim, none), SLOT)
        run.on_start(Task(victim, ft), SLOT)
        run.on_set_aside(Task(victim, none))
        assert names(study, store) == [ft.name]
        with shown_to_others(Listener(), store) as other:
            other.on_start(Task(victim, none), SLOT)
            assert set(names(study, store)) == {none.name, ft.name}
        assert names(study, store) == [ft.name]
    assert names(study, store) == []
    assert list(store.folder.joinpath("running").iterdir()) == []
    told = ["on_start", "on_finish", "on_start", "on_start", "on_set_aside"]
    assert listener.told == told


def test_a_run_that_was_killed_is_not_seen_and_its_file_goes(study, store):
    with shown_to_others(Listener(), store) as run:
        run.on_start(Task(study.cells[0].victim), SLOT)
        (file,) = store.folder.joinpath("running").iterdir()
        shutil.copy(file, file.with_name("killed.json"))  # a lock does not outlive its process
        assert len(running_tasks(study, store)) == 1
        with shown_to_others(Listener(), store):
            assert not file.with_name("killed.json").exists()
            assert file.exists()


def test_the_last_line_is_bounded_and_fit_for_a_terminal(study, store):
    victim = study.cells[0].victim
    log = log_path(store, victim.key)
    log.parent.mkdir(parents=True)
    log.write_text("of an earlier run")
    os.utime(log, (0, 0))
    with shown_to_others(Listener(), store) as run:
        run.on_start(Task(victim), SLOT)

        def last():
            return running_tasks(study, store)[0].last

        assert last() == ""
        with printed_to(log):
            os.write(1, b"first\n10 %\r 20 % \x1b]0;title\x07\x1b[2J\xe2\x80\xae\xff\n\n \n")
            assert last() == "20 % ]0;title\N{REPLACEMENT CHARACTER}"
            os.write(1, b"x" * 10_000_000)
            assert 100 < len(last()) < 200
        log.unlink()
        os.mkfifo(log)
        assert last() == ""


def test_damaged_files_are_not_seen(study, store):
    with shown_to_others(Listener(), store) as run:
        (file,) = store.folder.joinpath("running").iterdir()
        for content in (b"", b"[{", b'[{"key": 5}]', b"[" * 10_000, b"\xff" * 2_000_000):
            file.write_bytes(content)
            assert running_tasks(study, store) == []
        os.mkfifo(file.with_name("pipe.json"))
        file.with_name("loop.json").symlink_to("loop.json")
        run.on_start(Task(study.cells[0].victim), SLOT)
        assert names(study, store) == [f"victim {study.cells[0].victim.name}"]


def test_a_store_that_cannot_be_written_is_run_all_the_same(study, tmp_path):
    (tmp_path / "file").write_text("x")
    listener = Listener()
    with shown_to_others(listener, Store(tmp_path / "file")) as run:
        run.on_start(Task(study.cells[0].victim), SLOT)
    assert listener.told == ["on_start"]
