"""Runs a contract without pytest around it, so that hundreds of runs take seconds."""

from __future__ import annotations

import pytest

from semcache_core.testing._contract import Contract


def promises(contract: type[Contract]) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


def broken(contract: type[Contract]) -> set[str]:
    """Return the names of the tests that fail. One that is skipped does not fail."""
    failed = set()
    for name in promises(contract):
        try:
            getattr(contract(), name)()
        except pytest.skip.Exception:
            pass
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  whatever a wrong component raises
            failed.add(name)
    return failed


def skipped(contract: type[Contract]) -> set[str]:
    """Return the names of the tests that are skipped."""
    found = set()
    for name in promises(contract):
        try:
            getattr(contract(), name)()
        except pytest.skip.Exception:
            found.add(name)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  whatever a wrong component raises
            continue
    return found
