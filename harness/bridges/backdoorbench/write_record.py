"""Writes a victim as a record folder of BackdoorBench, as its attack scripts leave one (its version 2).

``record/<name>/`` below a home folder holds attack_result.pt, poisoned images as PNG files,
attack_df.csv, info.pickle and train_poison_index_list.pickle. Paths in it are relative to the home
folder, from which BackdoorBench's scripts are started. There is no cross_test_dataset: no test
image of ours carries noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from harness.bridges.backdoorbench import numpy1_pickle
from harness.bridges.backdoorbench.names import data_name
from harness.bridges.backdoorbench.poisoned_sets import PoisonedImages, poisoned_test, save_poisoned
from harness.bridges.backdoorbench.state_dicts import to_backdoorbench
from harness.errors import UserError
from harness.plan.spec import Victim
from harness.training.victim import LoadedVictim

NAN = "nan_value"
"""As BackdoorBench writes it into tables."""
COLUMNS = (
    *("epoch", "batch", "train_epoch_loss_avg_over_batch", "train_acc", "train_acc_clean_only"),
    *("train_asr_bd_only", "train_ra_bd_only", "clean_test_loss_avg_over_batch"),
    *("bd_test_loss_avg_over_batch", "test_acc", "test_asr", "test_ra"),
)


class RecordInputs(NamedTuple):
    """What a record is written from."""

    victim: Victim
    attacked: LoadedVictim
    training: PoisonedImages | None
    """The poisoned training images, where there are fixed ones."""


def write_record(source: RecordInputs, home: Path, name: str) -> Path:
    """Write ``home/record/<name>`` and return it; files that stand there are replaced.

    Raises:
        UserError: BackdoorBench could not find its data from there.
    """
    if "record" in str(home.resolve()):
        raise UserError(
            f"{home.resolve()}: BackdoorBench takes the first 'record' of a path for its own folder"
        )
    folder = home / "record" / name
    folder.mkdir(parents=True, exist_ok=True)
    test, training = poisoned_test(source.attacked), source.training
    weights = source.attacked.model.state_dict()
    result = {
        **model_entries(weights, source.victim),
        "data_path": f"./data/{data_name(source.victim)}",
        "img_size": _image_size(source.victim),
        "clean_data": data_name(source.victim),
        "bd_train": training
        and save_poisoned(training, home, f"record/{name}/bd_train_dataset", alone=False),
        "bd_test": save_poisoned(test, home, f"record/{name}/bd_test_dataset", alone=True),
    }
    numpy1_pickle.save_for_numpy1(_info(source), folder / "info.pickle")
    if training is not None:
        numpy1_pickle.save_for_numpy1(training.indicator(), folder / "train_poison_index_list.pickle")
    _table(source).to_csv(folder / "attack_df.csv")
    numpy1_pickle.save_for_numpy1(result, folder / "attack_result.pt")
    return folder


def model_entries(weights: Mapping[str, torch.Tensor], victim: Victim) -> dict[str, Any]:
    """Return what attack_result.pt and defense_result.pt say of a model."""
    return {
        "model_name": victim.model.name,
        "num_classes": victim.data.classes,
        "model": to_backdoorbench(weights, victim),
    }


def _image_size(victim: Victim) -> tuple[int, int, int]:
    channels, height, width = victim.data.shape
    return height, width, channels


def _info(source: RecordInputs) -> dict[str, Any]:
    """Return the settings of the attack, under BackdoorBench's names where it has some."""
    victim = source.victim
    one = isinstance(victim.target, int)
    return {
        "attack": victim.attack.name,
        "attack_label_trans": "all2one" if one else "all2all",
        "attack_target": victim.target if one else None,
        "pratio": victim.poison_rate,
        "dataset": data_name(victim),
        "dataset_path": f"./data/{data_name(victim)}",
        "model": victim.model.name,
        "num_classes": victim.data.classes,
        "img_size": _image_size(victim),
        "random_seed": victim.seed,
        **{f"recipe_{name}": value for name, value in asdict(victim.recipe).items()},
        "defuse_key": victim.key,
    }


def _table(source: RecordInputs) -> pd.DataFrame:
    """Return one row, of the last epoch: our scores, which are those of its own test loop."""
    scores = source.attacked.before.scores
    said = {f"test_{name}": value for name, value in scores._asdict().items()}
    row = {**dict.fromkeys(COLUMNS, NAN), "epoch": source.victim.recipe.epochs - 1, **said}
    return pd.DataFrame([row])
