"""Each wrong embedder breaks one rule, and is caught by the tests that are named for it and by no others.

The right one is the CountingEmbedder, so these tests are its own as well.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from semcache_core.errors import EmbedderUnavailable
from semcache_core.protocols import Embedder, Thresholds
from semcache_core.testing import CountingEmbedder, EmbedderContract
from semcache_core.types import Vector

from .runner import broken, promises, skipped

WRONG: dict[type[CountingEmbedder], set[str]] = {}
NUMBERS = itertools.count()


def caught_by(*names: str) -> Any:
    """Note by which tests a wrong embedder is to be caught."""

    def note(embedder: type[CountingEmbedder]) -> type[CountingEmbedder]:
        WRONG[embedder] = set(names)
        return embedder

    return note


class TestRight(EmbedderContract):
    embedder: ClassVar[type[CountingEmbedder]] = CountingEmbedder

    def make(self) -> Embedder:
        return self.embedder(max_tokens=64)

    def variants(self) -> Sequence[Embedder]:
        return [self.embedder(dimensions=32, max_tokens=64), self.embedder(dimensions=128, max_tokens=64)]

    def outage(self) -> Embedder | None:
        return self.embedder(fail=EmbedderUnavailable("no route to the model"))


@caught_by("test_each_text_gets_one_unit_vector_of_float32")
class GivesFloat64ForBatches(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Any:
        vectors = await super().embed(texts)
        return vectors.astype(np.float64) if len(texts) == 5 and self.calls == 1 else vectors


@caught_by(
    "test_each_text_gets_one_unit_vector_of_float32",
    "test_a_batch_equals_singles",
    "test_cancellation_leaves_it_usable",
)
class ForgetsToNormaliseBatches(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors = await super().embed(texts)
        return vectors if len(texts) == 1 else vectors * np.float32(0.9)


@caught_by("test_vectors_come_in_the_order_of_the_texts", "test_a_batch_equals_singles")
class SortsItsBatchByLength(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        return await super().embed(sorted(texts, key=len))


@caught_by("test_no_texts_give_no_vectors")
class RaisesOnNoTexts(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        if not texts:
            raise EmbedderUnavailable("input must not be empty")
        return await super().embed(texts)


@caught_by("test_odd_texts_get_unit_vectors_too")
class GivesNaNForTextsWithoutLetters(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors = await super().embed(texts)
        return vectors if any(letter.isalpha() for letter in "".join(texts)) or not texts else vectors * np.nan


@caught_by("test_a_text_always_gets_the_same_vector")
class DropsFeaturesAtRandom(CountingEmbedder):
    """A model left in training mode."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors = await super().embed(texts)
        if len(texts) == 1 and "opened box" in texts[0] and self.calls == 2 and self.texts[0] == self.texts[1]:
            vectors = np.roll(vectors, 1, axis=1)
        return vectors


