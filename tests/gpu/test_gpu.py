"""The proof for a GPU works where there is none, so that its first run on one is not its first."""

import json
import tarfile
import time

import pytest

from tests.gpu.__main__ import STEPS, _apart, main
from tests.gpu.calls import VERDICTS, CutOffError, run_steps
from tests.gpu.step import Checks, Outcome, Setting
from tests.helpers.pretended_gpu import PretendedGpu

CPU = ["--device", "cpu", "--tiny"]


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    """One run of all steps in their tiny form, in this process."""
    out = tmp_path_factory.mktemp("proof")
    failed = main([*CPU, "--here", "--out", str(out)])
    return out, failed, json.loads((out / "gpu.json").read_text())


def test_every_step_passes_on_a_cpu(proof):
    _, failed, found = proof
    assert {name: x["said"] for name, x in found.items() if not x["passed"]} == {}
    assert failed == 0
    assert list(found) == list(STEPS)


def test_what_is_compared_and_timed_is_there(proof):
    _, _, found = proof
    assert found["methods"]["values"]["trigger of badnets"] == 0
    assert len(set(found["bits"]["values"]["victim of badnets"])) == 1
    statuses = {name.split(" / ")[-2]: x for name, x in found["failures"]["values"].items()}
    assert statuses["outside"] == "error"
    assert statuses["greedy"] == "oom"
    assert statuses["killed"] == "crash"
    assert [x for name, x in statuses.items() if name.startswith("ft")] == ["ok"] * 3
    assert all(
        found["speed"]["values"][f"epoch of training, bf16{x}"] > 0 for x in ("", ", no graph")
    )
    assert len(found["board"]["values"]) == 2


def test_records_and_tables_are_packed_and_no_weights(proof):
    out, _, _ = proof
    with tarfile.open(out / "gpu.tar.gz") as archive:
        names = archive.getnames()
    assert any(name.endswith(".jsonl") for name in names)
    assert not any("artifacts" in name for name in names)


class SlowCard:
    """Runs steps, each of which takes some seconds of a clock of its own."""

    def __init__(self, **takes):
        self.takes, self.now, self.begun = takes, 0.0, []

    def begin(self, name, seconds):
        self.begun.append(name)
        self.now += min(seconds, self.takes.get(name, 1))
        if self.takes.get(name, 1) > seconds:
            raise CutOffError
        return Outcome(passed=True, said="well", values={})

    def call(self, file, *, first="machine", seconds=560):
        steps = {name: STEPS[name] for name in list(STEPS)[list(STEPS).index(first) :]}
        return run_steps(steps, seconds, self.begin, file, lambda: self.now)


def verdicts(capfd):
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    return {name: verdict for verdict, name, *_ in lines if verdict in VERDICTS.values()}


def test_a_call_ends_in_time_on_a_slow_card_and_the_next_one_goes_on_where_it_stopped(
    tmp_path, capfd
):
    card, file = SlowCard(methods=200, bits=200, failures=120, speed=190, board=999), tmp_path / "x"
    assert card.call(file) == 4
    assert card.now <= 560
    assert card.begun == ["machine", "methods", "bits", "failures", "pack"]
    found = json.loads(file.read_text())
    assert [name for name, x in found.items() if x["passed"] is None] == [
        *("speed", "victims", "workers", "board")
    ]
    said = capfd.readouterr().out.splitlines()
    assert said[-1] == "the seconds are over; go on with --from speed"
    assert "LATER board (0 s): not reached" in said
    start, card.begun = card.now, []
    assert card.call(file, first="speed") == 1
    assert card.now - start <= 560
    assert verdicts(capfd) == {
        **dict.fromkeys(("speed", "victims", "workers", "pack"), "PASS"),
        "board": "LATER",
    }
    assert json.loads(file.read_text())["methods"]["said"] == "well"


def test_a_step_that_hangs_fails_at_its_own_limit_and_the_next_one_runs(tmp_path, capfd):
    card = SlowCard(machine=999)
    assert card.call(tmp_path / "x") == 1
    assert card.begun == list(STEPS)
    assert verdicts(capfd)["machine"] == "FAIL"


def test_a_step_is_ended_with_its_process_at_its_deadline(tmp_path):
    start = time.monotonic()
    with pytest.raises(CutOffError):
        _apart("bits", Setting("cpu", True, tmp_path, 0.3))
    assert time.monotonic() - start < 10
    assert not list(tmp_path.iterdir())


def test_a_step_that_did_nothing_has_proved_nothing():
    assert not Checks().outcome("cells have a record").passed


def test_a_step_in_a_process_of_its_own_says_what_it_found(tmp_path, capfd):
    assert main([*CPU, "--only", "machine", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "gpu.json").read_text())["machine"]["values"]["torch"]
    assert capfd.readouterr().out.startswith("PASS machine (")


def test_steps_meet_the_rules_of_cuda(tmp_path):
    with PretendedGpu():
        device = ["--device", "cuda", "--tiny", "--here", "--out", str(tmp_path)]
        assert main([*device, "--only", "machine", "methods", "speed"]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["values"]["hardware"] == "Pretended GPU"
    assert found["speed"]["values"]["graphs that were left alone"] == []
