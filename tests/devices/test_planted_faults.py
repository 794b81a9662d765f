"""Faults that a GPU would find, planted one by one, are found on the pretended one."""

import ast
import inspect
import sys
import types

import pytest

from harness.plan.registry import load
from tests.helpers.pretended_gpu import DeviceError, PretendedGpu

FAULTS = {
    "harness.data.augment Augment.__call__": "fst",
    "harness.toolbox.masks.noise random_noise": "anp",
    "harness.toolbox.search.neural_cleanse invert_class": "nc",
    "harness.toolbox.ims.solver _initial_masks": "ims",
    "harness.toolbox.fit fit": "ft",
    "harness.toolbox.predict predict_logits": "none",
    "defenses.i_bau outer_loss": "i_bau",
    "defenses.random_prune random_prune": "random_prune",
}
"""A function whose tensors stay where they are made, and a defense that calls it."""


class StayThere(ast.NodeTransformer):
    """Takes ``.to(device)`` and ``.cpu()`` from tensors, and ``device=`` from calls."""

    def visit_Call(self, call):
        self.generic_visit(call)
        call.keywords = [x for x in call.keywords if x.arg != "device"]
        if isinstance(call.func, ast.Attribute):
            moves = call.func.attr == "to" and "device" in ast.unparse(call)
            if call.func.attr == "cpu" or moves:
                return call.func.value
        return call


def plant(monkeypatch, module, name):
    """Replace the code of a function of a module by code with the fault."""
    function = module
    for part in name.split("."):
        function = inspect.unwrap(getattr(function, part))
    tree = ast.parse(inspect.getsource(module))
    faulty = ast.fix_missing_locations(StayThere().visit(tree))
    (code,) = [
        x
        for x in codes(compile(faulty, module.__file__, "exec", dont_inherit=True))
        if x.co_qualname == name
    ]
    assert code.co_code != function.__code__.co_code, "nothing is moved there"
    monkeypatch.setattr(function, "__code__", code)


def codes(code):
    yield code
    for x in code.co_consts:
        if isinstance(x, types.CodeType):
            yield from codes(x)


@pytest.mark.parametrize("where", FAULTS)
def test_a_tensor_on_the_wrong_device_is_found(where, victims, monkeypatch):
    path, name = where.split()
    defense = FAULTS[where]
    method = load("defense", defense).function
    with PretendedGpu():
        victims.load("preactresnet18")
        plant(monkeypatch, sys.modules.get(path) or inspect.getmodule(method), name)
        with pytest.raises((DeviceError, TypeError)):
            victims.repair(defense, "preactresnet18")
