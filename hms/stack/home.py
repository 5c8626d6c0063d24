"""Where Pulumi keeps its state and finds its passphrase, when the user has said nothing of either."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from hms.paths import state_home

PASSPHRASE_VARIABLES: Final = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def default_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a user of `environment` lacks: a file backend and its passphrase, both on this machine.

    A backend that is set, or that Pulumi is logged in to, and a passphrase that is set, are the user's own choice.
    What is returned exists: the state's directory and the passphrase file, readable by its owner alone.
    """
    made: dict[str, str] = {}
    if not environment.get("PULUMI_BACKEND_URL") and not _logged_in(environment):
        folder = state_home() / "pulumi"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made["PULUMI_BACKEND_URL"] = f"file://{folder}"
    if not any(environment.get(name) for name in PASSPHRASE_VARIABLES):
        path = state_home() / "passphrase"
        ensure_passphrase(path)
        made["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(path)
    return made


def ensure_passphrase(path: Path) -> None:
    """Make a strong passphrase if there is none; two commands at once agree on one."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        os.unlink(partial)


def _logged_in(environment: Mapping[str, str]) -> bool:
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        return bool(json.loads((home / "credentials.json").read_text()).get("current"))
    except (OSError, ValueError):
        return False
