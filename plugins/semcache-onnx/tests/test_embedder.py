"""What the vectors are: pooled, normalised, one a text, never of a cut text, and never made on the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from tokenizers import Tokenizer, models

from semcache_core.errors import ConfigError, EmbedderUnavailable, NotOpenError, TextTooLong, TextUnreadable
from semcache_core.types import Vector
from semcache_onnx.embedder import OnnxEmbedder
from semcache_onnx.model import read_tokenizer
from semcache_onnx.options import OnnxOptions
from semcache_onnx.sources import VOCABULARY, locate

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
OTHER = "What is the capital of France?"

SHIPPED = read_tokenizer(VOCABULARY)
REFERENCE = read_tokenizer(locate(OnnxOptions()).tokenizer)


def embed(texts: Sequence[str], **options: Any) -> Vector:
    async def run() -> Vector:
        async with OnnxEmbedder(OnnxOptions(**options)) as embedder:
            return await embedder.embed(texts)

    return asyncio.run(run())


def fingerprint(**options: Any) -> str:
    async def run() -> str:
        async with OnnxEmbedder(OnnxOptions(**options)) as embedder:
            return embedder.fingerprint

    return asyncio.run(run())


def table(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the rows of the tiny model's table, by word."""
    (initializer,) = onnx.load(folder / "model.onnx").graph.initializer
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    rows = onnx.numpy_helper.to_array(initializer)
    return {word: rows[number] for word, number in vocabulary.items()}


def unit(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(("bundled", "threshold"), [("bge-small-en-v1.5", 0.93), ("all-minilm-l6-v2", 0.90)])
def test_a_bundled_model_knows_a_paraphrase_from_another_question(bundled: str, threshold: float) -> None:
    question, paraphrase, other = embed([QUESTION, PARAPHRASE, OTHER], bundled=bundled)
    assert question @ paraphrase >= threshold
    assert question @ other < 0.7


def test_vectors_are_float32_of_length_one_in_order() -> None:
    vectors = embed([QUESTION, OTHER, ""])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)


def test_no_texts_give_no_vectors() -> None:
    assert embed([]).shape == (0, 384)


def test_a_batch_mate_does_not_move_a_vector_of_the_int8_model() -> None:
    together = embed([QUESTION, "Summarise the plot of Moby Dick in three long sentences, please."])
    assert np.array_equal(together[0], embed([QUESTION])[0])


def test_the_dynamically_quantised_model_is_declared_not_batch_invariant() -> None:
    async def run() -> tuple[bool, bool]:
        async with (
            OnnxEmbedder(OnnxOptions(bundled="bge-small-en-v1.5")) as dynamic,
            OnnxEmbedder(OnnxOptions(bundled="all-minilm-l6-v2")) as weights_only,
        ):
            return dynamic.batch_invariant, weights_only.batch_invariant

    assert asyncio.run(run()) == (False, True)


def test_a_batch_of_different_lengths_equals_single_texts() -> None:
    texts = [QUESTION, "hi", OTHER * 5]
    batch = embed(texts, bundled="all-minilm-l6-v2")
    singles = np.concatenate([embed([text], bundled="all-minilm-l6-v2") for text in texts])
    assert (batch * singles).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_copied_folder_makes_the_same_vectors_as_the_bundled_model() -> None:
    folder = str(locate(OnnxOptions()).onnx.parent)
    assert np.array_equal(embed([QUESTION], path=folder, pooling="cls"), embed([QUESTION]))


def test_mean_pooling_averages_the_texts_own_tokens(make_model: Any) -> None:
    folder = make_model()
    rows = table(folder)
    expected = unit(np.mean([rows[word] for word in ("[CLS]", "reset", "password", "[SEP]")], axis=0))
    vectors = embed(["reset password", "how do i reset my password"], path=str(folder), pooling="mean")
    assert vectors[0] == pytest.approx(expected, abs=1e-6)


def test_cls_pooling_takes_the_first_token(make_model: Any) -> None:
    folder = make_model()
    (vector,) = embed(["reset password"], path=str(folder), pooling="cls")
    assert vector == pytest.approx(unit(table(folder)["[CLS]"]), abs=1e-6)


def test_a_model_that_pools_itself_is_taken_at_its_word(make_model: Any) -> None:
    folder = make_model(pooled=True, inputs=("input_ids",))
    rows = table(folder)
    (vector,) = embed(["reset"], path=str(folder), pooling="model")
    assert vector == pytest.approx(unit(rows["[CLS]"] + rows["reset"] + rows["[SEP]"]), abs=1e-6)


