"""Run by path in a new interpreter, never imported: finds the modules a plugin loads and the I/O of constructors.

Reads a JSON object from the command line and writes one to standard output. It imports only the standard library, so
that every other loaded module was loaded by the plugin.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

TOUCHES = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "shutil.", "tempfile.", "urllib.", "mmap.")
"""Audit events (or prefixes of them) that mean I/O: files, network, processes."""


def loaded_by(module: str) -> list[str]:
    """Return the modules that importing ``module`` loads, besides those of ``semcache_core.plugin``."""
    importlib.import_module("semcache_core.plugin")
    before = set(sys.modules)
    importlib.import_module(module)
    return sorted(set(sys.modules) - before)


def touched_by(components: list[dict[str, Any]]) -> list[str]:
    """Return the audit events of constructing each component (``name``, ``factory``, ``options``); should be empty."""
    import msgspec

    events: list[str] = []
    making = ""

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if making and event.startswith(TOUCHES) and not _importing():
            events.append(f"{making}: {event}({str(arguments[0])[:80] if arguments else ''})")

    sys.addaudithook(listen)
    for each in components:
        module, _, attribute = each["factory"].partition(":")
        factory: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
        # Types that msgspec does not know, such as a secret, are created from the configuration's value.
        given = msgspec.convert(each["options"], factory.Options, dec_hook=lambda kind, value: kind(value))
        threads = threading.active_count()
        making = each["name"]
        made = factory(given)
        making = ""
        # Python 3.11 has no audit event for a new thread.
        if threading.active_count() > threads:
            events.append(f"{each['name']}: a thread was started")
        del made
    return events


def _importing() -> bool:
    # A late import reads the module's file; that is not I/O of the component.
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
