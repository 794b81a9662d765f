"""NAD: a plain model comes back, and the schedule is that of teacher and student."""

from collections import OrderedDict
from dataclasses import replace

import torch
from harness.defenses.nad import PRESETS, Hyper, nad

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_nad_leaves_no_hook_behind():
    hyper = Hyper(epochs=1, teacher_epochs=1)
    net = nad(planted(), clean_budget(2), hyper, cpu_context())
    assert not any(module._forward_hooks for module in net.modules())


def test_the_authors_preset_trains_teacher_and_student_by_its_schedule(monkeypatch):
    seen, plain_step = [], torch.optim.SGD.step

    def step(self, *args):
        (group,) = self.param_groups
        seen.append((group["lr"], group["nesterov"], group["weight_decay"]))
        return plain_step(self, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    nad(planted(), clean_budget(20), PRESETS["authors"], cpu_context())  # two batches per epoch
    assert len(seen) == 2 * (10 + 20)
    for steps in (seen[:20], seen[20:]):
        assert [round(lr, 6) for lr, _, _ in steps] == [0.1] * 4 + [0.01] * (len(steps) - 4)
    assert {(nesterov, decay) for _, nesterov, decay in seen} == {(True, 1e-4)}


def test_nad_puts_a_square_into_the_images_of_teacher_and_student():
    white, black = torch.ones(8, 3, 8, 8), []

    class Watching(torch.nn.Sequential):
        def forward(self, x):
            black.append((x == 0).all(1).flatten(1).sum(1))
            return super().forward(x)

    net = Watching(OrderedDict(planted().named_children()))
    budget = replace(clean_budget(2), images=white)
    nad(net, budget, Hyper(epochs=3, teacher_epochs=2, cutout=2), cpu_context())
    counts = torch.cat(black[1:])  # the first pass looks at the shapes of the maps
    assert set(counts.tolist()) <= {1, 2, 4}
    assert 4 in counts.tolist()
