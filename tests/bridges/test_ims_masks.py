"""The masks that the IMS authors' script leaves become a network that answers as theirs did."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from harness.bridges.script.ims_masks import mask_folder, masked_victim
from harness.errors import UserError
from tests.campaign.outcome import CANARY
from tests.helpers.malicious_pickles import creates_file

K = 20


def write(folder, masks, selections):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (("mask", masks), ("channel_selection", selections)):
        arrays = {f"conv_{i}": x for i, x in enumerate(values)}
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(arrays))


def test_masks_act_as_hooks_on_the_outputs_do(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3)).eval()
    draw = np.random.default_rng(0)
    masks = [draw.random(n).astype(np.float32) for n in (4, 5)]
    selections = [draw.random(n).astype(np.float32) for n in (4, 5)]
    write(tmp_path / "spc_2" / "7", masks, selections)
    assert mask_folder(tmp_path / "spc_2") == tmp_path / "spc_2" / "7"
    masked = masked_victim(net, tmp_path / "spc_2" / "7", K)
    images, before = torch.rand(2, 3, 8, 8), net[0].weight.clone()
    found = masked(images)
    for layer, mask, selection in zip((net[0], net[3]), masks, selections, strict=True):
        soft = 1 / (1 + np.exp(-K * (mask - 0.5)))
        gate = torch.from_numpy(soft + selection * (1 - soft))[:, None, None]
        layer.register_forward_hook(lambda _, __, output, gate=gate: output * gate)
    assert torch.allclose(found, net(images), atol=1e-6)
    assert torch.equal(net[0].weight, before)


def test_masks_that_do_not_fit_or_hold_code_are_refused(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    ones = np.ones(4, np.float32)
    for masks, fault in (
        ([ones, ones], "2 masks, but 1"),
        ([ones[:3]], "not a mask of 4"),
        ([np.ones(4, np.int64)], "not a mask of 4"),
    ):
        write(tmp_path, masks, masks)
        with pytest.raises(UserError, match=fault):
            masked_victim(net, tmp_path, K)
    write(tmp_path, [ones], [ones])
    (tmp_path / "mask.pkl").write_bytes(pickle.dumps({"conv_0": creates_file(tmp_path / CANARY)}))
    with pytest.raises(UserError, match=r"it names builtins\.exec"):
        masked_victim(net, tmp_path, K)
    assert not (tmp_path / CANARY).exists()
    assert mask_folder(tmp_path / "nothing") is None
