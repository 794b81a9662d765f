"""NAD: the model that it returns is a plain one."""

from harness.defenses.nad import Hyper, nad

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_nad_leaves_no_hook_behind():
    hyper = Hyper(epochs=1, teacher_epochs=1)
    net = nad(planted(), clean_budget(2), hyper, cpu_context())
    assert not any(module._forward_hooks for module in net.modules())
