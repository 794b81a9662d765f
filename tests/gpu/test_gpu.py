"""The proof for a GPU works where there is none, so that its first run on one is not its first."""

import json
import tarfile

import pytest

from tests.gpu.__main__ import STEPS, main
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


def test_a_step_past_its_deadline_is_ended_and_the_next_one_runs(tmp_path, capfd):
    (tmp_path / "gpu.json").write_text('{"machine": {"passed": true, "said": "earlier"}}')
    failed = main([*CPU, "--only", "bits", "pack", "--seconds", "0.3", "--out", str(tmp_path)])
    assert failed == 2
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["said"] == "earlier"
    assert found["bits"]["said"] == "no end after 0 s"
    assert capfd.readouterr().out.count("FAIL ") == 2


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
