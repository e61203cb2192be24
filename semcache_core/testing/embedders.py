"""The contract of an embedder: texts in, unit vectors out, in order, without blocking the loop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import pytest

from semcache_core.errors import EmbedderUnavailable, TextTooLong, TextUnreadable
from semcache_core.protocols import Embedder
from semcache_core.testing._contract import GuardedContract, promise
from semcache_core.testing._samples import cut_off, pulse
from semcache_core.types import Vector

TEXTS = (
    "How do I reset my password?",
    "What is the capital of France?",
    "Can I return an opened box within thirty days, and who pays for the parcel?",
    "Explain quantum entanglement to a child.",
    "refund",
)
ODD_TEXTS = (
    " x ",
    "a\x00b",
    "🙂🙂🙂",
    "שלום עולם",
    "東京の天気",
    "line\nbreak\ttab",
    "e\u0301 and é",
    "<script>",
    "%00",
)
MEANINGS = (
    ("How do I reset my password?", "How can I reset my password", "Which wine goes with grilled fish?"),
    ("When does the shop open on Sunday?", "On Sunday, when does the shop open?", "Delete all my personal data."),
    ("How do I cancel my subscription?", "How can I cancel a subscription?", "The distance from the earth to the moon"),
)


class EmbedderContract(GuardedContract[Embedder]):
    """What the engine relies on in an embedder::

    class TestOllama(EmbedderContract):
        def make(self) -> Embedder:
            return OllamaEmbedder(OllamaOptions(host=HOST))

        def variants(self) -> Sequence[Embedder]:
            return [OllamaEmbedder(OllamaOptions(host=HOST, dimensions=256))]

        def outage(self) -> Embedder | None:
            return OllamaEmbedder(OllamaOptions(host="http://127.0.0.1:9"))
    """

    meanings: ClassVar[Sequence[tuple[str, str, str]]] = MEANINGS
    """(text, the same in other words, another text): the second must be nearer to the first than the third is."""
    longest_pause: ClassVar[float] = 0.05
    """Seconds for which the event loop may be blocked while a large batch is embedded."""

    @abstractmethod
    def variants(self) -> Sequence[Embedder]:
        """Return embedders that differ from ``make()`` in one option each, for every option that changes vectors."""

    @abstractmethod
    def outage(self) -> Embedder | None:
        """Return an embedder whose model or server is unavailable; None if it needs nothing external."""

    def too_long(self, embedder: Embedder) -> str | None:
        """Return a text that is longer than the window; None if no bound is known."""
        return None if embedder.max_tokens is None else "window " * (embedder.max_tokens + 1)

    @final
    async def use(self, component: Embedder) -> None:
        """Embed one text."""
        await component.embed(["text"])

    # -- vectors ------------------------------------------------------------------------------------------------------

    @promise
    async def test_each_text_gets_one_unit_vector_of_float32(self, embedder: Embedder) -> None:
        vectors = await embedder.embed(TEXTS)
        _check_units(vectors, count=len(TEXTS), dimensions=embedder.dimensions)

    @promise
    async def test_vectors_come_in_the_order_of_the_texts(self, embedder: Embedder) -> None:
        singles = await _one_by_one(embedder, TEXTS)
        batch = await embedder.embed(TEXTS)
        assert list(np.argmax(batch @ singles.T, axis=1)) == list(range(len(TEXTS)))

    @promise
    async def test_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        vectors = await embedder.embed([])
        assert vectors.shape == (0, embedder.dimensions)
        assert vectors.dtype == np.float32

    @promise
    async def test_odd_texts_get_unit_vectors_too(self, embedder: Embedder) -> None:
        for text in ODD_TEXTS:
            try:
                vectors = await embedder.embed([text])
            except TextUnreadable:
                continue  # Better than one vector for every unknown text.
            _check_units(vectors, count=1, dimensions=embedder.dimensions)

    @promise
    async def test_a_text_always_gets_the_same_vector(self, embedder: Embedder) -> None:
        first, second = [await embedder.embed([TEXTS[2]]) for _ in range(2)]
        assert float(first[0] @ second[0]) >= 1 - 1e-5

    @promise
    async def test_a_batch_equals_singles(self, embedder: Embedder) -> None:
        if not embedder.batch_invariant:
            pytest.skip("says batch_invariant = False: the engine embeds one text a call")
        batch, singles = await embedder.embed(TEXTS), await _one_by_one(embedder, TEXTS)
        cosines = np.einsum("nd,nd->n", batch, singles)
        assert cosines.min() >= 1 - 1e-5, "batch mates move the vector: say batch_invariant = False"

    @promise
    async def test_a_vector_is_not_overwritten_by_the_next_call(self, embedder: Embedder) -> None:
        kept = await embedder.embed([TEXTS[0]])
        before = kept.copy()
        await embedder.embed([TEXTS[1]])
        assert np.array_equal(kept, before), "return a new array each time, not a view of a buffer"

    @promise
    async def test_a_paraphrase_is_nearer_than_something_else(self, embedder: Embedder) -> None:
        for text, paraphrase, other in self.meanings:
            vectors = await _one_by_one(embedder, (text, paraphrase, other))
            assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1, (
                f"{text!r}: check pooling, prefix, tokenizer"
            )

    # -- properties ---------------------------------------------------------------------------------------------------

    def test_equal_options_have_equal_fingerprints(self) -> None:
        async def body() -> None:
            first, second = await self._fingerprint(self.make()), await self._fingerprint(self.make())
            assert first == second, "nothing of one process may be in it"
            assert first.strip()

        self.run(body)

    def test_the_fingerprint_changes_with_every_option_that_changes_vectors(self) -> None:
        async def body() -> None:
            prints = [await self._fingerprint(each) for each in (self.make(), *self.variants())]
            assert len(set(prints)) == len(prints), f"two embedders whose vectors differ share a fingerprint: {prints}"

        self.run(body)

    @promise
    async def test_recommended_thresholds_are_ordered_or_absent(self, embedder: Embedder) -> None:
        advice = embedder.recommended
        if advice is not None:
            assert 0 < advice.loose <= advice.balanced <= advice.safe <= 1

    @promise
    async def test_a_text_beyond_the_window_is_refused_and_never_cut(self, embedder: Embedder) -> None:
        text = self.too_long(embedder)
        if text is None:
            pytest.skip("knows no bound (max_tokens is None)")
        with pytest.raises(TextTooLong):
            await embedder.embed([text])
        with pytest.raises(TextTooLong):
            await embedder.embed(["short", text])
        await embedder.embed(["short"])

    # -- on the loop --------------------------------------------------------------------------------------------------

    @promise
    async def test_the_event_loop_keeps_beating(self, embedder: Embedder) -> None:
        texts = [f"{text} Number {n}." for n in range(8) for text in TEXTS]
        pauses = []
        # A busy machine can block any loop once; a blocking embedder does so every time.
        for _ in range(5):
            async with pulse() as measured:
                await embedder.embed(texts)
            pauses.append(measured.longest)
            if pauses[-1] <= self.longest_pause:
                return
        pytest.fail(f"embed held the event loop for {min(pauses):.3f} s; run blocking work in a thread")

    @promise
    async def test_concurrent_calls_get_their_own_vectors(self, embedder: Embedder) -> None:
        alone = await _one_by_one(embedder, TEXTS)
        together = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS * 4))
        for vectors, expected in zip(together, np.tile(alone, (4, 1)), strict=True):
            assert float(vectors[0] @ expected) >= 1 - 1e-5

    @promise
    async def test_cancellation_leaves_it_usable(self, embedder: Embedder) -> None:
        for turns in range(6):
            await cut_off(embedder.embed(TEXTS), after=turns)
        _check_units(await embedder.embed(TEXTS), count=len(TEXTS), dimensions=embedder.dimensions)

    def test_an_outage_raises_embedder_unavailable(self) -> None:
        async def body() -> None:
            broken = self.outage()
            if broken is None:
                pytest.skip("needs nothing outside (outage returns None)")
            with pytest.raises(EmbedderUnavailable):
                async with broken:
                    await broken.embed(["text"])

        self.run(body)

    async def _fingerprint(self, embedder: Embedder) -> str:
        async with embedder:
            return embedder.fingerprint


async def _one_by_one(embedder: Embedder, texts: Sequence[str]) -> Vector:
    # Copies: a reused buffer is the subject of another test.
    stacked: Vector = np.concatenate([(await embedder.embed([text])).copy() for text in texts])
    return stacked


def _check_units(vectors: Vector, *, count: int, dimensions: int) -> None:
    assert isinstance(vectors, np.ndarray)
    assert vectors.shape == (count, dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3), "every vector has length 1"
