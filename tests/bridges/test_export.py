"""Exported records have what BackdoorBench's loader needs, and come back unchanged."""

import csv
import zipfile

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from torchvision.models import resnet18

from harness.bridges.backdoorbench.export import export_study
from harness.bridges.backdoorbench.state_dicts import from_backdoorbench
from harness.bridges.backdoorbench.write_record import RecordInputs, write_record
from harness.cli import main as cli
from harness.errors import UserError
from harness.evaluation.evaluate import evaluate
from harness.store.store import store_of
from harness.training.session import WorkerSession
from tests.helpers import fake_backdoorbench, tiny_study


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A study with two victims and a defended model, its export, and the command's output."""
    folder = tmp_path_factory.mktemp("export")
    fake_backdoorbench.write_images(folder / "images")
    study = fake_backdoorbench.write_study(
        folder,
        attacks=["badnets", "bpp"],
        defenses=["none", {"ft": {"epochs": 1}}],
        keep_models=True,
        models=[{"resnet18": {"stem": "7x7"}}],
        recipe={"fast": {"epochs": 1, "batch": 8, "precision": "fp32"}},  # several classes appear
    )
    records = tiny_study.run(study, folder / "out")
    assert {record.status for record in records.values()} == {"ok"}
    where = ["--out", str(folder / "out"), "--to", str(folder / "to"), "--device", "cpu"]
    arguments = ["export", "backdoorbench", str(study), *where]
    done = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    return folder, tiny_study.load(study), records, done.output


def record_of(exported, attack):
    (found,) = (exported[0] / "to" / "record").glob(f"{attack}*")
    return found


def loaded(path):
    return torch.load(path, weights_only=False)  # our own file, as BackdoorBench loads it


def images_of(state, home):
    """Read a data set's changed images as BackdoorBench does: by index, from the paths in it."""
    rows = []
    for index in np.flatnonzero(state["poison_indicator"]).tolist():
        entry = state["bd_data_container"]["data_dict"][index]
        with Image.open(home / entry["path"]) as image:
            rows.append((index, np.asarray(image).transpose(2, 0, 1), *entry["other_info"]))
    return rows


def test_a_record_has_the_keys_and_plain_values_that_its_loader_needs(exported):
    folder = record_of(exported, "badnets")
    said = loaded(folder / "attack_result.pt")
    plain = {name: x for name, x in said.items() if name not in {"model", "bd_train", "bd_test"}}
    assert plain == {
        "model_name": "resnet18",
        "num_classes": 43,
        "img_size": (32, 32, 3),
        "clean_data": "gtsrb",
        "data_path": "./data/gtsrb",
    }
    assert list(said["model"]) == list(resnet18(num_classes=43).state_dict())
    test, train = said["bd_test"], said["bd_train"]
    assert test["getitem_all"] is True
    assert test["getitem_all_switch"] is False
    assert test["original_index_array"].dtype == np.int64
    assert test["poison_indicator"].dtype == np.float64
    assert train["original_index_array"].tolist() == list(range(172))
    assert (
        test["original_index_array"].tolist() == np.flatnonzero(test["poison_indicator"]).tolist()
    )
    assert all(type(index) is int for index in test["bd_data_container"]["data_dict"])
    assert torch.load(folder / "info.pickle", weights_only=True)["attack_target"] == 0
    poisoned = loaded(folder / "train_poison_index_list.pickle")
    assert np.array_equal(poisoned, train["poison_indicator"])


def test_old_numpy_finds_the_names_that_it_knows(exported, tmp_path):
    with zipfile.ZipFile(record_of(exported, "badnets") / "attack_result.pt") as archive:
        (name,) = (x for x in archive.namelist() if x.endswith("data.pkl"))
        text = archive.read(name)
    assert b"numpy.core.multiarray" in text
    assert b"numpy._core" not in text
    assert text[:2] == b"\x80\x02"


def test_its_images_and_weights_give_the_scores_of_our_record_to_the_last_image(exported):
    folder, plan, records, _ = exported
    victim = next(x for x in plan.victims().values() if x.attack.name == "badnets")
    record = record_of(exported, "badnets")
    said = loaded(record / "attack_result.pt")
    attacked = WorkerSession(store_of(folder / "out"), torch.device("cpu")).load(
        victim, records[victim.key]
    )
    rows = images_of(said["bd_test"], folder / "to")
    images = torch.from_numpy(np.stack([row[1] for row in rows]))
    assert torch.equal(images, attacked.test.triggered)
    assert [row[2] for row in rows] == attacked.test.truth.wanted.tolist()
    assert [row[3] for row in rows] == attacked.test.truth.triggered.tolist()
    net = from_backdoorbench(said["model"], victim, "record").to(memory_format=torch.channels_last)
    assert torch.equal(evaluate(net, attacked.test).clean, attacked.before.clean)
    with (record / "attack_df.csv").open() as file:
        row = list(csv.DictReader(file))[-1]
    assert float(row["test_asr"]) == records[victim.key].result.asr
    assert row["train_acc"] == "nan_value"


