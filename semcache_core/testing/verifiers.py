"""The contract of a verifier: a verdict on every pair, in bounded time, and equal texts always pass."""

from __future__ import annotations

import asyncio
import re
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semcache_core.errors import VerifierUnavailable
from semcache_core.protocols import Verifier
from semcache_core.reasons import Reason
from semcache_core.testing._contract import ResourceContract, promise
from semcache_core.testing._reasons import check_listed
from semcache_core.testing._samples import cut_off
from semcache_core.types import Accept, Penalty, Reject, Verdict

Pairs = Sequence[tuple[str, str]]

EQUAL = (
    "How do I reset my password?",
    "Fly from Paris to Rome on 3 May 2026 for less than 200 euros",
    'Do not delete "report.pdf" from https://example.com/a?b=c#d before version 2.1.3',
    "Was kostet ein Ticket für zwei Erwachsene und 1 Kind?",
    "東京の明日の天気は",
    "`rm -rf /tmp/x` on Ubuntu 22.04",
)
RUBBISH = (
    "",
    " ",
    "\x00",
    "\ud800",
    "?!…",
    "'\"`",
    "((((",
    "\\",
    "%s{}",
    "0" * 400,
    "-" * 400,
    "1,2.3,4.5e6",
    "🙂" * 50,
    "\u202e",
)
LONG = (
    "a" * 20_000,
    "1 " * 10_000,
    '"' * 5_000,
    "not " * 5_000,
    "From A to B. " * 1_500,
    "A1b2-" * 4_000,
    "http://" * 3_000,
)


