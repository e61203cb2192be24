"""Runs one input and watches it: its time, and the memory it takes."""

from __future__ import annotations

import importlib
import resource
import time
import traceback
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
TARGETS = tuple(sorted(path.stem for path in (FOLDER / "targets").glob("*.py")))
LONGEST = 16 * 1024
"""Bytes of the longest input."""

Check = Callable[[bytes], None]
_SECONDS, _SECONDS_A_BYTE = 0.1, 1e-5
_MEMORY = 64 * 1024
"""KiB by which one input may raise the peak of the process."""


class TooSlow(Exception):
    """The input took longer than linear work can."""


class TooLarge(Exception):
    """The input took more memory than bounded work can."""


def check_of(target: str) -> Check:
    """Return the check of a target, by its name."""
    check: Check = importlib.import_module(f"{__package__}.targets.{target}").check
    return check


def watched(check: Check, data: bytes, *, slowness: float = 1.0) -> None:
    """Run an input. Raises what ``check`` does, TooSlow, TooLarge. ``slowness``: of code that is instrumented."""
    budget = slowness * (_SECONDS + len(data) * _SECONDS_A_BYTE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = _timed(check, data)
    if seconds > budget:
        # A machine with other work, or a first call that fills tables, is not a fault of the code.
        seconds = min(seconds, *(_timed(check, data) for _ in range(2)))
    if seconds > budget:
        raise TooSlow(f"{seconds:.2f} s for {len(data)} bytes; {budget:.2f} s are allowed")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > _MEMORY:
        raise TooLarge(f"{grown // 1024} MiB for {len(data)} bytes")


def _timed(check: Check, data: bytes) -> float:
    began = time.process_time()
    check(data)
    return time.process_time() - began


def place_of(error: BaseException) -> str:
    """Return the kind of a failure: its type, and the last lines of code that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{Path(each.filename).name}:{each.lineno}" for each in frames[::-1])])
