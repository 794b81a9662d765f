"""A record that was imported is exported with its own origin and poisoned training images."""

import numpy as np
import pytest
import torch

from harness.bridges.backdoorbench.poisoned_sets import poisoned_training
from harness.bridges.backdoorbench.read_record import read_record
from harness.bridges.backdoorbench.write_record import RecordInputs, write_record
from harness.contract import Context
from harness.errors import UserError
from harness.store.store import store_of
from harness.training.session import WorkerSession
from tests.helpers import tiny_study
from tests.helpers.backdoorbench_records import write_record as write_original
from tests.helpers.imported_studies import record_entry, write_study

ORIGIN = {"attack": "sig", "epochs": 7, "lr": 0.03, "pratio": 0.25, "random_seed": 5}


def test_what_was_imported_leaves_with_its_origin_and_images(squares, tmp_path, monkeypatch):
    original = write_original(squares, tmp_path / "record" / "sig_0_25")
    torch.save({**ORIGIN, "model": "elsewhere", "list": [1]}, original / "info.pickle")
    path = write_study(tmp_path, [record_entry(squares, original)])
    tiny_study.run(path, tmp_path / "out")
    study, store = tiny_study.load(path), store_of(tmp_path / "out")
    (victim,) = study.victims().values()
    session, latest = WorkerSession(store, torch.device("cpu")), store.latest()
    data = session.data(victim)
    ctx = Context(session.device, torch.Generator())
    training = poisoned_training(victim, data, ctx, store, latest)
    known = read_record(original).train
    assert np.array_equal(training.indices, known.indices)
    assert np.array_equal(training.labels, known.wanted)
    assert np.array_equal(training.truth, known.original)
    assert training.images[:, :, -2:, -2:].min() == 255  # the trigger

    name = "harness.bridges.backdoorbench.write_record.data_name"
    monkeypatch.setattr(name, lambda _: "squares")  # which BackdoorBench does not have
    inputs = RecordInputs(victim, session.load(victim, latest.victim(victim.key)), training)
    again = write_record(inputs, tmp_path / "to", "again")
    info = torch.load(again / "info.pickle", weights_only=False)
    assert {key: info[key] for key in ORIGIN} == ORIGIN
    assert info["model"] == "preactresnet18"
    assert (again / "attack_df.csv").read_text().splitlines()[1].startswith("0,6,")
    written = read_record(again)
    assert np.array_equal(written.train.indices, known.indices)
    assert np.array_equal(written.train.wanted, known.wanted)

    (original / "attack_result.pt").unlink()
    with pytest.raises(UserError, match="sig_0_25: is gone or has changed"):
        poisoned_training(victim, data, ctx, store, latest)