@caught_by("test_a_batch_equals_singles")
class LetsBatchMatesMoveVectors(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors = await super().embed(texts)
        if len(texts) > 1:
            vectors = vectors + np.float32(0.01) * vectors[::-1]
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@caught_by("test_a_vector_is_not_overwritten_by_the_next_call", "test_concurrent_calls_get_their_own_vectors")
class ReusesItsBuffer(CountingEmbedder):
    buffer: Vector | None = None

    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors = await super().embed(texts)
        if len(texts) != 1:
            return vectors
        if self.buffer is None:
            self.buffer = vectors
        self.buffer[:] = vectors
        return self.buffer


@caught_by("test_a_paraphrase_is_nearer_than_something_else")
class UnderstandsNothing(CountingEmbedder):
    def _vector(self, text: str) -> Vector:
        return super()._vector("".join(word[::-1] for word in text.split()))


@caught_by("test_equal_options_have_equal_fingerprints")
class PutsItsProcessIntoTheFingerprint(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return f"{super().fingerprint}/{self.number}"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.number = next(NUMBERS)


@caught_by("test_the_fingerprint_changes_with_every_option_that_changes_vectors")
class LeavesTheDimensionsOutOfTheFingerprint(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return "counting"


@caught_by("test_recommended_thresholds_are_ordered_or_absent")
class RecommendsASafeThresholdBelowTheLooseOne(CountingEmbedder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, recommended=Thresholds(safe=0.8, balanced=0.9, loose=0.95))


@caught_by("test_a_text_beyond_the_window_is_refused_and_never_cut")
class CutsLongTexts(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        return await super().embed([" ".join(text.split()[:64]) if len(text) > 99 else text for text in texts])


@caught_by("test_the_event_loop_keeps_beating")
class BlocksTheLoop(CountingEmbedder):
    async def embed(self, texts: Sequence[str]) -> Vector:
        if len(texts) > 20:
            time.sleep(0.1)
        return await super().embed(texts)


@caught_by("test_concurrent_calls_get_their_own_vectors")
class MixesConcurrentCallsUp(CountingEmbedder):
    waiting: Sequence[str] = ()

    async def embed(self, texts: Sequence[str]) -> Vector:
        if self.calls < 5:
            return await super().embed(texts)
        self.waiting = texts
        await asyncio.sleep(0)
        return await super().embed(self.waiting)


@caught_by("test_cancellation_leaves_it_usable")
class StaysBrokenAfterCancellation(CountingEmbedder):
    was_cancelled = False

    async def embed(self, texts: Sequence[str]) -> Vector:
        if self.was_cancelled:
            raise EmbedderUnavailable("the session is busy")
        try:
            await asyncio.sleep(0)
            return await super().embed(texts)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


@caught_by("test_an_outage_raises_embedder_unavailable")
class LetsTheTransportsErrorThrough(CountingEmbedder):
    def __init__(self, *, fail: Exception | None = None, **options: Any) -> None:
        super().__init__(**options, fail=ConnectionRefusedError("111") if fail else None)


@caught_by("test_use_before_open_raises_not_open")
class WorksWithoutBeingOpened(CountingEmbedder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._open = True


@caught_by("test_use_after_close_raises_not_open")
class WorksAfterItWasClosed(CountingEmbedder):
    async def __aexit__(self, *error: Any) -> None:
        pass


@caught_by("test_closing_twice_is_harmless")
class RaisesWhenClosedTwice(CountingEmbedder):
    async def __aexit__(self, *error: Any) -> None:
        if not self._open:
            raise RuntimeError("the session is closed")
        await super().__aexit__(*error)


@caught_by("test_closing_leaves_no_task_behind")
class LeavesATaskBehind(CountingEmbedder):
    async def __aenter__(self) -> Any:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        return await super().__aenter__()


@caught_by("test_an_error_in_the_block_is_not_swallowed", "test_an_outage_raises_embedder_unavailable")
class SwallowsErrors(CountingEmbedder):
    async def __aenter__(self) -> Any:
        self._open = True
        return self

    async def __aexit__(self, *error: Any) -> Any:
        self._open = False
        return True


@pytest.mark.parametrize("embedder", WRONG, ids=lambda embedder: embedder.__name__)
def test_a_wrong_embedder_is_caught_by_the_tests_named_for_its_fault(embedder: type[CountingEmbedder]) -> None:
    contract = type("Wrong", (TestRight,), {"embedder": embedder})
    assert broken(contract) == WRONG[embedder]


def test_every_promise_has_an_embedder_that_breaks_it() -> None:
    assert set().union(*WRONG.values()) == set(promises(TestRight))


def test_an_embedder_that_says_less_of_itself_skips_what_it_does_not_promise() -> None:
    class Modest(LetsBatchMatesMoveVectors):
        batch_invariant = False

    class Contract(TestRight):
        def make(self) -> Embedder:
            return Modest(recommended=None)

        def variants(self) -> Sequence[Embedder]:
            return ()

        def outage(self) -> Embedder | None:
            return None

    assert broken(Contract) == set()
    assert skipped(Contract) == {
        "test_a_batch_equals_singles",
        "test_a_text_beyond_the_window_is_refused_and_never_cut",
        "test_an_outage_raises_embedder_unavailable",
    }
