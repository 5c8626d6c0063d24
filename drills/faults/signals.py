"""A signal to a server's first process, from inside its own container, with the moment before it was sent."""

from dataclasses import dataclass

from drills.stage import Stage
from hms.errors import HmsError, KubectlError

# The oldest process of a name is the one whose parent has another. /proc/uptime is the kernel's own clock in
# hundredths, rounded down: read right before the kill it is never after it. What is written before the kill arrives
# even if the container ends with its server.
SCRIPT = r"""
name=$1
for entry in /proc/[0-9]*; do
    read -r comm < "$entry/comm" || continue
    [ "$comm" = "$name" ] || continue
    read -r stat < "$entry/stat" || continue
    set -- ${stat##*) }
    read -r parent < "/proc/$2/comm" || parent=none
    [ "$parent" = "$name" ] || { pid=${entry#/proc/}; break; }
done 2>/dev/null
[ -n "$pid" ] || { echo absent; exit 0; }
[ "$pid" != 1 ] || { echo unkillable; exit 0; }
read -r boot < /proc/sys/kernel/random/boot_id
read -r up rest < /proc/uptime
echo "killing $pid $up $boot"
kill -KILL "$pid"
tries=0
while [ $tries -lt 100 ]; do
    read -r stat < "/proc/$pid/stat" || { echo gone; exit 0; }
    set -- ${stat##*) }
    [ "$1" != Z ] || { echo gone; exit 0; }
    tries=$((tries + 1)); sleep 0.01
done 2>/dev/null
echo alive
"""


@dataclass(frozen=True, slots=True)
class Killed:
    """A process that was sent SIGKILL: a moment before, on the writers' clock, and whether it went."""

    process_id: int
    at_ns: int
    uncertainty_ns: int
    gone: bool


def kill_server(stage: Stage, pod: str, container: str, name: str) -> Killed:
    """Send SIGKILL to the first process called `name`; `HmsError` where there is none or the kernel protects it."""
    before_ns, uncertainty_ns = stage.moment()
    try:
        said = stage.kubectl.exec(pod, container, ["sh", "-c", SCRIPT, "sh", name])
    except KubectlError as error:
        raise HmsError(f"{name} in {pod}: SIGKILL could not be sent: {error.message}") from error
    after_ns, _ = stage.moment()
    words = said.split()
    if words[:1] == ["absent"]:
        raise HmsError(f"{name} in {pod}: no such process", remedy="Is the stack in its steady state?")
    if words[:1] == ["unkillable"]:
        raise HmsError(
            f"{name} in {pod}: it is process 1 of its container, which the kernel protects from SIGKILL",
            remedy="Run it under an init process.",
        )
    at_ns = before_ns
    if len(words) >= 4 and words[3] == stage.pod.boot_id:
        seconds, hundredths = words[2].split(".")
        own_ns = (int(seconds) * 100 + int(hundredths)) * 10_000_000 - stage.pod.asleep_ns
        if before_ns - 10_000_000 <= own_ns <= after_ns:
            at_ns, uncertainty_ns = own_ns, 0
    return Killed(int(words[1]), at_ns, uncertainty_ns, words[-1] == "gone")
