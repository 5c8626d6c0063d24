"""Settings for the tests: the defaults of `Pulumi.yaml`, with what a test changes."""

from functools import cache
from pathlib import Path
from typing import cast

import yaml

from hms.paths import project_root
from hms.spec import StackSpec
from hms.stack.settings import read_settings


@cache
def _project() -> dict[str, object]:
    project = yaml.safe_load((project_root() / "Pulumi.yaml").read_text())
    return {key: cast(object, entry["default"]) for key, entry in project["config"].items()}


def defaults(**changed: object) -> dict[str, object]:
    """Return valid settings: the defaults, a test cluster, and what the caller changes."""
    return {**_project(), "testCluster": "default", **changed}


def spec(**changed: object) -> StackSpec:
    """Return the spec of these settings."""
    return StackSpec.parse(defaults(**changed), stack="test", source="test")


def stack_spec(stack: str) -> StackSpec:
    """Return the spec of a stack of the checkout, on a test cluster where it names none."""
    path = project_root() / "stacks" / f"Pulumi.{stack}.yaml"
    values = {**read_settings(Path(path)), "testCluster": "default"}
    return StackSpec.parse(values, stack=stack, source=path.name)
