"""A signal to a server's first process, from inside its own container, with the moment before it was sent."""

from dataclasses import dataclass
from typing import Literal

from drills.debts import InPod
from drills.stage import Stage
from hms.errors import HmsError, KubectlError

# The oldest process of a name is the one whose parent has another; of a program that is its own init (`child`), the one
# whose parent is process 1, or in a pod whose containers share their processes nobody in it. /proc/uptime is the
# kernel's own clock in hundredths, rounded down: read right before the signal it is never after it. What is written
# before arrives even if the container ends with its server.
SCRIPT = r"""
name=$1 signal=${2:-KILL} which=$3
for entry in /proc/[0-9]*; do
    read -r comm < "$entry/comm" || continue
    [ "$comm" = "$name" ] || continue
    read -r stat < "$entry/stat" || continue
    set -- ${stat##*) }
    above=$2
    read -r parent < "/proc/$above/comm" || parent=none
    if [ "$which" = child ]; then [ "$above" = 1 ] || { [ "$above" = 0 ] && [ "$entry" != /proc/1 ]; } || continue
    else [ "$parent" != "$name" ] || continue; fi
    pid=${entry#/proc/}; break
done 2>/dev/null
[ -n "$pid" ] || { echo absent; exit 0; }
[ "$pid" != 1 ] || { echo unkillable; exit 0; }
read -r boot < /proc/sys/kernel/random/boot_id
read -r up rest < /proc/uptime
echo "sending $pid $up $boot"
kill -"$signal" "$pid"
tries=0
while [ $tries -lt 100 ]; do
    read -r stat < "/proc/$pid/stat" || { echo gone; exit 0; }
    set -- ${stat##*) }
    [ "$1" != Z ] || { echo gone; exit 0; }
    [ "$signal$1" != STOPT ] || { echo stopped; exit 0; }
    [ "$signal" != CONT ] || [ "$1" = T ] || { echo continued; exit 0; }
    tries=$((tries + 1)); sleep 0.01
done 2>/dev/null
echo alive
"""

Which = Literal["oldest", "child"]
Name = Literal["KILL", "STOP"]
DONE: dict[Name, str] = {"KILL": "gone", "STOP": "stopped"}


@dataclass(frozen=True, slots=True)
class Signalled:
    """A process that was sent a signal: a moment before, on the writers' clock, and what became of it.

    `done` is whether the kernel showed what the signal means: gone, or stopped.
    """

    process_id: int
    at_ns: int
    uncertainty_ns: int
    done: bool
    note: str


def send(
    stage: Stage, pod: str, container: str, process: str, *, signal: Name = "KILL", which: Which = "oldest"
) -> Signalled:
    """Send a signal to the first process called so; `HmsError` where there is none or the kernel protects it.

    Who is stopped is owed its continuation.
    """
    if signal == "STOP":
        argv = ("sh", "-c", SCRIPT, "sh", process, "CONT", which)
        stage.owe(InPod(pod=pod, container=container, argv=argv, does=f"let {process} go on"))
    before_ns, uncertainty_ns = stage.moment()
    try:
        said = stage.kubectl.exec(pod, container, ["sh", "-c", SCRIPT, "sh", process, signal, which])
    except KubectlError as error:
        raise HmsError(f"{process} in {pod}: SIG{signal} could not be sent: {error.message}") from error
    after_ns, _ = stage.moment()
    words = said.split()
    if words[:1] == ["absent"]:
        raise HmsError(f"{process} in {pod}: no such process", remedy="Is the stack in its steady state?")
    if words[:1] == ["unkillable"]:
        raise HmsError(
            f"{process} in {pod}: it is process 1 of its container, which the kernel protects from SIG{signal}",
            remedy="Run it under an init process.",
        )
    at_ns = before_ns
    if len(words) >= 4 and words[3] == stage.pod.boot_id:
        seconds, hundredths = words[2].split(".")
        own_ns = (int(seconds) * 100 + int(hundredths)) * 10_000_000 - stage.pod.asleep_ns
        if before_ns - 10_000_000 <= own_ns <= after_ns:
            at_ns, uncertainty_ns = own_ns, 0
    done = words[-1] == DONE[signal]
    note = f"{process} of {pod}, process {words[1]}, is {DONE[signal] if done else f'not {DONE[signal]}'}"
    return Signalled(int(words[1]), at_ns, uncertainty_ns, done, note)
