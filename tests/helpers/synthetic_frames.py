"""Synthetic frames for the tests of the report: no study, no store."""

from __future__ import annotations

import hashlib
import itertools
import zlib

import numpy as np
import pandas as pd

from harness.report.frame.columns import VICTIM_COLUMNS
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.metric_info import SCORES, with_changes
from harness.report.frame.report_data import ReportData

METRICS = ["acc", "asr", "ra", "acc_before", "asr_before", "ra_before", "der", "rir", "arr", "rdr"]
COLUMNS = [
    "study",
    "data",
    "model",
    "recipe",
    "attack",
    "rate",
    "target",
    "defense",
    "family",
    "needs",
    "budget",
    "spc",
    "n_clean",
    "seed",
    "draw",
    "unclean",
    "shared",
    "target_class",
    "status",
    "gate",
    *METRICS,
    "seconds",
    "peak_mem_mb",
    "victim",
    "key",
    "error",
    "attacked",
]
CHANGES = ["acc_change", "asr_change", "ra_change", "solved"]
NAMES = DisplayNames(
    {
        ("defense", "ft"): "FT",
        ("defense", "ims"): "IMS",
        ("defense", "grad_prune"): "Gradient pruning",
        ("attack", "badnets"): "BadNets",
        ("attack", "blended"): "Blended",
        ("model", "preactresnet18"): "PreAct-ResNet-18",
    }
)
"""Display names of the methods in the golden files."""


def frame(
    defenses=("none", "ft", "anp", "ims"),
    spcs=(2, 10),
    seeds=(0, 1),
    attacks=("badnets", "blended"),
    models=("preactresnet18",),
    data="digits",
):
    """Return a frame in which every cell is ok and every number follows from its cell's name."""
    cells = itertools.product(models, attacks, seeds, spcs, defenses)
    rows = [_row(data, *cell) for cell in cells]
    return with_changes(pd.DataFrame(rows, columns=COLUMNS).round(6))


def report_of(cells, figures=("curves",), **options):
    """Return what a report is made from: these cells, and the victims that they ran on."""
    victims = cells.drop_duplicates("victim").sort_values("victim").drop(columns=["key", "seconds"])
    victims = victims.assign(status="ok", error="", poisoned=10.0, seconds=1.0)
    victims = victims.rename(columns={"victim": "key"})
    before = cells.groupby("victim")[["acc_before", "asr_before", "ra_before"]].max().astype(float)
    scores = {name: victims["key"].map(before[f"{name}_before"]) for name in SCORES}
    stealth = {"clean_acc": 0.96, "psnr": 30.0, "ssim": 0.95, "linf": 255.0}
    victims = victims.assign(**{f"{name}_reported": float("nan") for name in scores})
    verdict = victims["gate"].map({True: "passed", False: "not planted"})
    victims = victims.assign(**scores, **stealth, verdict=verdict)
    return ReportData(
        frame=cells, victims=victims[list(VICTIM_COLUMNS)], figures=figures, **options
    )


def _row(data, model, attack, seed, spc, defense):
    victim = f"{data}/{model}/{attack}/{seed}"
    key = f"{victim}/{defense}/{spc}"
    noise = np.random.default_rng(zlib.crc32(key.encode()))
    strength = (
        0.0 if defense == "none" else zlib.crc32(defense.encode()) % 7 / 7 + 0.1 * np.log10(spc)
    )
    acc = 0.95 - 0.04 * strength / spc - 0.004 * noise.random()
    asr = float(np.clip(0.98 - strength + 0.05 * noise.random(), 0.005, 1))
    ra = acc * (1 - asr)
    loss = max(0, 0.95 - acc)
    return {
        "study": "golden",
        "data": data,
        "model": model,
        "recipe": "fast",
        "attack": attack,
        "rate": 0.1,
        "target": 0,
        "defense": defense,
        "family": "control" if defense == "none" else "pruning",
        "needs": "triggers" if defense == "grad_prune" else "clean",
        "budget": f"SPC {spc}",
        "spc": float(spc),
        "n_clean": 10 * spc,
        "seed": seed,
        "draw": 0,
        "unclean": "",
        "shared": False,
        "target_class": "",
        "status": "ok",
        "gate": True,
        "acc": acc,
        "asr": asr,
        "ra": ra,
        "acc_before": 0.95,
        "asr_before": 0.98,
        "ra_before": 0.02,
        "der": (max(0, 0.98 - asr) - loss + 1) / 2,
        "rir": (max(0, ra - 0.02) - loss + 1) / 2,
        "arr": 1 - acc / 0.95,
        "rdr": 1 - ra / 0.95,
        "seconds": 0.5 + spc * strength,
        "peak_mem_mb": 100.0 + spc,
        "victim": victim,
        "key": hashlib.sha256(key.encode()).hexdigest()[:16],
        "error": "",
        "attacked": True,
    }


def golden_frame():
    """Four defenses, one of them an oracle; a failed victim, an error and a missing cell."""
    cells = frame(("none", "ft", "ims", "grad_prune"), (2, 10), (0, 1, 2))
    cells.loc[cells["victim"].eq("digits/preactresnet18/blended/1"), "gate"] = False
    broken = cells["defense"].eq("ft") & cells["attack"].eq("badnets") & cells["budget"].eq("SPC 2")
    cells = fail(cells, broken & cells["seed"].eq(0), "error")
    return fail(cells, broken & cells["seed"].eq(2), "missing", "")


def golden_report():
    """Return the report whose tables are the golden files; its rows are shuffled."""
    return report_of(golden_frame().sample(frac=1, random_state=7), names=NAMES)


def fail(cells, rows, status, error="it broke"):
    """Return the frame with the given rows (a boolean mask) failed with a status."""
    failed = cells.copy()
    failed.loc[rows, "status"] = status
    failed.loc[rows, [*METRICS, *CHANGES, "seconds", "peak_mem_mb"]] = np.nan
    failed.loc[rows, "error"] = error
    return failed
