"""The `PulumiStack`: one stack of the checkout, provisioned by calls of pulumi that anyone can repeat by hand."""

import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hms.errors import StackError, UsageError
from hms.inventory import Inventory, decode_inventory
from hms.kubectl import Kubectl, explicit_kubectl
from hms.paths import cluster_context, cluster_kubeconfig, project_root, tools_bin
from hms.spec import SECRET_KEYS, StackSpec
from hms.stack.credentials import make_credentials
from hms.stack.diagnosis import diagnose
from hms.stack.home import PASSPHRASE_VARIABLES, default_environment, ensure_passphrase
from hms.stack.lock import BackendFiles
from hms.stack.orphans import end_orphans
from hms.stack.process import capture, passthrough, stream
from hms.stack.settings import PROJECT, missing_secrets, read_stack_spec, stack_file

Progress = Callable[[str], None]

_LINE_MARKS: Final = (" created (", " updated (", " deleted (", " replaced (", "error:")


class PulumiStack:
    """One stack: its settings, its state, and the calls that make, change, show and remove it.

    `config_file` is the stack's settings, by default those of the checkout; secrets that are missing are made and
    stored there, encrypted. `backend_url` and `passphrase_file` are the user's own where set in the environment, else
    this machine's. `environment` is added to the process' own (`Toolbox.environment()`); KUBECONFIG is taken away.

    Every method that changes something is safe to repeat: it goes on from what an interrupted one left. With
    `terminal`, pulumi's output goes to the terminal as it is, and with `ask` so do its questions; else `progress` gets
    a line for each resource that changed.
    """

    def __init__(
        self,
        stack: str,
        *,
        config_file: Path | None = None,
        backend_url: str | None = None,
        passphrase_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.stack = stack
        self.config_file = stack_file(stack) if config_file is None else config_file.resolve()
        self._environment = _environment(environment or {}, backend_url, passphrase_file)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which pulumi is called."""
        return dict(self._environment)

    def spec(self) -> StackSpec:
        """Return what the stack shall be; `InvalidSpecError` has every problem of its settings."""
        return read_stack_spec(self.stack, self.config_file)

    def kubectl(self) -> Kubectl:
        """Return the stack's cluster and namespace; `UsageError` if the cluster is not there."""
        spec = self.spec()
        own = tools_bin() / "kubectl"
        binary = str(own) if own.exists() else "kubectl"
        choice = spec.cluster
        if choice.kubeconfig:
            named = explicit_kubectl(Path(choice.kubeconfig).expanduser(), choice.context, binary=binary)
            return named.within(spec.namespace)
        path = cluster_kubeconfig(choice.test_cluster)
        if not path.exists():
            raise UsageError(
                f"stack {self.stack}: its test cluster {choice.test_cluster!r} is not up",
                remedy=f"Run `hms cluster up --name {choice.test_cluster}`, or name another cluster with "
                f"`pulumi config set --stack {self.stack} kubeconfig FILE` and `... context NAME`.",
            )
        return Kubectl(path, cluster_context(choice.test_cluster), binary, spec.namespace)

    def prepare(self, progress: Progress) -> None:
        """Make the stack and its secrets where they are missing, as `up` does first; no cluster is needed for it."""
        self._wait_for_holder(progress)
        if not self.exists():
            self._init()
            progress(f"stack {self.stack}: new")
        missing = missing_secrets(self.config_file)
        if missing:
            self._make_secrets(missing, progress)

    def up(self, progress: Progress, *, terminal: bool = False, ask: bool = False) -> None:
        """Make the stack what its settings say, and wait until all of it is ready.

        `StackError` says which pod did not become ready, with its last events and lines.
        """
        kubectl = self._reach()
        self._prepare(progress)
        arguments = ["up", "--suppress-outputs", *_consent(ask)]
        self._change(arguments, progress, kubectl, terminal=terminal)

    def preview(self, progress: Progress, *, expect_no_changes: bool = False, terminal: bool = False) -> None:
        """Show what `up` would change; with `expect_no_changes`, `StackError` if that is anything."""
        self._reach()
        self._prepare(progress)
        extra = ["--expect-no-changes"] if expect_no_changes else []
        code, tail = self._call(["preview", "--suppress-outputs", *extra], progress, terminal=terminal)
        if code != 0:
            raise StackError(f"stack {self.stack}: pulumi preview ended with exit code {code}{_errors(tail)}")

    def refresh(self, progress: Progress, *, expect_no_changes: bool = False) -> None:
        """Bring Pulumi's memory to what the cluster has."""
        kubectl = self._reach()
        extra = ["--expect-no-changes"] if expect_no_changes else []
        self._change(["refresh", "--suppress-outputs", *_consent(False), *extra], progress, kubectl)

    def destroy(self, progress: Progress, *, terminal: bool = False, ask: bool = False) -> None:
        """Remove all that `up` made; a stack that was never made is removed already."""
        self._wait_for_holder(progress)
        if not self.exists():
            progress(f"stack {self.stack}: not there, nothing to remove")
            return
        self._reach()
        self._clear_pending(progress)
        self._change(["destroy", "--suppress-outputs", *_consent(ask)], progress, None, terminal=terminal)

    def output(self) -> Inventory:
        """Return the Inventory of the last `up`; `StackError` if there was none."""
        remedy = f"Run `hms up --stack {self.stack}` first."
        if not self.exists():
            raise StackError(f"stack {self.stack}: not there", remedy=remedy)
        outputs: dict[str, Any] = json.loads(self._capture("stack", "output", "--json", "--stack", self.stack))
        if "inventory" not in outputs:
            raise StackError(f"stack {self.stack}: nothing of it is up", remedy=remedy)
        return decode_inventory(json.dumps(outputs["inventory"]).encode(), source=f"stack {self.stack}")

    def exists(self) -> bool:
        """Tell whether Pulumi's backend knows the stack."""
        listed: list[dict[str, Any]] = json.loads(self._capture("stack", "ls", "--json"))
        return any(str(entry["name"]).rpartition("/")[2] == self.stack for entry in listed)

    def _reach(self) -> Kubectl:
        """Return the cluster once it has answered, so that an unreachable one is one clear message."""
        kubectl = self.kubectl()
        kubectl.reach(f"stack {self.stack}")
        return kubectl

    def _prepare(self, progress: Progress) -> None:
        """See to it that the stack exists, has its secrets, and is not held by a process that is dead."""
        self.prepare(progress)
        self._clear_pending(progress)

    def _init(self) -> None:
        """Make the stack in the backend.

        Pulumi writes the salt of its encryption into the stack's settings as it does so. Where these are a file of the
        caller's, it does so in a project of the same name that is thrown away, and the file gets its own salt later.
        """
        argv = ["pulumi", "stack", "init", self.stack, "--no-select"]
        if self.config_file == _checkout_file(self.stack):
            capture(argv, folder=project_root(), environment=self._environment)
            return
        with tempfile.TemporaryDirectory(prefix="hms-stack-") as folder:
            (Path(folder) / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
            capture(argv, folder=Path(folder), environment=self._environment)

    def _make_secrets(self, missing: Sequence[str], progress: Progress) -> None:
        """Make what is missing; a certificate, its key and its authority belong together and are made as one."""
        progress(f"stack {self.stack}: making {len(missing)} of {len(SECRET_KEYS)} secrets into {self.config_file}")
        certificate = [key for key in SECRET_KEYS if "Tls" in key]
        if set(certificate) & set(missing):
            missing = [*(key for key in missing if key not in certificate), *certificate]
        values = make_credentials(self.spec().namespace)
        for key in missing:
            argv = self._argv("config", "set", "--secret", key)
            code, tail = stream(
                argv, folder=project_root(), environment=self._environment, line=_silent, stdin=values[key]
            )
            if code != 0:
                raise StackError(f"{shlex.join(argv)}: exit code {code}{_errors(tail)}")

    def _clear_pending(self, progress: Progress) -> None:
        """Find out what became of operations that a killed pulumi began and never ended."""
        state = json.loads(self._capture("stack", "export", "--stack", self.stack))
        pending = (state.get("deployment") or {}).get("pending_operations") or []
        if pending:
            progress(
                f"stack {self.stack}: an earlier run was cut off in {len(pending)} operations; looking at the cluster"
            )
            arguments = ["refresh", "--suppress-outputs", *_consent(False), "--clear-pending-creates"]
            self._change(arguments, progress, self._reach())

    def _wait_for_holder(self, progress: Progress) -> None:
        """Wait for another pulumi on this stack; put right what a dead one left, and take its lock away."""
        files = BackendFiles.of(self._environment.get("PULUMI_BACKEND_URL", ""), self.stack)
        if files is None or not files.holders():
            return
        self._wait_while_held(files, progress)
        if holders := files.holders():
            progress(f"stack {self.stack}: the lock of process {holders[0].pid}, which is gone, is removed")
            end_orphans(self._environment["PULUMI_BACKEND_URL"])
            for finding in files.repair():
                progress(f"stack {self.stack}: {finding}")
            if files.holders():
                self._capture("cancel", "--yes", self.stack)

    def _wait_while_held(self, files: BackendFiles, progress: Progress) -> None:
        limit = self.spec().ready_timeout_seconds
        deadline = time.monotonic() + limit
        told = False
        while alive := [holder for holder in files.holders() if holder.alive]:
            if time.monotonic() > deadline:
                raise StackError(
                    f"stack {self.stack}: process {alive[0].pid} on {alive[0].host} has worked on it for {limit} s",
                    remedy=f"Wait for it, or end it and run `pulumi cancel --stack {self.stack}`.",
                )
            if not told:
                progress(f"stack {self.stack}: waiting for pulumi, process {alive[0].pid} on {alive[0].host}")
                told = True
            time.sleep(0.5)

    def _change(
        self, arguments: Sequence[str], progress: Progress, kubectl: Kubectl | None, *, terminal: bool = False
    ) -> None:
        code, tail = self._call(arguments, progress, terminal=terminal)
        if code == 0:
            return
        why = diagnose(kubectl) if kubectl is not None else ""
        raise StackError(
            f"stack {self.stack}: pulumi {arguments[0]} ended with exit code {code}{_errors(tail)}"
            + (f"\n{why}" if why else ""),
            remedy=f"Correct the cause and run it again: it goes on from here. All of it: `{self._shown(arguments)}`.",
        )

    def _call(self, arguments: Sequence[str], progress: Progress, *, terminal: bool) -> tuple[int, list[str]]:
        """Run pulumi: its output as it is on the terminal, else a line of progress for each resource that changed."""
        progress(f"$ {self._shown(arguments)}")
        # Pulumi's Kubernetes plugin leaves a copy of the kubeconfig among the temporary files, at every call.
        with tempfile.TemporaryDirectory(prefix="hms-pulumi-") as scratch:
            return self._call_within({**self._environment, "TMPDIR": scratch}, arguments, progress, terminal=terminal)

    def _call_within(
        self, environment: Mapping[str, str], arguments: Sequence[str], progress: Progress, *, terminal: bool
    ) -> tuple[int, list[str]]:
        if terminal:
            return passthrough(self._argv(*arguments), folder=project_root(), environment=environment), []

        preview = arguments[0] == "preview"

        def pick(line: str) -> None:
            if any(mark in line for mark in _LINE_MARKS) or preview:
                progress(f"pulumi: {' '.join(line.split())}")

        argv = self._argv(*arguments, "--non-interactive", "--color", "never")
        return stream(argv, folder=project_root(), environment=environment, line=pick)

    def _argv(self, *arguments: str) -> list[str]:
        return ["pulumi", *arguments, "--stack", self.stack, "--config-file", str(self.config_file)]

    def _shown(self, arguments: Sequence[str]) -> str:
        """Return a call as a person would type it: without the file that is the default anyway."""
        own = [] if self.config_file == _checkout_file(self.stack) else ["--config-file", str(self.config_file)]
        return shlex.join(["pulumi", *arguments, "--stack", self.stack, *own])

    def _capture(self, *arguments: str) -> str:
        return capture(["pulumi", *arguments], folder=project_root(), environment=self._environment)


def _checkout_file(stack: str) -> Path:
    return project_root() / "stacks" / f"Pulumi.{stack}.yaml"


def _environment(extra: Mapping[str, str], backend_url: str | None, passphrase_file: Path | None) -> dict[str, str]:
    """Return pulumi's environment: our Python and tools first on the path, a backend, a passphrase, no KUBECONFIG."""
    environment = {**os.environ, **extra}
    environment.pop("KUBECONFIG", None)
    if backend_url is not None:
        environment["PULUMI_BACKEND_URL"] = backend_url
    if passphrase_file is not None:
        ensure_passphrase(passphrase_file)
        for name in PASSPHRASE_VARIABLES:
            environment.pop(name, None)
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file)
    environment.update(default_environment(environment))
    path = [str(Path(sys.executable).parent), str(tools_bin()), *environment.get("PATH", os.defpath).split(os.pathsep)]
    environment["PATH"] = os.pathsep.join(dict.fromkeys(path))
    environment.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    return environment


def _consent(ask: bool) -> list[str]:
    """Return the arguments by which pulumi asks nothing, or none, by which it shows its plan and asks."""
    return [] if ask else ["--skip-preview", "--yes"]


def _errors(tail: Sequence[str]) -> str:
    """Return pulumi's own error lines, each once, to follow a message."""
    lines = dict.fromkeys(line.strip() for line in tail if "error:" in line)
    return "".join(f"\n  {line}" for line in list(lines)[-12:])


def _silent(_: str) -> None:
    """Take a line and show it to no one."""
