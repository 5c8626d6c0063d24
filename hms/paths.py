"""Where the product keeps things on this machine, outside the checkout, by the XDG base directory specification."""

import os
from pathlib import Path


def project_root() -> Path:
    """Return the checkout that this code runs from."""
    return Path(__file__).resolve().parents[1]


def cache_home() -> Path:
    """Return the directory of what can be made again: built tools, base images."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hms"


def state_home() -> Path:
    """Return the directory of what must be kept: clusters, Pulumi state, passphrases."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hms"


def tools_bin() -> Path:
    """Return the directory that `hms tools` fills with the outside tools, to be put first on the path."""
    return cache_home() / "bin"


def cluster_home(name: str) -> Path:
    """Return the run directory of the test cluster of that name."""
    return state_home() / "clusters" / name


def cluster_kubeconfig(name: str) -> Path:
    """Return the kubeconfig of the test cluster of that name; it is there once the cluster is up."""
    return cluster_home(name) / "kubeconfig"


def cluster_context(name: str) -> str:
    """Return the context's name in that kubeconfig."""
    return f"hms-{name}"
