"""Run by path in a fresh interpreter, and never imported: what a plugin loads, and what making a component touches.

Reads a JSON object from the command line and writes one to standard output. Imports nothing but the standard library by
itself, so that what it finds loaded was loaded by the plugin.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

TOUCHES = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "shutil.", "tempfile.", "urllib.", "mmap.")
"""Audit events (or their beginnings) that mean work outside: files, network, processes."""


def loaded_by(module: str) -> list[str]:
    """Return the modules that importing ``module`` loads, besides those that ``semcache_core.plugin`` needs."""
    importlib.import_module("semcache_core.plugin")
    before = set(sys.modules)
    importlib.import_module(module)
    return sorted(set(sys.modules) - before)


def touched_by(factory: str, options: Mapping[str, Any]) -> list[str]:
    """Return the audit events of making one component: empty where making it only computes."""
    import msgspec

    module, _, attribute = factory.partition(":")
    component: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    # Types that msgspec does not know, such as a secret, are made from what the configuration holds.
    given = msgspec.convert(dict(options), component.Options, dec_hook=lambda kind, value: kind(value))
    events: list[str] = []
    armed = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if armed and event.startswith(TOUCHES) and not _importing():
            events.append(f"{event}({str(arguments[0])[:80] if arguments else ''})")

    sys.addaudithook(listen)
    threads = threading.active_count()
    made = component(given)
    armed = False
    # Python 3.11 has no audit event for a new thread.
    if threading.active_count() > threads:
        events.append("a thread was started")
    del made
    return events


def _importing() -> bool:
    # A module that is imported late reads its own file; that is no I/O of the component.
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    tasks: dict[str, Callable[..., list[str]]] = {"loaded": loaded_by, "touched": touched_by}
    sys.stdout.write(json.dumps(tasks[task.pop("task")](**task)))
