"""TAC-QP: its program against a plain solver, and the class that it finds."""

import pytest
import torch
from harness.defenses.tac_qp import Hyper, smallest_shifts, solve_dual, tac_qp
from scipy.optimize import minimize

from harness.toolbox.head import HeadInputs
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_tac_qp_finds_the_smallest_vector_that_satisfies_its_constraints():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, 5, 8, generator=generator, dtype=torch.float64)
    deficits = torch.randn(1, 5, generator=generator, dtype=torch.float64) + 1
    found = (solve_dual(rows @ rows.mT, deficits, 3000)[:, None] @ rows)[0, 0]
    constraints = {"type": "ineq", "fun": lambda s: rows[0].numpy() @ s - deficits[0].numpy()}
    expected = minimize(lambda s: s @ s / 2, [0.0] * 8, jac=lambda s: s, constraints=constraints)
    assert expected.success
    assert found.tolist() == pytest.approx(expected.x.tolist(), abs=1e-4)


def test_tac_qp_shifts_send_every_clean_image_to_their_class():
    budget, net = clean_budget(5), planted()
    shifts = smallest_shifts(net, budget, 3000)
    inputs = HeadInputs(net)
    _, features = inputs(budget.images)
    inputs.remove()
    for label, shift in enumerate(shifts):
        logits = net.linear(features + 1.001 * shift)
        assert (logits.argmax(1) == label).all()
    assert shifts.norm(dim=1).argmin() == 0


def test_tac_qp_leaves_a_model_alone_in_which_no_class_stands_out():
    repaired = tac_qp(planted(), clean_budget(3), Hyper(threshold=1e9), cpu_context())
    for name, x in planted().state_dict().items():
        assert torch.equal(repaired.model.state_dict()[name], x)
    assert repaired.artifacts["anomaly"].shape == (4,)
