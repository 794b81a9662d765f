"""The gate that a victim must pass."""

from harness.plan.gate import Gate


def test_gate():
    gate = Gate(asr=0.8)
    assert gate.passed(0.1, 0.8)
    assert not gate.passed(0.9, 0.79)
    assert gate.passed(0.86, 0.9, clean_acc=0.9)
    assert not gate.passed(0.84, 0.9, clean_acc=0.9)
    assert not Gate(acc_margin=0.03).passed(0.86, 0.9, clean_acc=0.9)
    assert not Gate(acc=0.5).passed(0.4, 0.9)
