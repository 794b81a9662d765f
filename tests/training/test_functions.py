"""Functions that a method replaced are put back; what torch wraps itself is left alone."""

import subprocess
import sys

FRESH = """
import torch
from harness.training.state.functions import Functions

for optimizer in (torch.optim.AdamW, torch.optim.Adam):
    functions = Functions()
    optimizer([torch.zeros(1, requires_grad=True)])  # torch wraps the step of its first
    print(list(functions.put_back()))
functions = Functions()
torch.optim.AdamW.step = print
print(list(functions.put_back()), torch.optim.AdamW.step is print)
"""


def test_the_step_that_torch_wraps_at_first_use_is_not_said_to_be_a_change():
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]", "['AdamW.step'] False"]
