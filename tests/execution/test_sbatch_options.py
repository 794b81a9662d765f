"""Parameters of sbatch, as a user writes them."""

import pytest

from harness.errors import UserError
from harness.execution.sbatch_options import parse_options


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Put a program of this name on the path."""
    pytest.importorskip("submitit")
    program = tmp_path / "sbatch"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("partition=gpu,gres=gpu:a100:1", {"partition": "gpu", "gres": "gpu:a100:1"}),
        ("time=04:00:00,nodes=2", {"time": 240, "nodes": 2}),
        ("time=1-00:00:30", {"time": 1441}),
        ("time=90", {"time": 90}),
        ("time=90:00", {"time": 90}),
        ("nodelist=a,b,mem=4GB", {"nodelist": "a,b", "mem": "4GB"}),
        ("reservation=x", {"additional_parameters": {"reservation": "x"}}),
        ("cpus-per-task=4", {"cpus_per_task": 4, "srun_args": ["--cpus-per-task=4"]}),
    ],
)
def test_parameters_of_sbatch(sbatch, text, expected):
    assert parse_options(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition", "'partition' is not name=value"),
        ("time=soon", "time is minutes, h:mm:ss or d-hh:mm:ss, not 'soon'"),
        ("nodes=two", "nodes is a number, not 'two'"),
        ("job_name=x", "'job_name' is set by the launcher"),
    ],
)
def test_wrong_parameters_are_reported(sbatch, text, message):
    with pytest.raises(UserError, match=message):
        parse_options(text)


def test_without_slurm_the_launcher_says_so(monkeypatch, tmp_path):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on this machine"):
        parse_options("")
