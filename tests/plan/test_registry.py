"""Method files are found by name or path, and read without their heavy imports while planning."""

import pickle
from pathlib import Path

import pytest
import torch

from harness.errors import UserError
from harness.plan.entries import resolve_method
from harness.plan.registry import describe, load, read_here

METHODS = Path(__file__).parent.parent / "methods"


def test_a_file_is_described_without_its_imports_and_then_runs():
    path = str(METHODS / "heavy.py")
    light, read = describe("defense", path), read_here("defense", Path(path))
    assert light.summary == "Heavy: imports everything."
    assert read.hyper().lr == 0.5
    assert light.version.startswith("sha256:")
    assert (light.info, light.version) == (read.info, read.version)
    real = load("defense", path)
    assert isinstance(
        real.function(torch.nn.Identity(), None, real.hyper(), None), torch.nn.Sequential
    )


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ('"""No method."""\n', "one function decorated with @defense is needed, found 0"),
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        ("x = 1\ny = x / 0\n", r"own.py:2: ZeroDivisionError: division by zero \(at module level"),
    ],
)
def test_a_file_that_is_no_method_is_one_line(tmp_path, source, match):
    path = tmp_path / "own.py"
    path.write_text(source)
    with pytest.raises(UserError, match=match):
        describe("defense", str(path))


def test_hyperparameters_survive_the_way_to_a_worker():
    spec = resolve_method("defense", {"ims": {"k": "30", "lr": "1e-3"}}, None)
    hyper = pickle.loads(pickle.dumps(spec)).load().hyper
    assert (hyper.k, hyper.lr) == (30.0, 0.001)
