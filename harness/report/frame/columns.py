"""The columns of the DataFrames of a report, each with its unit and its meaning.

``docs/record.md`` shows them; ``python -m tests.regenerate columns`` writes them there.
"""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """What a column holds."""

    unit: str
    """"share" is a fraction in [0, 1]; "" for names and counts."""
    meaning: str


CONDITION = {
    "study": Column("", "name of the study"),
    "data": Column("", "data set"),
    "model": Column("", "architecture, with hyperparameters that differ from its defaults"),
    "recipe": Column("", "how the victim was trained"),
    "attack": Column("", "attack, likewise; `none` for a clean model"),
    "rate": Column("share", "poison rate; empty where an imported victim's is unknown"),
    "target": Column("", "number of the target class, or `all-to-all`, `all-to-all+2`"),
}
"""What was attacked, and how."""
_STATUS = {
    "status": Column("", "`ok`, how it failed, or why there is no record"),
    "gate": Column("", "whether the victim counts in means; empty while unknown"),
}
_SCORES = {
    "acc": Column("share", "ACC of the defended model"),
    "asr": Column("share", "its ASR"),
    "ra": Column("share", "its RA"),
}
_ERROR = Column("", "why it failed, or was left out")
_ATTACKED = Column("", "whether the victim has a backdoor; a clean model has no ASR and RA")

CELL_COLUMNS = {
    **CONDITION,
    "defense": Column("", "defense, with hyperparameters that differ from its defaults"),
    "family": Column("", "pruning, fine-tuning, unlearning or control"),
    "needs": Column("", "`clean`, `triggers` (an oracle) or `external`"),
    "budget": Column("", "label of the clean budget"),
    "spc": Column("images", "clean samples per class; empty where the budget is a ratio"),
    "n_clean": Column("images", "clean samples in all"),
    "seed": Column("", "seed of the clean samples and the defense, and of a trained victim"),
    **_STATUS,
    **_SCORES,
    "acc_before": Column("share", "ACC of the victim"),
    "asr_before": Column("share", "its ASR"),
    "ra_before": Column("share", "its RA"),
    "der": Column("share", "DER; 0.5 is no change"),
    "rir": Column("share", "RIR; 0.5 is no change"),
    "arr": Column("ratio", "ARR"),
    "rdr": Column("ratio", "RDR"),
    "seconds": Column("s", "time of the defense alone"),
    "peak_mem_mb": Column("MiB", "peak memory of the defense"),
    "changed": Column("share", "clean test images whose predicted class the defense changed"),
    "acc_inverse": Column("share", "ACC of the inverse network, where the defense returns one"),
    "asr_inverse": Column("share", "its ASR"),
    "ra_inverse": Column("share", "its RA"),
    "asr_triggers": Column("share", "ASR of a clean model, mean over the triggers of attacks"),
    "ra_triggers": Column("share", "its RA, likewise"),
    "victim": Column("", "key of the victim's record"),
    "key": Column("", "key of the cell's record"),
    "error": _ERROR,
    "draw": Column("", "which of the clean budgets of this size"),
    "unclean": Column("", "how the budget is unclean; empty for a clean one"),
    "shared": Column("", "whether several workers shared the GPU, which lengthens `seconds`"),
    "target_class": Column("", "name of the target class; empty for all-to-all"),
    "attacked": _ATTACKED,
}
"""What a cell's row begins with. The numbers of probes follow, ``probe.number``."""
DERIVED_COLUMNS = {
    "acc_change": Column("share", "acc - acc_before"),
    "asr_change": Column("share", "asr - asr_before"),
    "ra_change": Column("share", "ra - ra_before"),
    "solved": Column("", "1 if ASR is below 10 % and ACC fell by less than 2 points, else 0"),
}
"""What it ends with: what follows from the columns before."""
VICTIM_COLUMNS = {
    **CONDITION,
    "seed": Column("", "seed of the victim"),
    **_STATUS,
    "acc": Column("share", "ACC of the victim, before any defense"),
    "asr": Column("share", "its ASR"),
    "ra": Column("share", "its RA"),
    "clean_acc": Column("share", "ACC of the clean model, where the study has one"),
    "psnr": Column("dB", "triggered against clean test images; empty where no pixel differs"),
    "ssim": Column("ratio", "structural similarity of triggered and clean test images"),
    "linf": Column("8-bit steps", "largest change of a pixel, mean over test images"),
    "poisoned": Column("images", "training samples with trigger and attacker's label, per epoch"),
    "verdict": Column("", "passed, not planted, clean, unknown, or its status"),
    "seconds": Column("s", "time of the training, from start to end"),
    "key": Column("", "key of the victim's record"),
    "error": _ERROR,
    "acc_reported": Column("share", "ACC that the files of an imported victim report"),
    "asr_reported": Column("share", "ASR, likewise"),
    "ra_reported": Column("share", "RA, likewise"),
    "shared": Column("", "whether several workers shared the GPU, which lengthens `seconds`"),
    "target_class": Column("", "name of the target class; empty for all-to-all"),
    "attacked": _ATTACKED,
}
"""What a victim's row has."""
