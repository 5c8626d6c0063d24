"""What the kernel says of each container: limits, users, rights, sockets, and where its secrets are."""

from hms.inventory import Limits
from smoke.checks import Checks
from smoke.stack import RunningStack, secret_paths

NO_CAPABILITY = "0000000000000000"
SECCOMP_FILTER = 2


def test_limits_are_those_of_the_cgroup(stack: RunningStack, checks: Checks) -> None:
    """The container's own cgroup limits memory and CPU as declared."""
    for place, facts in stack.facts:
        limits = place.container.limits
        checks.equal(
            "limits.memory_bytes", place.target, declared=limits.memory_limit_bytes, observed=facts.memory_limit_bytes
        )
        checks.equal(
            "limits.cpu_millicores",
            place.target,
            declared=limits.cpu_limit_millicores,
            observed=facts.cpu_limit_millicores,
        )


def test_requests_are_those_of_the_pod(stack: RunningStack, checks: Checks) -> None:
    """The API server has the requests that the scheduler and the quota count with."""
    for place in stack.places:
        checks.equal(
            "limits.requests",
            place.target,
            declared=_requests(place.container.limits),
            observed=_requests(place.observed_limits),
        )


def _requests(limits: Limits) -> str:
    return f"{limits.cpu_request_millicores}m CPU, {limits.memory_request_bytes} bytes"


def test_images_are_the_declared(stack: RunningStack, checks: Checks) -> None:
    """Every container runs the image that the stack declares."""
    for place in stack.places:
        checks.equal("images.reference", place.target, declared=place.container.image, observed=place.observed_image)


def test_process_runs_as_the_declared_user(stack: RunningStack, checks: Checks) -> None:
    """Process 1 has the declared user alone, in all four of its user ids, and that is not root."""
    for place, facts in stack.facts:
        checks.equal("users.id", place.target, declared={place.container.user_id}, observed=facts.user_ids)
        checks.that("users.not_root", place.target, 0 not in facts.user_ids, declared="not 0", observed=facts.user_ids)


def test_process_has_no_rights_to_spare(stack: RunningStack, checks: Checks) -> None:
    """No capability is held or can be had, no new privileges come with a program, system calls are filtered."""
    for place, facts in stack.facts:
        for name, held in (
            ("effective", facts.effective_capabilities),
            ("permitted", facts.permitted_capabilities),
            ("bounding", facts.bounding_capabilities),
        ):
            checks.equal(f"rights.capabilities_{name}", place.target, declared=NO_CAPABILITY, observed=f"{held:016x}")
        checks.equal("rights.no_new_privileges", place.target, declared=True, observed=facts.no_new_privileges)
        checks.equal("rights.seccomp_mode", place.target, declared=SECCOMP_FILTER, observed=facts.seccomp_mode)


def test_root_file_system_is_read_only(stack: RunningStack, checks: Checks) -> None:
    """The root file system is mounted read-only, and a write is refused."""
    for place, facts in stack.facts:
        checks.equal("files.root_read_only", place.target, declared=True, observed=facts.root_read_only)
        checks.equal("files.root_write_refused", place.target, declared=True, observed=facts.root_write_refused)


def test_only_declared_ports_listen(stack: RunningStack, checks: Checks) -> None:
    """What listens on more than the loopback are the declared ports, all of them and no other."""
    for place, facts in stack.facts:
        ports = {port for container in place.workload.containers for port in container.ports}
        checks.equal("ports.listening", place.target, declared=ports, observed=facts.listening)


def test_secrets_are_in_no_environment_or_argument(stack: RunningStack, checks: Checks) -> None:
    """No process has a line of a mounted secret in its environment or its arguments; all could be read."""
    for place, facts in stack.facts:
        checks.equal("secrets.in_processes", place.target, declared=(), observed=facts.leaks)
        checks.equal("secrets.processes_unread", place.target, declared=(), observed=facts.closed)
        if not secret_paths(place.pod, place.container.name):
            continue
        checks.that(
            "secrets.compared",
            place.target,
            facts.secret_values > 0 and facts.read > 0,
            declared="some values held against some processes",
            observed=f"{facts.secret_values} values, {facts.read} environments and arguments",
        )
