"""What a defense does to its process, or hides in a network, changes no other number."""

import gc
import importlib
import sys
from pathlib import Path

import pytest
import torch

from harness.contract import DECLARATION
from harness.execution.own import landlock
from harness.execution.task import Task
from harness.store.record import VictimRecord
from harness.store.store import store_of
from harness.training.victim import LoadedVictim
from tests.helpers import tiny_study
from tests.helpers.failing_defenses import ROOT
from tests.helpers.own_defense import write_own

REMEMBERS = """
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.shown = model, 0
        def forward(self, x):
            self.shown += 1
            return self.net(x).roll(self.shown, 1)
    return Remembering()
"""


def test_a_network_that_remembers_is_unstable_and_said_to_be(tmp_path):
    own = write_own(tmp_path, "remembers.py", REMEMBERS)
    path = tiny_study.write_study(tmp_path, defenses=[own])
    record = tiny_study.cell_record(tiny_study.run(path, tmp_path / "out"), "remembers")
    assert record.status == "unstable"
    assert "its answers depend on what it was shown before" in record.error


CHANGES = {
    "grad mode": "torch.set_grad_enabled(False)",
    "default dtype": "torch.set_default_dtype(torch.float64)",
    "nnpack": "torch._C._set_nnpack_enabled(False)",
    "multithreading of gradients": "torch._C._set_multithreading_enabled(False)",
    "global optimizer pre hooks of torch optimizers": (
        "sys.modules[torch.optim.Optimizer.__module__].register_optimizer_step_pre_hook(print)"
    ),
    "SGD.step": "torch.optim.SGD.step = torch.optim.Adam.step",
    "builtins.sum": "import builtins; builtins.sum = max",
    "thresholds of garbage collection": "import gc; gc.set_threshold(1)",
    "locale": "import locale; locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
    "messages that are logged": "import logging; logging.disable(50)",
    "finders of modules": "sys.meta_path.append(None)",
    "default device": "torch.set_default_device('meta')",
    "autocast on cpu": "torch.set_autocast_enabled('cpu', True)",
    "number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "mkldnn.enabled": "torch.backends.mkldnn.enabled = False",
    "cudnn.deterministic": "torch.backends.cudnn.deterministic = False",
    "deterministic algorithms": "torch.use_deterministic_algorithms(False)",
    "working directory": "os.chdir('/')",
    "alarm": "signal.alarm(2)",
    "signal handlers": "signal.signal(signal.SIGUSR1, print)",
    "resource limits": "resource.setrlimit(resource.RLIMIT_AS, (48 << 30, -1))",
    "environment variables": "os.environ['OF_A_METHOD'] = '1'",
    "global forward hooks of torch modules": (
        "nn.modules.module.register_module_forward_hook(lambda m, i, out: out + 1)"
    ),
    "BatchNorm2d.forward": "nn.BatchNorm2d.forward = lambda self, x: x",
    "harness.evaluation.metrics.trigger_rates": (
        "harness.evaluation.metrics.trigger_rates = lambda *_: {'asr': 0.0, 'ra': 1.0}"
    ),
}
"""What the record says, and the statement of a defense that makes it say so."""
IMPORTS = "import os, resource, signal, sys, torch, harness.evaluation.metrics"


