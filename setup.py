"""Which packages a wheel holds; all else is in pyproject.toml.

``attacks/``, ``defenses/`` and ``configs/`` are beside ``harness/`` in the repository and inside it
when installed, so that they neither hide nor are hidden by a user's folders of these names.
"""

from setuptools import find_packages, setup

INSIDE = {f"harness.{name}": name for name in ("attacks", "defenses", "configs")}

setup(
    packages=[*find_packages(include=["harness", "harness.*"]), *INSIDE],
    package_dir={"harness": "harness", **INSIDE},
    package_data={
        "harness": ["py.typed"],
        "harness.cli": ["templates/*"],
        "harness.execution": ["costs.json"],
        "harness.configs": ["*.yaml", "*/*.yaml", "study.schema.json"],
        "harness.report.frame": ["*.parquet"],
        "harness.report.page": ["*.html", "*.css", "*.js"],
    },
)
