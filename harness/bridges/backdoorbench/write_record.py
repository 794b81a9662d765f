"""Writes a victim as a record folder of BackdoorBench (version 2), as its attack scripts do.

``record/<name>/`` below a home folder holds attack_result.pt, poisoned images as PNG files,
attack_df.csv, info.pickle and train_poison_index_list.pickle. Paths in it are relative to the home
folder, from which BackdoorBench's scripts are started. There is no cross_test_dataset, because our
attacks put no noise on test images.
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
from harness.bridges.files.safe_torch_load import load_file
from harness.contract.attack_types import shift_of
from harness.errors import UserError
from harness.plan.spec import ImportedFiles, Victim
from harness.training.victim import LoadedVictim

INFO = "info.pickle"
PLAIN = (str, int, float, type(None))
NOT_MEASURED = "nan_value"
"""BackdoorBench's text for NaN in tables."""
ATTACK_COLUMNS = (
    "epoch",
    "batch",
    "train_epoch_loss_avg_over_batch",
    "train_acc",
    "train_acc_clean_only",
    "train_asr_bd_only",
    "train_ra_bd_only",
    "clean_test_loss_avg_over_batch",
    "bd_test_loss_avg_over_batch",
    "test_acc",
    "test_asr",
    "test_ra",
)
"""The columns of attack_df.csv."""


class RecordInputs(NamedTuple):
    """What is written to a record."""

    victim: Victim
    loaded: LoadedVictim
    training: PoisonedImages | None
    """The poisoned training images; None if the attack has no fixed ones."""


def write_record(inputs: RecordInputs, home: Path, name: str) -> Path:
    """Write ``home/record/<name>`` and return it; replace files of that name.

    Raises:
        UserError: BackdoorBench would not find its data from there.
    """
    if "record" in str(home.resolve()):
        raise UserError(
            f"{home.resolve()}: BackdoorBench takes the first 'record' in a path as its own folder"
        )
    folder = home / "record" / name
    folder.mkdir(parents=True, exist_ok=True)
    victim, loaded, training = inputs
    train_folder, test_folder = (
        f"record/{name}/{x}" for x in ("bd_train_dataset", "bd_test_dataset")
    )
    result = {
        **model_entries(loaded.model.state_dict(), victim),
        "data_path": f"./data/{data_name(victim)}",
        "img_size": _image_size(victim),
        "clean_data": data_name(victim),
        "bd_train": training and save_poisoned(training, home, train_folder, only_poisoned=False),
        "bd_test": save_poisoned(poisoned_test(loaded), home, test_folder, only_poisoned=True),
    }
    numpy1_pickle.save_for_numpy1(_info(victim), folder / INFO)
    if training is not None:
        numpy1_pickle.save_for_numpy1(
            training.indicator(), folder / "train_poison_index_list.pickle"
        )
    _table(inputs).to_csv(folder / "attack_df.csv")
    numpy1_pickle.save_for_numpy1(result, folder / "attack_result.pt")
    return folder


def model_entries(weights: Mapping[str, torch.Tensor], victim: Victim) -> dict[str, Any]:
    """Return the entries of a model in attack_result.pt and defense_result.pt."""
    return {
        "model_name": victim.model.name,
        "num_classes": victim.data.classes,
        "model": to_backdoorbench(weights, victim),
    }


def _image_size(victim: Victim) -> tuple[int, int, int]:
    channels, height, width = victim.data.shape
    return height, width, channels


def _info(victim: Victim) -> dict[str, Any]:
    """Return the settings of the attack, under BackdoorBench's names if it has one.

    Those of an imported record are its own, as far as it has kept them.
    """
    shift = shift_of(victim.target)
    ours = {
        "dataset": data_name(victim),
        "dataset_path": f"./data/{data_name(victim)}",
        "model": victim.model.name,
        "num_classes": victim.data.classes,
        "img_size": _image_size(victim),
        "defuse_key": victim.key,
    }
    if isinstance(victim.source, ImportedFiles) and victim.source.imported:
        return {"attack": victim.attack.label, **_original_info(victim.source), **ours}
    return {
        "attack": victim.attack.name,
        "attack_label_trans": "all2one" if shift is None else "all2all",
        "attack_target": victim.target if shift is None else None,
        **({} if shift is None else {"attack_label_shift_amount": shift}),
        "pratio": victim.poison_rate,
        "random_seed": victim.seed,
        **ours,
        **{f"recipe_{name}": value for name, value in asdict(victim.recipe).items()},
    }


def _original_info(source: ImportedFiles) -> dict[str, Any]:
    """Return the plain values in a record's info.pickle; nothing without one that can be read."""
    try:
        info = load_file(Path(source.path) / INFO)
    except UserError:
        return {}
    settings = info.items() if isinstance(info, dict) else ()
    return {name: x for name, x in settings if isinstance(name, str) and isinstance(x, PLAIN)}


def _table(inputs: RecordInputs) -> pd.DataFrame:
    """Return the row of the last epoch with our scores, defined as in BackdoorBench's test loop."""
    victim, scores = inputs.victim, inputs.loaded.before.scores._asdict()
    epochs = _info(victim).get("epochs") if victim.source.imported else victim.recipe.epochs
    row = {
        **dict.fromkeys(ATTACK_COLUMNS, NOT_MEASURED),
        "epoch": epochs - 1 if isinstance(epochs, int) else NOT_MEASURED,
        **{f"test_{name}": score for name, score in scores.items()},
    }
    return pd.DataFrame([row])
