"""The contract kit's promises, kept by this plugin with its bundled models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semcache_core.protocols import Embedder
from semcache_core.testing import EmbedderContract, PluginContract
from semcache_onnx.embedder import OnnxEmbedder
from semcache_onnx.options import OnnxOptions


class TestBundled(EmbedderContract):
    """bge-small-en-v1.5: dynamically quantised."""

    def make(self) -> Embedder:
        return OnnxEmbedder(OnnxOptions(bundled="bge-small-en-v1.5"))

    def variants(self) -> Sequence[Embedder]:
        return [
            OnnxEmbedder(OnnxOptions(bundled="bge-small-en-v1.5", pooling="mean")),
            OnnxEmbedder(OnnxOptions(bundled="bge-small-en-v1.5", prefix="query: ")),
            OnnxEmbedder(OnnxOptions(bundled="all-minilm-l6-v2")),
        ]

    def outage(self) -> Embedder | None:
        return OnnxEmbedder(OnnxOptions(model="acme/not-in-the-cache"))


class TestBundledSmall(EmbedderContract):
    """all-MiniLM-L6-v2: quantised weights only, so batches equal singles."""

    def make(self) -> Embedder:
        return OnnxEmbedder(OnnxOptions(bundled="all-minilm-l6-v2"))

    def variants(self) -> Sequence[Embedder]:
        return [OnnxEmbedder(OnnxOptions(bundled="all-minilm-l6-v2", pooling="cls"))]

    def outage(self) -> Embedder | None:
        return None


class TestPlugin(PluginContract):
    distribution = "semcache-onnx"
    module = "semcache_onnx.plugin"
    heavy = ("onnxruntime", "tokenizers", "huggingface_hub", "numpy", "semcache_onnx.embedder")


def test_the_readme_names_every_option() -> None:
    table = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    assert [name for name in OnnxOptions.__struct_fields__ if f"`{name}`" not in table] == []
