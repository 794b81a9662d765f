"""Ctrl-C and SIGTERM: the first ends a run cleanly, the second at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run was ended by a signal; what had finished is kept."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number
        """The exit code that shells use for this signal."""


class InterruptGuard:
    """Inside the context the first signal only sets ``received`` and wakes the event loop."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._reader, self._writer = os.pipe()
        self._before: dict[signal.Signals, signal.Handlers | None] = {}

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable with the first signal."""
        return self._reader

    def __enter__(self) -> InterruptGuard:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)  # the workers follow
        self.received = number
        os.write(self._writer, b"x")

    def check(self) -> None:
        """Raise Interrupted if a signal has been received."""
        if self.received is not None:
            raise Interrupted(self.received)
