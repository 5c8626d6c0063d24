"""A client that does what no library lets one do: send slowly, read slowly, leave in the middle."""

import socket
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Client:
    """One connection to a service."""

    def __init__(self, url: str, *, receive_buffer_bytes: int | None = None) -> None:
        address = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            # Before the connection is made: the window that it announces depends on it.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(120)
        try:
            self.socket.connect((address.hostname, address.port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def takes(self, part: bytes) -> bool:
        """Send more; return False if the other side has closed the connection."""
        try:
            self.send(part)
        except (ConnectionResetError, BrokenPipeError):
            return False
        return True

    def read_to_end(self) -> bytes:
        """Return all that comes until the other side closes or resets the connection."""
        received = bytearray()
        try:
            while part := self.socket.recv(65_536):
                received += part
        except ConnectionResetError:
            pass
        return bytes(received)

    def read_answer(self) -> bytes:
        """Return one whole answer of stated length: the head and the body come apart."""
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += self._some()
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += self._some()
        return bytes(head + b"\r\n\r\n" + body)

    def _some(self) -> bytes:
        part = self.socket.recv(65_536)
        assert part, "the connection was closed in the middle of an answer"
        return part

    def is_open(self) -> bool:
        """Say whether the other side has not closed the connection."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(120)