def test_the_poisoned_training_images_are_those_that_the_victim_learnt(exported):
    folder, plan, records, _ = exported
    victim = next(x for x in plan.victims().values() if x.attack.name == "badnets")
    session = WorkerSession(store_of(folder / "out"), torch.device("cpu"))
    clean = session.data(victim).train_images.numpy()
    state = loaded(record_of(exported, "badnets") / "attack_result.pt")["bd_train"]
    rows = images_of(state, folder / "to")
    known = session.store.get(records[victim.key].result.artifacts.poison)["indices"]
    assert sorted(row[0] for row in rows) == sorted(known.tolist())
    assert {row[2] for row in rows} == {0}
    for index, image, _, _ in rows:
        changed = (image != clean[index]).any(0)
        assert changed[-3:, -3:].any()
        assert not changed[:28].any()


def test_a_defended_model_is_exported_and_still_what_was_evaluated(exported):
    folder, plan, records, _ = exported
    cell = next(
        x for x in plan.cells if x.defense.name == "ft" and x.victim.attack.name == "badnets"
    )
    path = record_of(exported, "badnets") / "defense" / "ft_SPC_2" / "defense_result.pt"
    said = torch.load(path, weights_only=True)
    assert set(said) == {"model_name", "num_classes", "model"}
    session = WorkerSession(store_of(folder / "out"), torch.device("cpu"))
    test = session.load(cell.victim, records[cell.victim.key]).test
    net = from_backdoorbench(said["model"], cell.victim, "record").to(
        memory_format=torch.channels_last
    )
    assert evaluate(net, test).scores.acc == records[cell.key].result.acc
    assert evaluate(net, test).scores.asr == records[cell.key].result.asr


def test_an_attack_without_fixed_training_images_says_so(exported):
    said = loaded(record_of(exported, "bpp") / "attack_result.pt")
    assert said["bd_train"] is None
    assert "without bd_train" in exported[3]
    assert "data/gtsrb does not exist yet" in exported[3]


def test_what_was_exported_comes_back_by_import(exported, tmp_path):
    folder, plan, records, _ = exported
    victim = next(x for x in plan.victims().values() if x.attack.name == "badnets")
    study = folder / "back.yaml"
    content = yaml.safe_load((folder / "both.yaml").read_text())
    content |= {"name": "back", "victims": [{"backdoorbench": str(record_of(exported, "badnets"))}]}
    del content["attacks"], content["keep_models"]
    study.write_text(yaml.safe_dump(content | {"defenses": ["none"]}))
    back = tiny_study.run(study, tmp_path)
    (imported,) = (x.result for x in back.values() if x.kind == "victim")
    for score in ("acc", "asr", "ra"):
        assert getattr(imported, score) == getattr(records[victim.key].result, score)
        assert getattr(imported.reported, score) == getattr(imported, score)
    store, known = (
        store_of(tmp_path),
        store_of(folder / "out").get(records[victim.key].result.artifacts.predictions),
    )
    found = store.get(imported.artifacts.predictions)
    assert len(np.unique(known["clean"])) > 3
    assert np.array_equal(found["clean"], known["clean"])
    assert np.array_equal(found["triggered"], known["triggered"])


def test_what_cannot_be_exported_is_one_clear_line(exported, tmp_path):
    folder, plan, _, _ = exported
    session = WorkerSession(store_of(folder / "out"), torch.device("cpu"))
    with pytest.raises(UserError, match="no victim of both matches 'wanet'; there are:"):
        list(export_study(plan, ("wanet",), tmp_path, session))
    unknown = tiny_study.load(tiny_study.write_study(tmp_path))
    with pytest.raises(UserError, match="BackdoorBench has no data set 'digits'"):
        list(export_study(unknown, (), tmp_path, session))
    empty = WorkerSession(store_of(tmp_path / "empty"), torch.device("cpu"))
    with pytest.raises(UserError, match="not trained yet"):
        list(export_study(plan, ("badnets",), tmp_path, empty))
    victim = next(iter(plan.victims().values()))
    with pytest.raises(UserError, match="takes the first 'record' in a path as its own folder"):
        write_record(RecordInputs(victim, None, None), tmp_path / "records", "x")
