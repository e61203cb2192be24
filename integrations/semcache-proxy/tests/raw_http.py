"""HTTP written and read as bytes: what a test sends is what goes over the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

Talk = Callable[[socket.socket], None]
Listening = Callable[[Talk], str]
Serving = Callable[..., str]


class RawUpstream:
    """A server that hands each connection to ``talk(socket)`` and knows nothing of HTTP."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._talk(connection)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


def read_head(connection: socket.socket) -> bytes:
    """Read one request's or answer's head, its empty line included, and whatever came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    return data


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def ask(url: str, request: bytes) -> bytes:
    """Send raw bytes and read until the server closes."""
    with connect(url) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def recording(seen: list[bytes], answer: bytes = OK) -> Talk:
    """Return a raw upstream that notes each request head and gives the same answer."""

    def talk(connection: socket.socket) -> None:
        while data := read_head(connection):
            seen.append(data)
            connection.sendall(answer)

    return talk


def fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
