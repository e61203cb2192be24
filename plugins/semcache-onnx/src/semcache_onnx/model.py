"""A loaded model: tokenizer and onnxruntime session, texts in, unit vectors out. Blocks; one thread uses it.

It imports the heavy libraries, so it is imported on the embedder's thread.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from semcache_core.errors import ConfigError, EmbedderUnavailable, PluginError, TextTooLong, TextUnreadable
from semcache_core.types import Vector

from .options import Pooling
from .sources import ModelFiles

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TYPES: dict[str, type[np.signedinteger[Any]]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

# Operators that scale by the largest value of the batch: a text's vector then depends on its batch.
_DYNAMIC_OPERATORS = (b"DynamicQuantizeLinear", b"DynamicQuantizeMatMul", b"DynamicQuantizeLSTM")

# The apostrophe-like letters of Hawaiian and others are "modifier letters".
_LATIN = re.compile(r"\b(LATIN|MODIFIER)\b")

# No tokenizer's tokens are this long on average, so a longer text does not fit and need not be tokenised.
_CHARACTERS_PER_TOKEN = 64


class LoadedModel:
    """One model, ready to run. Raises ConfigError if the files are not a text embedder."""

    def __init__(self, files: ModelFiles, *, prefix: str) -> None:
        self._prefix = prefix
        self._max_tokens = files.max_tokens
        self._pooling = files.pooling
        self._latin_only = files.latin_only
        self._tokenizer = read_tokenizer(files.tokenizer)
        self._unknown = _unknown_token(self._tokenizer)
        self._session = _session(files.onnx)
        self._types = {declared.name: _TYPES.get(declared.type) for declared in self._session.get_inputs()}
        if not {"input_ids"} <= self._types.keys() <= _INPUTS or None in self._types.values():
            raise ConfigError(
                f"{files.onnx} takes {sorted(self._types)}: not a text embedding model, which takes input_ids"
            )
        self._output = _output(self._session, pooling=files.pooling, path=files.onnx)
        self.batch_invariant = "attention_mask" in self._types and not _quantises_dynamically(files.onnx)
        # The first run allocates memory and shows the dimensions, which not every file declares.
        try:
            self.dimensions = int(self._run([self._encode("warm")]).shape[1])
        except TextTooLong as error:
            raise ConfigError(
                f"a window of {files.max_tokens} tokens has no room beside embedder.prefix = {prefix!r}; "
                "raise embedder.max_tokens or shorten the prefix"
            ) from error
        if self._unknown in self._encode(""):
            raise ConfigError(f"embedder.prefix = {prefix!r} holds what the model's vocabulary lacks")

    def embed(self, texts: Sequence[str]) -> Vector:
        """Return one float32 unit vector per text, in order: shape (len(texts), dimensions).

        Raises TextTooLong and TextUnreadable before anything is run, EmbedderUnavailable if the model fails.
        """
        encoded = [self._read(text) for text in texts]
        if not encoded:
            return np.empty((0, self.dimensions), np.float32)
        if self.batch_invariant or len(encoded) == 1:
            return self._run(encoded)
        return np.concatenate([self._run([ids]) for ids in encoded])

    def _read(self, text: str) -> list[int]:
        """Return the tokens of a text that the model can distinguish. Raises TextTooLong, TextUnreadable."""
        ids = self._encode(text)
        # All unknown text has the same token: two questions that differ only there would have equal vectors.
        if self._unknown in ids:
            raise TextUnreadable("the text has characters that the model's vocabulary lacks")
        if self._latin_only and not _is_latin(text):
            raise TextUnreadable("the text is in a script that the model was not made for (embedder.latin_only)")
        return ids

    def _encode(self, text: str) -> list[int]:
        """Return the text's token ids, special tokens included, and never fewer than the text has."""
        if len(text) > self._max_tokens * _CHARACTERS_PER_TOKEN:
            raise TextTooLong(f"a text of {len(text)} characters does not fit a window of {self._max_tokens} tokens")
        try:
            ids = self._tokenizer.encode(self._prefix + text).ids
        except (TypeError, UnicodeError):
            # Rust strings cannot contain a lone surrogate. Drop the cause: its text quotes the prompt.
            raise EmbedderUnavailable("the text is not valid Unicode, so it has no tokens") from None
        if len(ids) > self._max_tokens:
            raise TextTooLong(f"a text of {len(ids)} tokens does not fit a window of {self._max_tokens}")
        return ids

    def _run(self, encoded: Sequence[list[int]]) -> Vector:
        length = max(map(len, encoded))
        padded = [ids + [0] * (length - len(ids)) for ids in encoded]
        mask = [[1] * len(ids) + [0] * (length - len(ids)) for ids in encoded]
        feeds = {"input_ids": padded, "attention_mask": mask, "token_type_ids": [[0] * length] * len(encoded)}
        try:
            (output,) = self._session.run(
                [self._output], {name: np.array(feeds[name], type_) for name, type_ in self._types.items()}
            )
        except Exception as error:  # onnxruntime raises its own subclasses of Exception
            raise EmbedderUnavailable(f"onnxruntime could not run the model: {type(error).__name__}") from error
        return _unit(_pool(np.asarray(output, np.float32), mask, pooling=self._pooling))