def test_a_model_without_attention_mask_is_not_batch_invariant(make_model: Any) -> None:
    folder = make_model(inputs=("input_ids",))
    texts = ["reset", "how do i reset my password"]
    singles = np.concatenate([embed([text], path=str(folder), pooling="mean") for text in texts])
    assert embed(texts, path=str(folder), pooling="mean") == pytest.approx(singles, abs=1e-6)


@pytest.mark.parametrize("inputs", [("input_ids", "attention_mask", "token_type_ids"), ("input_ids", "attention_mask")])
@pytest.mark.parametrize("token_type", [TensorProto.INT64, TensorProto.INT32])
def test_inputs_and_their_types_are_the_models_own(make_model: Any, inputs: tuple[str, ...], token_type: int) -> None:
    folder = make_model(inputs=inputs, token_type=token_type)
    assert embed(["reset"], path=str(folder), pooling="mean").shape == (1, 8)


def test_a_prefix_stands_before_every_text(make_model: Any) -> None:
    folder = str(make_model())
    prefixed = embed(["password"], path=folder, pooling="mean", prefix="reset ")
    assert np.array_equal(prefixed, embed(["reset password"], path=folder, pooling="mean"))


def test_a_text_of_exactly_the_window_is_embedded(make_model: Any) -> None:
    text = " ".join(["password"] * 14)  # and [CLS] and [SEP]
    assert embed([text], path=str(make_model()), pooling="mean").shape == (1, 8)


def test_a_longer_text_is_reported_and_never_cut(make_model: Any) -> None:
    text = " ".join(["password"] * 15)
    with pytest.raises(TextTooLong, match="17 tokens does not fit a window of 16") as caught:
        embed(["reset", text], path=str(make_model()), pooling="mean")
    assert "password" not in str(caught.value)


def test_the_bundled_window_is_512_tokens() -> None:
    assert embed(["word " * 510]).shape == (1, 384)
    with pytest.raises(TextTooLong):
        embed(["word " * 511])


def test_megabytes_of_text_are_reported_without_tokenising_them() -> None:
    with pytest.raises(TextTooLong, match="5000000 characters"):
        embed(["?" * 5_000_000])


@pytest.mark.parametrize("bundled", ["bge-small-en-v1.5", "all-minilm-l6-v2"])
@pytest.mark.parametrize(
    "text",
    [
        "ฉันจะยกเลิกการสมัครสมาชิกได้อย่างไร",
        "如何删除我的账户",
        "मेरा खाता कैसे बंद करें",
        "איך אני מוחק את החשבון שלי",
        "what does the word ភាសា mean in English",
        "what is the meaning of the emoji 🦄",
    ],
    ids=["thai", "chinese", "hindi", "hebrew", "khmer word", "emoji"],
)
def test_what_an_english_model_cannot_tell_apart_is_reported_and_not_quoted(bundled: str, text: str) -> None:
    with pytest.raises(TextUnreadable) as caught:
        embed([QUESTION, text], bundled=bundled)
    assert text not in str(caught.value)


def test_accents_signs_and_digits_are_no_other_script() -> None:
    assert embed(["What’s a “naïve” façade – €5, 30 °C, Łódź, Hawaiʻi, ½ … Straße?"]).shape == (1, 384)


def test_a_word_that_the_vocabulary_lacks_is_reported(make_model: Any) -> None:
    with pytest.raises(TextUnreadable, match="vocabulary"):
        embed(["reset", "reset username"], path=str(make_model()), pooling="mean")


def test_a_prefix_that_the_vocabulary_lacks_would_make_every_text_unreadable(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"embedder\.prefix = 'query: '"):
        embed(["reset"], path=str(make_model()), pooling="mean", prefix="query: ")


def test_a_unigram_tokenizer_names_its_unknown_token_by_number(make_model: Any) -> None:
    folder = make_model()
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -1.0)], unk_id=0, byte_fallback=False))
    tokenizer.save(str(folder / "tokenizer.json"))
    assert embed(["ab"], path=str(folder), pooling="mean").shape == (1, 8)
    with pytest.raises(TextUnreadable, match="vocabulary"):
        embed(["abc"], path=str(folder), pooling="mean")


def test_a_model_for_many_languages_takes_every_script_that_its_vocabulary_has(make_model: Any) -> None:
    folder = make_model()
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "почта": 1}, unk_token="[UNK]"))
    tokenizer.save(str(folder / "tokenizer.json"))
    assert embed(["почта"], path=str(folder), pooling="mean").shape == (1, 8)
    with pytest.raises(TextUnreadable, match="latin_only"):
        embed(["почта"], path=str(folder), pooling="mean", latin_only=True)


def test_a_lone_surrogate_is_an_outage_that_does_not_quote_the_text() -> None:
    with pytest.raises(EmbedderUnavailable, match="not valid Unicode") as caught:
        embed(["secret \ud800"])
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


