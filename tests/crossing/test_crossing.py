"""Nothing crosses: the short form of ``python -m tests.crossing``, and what shows that it would notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from semcache_core.http.missed import Missed

from .plan import worlds
from .setups import SETUPS, Setup
from .view import Terms
from .world import Result, Run, run

SEED = 1


@pytest.fixture(autouse=True)
def _no_notices(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("CRITICAL", logger="semcache"):
        yield


def total(plan: Iterator[Run]) -> Result:
    kinds: Counter[str] = Counter()
    faults: list[str] = []
    for result in map(run, plan):
        kinds += result.kinds
        faults += result.faults
    return Result(kinds, faults)


def test_no_caller_gets_what_is_not_theirs() -> None:
    result = total(worlds(3000, SEED))
    assert not result.faults, "\n".join(result.faults)
    # An answer of each kind was judged.
    judged = {"exact hit", "semantic hit", "joined", "stale", "stale on error", "miss", "bypass", "untouched", "left"}
    assert judged <= result.kinds.keys()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_nothing_crosses_in_a_longer_run(setup: Setup) -> None:
    result = total(worlds(500 * setup.share, SEED + 1, setups=[setup]))
    assert not result.faults, "\n".join(result.faults)


@pytest.mark.parametrize("driver", ["asgi", "wsgi"])
def test_a_cache_that_mixes_callers_up_is_found_out(driver: str) -> None:
    mixing = msgspec.structs.replace(SETUPS[0], driver=driver, terms=Terms("shared"))
    result = run(Run(mixing, SEED, 0, 400, most_faults=1000, judged_by=Terms("default")))
    assert any(fault.startswith("who: ") for fault in result.faults), result.faults


def test_a_cache_that_mixes_texts_up_is_found_out() -> None:
    # It takes two texts that differ in a number for one, and no verifier keeps them apart.
    blind = msgspec.structs.replace(SETUPS[0], reads_numbers=False)
    result = run(Run(blind, SEED, 0, 2500, hazards=False, most_faults=1))
    assert any("asks something else" in fault for fault in result.faults), result.faults


def test_an_entry_that_a_stranger_replaces_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = next(setup for setup in SETUPS if setup.name == "shared")
    monkeypatch.setattr(Missed, "may_replace", True)
    result = run(Run(shared, SEED, 0, 2500, most_faults=1))
    assert any("replaced it" in fault for fault in result.faults), result.faults


def test_equal_seeds_send_equal_requests_and_get_equal_answers() -> None:
    first, again = (run(Run(SETUPS[0], SEED, 0, 300)) for _ in range(2))
    assert first == again
