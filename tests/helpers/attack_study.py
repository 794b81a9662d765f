"""A tiny study whose attacks are written as in YAML."""

from harness.data.cache import default_cache
from harness.study.load import load_study

STUDY = """
data: [digits]
models: [{{preactresnet18: {{width: 4}}}}]
recipe: {{fast: {{epochs: 1}}}}
attacks: {attacks}
defenses: {defenses}
budgets: [{{spc: 2}}]
seeds: [0]
{more}
"""


def planned(tmp_path, attacks, more="", defenses="[none]"):
    path = tmp_path / "study.yaml"
    more = more if "gate:" in more else f"{more}\ngate: {{acc: 0, run: all}}"
    path.write_text(STUDY.format(attacks=attacks, more=more, defenses=defenses))
    return load_study(path, None, default_cache())
