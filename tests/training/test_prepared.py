"""What an attack prepares, an encoder or a pattern, is a record of its own kind."""

import os

from harness.cli.store import needed_by
from harness.store.gc import find_garbage
from harness.store.merge import merge
from tests.helpers import tiny_study


def test_a_store_with_a_byproduct_is_resumed_merged_and_kept_by_gc(tmp_path):
    attack = {"ssba": {"steps": 2, "batch": 8}}
    first = tiny_study.write_study(tmp_path / "first", attacks=[attack], defenses=["none"])
    tiny_study.run(first, tmp_path / "out")
    more = tiny_study.write_study(tmp_path / "more", attacks=[attack], seeds=[0, 1])
    latest = tiny_study.run(more, tmp_path / "out")
    made = [x for x in latest.values() if x.kind == "byproduct"]
    assert [x.status for x in made] == ["ok", "ok"]  # one per seed
    store, joined = tiny_study.store_of(tmp_path / "out"), tiny_study.store_of(tmp_path / "joined")
    merge(joined, store)
    assert {x.key for x in joined.records()} == set(latest)
    for file in store.artifacts_folder.glob("*/*"):
        os.utime(file, (0, 0))
    needed = {store.path_of(x.result.artifacts.byproduct) for x in made}
    garbage = find_garbage(store, tmp_path, needed_by([tiny_study.load(first)]))
    freed = {item.path for item in garbage}
    assert len(freed & needed) == 1  # the second seed's, which the first study does not know
    garbage = find_garbage(store, tmp_path, needed_by([tiny_study.load(more)]))
    assert not {item.path for item in garbage} & needed
