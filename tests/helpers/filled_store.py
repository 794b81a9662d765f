"""A small study whose records are in a store, though nothing was run."""

import json
import os

import msgspec
import numpy as np

from harness.data.cache import default_cache
from harness.plan.keys import digest
from harness.store.record import CellArtifacts, to_json
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import records, tiny_study


def study(folder):
    """Return a study of four cells on two victims, one per seed."""
    return load_study(tiny_study.write_study(folder, seeds=[0, 1]), None, default_cache())


def subjects(plan):
    """Return the victims and cells of a study."""
    return [*plan.victims().values(), *plan.cells]


def record(planned, store, finished=records.FINISHED, version=None):
    """Return an ok record, with an artifact of its own."""
    content = np.frombuffer(f"{planned.key}{finished}".encode(), np.uint8)
    name = store.put({"content": content}, compress=True)
    result = records.ok(planned).result
    artifacts = msgspec.structs.replace(result.artifacts, predictions=name)
    if not isinstance(artifacts, CellArtifacts):
        artifacts = msgspec.structs.replace(artifacts, model=name, trigger=name, samples=name)
    made = records.ok(planned, finished=finished, artifacts=artifacts)
    if version is None or not isinstance(artifacts, CellArtifacts):
        return made
    defense = msgspec.structs.replace(made.spec.defense, version=version)
    spec = msgspec.structs.replace(made.spec, defense=defense)
    return msgspec.structs.replace(made, spec=spec, key=digest(msgspec.to_builtins(spec)))


def fill(plan, folder, **more):
    """Write the records of a whole study and return the store."""
    store = Store(folder)
    for planned in subjects(plan):
        store.append(record(planned, store, **more))
    return store


def everything(store):
    """Return the texts of all records."""
    return sorted(json.dumps(to_json(x), sort_keys=True) for x in store.records())


def age(folder):
    """Make every file as old as possible."""
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