def _pool(output: NDArray[np.float32], mask: list[list[int]], *, pooling: Pooling) -> NDArray[np.float32]:
    """Reduce (texts, tokens, dimensions) to (texts, dimensions); with ``model`` pooling it already has that shape."""
    if pooling == "model":
        return output
    if pooling == "cls":
        return output[:, 0]
    weights = np.array(mask, np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    pooled: NDArray[np.float32] = np.einsum("ntd,nt->nd", output, weights)
    return pooled


def _unit(vectors: NDArray[np.float32]) -> Vector:
    # One text is the common case, where each numpy call costs more than its arithmetic.
    units = np.empty(vectors.shape, np.float32)
    for vector, unit in zip(vectors, units, strict=True):
        length = math.sqrt(vector.dot(vector))
        if not 0 < length < math.inf:
            raise EmbedderUnavailable("the model put out a vector without a direction (zero, infinite or not a number)")
        np.divide(vector, length, out=unit)
    return units


def read_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = _uncased_wordpiece(path) if path.suffix == ".txt" else Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise PluginError(f"semcache-onnx: tokenizers cannot read {path}; the file is damaged or incomplete") from error
    # Files from the hub often cut at 128 tokens and pad to that length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class _TokenizerModel(msgspec.Struct):
    """The part of ``tokenizer.json`` that names the unknown token: by text, or by number (Unigram)."""

    unk_token: str | None = None
    unk_id: int | None = None


class _TokenizerFile(msgspec.Struct):
    model: _TokenizerModel


def _unknown_token(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token; None if every byte has its own token."""
    model = msgspec.json.decode(tokenizer.to_str(), type=_TokenizerFile).model
    if model.unk_id is not None or model.unk_token is None:
        return model.unk_id
    number: int | None = tokenizer.token_to_id(model.unk_token)
    return number


def _is_latin(text: str) -> bool:
    """Say whether every letter of the text is Latin. Digits, signs and accents belong to no script."""
    return text.isascii() or all(
        character.isascii() or not character.isalpha() or _LATIN.search(unicodedata.name(character, "")) is not None
        for character in text
    )


def _uncased_wordpiece(vocabulary: Path) -> Tokenizer:
    """Build the tokenizer of uncased BERT from its vocabulary: one token per line, the line number is its id."""
    ids = {token: number for number, token in enumerate(vocabulary.read_text("utf-8").splitlines())}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One core for embedding; the others stay free for the event loop, which answers exact hits meanwhile.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # No memory patterns: one would be kept for each text length ever seen. The arena stays: without it a text costs
    # 0.3 ms more, and the process grows by 100 MB.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own subclasses of Exception
        raise PluginError(
            f"semcache-onnx: onnxruntime {onnxruntime.__version__} cannot load {path}: {type(error).__name__}; "
            "the file is damaged, incomplete or newer than this onnxruntime"
        ) from error


def _output(session: onnxruntime.InferenceSession, *, pooling: Pooling, path: Path) -> str:
    """Return the name of the first output with the shape that this pooling expects."""
    rank = 2 if pooling == "model" else 3
    for declared in session.get_outputs():
        if len(declared.shape) == rank:
            return str(declared.name)
    shapes = ", ".join(f"{declared.name} {declared.shape}" for declared in session.get_outputs())
    remedy = "set embedder.pooling = 'model'" if rank == 3 else "set embedder.pooling to 'cls' or 'mean'"
    raise ConfigError(f"{path} puts out {shapes}, which pooling {pooling!r} cannot read; {remedy}")


def _quantises_dynamically(path: Path) -> bool:
    """Say whether the graph quantises activations at run time: the file contains operator names as plain text."""
    graph = path.read_bytes()
    return any(operator in graph for operator in _DYNAMIC_OPERATORS)
