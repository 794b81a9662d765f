"""The shim runs in another environment and ends with the program that started it."""

import json
import signal
import subprocess
import sys

from harness.bridges.script import shim


def test_the_shim_imports_nothing_of_ours_and_ends_with_its_starter(ran, tmp_path):
    given = {"root": str(ran[0] / "bench"), "dataset": "gtsrb", "images": str(tmp_path)}
    script = tmp_path / "script.py"
    ours = "[name for name in sys.modules if 'harness' in name]"
    script.write_text(f"import sys, time\nprint({ours}, flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-I", shim.__file__, json.dumps(given), str(script)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd=tmp_path
    ) as process:
        assert process.stdout.readline() == b"[]\n"
        process.stdin.close()
        assert process.wait(20) == -signal.SIGKILL
