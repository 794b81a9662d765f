"""What a defense is given, and which victims it is not run on."""

import msgspec
import pytest

from harness.data.info import open_arrays
from harness.store.record import artifact_names
from harness.store.store import Store, store_of
from tests.helpers import tiny_study
from tests.helpers.own_defense import write_own


@pytest.mark.parametrize("damage", ["weights", "trigger"])
def test_a_victim_that_is_not_what_its_record_says_is_refused(tmp_path, damage):
    path = tiny_study.write_study(tmp_path, recipe={"fast": {"epochs": 8}}, defenses=["none"])
    out = tmp_path / "out"
    tiny_study.run(path, out, mode="run")
    store = store_of(out)
    record = next(r for r in store.records() if r.kind == "victim")
    role = {"weights": "model", "trigger": "trigger"}[damage]
    arrays = store.get(artifact_names(record)[role])
    if damage == "weights":
        arrays["net.linear.weight"] = arrays["net.linear.weight"][::-1].copy()
    else:
        arrays["mask"] = arrays["mask"][:, ::-1].copy()
    artifacts = msgspec.structs.replace(record.result.artifacts, **{role: store.put(arrays)})
    result = msgspec.structs.replace(record.result, artifacts=artifacts)
    store.append(msgspec.structs.replace(record, finished="9", result=result))
    latest = tiny_study.run(
        tiny_study.write_study(tmp_path, recipe={"fast": {"epochs": 8}}, defenses=["ft"]), out
    )
    refused = tiny_study.cell_record(latest, "ft")
    assert refused.status == "error"
    assert "otherwise than its record says" in refused.error
    assert ("clean" if damage == "weights" else "triggered") in refused.error


def test_every_defense_gets_the_same_images_and_smaller_budgets_are_subsets(tmp_path):
    spy = (
        "from harness.contract import Defended\n    return Defended(model, {'seen': budget.images})"
    )
    own = [write_own(tmp_path, name, spy) for name in ("spy_a.py", "spy_b.py")]
    path = tiny_study.write_study(tmp_path, defenses=own, budgets=[{"spc": 2}, {"spc": 10}])
    latest, store = tiny_study.run(path, tmp_path / "out"), Store(tmp_path / "out" / "store")

    def seen(*words: str):
        return store.get(tiny_study.cell_record(latest, *words).result.artifacts.method)["seen"]

    assert (seen("spy_a", "SPC 2") == seen("spy_b", "SPC 2")).all()
    victim = tiny_study.load(path).cells[0].victim
    labels = open_arrays(victim.data).test_labels
    cell = tiny_study.cell_record(latest, "spy_a", "SPC 2")
    predictions = store.get(cell.result.artifacts.predictions)
    assert len(predictions["triggered"]) == (labels != victim.target).sum(), (
        "no target class in ASR"
    )
    few = {image.tobytes() for image in seen("spy_a", "SPC 2")}
    many = {image.tobytes() for image in seen("spy_a", "SPC 10")}
    assert len(few) == 20
    assert len(many) == 100
    assert few <= many
