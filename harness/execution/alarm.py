"""Ends a task that takes too long in its own process, where nothing else can."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.execution.failures import OverdueAlarm
from harness.execution.worker_process import TIMEOUT_GRACE


@contextmanager
def alarm(limit: float) -> Iterator[None]:
    """Raise OverdueAlarm in the block some seconds past a limit, and every second from then on.

    Only in the main thread of a process; a call into C code is interrupted when it returns.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OverdueAlarm(f"no end after {limit:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit + TIMEOUT_GRACE, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
