"""The benchmarks compare the same work, and their table says what was measured."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks import isolation, machine_peak, remaining, workload
from tests.benchmarks.__main__ import COLUMNS, TASKS, machine, rows_of, table
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side
from tests.helpers import tiny_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _peaks_of_one_run(monkeypatch):
    monkeypatch.setattr(machine_peak, "RUNS", 1)


def as_if_sent(work):
    sent = pickle.dumps(work)

    def received():
        return pickle.loads(sent)()

    return here(received)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_agrees_with_its_reference_and_gives_rows(name, monkeypatch):
    """References run here, and could be sent to a process of their own."""
    monkeypatch.setattr(f"tests.benchmarks.{name}.as_script", as_if_sent, raising=False)
    rows = rows_of(name, tiny=True)
    assert rows
    for row in rows:
        assert row.ours > 0
        assert row.least is None or row.reference is not None, "a ratio needs a reference"
        assert row.share is None or 0 < row.share < math.inf
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert all(line.count(" | ") == len(COLUMNS) - 1 for line in lines)


def test_another_result_is_no_comparison():
    same = torch.ones(3)
    assert agreement(same, same + 1e-7, 1e-6).endswith("of 1e-06")
    with pytest.raises(ValueError, match=r"0\.5 apart, more than 0\.1"):
        agreement(same, same + 0.5, 0.1)
    with pytest.raises(ValueError, match="nan apart"):
        agreement(same, same * math.nan, 0.1)
    with pytest.raises(ValueError, match="differ in shape"):
        agreement(same, same[:2], 0.1)


def test_both_sides_run_in_turns_after_a_first_run_each():
    seen: list[str] = []
    sides = side_by_side(
        here(lambda: seen.append("a") or 1), here(lambda: seen.append("b") or 2), repeats=2
    )
    assert seen == ["a", "b"] * 3
    assert (sides.reference, sides.ours) == (1, 2)


def process_and_threads():
    return os.getpid(), torch.get_num_threads()


def test_a_reference_runs_in_a_process_of_its_own_with_as_many_threads():
    script = as_script(process_and_threads)
    (_, one), (_, other) = script(), script()
    assert one == other
    assert one[0] != os.getpid()
    assert one[1] == torch.get_num_threads()


def test_bars_are_ratios_or_seconds():
    fast = Row(task="t", ours=1.0, reference=3.0, least=2)
    assert (fast.ratio, fast.bar) == (3.0, ">= 2 x: met")
    assert Row(task="t", ours=2.0, reference=3.0, least=2).bar == ">= 2 x: MISSED"
    assert Row(task="t", ours=2.0, most=1).bar == "< 1 s: MISSED"


def test_a_profile_names_every_operation_and_its_share():
    _, work = list(remaining.tasks(workload.TINY))[1]
    found = remaining.shares(work)
    assert "aten::mkldnn_convolution" in found or torch.cuda.is_available()
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_operations_are_counted_by_hand_and_the_machine_is_named():
    a, b = torch.ones(4, 5), torch.ones(5, 6)
    assert machine_peak.operations(lambda: a @ b) == 2 * 4 * 5 * 6
    said = machine()
    assert f"torch {torch.__version__}" in said
    assert "peak of convolutions" in said


def test_freed_memory_is_kept():
    code = """
from pathlib import Path
from harness.training.device import set_up_torch
set_up_torch(1)
import torch
def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
for _ in range(3):  # glibc gets used to the first
    tensors = [torch.ones(5_000_000) for _ in range(4)]
    held = megabytes()
    del tensors
print(held - megabytes())
"""
    if sys.platform != "linux":
        pytest.skip("glibc's mallopt is what is tested")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1, "80 MB were given back, to be zeroed anew"


def test_the_study_that_measures_isolation_has_each_defense_twice(tmp_path):
    cells = tiny_study.load(isolation.write_study(tmp_path)).cells
    assert {cell.runs_own_file for cell in cells} == {False, True}
    assert len({cell.defense.name for cell in cells}) == 2 * len(isolation.DEFENSES)
