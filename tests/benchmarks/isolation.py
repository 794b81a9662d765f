"""What a process per cell costs: built-in defenses, and the same files as a user's own.

Run by hand: ``python -m tests.benchmarks.isolation``. Victim and budgets are the
quickstart's, of one attack and one seed; one worker, one thread.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import mean

import yaml

from harness.store.record import CellRecord
from tests.helpers import tiny_study
from tests.helpers.failing_defenses import ROOT

DEFENSES = ("none", "ft", "clp")


def write_study(folder: Path) -> Path:
    """Write a study of built-in defenses and of copies of their files; return its path."""
    content = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text())
    content |= {"attacks": content["attacks"][:1], "seeds": content["seeds"][:1]}
    for defense in DEFENSES:
        source = (ROOT / "defenses" / f"{defense}.py").read_text()
        own = source.replace('display_name="', 'display_name="Own ')
        (folder / f"own_{defense}.py").write_text(own)
    content["defenses"] = [*DEFENSES, *(f"./own_{x}.py" for x in DEFENSES)]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def main() -> None:
    """Print the seconds per cell, and of them those of the defense itself."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = tiny_study.run(write_study(folder), folder / "out", workers=1)
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
