"""State dicts are found, stripped of wrappers and matched; anything else is refused in one line."""

import re

import pytest
import torch
from torch import nn

from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import match_state_dict, state_dict_in
from harness.errors import UserError


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


NET = network()
OWN = {name: x.clone() for name, x in NET.state_dict().items()}


def matched(weights):
    return match_state_dict(weights, NET, "file").weights


def assert_own(weights):
    assert set(weights) == set(OWN)
    assert all(torch.equal(weights[name], x) for name, x in OWN.items())


PREFIXED = {
    prefix: {f"{prefix}{name}": x for name, x in OWN.items()}
    for prefix in ("_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "net.model.module.")
}
PREFIXED["0._orig_mod."] = {
    name.replace("0.", "0._orig_mod.") if name.startswith("0.") else name: x
    for name, x in OWN.items()
}


@pytest.mark.parametrize("weights", PREFIXED.values(), ids=PREFIXED)
def test_prefixes_of_wrappers_are_removed(weights):
    assert_own(matched(weights))


def test_counters_of_batch_norm_may_be_missing():
    weights = {name: x for name, x in OWN.items() if not name.endswith("num_batches_tracked")}
    assert_own(matched(weights))


def one_more(content, times):
    for _ in range(times):
        content = {"model": content}
    return content


def recursive():
    content = {"epoch": 3}
    content["model"] = content
    return content


@pytest.mark.parametrize("times", range(4))
def test_usual_wrappers_are_opened(times):
    assert_own(state_dict_in(one_more(OWN, times), "file"))


@pytest.mark.parametrize("content", [one_more(OWN, 4), one_more(OWN, 5000), recursive()])
def test_wrappers_without_an_end(tmp_path, content):
    with pytest.raises(UserError, match=r"^file: no state dict in it, bare or under .* it holds"):
        state_dict_in(content, "file")


def test_a_recursive_file(tmp_path):
    torch.save(recursive(), tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"no state dict in it, .* the keys epoch, model$"):
        state_dict_in(load_file(tmp_path / "net.pth"), "file")


REFUSED = {
    "prefixes without an end": (
        {"module." * 5000 + name: x for name, x in OWN.items()},
        "missing 0.weight, 0.bias, 1.weight and 6 more; unexpected module.module.",
    ),
    "names of many lines": ({**OWN, "a\nb" * 5000: torch.ones(1)}, r"unexpected 'a\nb"),
    "bool": ({**OWN, "0.bias": torch.ones(4, dtype=torch.bool)}, "0.bias of torch.bool, not"),
    "integers": (
        {**OWN, "0.bias": torch.ones(4).int()},
        "0.bias of torch.int32, not torch.float32",
    ),
    "complex": (
        {**OWN, "0.bias": torch.ones(4, dtype=torch.complex64)},
        "weights of another kind: 0.bias of torch.complex64, not torch.float32",
    ),
    "a counter that is none": (
        {**OWN, "1.num_batches_tracked": torch.tensor(1.5)},
        "1.num_batches_tracked of torch.float32, not torch.int64",
    ),
}


@pytest.mark.parametrize(("weights", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_one_short_line(weights, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        matched(weights)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_fit(dtype):
    weights = {name: x.to(dtype) if x.is_floating_point() else x for name, x in OWN.items()}
    assert set(matched(weights)) == set(OWN)
