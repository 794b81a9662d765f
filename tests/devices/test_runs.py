"""A whole run on a pretended GPU, and every benchmark."""

import pytest
from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.store.store import store_of
from tests.benchmarks import machine_peak, side_by_side
from tests.benchmarks.__main__ import TASKS, rows_of
from tests.helpers import tiny_study
from tests.helpers.pretended_gpu import PretendedGpu


def test_a_study_runs_on_it_with_the_numbers_of_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.execution.slots.cores", lambda: 1)
    defenses = ["none", {"ft": {"epochs": 2}}, "fp"]
    recipe = {"fast": {"epochs": 1, "precision": "fp32"}}
    study = tiny_study.write_study(tmp_path, defenses=defenses, recipe=recipe)
    there, options = tmp_path / "gpu", Options(Selection(), HardwareRequest(), inline=True)
    with PretendedGpu():
        run_study(tiny_study.load(study), store_of(there), options, Console(quiet=True))
    found = tiny_study.newest(there)
    assert {record.environment.device for record in found.values()} == {"cuda"}
    assert {record.status for record in found.values()} == {"ok"}
    here = tiny_study.run(study, tmp_path / "cpu")
    assert found.keys() == here.keys()
    for key, record in found.items():
        assert record.result.acc == pytest.approx(here[key].result.acc, abs=0.01)


@pytest.mark.parametrize("name", TASKS)
def test_every_benchmark_runs_on_it(name, monkeypatch):
    if name == "startup":
        pytest.skip("it starts processes, and touches no tensor")
    module = f"tests.benchmarks.{name}"
    monkeypatch.setattr(f"{module}.as_script", side_by_side.here, raising=False)
    monkeypatch.setattr("tests.benchmarks.reference_impls.WORKERS", 0)
    for peak in ("convolutions", "matrices"):
        monkeypatch.setattr(machine_peak, peak, lambda *_: 1e9)
    with PretendedGpu():
        assert rows_of(name, tiny=True)
