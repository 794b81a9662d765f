"""What a process per cell costs: built-in defenses, and the same files as a user's own.

Run by hand: ``python -m tests.benchmarks.isolation``. Victim and budgets are the
quickstart's, of one attack and one seed; one worker, one thread.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import mean

import yaml

from harness.store.record import CellRecord
from tests.helpers import tiny_study
from tests.helpers.failing_defenses import ROOT

DEFENSES = ("none", "ft", "clp")


def main() -> None:
    """Print the seconds per cell, and of them those of the defense itself."""
    content = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text())
    content |= {"attacks": content["attacks"][:1], "seeds": content["seeds"][:1]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = [f"own_{x}.py" for x in DEFENSES]
        for file, defense in zip(own, DEFENSES, strict=True):
            shutil.copy(ROOT / "defenses" / f"{defense}.py", folder / file)
        content["defenses"] = [*DEFENSES, *(f"./{x}" for x in own)]
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump(content))
        records = tiny_study.run(path, folder / "out", workers=1)
        cells = [x for x in records.values() if isinstance(x, CellRecord)]
        rows = {
            x.spec.defense.name: [y for y in cells if y.spec.defense.name == x.spec.defense.name]
            for x in cells
        }
    sys.stdout.write(
        "| defense | cells | seconds per cell | of the defense itself |\n|--|--|--|--|\n"
    )
    for defense, found in sorted(rows.items()):
        assert all(x.status == "ok" for x in found)
        whole, alone = mean(x.wall_seconds for x in found), mean(x.ok_result.seconds for x in found)
        sys.stdout.write(f"| {defense} | {len(found)} | {whole:.2f} | {alone:.2f} |\n")


if __name__ == "__main__":
    main()
