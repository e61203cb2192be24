"""What holds for every test of every distribution: which code is tested, and how hypothesis looks for examples."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import semcache_core

ROOT = Path(__file__).parent

# A child process started with -c or -m would otherwise find the checkout in its working directory.
os.environ["PYTHONSAFEPATH"] = "1"

# A run in the background of a script inherits an ignored interrupt, and so would its child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Equal examples in every run of the same code, so that a failure can be repeated; `HYPOTHESIS_PROFILE=search` looks for
# new ones. No deadline: this machine's other work is not a fault of the code.
hypothesis.settings.register_profile("repeat", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


def _editable() -> bool:
    """Say whether somebody installed this checkout on purpose (``pip install -e``)."""
    written = importlib.metadata.distribution("semcache-core").read_text("direct_url.json")
    return bool(written and json.loads(written).get("dir_info", {}).get("editable"))


def pytest_report_header() -> str:
    """Name the code under test."""
    return f"semcache_core: {Path(semcache_core.__file__).parent} ({'editable' if _editable() else 'installed'})"


def pytest_sessionstart() -> None:
    """Refuse to test the checkout by accident: a wheel may lack a file that the checkout has."""
    if Path(semcache_core.__file__).is_relative_to(ROOT / "semcache_core") and not _editable():
        raise pytest.UsageError(
            f"semcache_core comes from the checkout ({semcache_core.__file__}), not from an installed distribution; "
            "run the tests with 'nox', or install the checkout on purpose: pip install -e ."
        )


@pytest.fixture(autouse=True, scope="module")
def _what_is_left_open_is_this_modules_fault() -> Iterator[None]:
    """Collect garbage after each module, so that an unclosed socket or a coroutine never awaited is reported here."""
    yield
    gc.collect()
