"""The gate that a victim must pass."""

from harness.plan.gate import Gate


def test_a_victim_needs_its_asr_and_an_acc_near_the_clean_models():
    gate = Gate(asr=0.8)
    assert gate.fault(0.9, 0.8, 10) is None
    assert gate.fault(0.9, 0.79, 10) == "ASR is 79.0 %, the gate is 80 %"
    assert gate.fault(0.86, 0.9, 10, clean_acc=0.9) is None
    assert gate.fault(0.84, 0.9, 10, clean_acc=0.9) == "ACC is 84.0 %, the gate is 85 %"
    assert Gate(acc_margin=0.03).fault(0.86, 0.9, 10, clean_acc=0.9) is not None
    assert Gate(acc=0.5).fault(0.4, 0.9, 10) == "ACC is 40.0 %, the gate is 50 %"


def test_a_network_that_gives_every_image_the_target_class_is_no_victim():
    assert Gate().fault(0.1, 1.0, 10) == "ACC is 10.0 %, the gate is 19 %"
    assert Gate().fault(0.2, 1.0, 10) is None
    assert Gate().fault(0.5, 1.0, 2) == "ACC is 50.0 %, the gate is 55 %"
    assert Gate(acc=0.0).fault(0.1, 1.0, 10) is None


def test_no_asr_is_demanded_of_a_model_without_a_backdoor():
    assert Gate(asr=0.8).fault(0.9, None, 10) is None
    assert Gate(asr=0.8, acc=0.95).fault(0.9, None, 10) is not None
    assert Gate(asr=0.8).fault(0.1, None, 10) is not None
