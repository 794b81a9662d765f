"""The first signal is noted, the second ends the process."""

import signal
import subprocess
import sys

from harness.execution.signals import InterruptGuard
from tests.helpers import failing_defenses

TWO_SIGNALS = """
import os, signal, time
from harness.execution.signals import InterruptGuard
with InterruptGuard() as guard:
    os.kill(os.getpid(), 2)
    assert guard.received == 2
    os.kill(os.getpid(), 2)
    time.sleep(60)
"""


def test_a_second_signal_ends_at_once(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", TWO_SIGNALS],
        env=failing_defenses.environment(),
        timeout=30,
        check=False,
    )
    assert ended.returncode == 130
    before = signal.getsignal(signal.SIGINT)
    with InterruptGuard() as guard:
        assert guard.received is None
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