class VerifierContract(ResourceContract[Verifier]):
    """What the engine relies on in a verifier::

    class TestJudge(VerifierContract):
        seconds_a_pair = 0.5

        def make(self) -> Verifier:
            return Judge(JudgeOptions(model="m"))

        def same(self) -> Pairs:
            return [("How do I reset my password?", "How can I reset my password?")]

        def different(self) -> Pairs:
            return [("Is it safe in May?", "Is it unsafe in May?")]
    """

    symmetric: ClassVar[bool] = False
    """True: the verdict does not depend on which text is the query and which is stored."""
    seconds_a_pair: ClassVar[float] = 0.001
    """Maximum time for an ordinary pair; compared with the fastest of several runs."""
    seconds_a_long_pair: ClassVar[float] = 0.5
    """Maximum time for a pair of pathological texts of 10 to 20 kB."""
    fuzz_examples: ClassVar[int] = 200
    reasons: ClassVar[Sequence[Reason] | None] = None
    """The reason codes that its component lists; None: those of the installed plugin."""

    @abstractmethod
    def same(self) -> Pairs:
        """Return pairs that it must accept: one question in two wordings."""

    @abstractmethod
    def different(self) -> Pairs:
        """Return pairs that it must not accept."""

    def outage(self) -> Verifier | None:
        """Return a verifier whose service is unreachable; None if it needs nothing external."""
        return None

    @final
    def pairs(self) -> list[tuple[str, str]]:
        """Return every pair of the author."""
        return [*self.same(), *self.different()]

    # -- verdicts -----------------------------------------------------------------------------------------------------

    @promise
    async def test_equal_texts_are_accepted(self, verifier: Verifier) -> None:
        for text in (*EQUAL, *(text for pair in self.pairs() for text in pair)):
            assert await verifier.verify(text, text) == Accept(), text

    @promise
    async def test_the_same_question_in_other_words_is_accepted(self, verifier: Verifier) -> None:
        assert self.same(), "give at least one pair"
        for query, candidate in self.same():
            assert await verifier.verify(query, candidate) == Accept(), (query, candidate)

    @promise
    async def test_different_questions_are_not_accepted(self, verifier: Verifier) -> None:
        assert self.different(), "give at least one pair"
        for query, candidate in self.different():
            assert not isinstance(await verifier.verify(query, candidate), Accept), (query, candidate)

    @promise
    async def test_a_verdict_names_a_short_reason_and_a_fair_amount(self, verifier: Verifier) -> None:
        for query, candidate in self.pairs():
            _check(await verifier.verify(query, candidate))

    @promise
    async def test_its_reason_codes_are_listed_by_its_component(self, verifier: Verifier) -> None:
        verdicts = [await verifier.verify(query, candidate) for query, candidate in self.pairs()]
        codes = {verdict.reason for verdict in verdicts if isinstance(verdict, (Reject, Penalty))}
        check_listed("verifiers", verifier, codes, self.reasons)

    @promise
    async def test_a_pair_always_gets_the_same_verdict(self, verifier: Verifier) -> None:
        for query, candidate in self.pairs():
            assert await verifier.verify(query, candidate) == await verifier.verify(query, candidate)

    @promise
    async def test_the_order_of_the_texts_does_not_matter(self, verifier: Verifier) -> None:
        if not self.symmetric:
            pytest.skip("does not promise to be symmetric")
        for one, other in self.pairs():
            there, back = await verifier.verify(one, other), await verifier.verify(other, one)
            assert type(there) is type(back), (one, other, there, back)

    # -- arbitrary texts ----------------------------------------------------------------------------------------------

    @promise
    async def test_rubbish_gets_a_verdict_too(self, verifier: Verifier) -> None:
        for one in RUBBISH:
            for other in (*RUBBISH, EQUAL[0]):
                _check(await verifier.verify(one, other))

    def test_no_text_makes_it_raise(self) -> None:
        @settings(
            max_examples=self.fuzz_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=20))
        def fuzz(pairs: list[tuple[str, str]]) -> None:
            async def body() -> None:
                async with self.opened() as verifier:
                    for query, candidate in pairs:
                        _check(await verifier.verify(query, candidate))

            self.run(body)

        fuzz()

    @promise
    async def test_an_ordinary_pair_is_judged_in_time(self, verifier: Verifier) -> None:
        for query, candidate in self.pairs():
            took = min([await _seconds(verifier, query, candidate) for _ in range(5)])
            assert took <= self.seconds_a_pair, f"{took:.4f} s for {query!r} and {candidate!r}"

    @promise
    async def test_a_pathological_text_is_judged_in_bounded_time(self, verifier: Verifier) -> None:
        for text in LONG:
            took = min([await _seconds(verifier, text, text + " x") for _ in range(2)])
            assert took <= self.seconds_a_long_pair, f"{took:.2f} s for {text[:20]!r} ... ({len(text)} characters)"

    # -- on the loop --------------------------------------------------------------------------------------------------

    @promise
    async def test_concurrent_pairs_get_their_own_verdicts(self, verifier: Verifier) -> None:
        alone = [await verifier.verify(query, candidate) for query, candidate in self.pairs()]
        together = await asyncio.gather(*(verifier.verify(query, candidate) for query, candidate in self.pairs()))
        assert list(together) == alone

    @promise
    async def test_cancellation_leaves_it_usable(self, verifier: Verifier) -> None:
        for turns in range(6):
            await cut_off(verifier.verify(EQUAL[0], EQUAL[1]), after=turns)
        assert await verifier.verify(EQUAL[0], EQUAL[0]) == Accept()

    @promise
    async def test_costly_is_a_plain_answer(self, verifier: Verifier) -> None:
        assert type(verifier.costly) is bool

    def test_an_outage_raises_verifier_unavailable(self) -> None:
        async def body() -> None:
            broken = self.outage()
            if broken is None:
                pytest.skip("needs nothing outside (outage returns None)")
            with pytest.raises(VerifierUnavailable):
                async with broken:
                    await broken.verify(EQUAL[0], EQUAL[1])

        self.run(body)


async def _seconds(verifier: Verifier, query: str, candidate: str) -> float:
    begin = time.perf_counter()
    await verifier.verify(query, candidate)
    return time.perf_counter() - begin


def _check(verdict: Verdict) -> None:
    assert isinstance(verdict, (Accept, Reject, Penalty)), f"{verdict!r} is no verdict"
    if isinstance(verdict, (Reject, Penalty)):
        # Reason codes appear in headers, events and statistics: they must not contain words of the texts.
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,39}", verdict.reason), f"{verdict.reason!r} is no reason code"
    if isinstance(verdict, Penalty):
        assert 0 < verdict.amount <= 1, "an amount is taken off a similarity between 0 and 1"
