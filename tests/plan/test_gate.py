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


def test_no_asr_is_demanded_of_a_model_without_a_backdoor():
    assert Gate(asr=0.8).passed(0.9, None)
    assert not Gate(asr=0.8, acc=0.95).passed(0.9, None)
