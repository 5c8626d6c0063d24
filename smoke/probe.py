"""What a container says of itself: one shell script, run inside it, and its answer taken apart. Pure.

The script speaks POSIX sh and needs no more than coreutils, grep and sed. Values of secrets never leave the container:
they are compared in it, and only counts come out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

LISTEN = "0A"
"""The state of a listening socket in `/proc/net/tcp`."""

LOOPBACK_V4 = "0100007F"
LOOPBACK_V6 = "00000000000000000000000001000000"

_SCRIPT = r"""
say() { printf '\n@%s\n' "$1"; }
first() { for file in "$@"; do if [ -r "$file" ]; then cat "$file"; return; fi; done; echo missing; }
cgroup=/sys/fs/cgroup
say memory; first $cgroup/memory.max $cgroup/memory/memory.limit_in_bytes
if [ -r $cgroup/cpu.max ]; then say cpu; cat $cgroup/cpu.max; else
    say cpu; echo "$(first $cgroup/cpu/cpu.cfs_quota_us) $(first $cgroup/cpu/cpu.cfs_period_us)"; fi
# The container's first process: the oldest of its control group that was started from outside. In a pod whose
# containers share their processes it is not process 1.
read -r own < /proc/self/cgroup; first=1 oldest=; for entry in /proc/[0-9]*; do
    read -r group < "$entry/cgroup" && [ "$group" = "$own" ] && read -r stat < "$entry/stat" || continue
    set -- ${stat##*) }
    if [ "$2" = 0 ] && [ "${20}" -lt "${oldest:-${20}0}" ]; then oldest=${20} first=${entry#/proc/}; fi
done 2>/dev/null
say status; grep -E '^(Uid|Gid|CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/$first/status
say root; sed -n 's/^[^ ]* \/ [^ ]* \([^ ]*\) .*/\1/p' /proc/$first/mounts | tail -n 1
say write; if (: > /hms-smoke) 2>/dev/null; then rm -f /hms-smoke; echo writable; else echo refused; fi
say sockets
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | sed -n 's/^ *[0-9]*: \([0-9A-F]*:[0-9A-F]*\) [0-9A-F:]* LISTEN .*/\1/p'
values=$(for path in PATHS; do for file in "$path" "$path"/*; do
    if [ -f "$file" ]; then cat "$file"; echo; fi; done; done | grep -v '^$')
# One grep for all processes: it names the files with a secret's line in them, and complains of those it cannot read.
# Without a secret there is nothing to look for: to grep an empty line is in every file.
search() { if [ $# -gt 0 ]; then printf '%s\n' "$values" | grep -laF -f - "$@" 2>&1; fi; }
set --
if [ -n "$values" ]; then set -- /proc/[0-9]*/environ /proc/[0-9]*/cmdline; fi
found=$(search "$@")
unread=$(printf '%s\n' "$found" | sed -n 's/^grep: \(\/proc\/[0-9]*\/[a-z]*\): .*/\1/p')
# A process that is just ending is still listed and cannot be read any more; it has a second to be gone. One that has
# ended (Z) and that its parent has not asked for has neither environment nor arguments any more.
if [ -n "$unread" ]; then sleep 1; fi
closed=''; for file in $unread; do
    if [ -d "${file%/*}" ] && ! grep -q '^State:.[ZX]' "${file%/*}/status" 2>/dev/null \
            && ! cat "$file" > /dev/null 2>&1; then closed="$closed ${file#/proc/}"; fi; done
leaks=''; for file in $(printf '%s\n' "$found" | grep '^/proc/'); do
    leaks="$leaks $(sed 's/ .*//' "${file%/*}/comm" 2> /dev/null || echo ended):${file##*/}"; done
read=$(($# - $(printf '%s\n' $unread | grep -c .)))
say values; printf '%s\n' "$values" | grep -c .
say read; echo $read
say leaks; echo $leaks
say closed; echo $closed
say end
"""


def probe_script(secret_paths: Iterable[str]) -> str:
    """Return the script; `secret_paths` are files or folders whose content is secret."""
    paths = " ".join(quote(path) for path in secret_paths)
    return _SCRIPT.replace("PATHS", paths).replace("LISTEN", LISTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one container said. Limits are None where the kernel has none.

    `listening` are TCP ports that more than the loopback can reach; the network namespace is the pod's, so all of a
    pod's containers see the same. `leaks` are `<process>:<environ|cmdline>` with a secret's value in it, `closed`
    those that could not be read; `secret_values` and `read` say how much was held against how much.
    """

    memory_limit_bytes: int | None
    cpu_limit_millicores: int | None
    user_ids: frozenset[int]
    effective_capabilities: int
    permitted_capabilities: int
    bounding_capabilities: int
    no_new_privileges: bool
    seccomp_mode: int
    root_read_only: bool
    root_write_refused: bool
    listening: frozenset[int]
    secret_values: int
    read: int
    leaks: tuple[str, ...]
    closed: tuple[str, ...]


def sections(text: str) -> dict[str, list[str]]:
    """Split the script's answer into its sections; `ValueError` if it was cut off."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            current = found.setdefault(line[1:], [])
        elif line.strip():
            current.append(line.strip())
    if "end" not in found:
        raise ValueError(f"the probe's answer was cut off after section {list(found)[-1:] or 'none'}")
    return found


def memory_limit_bytes(text: str) -> int | None:
    """Return a cgroup's memory limit: v2 says `max` where there is none, v1 a number near 2^63."""
    if text == "max":
        return None
    limit = int(text)
    return None if limit >= 2**62 else limit


def cpu_limit_millicores(text: str) -> int | None:
    """Return a cgroup's CPU limit from `<quota> <period>` in microseconds; v2 says `max`, v1 -1 where there is none."""
    quota, period = text.split()
    return None if quota in {"max", "-1"} else round(1000 * int(quota) / int(period))


def listening_ports(sockets: Iterable[str]) -> frozenset[int]:
    """Return the ports of listening sockets, `ADDRESS:PORT` in the kernel's hexadecimal, but the loopback's."""
    ports = set()
    for socket in sockets:
        address, _, port = socket.partition(":")
        if address not in {LOOPBACK_V4, LOOPBACK_V6}:
            ports.add(int(port, 16))
    return frozenset(ports)


def parse_facts(text: str) -> Facts:
    """Take the script's answer apart; `ValueError` names what is missing or of another form."""
    parts = sections(text)
    try:
        status = {key: value.split() for key, _, value in (line.partition(":") for line in parts["status"])}
        return Facts(
            memory_limit_bytes=memory_limit_bytes(parts["memory"][0]),
            cpu_limit_millicores=cpu_limit_millicores(parts["cpu"][0]),
            user_ids=frozenset(int(user) for user in status["Uid"]),
            effective_capabilities=int(status["CapEff"][0], 16),
            permitted_capabilities=int(status["CapPrm"][0], 16),
            bounding_capabilities=int(status["CapBnd"][0], 16),
            no_new_privileges=status["NoNewPrivs"] == ["1"],
            seccomp_mode=int(status["Seccomp"][0]),
            root_read_only="ro" in parts["root"][0].split(","),
            root_write_refused=parts["write"] == ["refused"],
            listening=listening_ports(parts["sockets"]),
            secret_values=int(parts["values"][0]),
            read=int(parts["read"][0]),
            leaks=tuple(" ".join(parts["leaks"]).split()),
            closed=tuple(" ".join(parts["closed"]).split()),
        )
    except (KeyError, IndexError) as error:
        raise ValueError(f"the probe's answer lacks {error}: {text[:200]!r}") from error
