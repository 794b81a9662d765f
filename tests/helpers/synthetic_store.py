"""A study of own methods with made-up records in a real store, to test reports with."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import numpy as np

from harness.data.cache import default_cache
from harness.evaluation.metrics import Scores, defense_metrics
from harness.store.record import (
    CellArtifacts,
    CellRecord,
    Companion,
    Failure,
    Run,
    Status,
    VictimArtifacts,
)
from harness.store.record_files import to_line
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers.records import ENVIRONMENT, FINISHED, cell_result, ok, victim_result

FAMILIES = ("pruning", "fine-tuning", "unlearning")
LAYERS = {
    "net.conv1": 8,
    "net.layer1.0.conv1": 8,
    "net.layer1.0.shortcut.0": 16,
    "net.layer2.0.conv1": 32,
}
# test images of a made-up data set with ten classes; a tenth of them is of the target class 0
TEST = 200

DEFENSE = '''"""Made-up method number {number}: does nothing."""

from harness.contract import defense


@defense(paper="{paper}", year=2024, family="{family}", version={version}, needs="{needs}")
def method(model, budget, hyper, ctx):
    return model
'''
ATTACK = '''"""Made-up attack."""

from harness.contract import attack


@attack(
    trigger=lambda images, state: images,
    paper="Attack, arXiv 2101.0000{number}",
    year=2021,
    version=1,
)
def method(train, goal, hyper, ctx):
    return None
'''


def fabricate(  # noqa: PLR0917
    folder,
    defenses=3,
    attacks=2,
    spcs=(2, 10),
    seeds=(0, 1),
    rates=(0.1,),
    widths=(8,),
    version=1,
    extra="",
):
    """Write a study and its records below ``folder``; return the plan and the store.

    One defense is an oracle, one cell an error, one a time-out, one missing; one victim failed the
    gate. The undefended model takes part too.
    """
    path = _write_study(Path(folder), defenses, attacks, spcs, seeds, rates, widths, version, extra)
    study = load_study(path, None, default_cache())
    store = Store(Path(folder) / "out" / "store")
    victims = {
        key: _victim(victim, store, bad=at == 1)
        for at, (key, victim) in enumerate(study.victims().items())
    }
    ends = {3: Status.ERROR, 4: Status.TIMEOUT}
    cells = [
        _cell(cell, victims[cell.victim.key], store, ends.get(at, Status.OK))
        for at, cell in enumerate(study.cells)
        if at != 5
    ]
    lines = [to_line(record).encoded() for record in (*victims.values(), *cells)]
    store.records_folder.mkdir(parents=True, exist_ok=True)
    (store.records_folder / "made-up.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return study, store


def _write_study(folder, defenses, attacks, spcs, seeds, rates, widths, version, extra):  # noqa: PLR0917
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(defenses):
        about = {
            "number": number,
            "paper": f"A Defense Numbered {number}, arXiv 2401.000{number:02}",
            "family": FAMILIES[number % len(FAMILIES)],
            "version": version if number == 0 else 1,
            "needs": "triggers" if number == 1 else "clean",
        }
        (folder / f"method_{number:02}.py").write_text(DEFENSE.format(**about))
    for number in range(attacks):
        (folder / f"attack_{number}.py").write_text(ATTACK.format(number=number))
    lines = [
        "data: [digits]",
        f"models: [{', '.join(f'preactresnet18: {{width: {width}}}' for width in widths)}]",
        f"attacks: [{', '.join(f'attack_{number}.py' for number in range(attacks))}]",
        f"defenses: [none, {', '.join(f'method_{number:02}.py' for number in range(defenses))}]",
        f"budgets: [{', '.join(f'spc: {spc}' for spc in spcs)}]",
        f"seeds: {list(seeds)}",
        f"rates: {list(rates)}",
        extra,
    ]
    path = folder / "made_up.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _noise(*parts):
    return np.random.default_rng(zlib.crc32("/".join(map(str, parts)).encode()))


def _victim(victim, store, *, bad):
    noise = _noise(victim.name)
    truth = np.arange(TEST) % 10
    moved = truth[truth != 0]
    samples = {
        "clean": noise.integers(0, 200, (3, 3, 8, 8), dtype=np.uint8),
        "truth": np.arange(1, 4),
    }
    samples["triggered"] = samples["clean"].copy()
    samples["triggered"][:, :, 6:, 6:] = 255
    predictions = {
        "truth_clean": truth,
        "truth_triggered": moved,
        "truth_wanted": np.zeros_like(moved),
    }
    nothing = store.put({})
    artifacts = VictimArtifacts(
        model=nothing,
        trigger=nothing,
        samples=store.put(samples),
        predictions=store.put(predictions, compress=True),
    )
    result = victim_result(asr=0.3 if bad else 0.99, artifacts=artifacts)
    return ok(victim, result, _run(noise))


def _cell(cell, victim, store, status):
    noise = _noise(cell.name, "cell")
    if status.failed:
        error = f"ValueError: it broke <b>& badly</b> ({status})"
        failure = Failure(status, error, "Traceback: line 1\n  line 2")
        record = CellRecord.failed(cell, failure, _run(noise))
        return msgspec.structs.replace(record, finished=FINISHED)
    strength = 0.0 if cell.defense.name == "none" else _noise(cell.defense.name).random()
    strength = float(
        np.clip(strength + 0.08 * np.log10(cell.budget.spc / 10) + 0.05 * noise.normal(), 0, 1)
    )
    before = Scores(victim.result.acc, victim.result.asr, victim.result.ra)
    after = Scores(
        0.95 - 0.1 * strength / cell.budget.spc - 0.01 * noise.random(),
        0.99 - 0.98 * strength,
        0.9 * strength,
    )
    moved = np.arange(TEST)[np.arange(TEST) % 10 != 0] % 10
    hit = np.random.default_rng(int(10 * after.asr)).random(len(moved)) < round(after.asr, 1)
    predictions = {"triggered": np.where(hit, 0, moved).astype(np.uint16)}
    method, companions = None, {}
    if cell.defense.name == "method_00":
        gates = {
            name: _noise(victim.key, name).random(n).astype(np.float32)
            for name, n in LAYERS.items()
        }
        kinds = {"mask": lambda x: x, "inverse": lambda x: 1 - x}
        method = store.put({f"{k}.{n}": f(x) for n, x in gates.items() for k, f in kinds.items()})
        companions["inverse"] = Companion(acc=0.2, asr=0.97, ra=0.0, auroc=0.5, auroc_victim=0.5)
    metrics = defense_metrics(before, after)
    result = cell_result(
        **after._asdict(),
        **metrics._asdict(),
        **{f"{name}_before": value for name, value in before._asdict().items()},
        n_clean=10 * cell.budget.spc,
        seconds=0.2 + 40 * strength * noise.random() + cell.budget.spc / 10,
        peak_mem_mb=300.0,
        companions=companions,
        artifacts=CellArtifacts(predictions=store.put(predictions, compress=True), method=method),
    )
    return ok(cell, result, _run(noise))


def _run(noise):
    loss = np.exp(-np.arange(100) / 30) + 0.02 * noise.random(100)
    scalars = [
        {"step": float(i), "loss": float(x), "cut": float(i // 10)} for i, x in enumerate(loss)
    ]
    return Run(1.5, ENVIRONMENT, scalars)