def run_small(folder, *own: str, attacks=("badnets",), **how: object):
    """Run fine-tuning after own defenses, in the worker of these; return the newest records."""
    changes = {"attacks": list(attacks), "recipe": {"fast": {"epochs": 8}}}
    defenses = [*own, "none", {"ft": {"epochs": 2}}]
    path = tiny_study.write_study(folder, defenses=defenses, **changes)
    return tiny_study.run(path, folder / "out", **how)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the records of the built-in defenses of a run without others."""
    return tiny_study.numbers(run_small(tmp_path_factory.mktemp("undisturbed")))


def of_others(latest, undisturbed):
    return {key: x for key, x in tiny_study.numbers(latest).items() if key in undisturbed}


@pytest.mark.parametrize("workers", [None, 1])
def test_what_a_defense_changes_in_its_process_is_put_back_and_said(
    tmp_path, undisturbed, workers, monkeypatch
):
    body = "\n    ".join([IMPORTS, *CHANGES.values(), "return model"])
    own = write_own(tmp_path, "changes.py", body)
    monkeypatch.chdir(tmp_path)
    latest = run_small(Path(), own, workers=workers)
    assert of_others(latest, undisturbed) == undisturbed
    record = tiny_study.cell_record(latest, "changes")
    assert record.status == "ok"
    said = record.result.notes["process"].removeprefix("put back after it: ").split(", ")
    assert set(said) == set(CHANGES)
    plain = tiny_study.cell_record(latest, " / none / ").result
    assert (record.result.acc, record.result.asr) == (plain.acc, plain.asr)
    assert all(store_of(tmp_path / "out").has_artifacts(x) for x in latest.values())


def test_a_failed_cell_says_what_it_changed(tmp_path):
    own = write_own(tmp_path, "fails.py", "import os\n    os.chdir('/')\n    raise OSError('no')")
    record = tiny_study.cell_record(run_small(tmp_path, own), "fails")
    assert record.error == "OSError: no (put back after it: working directory)"


def test_a_thread_that_goes_on_costs_its_worker_alone(tmp_path, undisturbed):
    body = """import threading, time, torch
    def disturb():
        while True:
            torch.manual_seed(1)
            time.sleep(0.0001)
    threading.Thread(target=disturb, name="disturber", daemon=True).start()
    return model"""
    latest = run_small(tmp_path, write_own(tmp_path, "leaves.py", body), workers=1)
    assert of_others(latest, undisturbed) == undisturbed
    notes = tiny_study.cell_record(latest, "leaves").result.notes
    assert notes["process"] == "put back after it: threads that go on: disturber"


CHANGING = """import gc

import {imports}
from torch import nn

from harness.contract import Poison, attack
from harness.training.victim import LoadedVictim


def trigger(images, state):
    return images


@attack(trigger=trigger, paper="for tests", year=2026)
def changing(train, goal, hyper, ctx):
    {changes}
    for held in gc.get_objects():
        if issubclass(type(held), LoadedVictim):
            with torch.no_grad():
                next(held.model.parameters()).mul_(1.01)
                held.test.triggered.copy_(held.test.clean[0])
    nothing = train.labels[:0]
    return Poison(nothing, train.images[:0], nothing, {{}})
"""


def test_what_an_attack_changes_in_its_worker_reaches_no_other_victim(tmp_path, undisturbed):
    source = CHANGING.format(
        imports=IMPORTS.removeprefix("import "), changes="\n    ".join(CHANGES.values())
    )
    (tmp_path / "changing.py").write_text(source)
    attacks = ["badnets", "./changing.py"]
    latest = run_small(tmp_path, attacks=attacks, workers=1)
    assert of_others(latest, undisturbed) == undisturbed


IN_PLACE = {
    "weights": "next(held.model.parameters()).mul_(1.01)",
    "images": "held.test.triggered.copy_(held.test.clean[0])",
}


@pytest.mark.parametrize("what", IN_PLACE)
def test_a_victim_that_is_changed_in_place_fails_that_cell_alone(
    tmp_path, undisturbed, monkeypatch, what
):
    module = importlib.import_module("harness.defenses.ft_sam")
    original = module.ft_sam

    def change(model, budget, hyper, ctx):
        for held in gc.get_objects():
            if issubclass(type(held), LoadedVictim):
                with torch.no_grad():
                    exec(IN_PLACE[what])
        return model

    monkeypatch.setattr(module, "ft_sam", getattr(original, DECLARATION)(change))
    latest = run_small(tmp_path, "ft_sam")
    assert of_others(latest, undisturbed) == undisturbed
    record = tiny_study.cell_record(latest, "ft_sam")
    assert record.status == "error"
    assert "were changed in place" in record.error


def test_numpys_and_pythons_random_numbers_repeat_in_any_order(tmp_path):
    body = """import random
    import numpy as np
    from harness.contract import Defended
    return Defended(model, notes={{"drawn": f"{{np.random.rand()}} {{random.random()}}"}})"""
    own = [
        write_own(tmp_path, name, body.replace("{{", "{").replace("}}", "}"))
        for name in ("a.py", "b.py")
    ]

    def drawn(out: str, defenses: list[str]) -> list[str]:
        path = tiny_study.write_study(tmp_path, defenses=defenses)
        latest = tiny_study.run(path, tmp_path / out)
        found = [tiny_study.cell_record(latest, f" / {x} / ").result.notes["drawn"] for x in "ab"]
        assert found[0] != found[1]
        return found

    assert drawn("one", own) == drawn("two", own) == drawn("three", own[::-1])


SLEEPS = "import time\n    time.sleep(300)"
CATCHES = """import time
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass"""
HANGING = """from harness.contract import attack


