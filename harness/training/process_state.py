"""What a method can leave behind in its process is put back, and said."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings

from harness.training.state.functions import Functions
from harness.training.state.of_process import OF_PROCESS
from harness.training.state.of_torch import OF_TORCH

THREAD_GRACE = 0.5
"""Seconds in which threads that a method started may still end."""
SETTINGS = OF_TORCH | OF_PROCESS


class ProcessState:
    """The state of the process before a task, to be put back after it.

    Whoever runs a task calls ``restore`` as soon as the method has ended: a setting such as
    autocast would change the evaluation, and the tasks that come after it.
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        """What ``restore`` found changed, each once."""
        self.spoiled = False
        """Whether something could not be put back; the process should run no other task."""
        self._before = {name: setting.get() for name, setting in SETTINGS.items()}
        self._filters = list(warnings.filters)
        self._alarm = _alarm()
        self._functions = Functions()
        self._threads = set(sys._current_frames())

    def restore(self, *, last: bool = False) -> None:
        """Put back what differs, and note it; ``last`` ends the alarm of the task as well."""
        alarm = _alarm()
        if last or 0 < self._alarm < time.monotonic():
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif abs(alarm - self._alarm) > 1:
            remaining = max(0, self._alarm - time.monotonic())
            signal.setitimer(signal.ITIMER_REAL, remaining, 1.0)
        if self._alarm == 0 < alarm or 0 < alarm < self._alarm - 1:
            self._note("alarm")
        for name, setting in SETTINGS.items():
            before = self._before[name]
            if setting.get() != before:
                self._note(name)
                try:
                    if setting.set is not None:
                        setting.set(before)
                except Exception:  # whatever it is, the state tells
                    self.spoiled = True
                self.spoiled |= setting.get() != before
        for name in self._functions.put_back():
            self._note(name)
        warnings.filters[:] = self._filters  # type: ignore[index]  # imports add some: no note
        self._find_threads()

    def notes(self) -> dict[str, str]:
        """Return the note of a record that says what was changed; none if nothing was."""
        return {"process": self._said()} if self.changed else {}

    def noted(self, error: str) -> str:
        """Return the text of an error with what was changed."""
        return f"{error} ({self._said()})" if self.changed else error

    def _said(self) -> str:
        return f"put back after it: {', '.join(self.changed)}"

    def _note(self, what: str) -> None:
        if what not in self.changed:
            self.changed.append(what)

    def _find_threads(self) -> None:
        end = time.monotonic() + THREAD_GRACE
        while (left := set(sys._current_frames()) - self._threads) and time.monotonic() < end:
            time.sleep(0.01)
        if left:
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            self._note("threads that go on: " + ", ".join(names.get(x, "unnamed") for x in left))
            self.spoiled = True
            self._threads |= left


def _alarm() -> float:
    """Return when the alarm goes off by ``time.monotonic``; 0 if none is set."""
    remaining = signal.getitimer(signal.ITIMER_REAL)[0]
    return time.monotonic() + remaining if remaining else 0.0
