"""Data sets are found where the options, the local folder or the hub have them."""

import os
import subprocess
import sys
from pathlib import Path

from harness.data.locate import locate
from harness.data.options import DataOptions
from tests.helpers.small_datasets import (
    TRAIN,
    assert_refused,
    image_dataset,
    parquet_dataset,
    png,
    write_parquet,
)

ROOT = Path(__file__).parents[2]


def test_an_own_hub_id_wins_over_the_local_folder(tmp_path):
    image_dataset(tmp_path / "cifar10")
    assert locate("cifar10", DataOptions(hub="me/mine"), tmp_path).files is None
    assert locate("cifar10", DataOptions(), tmp_path).files is not None


def test_what_a_download_leaves_is_found(tmp_path):
    folder = tmp_path / "imagenette"
    for part in (
        "160px/train-00000-of-00001",
        "160px/validation-00000-of-00001",
        "320px/train-0",
        ".cache/train-0",
    ):
        write_parquet(folder / f"{part}.parquet", [png(TRAIN[0])], [0])
    source = locate("imagenette", DataOptions(), tmp_path)
    assert [path.name for part in source.files for path in part] == [
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]


def test_the_hub_out_of_reach_names_the_folder_and_the_command(tmp_path):
    code = (
        "from pathlib import Path\nfrom harness.data.cache import prepare\n"
        "from harness.data.options import DataOptions\nfrom harness.errors import UserError\n"
        f"root = Path({str(tmp_path)!r})\n"
        "try: prepare('cifar10', DataOptions(), root, root / 'cache')\n"
        "except UserError as error: raise SystemExit(str(error))\n"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    folder = tmp_path / "cifar10"
    assert f"{folder} does not exist" in run.stderr
    command = f"hf download uoft-cs/cifar10 --repo-type dataset --local-dir {folder}"
    assert run.stderr.strip().endswith(command)
    assert len(run.stderr.strip().splitlines()) == 1


def test_no_such_folder(tmp_path, cache):
    assert_refused(
        "no folder .*nowhere; correct 'path'", DataOptions(path=str(tmp_path / "nowhere")), cache
    )


def test_a_missing_split(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    (tmp_path / "a" / "test.parquet").unlink()
    assert_refused("has no 'test' split; it needs test", options, cache)


def test_two_kinds_of_split(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    (tmp_path / "a" / "test.parquet").unlink()
    image_dataset(tmp_path / "a")
    assert_refused("one split as parquet and one as images", options, cache)