@attack(trigger=lambda images, state: images, paper="for tests", year=2026)
def hanging(train, goal, hyper, ctx):
    {}
"""


def test_a_defense_that_hangs_is_ended_inline_too(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.execution.own.process.DEADLINE_GRACE", 0.5)
    own = write_own(tmp_path, "sleeps.py", SLEEPS)
    path = tiny_study.write_study(tmp_path, defenses=[own, "none"], timeout=4)
    latest = tiny_study.run(path, tmp_path / "out")
    record = tiny_study.cell_record(latest, "sleeps")
    assert (record.status, record.error) == ("timeout", "no end at its time limit")
    assert tiny_study.cell_record(latest, "none").status == "ok"


def test_an_attack_that_hangs_is_ended_inline_too(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.execution.alarm.TIMEOUT_GRACE", 0.5)
    (tmp_path / "hanging.py").write_text(HANGING.format(CATCHES))
    path = tiny_study.write_study(tmp_path, attacks=["./hanging.py"], defenses=["none"], timeout=1)
    latest = tiny_study.run(path, tmp_path / "out")
    (victim,) = [x for x in latest.values() if isinstance(x, VictimRecord)]
    assert (victim.status, victim.error[:12]) == ("timeout", "OverdueAlarm")


def test_a_task_without_a_time_limit_has_a_generous_one(tmp_path):
    assert Task(tiny_study.load(tiny_study.write_study(tmp_path)).cells[0].victim).limit == 86400


BAD = {
    "nan": (
        "Defended(model, notes={'x': float('nan')})",
        "Defended.notes['x'] is a str, not float",
    ),
    "tensor": ("Defended(model, notes={'x': budget.images})", "is a str, not Tensor"),
    "tuple_key": (
        "Defended(model, notes={(1, 2): 'x'})",
        "a name in Defended.notes is a str, not tuple",
    ),
    "companions": (
        "Defended(model, companions={(1, 2): model})",
        "Defended.companions is a str, not",
    ),
    "no_network": ("Defended(model, companions={'x': 1})", "is a Module, not int"),
    "artifacts": ("Defended(model, {'x': [1]})", "Defended.artifacts['x'] is a Tensor, not list"),
    "list": ("Defended(model, notes=['x'])", "Defended.notes is a dict, not list"),
    "no_model": ("Defended(None)", "Defended.model is an nn.Module, not NoneType"),
}
"""What a defense returns, and what its record says."""
RAISED = {
    "surrogate": "ValueError('a \\ud800 b')",
    "long": "ValueError('x' * 50_000_000)",
    "leaves": "SystemExit(0)",
    "unreadable": "type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()",
}
NAMES = """ctx.log(0, **{'a \\ud800': 1.0})
    return Defended(model, notes={'\\udfff': 'x' * 50_000_000})"""


def test_whatever_a_defense_returns_or_raises_becomes_a_record(tmp_path):
    start = "from harness.contract import Defended\n    "
    bodies = {name: f"{start}return {value}" for name, (value, _) in BAD.items()}
    bodies |= {name: f"raise {error}" for name, error in RAISED.items()} | {"texts": start + NAMES}
    own = [write_own(tmp_path, f"{name}.py", body) for name, body in bodies.items()]
    latest = tiny_study.run(tiny_study.write_study(tmp_path, defenses=own), tmp_path / "out")

    def record(name: str):
        return tiny_study.cell_record(latest, f" / {name} / ")

    for name, (_, message) in BAD.items():
        assert (record(name).status, message in record(name).error) == ("error", True), name
    assert record("surrogate").error == "ValueError: a ? b"
    assert record("leaves").error == "SystemExit: 0"
    assert record("unreadable").error == "Mute: its text can't be read"
    assert "characters are left out" in record("long").error
    assert len(record("long").error) < 21_000
    assert len(record("long").traceback) < 21_000
    ((name, note),) = record("texts").result.notes.items()
    assert (name, len(note) < 21_000) == ("?", True)
    assert record("texts").scalars == [{"step": 0, "a ?": 1}]


LEAVES = """import os, subprocess, sys
    sleeps = [sys.executable, "-c", "import time; time.sleep(300)", "{mark}"]
    subprocess.Popen(sleeps, start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execv(sleeps[0], sleeps)
    {end}"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux")
