"""The ``onnx`` embedder: runs a model on a dedicated thread, so that the event loop is not blocked."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec

from semcache_core.authoring.worker import Worker
from semcache_core.errors import EmbedderUnavailable, NotOpenError
from semcache_core.protocols import Thresholds
from semcache_core.types import Vector

from .options import OnnxOptions

if TYPE_CHECKING:
    from .model import LoadedModel
    from .sources import ModelFiles

logger = logging.getLogger("semcache.onnx")


class _Loaded(msgspec.Struct, frozen=True):
    files: ModelFiles
    model: LoadedModel
    thread: Worker


class OnnxEmbedder:
    """Turns texts into unit vectors with an ONNX model. Implements ``semcache_core.protocols.Embedder``.

    Opening loads the model, which takes a fraction of a second, or the time of a download.
    """

    Options: ClassVar[type[OnnxOptions]] = OnnxOptions

    def __init__(self, options: OnnxOptions) -> None:
        self._options = options
        self._loaded: _Loaded | None = None

    async def __aenter__(self) -> Self:
        """Load the model. Raises ConfigError, PluginError or EmbedderUnavailable; each names the remedy."""
        # onnxruntime aborts the process if its libraries are unloaded while it runs.
        thread = Worker("semcache-onnx", join_at_exit=True)
        began = time.perf_counter()
        try:
            files, model = await thread.run(partial(_load, self._options))
        except BaseException:
            thread.end()
            raise
        self._loaded = _Loaded(files, model, thread)
        logger.info(
            "embedding model %s is ready: %d dimensions, %s pooling, up to %d tokens, loaded in %.1f s",
            files.name, model.dimensions, files.pooling, files.max_tokens, time.perf_counter() - began,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            # Without waiting: the queue is milliseconds of work, and its callers still get their vectors.
            loaded.thread.end()

    @property
    def fingerprint(self) -> str:
        """Names everything that affects a vector. Files are named by content, so a moved model keeps its vectors."""
        files = self._open.files
        return (
            f"onnx model={files.name} revision={files.revision} dimensions={self.dimensions} pooling={files.pooling} "
            f"prefix={self._options.prefix!r} truncation=none"
        )

    @property
    def dimensions(self) -> int:
        """The length of every vector."""
        return self._open.model.dimensions

    @property
    def max_tokens(self) -> int:
        """The window in tokens, special ones included. A longer text raises ``TextTooLong``."""
        return self._open.files.max_tokens

    @property
    def recommended(self) -> Thresholds | None:
        """The thresholds: those of the options, the measured ones of a known model, or None."""
        return self._open.files.thresholds

    @property
    def batch_invariant(self) -> bool:
        """False for a dynamically quantised model: one run scales by the largest value of the whole batch."""
        return self._open.model.batch_invariant

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one float32 unit vector per text, in order: shape (len(texts), dimensions).

        Raises TextTooLong if any text is longer than the window, TextUnreadable if the model does not know its
        characters or its script, EmbedderUnavailable if the model fails.
        """
        loaded = self._open
        return await loaded.thread.run(partial(loaded.model.embed, tuple(texts)))

    @property
    def _open(self) -> _Loaded:
        if self._loaded is None:
            raise NotOpenError("the onnx embedder is not open; use it inside 'async with'")
        return self._loaded


def _load(options: OnnxOptions) -> tuple[ModelFiles, LoadedModel]:
    """Find and load the model. Imported here, on the thread: onnxruntime and tokenizers take a while to import."""
    from . import sources

    try:
        files = sources.locate(options)
        logger.info("loading embedding model %s (%.0f MB)", files.name, files.onnx.stat().st_size / 1e6)
        from .model import LoadedModel

        return files, LoadedModel(files, prefix=options.prefix)
    except (OSError, ImportError) as error:  # An unreadable file, or a missing library of onnxruntime.
        raise EmbedderUnavailable(f"the embedding model cannot be loaded: {error}") from error
