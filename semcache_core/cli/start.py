"""The program's entry point: checks that its extra is installed before importing anything that needs it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from semcache_core.remedies import pip_install


def main() -> None:
    """Run the program with the process's arguments, and exit."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        remedy = pip_install("semcache-core[cli]")
        sys.stderr.write(f"semcache: {' and '.join(missing)} not installed: {remedy}\n")
        raise SystemExit(2)
    from semcache_core.cli.group import program

    program(prog_name="semcache")
