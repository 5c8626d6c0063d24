"""Every error that a user of this product can meet: one small tree, one line of meaning each.

The command line prints the message and exits with the class's `exit_code`; a traceback is a defect of ours.
"""

from collections.abc import Sequence


class HmsError(Exception):
    """Something failed or a claim was breached. Exit code 1.

    `message` names the object, the value and the bound; `remedy` says what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class UsageError(HmsError):
    """The command, its arguments or a file that the user wrote is wrong. Exit code 2."""

    exit_code = 2


class InvalidSpecError(UsageError):
    """A stack's configuration breaks its own rules; `problems` has every one of them, a line each."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{source}: {count}{lines}")
        self.problems = tuple(problems)


class ToolError(HmsError):
    """An outside tool is missing, of the wrong version, or could not be had."""


class ClusterError(HmsError):
    """The test cluster cannot be made, changed or reached."""


class ImageError(HmsError):
    """An image could not be built, found or loaded."""


class StackError(HmsError):
    """Provisioning failed, or a part of the stack is not as it should be."""


class KubectlError(HmsError):
    """The Kubernetes API refused or did not answer a call; `stderr` is what kubectl said."""

    def __init__(self, message: str, *, stderr: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.stderr = stderr


class EvidenceError(HmsError):
    """Evidence is missing, damaged or not of a form that this version reads."""


class LoadError(HmsError):
    """A load run could not be completed, so there is no figure: a generator was lost, or never began."""


class BenchError(HmsError):
    """A server that a measurement or a test needs cannot be started, or does not come to the state that it must."""


class DrillRefusedError(UsageError):
    """The stack's configuration does not allow that it is broken."""


class BreachError(HmsError):
    """At least one claim FAILED."""
