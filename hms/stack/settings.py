"""The settings of a stack as its files have them: `Pulumi.yaml`'s defaults, then the stack's own file."""

from pathlib import Path
from typing import Any, Final

import yaml

from hms.errors import UsageError
from hms.paths import project_root
from hms.spec import SECRET_KEYS, StackSpec, flatten

PROJECT: Final = "hms"


def stack_file(stack: str) -> Path:
    """Return the file of a stack's settings in the checkout; `UsageError` names the stacks that there are."""
    folder = project_root() / "stacks"
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.name.split(".")[1] for p in folder.glob("Pulumi.*.yaml"))) or "none"
        raise UsageError(
            f"stack {stack!r}: unknown; there is {known}",
            remedy=f"Name one of them, or write {path.relative_to(project_root())} for a new one.",
        )
    return path


def read_settings(config_file: Path) -> dict[str, object]:
    """Return all settings of a stack by their bare keys; a secret's value is as it is encrypted."""
    project = _mapping(project_root() / "Pulumi.yaml")
    own = _mapping(config_file).get("config") or {}
    if not isinstance(own, dict):
        raise UsageError(f"{config_file}: `config` is not a mapping", remedy="See stacks/README.md.")
    defaults = {key: entry["default"] for key, entry in project["config"].items() if "default" in entry}
    return {**defaults, **flatten(own, project=PROJECT)}


def read_stack_spec(stack: str, config_file: Path) -> StackSpec:
    """Return the spec that the files declare; `InvalidSpecError` has every problem of them at once."""
    return StackSpec.parse(read_settings(config_file), stack=stack, source=str(config_file))


def missing_secrets(config_file: Path) -> tuple[str, ...]:
    """Return which of the stack's secrets are not set in its file."""
    settings = read_settings(config_file)
    return tuple(key for key in SECRET_KEYS if key not in settings)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: not YAML: {reason}", remedy="Correct it.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: not a mapping", remedy="See stacks/README.md.")
    return content
