"""Whole studies, really run: the same numbers twice, in any order, after any crash."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UserError
from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.slots import HardwareRequest
from harness.execution.study_progress import study_progress
from harness.store.store import store_of
from tests.helpers import tiny_study

ROOT = Path(__file__).parents[2]
TWO_OF_EACH = {
    "defenses": ["none", {"ft": {"epochs": 2}}, {"anp": {"iterations": 3}}],
    "seeds": [0, 1],
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """One undisturbed run of a study of six cells on two victims."""
    folder = tmp_path_factory.mktemp("reference")
    path = tiny_study.write_study(folder, **TWO_OF_EACH)
    return path, folder / "out", tiny_study.numbers(tiny_study.run(path, folder / "out"))


def test_everything_ends_ok(reference):
    path, out, numbers = reference
    assert study_progress(tiny_study.load(path), store_of(out).latest()).cells == {"ok": 6}
    for record in numbers.values():
        assert record["status"] == "ok"
        assert 0 <= record["result"]["asr"] + record["result"]["ra"] <= 1


def test_the_same_bits_in_another_order_and_other_processes(reference, tmp_path):
    _, _, numbers = reference
    turned = {name: list(reversed(values)) for name, values in TWO_OF_EACH.items()}
    path = tiny_study.write_study(tmp_path, **turned)
    assert tiny_study.numbers(tiny_study.run(path, tmp_path / "out", workers=2)) == numbers


def test_adding_a_defense_and_a_seed_changes_no_other_record(reference, tmp_path):
    _, _, numbers = reference
    defenses = [*TWO_OF_EACH["defenses"], {"fp": {"epochs": 1}}]
    more = tiny_study.numbers(
        tiny_study.run(
            tiny_study.write_study(tmp_path, defenses=defenses, seeds=[0, 1, 2]), tmp_path / "out"
        )
    )
    assert len(more) == 15
    assert {key: more[key] for key in numbers} == numbers


def test_a_second_run_does_nothing(reference):
    path, out, numbers = reference
    lines = sum(1 for _ in store_of(out).records())
    assert tiny_study.numbers(tiny_study.run(path, out)) == numbers
    assert sum(1 for _ in store_of(out).records()) == lines


def test_read_only_does_nothing_and_force_everything(tmp_path):
    path = tiny_study.write_study(tmp_path)
    assert tiny_study.run(path, tmp_path / "out", mode="read-only") == {}
    first = tiny_study.run(path, tmp_path / "out")
    again = tiny_study.run(path, tmp_path / "out", mode="force")
    assert sum(1 for _ in store_of(tmp_path / "out").records()) == 6
    assert tiny_study.numbers(again) == tiny_study.numbers(first)


def test_kill_9_loses_no_finished_cell_and_trains_nothing_twice(reference, tmp_path):
    path, _, numbers = reference
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from harness.cli.main import main; main()"]
    arguments = ["run", str(path), "--out", str(out), "--device", "cpu", "--workers", "2"]
    for wanted in (1, 3):  # killed twice: once among the victims, once among the cells
        child = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        limit = time.monotonic() + 100
        while (
            len(store_of(out).latest()) < wanted
            and time.monotonic() < limit
            and child.poll() is None
        ):
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
    kept = tiny_study.numbers(tiny_study.newest(out))
    assert len(kept) >= 3
    assert kept.items() <= numbers.items()
    finished = {r.key: r.finished for r in store_of(out).records()}
    done = tiny_study.run(path, out)
    assert tiny_study.numbers(done) == numbers
    assert {key: done[key].finished for key in finished} == finished


def test_an_unknown_device_is_one_line(tmp_path):
    with pytest.raises(UserError, match="device 'cuda:99' is not available on this machine"):
        run_study(
            tiny_study.load(tiny_study.write_study(tmp_path)),
            store_of(tmp_path / "out"),
            Options(hardware=HardwareRequest("cuda:99")),
            Console(quiet=True),
        )


ARITHMETIC = '''"""Logs the arithmetic that is set."""
import torch

from harness.contract import defense


@defense(paper="", year=0, family="control")
def arithmetic(model, budget, hyper, ctx):
    ctx.log(0, bf16=model(budget.images).dtype == torch.bfloat16, said=ctx.numerics == "bf16")
    return model
'''
DEFENSES = tiny_study.SMALL["defenses"]


def test_defenses_run_in_the_study_s_arithmetic_and_logits_stay_out_of_bf16(tmp_path):
    own = tmp_path / "arithmetic.py"
    own.write_text(ARITHMETIC)
    fp32, bf16 = (
        tiny_study.run(
            tiny_study.write_study(
                tmp_path / name,
                recipe={"fast": {"epochs": 1, "precision": "fp32"}},
                **changes,
            ),
            tmp_path / "out",
        )
        for name, changes in (
            ("fp32", {}),
            ("bf16", {"numerics": "bf16", "defenses": [*DEFENSES, str(own)]}),
        )
    )
    assert (len(fp32), len(bf16)) == (3, 6), "one victim is trained for both"
    added = {key: record for key, record in bf16.items() if key not in fp32}
    assert {record.spec.numerics for record in added.values()} == {"bf16"}
    unchanged = tiny_study.cell_record(added, "none").result
    assert (unchanged.acc, unchanged.asr, unchanged.changed) == (
        unchanged.acc_before,
        unchanged.asr_before,
        0,
    )
    logged = tiny_study.cell_record(added, "arithmetic").scalars
    assert logged == [{"step": 0, "bf16": 1, "said": 1}], "a file of one's own as well"
    losses = [
        [row["loss"] for row in tiny_study.cell_record(found, "/ ft").scalars]
        for found in (fp32, added)
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
