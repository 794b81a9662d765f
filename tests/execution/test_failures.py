"""A method that fails costs its own record; retry runs it again."""

from harness.execution.study_progress import study_progress
from harness.report.frame.frame import build_frame
from harness.store.store import store_of
from tests.helpers import tiny_study
from tests.helpers.own_defense import write_own

OWN = {
    "fine.py": "return model",
    "raises.py": "raise RuntimeError('it broke here')",
    "nan.py": "next(model.parameters()).data.fill_(float('nan'))\n    return model",
    "wrong_type.py": "return 'a model'",
    "slow.py": "import time\n    while True:\n        time.sleep(0.01)\n        ctx.check()",
}

BROKEN_ATTACK = '''"""Broken: raises when it is called."""
from harness.contract import attack


def trigger(images, state):
    return images


@attack(trigger=trigger, paper="for tests", year=2026)
def broken(train, goal, hyper, ctx):
    raise ValueError("no image to poison")
'''


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
    study = tiny_study.load(path)
    progress = study_progress(study, store_of(tmp_path / "out").latest())
    assert progress.cells == {"ok": 2, "error": 3, "timeout": 1}, "nothing is left out"
    frame = build_frame([study], store_of(tmp_path / "out").latest()).set_index("defense")
    assert frame.loc["fine", "acc"] == frame.loc["none", "acc"]
    assert frame.loc["raises", "error"] == "RuntimeError: it broke here"


def test_a_defense_whose_process_dies_costs_its_own_cell_alone(tmp_path):
    own = write_own(
        tmp_path, "dies.py", "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tiny_study.write_study(tmp_path, defenses=[own, "none"])
    latest = tiny_study.run(path, tmp_path / "out", workers=1)
    died = tiny_study.cell_record(latest, "dies")
    assert (died.status, died.error) == (
        "crash",
        "the process of the defense died (signal 9)",
    )
    assert tiny_study.cell_record(latest, "none").status == "ok"


def test_retry_runs_failures_again_and_nothing_else(tmp_path):
    flag = tmp_path / "fixed"
    body = f"""import pathlib
    if not pathlib.Path({str(flag)!r}).exists():
        raise RuntimeError("until the flag is there")
    return model"""
    own = write_own(tmp_path, "flaky.py", body)
    path = tiny_study.write_study(tmp_path, defenses=[own, "none"])

    def status(mode):
        latest = tiny_study.run(path, tmp_path / "out", mode=mode)
        return tiny_study.cell_record(latest, "flaky").status

    assert status("run") == "error"
    flag.touch()
    assert status("run") == "error", "it has a record"
    assert status("retry") == "ok"
    assert sum(1 for _ in store_of(tmp_path / "out").records()) == 4


def test_an_own_defense_that_changed_has_another_key(tmp_path):
    own = write_own(tmp_path, "mine.py", "return model")
    path = tiny_study.write_study(tmp_path, defenses=[own])
    before = tiny_study.load(path).cells[0].key
    write_own(tmp_path, "mine.py", "return model  # changed")
    from harness.plan.registry import _described

    _described.clear()  # a new process would read the file again
    assert tiny_study.load(path).cells[0].key != before


def test_the_cells_of_a_failed_victim_are_failures(tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN_ATTACK)
    path = tiny_study.write_study(tmp_path, attacks=["./broken.py", "blended"])
    latest = tiny_study.run(path, tmp_path / "out")
    progress = study_progress(tiny_study.load(path), store_of(tmp_path / "out").latest())
    assert progress.victims == {"error": 1, "ok": 1}
    assert progress.cells == {"error": 2, "ok": 2}
    failed = tiny_study.cell_record(latest, "broken", "none")
    assert failed.error.startswith("its victim failed: ValueError: no image to poison")
