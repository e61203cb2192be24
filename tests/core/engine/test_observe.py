"""What is counted by a name that somebody else chooses: bounded, and the real names still show."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.engine.observe import Observatory, Splits, Tally
from semcache_core.keys.digests import Digests
from semcache_core.reasons import OwnCode
from semcache_core.settings import Policy
from semcache_core.types import Nearby, Query

DIGESTS = Digests(b"x" * 32)
NAMES = 256


def asked(text: str, **members: str) -> Query:
    """Return a request for ``text`` with these members."""
    fields = DIGESTS.members([(name, value.encode()) for name, value in members.items()])
    nearby = Nearby(scope=b"", store_scope=b"", flight=b"", text=text, fields=fields)
    return Query(namespace="n", partition=b"p", exact=b"", entry_id=b"", nearby_of=lambda: nearby)


def test_names_that_callers_make_up_are_counted_in_bounded_memory_and_hide_no_real_one() -> None:
    splits = Splits()
    for number in range(2000):
        made_up = {f"{number}-{place}": "1" for place in range(10)}
        splits.watch(asked("the same text", trace=str(number), **made_up))
        assert len(splits.counts) <= NAMES
    assert splits.counts.most_common(1)[0][0] == "trace"


@settings(max_examples=30, deadline=None, database=None)
@given(st.lists(st.text(min_size=1, max_size=100), min_size=1, max_size=20, unique=True))
def test_a_name_is_shown_in_printable_characters_and_not_whole_if_it_is_long(names: list[str]) -> None:
    splits = Splits()
    splits.watch(asked("the same text", **dict.fromkeys(names, "1")))
    splits.watch(asked("the same text", **dict.fromkeys(names, "2")))
    assert all(name.isprintable() and len(name) <= 10 * 64 + 2 for name in splits.counts)


def test_a_request_of_thousands_of_members_is_not_kept() -> None:
    splits = Splits()
    for number in range(3):
        splits.watch(asked("the same text", **{f"{number} {place} {'x' * 60}": "1" for place in range(64)}))
    assert not splits.counts
    assert not splits._seen


def test_reasons_that_a_plugin_makes_up_are_counted_in_bounded_memory() -> None:
    observatory = Observatory((), clock=lambda: 0.0)
    for number in range(10_000):
        observatory.bypassed(OwnCode(f"no. {number}"), policy=Policy(), started=0.0, namespace="n")
    stats = observatory.stats()
    assert stats.requests == 10_000
    assert len(stats.bypasses) == NAMES + 1
    assert stats.bypasses["others"] == 10_000 - NAMES


def test_a_name_that_is_counted_already_is_counted_on_when_all_places_are_taken() -> None:
    tally = Tally()
    for number in [*range(1000), 0, 0]:
        tally.add(str(number))
    assert tally["0"] == 3
