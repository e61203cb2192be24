"""How long answers live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.engine.freshness import expiry, keep_until, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7d", 604800.0),
        ("1h", 3600.0),
        ("90s", 90.0),
        ("500ms", 0.5),
        ("1.5m", 90.0),
        (30, 30.0),
        (0, 0.0),
        ("never", None),
    ],
)
def test_durations_are_read_as_people_write_them(written: object, seconds: float | None) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "1 fortnight", "-1s", -1, float("nan"), float("inf"), True, None, "1e3s", [1]])
def test_what_is_no_duration_says_how_to_write_one(written: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(written)


def test_a_ttl_of_zero_is_not_taken_for_the_default() -> None:
    assert expiry(100.0, 0.0, jitter=0.05, draw=0.5) == 100.0


@given(st.floats(0, 1e9), st.floats(0, 0.5), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens(ttl: float, jitter: float, draw: float) -> None:
    end = expiry(0.0, ttl, jitter=jitter, draw=draw)
    assert end is not None
    assert ttl * (1 - jitter) - 1e-6 <= end <= ttl


def test_never_means_no_expiry_at_all() -> None:
    assert expiry(100.0, None, jitter=0.5, draw=0.9) is None
    assert keep_until(None, stale_window=60.0) is None


def test_an_entry_is_kept_for_its_stale_window() -> None:
    assert keep_until(200.0, stale_window=10.0) == 210.0
