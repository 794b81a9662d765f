"""What a method is: the decorators, the types of a ``Hyper``, and the bundles that a method is handed.

A method is one file: a docstring (paper, arXiv id, threat model, deviations), one frozen
keyword-only dataclass ``Hyper`` with the paper's defaults and ranges, and one decorated function.
The file name is the method's name. At module level a method file only declares; work happens inside
functions.

A function receives only what its threat model allows. No bundle leads to the test set, and a
defense that does not declare ``needs="triggers"`` holds nothing that leads to the trigger or its
target. (Python has no sandbox: a file that opens the data set by itself is outside what a contract
can prevent.)
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
    attack,
    defense,
    model,
)
from harness.contract.defense_types import Budget, Defended
from harness.contract.recipe import RECIPES, Recipe
from harness.contract.shared_hyper import (
    FineTuning,
    GradientPruning,
    InvertibleMasks,
    TriggerInversion,
)
from harness.contract.types import (
    Count,
    Function,
    GreyLevels,
    Kind,
    Layer,
    Needs,
    NonNegative,
    NonNegativeCount,
    Positive,
    Share,
)

__all__ = [
    "DECLARATION",
    "RECIPES",
    "AttackInfo",
    "Batch",
    "Budget",
    "Context",
    "Count",
    "Defended",
    "DefenseInfo",
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
    "OutOfTimeError",
    "Poison",
    "Positive",
    "Recipe",
    "Share",
    "Target",
    "TrainingControl",
    "TrainingSet",
    "TriggerInversion",
    "attack",
    "defense",
    "model",
    "poison_count",
    "trigger_only",
]
