"""Whole studies, really run: the same numbers twice, in any order, after any crash."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.data.info import open_arrays
from harness.errors import UserError
from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.slots import HardwareRequest
from harness.execution.study_progress import study_progress
from harness.plan.study import Study
from harness.report.frame.frame import build_frame
from harness.store.record import artifact_names
from harness.store.store import Store, store_of
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
    assert study_progress(tiny_study.plan(path), store_of(out).latest()).cells == {"ok": 6}
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


OWN = {
    "fine.py": "return model",
    "raises.py": "raise RuntimeError('it broke here')",
    "nan.py": "next(model.parameters()).data.fill_(float('nan'))\n    return model",
    "wrong_type.py": "return 'a model'",
    "slow.py": "import time\n    while True:\n        time.sleep(0.01)\n        ctx.check()",
}


def write_own(folder: Path, name: str, body: str) -> str:
    source = '''
        """Own: a defense outside the repository."""
        from torch import nn
        from harness.contract import Budget, Context, defense

        @defense(paper="none", year=2026, family="control")
        def own(model: nn.Module, budget: Budget, hyper, ctx: Context) -> nn.Module:
            """Do it."""
            {}
    '''
    path = folder / name
    path.write_text(textwrap.dedent(source).lstrip().format(body), encoding="utf-8")
    return f"./{name}"


def test_own_defenses_join_the_matrix_and_failures_are_records(tmp_path):
    own = [write_own(tmp_path, name, body) for name, body in OWN.items()]
    tiny_study.run(tiny_study.write_study(tmp_path), tmp_path / "out")
    path = tiny_study.write_study(tmp_path, defenses=["none", *own], timeout=3)
    latest = tiny_study.run(path, tmp_path / "out", workers=2)

    def ended(name: str) -> tuple[str, str]:
        record = tiny_study.cell_record(latest, f" / {name} / ")
        return record.status, record.error

    assert ended("none")[0] == ended("fine")[0] == "ok"
    assert ended("raises") == ("error", "RuntimeError: it broke here")
    assert 'raise RuntimeError("it broke' in tiny_study.cell_record(
        latest, "raises"
    ).traceback.replace("'", '"')
    assert ended("nan") == (
        "error",
        "BrokenModelError: the model gives NaN or infinity on test images",
    )
    assert ended("wrong_type") == (
        "error",
        "TypeError: a defense returns an nn.Module or a Defended, not str",
    )
    assert ended("slow")[0] == "timeout"
    study = tiny_study.plan(path)
    assert study_progress(study, store_of(tmp_path / "out").latest()).cells == {
        "ok": 2,
        "error": 3,
        "timeout": 1,
    }  # nothing vanishes
    frame = build_frame([study], store_of(tmp_path / "out").latest()).set_index("defense")
    assert frame.loc["fine", "acc"] == frame.loc["none", "acc"]
    assert frame.loc["raises", "error"] == "RuntimeError: it broke here"


def test_a_worker_that_dies_costs_its_own_cell_alone(tmp_path):
    own = write_own(
        tmp_path, "dies.py", "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tiny_study.write_study(tmp_path, defenses=[own, "none"])
    latest = tiny_study.run(path, tmp_path / "out", workers=1)
    died = tiny_study.cell_record(latest, "dies")
    assert (died.status, died.error) == ("crash", "the worker process died (signal 9)")
    assert tiny_study.cell_record(latest, "none").status == "ok"


def test_retry_runs_failures_again_and_nothing_else(tmp_path):
    own = write_own(tmp_path, "flaky.py", "raise RuntimeError('once')")
    path = tiny_study.write_study(tmp_path, defenses=[own, "none"])
    flag = tmp_path / "mended"
    source = (tmp_path / "flaky.py").read_text()
    source = source.replace(
        "raise",
        f"import pathlib\n    if pathlib.Path({str(flag)!r}).exists():\n        return model\n    raise",
    )
    (tmp_path / "flaky.py").write_text(source)
    assert tiny_study.cell_record(tiny_study.run(path, tmp_path / "out"), "flaky").status == "error"
    flag.touch()
    assert (
        tiny_study.cell_record(tiny_study.run(path, tmp_path / "out"), "flaky").status == "error"
    )  # run: it has a record
    done = tiny_study.run(path, tmp_path / "out", mode="retry")
    assert tiny_study.cell_record(done, "flaky").status == "ok"
    assert sum(1 for _ in store_of(tmp_path / "out").records()) == 4


def test_an_own_defense_that_changed_runs_anew(tmp_path):
    own = write_own(tmp_path, "mine.py", "return model")
    path = tiny_study.write_study(tmp_path, defenses=[own])
    before = tiny_study.plan(path).cells[0].key
    write_own(tmp_path, "mine.py", "return model  # changed")
    from harness.plan.registry import _describe

    _describe.cache_clear()  # a new process would read the file anew
    assert tiny_study.plan(path).cells[0].key != before


@pytest.mark.parametrize("damage", ["weights", "trigger"])
def test_a_victim_that_is_not_what_its_record_says_is_refused(tmp_path, damage):
    path = tiny_study.write_study(tmp_path, recipe={"fast": {"epochs": 8}}, defenses=["none"])
    out = tmp_path / "out"
    tiny_study.run(path, out, mode="run")
    store = store_of(out)
    record = next(r for r in store.records() if r.kind == "victim")
    role = {"weights": "model", "trigger": "trigger"}[damage]
    arrays = store.get(artifact_names(record)[role])
    if damage == "weights":
        arrays["net.linear.weight"] = arrays["net.linear.weight"][::-1].copy()
    else:
        arrays["mask"] = arrays["mask"][:, ::-1].copy()
    artifacts = msgspec.structs.replace(record.result.artifacts, **{role: store.put(arrays)})
    result = msgspec.structs.replace(record.result, artifacts=artifacts)
    store.append(msgspec.structs.replace(record, finished="9", result=result))
    latest = tiny_study.run(
        tiny_study.write_study(tmp_path, recipe={"fast": {"epochs": 8}}, defenses=["ft"]), out
    )
    refused = tiny_study.cell_record(latest, "ft")
    assert refused.status == "error"
    assert "otherwise than its record says" in refused.error
    assert ("clean" if damage == "weights" else "triggered") in refused.error


def test_a_failed_victim_takes_its_cells_along_as_records(tmp_path):
    path = tiny_study.write_study(tmp_path, attacks=[{"badnets": {"size": 99}}, "blended"])
    latest = tiny_study.run(path, tmp_path / "out")
    study: Study = tiny_study.plan(path)
    assert study_progress(study, store_of(tmp_path / "out").latest()).victims == {
        "error": 1,
        "ok": 1,
    }
    assert study_progress(study, store_of(tmp_path / "out").latest()).cells == {"error": 2, "ok": 2}
    fallen = tiny_study.cell_record(latest, "badnets", "none")
    assert fallen.error.startswith("its victim failed: ValueError: a patch of 99")


def test_every_defense_gets_the_same_images_and_smaller_budgets_are_subsets(tmp_path):
    spy = (
        "from harness.contract import Defended\n    return Defended(model, {'seen': budget.images})"
    )
    own = [write_own(tmp_path, name, spy) for name in ("spy_a.py", "spy_b.py")]
    path = tiny_study.write_study(tmp_path, defenses=own, budgets=[{"spc": 2}, {"spc": 10}])
    latest, store = tiny_study.run(path, tmp_path / "out"), Store(tmp_path / "out" / "store")

    def seen(*words: str):
        return store.get(tiny_study.cell_record(latest, *words).result.artifacts.method)["seen"]

    assert (seen("spy_a", "SPC 2") == seen("spy_b", "SPC 2")).all()
    true = open_arrays((study := tiny_study.plan(path)).cells[0].victim.data).test_labels
    kept = store.get(tiny_study.cell_record(latest, "spy_a", "SPC 2").result.artifacts.predictions)
    assert len(kept["triggered"]) == (true != study.cells[0].victim.target).sum(), (
        "no target-class image in ASR"
    )
    few = {image.tobytes() for image in seen("spy_a", "SPC 2")}
    many = {image.tobytes() for image in seen("spy_a", "SPC 10")}
    assert len(few) == 20
    assert len(many) == 100
    assert few <= many


def test_an_unknown_device_is_one_line(tmp_path):
    with pytest.raises(UserError, match="device 'cuda:99' is not available on this machine"):
        run_study(
            tiny_study.plan(tiny_study.write_study(tmp_path)),
            store_of(tmp_path / "out"),
            Options(hardware=HardwareRequest("cuda:99")),
            Console(quiet=True),
        )
