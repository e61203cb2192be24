"""Which program listens on a port of this machine: for the message that the port is taken. Linux only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def occupant(port: int) -> str | None:
    """Return the program and its process id, as ``python3 (process 123)``; None if this user cannot see it."""
    links = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended, or is another user's.
            if any(os.readlink(each) in links for each in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _inodes(port: int) -> Iterator[str]:
    """Yield the sockets that listen on a port: proc_net_tcp(5), columns local_address, st and inode."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
