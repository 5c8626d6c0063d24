"""Asks a DNS server for a name, from whichever network namespace it runs in.

A script with the standard library alone:

    python -I -S resolve.py SERVER NAME

Exit code 0 if the answer has an address, else 1.

May import: nothing.
"""

import socket
import struct
import sys

TIMEOUT_SECONDS = 1.0
IDENTITY = 0x484D
RECURSION_DESIRED, TYPE_A, CLASS_IN = 0x0100, 1, 1


def question(name: str) -> bytes:
    """Return a query for the IPv4 addresses of a name, as RFC 1035 has it."""
    header = struct.pack(">6H", IDENTITY, RECURSION_DESIRED, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return header + labels + b"\0" + struct.pack(">2H", TYPE_A, CLASS_IN)


def has_address(answer: bytes) -> bool:
    """Return whether an answer is to our question, without error, and not empty."""
    if len(answer) < 12:
        return False
    identity, flags, _, answers, _, _ = struct.unpack(">6H", answer[:12])
    return bool(identity == IDENTITY and flags & 0xF == 0 and answers > 0)


def main() -> int:
    """Ask once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT_SECONDS)
        try:
            asking.sendto(question(sys.argv[2]), (sys.argv[1], 53))
            return 0 if has_address(asking.recv(512)) else 1
        except OSError:
            return 1


if __name__ == "__main__":
    sys.exit(main())
