"""What Redis and its Sentinels say of themselves: the questions, asked inside a container, and the answers. Pure.

The password goes from its file into redis-cli's standard input: it is in no argument and no environment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

USERS = r"s/^user \([^ ]*\) \(on\|off\) .*/\1 \2/p"
"""Of `ACL LIST` only who is on and off: the rest of a line has the password's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A node's own `ROLE`. `name` is `master` or `slave`; `primary` and `link` are a replica's, `replicas` a primary's.

    `replicas` are the addresses of those that are connected.
    """

    name: str
    primary: str = ""
    link: str = ""
    replicas: tuple[str, ...] = ()


def _ask(port: int, password_file: str, command: str) -> str:
    login = f"printf 'AUTH sentinel '; cat {quote(password_file)}; echo"
    return f"{{ {login}; printf '%s\\n' {quote(command)}; }} | redis-cli -p {port} --raw"


def node_script(port: int, *, password_file: str) -> str:
    """Return the shell command that asks a Redis node for its role, settings and users, and what a stranger gets."""
    return "\n".join(
        [
            f"echo @role; {_ask(port, password_file, 'ROLE')}",
            f"echo @config; {_ask(port, password_file, 'CONFIG GET *')}",
            f"echo @users; {_ask(port, password_file, 'ACL LIST')} | sed -n {quote(USERS)}",
            f"echo @stranger; redis-cli -p {port} PING 2>&1",
        ]
    )


def sentinel_script(port: int, *, password_file: str, master_name: str) -> str:
    """Return the shell command that asks a Sentinel for the primary it knows, and what a stranger gets."""
    return "\n".join(
        [
            f"echo @master; {_ask(port, password_file, f'SENTINEL MASTER {master_name}')}",
            f"echo @quorum; {_ask(port, password_file, f'SENTINEL CKQUORUM {master_name}')}",
            f"echo @users; {_ask(port, password_file, 'ACL LIST')} | sed -n {quote(USERS)}",
            f"echo @stranger; redis-cli -p {port} PING 2>&1",
        ]
    )


def parse_sections(text: str) -> dict[str, list[str]]:
    """Split the answers; the `OK` of the login is left out. Empty lines count: a setting may be empty."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            current = found.setdefault(line[1:], [])
        else:
            current.append(line)
    return {name: lines[1:] if lines[:1] == ["OK"] else lines for name, lines in found.items()}


def parse_pairs(lines: Iterable[str]) -> dict[str, str]:
    """Read a flat list of names and values; `ValueError` if the last name has no value."""
    items = list(lines)
    if len(items) % 2:
        # Raw output ends in an empty line where the last value is empty, which splitting takes away.
        raise ValueError(f"a name without a value: {items[-1]!r}")
    return dict(zip(items[::2], items[1::2], strict=True))


def parse_role(lines: list[str]) -> Role:
    """Read `ROLE` in raw form; `ValueError` if it is none of a primary's or replica's."""
    match lines:
        case ["master", _offset, *rest]:
            addresses = [line for line in rest if line]
            return Role(name="master", replicas=tuple(sorted(addresses[::3])))
        case ["slave", primary, _port, link, *_]:
            return Role(name="slave", primary=primary, link=link)
    raise ValueError(f"not a role: {' '.join(lines)[:100]!r}")


def parse_users(lines: Iterable[str]) -> dict[str, str]:
    """Return `on` or `off` by user."""
    return dict(line.split(" ", 1) for line in lines if " " in line)
