"""Collects what a machine without internet lacks: ``python -m tests.gpu.wheels .whl``.

The wheels are those of the project itself and of its dependencies beside torch, numpy, pandas and
the like, which a machine with a GPU has. There:

    python3 -m pip install --no-index --no-deps --target site .whl/*.whl
    PYTHONPATH=site:. DEFUSE_DATA=data python3 -m tests.gpu --out out
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "msgspec"),
    *("datasets", "dill", "multiprocess", "xxhash", "safetensors"),
    *("pytest", "iniconfig", "pluggy"),
)


def main() -> None:
    """Download the wheels of the dependencies, and build that of the project."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.wheels", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the version on the machine")
    given = parser.parse_args()
    pip = [sys.executable, "-m", "pip"]
    chosen = ["--only-binary=:all:", "--python-version", given.python]
    chosen += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"]
    pinned = ["--constraint", str(ROOT / "constraints.txt")]
    target = ["--no-deps", "--dest", str(given.folder)]
    subprocess.run([*pip, "download", *chosen, *pinned, *target, *PACKAGES], check=True)
    own = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(given.folder), str(ROOT)]
    subprocess.run([*pip, "wheel", *own], check=True)


if __name__ == "__main__":
    main()
