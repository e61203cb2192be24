"""The decision: what an entry may still do, and how near the next candidate must be."""

from __future__ import annotations

import pytest

from semcache_core.engine.decide import CandidateBar, Directives, serves
from semcache_core.settings import Policy
from semcache_core.types import Accept, Penalty, Record, Reject

RECORD = Record(
    partition=b"p", scope=b"s", exact=b"e", text="", kind="str", payload=b"x", born_at=100.0, expires_at=200.0
)


def found(
    now: float, *, invalidated_at: float | None = None, policy: Policy | None = None, **directives: float
) -> tuple[str, str]:
    answer = serves(
        RECORD,
        now=now,
        invalidated_at=invalidated_at,
        policy=policy or Policy(),
        directives=Directives(**directives),  # type: ignore[arg-type]
        source="exact",
    )
    return answer.outcome, answer.reason


def test_after_a_reject_another_candidate_serves_only_from_the_threshold_and_two_hundredths() -> None:
    ladder = CandidateBar(0.93)
    assert ladder.weigh(Reject(reason="antonyms"), 0.97) < 0
    assert not ladder.reaches(0.949)
    assert ladder.reaches(0.951)
    assert ladder.reason == "antonyms"


def test_a_reject_that_points_at_the_difference_casts_no_doubt_on_the_next_candidate() -> None:
    ladder = CandidateBar(0.93)
    assert ladder.weigh(Reject(reason="numbers", certain=True), 0.97) < 0
    assert ladder.reaches(0.93)
    assert ladder.reason == "numbers"


def test_a_certain_reject_does_not_lower_a_bar_that_was_raised() -> None:
    ladder = CandidateBar(0.93)
    ladder.weigh(Reject(reason="antonyms"), 0.97)
    ladder.weigh(Reject(reason="numbers", certain=True), 0.96)
    assert not ladder.reaches(0.94)


def test_the_threshold_itself_hits() -> None:
    assert CandidateBar(0.93).reaches(0.93)
    assert CandidateBar(0.93).weigh(Accept(), 0.93) == 0.93


def test_a_penalty_comes_off_the_similarity_and_rejects_below_the_bar() -> None:
    ladder = CandidateBar(0.93)
    assert ladder.weigh(Penalty(amount=0.03, reason="negation"), 0.97) == pytest.approx(0.94)
    assert ladder.weigh(Penalty(amount=0.03, reason="negation"), 0.95) < 0
    assert not ladder.reaches(0.94)


def test_a_costly_verifier_is_asked_only_just_above_the_threshold() -> None:
    assert CandidateBar(0.93).is_doubtful(0.95)
    assert not CandidateBar(0.93).is_doubtful(0.961)


def test_a_fresh_entry_is_a_hit_and_an_expired_one_a_miss() -> None:
    assert found(199.0) == ("hit", "exact")
    assert found(199.9) == ("hit", "exact")
    assert found(200.0) == ("miss", "expired")


def test_a_stamped_entry_is_a_miss_whatever_the_windows_say() -> None:
    windows = Policy(stale_while_revalidate=1000, stale_if_error=1000)
    assert found(150.0, invalidated_at=100.0, policy=windows) == ("miss", "invalidated")
    assert found(205.0, invalidated_at=150.0, policy=windows) == ("miss", "invalidated")


def test_an_entry_born_after_the_stamp_lives() -> None:
    assert found(150.0, invalidated_at=99.9) == ("hit", "exact")


def test_within_its_window_an_expired_entry_is_served_stale() -> None:
    assert found(205.0, policy=Policy(stale_while_revalidate=10)) == ("stale", "exact")
    assert found(209.9, policy=Policy(stale_while_revalidate=10)) == ("stale", "exact")
    assert found(210.0, policy=Policy(stale_while_revalidate=10)) == ("miss", "expired")


def test_max_age_turns_an_older_entry_down() -> None:
    assert found(150.0, max_age=49.0) == ("miss", "max-age")
    assert found(150.0, max_age=50.0) == ("hit", "exact")


def test_max_stale_counts_within_the_operators_window_only() -> None:
    assert found(205.0, max_stale=10.0) == ("miss", "expired")
    assert found(205.0, max_stale=10.0, policy=Policy(stale_if_error=60)) == ("hit", "exact")


def test_stale_if_error_keeps_the_entry_at_hand_for_a_failing_upstream() -> None:
    answer = serves(
        RECORD,
        now=205.0,
        invalidated_at=None,
        policy=Policy(stale_if_error=60),
        directives=Directives(),
        source="exact",
    )
    assert (answer.outcome, answer.fallback) == ("miss", RECORD)
    assert (answer.age, answer.remaining) == (105.0, -5.0)