def test_a_vector_without_direction_is_an_outage(make_model: Any) -> None:
    with pytest.raises(EmbedderUnavailable, match="without a direction"):
        embed(["reset"], path=str(make_model(scale=0.0)), pooling="mean")


def test_the_fingerprint_changes_with_everything_that_changes_vectors(make_model: Any) -> None:
    folder, scaled = str(make_model()), str(make_model("other", scale=2.0))
    prints = [
        fingerprint(),
        fingerprint(bundled="all-minilm-l6-v2"),
        fingerprint(pooling="mean"),
        fingerprint(prefix="query: "),
        fingerprint(path=folder, pooling="mean"),
        fingerprint(path=scaled, pooling="mean"),
    ]
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_is_the_same_after_the_model_moved(make_model: Any, tmp_path: Path) -> None:
    folder = make_model()
    before = fingerprint(path=str(folder), pooling="mean")
    moved = folder.rename(tmp_path / "elsewhere").rename(tmp_path / "sub-tiny")
    moved.parent.joinpath("deep").mkdir()
    assert fingerprint(path=str(moved.rename(tmp_path / "deep" / "tiny")), pooling="mean") == before


def test_the_fingerprint_says_what_shapes_the_vectors() -> None:
    assert fingerprint(prefix="q: ") == (
        "onnx model=bge-small-en-v1.5 revision=68807e3ff2abb83c+d241a60d5e8f04cc dimensions=384 pooling=cls "
        "prefix='q: ' truncation=none"
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_the_shipped_vocabulary_tokenises_as_the_model_was_trained(text: str) -> None:
    assert SHIPPED.encode(text).ids == REFERENCE.encode(text).ids


def test_using_it_before_open_or_after_close_says_so() -> None:
    async def run() -> None:
        embedder = OnnxEmbedder(OnnxOptions())
        with pytest.raises(NotOpenError, match="not open"):
            await embedder.embed([QUESTION])
        async with embedder:
            pass
        await embedder.__aexit__(None, None, None)
        with pytest.raises(NotOpenError, match="not open"):
            await embedder.embed([QUESTION])

    asyncio.run(run())


def test_what_is_queued_at_close_is_still_answered() -> None:
    async def run() -> list[Vector]:
        async with OnnxEmbedder(OnnxOptions()) as embedder:
            calls = [asyncio.create_task(embedder.embed([QUESTION])) for _ in range(5)]
            await asyncio.sleep(0)
        return await asyncio.gather(*calls)

    assert [vectors.shape for vectors in asyncio.run(run())] == [(1, 384)] * 5


def test_a_cancelled_call_leaves_it_usable() -> None:
    async def run() -> Vector:
        async with OnnxEmbedder(OnnxOptions()) as embedder:
            calls = [asyncio.create_task(embedder.embed([QUESTION])) for _ in range(5)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            return await embedder.embed([QUESTION])

    assert asyncio.run(run()).shape == (1, 384)


def test_the_event_loop_beats_while_it_loads_and_while_it_embeds() -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        longest, last = 0.0, loop.time()
        done = False

        async def beat() -> None:
            nonlocal longest, last
            while not done:
                await asyncio.sleep(0.002)
                longest, last = max(longest, loop.time() - last), loop.time()

        heart = asyncio.create_task(beat())
        async with OnnxEmbedder(OnnxOptions()) as embedder:
            await embedder.embed(["word " * 500] * 3)
        done = True
        await heart
        return longest

    assert asyncio.run(run()) < 0.15


def test_its_thread_ends_with_it() -> None:
    before = set(threading.enumerate())
    embed([QUESTION])
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
    assert not set(threading.enumerate()) - before


def test_loading_is_announced_and_texts_are_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="semcache.onnx"):
        embed(["a secret question"])
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "loading embedding model bge-small-en-v1.5 (34 MB)"
    assert second.startswith(
        "embedding model bge-small-en-v1.5 is ready: 384 dimensions, cls pooling, up to 512 tokens"
    )


def test_nothing_heavy_is_imported_before_open_and_a_bundled_wheel_never() -> None:
    code = """
import asyncio, json, sys
import semcache_onnx.plugin
from semcache_onnx.embedder import OnnxEmbedder, OnnxOptions
def loaded(): return sorted({"onnxruntime", "tokenizers", "huggingface_hub", "semcache_bge_small"} & sys.modules.keys())
before = loaded()
async def run():
    async with OnnxEmbedder(OnnxOptions()) as embedder:
        await embedder.embed(["hi"])
asyncio.run(run())
print(json.dumps([before, loaded()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[], ["onnxruntime", "tokenizers"]]
