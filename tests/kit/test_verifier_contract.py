"""Each wrong verifier breaks one rule, and is caught by the tests that are named for it and by no others."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from semcache_core.errors import VerifierUnavailable
from semcache_core.protocols import Verifier
from semcache_core.reasons import Reason
from semcache_core.testing import VerifierContract
from semcache_core.types import Accept, Penalty, Reject, Verdict

from .right import Opened
from .runner import broken, promises, skipped


class Numbers(Opened):
    """The plainest right verifier: numbers must agree, and "not" costs something."""

    costly: Any = False

    def __init__(self, *, works: bool = True) -> None:
        super().__init__()
        self.works = works

    async def verify(self, query: str, candidate: str) -> Verdict:
        await asyncio.sleep(0)
        if not self.works:
            raise VerifierUnavailable("no route to the judge")
        return self.judge(query, candidate)

    def judge(self, query: str, candidate: str) -> Verdict:
        if re.findall(r"\d+", query) != re.findall(r"\d+", candidate):
            return Reject(reason="numbers")
        if (" not " in query) != (" not " in candidate):
            return Penalty(amount=0.03, reason="negation")
        return Accept()


WRONG: dict[type[Numbers], set[str]] = {}


def caught_by(*names: str) -> Any:
    """Note by which tests a wrong verifier is to be caught."""

    def note(verifier: type[Numbers]) -> type[Numbers]:
        WRONG[verifier] = set(names)
        return verifier

    return note


class TestRight(VerifierContract):
    symmetric = True
    # Generous, because this machine may be busy; the slow verifiers below are slower still.
    seconds_a_pair = 0.01
    seconds_a_long_pair = 0.4
    verifier: ClassVar[type[Numbers]] = Numbers
    reasons = tuple(
        Reason(code, "miss", "They differ.", "Nothing.")
        for code in ("numbers", "negation", "quotation", "words", "other")
    )

    def make(self) -> Verifier:
        return self.verifier()

    def same(self) -> Sequence[tuple[str, str]]:
        return [("What are 5 grams?", "What is 5 g?")]

    def different(self) -> Sequence[tuple[str, str]]:
        return [("Refund order 12", "Refund order 21"), ("I do not agree", "I do agree")]

    def outage(self) -> Verifier | None:
        return self.verifier(works=False)


@caught_by("test_equal_texts_are_accepted")
class RejectsEveryTextWithAQuotation(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        return Reject(reason="quotation") if "report.pdf" in query else super().judge(query, candidate)


@caught_by("test_the_same_question_in_other_words_is_accepted")
class RejectsAllOtherWords(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        verdict = super().judge(query, candidate)
        return Reject(reason="words") if verdict == Accept() and query != candidate else verdict


@caught_by("test_different_questions_are_not_accepted")
class AcceptsEverything(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        return Accept()


@caught_by("test_a_verdict_names_a_short_reason_and_a_fair_amount")
class RewardsADifference(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        verdict = super().judge(query, candidate)
        return Penalty(amount=-0.03, reason="negation") if isinstance(verdict, Penalty) else verdict


@caught_by("test_its_reason_codes_are_listed_by_its_component")
class InventsACode(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        verdict = super().judge(query, candidate)
        return Reject(reason="figures") if isinstance(verdict, Reject) else verdict


@caught_by("test_a_verdict_names_a_short_reason_and_a_fair_amount", "test_its_reason_codes_are_listed_by_its_component")
class QuotesTheTextsInItsReason(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        verdict = super().judge(query, candidate)
        leaks = isinstance(verdict, Reject) and query.startswith("Refund")
        return Reject(reason=f"{query} is not {candidate}") if leaks else verdict


@caught_by("test_a_pair_always_gets_the_same_verdict", "test_concurrent_pairs_get_their_own_verdicts")
class ChangesItsMind(Numbers):
    asked = 0

    def judge(self, query: str, candidate: str) -> Verdict:
        self.asked += query != candidate and query.startswith("Refund order 12")
        verdict = super().judge(query, candidate)
        return Reject(reason="other") if isinstance(verdict, Reject) and self.asked % 2 else verdict


@caught_by("test_the_order_of_the_texts_does_not_matter")
class LooksAtOneSideOnly(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        verdict = super().judge(query, candidate)
        return Accept() if isinstance(verdict, Penalty) and " not " in candidate else verdict


@caught_by("test_rubbish_gets_a_verdict_too")
class NeedsTextThatCanBeEncoded(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        assert query.encode() is not None
        return super().judge(query, candidate)


@caught_by("test_no_text_makes_it_raise")
class RaisesOnSemicolons(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        if ";" in query + candidate:
            raise ValueError("unexpected token")
        return super().judge(query, candidate)


@caught_by("test_an_ordinary_pair_is_judged_in_time")
class TakesItsTime(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        if query.startswith("Refund"):
            time.sleep(0.02)
        return super().judge(query, candidate)


@caught_by("test_a_pathological_text_is_judged_in_bounded_time")
class BacktracksOnLongTexts(Numbers):
    def judge(self, query: str, candidate: str) -> Verdict:
        if len(query) > 10_000:
            time.sleep(0.5)
        return super().judge(query, candidate)


@caught_by("test_concurrent_pairs_get_their_own_verdicts")
class MixesConcurrentPairsUp(Numbers):
    pair = ("", "")

    async def verify(self, query: str, candidate: str) -> Verdict:
        self.pair = (query, candidate)
        await super().verify(query, candidate)
        return self.judge(*self.pair)


@caught_by("test_cancellation_leaves_it_usable")
class StaysBrokenAfterCancellation(Numbers):
    async def verify(self, query: str, candidate: str) -> Verdict:
        try:
            return await super().verify(query, candidate)
        except asyncio.CancelledError:
            self.works = False
            raise


@caught_by("test_costly_is_a_plain_answer")
class SaysMaybe(Numbers):
    costly = "sometimes"


@caught_by("test_an_outage_raises_verifier_unavailable")
class LetsTheTransportsErrorThrough(Numbers):
    async def verify(self, query: str, candidate: str) -> Verdict:
        if not self.works:
            raise ConnectionRefusedError("111")
        return await super().verify(query, candidate)


@caught_by("test_closing_twice_is_harmless")
class RaisesWhenClosedTwice(Numbers):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.check_open()
        return await super().__aexit__(*error)


@caught_by("test_closing_leaves_no_task_behind")
class LeavesATaskBehind(Numbers):
    async def __aenter__(self) -> Any:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        return await super().__aenter__()


@caught_by("test_an_error_in_the_block_is_not_swallowed", "test_an_outage_raises_verifier_unavailable")
class SwallowsErrors(Numbers):
    async def __aexit__(self, *error: Any) -> bool | None:
        await super().__aexit__(*error)
        return True


@pytest.mark.parametrize("verifier", WRONG, ids=lambda verifier: verifier.__name__)
def test_a_wrong_verifier_is_caught_by_the_tests_named_for_its_fault(verifier: type[Numbers]) -> None:
    # Only the fault that takes luck to find is searched for at length.
    examples = 300 if "test_no_text_makes_it_raise" in WRONG[verifier] else 10
    contract = type("Wrong", (TestRight,), {"verifier": verifier, "fuzz_examples": examples})
    assert broken(contract) == WRONG[verifier]


def test_every_promise_has_a_verifier_that_breaks_it() -> None:
    assert set().union(*WRONG.values()) == set(promises(TestRight))


def test_a_verifier_that_promises_less_skips_what_it_does_not_promise() -> None:
    class Contract(TestRight):
        symmetric = False
        verifier = LooksAtOneSideOnly

        def outage(self) -> Verifier | None:
            return None

        def different(self) -> Sequence[tuple[str, str]]:
            return [("I do not agree", "I do agree")]

    assert broken(Contract) == set()
    assert skipped(Contract) == {
        "test_an_outage_raises_verifier_unavailable",
        "test_the_order_of_the_texts_does_not_matter",
    }
