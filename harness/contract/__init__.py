"""The contract between a method and the harness: all that a method file imports to declare itself.

A method is one file: a docstring (paper, arXiv id, threat model, deviations), one frozen
keyword-only dataclass ``Hyper`` with the paper's defaults and ranges, and one function that is
decorated with ``@attack``, ``@defense``, ``@model`` or ``@probe``; ``PRESETS``, a mapping from
names to instances of ``Hyper``, may offer other settings. The file's name is the method's name. At
module level a method file only declares; work happens inside functions.

The function gets what its threat model allows. No attack gets the test set. No defense gets the
test set, the trigger or the target class: one that declares ``needs="triggers"`` also gets
triggered copies of its clean samples, and only scripts of other toolboxes (``needs="external"``)
get the test set. A probe plays the attacker after the defense has ended, and gets everything.
A defense of the user's own runs in a process that holds no more than that. (No process keeps a
file from opening the data set on disk by itself.)

This package imports no torch. Method files also import ``harness.toolbox``, the pieces that methods
are made of, and no other package of the harness.
"""

from harness.contract.attack_types import (
    Batch,
    Goal,
    Poison,
    Target,
    TrainingControl,
    TrainingSet,
    poison_count,
    trigger_only,
)
from harness.contract.context import Context, OutOfTimeError
from harness.contract.declare import (
    DECLARATION,
    AttackInfo,
    DefenseInfo,
    MethodInfo,
    ModelInfo,
    NoHyper,
    Numbers,
    ProbeInfo,
    attack,
    defense,
    model,
    probe,
)
from harness.contract.defense_types import Budget, Defended
from harness.contract.later_fields import added, left_out_of_keys
from harness.contract.probe_types import Attacker, EvaluationImages
from harness.contract.quantity import Quantity
from harness.contract.recipe import RECIPES, Recipe
from harness.contract.shared_hyper import (
    FeatureInversion,
    FineTuning,
    GradientPruning,
    InvertibleMasks,
    Retuning,
    TriggerInversion,
)
from harness.contract.types import (
    BatchNormMode,
    Count,
    Function,
    GreyLevels,
    Kind,
    Layer,
    Needs,
    NonNegative,
    NonNegativeCount,
    Numerics,
    Positive,
    Share,
)

__all__ = [
    "DECLARATION",
    "RECIPES",
    "AttackInfo",
    "Attacker",
    "Batch",
    "BatchNormMode",
    "Budget",
    "Context",
    "Count",
    "Defended",
    "DefenseInfo",
    "EvaluationImages",
    "FeatureInversion",
    "FineTuning",
    "Function",
    "Goal",
    "GradientPruning",
    "GreyLevels",
    "InvertibleMasks",
    "Kind",
    "Layer",
    "MethodInfo",
    "ModelInfo",
    "Needs",
    "NoHyper",
    "NonNegative",
    "NonNegativeCount",
    "Numbers",
    "Numerics",
    "OutOfTimeError",
    "Poison",
    "Positive",
    "ProbeInfo",
    "Quantity",
    "Recipe",
    "Retuning",
    "Share",
    "Target",
    "TrainingControl",
    "TrainingSet",
    "TriggerInversion",
    "added",
    "attack",
    "defense",
    "left_out_of_keys",
    "model",
    "poison_count",
    "probe",
    "trigger_only",
]
