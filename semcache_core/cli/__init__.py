"""The ``semcache`` program. It needs the extra ``[cli]``; everything else of the core works without."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the program with the process's arguments, and exit."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"semcache: {' and '.join(missing)} not installed: pip install 'semcache-core[cli]'\n")
        raise SystemExit(2)
    from semcache_core.cli.group import program

    program(prog_name="semcache")