def test_no_process_that_a_defense_started_outlives_its_cell(tmp_path):
    ends = {
        "returns": "return model",
        "dies": "os._exit(3)",
        "hangs": "import time; time.sleep(300)",
    }
    own = [
        write_own(tmp_path, f"{name}.py", LEAVES.format(mark=tmp_path.name, end=end))
        for name, end in ends.items()
    ]
    path = tiny_study.write_study(tmp_path, defenses=own, timeout=8)
    latest = tiny_study.run(path, tmp_path / "out")
    records = {name: tiny_study.cell_record(latest, f" / {name} / ") for name in ends}
    assert {name: x.status for name, x in records.items()} == {
        "returns": "ok",
        "dies": "crash",
        "hangs": "timeout",
    }
    assert records["dies"].error == "the process of the defense died (exit code 3)"
    left = [x for x in Path("/proc").glob("[0-9]*/cmdline") if tmp_path.name in x.read_text()]
    assert not left


def test_a_defense_may_use_packages_wherever_they_are_and_workers(tmp_path, monkeypatch):
    for name, content in {"near": "import nearer\nX = nearer.X", "nearer": "X = 3"}.items():
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    body = """import near
    from torch.utils.data import DataLoader
    from harness.contract import Defended
    loaded = sum(len(x) for x in DataLoader(budget.images, num_workers=1))
    return Defended(model, notes={{"near": str(near.X), "loaded": str(loaded)}})"""
    own = write_own(tmp_path, "own.py", body.replace("{{", "{").replace("}}", "}"))
    latest = tiny_study.run(tiny_study.write_study(tmp_path, defenses=[own]), tmp_path / "out")
    record = tiny_study.cell_record(latest, "own")
    assert (record.result.notes["near"], record.result.notes["loaded"]) == ("3", "20")
    assert record.environment.isolation == ", ".join(("process", *landlock.closed()))


def test_a_built_in_method_as_an_own_file_gives_the_same_record_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.plan.entries.require_own_name", lambda *_: None)
    quick = {"initial_rounds": 2, "rounds": 3, "inner_steps": 2}
    copied = tmp_path / "ims.py"
    copied.write_text((ROOT / "defenses" / "ims.py").read_text())

    def records(defense: str, workers: int | None):
        path = tiny_study.write_study(tmp_path, defenses=[{defense: quick}], keep_models=True)
        return tiny_study.numbers(tiny_study.run(path, tmp_path / f"{workers}", workers=workers))

    built_in, own = records("ims", None), records("./ims.py", 1)
    assert built_in.keys() == own.keys()
    (cell,) = [x for x in own.values() if x["kind"] == "cell"]
    assert cell["result"]["companions"] and cell["result"]["artifacts"]["model"]
    assert own == built_in
