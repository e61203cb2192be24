"""The part of the key extractor's contract about answers: recording one, and framing it for the next caller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar, final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from semcache_core.protocols import Answer, AnswerHead, Framing, KeyExtractor, Refused, Reply, SupportsAnswers
from semcache_core.settings import Policy
from semcache_core.testing._bodies import broken_copies
from semcache_core.testing._contract import ResourceContract, promise
from semcache_core.testing._samples import START
from semcache_core.types import Key, Request, Struct

STEPS = (1, 2, 3, 7, 64)
CUTS = 200
"""How many places to try at most at which an answer may break off."""


class AnswerSample(Struct, frozen=True, kw_only=True):
    """A complete answer that the protocol would store, and its request."""

    request: Request
    content_type: bytes
    body: bytes


class AnswerPromises(ResourceContract[KeyExtractor]):
    """What the core relies on in an extractor with ``SupportsAnswers``."""

    fuzz_examples: ClassVar[int] = 200

    def answers(self) -> Sequence[AnswerSample]:
        """Return complete, valid answers: at least one for each mode; none without ``SupportsAnswers``."""
        return ()

    @final
    def known_answers(self, extractor: KeyExtractor) -> Iterator[tuple[SupportsAnswers, AnswerSample, Key, Answer]]:
        """Yield every sample with its key and its recorded answer."""
        if not isinstance(extractor, SupportsAnswers):
            assert not self.answers(), "answers() gives samples, and the extractor has no SupportsAnswers"
            pytest.skip("does not promise SupportsAnswers")
        assert self.answers(), "it has SupportsAnswers: give samples in answers()"
        for sample in self.answers():
            key = extractor.extract(sample.request)
            assert isinstance(key, Key), f"the request of an answer has no key: {key!r}"
            recorded = _recorded(extractor, key, sample.content_type, [sample.body])
            assert isinstance(recorded, Answer), f"a good answer is refused: {recorded!r} {sample.body[:200]!r}"
            yield extractor, sample, key, recorded

    @promise
    async def test_a_good_answer_is_recorded_wherever_its_pieces_end(self, extractor: KeyExtractor) -> None:
        for answers, sample, key, whole in self.known_answers(extractor):
            for step in STEPS:
                edges = [*range(0, len(sample.body), step), len(sample.body)]
                pieces = [sample.body[begin:end] for begin, end in pairwise(edges)]
                assert _recorded(answers, key, sample.content_type, pieces) == whole, f"in pieces of {step} bytes"

    @promise
    async def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(self, extractor: KeyExtractor) -> None:
        for answers, sample, key, whole in self.known_answers(extractor):
            for end in range(0, len(sample.body), max(1, len(sample.body) // CUTS)):
                said = _recorded(answers, key, sample.content_type, [sample.body[:end]])
                # An answer without its last line ending may be equal.
                assert isinstance(said, Refused) or said == whole, f"cut after {end} bytes: {sample.body[:end][-80:]!r}"

    @promise
    async def test_no_broken_answer_makes_it_raise(self, extractor: KeyExtractor) -> None:
        known = list(self.known_answers(extractor))

        @settings(
            max_examples=self.fuzz_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(broken_copies([sample.body for _, sample, _, _ in known]))
        def fuzz(body: bytes) -> None:
            for answers, sample, key, _ in known:
                said = _recorded(answers, key, sample.content_type, [body])
                assert isinstance(said, (Answer, Refused))
                if isinstance(said, Answer):
                    _framed(answers, said, key, exact=False)

        fuzz()

    @promise
    async def test_an_equal_caller_gets_the_answer_back_in_its_own_mode(self, extractor: KeyExtractor) -> None:
        for answers, sample, key, whole in self.known_answers(extractor):
            reply = _framed(answers, whole, key, exact=True)
            assert reply is not None, "an entry must serve the caller it was made for"
            again = _recorded(answers, key, reply.content_type or sample.content_type, reply.chunks)
            assert isinstance(again, Answer)
            assert _content(again.body) == _content(whole.body), "what is replayed says something else"

    @promise
    async def test_the_other_mode_gets_the_same_answer_or_none(self, extractor: KeyExtractor) -> None:
        for answers, sample, key, whole in self.known_answers(extractor):
            mode = msgspec.structs.replace(key.mode, streamed=not key.mode.streamed)
            other = msgspec.structs.replace(key, mode=mode)
            reply = _framed(answers, whole, other, exact=True)
            if reply is not None:
                again = _recorded(answers, other, reply.content_type or sample.content_type, reply.chunks)
                assert isinstance(again, Answer)
                assert _content(again.body) == _content(whole.body), "the other mode is told something else"


def _recorded(answers: SupportsAnswers, key: Key, content_type: bytes, pieces: Sequence[bytes]) -> Answer | Refused:
    head = AnswerHead(status=200, headers=((b"content-type", content_type),))
    recorder = answers.recorder(key, head, policy=Policy())
    if isinstance(recorder, Refused):
        return recorder
    for piece in pieces:
        recorder.feed(piece)
    return recorder.finish()


def _framed(answers: SupportsAnswers, answer: Answer, key: Key, *, exact: bool) -> Reply | None:
    framing = Framing(streamed=key.mode.streamed, required=key.mode.required, exact=exact, fresh_id="kit", now=START)
    reply = answers.reply(answer, framing)
    assert reply is None or all(type(chunk) is bytes for chunk in reply.chunks)
    return reply


def _content(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
