"""The victims of a study: how well each attack took, how visible it is, and whether it passed the gate.

Also what a defense costs on clean models, where there is nothing to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.plan import NO_ATTACK, Study, Victim
from harness.records import Record
from harness.report.frame import gate

COLUMNS = (
    *("data", "model", "recipe", "attack", "rate", "poisoned", "target", "seed", "acc", "clean_acc"),
    *("asr", "ra", "psnr", "ssim", "linf", "gate", "seconds", "key", "error"),
)
SHOWN = {
    "attack": "attack",
    "rate": "rate %",
    "poisoned": "poisoned",
    "seed": "seed",
    "acc": "ACC",
    "clean_acc": "clean ACC",
    "asr": "ASR",
    "ra": "RA",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "linf": "L-inf",
    "gate": "gate",
    "seconds": "sec",
}
PERCENT = ("rate", "acc", "clean_acc", "asr", "ra")
DIGITS = {"psnr": 1, "ssim": 3, "linf": 1, "seconds": 1, **dict.fromkeys(PERCENT, 1), "rate": 2}
CAPTION = (
    "ACC, ASR, RA in percent; PSNR in dB, L-inf in steps of 8 bit, both and SSIM between clean and triggered "
    "test images. Gate: passed, or not planted (left out of every average); {gate}"
)
COST = ("data", "model", "recipe", "budget", "defense")
COST_COLUMNS = ("acc_before", "acc", "drop", "changed", "asr_triggers", "ra_triggers")


def victim_frame(study: Study, latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per victim with the columns COLUMNS; what is not known is NaN."""
    rows = [_row(study, victim, latest) for victim in study.victims().values()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(study: Study, victim: Victim, latest: Mapping[str, Record]) -> dict[str, Any]:
    record = latest.get(victim.key, {})
    result = record.get("result", {})
    clean = study.clean.get(victim.key)
    reference = {} if clean is None else latest.get(clean.key, {}).get("result", {})
    known = ("poisoned", "acc", "asr", "ra", "psnr", "ssim", "linf")
    return {
        "data": victim.data.name,
        "model": victim.model.label,
        "recipe": victim.recipe_name,
        "attack": victim.attack.label,
        "rate": victim.share,
        "target": victim.target,
        "seed": victim.seed,
        **{name: result.get(name) for name in known},
        "clean_acc": reference.get("acc"),
        "gate": _verdict(record, gate(study, victim, latest), victim),
        "seconds": record.get("wall_seconds"),
        "key": victim.key,
        "error": record.get("error", ""),
    }


def _verdict(record: Record, passed: bool | float, victim: Victim) -> str:
    if record.get("status") != "ok":
        return str(record.get("status", "missing"))
    if victim.is_clean:
        return "clean"
    return "passed" if passed is True else "not planted" if passed is False else "unknown"


def cost_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each defense does to clean models: means over seeds, shares; one row per COST.

    Columns: ACC before and after, its drop, the share of clean test images predicted otherwise than before,
    and ASR and RA under the triggers of the study's attacks.
    """
    cells = frame[frame["attack"].eq(NO_ATTACK) & frame["status"].eq("ok")]
    cells = cells.assign(drop=cells["acc_before"] - cells["acc"])
    return cells.groupby(list(COST), sort=False)[list(COST_COLUMNS)].mean().reset_index()


def write_victims(victims: pd.DataFrame, frame: pd.DataFrame, rule: str, folder: Path) -> None:
    """Write victims.csv and victims.md; with clean models in the study clean.csv and clean.md too."""
    victims.to_csv(folder / "victims.csv", index=False, lineterminator="\n")
    (folder / "victims.md").write_text(_victims_markdown(victims, rule), encoding="utf-8")
    cost = cost_frame(frame)
    if len(cost):
        cost.to_csv(folder / "clean.csv", index=False, lineterminator="\n", float_format="%.9g")
        (folder / "clean.md").write_text(_cost_markdown(cost), encoding="utf-8")


def _victims_markdown(victims: pd.DataFrame, rule: str) -> str:
    parts = []
    for (data, model, recipe), rows in victims.groupby(["data", "model", "recipe"], sort=False):
        body = [[_shown(name, row[name]) for name in SHOWN] for _, row in rows.iterrows()]
        parts += [f"### {data} · {model} · {recipe}", "", *_table(list(SHOWN.values()), body), ""]
    return "\n".join([*parts, CAPTION.format(gate=rule), ""])


def _cost_markdown(cost: pd.DataFrame) -> str:
    heads = ["data", "model", "budget", "defense", "ACC before", "ACC", "drop", "changed", "ASR", "RA"]
    names = ["data", "model", "budget", "defense", *COST_COLUMNS]
    body = [
        [f"{100 * row[name]:.1f}" if name in COST_COLUMNS else str(row[name]) for name in names]
        for _, row in cost.iterrows()
    ]
    caption = (
        "Clean models, in percent: what a defense costs where there is nothing to remove. changed: test "
        "images predicted otherwise than before; ASR and RA under the triggers of the study's attacks."
    )
    return "\n".join([*_table(heads, body), "", caption, ""])


def _shown(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return "–"
    if name in DIGITS:
        return f"{100 * value if name in PERCENT else value:.{DIGITS[name]}f}"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _table(heads: list[str], body: list[list[str]]) -> list[str]:
    safe = [[text.replace("|", r"\|") for text in row] for row in [heads, *body]]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    lines = ["| " + " | ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)) + " |" for row in safe]
    rule = "| " + " | ".join("-" * (width - 1) + ":" for width in widths) + " |"
    return [lines[0], rule, *lines[1:]]
